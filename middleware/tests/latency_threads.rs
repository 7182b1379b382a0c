//! The latency layer and threads: many at once, some that die, runtimes, layers that go.

#![allow(clippy::unwrap_used)]

use std::{
    convert::Infallible,
    future::{Future, ready},
    pin::pin,
    sync::{
        Arc, Barrier,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Waker},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Empty, Full};
use pitcrew::{
    LatencyHandle, LatencyLayer,
    clock::Clock,
    latency::{Histogram, Window},
};
use tower::{Layer, ServiceExt, service_fn};

fn request() -> Request<()> {
    Request::new(())
}

fn ask(layer: &LatencyLayer) {
    let app = layer.layer(service_fn(|_: Request<()>| {
        ready(Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new())))
    }));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(
        pin!(app.oneshot(request()))
            .as_mut()
            .poll(&mut cx)
            .is_ready()
    );
}

fn total(handle: &LatencyHandle) -> u64 {
    let snapshot = handle.snapshot();
    let rows: u64 = snapshot.series.iter().map(|series| series.count).sum();
    assert_eq!(snapshot.requests, rows);
    assert_eq!(snapshot.histogram(Window::SinceStart).count(), rows);
    rows
}

#[test]
fn threads_that_come_and_go_by_the_thousand_lose_nothing_and_take_no_more_memory() {
    let (layer, handle) = LatencyLayer::builder().build();
    std::thread::scope(|scope| {
        scope.spawn(|| ask(&layer));
    });
    total(&handle);
    let after_one = handle.snapshot().memory_bytes;
    for _ in 0..2_000 {
        std::thread::scope(|scope| {
            scope.spawn(|| ask(&layer));
        });
    }
    assert_eq!((total(&handle), handle.snapshot().in_flight), (2_001, 0));
    let grown = handle.snapshot().memory_bytes - after_one;
    // The times of 2,000 requests fall in more buckets than one's did; 2,000 slots would take 4 MiB.
    assert!(grown < 256 << 10, "{grown} bytes more");
}

#[test]
fn blocking_threads_that_end_while_a_request_is_theirs_hand_it_over() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .thread_keep_alive(Duration::from_millis(1))
        .build()
        .unwrap();
    let (layer, handle) = LatencyLayer::builder().build();
    runtime.block_on(async {
        for _ in 0..50 {
            let layer = layer.clone();
            // Begins on a blocking thread, ends on the runtime's.
            let body = tokio::task::spawn_blocking(move || {
                let app = layer.layer(service_fn(|_: Request<()>| {
                    ready(Ok::<_, Infallible>(Response::new(Full::new(
                        Bytes::from_static(b"x"),
                    ))))
                }));
                let mut cx = Context::from_waker(Waker::noop());
                match pin!(app.oneshot(request())).as_mut().poll(&mut cx) {
                    std::task::Poll::Ready(Ok(response)) => response.into_body(),
                    _ => panic!("the handler never waits"),
                }
            });
            body.await.unwrap().collect().await.unwrap();
        }
    });
    drop(runtime);
    assert_eq!((total(&handle), handle.snapshot().in_flight), (50, 0));
}

/// A record whose end comes when its thread has dropped its locals already.
#[test]
fn a_request_that_ends_with_its_thread_is_counted() {
    type Held = std::cell::RefCell<Option<Box<dyn std::any::Any>>>;
    thread_local! {
        static HELD: Held = const { std::cell::RefCell::new(None) };
    }
    let (layer, handle) = LatencyLayer::builder().build();
    for is_first in [true, false] {
        let layer = layer.clone();
        std::thread::spawn(move || {
            // Locals go in the reverse order of their first use, or the other way round: both are tried.
            if is_first {
                HELD.with(|held| held.borrow_mut().take());
            }
            let app = layer.layer(service_fn(|_: Request<()>| {
                std::future::pending::<Result<Response<Empty<Bytes>>, Infallible>>()
            }));
            let future = Box::pin(app.oneshot(request()));
            let mut future = future;
            let mut cx = Context::from_waker(Waker::noop());
            assert!(future.as_mut().poll(&mut cx).is_pending());
            HELD.with(|held| *held.borrow_mut() = Some(Box::new(future)));
        })
        .join()
        .unwrap();
    }
    let snapshot = handle.snapshot();
    assert_eq!(
        (snapshot.aborted, snapshot.in_flight, snapshot.requests),
        (2, 0, 2)
    );
}

#[test]
fn current_thread_runtimes_side_by_side_share_one_layer() {
    let (layer, handle) = LatencyLayer::builder().build();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .build()
                    .unwrap();
                runtime.block_on(async {
                    for _ in 0..100 {
                        ask(&layer);
                        tokio::task::yield_now().await;
                    }
                });
            });
        }
    });
    assert_eq!(total(&handle), 400);
}

#[test]
fn services_outlive_their_handle_and_measure_no_more() {
    let (layer, handle) = LatencyLayer::builder().build();
    let (other, others) = LatencyLayer::builder().build();
    ask(&layer);
    drop(handle);
    for _ in 0..3 {
        ask(&layer);
        ask(&other);
    }
    assert_eq!(total(&others), 3);
}

#[test]
fn the_folders_thread_ends_with_the_layer_or_when_it_is_told_to() {
    let (layer, handle) = LatencyLayer::builder().build();
    assert!(handle.shutdown(Duration::ZERO), "none has begun");
    let (second, told) = LatencyLayer::builder().build();
    ask(&layer);
    ask(&second);
    assert!(told.shutdown(Duration::from_secs(30)));
    ask(&second);
    assert_eq!((total(&told), total(&handle)), (2, 1), "it counts without");
}

/// SplitMix64.
fn next(state: &mut u64) -> f64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
}

/// Nanoseconds of the distribution of this number.
fn sample(distribution: usize, state: &mut u64) -> u64 {
    let (u, v) = (next(state).max(1e-12), next(state));
    let nanos = match distribution {
        0 => 1e6,
        1 => u * 1e9,
        2 => -u.ln() * 5e6,
        3 => 1e5 / u,
        4 => [1e6, 9e8][usize::from(v < 0.5)],
        5 => 2e7 * (1.0 + (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos() * 0.1),
        6 => 2e3 + u * 1e4,
        7 => u * 5e10,
        8 => (u * 20.0).floor() * 1e7 + 1e6,
        _ => [5e9 * u, 3e5 + u * 1e5][usize::from(v < 0.99)],
    };
    (nanos.max(1.0) as u64).min(3_599_000_000_000)
}

/// Eight threads record known times, each by a clock of its own that moves as far as the sample says, into a layer of its own;
/// a ninth reads all the while. What is merged agrees with a sorted copy of all samples.
#[test]
fn percentiles_agree_with_every_sample_from_eight_threads_while_being_read() {
    const THREADS: usize = 8;
    const EACH: usize = 2_000;
    for distribution in 0..10 {
        let layers: Vec<_> = (0..THREADS)
            .map(|_| {
                let clock = Clock::manual();
                let (layer, handle) = LatencyLayer::builder().clock(clock.clone()).build();
                (clock, layer, handle)
            })
            .collect();
        let (reads, is_over) = (AtomicU64::new(0), AtomicBool::new(false));
        let barrier = Barrier::new(THREADS + 1);
        let mut samples: Vec<u64> = std::thread::scope(|scope| {
            let reader = scope.spawn(|| {
                barrier.wait();
                loop {
                    let last = is_over.load(Ordering::SeqCst);
                    for (.., handle) in &layers {
                        total(handle);
                        reads.fetch_add(1, Ordering::SeqCst);
                    }
                    if last {
                        break;
                    }
                }
            });
            let workers: Vec<_> = layers
                .iter()
                .enumerate()
                .map(|(thread, (clock, layer, _))| {
                    let barrier = &barrier;
                    scope.spawn(move || {
                        barrier.wait();
                        let mut state = (distribution * THREADS + thread) as u64;
                        let mut cx = Context::from_waker(Waker::noop());
                        let mut taken = Vec::with_capacity(EACH);
                        for _ in 0..EACH {
                            let nanos = sample(distribution, &mut state);
                            let app = layer.layer(service_fn(|_: Request<()>| {
                                clock.advance(Duration::from_nanos(nanos));
                                ready(Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new())))
                            }));
                            assert!(
                                pin!(app.oneshot(request()))
                                    .as_mut()
                                    .poll(&mut cx)
                                    .is_ready()
                            );
                            taken.push(nanos);
                        }
                        taken
                    })
                })
                .collect();
            let taken = workers
                .into_iter()
                .flat_map(|worker| worker.join().unwrap())
                .collect();
            is_over.store(true, Ordering::SeqCst);
            reader.join().unwrap();
            taken
        });
        assert!(reads.load(Ordering::SeqCst) > 0);
        samples.sort_unstable();
        let merged = layers
            .iter()
            .map(|(.., handle)| handle.snapshot())
            .reduce(|one, other| one.merge(&other))
            .unwrap();
        let histogram = merged.histogram(Window::SinceStart);
        assert_eq!(histogram.count(), samples.len() as u64);
        let exact = Histogram::of(samples.iter().map(|nanos| Duration::from_nanos(*nanos)));
        assert_eq!(
            histogram, &exact,
            "nothing is lost by threads, folds or merges"
        );
        for permille in [1, 10, 100, 500, 900, 950, 990, 999, 1_000] {
            let quantile = f64::from(permille) / 1_000.0;
            let rank = ((quantile * samples.len() as f64).ceil() as usize).clamp(1, samples.len());
            let truth = samples[rank - 1] as f64;
            let told = histogram.value_at_quantile(quantile).as_nanos() as f64;
            assert!(
                told >= truth && told <= truth * (1.0 + 1.0 / 128.0) + 100.0,
                "{distribution} at {quantile}: {told}, not {truth}"
            );
        }
        let figures = merged.total();
        assert_eq!(
            (figures.min_ms, figures.max_ms),
            (
                samples[0] as f64 / 1e6,
                samples[samples.len() - 1] as f64 / 1e6
            )
        );
        let mean = samples.iter().map(|nanos| *nanos as f64).sum::<f64>() / samples.len() as f64;
        assert!((figures.mean_ms * 1e6 - mean).abs() <= mean * 1e-9);
    }
}

/// The same into one layer: eight threads that record as fast as they can, one that reads.
#[test]
fn eight_threads_into_one_layer_while_it_is_read() {
    const EACH: u64 = 20_000;
    let (layer, handle) = LatencyLayer::builder().build();
    let barrier = Arc::new(Barrier::new(9));
    let reads = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..8)
            .map(|_| {
                let (layer, barrier) = (layer.clone(), barrier.clone());
                scope.spawn(move || {
                    barrier.wait();
                    (0..EACH).for_each(|_| ask(&layer));
                })
            })
            .collect();
        barrier.wait();
        let (mut reads, mut before) = (0, 0);
        while workers.iter().any(|worker| !worker.is_finished()) {
            let now = total(&handle);
            assert!(now >= before, "a count never falls");
            (reads, before) = (reads + 1, now);
        }
        reads
    });
    assert!(reads > 0);
    handle.fold();
    assert_eq!((total(&handle), handle.snapshot().in_flight), (8 * EACH, 0));
}
