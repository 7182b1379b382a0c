//! The memory layer under its counting allocator.

#![allow(clippy::unwrap_used)]

use std::{
    alloc::System,
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Empty};
use pitcrew::{
    MemoryHandle, MemoryLayer,
    memory::{CountingAlloc, MemorySnapshot, RouteAllocation},
};
use tower::{Layer, ServiceExt, service_fn};

#[global_allocator]
static ALLOCATOR: CountingAlloc<System> = CountingAlloc::new(System);

fn request(path: &str) -> Request<()> {
    Request::builder().uri(path).body(()).unwrap()
}

fn built() -> (MemoryLayer, MemoryHandle) {
    MemoryLayer::builder()
        .route_label(|parts| Some(parts.uri.path().to_owned()))
        .build()
}

fn row<'a>(snapshot: &'a MemorySnapshot, route: &str) -> &'a RouteAllocation {
    snapshot
        .routes
        .iter()
        .find(|row| row.route == route)
        .unwrap_or_else(|| panic!("no {route}: {:?}", snapshot.routes))
}

fn allocate(bytes: usize) {
    drop(std::hint::black_box(Vec::<u8>::with_capacity(bytes)));
}

/// Allocates at every poll.
struct Hungry(usize);

impl Body for Hungry {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        allocate(50_000);
        if self.0 == 0 {
            return Poll::Ready(None);
        }
        self.0 -= 1;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"x")))))
    }
}

#[tokio::test]
async fn bytes_of_handler_and_body_are_charged_to_the_route() {
    let (layer, handle) = built();
    let app = layer.layer(service_fn(|request: Request<()>| async move {
        if request.uri().path() == "/heavy" {
            allocate(1_000_000);
            tokio::task::yield_now().await;
            allocate(1_000_000);
        }
        Ok::<_, Infallible>(Response::new(Hungry(1)))
    }));
    for _ in 0..3 {
        app.clone()
            .oneshot(request("/heavy"))
            .await
            .unwrap()
            .into_body()
            .collect()
            .await
            .unwrap();
    }
    app.oneshot(request("/light"))
        .await
        .unwrap()
        .into_body()
        .collect()
        .await
        .unwrap();
    let snapshot = handle.snapshot();
    assert!(snapshot.counting);
    let (heavy, light) = (row(&snapshot, "/heavy"), row(&snapshot, "/light"));
    assert_eq!((heavy.requests, light.requests), (3, 1));
    // Two megabytes a request and two polls of the body; our own bookkeeping is far below the rest.
    for (row, wanted) in [(heavy, 2_100_000.0), (light, 100_000.0)] {
        assert!(
            row.bytes_per_request >= wanted && row.bytes_per_request < wanted + 10_000.0,
            "{row:?}"
        );
    }
    assert!(heavy.allocations >= 12 && heavy.bytes_allocated >= 6_300_000);
    assert_eq!(snapshot.routes[0].route, "/heavy", "the largest first");
}

#[tokio::test]
async fn concurrent_requests_on_one_thread_are_charged_each_for_its_own() {
    let (layer, handle) = built();
    let app = layer.layer(service_fn(|request: Request<()>| async move {
        let bytes = request.uri().path()[1..].parse().unwrap();
        for _ in 0..10 {
            allocate(bytes);
            tokio::task::yield_now().await;
        }
        Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
    }));
    let sizes = ["/1000", "/50000", "/300000"];
    let tasks: Vec<_> = sizes
        .map(|path| tokio::spawn(app.clone().oneshot(request(path))))
        .into_iter()
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    let snapshot = handle.snapshot();
    for path in sizes {
        let wanted = path[1..].parse::<u64>().unwrap() * 10;
        let seen = row(&snapshot, path).bytes_allocated;
        assert!((wanted..wanted + 10_000).contains(&seen), "{path}: {seen}");
    }
}

#[tokio::test]
async fn a_dropped_request_closes_its_account() {
    let (layer, handle) = built();
    let app = layer.layer(service_fn(|_: Request<()>| async {
        allocate(100_000);
        std::future::pending::<()>().await;
        Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
    }));
    drop(tokio::time::timeout(Duration::from_millis(1), app.oneshot(request("/"))).await);
    let snapshot = handle.snapshot();
    assert_eq!(row(&snapshot, "/").requests, 1);
    assert!(row(&snapshot, "/").bytes_allocated >= 100_000);
}

#[tokio::test]
async fn routes_are_bounded_and_what_is_over_is_counted_in_overflow() {
    let (layer, handle) = MemoryLayer::builder()
        .max_routes(10)
        .route_label(|parts| Some(parts.uri.path().to_owned()))
        .build();
    let app = layer.layer(service_fn(|_: Request<()>| async {
        Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
    }));
    for n in 0..100 {
        app.clone()
            .oneshot(request(&format!("/{n}")))
            .await
            .unwrap();
    }
    let snapshot = handle.snapshot();
    assert_eq!(snapshot.routes.len(), 10);
    assert_eq!(row(&snapshot, "overflow").requests, snapshot.dropped_routes);
    assert_eq!(
        snapshot.routes.iter().map(|row| row.requests).sum::<u64>(),
        100
    );
}

#[test]
fn threads_that_end_lose_no_account() {
    let (layer, handle) = built();
    for _ in 0..4 {
        let layer = layer.clone();
        std::thread::spawn(move || {
            let mut cx = Context::from_waker(std::task::Waker::noop());
            let app = layer.layer(service_fn(|_: Request<()>| {
                allocate(10_000);
                std::future::ready(Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new())))
            }));
            let mut answer = std::pin::pin!(app.oneshot(request("/")));
            assert!(answer.as_mut().poll(&mut cx).is_ready());
        })
        .join()
        .unwrap();
    }
    let snapshot = handle.snapshot();
    assert_eq!(row(&snapshot, "/").requests, 4);
    assert!(row(&snapshot, "/").bytes_allocated >= 40_000);
}

#[tokio::test]
async fn two_apps_in_one_process_do_not_mix() {
    let ((one, first), (two, second)) = (built(), built());
    let service = || {
        service_fn(|_: Request<()>| async {
            Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
        })
    };
    one.layer(service()).oneshot(request("/one")).await.unwrap();
    two.layer(service()).oneshot(request("/two")).await.unwrap();
    assert_eq!(first.snapshot().routes.len(), 1);
    assert_eq!(
        (
            first.snapshot().routes[0].route.as_str(),
            second.snapshot().routes[0].route.as_str()
        ),
        ("/one", "/two")
    );
}

#[tokio::test]
async fn figures_follow_the_process_and_stop_with_the_sampler() {
    let (layer, handle) = MemoryLayer::builder()
        .interval(Duration::from_millis(10))
        .route_label(|parts| Some(parts.uri.path().to_owned()))
        .build();
    let before = handle.snapshot();
    assert_eq!(
        before.trend.len(),
        1,
        "nothing samples before the first request"
    );
    // Touched, so that it is resident and not only reserved.
    let held = std::hint::black_box(vec![1_u8; 256 << 20]);
    let app = layer.layer(service_fn(|_: Request<()>| async {
        Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
    }));
    app.oneshot(request("/once")).await.unwrap();
    let grown = loop {
        let snapshot = handle.snapshot();
        if snapshot.trend.len() > 3 {
            break snapshot;
        }
        tokio::task::yield_now().await;
    };
    let more = grown.process.rss_bytes - before.process.rss_bytes;
    assert!(more > 200 << 20, "{more}");
    drop(held);
    handle.shutdown(Duration::from_secs(10)).await;
    let stopped = handle.snapshot();
    assert!(
        grown.process.rss_bytes - stopped.process.rss_bytes > 200 << 20,
        "{stopped:?}"
    );
    assert_eq!(stopped.routes[0].requests, 1, "no request, no account");
}
