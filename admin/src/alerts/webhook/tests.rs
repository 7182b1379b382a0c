use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::delivery::signature;
use super::*;
use crate::alerts::AlertSeverity;

const SECRET: &[u8] = b"a-secret-of-this-very-test";

fn alert() -> Alert {
    Alert {
        id: 7,
        rule: "cpu".to_owned(),
        state: "firing",
        severity: AlertSeverity::Warn,
        at: "2026-11-28T12:00:00Z".to_owned(),
        metric: "cpu_percent",
        value: Some(99.0),
        threshold: 70.0,
        sentence: "cpu fires".to_owned(),
        link: "/memory/usage",
    }
}

/// Answers each connection with one of `answers` and gives back what came.
async fn receive(listener: &TcpListener, answer: &str) -> String {
    let (mut stream, _) = listener.accept().await.expect("a connection");
    let mut seen = String::new();
    let mut bytes = [0; 4096];
    while !seen.ends_with('}') {
        let read = stream.read(&mut bytes).await.expect("read");
        assert!(read > 0, "{seen}");
        seen.push_str(&String::from_utf8_lossy(&bytes[..read]));
    }
    let head =
        format!("HTTP/1.1 {answer}\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n");
    stream.write_all(head.as_bytes()).await.expect("sent");
    seen
}

async fn webhook() -> (Webhook, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let url = format!(
        "http://{}/hook?key=1",
        listener.local_addr().expect("an address")
    );
    (Webhook::new(&url, SECRET).expect("a webhook"), listener)
}

async fn until(webhook: &Webhook, is_it: impl Fn(WebhookFigures) -> bool) {
    while !is_it(webhook.figures()) {
        tokio::task::yield_now().await;
    }
}

#[test]
fn the_signature_is_that_of_the_standards_example() {
    // https://github.com/standard-webhooks/standard-webhooks, spec, "Example signature": the secret's bytes are its base64.
    use base64::Engine as _;
    let secret = base64::engine::general_purpose::STANDARD
        .decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
        .expect("base64");
    let signed = signature(
        &secret,
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1_614_265_330,
        r#"{"test": 2432232314}"#,
    );
    assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
}

#[tokio::test]
async fn l2_an_alert_is_posted_signed_and_a_redirect_is_not_followed() {
    let (webhook, listener) = webhook().await;
    let webhook = webhook.allow_private(true);
    webhook.tell(&alert());
    let seen = receive(&listener, "204 No Content").await;
    until(&webhook, |figures| figures.sent == 1).await;
    assert!(seen.starts_with("POST /hook?key=1 HTTP/1.1\r\n"), "{seen}");
    let field = |name: &str| {
        let line = seen.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_else(|| panic!("{name} {seen}"))
            .trim()
            .to_owned()
    };
    let (_, body) = seen.split_once("\r\n\r\n").expect("a body");
    let timestamp: i64 = field("webhook-timestamp:").parse().expect("a number");
    let signed = signature(SECRET, &field("webhook-id:"), timestamp, body);
    assert_eq!(field("webhook-signature:"), signed);
    let body: serde_json::Value = serde_json::from_str(body).expect("JSON");
    assert_eq!(
        (&body["rule"], &body["value"]),
        (&serde_json::json!("cpu"), &serde_json::json!(99.0))
    );

    webhook.tell(&alert());
    receive(&listener, "302 Found").await;
    until(&webhook, |figures| figures.failed == 1).await;
}

#[tokio::test]
async fn a_secret_with_the_standards_prefix_is_the_base64_of_its_bytes() {
    let (_, listener) = webhook().await;
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    let encoded = format!("whsec_{}", STANDARD.encode(SECRET));
    let webhook = Webhook::new(&url, encoded).expect("a webhook");
    let webhook = webhook.allow_private(true);
    webhook.tell(&alert());
    let seen = receive(&listener, "204 No Content").await;
    let field = |name: &str| {
        let line = seen.lines().find_map(|line| line.strip_prefix(name));
        line.expect("a field").trim().to_owned()
    };
    let (_, body) = seen.split_once("\r\n\r\n").expect("a body");
    let timestamp = field("webhook-timestamp:").parse().expect("a number");
    let signed = signature(SECRET, &field("webhook-id:"), timestamp, body);
    assert_eq!(field("webhook-signature:"), signed);
}

#[tokio::test]
async fn l2_a_private_address_is_refused_unless_it_is_allowed() {
    let (webhook, listener) = webhook().await;
    webhook.tell(&alert());
    until(&webhook, |figures| figures.failed == 1).await;
    assert_eq!(webhook.figures().sent, 0);
    drop(listener);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_fails_is_tried_again_and_what_waits_is_bounded() {
    let (webhook, listener) = webhook().await;
    let webhook = webhook.allow_private(true);
    webhook.tell(&alert());
    let first = receive(&listener, "500 Internal Server Error").await;
    let second = receive(&listener, "200 OK").await;
    let id = |text: &str| {
        text.lines()
            .find(|line| line.starts_with("webhook-id"))
            .map(str::to_owned)
    };
    assert_eq!(id(&first), id(&second), "a repeated one is known by its id");
    until(&webhook, |figures| figures.sent == 1).await;
    for _ in 0..200 {
        webhook.tell(&alert());
    }
    assert!(
        webhook.figures().dropped >= 200 - 65,
        "{:?}",
        webhook.figures()
    );
}

#[test]
fn addresses_and_secrets_that_cannot_be_used_are_refused_without_repeating_them() {
    for url in [
        "",
        "ftp://canary",
        "/canary",
        "http://user:canary@host/",
        "host",
    ] {
        let error = Webhook::new(url, SECRET).expect_err("refused");
        assert!(matches!(error, WebhookError::Address), "{url}");
        assert!(!error.to_string().contains("canary"));
    }
    for secret in [
        "canary",
        "whsec_canary",
        "whsec_!canary-canary-canary-canary-canary",
    ] {
        let error = Webhook::new("http://host/", secret).expect_err("refused");
        assert!(matches!(error, WebhookError::Secret), "{secret}");
        assert!(!error.to_string().contains("canary"));
    }
    let webhook = Webhook::new("http://host/canary", SECRET).expect("a webhook");
    assert!(!format!("{webhook:?}").contains("canary"), "{webhook:?}");
}
