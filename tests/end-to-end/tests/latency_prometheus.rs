//! What the latency layer tells Prometheus, read by Prometheus's own checker.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something unexpected happens"
)]

use std::{
    convert::Infallible,
    io::Write as _,
    process::{Command, Stdio},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Empty;
use pitcrew::{LatencyLayer, clock::Clock};
use pitcrew_stack::process::find_program;
use tower::{Layer, ServiceExt, service_fn};

#[tokio::test]
async fn promtool_finds_no_fault_with_the_text() {
    let Some(promtool) = find_program("promtool") else {
        pitcrew_stack::skip!("promtool is not installed (package prometheus)");
    };
    let clock = Clock::manual();
    let (layer, handle) = LatencyLayer::builder()
        .clock(clock.clone())
        .max_series(20)
        .route_label(|parts| Some(parts.headers["route"].to_str().ok()?.replace('~', "\n")))
        .build();
    let app = layer.layer(service_fn(move |request: Request<()>| {
        clock.advance(Duration::from_millis(7));
        let status: u16 = request.headers()["status"]
            .to_str()
            .unwrap()
            .parse()
            .unwrap();
        let response = Response::builder().status(status);
        std::future::ready(Ok::<_, Infallible>(
            response.body(Empty::<Bytes>::new()).unwrap(),
        ))
    }));
    let hostile = [
        "/a\\b\"c\"~d{e=\"f\"} # 7",
        "/orders/{id}",
        "",
        "le=\"+Inf\"",
        "\\",
    ];
    for (number, route) in hostile.iter().cycle().take(40).enumerate() {
        let request = Request::builder()
            .method(["GET", "POST", "BREW"][number % 3])
            .header("route", *route)
            .header("status", ["200", "204", "404", "503"][number % 4])
            .body(())
            .unwrap();
        app.clone().oneshot(request).await.unwrap();
    }
    let text = handle.prometheus();
    assert!(text.lines().count() > 100);
    let mut checker = Command::new(promtool)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    checker
        .stdin
        .take()
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    let output = checker.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success(), "{said}\n{text}");
}
