//! Verdicts on snapshots whose numbers are known.

use std::{sync::Arc, time::Duration};

use super::*;
use crate::latency::{
    Histogram, Hour, LatencySnapshot, SeriesSnapshot, StatusClass, Window,
    detail::{Rolling, SeriesDetail},
    figures::Sums,
};

const WINDOW: Window = Window::FifteenMinutes;
/// 12:30 of some day.
const TAKEN_MS: u64 = 500_000 * 86_400_000 / 24 * 24 + 12 * 3_600_000 + 1_800_000;

/// `count` times around `ms`, in even steps from three quarters to five.
fn around(ms: f64, count: u32) -> Histogram {
    let step = |at: u32| ms * (0.75 + 0.5 * f64::from(at) / f64::from(count.max(2) - 1));
    Histogram::of((0..count).map(|at| Duration::from_secs_f64(step(at) / 1e3)))
}

fn series(
    route: &str,
    class: StatusClass,
    now: Histogram,
    before: Histogram,
    yesterday: Option<Histogram>,
) -> SeriesSnapshot {
    let sums = |body_end: Histogram| Sums {
        body_end,
        ..Sums::default()
    };
    let mut rolling = Rolling::default();
    rolling.0[WINDOW as usize] = sums(now);
    rolling.1[WINDOW as usize] = sums(before);
    let hours = yesterday.into_iter().map(|body_end| Hour {
        unix_hour: TAKEN_MS / 3_600_000 - 24,
        body_end,
    });
    let detail = SeriesDetail {
        class: Some(class),
        rolling: rolling.into(),
        hours: hours.collect(),
        ..SeriesDetail::default()
    };
    SeriesSnapshot {
        route: route.to_owned(),
        method: "GET".to_owned(),
        detail: Arc::new(detail),
        ..SeriesSnapshot::default()
    }
}

fn snapshot(series: Vec<SeriesSnapshot>) -> LatencySnapshot {
    LatencySnapshot {
        taken_unix_ms: TAKEN_MS,
        series,
        ..LatencySnapshot::default()
    }
}

fn judged(targets: &[Target], series: Vec<SeriesSnapshot>) -> SlowReport {
    let judge = Judge {
        targets,
        window: WINDOW,
        enough: DEFAULT_ENOUGH_REQUESTS,
        least_ms: DEFAULT_LEAST_CHANGE_MS,
    };
    judge.report(&snapshot(series))
}

fn ok(
    route: &str,
    now: Histogram,
    before: Histogram,
    yesterday: Option<Histogram>,
) -> SeriesSnapshot {
    series(route, StatusClass::Successful, now, before, yesterday)
}

#[test]
fn the_same_hour_yesterday_goes_before_the_window_before() {
    let report = judged(
        &[],
        vec![ok(
            "/orders/{id}",
            around(400.0, 1_842),
            around(400.0, 1_700),
            Some(around(96.0, 2_010)),
        )],
    );
    assert_eq!(report.findings.len(), 1, "{report:?}");
    let verdict = &report.findings[0].verdict;
    assert!(
        verdict.starts_with("GET /orders/{id}: p95 49")
            && verdict.contains(" ms in the last 15 min against 11")
            && verdict.contains(" ms at the same hour yesterday (n = 1,842 and 2,010; ")
            || verdict.contains("median"),
        "{verdict}"
    );
    let SlowBy::Change {
        baseline,
        before_requests,
        effect,
        ..
    } = report.findings[0].by
    else {
        panic!("{report:?}")
    };
    assert_eq!(
        (baseline, before_requests, effect),
        (Baseline::Yesterday, 2_010, 1.0)
    );
}

#[test]
fn without_a_yesterday_the_window_before_counts() {
    let report = judged(
        &[],
        vec![ok("/a", around(90.0, 500), around(30.0, 500), None)],
    );
    let SlowBy::Change { baseline, .. } = report.findings[0].by else {
        panic!("{report:?}")
    };
    assert_eq!(baseline, Baseline::WindowBefore);
    assert!(
        report.findings[0].verdict.contains("in the 15 min before"),
        "{report:?}"
    );
}

#[test]
fn ten_requests_are_no_wolf_and_are_told_as_young() {
    let report = judged(
        &[],
        vec![ok("/a", around(900.0, 10), around(30.0, 10), None)],
    );
    assert!(report.findings.is_empty());
    assert_eq!(
        report.young[0].reason,
        "GET /a is too young to be compared: 10 requests in the last 15 min and 10 in the window before, 50 of each are wanted"
    );
}

#[test]
fn a_significant_but_small_change_is_not_told_nor_one_for_the_better() {
    let report = judged(
        &[],
        vec![
            ok("/small", around(33.0, 50_000), around(30.0, 50_000), None),
            ok("/better", around(30.0, 5_000), around(90.0, 5_000), None),
            ok("/tiny", around(0.9, 5_000), around(0.3, 5_000), None),
        ],
    );
    assert!(report.findings.is_empty(), "{report:?}");
    assert_eq!(report.checked, 3);
}

#[test]
fn one_of_many_routes_is_named_alone() {
    let mut all: Vec<_> = (0..400)
        .map(|at| {
            ok(
                &format!("/{at}"),
                around(30.0, 200),
                around(30.0, 200),
                None,
            )
        })
        .collect();
    all.push(ok("/slow", around(90.0, 200), around(30.0, 200), None));
    let report = judged(&[], all);
    let routes: Vec<_> = report.findings.iter().map(|found| &*found.route).collect();
    assert_eq!(routes, ["/slow"]);
}

#[test]
fn aborts_and_errors_are_no_answers() {
    let report = judged(
        &[],
        vec![
            series(
                "/a",
                StatusClass::Aborted,
                around(900.0, 500),
                around(30.0, 500),
                None,
            ),
            series(
                "/a",
                StatusClass::Error,
                around(900.0, 500),
                around(30.0, 500),
                None,
            ),
            ok("/a", around(30.0, 500), around(30.0, 500), None),
        ],
    );
    assert!(report.findings.is_empty(), "{report:?}");
}

#[test]
fn targets_are_judged_by_route_and_say_their_numbers() {
    let targets = [Target::new("/orders*", 0.95, Duration::from_millis(100)).unwrap()];
    let report = judged(
        &targets,
        vec![
            ok("/orders", around(200.0, 1_234), around(200.0, 1_234), None),
            ok(
                "/orders/{id}",
                around(50.0, 1_000),
                around(50.0, 1_000),
                None,
            ),
            ok("/orders/few", around(500.0, 49), around(500.0, 49), None),
            ok("/parts", around(500.0, 1_000), around(500.0, 1_000), None),
        ],
    );
    assert_eq!(report.findings.len(), 1, "{report:?}");
    let verdict = &report.findings[0].verdict;
    assert!(
        verdict.starts_with("GET /orders: p95 24")
            && verdict.ends_with(" ms in the last 15 min, 100 ms are wanted (n = 1,234)"),
        "{verdict}"
    );
}

#[test]
fn what_is_just_at_its_target_is_not_slow() {
    let limit = Duration::from_millis(100);
    let targets = [Target::new("/a", 0.95, limit).unwrap()];
    let now = Histogram::of((0..1_000).map(|at| if at < 950 { limit } else { 3 * limit }));
    assert!(
        judged(&targets, vec![ok("/a", now.clone(), now, None)])
            .findings
            .is_empty()
    );
}

#[test]
fn numbers_are_grouped() {
    for (count, text) in [
        (0, "0"),
        (999, "999"),
        (1_000, "1,000"),
        (1_234_567, "1,234,567"),
    ] {
        assert_eq!(grouped(count), text);
    }
}
