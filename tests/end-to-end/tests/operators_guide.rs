//! The operator's guide (docs/admin.md) does what it says: its commands are run as they stand there, but for the app's address, and
//! its files are given to the programs that they are for.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something unexpected happens"
)]

mod guide;
mod shop;

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use guide::{APP, Desk, Proxy, Running, block, blocks, free_port, succeeded, until};
use http::{Request, StatusCode, header};
use pitcrew_admin::{Admin, Token, Webhook};
use pitcrew_stack::process::find_program;
use pitcrew_stack::{require, skip};
use serde_json::Value;
use shop::{OPERATOR, READER, Shop};
use tower::ServiceExt;

/// Longest wait for something that has to happen: a bug, not a slow machine, takes longer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn the_commands_of_the_guide_do_what_they_say() {
    require!(database, extension, statements);
    if find_program("curl").is_none() {
        skip!("curl is not installed");
    }
    let (shop, desk) = (Shop::open().await, Desk::new());
    let here = |block: &str| block.replace(APP, &shop.address.to_string());
    let told = desk.run(here(block("From a terminal", "sh"))).await;
    let told: Vec<Value> = serde_json::Deserializer::from_str(&told)
        .into_iter()
        .collect::<Result<_, _>>()
        .unwrap();
    let [status, times, cycle, purged, paused, gone_on] = told.as_slice() else {
        panic!("{} answers: {told:?}", told.len());
    };
    assert!(status["verdict"].is_string(), "{status}");
    assert!(times["series"].is_array(), "{times}");
    assert_eq!(cycle["dry_run"], true, "{cycle}");
    assert_eq!(purged["report"]["local"], "done", "{purged}");
    assert!(paused["paused_until"].is_string(), "{paused}");
    assert_eq!(gone_on["paused_until"], Value::Null, "{gone_on}");
    let audit = fs::read_to_string(desk.folder.join("audit.csv")).unwrap();
    for action in ["POST /cache/invalidate", "POST /cycles/pause"] {
        assert!(audit.contains(action), "{audit}");
    }

    // Without a token.
    let health = desk.run(here(block("For a load balancer", "sh"))).await;
    let answers = serde_json::Deserializer::from_str(&health).into_iter::<Value>();
    let states: Vec<_> = answers
        .map(|told| told.unwrap()["status"].clone())
        .collect();
    assert_eq!(states, ["UP", "UP"]);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_made_and_its_hash_is_configured_as_the_guide_says() {
    require!(database);
    if find_program("openssl").is_none() {
        skip!("openssl is not installed");
    }
    let script = format!(
        "{}printf '%s\\n' \"$TOKEN\"",
        block("Who may do what", "sh")
    );
    let told = Desk::new().run(script).await;
    let (hash, token) = told.trim_end().split_once('\n').unwrap();
    let admin = Admin::builder()
        .token(Token::operator(hash))
        .build()
        .unwrap();
    for (token, wanted) in [(token, StatusCode::OK), (hash, StatusCode::UNAUTHORIZED)] {
        let request = Request::get("/whoami")
            .header(header::HOST, "localhost")
            .header(header::AUTHORIZATION, format!("Bearer {token}"))
            .body(axum::body::Body::empty())
            .unwrap();
        let answer = admin.router().oneshot(request).await.unwrap();
        assert_eq!(answer.status(), wanted);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn prometheus_scrapes_with_the_configuration_of_the_guide() {
    require!(database, extension, statements);
    let (Some(prometheus), Some(promtool)) = (find_program("prometheus"), find_program("promtool"))
    else {
        skip!("Prometheus is not installed");
    };
    let (shop, desk) = (Shop::open().await, Desk::new());
    let token = desk.write("pitcrew.token", READER);
    let jobs = block("Prometheus", "yaml")
        .replace(APP, &shop.address.to_string())
        .replace("/etc/prometheus/pitcrew.token", token.to_str().unwrap());
    // Its default is a minute.
    let config = format!("global: {{scrape_interval: 1s}}\n{jobs}");
    let config = desk.write("prometheus.yml", &config);
    succeeded(
        Command::new(promtool)
            .args(["check", "config"])
            .arg(&config),
    )
    .await;

    let address = format!("127.0.0.1:{}", free_port());
    let mut command = Command::new(prometheus);
    command
        .arg(format!("--config.file={}", config.display()))
        .arg(format!(
            "--storage.tsdb.path={}",
            desk.folder.join("data").display()
        ))
        .arg(format!("--web.listen-address={address}"))
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let _running = Running::start(command);
    let query = |query: &str| {
        let mut curl = Command::new("curl");
        curl.args(["-fsSG", "--data-urlencode", &format!("query={query}")])
            .arg(format!("http://{address}/api/v1/query"));
        curl
    };
    let is_one = |told: &str| {
        let told: Value = serde_json::from_str(told).unwrap_or_default();
        told["data"]["result"][0]["value"][1]
            .as_str()
            .is_some_and(|value| value != "0")
    };
    until(|| query("up{job=\"app\"}"), is_one).await;
    let requests =
        "sum(http_server_request_duration_seconds_count{http_route=\"/customers/{key}/orders\"})";
    until(|| query(requests), is_one).await;
    shop.close().await;
}

/// Sends what a receiver is to judge: an alert with a signature by openssl, which knows nothing of this project, over a time that is
/// told; prints the status of the answer.
const SEND: &str = r#"
key=$(printf %s "${SECRET#whsec_}" | base64 -d | od -An -v -tx1 | tr -d ' \n')
body='{"sentence": "by openssl"}'
mac=$(printf '%s.%s.%s' try-1 "$AT" "$body" | openssl dgst -sha256 -mac HMAC -macopt "hexkey:$key" -binary | base64)
curl -sS -o /dev/null -w '%{http_code}' -H 'webhook-id: try-1' -H "webhook-timestamp: $AT" -H "webhook-signature: v1,$mac" \
    --data-binary "$SENT" "$TO"
"#;

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_reaches_the_receiver_of_the_guide_and_a_forged_one_does_not() {
    require!(database);
    let programs = ["python3", "curl", "openssl"].map(find_program);
    let [Some(python), Some(_), Some(_)] = programs else {
        skip!("python3, curl or openssl is not installed");
    };
    let heading = "Alerts by webhook";
    let (desk, [port, own]) = (Desk::new(), [free_port(), free_port()]);
    let secret = desk.run(block(heading, "sh").to_owned()).await;
    let receiver = block(heading, "python").replace("8080", &port.to_string());
    let receiver = desk.write("receiver.py", &receiver);
    let received = desk.folder.join("received");
    let mut command = Command::new(python);
    command
        .arg(receiver)
        .env("PITCREW_WEBHOOK_SECRET", secret.trim())
        .stdout(fs::File::create(&received).unwrap())
        .stderr(Stdio::null());
    let _running = Running::start(command);
    let to = format!("http://127.0.0.1:{port}/hook");
    let curl = |arguments: &[&str]| {
        let mut curl = Command::new("curl");
        curl.args(["-sS"]).args(arguments);
        curl
    };
    let answers = ["-o", "/dev/null", "-w", "%{http_code}", &to];
    until(
        || curl(&answers),
        |status| status != "000" && !status.is_empty(),
    )
    .await;

    let webhook = Webhook::new(&to, secret.trim())
        .unwrap()
        .allow_private(true);
    let admin = Admin::builder()
        .operator_token(OPERATOR)
        .alert_sink(webhook.clone())
        .build()
        .unwrap();
    let serving = admin.clone();
    let server = tokio::spawn(async move { serving.serve(([127, 0, 0, 1], own).into()).await });
    let live = format!("http://127.0.0.1:{own}/performance/health/live");
    until(|| curl(&[&live]), |told| told.contains("UP")).await;
    let (begin, _) = block("From a terminal", "sh").split_once("\n\n").unwrap();
    let script = format!("{begin}\n{}", blocks(heading, "sh")[1]);
    let told = desk
        .run(script.replace(APP, &format!("127.0.0.1:{own}")))
        .await;
    let told: Value = serde_json::from_str(&told).unwrap();
    let sentence = told["alert"]["sentence"].as_str().unwrap();
    let read = || {
        let mut read = Command::new("cat");
        read.arg(&received);
        read
    };
    until(read, |told| told.contains(sentence)).await;
    admin.shutdown(Duration::from_secs(10)).await;
    server.await.unwrap().unwrap();
    assert_eq!(webhook.figures().sent, 1);

    let whole = r#"{"sentence": "by openssl"}"#;
    let forged = r#"{"sentence": "forged"}"#;
    for (at, sent, status) in [
        ("$(date +%s)", whole, "204"),
        ("$(date +%s)", forged, "401"),
        ("$(($(date +%s) - 600))", whole, "401"),
        ("yesterday", whole, "401"),
    ] {
        let given = format!("SECRET='{}' AT={at} SENT='{sent}' TO={to}\n", secret.trim());
        assert_eq!(desk.run(given + SEND).await, status, "{at} {sent}");
    }
    let received = fs::read_to_string(received).unwrap();
    assert!(
        received.contains("by openssl") && !received.contains("forged"),
        "{received}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_gets_through_the_proxy_of_the_guide() {
    require!(database, extension, statements);
    let (Some(nginx), Some(_)) = (find_program("nginx"), find_program("curl")) else {
        skip!("nginx or curl is not installed");
    };
    let (shop, desk) = (Shop::open().await, Desk::new());
    let proxy = Proxy::start(&nginx, &desk, &shop.address.to_string());
    let health = || proxy.curl(&desk, "/health");
    until(health, |told| told.contains("UP")).await;

    let mut log_in = proxy.curl(&desk, "/login");
    log_in
        .args(["-i", "-d", &format!("token={READER}")])
        .args(["-H", "Sec-Fetch-Site: same-origin"]);
    let begun = succeeded(&mut log_in).await.to_ascii_lowercase();
    assert!(
        begun.contains("303") && begun.contains("; secure"),
        "{begun}"
    );
    let page = succeeded(&mut proxy.curl(&desk, "")).await;
    assert!(page.contains("<base href=\"/performance/\">"), "{page}");

    // Two seconds' figures come while the stream goes on, so the proxy holds none back.
    let mut events = proxy.curl(&desk, "/events");
    events
        .args(["-N", "--max-time", "60"])
        .stdout(Stdio::piped());
    let mut events = events.spawn().unwrap();
    let stream = events.stdout.take().unwrap();
    let heard = tokio::task::spawn_blocking(move || {
        use std::io::{BufRead, BufReader};
        let lines = BufReader::new(stream).lines().map_while(Result::ok);
        lines
            .filter(|line| line == "event: figures")
            .take(2)
            .count()
    });
    let heard = heard.await.unwrap();
    let is_under_way = events.try_wait().unwrap().is_none();
    events.kill().unwrap();
    events.wait().unwrap();
    assert_eq!((heard, is_under_way), (2, true));

    // Another name of the same address is not this app's.
    let mut other = proxy.curl(&desk, "/status");
    other.args([
        "-H",
        "Host: other.example",
        "-o",
        "refused",
        "-w",
        "%{http_code}",
    ]);
    assert_eq!(succeeded(&mut other).await, "421");
    shop.close().await;
}
