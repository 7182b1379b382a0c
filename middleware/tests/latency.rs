//! The latency layer: how a request ends, classes and methods, bounded series.

#![allow(clippy::unwrap_used)]

#[path = "support/latency.rs"]
mod latency;

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Empty, Full};
use latency::{built, get};
use pitcrew::{
    LatencyLayer,
    clock::Clock,
    latency::{LatencySnapshot, SeriesSnapshot},
};
use tower::{Layer, ServiceExt, service_fn};

/// Frames, then the end; time passes before each frame.
struct Slow {
    clock: Clock,
    frames: Vec<Result<Bytes, &'static str>>,
}

impl Body for Slow {
    type Data = Bytes;
    type Error = &'static str;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
        self.clock.advance(Duration::from_millis(10));
        let frame = self.frames.pop();
        Poll::Ready(frame.map(|frame| frame.map(Frame::data)))
    }
}

fn slow(clock: &Clock, frames: &[Result<&'static str, &'static str>]) -> Slow {
    let frames = frames
        .iter()
        .rev()
        .map(|frame| frame.map(|text| Bytes::from_static(text.as_bytes())))
        .collect();
    Slow {
        clock: clock.clone(),
        frames,
    }
}

fn only(snapshot: &LatencySnapshot) -> &SeriesSnapshot {
    assert_eq!(snapshot.series.len(), 1, "{:?}", snapshot.series);
    &snapshot.series[0]
}

#[tokio::test]
async fn the_time_runs_to_the_end_of_the_body() {
    let clock = Clock::manual();
    let (layer, handle) = built(&clock);
    let time = clock.clone();
    let app = layer.layer(service_fn(move |_: Request<()>| {
        let time = time.clone();
        async move {
            time.advance(Duration::from_millis(5));
            Ok::<_, Infallible>(Response::new(slow(&time, &[Ok("a"), Ok("b")])))
        }
    }));
    let response = app.oneshot(get("/a")).await.unwrap();
    assert_eq!(
        (handle.snapshot().in_flight, handle.snapshot().requests),
        (1, 0)
    );
    response.into_body().collect().await.unwrap();
    let snapshot = handle.snapshot();
    let series = only(&snapshot);
    // 5 ms of handler, three polls of the body.
    assert_eq!(
        (
            series.route.as_str(),
            series.method.as_str(),
            series.status_class,
            series.count
        ),
        ("/a", "GET", "2xx", 1)
    );
    for figure in [
        series.mean_ms,
        series.min_ms,
        series.p50_ms,
        series.p99_ms,
        series.max_ms,
    ] {
        assert_eq!(figure, 35.0);
    }
    assert_eq!(
        (
            snapshot.in_flight,
            snapshot.requests,
            snapshot.errors,
            snapshot.aborted
        ),
        (0, 1, 0, 0)
    );
}

#[tokio::test]
async fn a_body_dropped_before_its_end_is_aborted() {
    let clock = Clock::manual();
    let (layer, handle) = built(&clock);
    let time = clock.clone();
    let app = layer.layer(service_fn(move |_: Request<()>| {
        std::future::ready(Ok::<_, Infallible>(Response::new(slow(
            &time,
            &[Ok("a"), Ok("b")],
        ))))
    }));
    let mut response = app.oneshot(get("/")).await.unwrap();
    response.body_mut().frame().await.unwrap().unwrap();
    drop(response);
    let snapshot = handle.snapshot();
    assert_eq!(
        (only(&snapshot).status_class, only(&snapshot).max_ms),
        ("aborted", 10.0)
    );
    assert_eq!((snapshot.aborted, snapshot.in_flight), (1, 0));
}

#[tokio::test]
async fn a_future_dropped_before_its_answer_is_aborted() {
    let (layer, handle) = built(&Clock::manual());
    let app = layer.layer(service_fn(|_: Request<()>| {
        std::future::pending::<Result<Response<Empty<Bytes>>, Infallible>>()
    }));
    drop(tokio::time::timeout(Duration::from_millis(1), app.oneshot(get("/"))).await);
    assert_eq!(only(&handle.snapshot()).status_class, "aborted");
    assert_eq!(handle.snapshot().in_flight, 0);
}

#[tokio::test]
async fn errors_of_service_and_body_are_errors_and_pass_unchanged() {
    let clock = Clock::manual();
    let (layer, handle) = built(&clock);
    let failing = layer.layer(service_fn(|_: Request<()>| async {
        Err::<Response<Empty<Bytes>>, _>("refused")
    }));
    assert_eq!(failing.oneshot(get("/")).await.unwrap_err(), "refused");
    let time = clock.clone();
    let breaking = layer.layer(service_fn(move |_: Request<()>| {
        std::future::ready(Ok::<_, Infallible>(Response::new(slow(
            &time,
            &[Ok("a"), Err("cut")],
        ))))
    }));
    let response = breaking.oneshot(get("/")).await.unwrap();
    assert_eq!(response.into_body().collect().await.unwrap_err(), "cut");
    let snapshot = handle.snapshot();
    assert_eq!(
        (
            only(&snapshot).status_class,
            only(&snapshot).count,
            snapshot.errors
        ),
        ("error", 2, 2)
    );
}

#[tokio::test]
async fn a_panic_of_the_handler_leaves_nothing_in_flight() {
    let (layer, handle) = built(&Clock::manual());
    let app = layer.layer(service_fn(|_: Request<()>| async {
        std::panic::resume_unwind(Box::new("handler"));
        #[allow(unreachable_code)]
        Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
    }));
    assert!(
        tokio::spawn(app.oneshot(get("/")))
            .await
            .unwrap_err()
            .is_panic()
    );
    assert_eq!(
        (handle.snapshot().in_flight, handle.snapshot().aborted),
        (0, 1)
    );
}

/// Servers do not poll a body that they do not send, nor one of which they have sent every byte.
#[tokio::test]
async fn an_answer_whose_body_is_rightly_not_read_is_no_abort() {
    let (layer, handle) = LatencyLayer::builder().build();
    let cases: [(Method, StatusCode, &str); 4] = [
        (Method::GET, StatusCode::NO_CONTENT, ""),
        (Method::GET, StatusCode::NOT_MODIFIED, "x"),
        (Method::HEAD, StatusCode::OK, "x"),
        (Method::GET, StatusCode::OK, ""),
    ];
    for (method, status, body) in cases {
        let app = layer.layer(service_fn(move |_: Request<()>| async move {
            let mut response = Response::new(Full::new(Bytes::from_static(body.as_bytes())));
            *response.status_mut() = status;
            Ok::<_, Infallible>(response)
        }));
        let mut asked = get("/");
        *asked.method_mut() = method;
        drop(app.oneshot(asked).await.unwrap());
    }
    // Every byte that `Content-Length` promised was read; the end was not asked for.
    let clock = Clock::manual();
    let app = layer.layer(service_fn(move |_: Request<()>| {
        let response = Response::builder()
            .header("content-length", "2")
            .body(slow(&clock, &[Ok("a"), Ok("b")]));
        std::future::ready(Ok::<_, Infallible>(response.unwrap()))
    }));
    let mut response = app.oneshot(get("/")).await.unwrap();
    response.body_mut().frame().await.unwrap().unwrap();
    response.body_mut().frame().await.unwrap().unwrap();
    drop(response);
    let snapshot = handle.snapshot();
    assert_eq!(
        (snapshot.requests, snapshot.aborted, snapshot.in_flight),
        (5, 0, 0),
        "{:?}",
        snapshot.series
    );
}

#[tokio::test]
async fn classes_and_methods_are_apart_and_invented_methods_together() {
    let (layer, handle) = LatencyLayer::builder().build();
    let app = layer.layer(service_fn(|request: Request<()>| async move {
        let status: u16 = request.uri().path()[1..].parse().unwrap();
        Ok::<_, Infallible>(
            Response::builder()
                .status(status)
                .body(Empty::<Bytes>::new())
                .unwrap(),
        )
    }));
    for (method, path) in [
        ("GET", "/200"),
        ("GET", "/204"),
        ("GET", "/404"),
        ("POST", "/503"),
        ("BREW", "/200"),
        ("MASH", "/200"),
    ] {
        let asked = Request::builder()
            .method(method)
            .uri(path)
            .body(())
            .unwrap();
        app.clone().oneshot(asked).await.unwrap();
    }
    let snapshot = handle.snapshot();
    let mut rows: Vec<_> = snapshot
        .series
        .iter()
        .map(|s| (s.method.as_str(), s.status_class, s.count))
        .collect();
    rows.sort_unstable();
    assert_eq!(
        rows,
        [
            ("GET", "2xx", 2),
            ("GET", "4xx", 1),
            ("OTHER", "2xx", 2),
            ("POST", "5xx", 1)
        ]
    );
    assert_eq!((snapshot.errors, snapshot.requests), (1, 6));
    assert!(
        snapshot
            .series
            .iter()
            .all(|series| series.route == "unmatched")
    );
}

#[tokio::test]
async fn series_are_bounded_and_what_is_over_is_counted_in_overflow() {
    let (layer, handle) = LatencyLayer::builder()
        .max_series(20)
        .route_label(|parts| Some(parts.uri.path().to_owned()))
        .build();
    let app = layer.layer(service_fn(|_: Request<()>| async {
        Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
    }));
    for n in 0..1_000 {
        app.clone().oneshot(get(&format!("/{n}"))).await.unwrap();
    }
    let snapshot = handle.snapshot();
    assert!(snapshot.series.len() <= 20, "{}", snapshot.series.len());
    let overflow = snapshot
        .series
        .iter()
        .find(|series| series.route == "overflow")
        .unwrap();
    assert_eq!(
        (overflow.method.as_str(), overflow.count),
        ("*", snapshot.dropped_series)
    );
    assert_eq!(snapshot.requests, 1_000, "nothing is lost");
    // A series that was admitted stays itself.
    app.oneshot(get("/0")).await.unwrap();
    let again = handle.snapshot();
    assert_eq!(
        again
            .series
            .iter()
            .find(|series| series.route == "/0")
            .unwrap()
            .count,
        2
    );
}

#[tokio::test]
async fn a_hundred_thousand_random_paths_leave_the_series_count_constant() {
    let (layer, handle) = LatencyLayer::builder().build();
    let app = layer.layer(service_fn(|_: Request<()>| async {
        Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
    }));
    let mut state = 7_u64;
    for _ in 0..100_000 {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        app.clone()
            .oneshot(get(&format!("/{state:x}")))
            .await
            .unwrap();
    }
    let snapshot = handle.snapshot();
    assert_eq!(
        (
            snapshot.series.len(),
            snapshot.requests,
            snapshot.dropped_series
        ),
        (1, 100_000, 0)
    );
}

#[tokio::test]
async fn two_apps_in_one_process_do_not_mix() {
    let ((one, first), (two, second)) = (
        LatencyLayer::builder().build(),
        LatencyLayer::builder().build(),
    );
    let service = || {
        service_fn(|_: Request<()>| async {
            Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
        })
    };
    one.layer(service()).oneshot(get("/")).await.unwrap();
    two.layer(service()).oneshot(get("/")).await.unwrap();
    two.layer(service()).oneshot(get("/")).await.unwrap();
    assert_eq!(
        (first.snapshot().requests, second.snapshot().requests),
        (1, 2)
    );
}

#[tokio::test]
async fn readiness_is_the_inner_services_own() {
    let (layer, _) = LatencyLayer::builder().build();
    let (mut app, mut handle) = tower_test::mock::spawn_with(
        move |mock: tower_test::mock::Mock<Request<()>, Response<Empty<Bytes>>>| layer.layer(mock),
    );
    handle.allow(0);
    assert!(app.poll_ready().is_pending());
    handle.allow(1);
    assert!(app.poll_ready().is_ready());
    handle.send_error("gone");
    assert!(matches!(app.poll_ready(), Poll::Ready(Err(_))));
}

#[tokio::test]
async fn a_snapshot_serialises() {
    let (_, handle) = LatencyLayer::builder().build();
    let json = serde_json::to_value(handle.snapshot()).unwrap();
    assert_eq!(json["requests"], 0);
    assert!(json["series"].as_array().unwrap().is_empty());
    assert_eq!(
        serde_json::to_value(handle.snapshot().total()).unwrap()["p99_ms"],
        0.0
    );
}
