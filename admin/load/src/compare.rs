//! Whether a run is better or worse than an earlier one, metric by metric, with the noise of both in view.
//!
//! What is compared are the seconds of both runs. Their medians' relative difference has an interval by a moving-block
//! bootstrap (Künsch 1989): seconds that follow one another are alike, so they are drawn in blocks. A difference counts only
//! where the interval lies on one side of nothing and the difference is larger than what the caller calls small.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde::{Deserialize, Serialize};

use crate::series::Interval;

/// Seconds that are drawn together.
const BLOCK: usize = 10;
/// Fewer seconds than this on either side say nothing: two blocks.
const MIN_SECONDS: usize = 2 * BLOCK;
const RESAMPLES: usize = 2_000;
/// Of the interval: 99 %, as blocks of ten seconds still make noise that is slower look smaller than it is.
const TAIL: f64 = 0.005;

/// How far a metric may move before it matters.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tolerance {
    /// A change of less is no change, in per cent: 0 to 100. Default 5.
    pub small_percent: f64,
}

impl Default for Tolerance {
    fn default() -> Self {
        Self { small_percent: 5.0 }
    }
}

/// How a metric moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Movement {
    /// For the better, beyond noise.
    Better,
    /// For the worse, beyond noise.
    Worse,
    /// The interval is narrow, and what it allows is small.
    Same,
    /// The noise is wider than what matters: a longer run would tell.
    Unclear,
    /// One of the runs has fewer than twenty seconds with answers.
    TooShort,
}

/// One metric of two runs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// `rate`, `p50`, `p95` or `p99`, by the second.
    pub metric: &'static str,
    /// Median of the earlier run's seconds.
    pub before: f64,
    /// Median of this run's.
    pub after: f64,
    /// Change in per cent of `before`, with its interval; none where a run was too short.
    pub change_percent: Option<Change>,
    /// The verdict.
    pub movement: Movement,
}

/// A change and its 99 % interval, in per cent.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Change {
    /// The change of the medians.
    pub value: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// Name, whether more is better, and its value in a second.
type Metric = (&'static str, bool, fn(&Interval) -> f64);

const METRICS: [Metric; 5] = [
    ("rate", true, |second| {
        #[expect(clippy::cast_precision_loss, reason = "answers of a second")]
        let ok = second.ok as f64;
        ok / second.duration_s
    }),
    ("p50", false, |second| second.p50_ms),
    ("p95", false, |second| second.p95_ms),
    ("p99", false, |second| second.p99_ms),
    // Of what has an end: none of it where every request fails.
    ("success_percent", true, |second| {
        #[expect(clippy::cast_precision_loss, reason = "answers of a second")]
        let (ok, all) = (second.ok as f64, (second.ok + second.errors) as f64);
        if all > 0.0 { 100.0 * ok / all } else { 100.0 }
    }),
];

/// Compares the seconds of two runs. The same input gives the same answer.
#[must_use]
pub fn compare(before: &[Interval], after: &[Interval], tolerance: &Tolerance) -> Vec<Comparison> {
    METRICS
        .iter()
        .map(|metric| one(metric, before, after, tolerance))
        .collect()
}

fn one(
    (metric, is_more_better, value): &Metric,
    before: &[Interval],
    after: &[Interval],
    tolerance: &Tolerance,
) -> Comparison {
    // A second without answers has a rate and no percentile.
    let values = |seconds: &[Interval]| -> Vec<f64> {
        let counted = seconds
            .iter()
            .filter(|second| *is_more_better || second.ok > 0);
        counted.map(value).collect()
    };
    let (before, after) = (values(before), values(after));
    let (from, to) = (median(&before), median(&after));
    let change = (before.len() >= MIN_SECONDS && after.len() >= MIN_SECONDS && from > 0.0)
        .then(|| change(&before, &after));
    let movement = match change {
        None => Movement::TooShort,
        Some(change) => {
            let small = tolerance.small_percent;
            let is_up = change.low > 0.0 && change.value > small;
            let is_down = change.high < 0.0 && change.value < -small;
            if is_up == *is_more_better && (is_up || is_down) {
                Movement::Better
            } else if is_up || is_down {
                Movement::Worse
            } else if change.low >= -small && change.high <= small {
                Movement::Same
            } else {
                Movement::Unclear
            }
        }
    };
    Comparison {
        metric,
        before: from,
        after: to,
        change_percent: change,
        movement,
    }
}

fn change(before: &[f64], after: &[f64]) -> Change {
    let percent = |from: f64, to: f64| 100.0 * (to / from - 1.0);
    let mut random = StdRng::seed_from_u64(0);
    let mut drawn: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            let (from, to) = (
                median(&resampled(before, &mut random)),
                median(&resampled(after, &mut random)),
            );
            percent(from.max(f64::MIN_POSITIVE), to)
        })
        .collect();
    drawn.sort_by(f64::total_cmp);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a rank among a few thousand"
    )]
    let at = |share: f64| drawn[((RESAMPLES - 1) as f64 * share).round() as usize];
    Change {
        value: percent(median(before), median(after)),
        low: at(TAIL),
        high: at(1.0 - TAIL),
    }
}

/// As many values, drawn in blocks that begin anywhere.
fn resampled(values: &[f64], random: &mut StdRng) -> Vec<f64> {
    let mut drawn = Vec::with_capacity(values.len() + BLOCK);
    while drawn.len() < values.len() {
        let begin = random.random_range(0..=values.len() - BLOCK);
        drawn.extend_from_slice(&values[begin..begin + BLOCK]);
    }
    drawn.truncate(values.len());
    drawn
}

/// 0 of nothing.
fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => 0.0,
        length => f64::midpoint(sorted[(length - 1) / 2], sorted[length / 2]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seconds whose median time is about `ms`, with noise in which one second is like the one before.
    fn seconds(count: usize, ms: f64, noise: f64, seed: u64) -> Vec<Interval> {
        let mut random = StdRng::seed_from_u64(seed);
        let mut slow = 0.0;
        (0..count)
            .map(|second| {
                slow = 0.7 * slow + random.random_range(-1.0..1.0) * noise;
                let p50_ms = ms * (1.0 + slow);
                Interval {
                    observed: std::collections::BTreeMap::new(),
                    body_bytes: 0,
                    in_flight: 0,
                    cpu_s: 0.0,
                    until_s: second as f64 + 1.0,
                    duration_s: 1.0,
                    ok: 1_000,
                    errors: 0,
                    p50_ms,
                    p95_ms: 2.0 * p50_ms,
                    p99_ms: 3.0 * p50_ms,
                    max_ms: 4.0 * p50_ms,
                    response: crate::packed::Packed::default(),
                }
            })
            .collect()
    }

    fn movement(before: &[Interval], after: &[Interval], metric: &str) -> Movement {
        let compared = compare(before, after, &Tolerance::default());
        let of = compared.iter().find(|one| one.metric == metric);
        of.map(|one| one.movement).expect("a metric")
    }

    #[test]
    fn more_errors_are_worse_whatever_the_good_answers_do() {
        let before = seconds(60, 10.0, 0.02, 1);
        let mut after = before.clone();
        for second in &mut after {
            second.errors = 1_000;
        }
        assert_eq!(movement(&before, &after, "rate"), Movement::Same);
        assert_eq!(
            movement(&before, &after, "success_percent"),
            Movement::Worse
        );
        assert_eq!(
            movement(&after, &before, "success_percent"),
            Movement::Better
        );
        assert_eq!(
            movement(&before, &before, "success_percent"),
            Movement::Same
        );
    }

    #[test]
    fn a_real_change_is_seen_and_names_its_direction() {
        let (before, slower) = (seconds(60, 10.0, 0.02, 1), seconds(60, 12.0, 0.02, 2));
        assert_eq!(movement(&before, &slower, "p95"), Movement::Worse);
        assert_eq!(movement(&slower, &before, "p95"), Movement::Better);
        assert_eq!(movement(&before, &slower, "rate"), Movement::Same);
        let mut fewer = before.clone();
        for second in &mut fewer {
            second.ok /= 2;
        }
        assert_eq!(movement(&before, &fewer, "rate"), Movement::Worse);
    }

    #[test]
    fn the_same_thing_twice_is_seldom_called_a_change() {
        let mut called = 0;
        for seed in 0..100 {
            let (one, other) = (
                seconds(60, 10.0, 0.1, 2 * seed),
                seconds(60, 10.0, 0.1, 2 * seed + 1),
            );
            let movement = movement(&one, &other, "p99");
            called += i32::from(matches!(movement, Movement::Better | Movement::Worse));
        }
        // 1 % by the interval, and more for what blocks of ten seconds leave out of such slow noise.
        assert!(called <= 8, "{called} of 100");
    }

    #[test]
    fn noise_that_hides_what_matters_is_unclear_and_twenty_seconds_are_needed() {
        let (one, other) = (seconds(20, 10.0, 0.4, 5), seconds(20, 10.4, 0.4, 6));
        assert_eq!(movement(&one, &other, "p50"), Movement::Unclear);
        let short = seconds(19, 10.0, 0.01, 7);
        assert_eq!(movement(&short, &one, "p50"), Movement::TooShort);
        assert_eq!(movement(&one, &[], "rate"), Movement::TooShort);
    }

    #[test]
    fn a_small_change_is_no_change_however_sure_it_is() {
        let (before, after) = (seconds(60, 10.0, 0.001, 1), seconds(60, 10.2, 0.001, 2));
        assert_eq!(movement(&before, &after, "p50"), Movement::Same);
        let strict = Tolerance { small_percent: 1.0 };
        let compared = compare(&before, &after, &strict);
        assert_eq!(compared[1].movement, Movement::Worse, "{compared:#?}");
    }
}
