//! The bound of the latency layer's memory, measured by the counting allocator and not by the layer's own account.

#![allow(clippy::unwrap_used)]

use std::{
    alloc::System,
    convert::Infallible,
    future::ready,
    pin::pin,
    sync::{Barrier, Mutex, PoisonError},
    task::{Context, Waker},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Empty;
use pitcrew::{
    LatencyLayer, MemoryLayer,
    clock::Clock,
    latency::{LEDGER_BYTES, LatencySnapshot, RECORDER_BYTES},
    memory::CountingAlloc,
};
use tower::{Layer, ServiceExt, service_fn};

#[global_allocator]
static ALLOCATOR: CountingAlloc<System> = CountingAlloc::new(System);

/// One at a time: the allocator counts for the whole process.
static ALONE: Mutex<()> = Mutex::new(());

/// Bytes that the process has allocated and not freed.
fn live_bytes() -> i64 {
    let (_layer, handle) = MemoryLayer::builder().build();
    handle.snapshot().allocator.live_bytes.unwrap() as i64
}

/// One request whose handler lets `took` pass. The threads share the clock, so they take turns.
fn ask(layer: &LatencyLayer, clock: &Clock, route: &str, took: Duration) {
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap();
    let service = service_fn(|_: Request<()>| {
        clock.advance(took);
        ready(Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new())))
    });
    let request = Request::builder().header("route", route).body(()).unwrap();
    let mut cx = Context::from_waker(Waker::noop());
    let mut answer = pin!(layer.layer(service).oneshot(request));
    assert!(answer.as_mut().poll(&mut cx).is_ready());
}

fn route(number: usize, bytes: usize) -> String {
    format!("/{number:0>bytes$}", bytes = bytes - 1)
}

/// Times of which each falls in another bucket: 1/128 apart.
fn times(count: i32) -> impl Iterator<Item = Duration> {
    (0..count).map(|number| Duration::from_micros(1).mul_f64(1.008_f64.powi(number)))
}

/// `threads` run `act` and stay; then a fold. Asserts that what is on the heap by then is within the bound, and that the layer's own account tells it.
fn within_bound(
    threads: usize,
    exemplars: usize,
    act: impl Fn(&LatencyLayer, &Clock) + Sync,
) -> LatencySnapshot {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let clock = Clock::manual();
    live_bytes();
    let before = live_bytes();
    let (layer, handle) = LatencyLayer::builder()
        .clock(clock.clone())
        .exemplars(exemplars)
        .route_label(|parts| Some(parts.headers["route"].to_str().ok()?.to_owned()))
        .build();
    // What a thread keeps to find routes by goes with it, so all of them are there while it is measured.
    let met = Barrier::new(threads + 1);
    let heap = std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                act(&layer, &clock);
                met.wait();
                met.wait();
            });
        }
        met.wait();
        handle.fold();
        let heap = live_bytes() - before;
        met.wait();
        heap
    });
    let bound = (RECORDER_BYTES + LEDGER_BYTES) as i64;
    let snapshot = handle.snapshot();
    let told = snapshot.memory_bytes as f64;
    println!(
        "{heap} bytes, told as {told}, dropped {}",
        snapshot.dropped_room
    );
    assert!(heap <= bound, "{heap} bytes are more than {bound}");
    assert!(
        heap as f64 <= told * 1.01,
        "{heap} bytes are told as {told}"
    );
    snapshot
}

#[test]
fn buckets_that_are_all_met_stay_within_the_bound() {
    let snapshot = within_bound(1, 8, |layer, clock| {
        for number in 0..500 {
            for took in times(1_500) {
                ask(layer, clock, &route(number, 16), took);
            }
        }
    });
    assert!(snapshot.dropped_room > 0, "what had no room is counted");
    assert_eq!(snapshot.requests, 500 * 1_500, "nothing is lost");
}

#[test]
fn long_labels_and_all_exemplars_on_many_threads_stay_within_the_bound() {
    let snapshot = within_bound(32, 32, |layer, clock| {
        for number in 0..500 {
            for took in times(40) {
                ask(layer, clock, &route(number, 256), took);
            }
        }
    });
    assert!(snapshot.dropped_room > 0, "what had no room is counted");
    assert_eq!(snapshot.requests, 32 * 500 * 40, "nothing is lost");
}

/// The bound is no reason to count coarsely at the size that the layer is made for: as many series as there are by default, on four threads.
#[test]
fn the_default_number_of_series_on_four_threads_has_room() {
    let snapshot = within_bound(4, 8, |layer, clock| {
        for number in 0..505 {
            // From a quarter of 10 ms to four times that.
            for at in 0..40 {
                let took =
                    Duration::from_millis(10).mul_f64(2_f64.powf(f64::from(at) / 10.0 - 2.0));
                ask(layer, clock, &route(number, 24), took);
            }
        }
    });
    assert_eq!(snapshot.dropped_room, 0);
}
