//! The memory layer under its counting allocator.

#![allow(clippy::unwrap_used)]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    convert::Infallible,
    pin::Pin,
    sync::atomic::{AtomicUsize, Ordering},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Empty};
use pitcrew::{
    MemoryHandle, MemoryLayer,
    memory::{CountingAlloc, MemorySnapshot, RouteAllocation, counted},
    route::MAX_LABEL_BYTES,
};
use tower::{Layer, ServiceExt, service_fn};

/// Counts calls on its own, to see what the layer itself allocates.
struct Metered(CountingAlloc<System>);

/// The largest block since this was last set.
static LARGEST: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static CALLS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: hands everything on unchanged.
unsafe impl GlobalAlloc for Metered {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        CALLS.set(CALLS.get() + 1);
        LARGEST.fetch_max(layout.size(), Ordering::Relaxed);
        unsafe { self.0.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { self.0.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        CALLS.set(CALLS.get() + 1);
        unsafe { self.0.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Metered = Metered(CountingAlloc::new(System));

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
fn labels_that_a_client_makes_long_are_not_kept_and_are_counted() {
    let (layer, handle) = built();
    let app = layer.layer(service_fn(|_: Request<()>| {
        std::future::ready(Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new())))
    }));
    let mut cx = Context::from_waker(std::task::Waker::noop());
    let path = |n: usize, bytes: usize| format!("/{n:0>width$}", width = bytes - 1);
    for n in 0..600 {
        let mut answer = std::pin::pin!(app.clone().oneshot(request(&path(n, 60_000))));
        assert!(answer.as_mut().poll(&mut cx).is_ready());
    }
    for bytes in [MAX_LABEL_BYTES, MAX_LABEL_BYTES + 1] {
        let mut answer = std::pin::pin!(app.clone().oneshot(request(&path(0, bytes))));
        assert!(answer.as_mut().poll(&mut cx).is_ready());
    }
    let snapshot = handle.snapshot();
    assert_eq!(row(&snapshot, "overflow").requests, 601);
    assert_eq!(snapshot.dropped_routes, 601);
    assert_eq!(row(&snapshot, &path(0, MAX_LABEL_BYTES)).requests, 1);
    assert_eq!(snapshot.routes.len(), 2);
}

#[test]
fn the_allocator_is_asked_after_once_a_process() {
    let (_layer, handle) = built();
    LARGEST.store(0, Ordering::Relaxed);
    let _others: Vec<_> = (0..3).map(|_| built()).collect();
    let mut cx = Context::from_waker(std::task::Waker::noop());
    assert!(
        std::pin::pin!(handle.release())
            .as_mut()
            .poll(&mut cx)
            .is_ready()
    );
    let largest = LARGEST.load(Ordering::Relaxed);
    assert!(largest < 32 << 20, "a block of {largest} bytes was live");
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

fn empty() -> Result<Response<Empty<Bytes>>, Infallible> {
    Ok(Response::new(Empty::new()))
}

#[tokio::test]
async fn what_a_route_keeps_shows_as_net_bytes_and_what_it_drops_does_not() {
    let (layer, handle) = built();
    let app = layer.layer(service_fn(|request: Request<()>| async move {
        let held = vec![0_u8; 10_000];
        tokio::task::yield_now().await;
        if request.uri().path() == "/leaks" {
            Box::leak(held.into_boxed_slice());
        }
        empty()
    }));
    for path in ["/leaks", "/tidy"] {
        for _ in 0..50 {
            app.clone().oneshot(request(path)).await.unwrap();
        }
    }
    // The client goes away while the handler holds its memory: that drop counts too.
    for _ in 0..50 {
        let app = layer.layer(service_fn(|_: Request<()>| async {
            let held = vec![0_u8; 10_000];
            std::future::pending::<()>().await;
            drop(held);
            empty()
        }));
        let mut answer = Box::pin(app.oneshot(request("/gone")));
        let mut cx = Context::from_waker(std::task::Waker::noop());
        assert!(answer.as_mut().poll(&mut cx).is_pending());
    }
    let snapshot = handle.snapshot();
    assert_eq!(row(&snapshot, "/leaks").requests, 50);
    assert!(
        row(&snapshot, "/leaks").net_bytes >= 490_000,
        "{snapshot:?}"
    );
    for path in ["/tidy", "/gone"] {
        let row = row(&snapshot, path);
        assert!(
            row.net_bytes.abs() < 10_000 && row.bytes_allocated >= 500_000,
            "{row:?}"
        );
    }
}

#[tokio::test]
async fn the_median_and_the_99th_percentile_are_those_of_the_requests() {
    let (layer, handle) = built();
    let app = layer.layer(service_fn(|_: Request<()>| async {
        thread_local!(static TURN: Cell<usize> = const { Cell::new(0) });
        TURN.set(TURN.get() + 1);
        // One in fifty is heavy.
        allocate(if TURN.get().is_multiple_of(50) {
            1_000_000
        } else {
            1_000
        });
        empty()
    }));
    for _ in 0..500 {
        app.clone().oneshot(request("/")).await.unwrap();
    }
    let snapshot = handle.snapshot();
    let row = row(&snapshot, "/");
    assert!((938..=1_063).contains(&row.bytes_p50), "{row:?}");
    assert!((937_000..=1_063_000).contains(&row.bytes_p99), "{row:?}");
    assert_eq!((row.allocations_p50, row.allocations_p99), (1, 1));
}

#[tokio::test]
async fn layers_within_one_another_each_count_and_one_layer_twice_counts_once() {
    let ((outer, outside), (inner, inside)) = (built(), built());
    let handler = service_fn(|_: Request<()>| async {
        allocate(10_000);
        empty()
    });
    let app = outer.layer(inner.layer(inner.layer(handler)));
    for _ in 0..10 {
        app.clone().oneshot(request("/")).await.unwrap();
    }
    for handle in [outside, inside] {
        let snapshot = handle.snapshot();
        let row = row(&snapshot, "/");
        assert_eq!(row.requests, 10);
        assert!((100_000..105_000).contains(&row.bytes_allocated), "{row:?}");
    }
}

#[tokio::test]
async fn spawned_work_that_is_wrapped_counts_for_the_route_that_made_it() {
    let ((outer, outside), (inner, inside)) = (built(), built());
    let handler = service_fn(|request: Request<()>| async move {
        let work = async {
            allocate(50_000);
            tokio::task::yield_now().await;
            let held = vec![1_u8; 20_000];
            tokio::task::yield_now().await;
            drop(held);
        };
        match request.uri().path() {
            "/wrapped" => drop(tokio::spawn(counted(work)).await),
            "/bare" => drop(tokio::spawn(work).await),
            // On this very task: not twice.
            _ => counted(work).await,
        }
        empty()
    });
    let app = outer.layer(inner.layer(handler));
    for path in ["/wrapped", "/bare", "/inline"] {
        for _ in 0..5 {
            app.clone().oneshot(request(path)).await.unwrap();
        }
    }
    for handle in [outside, inside] {
        let snapshot = handle.snapshot();
        for (path, range) in [
            ("/wrapped", 350_000..370_000),
            ("/bare", 0..20_000),
            ("/inline", 350_000..370_000),
        ] {
            let row = row(&snapshot, path);
            assert!(range.contains(&row.bytes_allocated), "{row:?}");
            assert!(row.net_bytes.abs() < 20_000, "{row:?}");
        }
    }
    // Outside of a request it changes nothing.
    assert_eq!(counted(async { 7 }).await, 7);
}

#[tokio::test]
async fn wrapped_work_that_is_dropped_half_way_is_freed_on_its_routes_account() {
    let (layer, handle) = built();
    let app = layer.layer(service_fn(|_: Request<()>| async {
        let task = tokio::spawn(counted(async {
            let held = vec![1_u8; 100_000];
            std::future::pending::<()>().await;
            drop(held);
        }));
        tokio::task::yield_now().await;
        task.abort();
        drop(task.await);
        empty()
    }));
    app.oneshot(request("/")).await.unwrap();
    let snapshot = handle.snapshot();
    let row = row(&snapshot, "/");
    assert!(
        row.bytes_allocated >= 100_000 && row.net_bytes < 20_000,
        "{row:?}"
    );
}

#[tokio::test]
async fn a_panic_closes_the_account_and_leaves_nobody_charged_for_others() {
    let (layer, handle) = built();
    let app = layer.layer(service_fn(|request: Request<()>| async move {
        allocate(30_000);
        assert!(request.uri().path() != "/panics", "of the handler");
        empty()
    }));
    let panicked = tokio::spawn(app.clone().oneshot(request("/panics"))).await;
    assert!(panicked.is_err());
    allocate(1_000_000);
    app.oneshot(request("/fine")).await.unwrap();
    let snapshot = handle.snapshot();
    assert_eq!(row(&snapshot, "/panics").requests, 1);
    assert!(row(&snapshot, "/panics").bytes_allocated >= 30_000);
    assert!((30_000..35_000).contains(&row(&snapshot, "/fine").bytes_allocated));
}

#[tokio::test]
async fn after_warm_up_the_layer_allocates_nothing_of_its_own() {
    // No closure for labels: it would allocate them.
    let (layer, _handle) = MemoryLayer::builder().build();
    let mut cx = Context::from_waker(std::task::Waker::noop());
    let handler = service_fn(|_: Request<()>| std::future::ready(empty()));
    let mut calls = |count: usize| {
        let mut app = layer.layer(handler);
        let before = CALLS.get();
        for _ in 0..count {
            let mut request = Request::new(());
            *request.method_mut() = http::Method::POST;
            let answer = std::pin::pin!(tower::Service::call(&mut app, request));
            let Poll::Ready(Ok(answer)) = answer.poll(&mut cx) else {
                panic!("the handler does not wait")
            };
            let body = std::pin::pin!(answer.into_body());
            assert!(matches!(body.poll_frame(&mut cx), Poll::Ready(None)));
        }
        CALLS.get() - before
    };
    assert!(calls(1) > 0, "the first makes its tally");
    assert_eq!(calls(1_000), 0);
}

#[tokio::test]
async fn bodies_that_are_handed_over_are_told_apart_from_what_is_kept() {
    let (layer, handle) = built();
    let app = layer.layer(service_fn(|_: Request<()>| async {
        Ok::<_, Infallible>(Response::new(http_body_util::Full::new(Bytes::from(
            vec![1_u8; 5_000],
        ))))
    }));
    for _ in 0..20 {
        let answer = app.clone().oneshot(request("/")).await.unwrap();
        assert_eq!(
            answer.into_body().collect().await.unwrap().to_bytes().len(),
            5_000
        );
    }
    let snapshot = handle.snapshot();
    let row = row(&snapshot, "/");
    assert_eq!(row.handed_out_bytes, 100_000);
    assert!((row.net_bytes - 100_000).abs() < 10_000, "{row:?}");
}

#[test]
fn a_setting_out_of_its_range_is_refused_by_name_and_build_takes_the_nearest() {
    let builder = MemoryLayer::builder;
    for (built, wanted) in [
        (
            builder().interval(Duration::ZERO),
            "interval wants 10ms to 60s, not 0ns",
        ),
        (
            builder().interval(Duration::from_secs(61)),
            "interval wants 10ms to 60s, not 61s",
        ),
        (
            builder().max_routes(0),
            "max_routes wants 2 to 65536, not 0",
        ),
        (
            builder().max_routes(65_537),
            "max_routes wants 2 to 65536, not 65537",
        ),
        (
            builder().release_above(0),
            "release_above wants 1048576 bytes at least, not 0",
        ),
        (
            builder().release_pause(Duration::ZERO),
            "release_pause wants 1s to 86400s, not 0ns",
        ),
        (
            builder().release_pause(Duration::from_secs(86_401)),
            "release_pause wants 1s to 86400s, not 86401s",
        ),
    ] {
        let error = built.try_build().map(|_| ()).unwrap_err();
        assert_eq!(error.to_string(), wanted);
    }
    // The ends themselves.
    let least = || {
        builder()
            .interval(Duration::from_millis(10))
            .max_routes(2)
            .release_above(1 << 20)
            .release_pause(Duration::from_secs(1))
    };
    assert!(least().try_build().is_ok());
    let most = least()
        .interval(Duration::from_secs(60))
        .max_routes(65_536)
        .release_pause(Duration::from_secs(86_400));
    assert!(most.try_build().is_ok());
    let absurd = builder().interval(Duration::MAX).max_routes(0);
    let absurd = absurd.release_above(0).release_pause(Duration::MAX);
    drop(absurd.build());
}
