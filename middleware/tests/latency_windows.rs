//! The latency layer over time: windows, hours, rates, exemplars, routes, settings, and columns of odd ends.

#![allow(clippy::unwrap_used)]

use std::{
    convert::Infallible,
    future::{Future, ready},
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Empty, Full};
use pitcrew::{
    LatencyHandle, LatencyLayer,
    clock::Clock,
    latency::{BuildError, MAX_EXEMPLARS, MAX_SERIES, MIN_SERIES, Objective, StatusClass, Window},
};
use tower::{Layer, ServiceExt, service_fn};
use tower_test::mock;

const MINUTE: Duration = Duration::from_secs(60);

fn built(clock: &Clock) -> (LatencyLayer, LatencyHandle) {
    LatencyLayer::builder()
        .clock(clock.clone())
        .route_label(|parts| Some(parts.uri.path().to_owned()))
        .build()
}

fn ask(clock: &Clock, layer: &LatencyLayer, request: Request<()>, took: Duration, status: u16) {
    let app = layer.layer(service_fn(|_: Request<()>| {
        clock.advance(took);
        let response = Response::builder().status(status);
        ready(Ok::<_, Infallible>(
            response.body(Empty::<Bytes>::new()).unwrap(),
        ))
    }));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(pin!(app.oneshot(request)).as_mut().poll(&mut cx).is_ready());
}

fn get(path: &str) -> Request<()> {
    Request::builder().uri(path).body(()).unwrap()
}

#[test]
fn an_idle_series_tells_of_now_and_not_of_the_last_look() {
    let clock = Clock::manual();
    let (layer, handle) = built(&clock);
    for _ in 0..30 {
        ask(&clock, &layer, get("/"), Duration::from_millis(20), 200);
    }
    assert_eq!(handle.snapshot().total_in(Window::OneMinute).count, 30);
    // Nobody looks meanwhile.
    for _ in 0..3 * 60 {
        clock.advance(MINUTE);
        handle.fold();
    }
    let snapshot = handle.snapshot();
    let counts = Window::ALL.map(|window| snapshot.series[0].figures(window).count);
    assert_eq!(counts, [0, 0, 0, 0, 30]);
    let since_start = snapshot.series[0].figures(Window::SinceStart);
    assert!(since_start.covered_s > 10_000.0, "{since_start:?}");
}

#[test]
fn what_a_request_declares_does_not_spoil_the_sum() {
    let clock = Clock::manual();
    let (layer, handle) = built(&clock);
    for _ in 0..3 {
        let request = Request::post("/")
            .header("content-length", i64::MAX)
            .body(())
            .unwrap();
        ask(&clock, &layer, request, MINUTE, 413);
    }
    let total = handle.snapshot().total_in(Window::SinceStart);
    assert_eq!(total.request_bytes, 3 * pitcrew::latency::MAX_REQUEST_BYTES);
}

#[test]
fn each_window_forgets_in_its_own_time() {
    let clock = Clock::manual();
    let (layer, handle) = built(&clock);
    for _ in 0..30 {
        ask(&clock, &layer, get("/"), Duration::from_millis(20), 200);
    }
    let counts = || {
        let snapshot = handle.snapshot();
        Window::ALL.map(|window| {
            let figures = snapshot.total_in(window);
            assert_eq!(snapshot.series[0].figures(window).count, figures.count);
            assert_eq!(snapshot.by_route(window)[0].figures.count, figures.count);
            figures.count
        })
    };
    assert_eq!(counts(), [30; 5]);
    for (wait, expected) in [
        (Duration::from_secs(61), [0, 30, 30, 30, 30]),
        (4 * MINUTE, [0, 0, 30, 30, 30]),
        (10 * MINUTE, [0, 0, 0, 30, 30]),
        (45 * MINUTE, [0, 0, 0, 0, 30]),
    ] {
        clock.advance(wait);
        assert_eq!(counts(), expected);
    }
    assert_eq!(handle.snapshot().total().max_ms, 20.0);
    assert_eq!(
        handle.snapshot().series[0].before(Window::OneHour).count(),
        30
    );
}

#[test]
fn figures_of_a_window_are_of_its_requests_alone() {
    let clock = Clock::manual();
    let (layer, handle) = built(&clock);
    ask(&clock, &layer, get("/"), Duration::from_secs(9), 200);
    handle.fold();
    clock.advance(2 * MINUTE);
    for _ in 0..10 {
        ask(&clock, &layer, get("/"), Duration::from_millis(100), 200);
    }
    let snapshot = handle.snapshot();
    let minute = snapshot.total_in(Window::OneMinute);
    assert_eq!(minute.count, 10);
    assert!(
        (minute.mean_ms - 100.0).abs() < 1e-9,
        "exact: {}",
        minute.mean_ms
    );
    assert!(
        (99.2..=100.8).contains(&minute.max_ms),
        "within 1/128: {}",
        minute.max_ms
    );
    assert!((99.2..=100.8).contains(&minute.p99_ms));
    assert!((minute.rate_per_s * minute.covered_s - 10.0).abs() < 1e-9);
    assert_eq!(
        (snapshot.total().max_ms, snapshot.total().min_ms),
        (9_000.0, 100.0)
    );
}

/// Requests of an hour ago must not count as of now because nobody folded in between.
#[test]
fn what_ended_long_before_a_fold_counts_when_it_ended() {
    let clock = Clock::manual();
    let (layer, handle) = built(&clock);
    ask(&clock, &layer, get("/"), Duration::from_millis(1), 200);
    clock.advance(10 * MINUTE);
    let snapshot = handle.snapshot();
    assert_eq!(snapshot.total_in(Window::FiveMinutes).count, 0);
    assert_eq!(snapshot.total_in(Window::FifteenMinutes).count, 1);
}

#[test]
fn a_day_of_hours_is_there_for_the_same_hour_of_yesterday() {
    let clock = Clock::manual();
    let (layer, handle) = built(&clock);
    for hour in 0..30_u32 {
        for _ in 0..=hour {
            ask(&clock, &layer, get("/"), Duration::from_millis(50), 200);
        }
        handle.fold();
        clock.advance(60 * MINUTE);
    }
    ask(&clock, &layer, get("/"), Duration::from_millis(50), 200);
    let snapshot = handle.snapshot();
    let hours = snapshot.series[0].hours();
    assert_eq!(hours.len(), 25);
    let now = clock.unix_ms() / 3_600_000;
    assert_eq!((hours[0].unix_hour, hours[24].unix_hour), (now - 24, now));
    // The 7th hour, counted from 0, had 7 requests.
    assert_eq!(hours[0].body_end.count(), 7);
    let median = hours[0].body_end.value_at_quantile(0.5).as_secs_f64();
    assert!((0.05..0.05 * 17.0 / 16.0).contains(&median), "{median}");
}

#[test]
fn a_step_of_the_wall_clock_that_is_taken_back_leaves_the_hours_as_they_were() {
    let clock = Clock::manual();
    let (layer, handle) = built(&clock);
    let hour = |count: usize| {
        for _ in 0..count {
            ask(&clock, &layer, get("/"), Duration::from_millis(50), 200);
        }
        handle.fold();
        clock.advance(60 * MINUTE);
    };
    hour(3);
    hour(4);
    let ten_years = 10 * 365 * 24 * 3_600_000;
    clock.step_wall(ten_years);
    ask(&clock, &layer, get("/"), Duration::from_millis(50), 200);
    handle.fold();
    clock.step_wall(-ten_years);
    hour(5);
    hour(6);
    let now = clock.unix_ms() / 3_600_000;
    let told: Vec<_> = handle.snapshot().series[0]
        .hours()
        .iter()
        .map(|hour| (now - hour.unix_hour, hour.body_end.count()))
        .collect();
    assert_eq!(told, [(4, 3), (3, 4), (2, 5), (1, 6)]);
}

/// A body that never brings anything, and does not end.
struct Waiting;

impl Body for Waiting {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> PolledFrame {
        Poll::Pending
    }
}

/// A body that brings one event a minute later, and then ends without having said so.
struct OneEvent(Option<Clock>);

impl Body for OneEvent {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> PolledFrame {
        let event = |clock: Clock| {
            clock.advance(MINUTE);
            Ok(Frame::data(Bytes::from_static(b"data: x\n\n")))
        };
        Poll::Ready(self.0.take().map(event))
    }
}

type PolledFrame = Poll<Option<Result<Frame<Bytes>, Infallible>>>;

/// Requests that count in an objective of 300 ms, and the slow ones among them: 200 whose head comes after `head`, and whose body is read, in vain,
/// for a minute.
fn judged(content_type: &str, head: Duration) -> (u64, u64) {
    let clock = Clock::manual();
    let objective = Objective::latency("*", Duration::from_millis(300), 0.99).unwrap();
    let (layer, handle) = LatencyLayer::builder()
        .clock(clock.clone())
        .objective(objective)
        .build();
    for _ in 0..200 {
        let app = layer.layer(service_fn(|_: Request<()>| {
            clock.advance(head);
            let response = Response::builder().header("content-type", content_type);
            ready(Ok::<_, Infallible>(response.body(Waiting).unwrap()))
        }));
        let mut cx = Context::from_waker(Waker::noop());
        let mut answer = pin!(app.oneshot(get("/")));
        let Poll::Ready(Ok(response)) = answer.as_mut().poll(&mut cx) else {
            panic!("the handler never waits");
        };
        assert!(
            pin!(response.into_body().frame())
                .poll(&mut cx)
                .is_pending()
        );
        clock.advance(MINUTE);
    }
    let report = handle.objectives().remove(0);
    assert_eq!(handle.snapshot().aborted, 200);
    (report.requests, report.bad)
}

#[test]
fn what_its_client_leaves_after_the_head_is_judged_by_its_first_byte() {
    let (soon, late) = (Duration::from_millis(20), Duration::from_secs(1));
    for content_type in ["text/event-stream", "application/octet-stream"] {
        assert_eq!(judged(content_type, soon), (200, 0), "{content_type}");
        assert_eq!(judged(content_type, late), (200, 200), "{content_type}");
    }
}

#[test]
fn an_event_stream_that_the_server_ends_is_judged_by_its_first_byte() {
    let bad = |content_type: &'static str| {
        let clock = Clock::manual();
        let objective = Objective::latency("*", Duration::from_millis(300), 0.99).unwrap();
        let (layer, handle) = LatencyLayer::builder()
            .clock(clock.clone())
            .objective(objective)
            .build();
        for _ in 0..200 {
            let app = layer.layer(service_fn(|_: Request<()>| {
                let body = OneEvent(Some(clock.clone()));
                let response = Response::builder().header("content-type", content_type);
                ready(Ok::<_, Infallible>(response.body(body).unwrap()))
            }));
            let mut cx = Context::from_waker(Waker::noop());
            let mut all = pin!(async { app.oneshot(get("/")).await.unwrap().collect().await });
            assert!(all.as_mut().poll(&mut cx).is_ready());
        }
        let snapshot = handle.snapshot();
        assert_eq!(snapshot.series.len(), 1, "one row, whatever judges it");
        assert_eq!(snapshot.series[0].figures(Window::SinceStart).count, 200);
        let text = handle.prometheus();
        let counts = text
            .lines()
            .filter(|line| line.starts_with("http_server_request_duration_seconds_count"));
        assert_eq!(counts.count(), 1, "{text}");
        let report = handle.objectives().remove(0);
        (report.requests, report.bad)
    };
    assert_eq!(bad("text/event-stream; charset=utf-8"), (200, 0));
    assert_eq!(bad("text/plain"), (200, 200));
}

#[test]
fn a_tunnel_ends_with_its_head() {
    let clock = Clock::manual();
    let (layer, handle) = built(&clock);
    for (status, class) in [(200, "2xx"), (502, "aborted")] {
        let app = layer.layer(service_fn(|_: Request<()>| {
            let response = Response::builder().status(status);
            ready(Ok::<_, Infallible>(response.body(Waiting).unwrap()))
        }));
        let request = Request::builder()
            .method("CONNECT")
            .uri("a:1")
            .body(())
            .unwrap();
        let mut cx = Context::from_waker(Waker::noop());
        assert!(pin!(app.oneshot(request)).as_mut().poll(&mut cx).is_ready());
        let snapshot = handle.snapshot();
        assert!(
            snapshot.series.iter().any(|row| row.status_class == class),
            "{status}"
        );
    }
}

#[test]
fn rates_are_smoothed_over_their_times() {
    let clock = Clock::manual();
    let (layer, handle) = built(&clock);
    for _ in 0..600 {
        for _ in 0..10 {
            ask(&clock, &layer, get("/"), Duration::from_millis(50), 200);
        }
        handle.fold();
    }
    // 20 a second for 5 minutes.
    let rates = handle.snapshot().series[0].rates;
    assert!((rates.one_second - 20.0).abs() < 0.01, "{rates:?}");
    assert!((rates.one_minute - 20.0).abs() < 0.2, "{rates:?}");
    assert!((rates.five_minutes - 20.0 * 0.632).abs() < 0.2, "{rates:?}");
    clock.advance(Duration::from_secs(5));
    let rates = handle.snapshot().series[0].rates;
    assert!(
        rates.one_second < 0.2 && rates.one_minute > 17.0,
        "{rates:?}"
    );
}

#[test]
fn the_slowest_requests_are_told_with_their_trace_and_nothing_else_of_theirs() {
    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    let clock = Clock::manual();
    let (layer, handle) = LatencyLayer::builder()
        .clock(clock.clone())
        .exemplars(3)
        .route_label(|parts| Some(parts.uri.path().to_owned()))
        .build();
    for ms in 1..=50 {
        let parent = format!("00-{TRACE}-00f067aa0ba902b7-01");
        let request = Request::builder()
            .method("POST")
            .uri("/pay?card=secret")
            .header("traceparent", parent)
            .header("authorization", "secret")
            .header("content-length", "17")
            .body(())
            .unwrap();
        ask(&clock, &layer, request, Duration::from_millis(ms), 503);
    }
    ask(&clock, &layer, get("/pay"), Duration::from_millis(99), 200);
    let snapshot = handle.snapshot();
    let slow = snapshot.exemplars("/pay", Window::OneMinute);
    let told: Vec<_> = slow
        .iter()
        .map(|one| {
            (
                one.took_ms,
                one.status_code,
                one.trace_id.as_deref(),
                one.request_bytes,
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            (99.0, Some(200), None, 0),
            (50.0, Some(503), Some(TRACE), 17),
            (49.0, Some(503), Some(TRACE), 17)
        ]
    );
    assert_eq!(slow[0].unix_ms, clock.unix_ms());
    assert!(!serde_json::to_string(slow).unwrap().contains("secret"));
    assert!(snapshot.exemplars("/other", Window::OneMinute).is_empty());
    clock.advance(2 * MINUTE);
    let snapshot = handle.snapshot();
    assert!(snapshot.exemplars("/pay", Window::OneMinute).is_empty());
    assert_eq!(snapshot.exemplars("/pay", Window::FiveMinutes).len(), 3);
}

#[test]
fn absurd_settings_are_named_or_brought_into_range() {
    let with = |series, exemplars| {
        LatencyLayer::builder()
            .max_series(series)
            .exemplars(exemplars)
    };
    let error = |series, exemplars| with(series, exemplars).try_build().unwrap_err();
    assert_eq!(error(0, 8), BuildError::MaxSeries(0));
    assert_eq!(error(usize::MAX, 8), BuildError::MaxSeries(usize::MAX));
    assert_eq!(error(512, 33), BuildError::Exemplars(33));
    assert_eq!(
        error(0, 8).to_string(),
        "max_series wants 8 to 65535, not 0"
    );
    assert!(with(MIN_SERIES, MAX_EXEMPLARS).try_build().is_ok());
    assert!(with(MAX_SERIES, 0).try_build().is_ok());
    let clock = Clock::manual();
    let (layer, handle) = with(0, usize::MAX).clock(clock.clone()).build();
    ask(&clock, &layer, get("/"), Duration::from_millis(1), 200);
    assert_eq!(handle.snapshot().series.len(), 1);
}

#[test]
fn a_hundred_thousand_random_labels_stay_within_the_bounds() {
    let clock = Clock::manual();
    let (layer, handle) = built(&clock);
    for n in 0..100_000_u32 {
        let status = [200, 404, 500][n as usize % 3];
        ask(
            &clock,
            &layer,
            get(&format!("/{n:x}")),
            Duration::from_micros(50),
            status,
        );
    }
    let snapshot = handle.snapshot();
    assert!(snapshot.series.len() <= 512, "{}", snapshot.series.len());
    assert_eq!(snapshot.requests, 100_000);
    let overflow: u64 = snapshot
        .series
        .iter()
        .filter(|row| row.route == "overflow")
        .map(|row| row.count)
        .sum();
    assert_eq!(overflow, snapshot.dropped_series);
    assert!(
        snapshot.memory_bytes < 32 << 20,
        "{}",
        snapshot.memory_bytes
    );
}

#[test]
fn bodies_are_sized_and_routes_tell_what_is_under_way() {
    let clock = Clock::manual();
    let (layer, handle) = built(&clock);
    let app = layer.layer(service_fn(|_: Request<()>| {
        ready(Ok::<_, Infallible>(Response::new(Full::new(
            Bytes::from_static(b"four"),
        ))))
    }));
    let request = Request::builder()
        .method("PUT")
        .uri("/up")
        .header("content-length", "11");
    let mut cx = Context::from_waker(Waker::noop());
    let mut answer = pin!(app.oneshot(request.body(()).unwrap()));
    let Poll::Ready(Ok(response)) = answer.as_mut().poll(&mut cx) else {
        panic!("the handler never waits");
    };
    let under_way = handle.snapshot().by_route(Window::SinceStart);
    let told: Vec<_> = under_way
        .iter()
        .map(|row| (row.route.as_str(), row.in_flight))
        .collect();
    assert_eq!(told, [("/up", 1), ("overflow", 0)]);
    clock.advance(Duration::from_millis(7));
    let mut body = pin!(response.into_body().collect());
    assert!(body.as_mut().poll(&mut cx).is_ready());
    let figures = handle.snapshot().series[0].figures(Window::SinceStart);
    assert_eq!((figures.request_bytes, figures.response_bytes), (11, 4));
    assert_eq!((figures.max_ms, figures.first_byte_mean_ms), (7.0, 0.0));
}

#[tokio::test]
async fn switched_protocols_end_at_the_head() {
    let (layer, handle) = built(&Clock::manual());
    let app = layer.layer(service_fn(|_: Request<()>| async {
        let response = Response::builder().status(StatusCode::SWITCHING_PROTOCOLS);
        Ok::<_, Infallible>(
            response
                .body(Full::new(Bytes::from_static(b"not HTTP")))
                .unwrap(),
        )
    }));
    let response = app.oneshot(get("/ws")).await.unwrap();
    let snapshot = handle.snapshot();
    assert_eq!(
        (snapshot.in_flight, snapshot.series[0].status_class),
        (0, "1xx")
    );
    drop(response);
    assert_eq!(
        (handle.snapshot().requests, handle.snapshot().aborted),
        (1, 0)
    );
}

#[tokio::test]
async fn server_timing_is_added_where_it_is_wanted_and_beside_the_apps_own() {
    let clock = Clock::manual();
    let served = |clock: Clock| {
        service_fn(move |_: Request<()>| {
            clock.advance(Duration::from_micros(12_345));
            let response = Response::builder().header("server-timing", "db;dur=3");
            ready(Ok::<_, Infallible>(
                response.body(Empty::<Bytes>::new()).unwrap(),
            ))
        })
    };
    let (layer, _handle) = LatencyLayer::builder()
        .clock(clock.clone())
        .server_timing(true)
        .build();
    let response = layer
        .layer(served(clock.clone()))
        .oneshot(get("/"))
        .await
        .unwrap();
    let told: Vec<_> = response.headers().get_all("server-timing").iter().collect();
    assert_eq!(told, ["db;dur=3", "total;dur=12.345"]);
    let (layer, _handle) = LatencyLayer::builder().clock(clock.clone()).build();
    let response = layer.layer(served(clock)).oneshot(get("/")).await.unwrap();
    assert_eq!(
        response.headers().get_all("server-timing").iter().count(),
        1
    );
}

type Mock = mock::Mock<Request<()>, Response<Full<Bytes>>>;

#[tokio::test]
async fn each_end_of_a_mocked_service_is_in_its_column() {
    let clock = Clock::manual();
    let (layer, handle) = built(&clock);
    let (mut app, mut inner) = mock::spawn_with(move |service: Mock| layer.layer(service));
    let begin = |app: &mut mock::Spawn<_>| {
        assert!(app.poll_ready().is_ready());
        tokio_test_task(app.call(get("/")))
    };
    // Cancelled.
    drop(begin(&mut app));
    let _ = inner.next_request().await.unwrap();
    // Failed.
    let failing = begin(&mut app);
    inner.next_request().await.unwrap().1.send_error("refused");
    assert_eq!(failing.await.unwrap_err().to_string(), "refused");
    // Answered, its body read.
    let answered = begin(&mut app);
    let (_, send) = inner.next_request().await.unwrap();
    send.send_response(Response::new(Full::new(Bytes::from_static(b"body"))));
    answered.await.unwrap().into_body().collect().await.unwrap();
    // Answered, its body dropped.
    let answered = begin(&mut app);
    let (_, send) = inner.next_request().await.unwrap();
    send.send_response(Response::new(Full::new(Bytes::from_static(b"body"))));
    drop(answered.await.unwrap());
    let snapshot = handle.snapshot();
    let mut rows: Vec<_> = snapshot
        .series
        .iter()
        .map(|row| (row.class(), row.count))
        .collect();
    rows.sort_unstable();
    assert_eq!(
        rows,
        [
            (StatusClass::Successful, 1),
            (StatusClass::Aborted, 2),
            (StatusClass::Error, 1)
        ]
    );
    assert_eq!(snapshot.in_flight, 0);
}

/// Boxed, so that it can be held and dropped.
fn tokio_test_task<F: Future>(future: F) -> std::pin::Pin<Box<F>> {
    Box::pin(future)
}
