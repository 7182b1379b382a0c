//! How a request ends where it is not simply answered: streams, tunnels, switched protocols, and each end of a mocked service.

#![allow(clippy::unwrap_used)]

#[path = "support/latency.rs"]
mod latency;

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
use latency::{MINUTE, built, get};
use pitcrew::{
    LatencyLayer,
    clock::Clock,
    latency::{Objective, StatusClass, Window},
};
use tower::{Layer, ServiceExt, service_fn};
use tower_test::mock;

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
