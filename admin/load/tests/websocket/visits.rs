//! Visits of several messages.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use futures_util::{SinkExt, StreamExt};
use pitcrew_load::{ErrorKind, Target, WebSocketPlan};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_websockets::{Message, ServerBuilder};

use crate::server::report;

/// Greets by name with a token and a second message, sells to whoever has the token, and counts those who say bye.
async fn sell(stream: TcpStream, byes: &AtomicU64) -> Option<()> {
    let (_, mut socket) = ServerBuilder::new().accept(stream).await.ok()?;
    let mut token = String::new();
    while let Some(Ok(message)) = socket.next().await {
        let Some(text) = message.as_text() else {
            continue;
        };
        let told: Value = serde_json::from_str(text).unwrap_or_default();
        let answers = if let Some(name) = told["hi"].as_str() {
            token = format!("t-{name}");
            vec![json!({"token": token}).to_string(), "welcome".to_owned()]
        } else if told["buy"] == token.as_str() {
            vec!["news".to_owned(), json!({"state": "sold"}).to_string()]
        } else if text == "bye" {
            byes.fetch_add(1, Relaxed);
            Vec::new()
        } else {
            vec!["no".to_owned()]
        };
        for answer in answers {
            socket.send(Message::text(answer)).await.ok()?;
        }
    }
    Some(())
}

/// The shop, how many connections it took and how many said bye.
async fn shop() -> (Target, Arc<[AtomicU64; 2]>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let address = listener.local_addr().expect("address");
    let counts: Arc<[AtomicU64; 2]> = Arc::default();
    let own = Arc::clone(&counts);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            own[0].fetch_add(1, Relaxed);
            let own = Arc::clone(&own);
            tokio::spawn(async move { sell(stream, &own[1]).await });
        }
    });
    let target = Target::resolve(&format!("ws://{address}")).expect("resolves");
    (target, counts)
}

fn plan(buys: &str) -> WebSocketPlan {
    let text = r#"{
        "connections": 1, "requests": 30, "timeout_ms": 5000,
        "data": {"n": {"counter": {}}},
        "steps": [
            {"name": "hi", "send": {"text": "{\"hi\": {{n|json}}}"}, "capture": {"token": {"json": "/token"}}},
            {"expect": {"body_contains": "welcome"}},
            {"name": "buy", "send": {"text": "{\"buy\": \"{{token}}\"}"}, "reply": BUYS, "expect": {"json": {"/state": "sold"}}},
            {"send": {"text": "bye"}, "reply": "nothing"}
        ]
    }"#;
    serde_json::from_str(&text.replace("BUYS", buys)).expect("a plan")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_visit_sends_waits_captures_and_expects() {
    let (target, counts) = shop().await;
    let report = report(&plan(r#"{"contains": "state"}"#), &target).await;
    assert_eq!(
        (report.requests, report.ok),
        (120, 120),
        "{:?}",
        report.steps
    );
    let steps: Vec<_> = report
        .steps
        .iter()
        .map(|step| (&*step.name, step.ok))
        .collect();
    assert_eq!(
        steps,
        [("hi", 30), ("wait 2", 30), ("buy", 30), ("send 4", 30)]
    );
    // All visits over one connection, which is kept.
    assert_eq!(counts[0].load(Relaxed), 1);
    // The last may still be on its way.
    assert!((29..=30).contains(&counts[1].load(Relaxed)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_visit_that_fails_ends_and_the_next_has_a_connection_of_its_own() {
    let (target, counts) = shop().await;
    // The next message is news, which is not what is expected.
    let report = report(&plan(r#""any""#), &target).await;
    assert_eq!(report.errors, [(ErrorKind::Check, 30)].into());
    assert_eq!(
        report.steps[2].unmet,
        [("json /state".to_owned(), 30)].into()
    );
    assert_eq!(report.steps[3].requests, 0);
    assert_eq!(counts[0].load(Relaxed), 30);
    assert_eq!(counts[1].load(Relaxed), 0);
    // We closed them.
    assert_eq!(report.connections.dropped, 0);
}

#[test]
fn what_cannot_be_is_refused_by_its_field() {
    for (step, field) in [
        (r#"{"reply": "echo"}"#, "steps[0].reply"),
        (r#"{"reply": "nothing"}"#, "steps[0].reply"),
        (
            r#"{"send": {"text": "a"}, "reply": "nothing", "expect": {"within_ms": 5}}"#,
            "steps[0].reply",
        ),
        (r#"{"reply": {"contains": ""}}"#, "steps[0].reply.contains"),
        (r#"{"send": {"hex": "0"}}"#, "steps[0].send.hex"),
        (r#"{"send": {"text": "{{a}}"}}"#, "steps[0].send.text"),
        (r#"{"expect": {"status": [200]}}"#, "steps[0].expect.status"),
        (r#"{"expect": {"rows": 1}}"#, "steps[0].expect.rows"),
        (
            r#"{"capture": {"a": {"header": "b"}}}"#,
            "steps[0].capture.a.header",
        ),
    ] {
        let text = format!(r#"{{"steps": [{step}]}}"#);
        let plan: WebSocketPlan = serde_json::from_str(&text).expect(&text);
        let error = plan.check().expect_err(&text);
        assert_eq!(error.field, field, "{error}");
    }
    let text = r#"{"steps": [{}], "message": {"text": "a"}}"#;
    let plan: WebSocketPlan = serde_json::from_str(text).expect("a plan");
    assert_eq!(plan.check().expect_err("refused").field, "message");
    let plan: WebSocketPlan = serde_json::from_str(r#"{"reply": "nothing"}"#).expect("a plan");
    assert_eq!(plan.check().expect_err("refused").field, "reply");
}
