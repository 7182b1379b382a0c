//! The latency layer's figures: percentiles against a sorted copy, totals, rates, from many threads.

#![allow(clippy::unwrap_used)]

#[path = "support/latency.rs"]
mod latency;

use std::{
    convert::Infallible,
    future::{Future, ready},
    pin::pin,
    sync::Arc,
    task::{Context, Waker},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Empty;
use latency::{ask, built, get};
use pitcrew::{LatencyLayer, clock::Clock};
use tower::{Layer, ServiceExt, service_fn};

/// One request for each sample, which takes exactly that long.
fn timed(clock: &Clock, layer: &LatencyLayer, samples: &[Duration]) {
    for sample in samples {
        ask(clock, layer, get("/"), *sample, 200);
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

#[test]
fn the_total_merges_histograms_and_not_percentiles() {
    let clock = Clock::manual();
    let (layer, handle) = built(&clock);
    for (path, count, took) in [("/fast", 99, 1), ("/slow", 1, 1_000)] {
        for _ in 0..count {
            ask(&clock, &layer, get(path), Duration::from_millis(took), 200);
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
                let mut cx = Context::from_waker(Waker::noop());
                let app = layer.layer(service_fn(|_: Request<()>| {
                    ready(Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new())))
                }));
                for _ in 0..2_000 {
                    let mut answer = pin!(app.clone().oneshot(get("/")));
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
