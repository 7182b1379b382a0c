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
use pitcrew_load::{
    ErrorKind, HttpPlan, Load, Model, Open, RunState, Spacing, Stage, Target, start,
};
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
        load: Load {
            requests: Some(requests),
            connections: Some(5),
            ..Load::default()
        },
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
        report.response.min_ms > 0.0
            && report.response.min_ms <= report.response.p50_ms
            && report.response.p50_ms <= report.response.p99_ms
    );
    assert!(
        report.response.p99_ms <= report.response.max_ms
            && report.response.mean_ms > 0.0
            && report.rate_per_s > 0.0
    );
    assert_eq!(run.state(), RunState::Finished);
    assert_eq!(run.progress().finished, 1_003);
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_do_not_count_as_latency() {
    let (target, _) = server().await;
    let run = start("r1", &plan("/503", 20), &target).expect("started");
    let report = run.finished().await;
    assert_eq!(
        (report.ok, report.error_percent, report.response.max_ms),
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
            load: Load {
                timeout_ms: 100,
                ..plan("/", 10).load
            },
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
        load: Load {
            duration_s: Some(600.0),
            timeout_ms: 60_000,
            ..Load::default()
        },
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
            load: Load {
                connections: Some(0),
                ..Load::default()
            },
            ..HttpPlan::default()
        },
        &target,
    )
    .expect_err("refused");
    assert_eq!(error.field, "connections");
    assert_eq!(count.load(Relaxed), 0);
}

/// A server that answers nobody before so many requests are there.
async fn all_or_none(wanted: u64) -> Target {
    let there = Arc::new(tokio::sync::Semaphore::new(0));
    let count = Arc::new(AtomicU64::new(0));
    misbehaving(move |stream| {
        let (there, count) = (Arc::clone(&there), Arc::clone(&count));
        async move {
            let service = service_fn(move |_: Request<Incoming>| {
                let (there, count) = (Arc::clone(&there), Arc::clone(&count));
                async move {
                    if count.fetch_add(1, Relaxed) + 1 == wanted {
                        there.close();
                    }
                    // Closed: everybody goes on.
                    let _ = there.acquire().await;
                    Ok::<_, Infallible>(Response::new(Full::new(Bytes::new())))
                }
            });
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        }
    })
    .await
}

fn open(rate_per_s: f64, duration_s: f64) -> HttpPlan {
    HttpPlan {
        load: Load {
            open: Some(Open {
                stages: vec![Stage {
                    duration_s,
                    rate_per_s,
                    to_rate_per_s: None,
                }],
                spacing: Spacing::Even,
                seed: 0,
            }),
            ..Load::default()
        },
        ..HttpPlan::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_model_sends_whether_or_not_it_is_answered() {
    let target = all_or_none(200).await;
    let run = start("7", &open(1_000.0, 0.2), &target).expect("starts");
    let report = run.finished().await;
    assert_eq!(
        (report.due, report.ok, report.missed, report.unfinished),
        (200, 200, 0, 0),
        "{report:?}"
    );
    assert_eq!(report.model, Model::Open);
    assert_eq!(report.response.count, 200);
    assert_eq!(report.lag.count, 200);
    assert!(report.response.max_ms >= report.service.max_ms);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_finds_no_connection_waits_and_the_wait_counts() {
    let (target, count) = server().await;
    let plan = HttpPlan {
        load: Load {
            connections: Some(1),
            ..open(5_000.0, 0.2).load
        },
        ..open(5_000.0, 0.2)
    };
    let run = start("7", &plan, &target).expect("starts");
    let report = run.finished().await;
    assert_eq!((report.due, report.ok, report.missed), (1_000, 1_000, 0));
    assert_eq!(count.load(Relaxed), 1_000);
    assert!(report.response.mean_ms >= report.service.mean_ms);
    let in_seconds: u64 = report.intervals.iter().map(|interval| interval.ok).sum();
    assert_eq!(in_seconds, 1_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_open_run_says_what_it_gave_up() {
    let target = all_or_none(u64::MAX).await;
    let run = start("7", &open(1_000.0, 600.0), &target).expect("starts");
    while run.due() < 50 {
        tokio::task::yield_now().await;
    }
    run.cancel();
    let report = run.finished().await;
    assert!(report.cancelled);
    assert_eq!(report.ok, 0);
    assert_eq!(report.due, report.unfinished + report.missed, "{report:?}");
}

#[test]
fn an_open_model_that_cannot_be_is_refused_by_its_field() {
    let stage = |duration_s: f64, rate_per_s: f64, to_rate_per_s: Option<f64>| Stage {
        duration_s,
        rate_per_s,
        to_rate_per_s,
    };
    let field_of = |stages: Vec<Stage>| {
        let mut plan = open(1.0, 1.0);
        if let Some(open) = &mut plan.load.open {
            open.stages = stages;
        }
        plan.check().expect_err("refused").field
    };
    for (stages, field) in [
        (vec![], "open.stages"),
        (vec![stage(0.0, 1.0, None)], "open.stages[0].duration_s"),
        (
            vec![stage(1.0, 1.0, None), stage(f64::INFINITY, 1.0, None)],
            "open.stages[1].duration_s",
        ),
        (vec![stage(1.0, -1.0, None)], "open.stages[0].rate_per_s"),
        (
            vec![stage(1.0, f64::NAN, None)],
            "open.stages[0].rate_per_s",
        ),
        (
            vec![stage(1.0, 1.0, Some(1e9))],
            "open.stages[0].to_rate_per_s",
        ),
        (vec![stage(1.0, 0.0, None)], "open.stages"),
        (vec![stage(400.0, 1.0, None); 2], "open.stages"),
        (vec![stage(1.0, 1.0, None); 101], "open.stages"),
        (vec![stage(600.0, 200_000.0, None)], "open.stages"),
    ] {
        assert_eq!(field_of(stages), field);
    }
    let both = HttpPlan {
        load: Load {
            duration_s: Some(1.0),
            ..open(1.0, 1.0).load
        },
        ..open(1.0, 1.0)
    };
    assert_eq!(both.check().expect_err("refused").field, "duration_s");
}

/// A server that closes after each answer, and says so or not.
async fn closing(head: &'static str) -> Target {
    misbehaving(move |mut stream| async move {
        let mut buffer = [0; 4_096];
        let _ = stream.read(&mut buffer).await;
        let answer = format!("HTTP/1.1 200 OK\r\n{head}content-length: 2\r\n\r\nok");
        let _ = stream.write_all(answer.as_bytes()).await;
        let _ = stream.shutdown().await;
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_closes_after_each_answer_is_connected_to_anew() {
    let target = closing("connection: close\r\n").await;
    let run = start("7", &plan("/", 50), &target).expect("starts");
    let report = run.finished().await;
    assert_eq!((report.ok, report.requests), (50, 50), "{report:?}");
    // One that does not say so may close on a request that is on its way, and that is a reset.
    let target = closing("").await;
    let run = start("7", &plan("/", 50), &target).expect("starts");
    let report = run.finished().await;
    let resets = report.errors.get(&ErrorKind::Reset).copied().unwrap_or(0);
    assert_eq!(report.ok + resets, 50, "{report:?}");
    assert!(report.ok >= 5, "each connection had one answer: {report:?}");
}
