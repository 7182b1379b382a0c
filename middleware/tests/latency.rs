//! The latency layer: every way a request can end, percentiles against a sorted copy, bounded series.

#![allow(clippy::unwrap_used)]

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Empty, Full};
use pitcrew::{
    LatencyHandle, LatencyLayer,
    clock::Clock,
    latency::{LatencySnapshot, SeriesSnapshot},
};
use tower::{Layer, ServiceExt, service_fn};

fn request(path: &str) -> Request<()> {
    Request::builder().uri(path).body(()).unwrap()
}

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

fn built(clock: &Clock) -> (LatencyLayer, LatencyHandle) {
    LatencyLayer::builder()
        .clock(clock.clone())
        .route_label(|parts| Some(parts.uri.path().to_owned()))
        .build()
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
    let response = app.oneshot(request("/a")).await.unwrap();
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
    let mut response = app.oneshot(request("/")).await.unwrap();
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
    drop(tokio::time::timeout(Duration::from_millis(1), app.oneshot(request("/"))).await);
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
    assert_eq!(failing.oneshot(request("/")).await.unwrap_err(), "refused");
    let time = clock.clone();
    let breaking = layer.layer(service_fn(move |_: Request<()>| {
        std::future::ready(Ok::<_, Infallible>(Response::new(slow(
            &time,
            &[Ok("a"), Err("cut")],
        ))))
    }));
    let response = breaking.oneshot(request("/")).await.unwrap();
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
        tokio::spawn(app.oneshot(request("/")))
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
        let mut asked = request("/");
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
    let mut response = app.oneshot(request("/")).await.unwrap();
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
        app.clone()
            .oneshot(request(&format!("/{n}")))
            .await
            .unwrap();
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
    app.oneshot(request("/0")).await.unwrap();
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
            .oneshot(request(&format!("/{state:x}")))
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

/// One request for each sample, which takes exactly that long.
fn timed(clock: &Clock, layer: &LatencyLayer, samples: &[Duration]) {
    let mut cx = Context::from_waker(std::task::Waker::noop());
    for sample in samples {
        let app = layer.layer(service_fn(|_: Request<()>| {
            clock.advance(*sample);
            std::future::ready(Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new())))
        }));
        assert!(
            std::pin::pin!(app.oneshot(request("/")))
                .as_mut()
                .poll(&mut cx)
                .is_ready()
        );
    }
}

#[test]
fn percentiles_agree_with_a_sorted_copy_within_one_percent() {
    let mut state = 1_u64;
    let mut uniform = move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1_u64 << 53) as f64
    };
    let mut distributions: Vec<Vec<f64>> = vec![vec![]; 10];
    for _ in 0..5_000 {
        let (u, v) = (uniform().max(1e-12), uniform());
        distributions[0].push(1e6);
        distributions[1].push(u * 1e9);
        distributions[2].push(-u.ln() * 5e6);
        distributions[3].push(1e5 / u);
        distributions[4].push(if v < 0.5 { 1e6 } else { 9e8 });
        distributions[5].push(
            (1.0 + (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos() * 0.1).max(0.01)
                * 2e7,
        );
        distributions[6].push(2e3 + u * 1e4);
        distributions[7].push(u * 5e10);
        distributions[8].push((u * 20.0).floor() * 1e7 + 1e6);
        distributions[9].push(if v < 0.99 { 3e5 + u * 1e5 } else { 5e9 * u });
    }
    for (number, distribution) in distributions.iter().enumerate() {
        let clock = Clock::manual();
        let (layer, handle) = LatencyLayer::builder().clock(clock.clone()).build();
        let mut sorted: Vec<u64> = distribution
            .iter()
            .map(|nanos| (*nanos as u64).min(59_000_000_000))
            .collect();
        timed(
            &clock,
            &layer,
            &sorted
                .iter()
                .map(|nanos| Duration::from_nanos(*nanos))
                .collect::<Vec<_>>(),
        );
        sorted.sort_unstable();
        let snapshot = handle.snapshot();
        let series = snapshot
            .series
            .iter()
            .find(|series| series.status_class == "2xx")
            .unwrap();
        assert_eq!(series.count as usize, sorted.len());
        for (quantile, seen) in [
            (0.5, series.p50_ms),
            (0.9, series.p90_ms),
            (0.95, series.p95_ms),
            (0.99, series.p99_ms),
        ] {
            let rank = ((sorted.len() as f64 * quantile).ceil() as usize).max(1) - 1;
            let truth = sorted[rank] as f64 / 1e6;
            // 1 % of the value, and the unit of 100 ns.
            assert!(
                (seen - truth).abs() <= truth * 0.01 + 1e-4,
                "distribution {number}, {quantile}: {seen} for {truth}"
            );
        }
        let mean = sorted.iter().sum::<u64>() as f64 / sorted.len() as f64 / 1e6;
        assert!((series.mean_ms - mean).abs() < 1e-6);
        assert_eq!(series.min_ms, sorted[0] as f64 / 1e6);
        assert_eq!(series.max_ms, sorted[sorted.len() - 1] as f64 / 1e6);
    }
}

#[tokio::test]
async fn the_total_merges_histograms_and_not_percentiles() {
    let clock = Clock::manual();
    let (layer, handle) = built(&clock);
    for (path, count, took) in [("/fast", 99, 1), ("/slow", 1, 1_000)] {
        for _ in 0..count {
            let time = clock.clone();
            let app = layer.layer(service_fn(move |_: Request<()>| {
                time.advance(Duration::from_millis(took));
                std::future::ready(Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new())))
            }));
            app.oneshot(request(path)).await.unwrap();
        }
    }
    let total = handle.snapshot().total();
    assert_eq!(
        (total.count, total.min_ms, total.max_ms),
        (100, 1.0, 1_000.0)
    );
    assert!((total.p99_ms - 1.0).abs() < 0.011, "{}", total.p99_ms);
    assert!((total.mean_ms - 10.99).abs() < 1e-9);
}

#[test]
fn a_rate_is_of_the_last_minute() {
    let clock = Clock::manual();
    let (layer, handle) = LatencyLayer::builder().clock(clock.clone()).build();
    timed(&clock, &layer, &vec![Duration::from_millis(100); 600]);
    let snapshot = handle.snapshot();
    // 600 requests in 60 s.
    assert!(
        (snapshot.rate_per_s - 10.0).abs() < 0.5,
        "{}",
        snapshot.rate_per_s
    );
    clock.advance(Duration::from_secs(61));
    assert_eq!(handle.snapshot().rate_per_s, 0.0);
    assert!(handle.snapshot().uptime_s > 120.0);
}

#[test]
fn figures_stop_when_requests_stop() {
    let clock = Clock::manual();
    let (layer, handle) = built(&clock);
    let counts = || {
        handle
            .snapshot()
            .series
            .iter()
            .map(|series| series.count)
            .sum::<u64>()
    };
    assert_eq!(counts(), 0, "before the first request there is nothing");
    timed(&clock, &layer, &[Duration::from_millis(5); 10]);
    let (count, mean) = (counts(), handle.snapshot().total().mean_ms);
    assert_eq!(count, 10);
    clock.advance(Duration::from_secs(3_600));
    assert_eq!((counts(), handle.snapshot().total().mean_ms), (count, mean));
    assert_eq!(handle.snapshot().rate_per_s, 0.0);
    timed(&clock, &layer, &[Duration::from_millis(5)]);
    assert_eq!(counts(), count + 1);
}

#[test]
fn many_threads_record_while_it_is_read_and_nothing_is_lost() {
    let (layer, handle) = LatencyLayer::builder().build();
    let layer = Arc::new(layer);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            let layer = layer.clone();
            scope.spawn(move || {
                let mut cx = Context::from_waker(std::task::Waker::noop());
                let app = layer.layer(service_fn(|_: Request<()>| {
                    std::future::ready(Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new())))
                }));
                for _ in 0..2_000 {
                    let mut answer = std::pin::pin!(app.clone().oneshot(request("/")));
                    assert!(answer.as_mut().poll(&mut cx).is_ready());
                }
            });
        }
        for _ in 0..100 {
            let snapshot = handle.snapshot();
            assert_eq!(
                snapshot.requests,
                snapshot
                    .series
                    .iter()
                    .map(|series| series.count)
                    .sum::<u64>()
            );
        }
    });
    assert_eq!(
        (handle.snapshot().requests, handle.snapshot().in_flight),
        (16_000, 0)
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
    one.layer(service()).oneshot(request("/")).await.unwrap();
    two.layer(service()).oneshot(request("/")).await.unwrap();
    two.layer(service()).oneshot(request("/")).await.unwrap();
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
