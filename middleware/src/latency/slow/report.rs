//! [`SlowReport`]: which routes are slow, in sentences.

use std::{cmp::Ordering, collections::BTreeMap};

use serde::Serialize;

use super::{
    compare::{Change, Times, compare, holm},
    target::Target,
};
use crate::latency::{
    Histogram, LatencySnapshot, SeriesSnapshot, StatusClass, Window, segments::when,
};

/// Requests that a window must have, and the one that it is compared with, unless told otherwise: below that a 95th percentile stands on two or
/// three requests.
pub const DEFAULT_ENOUGH_REQUESTS: u64 = 50;
/// The difference that a change must make, unless told otherwise.
pub const DEFAULT_LEAST_CHANGE_MS: f64 = 5.0;
/// How probable one report's changes, all routes together, may be by chance alone: a report each 15 minutes is 96,000 in 1,000 days, and one of
/// these may be wrong.
pub const CHANCE: f64 = 1e-6;

const HOUR_MS: u64 = 3_600_000;
/// How far back "the same hour yesterday" is.
const A_DAY_IN_HOURS: u64 = 24;

/// Which routes are slow.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct SlowReport {
    /// The window that was looked at.
    pub window: Window,
    /// Slow routes: the longest above its target first, then the most changed.
    pub findings: Vec<SlowEndpoint>,
    /// Routes that cannot be judged against their own past, and why.
    pub young: Vec<YoungEndpoint>,
    /// Routes and methods that were looked at.
    pub checked: usize,
}

/// One finding.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct SlowEndpoint {
    /// Route template.
    pub route: String,
    /// Request method.
    pub method: String,
    /// What it is slow by.
    pub by: SlowBy,
    /// Requests in the window that ended with an answer.
    pub requests: u64,
    /// Their median.
    pub p50_ms: f64,
    /// Their 95th percentile.
    pub p95_ms: f64,
    /// The same in a sentence.
    pub verdict: String,
}

/// What a route is slow by.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
#[non_exhaustive]
pub enum SlowBy {
    /// A [`Target`] that was set for it.
    Target {
        /// The quantile of the target.
        quantile: f64,
        /// What it may be.
        limit_ms: f64,
        /// What it is.
        found_ms: f64,
    },
    /// An objective that burns its error budget, or has none left.
    #[default]
    Objective,
    /// Its own past.
    Change {
        /// What it is compared with.
        baseline: Baseline,
        /// Requests there.
        before_requests: u64,
        /// Their median.
        before_p50_ms: f64,
        /// Their 95th percentile.
        before_p95_ms: f64,
        /// The probability that a request of now is slower than one of then; 0.5 is no difference.
        effect: f64,
        /// The probability of such a difference by chance, before it is corrected for the number of routes.
        p_value: f64,
    },
}

/// What a window is compared with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Baseline {
    /// The same hour yesterday.
    Yesterday,
    /// The window of the same length before.
    #[default]
    WindowBefore,
}

/// A route that is too young to be judged.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct YoungEndpoint {
    /// Route template.
    pub route: String,
    /// Request method.
    pub method: String,
    /// Why, with the numbers.
    pub reason: String,
}

/// One route and method, its answers together: aborts end when the client says so, and errors have no answer.
#[derive(Default)]
struct Endpoint {
    now: Histogram,
    before: Histogram,
    yesterday: Histogram,
}

/// What is asked of a report.
pub(crate) struct Judge<'a> {
    pub(crate) targets: &'a [Target],
    pub(crate) window: Window,
    pub(crate) enough: u64,
    pub(crate) least_ms: f64,
}

impl Judge<'_> {
    /// Judges by targets and by change. What objectives find is added by who has them.
    pub(crate) fn report(&self, snapshot: &LatencySnapshot) -> SlowReport {
        let endpoints = endpoints(snapshot, self.window);
        let mut report = SlowReport {
            window: self.window,
            checked: endpoints.len(),
            ..SlowReport::default()
        };
        for ((route, method), endpoint) in &endpoints {
            let found = self.against_targets(route, method, &endpoint.now);
            report.findings.extend(found);
        }
        report.findings.sort_by(by_excess);
        self.against_the_past(&endpoints, &mut report);
        report
    }

    fn against_targets<'s>(
        &'s self,
        route: &'s str,
        method: &'s str,
        now: &'s Histogram,
    ) -> impl Iterator<Item = SlowEndpoint> + 's {
        let targets = self.targets.iter();
        let ours = targets.filter(move |target| target.routes.names(method, route));
        ours.filter(|_| now.count() >= self.enough)
            .filter_map(move |target| {
                let found = now.value_at_quantile(target.quantile);
                // A bucket's upper edge is up to 1/128 more than its times.
                if now.count_at_or_below(target.limit) as f64 >= target.quantile * now.count() as f64 {
                    return None;
                }
                let (found_ms, limit_ms) = (ms(found), ms(target.limit));
                let times = Times::of(now);
                Some(SlowEndpoint {
                    verdict: format!(
                        "{method} {route}: {} {found_ms:.0} ms {}, {limit_ms:.0} ms are wanted (n = {})",
                        percentile(target.quantile),
                        when(self.window),
                        grouped(times.count)
                    ),
                    by: SlowBy::Target {
                        quantile: target.quantile,
                        limit_ms,
                        found_ms,
                    },
                    ..endpoint_of(route, method, times)
                })
            })
    }

    fn against_the_past(
        &self,
        endpoints: &BTreeMap<(String, String), Endpoint>,
        report: &mut SlowReport,
    ) {
        if self.window.length().is_none() {
            return;
        }
        let mut compared: Vec<(&(String, String), Baseline, Change)> = Vec::new();
        for (key, endpoint) in endpoints {
            match self.compared(endpoint) {
                Ok((baseline, change)) => compared.push((key, baseline, change)),
                Err(reason) => report.young.push(YoungEndpoint {
                    route: key.0.clone(),
                    method: key.1.clone(),
                    reason: format!("{} {} is too young to be compared: {reason}", key.1, key.0),
                }),
            }
        }
        let p_values: Vec<_> = compared
            .iter()
            .map(|(.., change)| change.chance(self.least_ms))
            .collect();
        let stands = holm(&p_values, CHANCE);
        let mut slower: Vec<_> = compared
            .iter()
            .zip(stands)
            .filter(|(_, stands)| *stands)
            .map(|(found, _)| found)
            .collect();
        slower.sort_by(|a, b| growth(&b.2).total_cmp(&growth(&a.2)));
        let found = slower.into_iter();
        report
            .findings
            .extend(found.map(|((route, method), baseline, change)| {
                self.finding(route, method, *baseline, change)
            }));
    }

    fn compared(&self, endpoint: &Endpoint) -> Result<(Baseline, Change), String> {
        let (now, enough) = (endpoint.now.count(), self.enough);
        let (baseline, then) = if endpoint.yesterday.count() >= enough {
            (Baseline::Yesterday, &endpoint.yesterday)
        } else {
            (Baseline::WindowBefore, &endpoint.before)
        };
        if now < enough || then.count() < enough {
            return Err(format!(
                "{} requests {} and {} in the window before, {enough} of each are wanted",
                grouped(now),
                when(self.window),
                grouped(then.count())
            ));
        }
        let coarse = baseline == Baseline::Yesterday;
        Ok((baseline, compare(&endpoint.now, then, coarse)))
    }

    fn finding(
        &self,
        route: &str,
        method: &str,
        baseline: Baseline,
        change: &Change,
    ) -> SlowEndpoint {
        let Change { now, then, .. } = *change;
        // What says more: the percentile that has grown more.
        let (name, is, was) = if now.p50_ms * then.p95_ms > now.p95_ms * then.p50_ms {
            ("median", now.p50_ms, then.p50_ms)
        } else {
            ("p95", now.p95_ms, then.p95_ms)
        };
        let at = match baseline {
            Baseline::Yesterday => "at the same hour yesterday".to_owned(),
            Baseline::WindowBefore => format!(
                "in the {} min before",
                self.window.length().unwrap_or_default().as_secs() / 60
            ),
        };
        SlowEndpoint {
            verdict: format!(
                "{method} {route}: {name} {is:.0} ms {} against {was:.0} ms {at} (n = {} and {}; a request of now is slower than one of then \
                 with a probability of {:.2})",
                when(self.window),
                grouped(now.count),
                grouped(then.count),
                change.effect
            ),
            by: SlowBy::Change {
                baseline,
                before_requests: then.count,
                before_p50_ms: then.p50_ms,
                before_p95_ms: then.p95_ms,
                effect: change.effect,
                p_value: change.chance(self.least_ms),
            },
            ..endpoint_of(route, method, now)
        }
    }
}

fn endpoints(snapshot: &LatencySnapshot, window: Window) -> BTreeMap<(String, String), Endpoint> {
    let half = window
        .length()
        .map_or(0, |length| length.as_millis() as u64 / 2);
    // The hour that most of the window lies in.
    let hour = snapshot.taken_unix_ms.saturating_sub(half) / HOUR_MS;
    let yesterday = hour.checked_sub(A_DAY_IN_HOURS);
    let mut endpoints: BTreeMap<(String, String), Endpoint> = BTreeMap::new();
    let answered = |series: &&SeriesSnapshot| {
        !matches!(series.class(), StatusClass::Aborted | StatusClass::Error)
    };
    for series in snapshot.series.iter().filter(answered) {
        let key = (series.route.clone(), series.method.clone());
        let endpoint = endpoints.entry(key).or_default();
        endpoint.now = endpoint.now.merge(series.histogram(window));
        endpoint.before = endpoint.before.merge(series.before(window));
        let hours = series.hours().iter();
        for past in hours.filter(|past| Some(past.unix_hour) == yesterday) {
            endpoint.yesterday = endpoint.yesterday.merge(&past.body_end);
        }
    }
    endpoints.retain(|_, endpoint| !endpoint.now.is_empty());
    endpoints
}

fn endpoint_of(route: &str, method: &str, times: Times) -> SlowEndpoint {
    SlowEndpoint {
        route: route.to_owned(),
        method: method.to_owned(),
        requests: times.count,
        p50_ms: times.p50_ms,
        p95_ms: times.p95_ms,
        ..SlowEndpoint::default()
    }
}

fn growth(change: &Change) -> f64 {
    let of = |now: f64, then: f64| now / then.max(f64::MIN_POSITIVE);
    of(change.now.p95_ms, change.then.p95_ms).max(of(change.now.p50_ms, change.then.p50_ms))
}

fn by_excess(a: &SlowEndpoint, b: &SlowEndpoint) -> Ordering {
    let excess = |found: &SlowEndpoint| match &found.by {
        SlowBy::Target {
            limit_ms, found_ms, ..
        } => found_ms / limit_ms,
        _ => 0.0,
    };
    excess(b).total_cmp(&excess(a))
}

fn ms(time: std::time::Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// `p95`, `p99.9`.
fn percentile(quantile: f64) -> String {
    let percent = (quantile * 1e6).round() / 1e4;
    format!("p{percent}")
}

/// `1,842`.
pub(crate) fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
