//! Objectives over simulated time, against a model that keeps every request.

use std::{sync::Arc, time::Duration};

use proptest::prelude::*;

use super::*;
use crate::latency::{
    Histogram, StatusClass,
    difference::{Difference, SeriesKey},
    figures::Sums,
};

const MINUTE: u64 = 60;
const HOUR: u64 = 3_600;
const DAY: u64 = 86_400;

fn difference(route: &str, class: StatusClass, times: impl IntoIterator<Item = u64>) -> Difference {
    Difference {
        key: Arc::new(SeriesKey {
            route: route.into(),
            method: "GET",
            class,
        }),
        sums: Sums {
            body_end: Histogram::of(times.into_iter().map(Duration::from_millis)),
            ..Sums::default()
        },
        is_by_head: false,
    }
}

/// `count` requests, `failed` of them with 5xx.
fn served(count: usize, failed: usize) -> [Difference; 2] {
    [
        difference("/a", StatusClass::Successful, vec![5; count - failed]),
        difference("/a", StatusClass::ServerError, vec![5; failed]),
    ]
}

fn up(target: f64) -> Objective {
    Objective::availability("/a", target).unwrap()
}

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A day that is as it should be, a minute at a time; 100 requests each.
fn steady_day(tracker: &mut Tracker) {
    for minute in 0..DAY / MINUTE {
        tracker.observe(at(minute * MINUTE), &served(100, 0));
    }
}

#[test]
fn while_nothing_is_bad_the_budget_is_whole() {
    let mut tracker = Tracker::new([up(0.999)]);
    steady_day(&mut tracker);
    let report = tracker.reports(at(DAY)).remove(0);
    assert_eq!(
        (report.state, report.budget_left, report.bad),
        (ObjectiveState::Ok, 1.0, 0)
    );
    assert_eq!(
        report.verdict,
        "99.9 % of /a without failure: holds; 100 % of the error budget of 30 d is left if none was spent before (0 of 144,000 requests failed since the start 24 h ago)"
    );
}

/// The workbook's reason for the long window: a short outburst is over before it costs much; and for the short one: an alert ends soon after its cause.
#[test]
fn a_fast_burn_pages_after_minutes_and_ends_with_its_cause() {
    let mut tracker = Tracker::new([up(0.999)]);
    steady_day(&mut tracker);
    // 10 % fail: a hundred times too fast. 14.4 of the hour's 1,000 permille are reached after 8.64 minutes.
    let state =
        |tracker: &Tracker, minute: u64| tracker.reports(at(DAY + minute * MINUTE)).remove(0);
    let mut paged_at = None;
    for minute in 0..20 {
        tracker.observe(at(DAY + minute * MINUTE), &served(100, 10));
        if state(&tracker, minute).state == ObjectiveState::Page {
            paged_at.get_or_insert(minute);
        }
    }
    assert_eq!(paged_at, Some(8));
    let verdict = state(&tracker, 19).verdict;
    assert!(verdict.starts_with("99.9 % of /a without failure: burns its error budget 33.3 times too fast over 1 h (200 of 6,000 requests failed) and 100.0 times over 5 min, 14.4 is the limit; at this rate the rest lasts 20 h; 95.37 % of the error budget of 30 d is left if none was spent before (200 of 146,000 requests failed since the start 24 h ago)"), "{verdict}");
    let mut quiet_at = None;
    for minute in 20..40 {
        tracker.observe(at(DAY + minute * MINUTE), &served(100, 0));
        if state(&tracker, minute).state != ObjectiveState::Page {
            quiet_at.get_or_insert(minute);
        }
    }
    // The hour burns on, the five minutes do not; the six hours have burnt 5.6 times too fast.
    assert_eq!(quiet_at, Some(24));
}

#[test]
fn a_slow_burn_is_a_ticket_and_none_below_it() {
    for (failed_of_10_000, wanted) in [(15, ObjectiveState::Ticket), (8, ObjectiveState::Ok)] {
        let mut tracker = Tracker::new([up(0.999)]);
        for ten_minutes in 0..5 * DAY / (10 * MINUTE) {
            tracker.observe(
                at(ten_minutes * 10 * MINUTE),
                &served(10_000, failed_of_10_000),
            );
        }
        let report = tracker.reports(at(5 * DAY - 1)).remove(0);
        let alerts: Vec<_> = report.alerts.iter().map(|alert| alert.fires).collect();
        assert_eq!(alerts, [false, false, wanted == ObjectiveState::Ticket]);
        // Five days of thirty.
        let left = 1.0 - failed_of_10_000 as f64 / 10.0 * 5.0 / 30.0;
        assert!((report.budget_left - left).abs() < 1e-4, "{report:?}");
        assert_eq!(report.state, wanted, "{}", report.verdict);
    }
}

#[test]
fn a_spent_budget_is_told_though_nothing_burns_now() {
    let mut tracker = Tracker::new([up(0.99)]);
    tracker.observe(at(0), &served(10_000, 1_000));
    for hour in 1..10 * 24 {
        tracker.observe(at(hour * HOUR), &served(10, 0));
    }
    let report = tracker.reports(at(10 * DAY)).remove(0);
    assert_eq!(
        report.state,
        ObjectiveState::Exhausted,
        "{}",
        report.verdict
    );
    assert!(report.alerts.iter().all(|alert| !alert.fires));
    // After thirty days it is forgotten.
    for hour in 10 * 24..31 * 24 {
        tracker.observe(at(hour * HOUR), &served(10, 0));
    }
    assert_eq!(
        tracker.reports(at(31 * DAY)).remove(0).state,
        ObjectiveState::Ok
    );
}

#[test]
fn few_requests_hold_alerts_back_and_say_so() {
    let mut tracker = Tracker::new([up(0.999)]);
    tracker.observe(at(0), &served(10, 5));
    let report = tracker.reports(at(1)).remove(0);
    assert_eq!(report.state, ObjectiveState::FewRequests);
    assert!(
        report
            .alerts
            .iter()
            .all(|alert| alert.held_back && !alert.fires)
    );
    assert!(
        report.verdict.contains("too few requests to tell"),
        "{}",
        report.verdict
    );
    // One failure of many is no trend either.
    let mut tracker = Tracker::new([up(0.999_9)]);
    tracker.observe(at(0), &served(500, 1));
    assert_eq!(
        tracker.reports(at(1)).remove(0).state,
        ObjectiveState::FewRequests
    );
    let report = Tracker::new([up(0.9)]).reports(at(300)).remove(0);
    assert_eq!(report.state, ObjectiveState::NoRequests);
    assert_eq!(
        report.verdict,
        "90 % of /a without failure: no request has counted since the start 5 min ago"
    );
}

#[test]
fn a_threshold_between_two_buckets_counts_as_the_upper_edge_of_its_own() {
    let objective = Objective::latency("/a", Duration::from_millis(300), 0.9).unwrap();
    let mut tracker = Tracker::new([objective]);
    let edge = |nanos: u64| Difference {
        sums: Sums {
            body_end: Histogram::of([Duration::from_nanos(nanos)]),
            ..Sums::default()
        },
        ..difference("/a", StatusClass::Successful, [])
    };
    let effective = tracker
        .reports(at(0))
        .remove(0)
        .effective_threshold_ms
        .unwrap();
    assert!(
        (300.0..300.0 * 129.0 / 128.0).contains(&effective),
        "{effective}"
    );
    let nanos = (effective * 1e6).round() as u64;
    tracker.observe(at(0), &[edge(300_000_000)]);
    tracker.observe(at(0), &[edge(nanos)]);
    assert_eq!(tracker.reports(at(0)).remove(0).bad, 0);
    tracker.observe(at(0), &[edge(nanos + 100)]);
    let report = tracker.reports(at(0)).remove(0);
    assert_eq!((report.requests, report.bad), (3, 1));
}

#[test]
fn each_end_counts_as_the_table_says() {
    let count = |objective: &Objective, class, ms: u64| {
        let mut tracker = Tracker::new([objective.clone()]);
        tracker.observe(at(0), &[difference("/a", class, [ms])]);
        let report = tracker.reports(at(0)).remove(0);
        (report.requests, report.bad)
    };
    let fast = Objective::latency("/a", Duration::from_millis(300), 0.9).unwrap();
    let up = up(0.9);
    for (class, ms, latency, availability) in [
        (StatusClass::Informational, 5, (1, 0), (1, 0)),
        (StatusClass::Successful, 5, (1, 0), (1, 0)),
        (StatusClass::Successful, 900, (1, 1), (1, 0)),
        (StatusClass::ClientError, 5, (1, 0), (1, 0)),
        (StatusClass::ServerError, 5, (0, 0), (1, 1)),
        (StatusClass::Error, 900, (0, 0), (1, 1)),
        (StatusClass::Aborted, 5, (0, 0), (0, 0)),
        (StatusClass::Aborted, 900, (1, 1), (0, 0)),
    ] {
        assert_eq!(count(&fast, class, ms), latency, "{class:?} {ms}");
        assert_eq!(count(&up, class, ms), availability, "{class:?} {ms}");
    }
}

#[test]
fn routes_are_those_that_the_glob_names() {
    let mut tracker = Tracker::new(
        ["/a", "/a*", "POST *", "*"].map(|routes| Objective::availability(routes, 0.9).unwrap()),
    );
    for route in ["/a", "/a/{id}", "/b"] {
        tracker.observe(at(0), &[difference(route, StatusClass::Successful, [1])]);
    }
    let requests: Vec<_> = tracker
        .reports(at(0))
        .iter()
        .map(|report| report.requests)
        .collect();
    assert_eq!(requests, [1, 2, 0, 3]);
}

/// However low the target: a total outage reaches every alert (the workbook, "Extreme Availability Goals").
#[test]
fn a_total_outage_pages_whatever_the_target() {
    for target in [0.05, 0.5, 0.8, 0.9, 0.93, 0.95, 0.999] {
        let mut tracker = Tracker::new([up(target)]);
        for minute in 0..3 * DAY / MINUTE {
            tracker.observe(at(minute * MINUTE), &served(100, 100));
        }
        let report = tracker.reports(at(3 * DAY - 1)).remove(0);
        assert!(
            report.alerts.iter().all(|alert| alert.fires),
            "{target}: {:?}",
            report.alerts
        );
    }
    let factors = |target: f64| {
        let report = Tracker::new([up(target)]).reports(at(0)).remove(0);
        let factors = report.alerts.iter().map(|alert| alert.factor);
        factors
            .map(|factor| (factor * 100.0).round() / 100.0)
            .collect::<Vec<_>>()
    };
    assert_eq!(factors(0.95), [14.4, 6.0, 1.0], "the workbook's");
    assert_eq!(factors(0.9), [9.0, 6.0, 1.0]);
}

#[test]
fn factors_follow_the_period() {
    let week = up(0.999).period(Duration::from_secs(7 * DAY)).unwrap();
    let report = Tracker::new([week]).reports(at(0)).remove(0);
    let factors: Vec<_> = report
        .alerts
        .iter()
        .map(|alert| (alert.factor * 1e3).round() / 1e3)
        .collect();
    assert_eq!(factors, [3.36, 1.4, 0.233]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Every figure of a report against a list of all requests and the words of the workbook.
    #[test]
    fn reports_are_those_of_a_list_of_all_requests(
        events in prop::collection::vec((0..3 * HOUR, 1..400_usize, 0..40_usize), 1..150),
        target in 0.9..0.999_9_f64,
        idle in 0..8 * HOUR,
    ) {
        let mut tracker = Tracker::new([up(target).min_requests(50)]);
        let mut list = Vec::new();
        let mut now = 0;
        for (gap, count, failed) in events {
            now += gap;
            let failed = failed.min(count);
            tracker.observe(at(now), &served(count, failed));
            list.push((now, count as u64, failed as u64));
        }
        now += idle;
        let report = tracker.reports(at(now)).remove(0);
        let sums = |window: u64, slot: u64| {
            let within = list.iter().filter(|event| now / slot - event.0 / slot < window / slot);
            within.fold((0, 0), |sum, event| (sum.0 + event.1, sum.1 + event.2))
        };
        let burn = |(total, bad): (u64, u64)| if total == 0 { 0.0 } else { bad as f64 / total as f64 / (1.0 - target) };
        let period = sums(30 * DAY, HOUR);
        prop_assert_eq!((report.requests, report.bad), period);
        let share = now.min(30 * DAY) as f64 / (30 * DAY) as f64;
        prop_assert!((report.budget_left - (1.0 - burn(period) * share)).abs() < 1e-9);
        let mut worst = None;
        for (alert, (long, short, slot, short_slot, factor, severity)) in report.alerts.iter().zip([
            (HOUR, 5 * MINUTE, MINUTE, MINUTE, 14.4, Severity::Page),
            (6 * HOUR, 30 * MINUTE, MINUTE, MINUTE, 6.0, Severity::Page),
            (3 * DAY, 6 * HOUR, 5 * MINUTE, MINUTE, 1.0, Severity::Ticket),
        ]) {
            let (long, short) = (sums(long, slot), sums(short, short_slot));
            prop_assert_eq!((alert.long_requests, alert.long_bad), long);
            prop_assert_eq!((alert.short_requests, alert.short_bad), short);
            let burns = burn(long) > factor + 1e-9 && burn(short) > factor + 1e-9;
            let enough = long.0 >= 50 && long.1 >= 3;
            prop_assert_eq!(alert.fires, burns && enough);
            prop_assert_eq!(alert.held_back, burns && !enough);
            if alert.fires {
                worst = worst.max(Some(severity));
            }
        }
        if worst == Some(Severity::Page) {
            prop_assert_eq!(report.state, ObjectiveState::Page);
        }
        if report.state == ObjectiveState::Ok {
            prop_assert!(worst.is_none() && report.budget_left > 0.0);
        }
    }
}
