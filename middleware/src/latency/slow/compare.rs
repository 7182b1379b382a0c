//! Whether one histogram of times is slower than another, by rank tests on their buckets.
//!
//! Two tests, since a route gets slow in two ways. If all requests are slower, the Mann-Whitney U test with its correction for ties says so
//! (Mann and Whitney, 1947; ties: Lehmann, "Nonparametrics", 1.4), and its effect is the probability that a request of now is slower than one
//! of then (Vargha and Delaney, 2000: from 0.71 it is a large one). If a few are much slower, it sees little; then the quantile
//! test does, which asks whether the slowest twentieth of both together has more requests of now than chance gives it: exactly, by the
//! hypergeometric distribution (Johnson, Verrill and Moore, Biometrics 43, 1987). Both take histograms as they are: equal buckets are ties.
//!
//! Requests of one moment resemble each other, so with thousands of them every small change is "significant". So a change must be large as well:
//! what that means is said at [`Change::chance`].

use super::normal::{hypergeometric_upper_tail, upper_tail};
use crate::latency::Histogram;

/// The part of both histograms together that the quantile test looks at: what is slower than their 95th percentile.
const SLOWEST_SHARE: f64 = 0.05;
/// A large effect (Vargha and Delaney).
const LARGE_EFFECT: f64 = 0.71;
/// How many times as long a percentile must be.
const WORTH_TELLING: f64 = 1.5;
/// The share of requests that must be slower than the 95th percentile of then, where a twentieth was. A percentile alone may lie where times have
/// a gap, and jumps over it by chance.
const WORTH_TELLING_SHARE: f64 = 0.1;

/// What the comparison of two histograms came to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Change {
    pub(super) now: Times,
    pub(super) then: Times,
    /// How probable it is that a request of now is slower than one of then; 0.5 is no difference.
    pub(super) effect: f64,
    /// The share of requests that are slower than the 95th percentile of then.
    beyond: f64,
    /// How probable such a difference of all times, or a larger one, is by chance.
    all: f64,
    /// The same of the slowest.
    slowest: f64,
}

/// Figures of one side.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Times {
    pub(super) count: u64,
    pub(super) p50_ms: f64,
    pub(super) p95_ms: f64,
}

impl Times {
    pub(super) fn of(histogram: &Histogram) -> Self {
        let quantile = |q| histogram.value_at_quantile(q).as_secs_f64() * 1e3;
        Self {
            count: histogram.count(),
            p50_ms: quantile(0.5),
            p95_ms: quantile(0.95),
        }
    }
}

impl Change {
    /// How probable by chance is what makes this route slower: most of its requests are (median 1.5 times as long, and a large effect), or its
    /// slowest are (95th percentile 1.5 times as long, and a tenth beyond that of then), by `least_ms` at least. Each is asked of its own test alone, and the smaller probability
    /// is doubled, since there are two. 1 where it is not slower.
    pub(super) fn chance(&self, least_ms: f64) -> f64 {
        let is_worse = |now: f64, then: f64| now >= WORTH_TELLING * then && now - then >= least_ms;
        let mut chance: f64 = 0.5;
        if is_worse(self.now.p50_ms, self.then.p50_ms) && self.effect >= LARGE_EFFECT {
            chance = chance.min(self.all);
        }
        if is_worse(self.now.p95_ms, self.then.p95_ms) && self.beyond >= WORTH_TELLING_SHARE {
            chance = chance.min(self.slowest);
        }
        2.0 * chance
    }
}

/// Compares. `coarse`: `then` is known to 1/16 of its times, as hours of the past are; so `now` is taken so too.
pub(super) fn compare(now: &Histogram, then: &Histogram, coarse: bool) -> Change {
    let bins = bins(now, then, if coarse { COARSE_BITS } else { 0 });
    let (effect, all) = mann_whitney(&bins);
    let within = now.count_at_or_below(then.value_at_quantile(0.95));
    Change {
        now: Times::of(now),
        then: Times::of(then),
        effect,
        beyond: 1.0 - within as f64 / now.count().max(1) as f64,
        all,
        slowest: slowest(&bins),
    }
}

/// Eight buckets of 1/128 are one of 1/16.
const COARSE_BITS: u32 = 3;

/// Counts of both, by bucket, the shortest times first.
fn bins(now: &Histogram, then: &Histogram, bits: u32) -> Vec<(u64, u64)> {
    let mut bins = std::collections::BTreeMap::<usize, (u64, u64)>::new();
    for (index, count) in now.counts() {
        bins.entry(index >> bits).or_default().0 += count;
    }
    for (index, count) in then.counts() {
        bins.entry(index >> bits).or_default().1 += count;
    }
    bins.into_values().collect()
}

/// The effect, and the one-sided probability by chance.
fn mann_whitney(bins: &[(u64, u64)]) -> (f64, f64) {
    let now: f64 = bins.iter().map(|bin| bin.0 as f64).sum();
    let then: f64 = bins.iter().map(|bin| bin.1 as f64).sum();
    let all = now + then;
    if now < 1.0 || then < 1.0 {
        return (0.5, 1.0);
    }
    let (mut u, mut below, mut ties) = (0.0, 0.0, 0.0);
    for (in_now, in_then) in bins {
        let (in_now, in_then) = (*in_now as f64, *in_then as f64);
        u += in_now * (below + in_then / 2.0);
        below += in_then;
        let tied = in_now + in_then;
        ties += tied.powi(3) - tied;
    }
    let variance = now * then / 12.0 * (all + 1.0 - ties / (all * (all - 1.0)));
    if variance <= 0.0 {
        return (0.5, 1.0);
    }
    // Less a half: U goes in steps.
    let z = (u - now * then / 2.0 - 0.5) / variance.sqrt();
    (u / (now * then), upper_tail(z))
}

/// The quantile test's one-sided probability by chance.
fn slowest(bins: &[(u64, u64)]) -> f64 {
    let now: u64 = bins.iter().map(|bin| bin.0).sum();
    let all: u64 = now + bins.iter().map(|bin| bin.1).sum::<u64>();
    let wanted = (all as f64 * SLOWEST_SHARE).ceil() as u64;
    let (mut slow, mut slow_now) = (0, 0);
    for (in_now, in_then) in bins.iter().rev() {
        if slow >= wanted {
            break;
        }
        slow += in_now + in_then;
        slow_now += in_now;
    }
    if slow == 0 || slow == all {
        return 1.0;
    }
    hypergeometric_upper_tail(all, slow, now, slow_now)
}

/// Which of several p-values stand at a level that holds for all of them together (Holm, Scandinavian Journal of Statistics 6, 1979): with
/// hundreds of routes, one in a hundred is found by chance at 1 %.
pub(super) fn holm(p_values: &[f64], level: f64) -> Vec<bool> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|a, b| p_values[*a].total_cmp(&p_values[*b]));
    let mut stands = vec![false; p_values.len()];
    for (rank, at) in order.iter().enumerate() {
        if p_values[*at] * (p_values.len() - rank) as f64 > level {
            break;
        }
        stands[*at] = true;
    }
    stands
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn histogram(ms: impl IntoIterator<Item = f64>) -> Histogram {
        Histogram::of(ms.into_iter().map(|ms| Duration::from_secs_f64(ms / 1e3)))
    }

    /// By going through all pairs.
    #[test]
    fn the_effect_is_the_share_of_pairs_in_which_now_is_slower() {
        let now = [5.0, 7.0, 7.0, 9.0, 30.0];
        let then = [4.0, 5.0, 7.0, 8.0];
        let pairs = now.iter().flat_map(|a| then.iter().map(move |b| (a, b)));
        let wins: f64 = pairs
            .map(|(a, b): (&f64, &f64)| match a.total_cmp(b) {
                std::cmp::Ordering::Greater => 1.0,
                std::cmp::Ordering::Equal => 0.5,
                std::cmp::Ordering::Less => 0.0,
            })
            .sum();
        let change = compare(&histogram(now), &histogram(then), false);
        assert_eq!(change.effect, wins / 20.0);
    }

    /// No ties, 43 of 48 pairs: by the formula without its correction.
    #[test]
    fn the_probability_is_the_normal_approximation_with_continuity() {
        let now = histogram([1.1, 2.2, 3.3, 4.4, 5.5, 6.6, 7.7, 8.8]);
        let then = histogram([0.5, 0.6, 0.7, 2.1, 2.3, 2.4]);
        let (effect, p) = mann_whitney(&bins(&now, &then, 0));
        assert!((effect - 43.0 / 48.0).abs() < 1e-12, "{effect}");
        let wanted = upper_tail(18.5 / (8.0 * 6.0 * 15.0 / 12.0_f64).sqrt());
        assert!((p - wanted).abs() < 1e-12, "{p} {wanted}");
    }

    #[test]
    fn of_equal_or_empty_histograms_nothing_is_said() {
        let same = histogram((0..500).map(|at| 10.0 + f64::from(at % 50)));
        let change = compare(&same, &same, false);
        assert_eq!(change.effect, 0.5);
        assert!(change.all > 0.4 && change.slowest > 0.4, "{change:?}");
        assert_eq!(change.chance(0.0), 1.0);
        let nothing = Histogram::new();
        let one_bucket = histogram([7.0; 100]);
        for (now, then) in [
            (&same, &nothing),
            (&nothing, &same),
            (&nothing, &nothing),
            (&one_bucket, &one_bucket),
        ] {
            let change = compare(now, then, true);
            assert_eq!(
                (change.all, change.slowest, change.chance(0.0)),
                (1.0, 1.0, 1.0)
            );
        }
    }

    #[test]
    fn a_slow_tail_is_found_where_ranks_see_little() {
        let then = histogram((0..1_000).map(|at| 10.0 + f64::from(at % 100) / 10.0));
        let now = histogram((0..1_000).map(|at| {
            let usual = 10.0 + f64::from(at % 100) / 10.0;
            if at % 10 == 0 { 40.0 * usual } else { usual }
        }));
        let change = compare(&now, &then, false);
        assert!(change.effect < 0.56, "{change:?}");
        assert!(change.chance(5.0) < 1e-6, "{change:?}");
        assert_eq!(change.chance(1e6), 1.0);
    }

    #[test]
    fn holms_levels_grow_with_each_that_stands() {
        assert_eq!(holm(&[0.04, 0.001, 0.012], 0.03), [false, true, true]);
        assert_eq!(holm(&[0.02, 0.02], 0.03), [false, false]);
        assert_eq!(holm(&[], 0.03), Vec::<bool>::new());
    }
}
