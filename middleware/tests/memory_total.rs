//! Totals of the whole process, by the counting allocator: the tests go one after the other.

#![allow(clippy::unwrap_used)]
#![allow(
    clippy::await_holding_lock,
    reason = "each test has a runtime of its own"
)]

use std::{
    alloc::System,
    cell::RefCell,
    convert::Infallible,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Empty;
use pitcrew::{
    MemoryHandle, MemoryLayer,
    memory::{CountingAlloc, MemorySnapshot},
};
use tower::{Layer, ServiceExt, service_fn};

#[global_allocator]
static ALLOCATOR: CountingAlloc<System> = CountingAlloc::new(System);

fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn request(path: &str) -> Request<()> {
    Request::builder().uri(path).body(()).unwrap()
}

fn built() -> (MemoryLayer, MemoryHandle) {
    MemoryLayer::builder()
        .route_label(|parts| Some(parts.uri.path().to_owned()))
        .build()
}

#[tokio::test]
async fn figures_follow_the_process_and_stop_with_the_sampler() {
    let _alone = alone();
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
    let rss = |snapshot: &MemorySnapshot| snapshot.process.rss_bytes.unwrap();
    let more = rss(&grown) - rss(&before);
    assert!(more > 200 << 20, "{more}");
    let live = |snapshot: &MemorySnapshot| snapshot.allocator.live_bytes.unwrap();
    assert_eq!(grown.allocator.live_source, "counting");
    assert!(live(&grown) - live(&before) > 255 << 20, "{grown:?}");
    drop(held);
    handle.shutdown(Duration::from_secs(10)).await;
    let stopped = handle.snapshot();
    assert!(
        rss(&grown) - rss(&stopped) > 200 << 20 && live(&grown) - live(&stopped) > 255 << 20,
        "{stopped:?}"
    );
    assert_eq!(stopped.routes[0].requests, 1, "no request, no account");
}

/// Allocates in its destructor, while the thread's locals go away.
struct Late(RefCell<Vec<u8>>);

impl Drop for Late {
    fn drop(&mut self) {
        for n in 0..100 {
            self.0.borrow_mut().extend(std::iter::repeat_n(1, n * 10));
            drop(std::hint::black_box(vec![1_u8; 300_000]));
        }
    }
}

#[test]
fn threads_that_die_while_they_allocate_leave_the_total_right() {
    let _alone = alone();
    thread_local!(static LATE: Late = const { Late(RefCell::new(Vec::new())) });
    let (_layer, handle) = built();
    let live = || handle.snapshot().allocator.live_bytes.unwrap();
    let round = || {
        for _ in 0..50 {
            let made = std::thread::spawn(|| {
                LATE.with(|late| late.0.borrow_mut().push(1));
                // Made there, freed here: without a flush at the thread's end the total would drift.
                (0..20).map(|_| vec![1_u8; 2_000]).collect::<Vec<_>>()
            });
            drop(made.join().unwrap());
        }
    };
    round();
    let before = live();
    (0..10).for_each(|_| round());
    let after = live();
    // 500 threads handed over 40 kB each, and freed more than that after their flush.
    assert!(before.abs_diff(after) < 4 << 20, "{before} {after}");
}

#[test]
fn an_allocation_that_fails_is_not_counted() {
    let _alone = alone();
    let (_layer, handle) = built();
    let live = || handle.snapshot().allocator.live_bytes.unwrap();
    let before = live();
    for _ in 0..10 {
        assert!(
            Vec::<u8>::new()
                .try_reserve_exact(isize::MAX as usize)
                .is_err()
        );
        let mut held = vec![0_u8; 1_000];
        assert!(held.try_reserve_exact(isize::MAX as usize - 1_000).is_err());
    }
    let after = live();
    assert!(before.abs_diff(after) < 64 << 20, "{before} {after}");
}

#[test]
fn blocks_that_grow_and_shrink_are_counted_as_what_they_became() {
    let _alone = alone();
    let (_layer, handle) = built();
    let live = || handle.snapshot().allocator.live_bytes.unwrap();
    let before = live();
    let mut held: Vec<u8> = Vec::new();
    for size in [64_usize << 20, 128 << 20, 96 << 20] {
        held.reserve_exact(size.saturating_sub(held.len()));
        held.resize(size, 1);
        held.shrink_to_fit();
        let more = live() - before;
        let size = size as u64;
        assert!(more.abs_diff(size) < 8 << 20, "{more} for {size}");
    }
    drop(held);
    assert!(live().abs_diff(before) < 8 << 20);
}
