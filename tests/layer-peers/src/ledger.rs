//! What folding and snapshots cost, and what all of it takes, once every series has an hour of past on every thread.

use std::convert::Infallible;
use std::future::{Future, ready};
use std::pin::pin;
use std::sync::Barrier;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderValue, Request, Response};
use http_body_util::Empty;
use pitcrew::{LatencyLayer, clock::Clock};
use tower::{Layer, ServiceExt, service_fn};

/// Steps of time that are lived through: an hour and a quarter, 15 s each.
const STEPS: usize = 300;
/// Requests of a series on a thread in each step.
const REQUESTS: usize = 4;
/// Readings of each figure.
const READINGS: usize = 31;

fn resident() -> f64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: f64 = text
        .split_whitespace()
        .nth(1)
        .and_then(|pages| pages.parse().ok())
        .unwrap_or(0.0);
    pages * 4_096.0
}

fn median_ms(mut act: impl FnMut() -> Duration) -> f64 {
    let mut readings: Vec<Duration> = (0..READINGS).map(|_| act()).collect();
    readings.sort_unstable();
    readings[READINGS / 2].as_secs_f64() * 1e3
}

/// Milliseconds of a fold in which every series has something new on every thread, of a snapshot, of one that has to be made;
/// MiB by the layer's own account and by the process's.
pub(crate) fn measure(series: usize, threads: usize) -> Vec<f64> {
    let clock = Clock::manual();
    let (layer, handle) = LatencyLayer::builder()
        .max_series(series + 7)
        .clock(clock.clone())
        .route_label(|parts| Some(parts.headers["route"].to_str().ok()?.to_owned()))
        .build();
    let routes: Vec<HeaderValue> = (0..series)
        .map(|n| HeaderValue::try_from(format!("/route-{n}/{{id}}")).expect("a name"))
        .collect();
    let barrier = Barrier::new(threads + 1);
    let before = resident();
    let steps = STEPS + READINGS;
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let (layer, routes, clock, barrier) = (&layer, &routes, &clock, &barrier);
            scope.spawn(move || {
                let mut state = thread as u64 + 1;
                for _ in 0..steps {
                    barrier.wait();
                    for route in routes.iter().enumerate() {
                        (0..REQUESTS).for_each(|_| ask(layer, clock, route, &mut state));
                    }
                    barrier.wait();
                }
            });
        }
        let mut step = || {
            clock.advance(Duration::from_secs(15));
            barrier.wait();
            barrier.wait();
            let begin = Instant::now();
            handle.fold();
            begin.elapsed()
        };
        (0..STEPS).for_each(|_| {
            step();
        });
        let fold = median_ms(&mut step);
        let timed = || {
            let begin = Instant::now();
            std::hint::black_box(handle.snapshot());
            begin.elapsed()
        };
        let made = median_ms(|| {
            handle.fold();
            timed()
        });
        let told = median_ms(timed);
        let account = handle.snapshot().memory_bytes as f64;
        let mib = |bytes: f64| bytes / f64::from(1 << 20);
        vec![fold, told, made, mib(account), mib(resident() - before)]
    })
}

/// One request: log-normal about the route's own median of 1, 10 or 100 ms, its 99th percentile four times that.
fn ask(
    layer: &LatencyLayer,
    clock: &Clock,
    (number, route): (usize, &HeaderValue),
    state: &mut u64,
) {
    let mut unit = || {
        *state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        ((*state >> 11) as f64 / (1_u64 << 53) as f64).max(1e-12)
    };
    let normal = (-2.0 * unit().ln()).sqrt() * (std::f64::consts::TAU * unit()).cos();
    let median = [1e-3, 1e-2, 1e-1][number % 3];
    let took = Duration::from_secs_f64(median * (0.6 * normal).exp() / 4.0);
    // All threads move one clock: each gives it its share.
    let app = layer.layer(service_fn(|_: Request<()>| {
        clock.advance(took);
        ready(Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new())))
    }));
    let mut request = Request::new(());
    request.headers_mut().insert("route", route.clone());
    let mut cx = Context::from_waker(Waker::noop());
    assert!(pin!(app.oneshot(request)).as_mut().poll(&mut cx).is_ready());
}
