//! Runs against real servers on loopback, well-behaved and not.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use pitcrew_load::{ErrorKind, HttpPlan, RunState, Target, start};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

async fn listener() -> (TcpListener, Target) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let target = Target::resolve(&format!(
        "http://{}",
        listener.local_addr().expect("address")
    ))
    .expect("resolves");
    (listener, target)
}

/// A server that counts its requests and answers with the status in the path.
async fn server() -> (Target, Arc<AtomicU64>) {
    let (listener, target) = listener().await;
    let count = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&count);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let counted = Arc::clone(&counted);
            let service = service_fn(move |request: Request<Incoming>| {
                counted.fetch_add(1, Relaxed);
                assert!(request.headers().contains_key(pitcrew_load::RUN_HEADER));
                let status: u16 = request
                    .uri()
                    .path()
                    .trim_start_matches('/')
                    .parse()
                    .unwrap_or(200);
                let mut response = Response::new(Full::new(Bytes::from_static(b"0123456789")));
                *response.status_mut() = http::StatusCode::from_u16(status).expect("a status");
                async move { Ok::<_, Infallible>(response) }
            });
            tokio::spawn(
                hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service),
            );
        }
    });
    (target, count)
}

/// A server that handles each connection by `serve`.
async fn misbehaving<F, Fut>(serve: F) -> Target
where
    F: Fn(TcpStream) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let (listener, target) = listener().await;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    target
}

fn plan(path: &str, requests: u64) -> HttpPlan {
    HttpPlan {
        path: path.to_owned(),
        requests: Some(requests),
        connections: 5,
        ..HttpPlan::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_sends_exactly_what_was_asked_and_says_so() {
    let (target, count) = server().await;
    let run = start("r1", &plan("/200", 1_003), &target).expect("started");
    let report = run.finished().await;
    assert_eq!(
        (report.requests, report.ok, report.error_percent),
        (1_003, 1_003, 0.0)
    );
    assert_eq!(count.load(Relaxed), 1_003);
    assert_eq!(report.statuses, [(200, 1_003)].into());
    assert_eq!(report.body_bytes, 10_030);
    assert!(
        report.min_ms > 0.0 && report.min_ms <= report.p50_ms && report.p50_ms <= report.p99_ms
    );
    assert!(report.p99_ms <= report.max_ms && report.mean_ms > 0.0 && report.rate_per_s > 0.0);
    assert_eq!(run.state(), RunState::Finished);
    assert_eq!(run.progress().finished, 1_003);
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_do_not_count_as_latency() {
    let (target, _) = server().await;
    let run = start("r1", &plan("/503", 20), &target).expect("started");
    let report = run.finished().await;
    assert_eq!(
        (report.ok, report.error_percent, report.max_ms),
        (0, 100.0, 0.0)
    );
    assert_eq!(report.errors, [(ErrorKind::Status, 20)].into());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_misbehaviour_has_its_own_column() {
    let resets = misbehaving(|stream| async move { drop(stream) }).await;
    let nonsense = misbehaving(|mut stream| async move {
        // Answers only after the request: what comes before it is another fault.
        let _ = stream.read(&mut [0; 4_096]).await;
        let _ = stream.write_all(b"SSH-2.0-nonsense\r\n\r\n").await;
    })
    .await;
    let silent = misbehaving(|stream| async move {
        std::future::pending::<()>().await;
        drop(stream);
    })
    .await;
    let (closed, refused) = listener().await;
    drop(closed);
    for (target, kind) in [
        (resets, ErrorKind::Reset),
        (nonsense, ErrorKind::Protocol),
        (silent, ErrorKind::Timeout),
        (refused, ErrorKind::Connect),
    ] {
        let plan = HttpPlan {
            timeout_ms: 100,
            ..plan("/", 10)
        };
        let report = start("r1", &plan, &target)
            .expect("started")
            .finished()
            .await
            .clone();
        assert_eq!(report.errors, [(kind, 10)].into(), "{kind:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn l3_a_cancelled_run_ends_although_its_target_hangs() {
    let silent = misbehaving(|stream| async move {
        std::future::pending::<()>().await;
        drop(stream);
    })
    .await;
    let plan = HttpPlan {
        duration_s: 600.0,
        timeout_ms: 60_000,
        ..HttpPlan::default()
    };
    let run = start("r1", &plan, &silent).expect("started");
    assert_eq!(run.state(), RunState::Running);
    run.cancel();
    let report = run.finished().await;
    assert!(report.cancelled);
    assert_eq!(report.ok, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_plan_sends_nothing() {
    let (target, count) = server().await;
    let error = start(
        "r1",
        &HttpPlan {
            connections: 0,
            ..HttpPlan::default()
        },
        &target,
    )
    .expect_err("refused");
    assert_eq!(error.field, "connections");
    assert_eq!(count.load(Relaxed), 0);
}
