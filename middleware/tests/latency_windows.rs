//! The latency layer over time: windows, hours, rates, exemplars, settings.

#![allow(clippy::unwrap_used)]

#[path = "support/latency.rs"]
mod latency;

use std::time::Duration;

use http::Request;
use latency::{MINUTE, ask, built, get};
use pitcrew::{
    LatencyLayer,
    clock::Clock,
    latency::{BuildError, MAX_EXEMPLARS, MAX_SERIES, MIN_SERIES, Window},
};

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
fn the_counts_are_those_of_a_snapshot() {
    let clock = Clock::manual();
    let (layer, handle) = built(&clock);
    assert_eq!(handle.counts().requests, 0);
    for path in ["/", "/other", "/"] {
        ask(&clock, &layer, get(path), Duration::from_millis(20), 200);
    }
    let (counts, snapshot) = (handle.counts(), handle.snapshot());
    assert_eq!((counts.requests, counts.in_flight), (3, 0));
    assert_eq!(
        (counts.requests, counts.in_flight),
        (snapshot.requests, snapshot.in_flight)
    );
}

#[test]
fn slow_endpoints_are_the_same_by_a_snapshot_that_is_there_already() {
    let clock = Clock::manual();
    let (layer, handle) = built(&clock);
    for _ in 0..30 {
        ask(&clock, &layer, get("/"), Duration::from_millis(20), 200);
    }
    let (snapshot, window) = (handle.snapshot(), Window::FiveMinutes);
    let told = |report| serde_json::to_value(report).unwrap();
    assert_eq!(
        told(handle.slow_endpoints_of(&snapshot, window)),
        told(handle.slow_endpoints(window))
    );
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
    // With what came during the step.
    assert_eq!(told, [(4, 3), (3, 4), (2, 6), (1, 6)]);
}

#[test]
fn a_step_back_of_the_wall_clock_loses_no_hour_whether_it_is_taken_back_or_not() {
    let hour: i64 = 3_600_000;
    for step in [-3 * hour, -20 * hour, 5 * hour, -56 * 365 * 24 * hour] {
        let clock = Clock::manual();
        let (layer, handle) = built(&clock);
        let told = |clock: &Clock| -> Vec<_> {
            let now = clock.unix_ms() / hour.unsigned_abs();
            let snapshot = handle.snapshot();
            let hours = snapshot.series[0].hours().iter();
            hours
                .map(|hour| (now - hour.unix_hour, hour.body_end.count()))
                .collect()
        };
        for _ in 0..5 {
            ask(&clock, &layer, get("/"), Duration::from_millis(50), 200);
            handle.fold();
            clock.advance(60 * MINUTE);
        }
        clock.step_wall(step);
        ask(&clock, &layer, get("/"), Duration::from_millis(50), 200);
        let wanted = [(5, 1), (4, 1), (3, 1), (2, 1), (1, 1), (0, 1)];
        assert_eq!(told(&clock), wanted, "while it stands, {step}");
        clock.step_wall(-step);
        assert_eq!(told(&clock), wanted, "after it was taken back, {step}");
        // The same hour of yesterday is still there.
        clock.advance(19 * 60 * MINUTE);
        assert_eq!(told(&clock)[0], (24, 1), "{step}");
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
