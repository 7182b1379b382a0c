//! How sure a percentile is.
//!
//! Of `n` independent values, how many lie below the `q` quantile is binomial with `n` and `q`. So the value of rank `l` is
//! a lower bound of the quantile that fails with probability P(B < l), and that of rank `u` an upper one that fails with
//! P(B >= u), whatever the distribution (David and Nagaraja, Order Statistics, 3rd edition, section 7.1). With each of the
//! two at most 2.5 % the interval holds the quantile 95 times of 100. Where even the highest value is no such upper bound,
//! the run was too short to say anything of that percentile.
//!
//! Times that follow one another in a run are alike, which such an interval does not know: take it as the least that is
//! uncertain. [`compare`](crate::compare()) draws whole blocks of seconds for that reason.

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::percentiles::ms;

/// The percentiles that a report shows.
pub(crate) const QUANTILES: [f64; 7] = [0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 0.9999];

/// What each end of an interval may fail with.
const TAIL: f64 = 0.025;

/// A percentile with its 95 % interval, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Estimate {
    /// Which one, 50 to 99.99.
    pub percentile: f64,
    /// Its value; none where there were fewer than `needed`.
    pub value_ms: Option<f64>,
    /// Lower end of the interval; none where there were too few for one.
    pub low_ms: Option<f64>,
    /// Upper end.
    pub high_ms: Option<f64>,
    /// How many have to be counted before the percentile has an upper end.
    pub needed: u64,
}

/// The lower end of a quantile's interval, in milliseconds, of a histogram of microseconds.
pub(crate) fn low_end(histogram: &Histogram<u64>, quantile: f64) -> Option<f64> {
    let (rank, _) = ranks(histogram.len(), quantile);
    let mut counted = 0;
    let at = histogram.iter_recorded().find(|at| {
        counted += at.count_at_value();
        rank.is_some_and(|rank| counted >= rank)
    })?;
    Some(ms(histogram.lowest_equivalent(at.value_iterated_to())))
}

/// The percentiles of a histogram of microseconds.
pub(crate) fn estimates(histogram: &Histogram<u64>) -> Vec<Estimate> {
    let mut counted = 0;
    let ranked: Vec<(u64, u64)> = histogram
        .iter_recorded()
        .map(|at| {
            counted += at.count_at_value();
            (counted, at.value_iterated_to())
        })
        .collect();
    let value_of = |rank: u64| {
        let at = ranked.partition_point(|(counted, _)| *counted < rank);
        ranked.get(at).map(|(_, value)| *value)
    };
    QUANTILES
        .iter()
        .map(|quantile| {
            let needed = needed(*quantile);
            let (low, high) = ranks(counted, *quantile);
            Estimate {
                // 0.9999 * 100 is not 99.99.
                percentile: (quantile * 1e4).round() / 1e2,
                value_ms: (counted >= needed).then(|| ms(histogram.value_at_quantile(*quantile))),
                low_ms: low
                    .and_then(value_of)
                    .map(|us| ms(histogram.lowest_equivalent(us))),
                high_ms: high.and_then(value_of).map(ms),
                needed,
            }
        })
        .collect()
}

/// The fewest values of which the highest lies above the quantile 97.5 times of 100.
pub(crate) fn needed(quantile: f64) -> u64 {
    (TAIL.ln() / quantile.ln()).ceil() as u64
}

/// The ranks, from 1, of the values at both ends of the interval.
fn ranks(count: u64, quantile: f64) -> (Option<u64>, Option<u64>) {
    if count == 0 {
        return (None, None);
    }
    let n = count as f64;
    let odds = quantile / (1.0 - quantile);
    let mode = (((n + 1.0) * quantile) as u64).min(count);
    // Probabilities relative to that of the mode, out to where they are nothing: ten deviations at most.
    let (mut below, mut above) = (Vec::new(), Vec::new());
    let (mut weight, mut k) = (1.0, mode);
    while k > 0 && weight > 1e-20 {
        weight *= k as f64 / ((count - k + 1) as f64 * odds);
        k -= 1;
        below.push((k, weight));
    }
    (weight, k) = (1.0, mode);
    while k < count && weight > 1e-20 {
        weight *= (count - k) as f64 * odds / (k + 1) as f64;
        k += 1;
        above.push((k, weight));
    }
    let all: Vec<(u64, f64)> = below
        .into_iter()
        .rev()
        .chain([(mode, 1.0)])
        .chain(above)
        .collect();
    let tail = TAIL * all.iter().map(|(_, weight)| weight).sum::<f64>();
    let low = first_beyond(all.iter(), tail).filter(|rank| *rank > 0);
    let high = first_beyond(all.iter().rev(), tail)
        .map(|k| k + 1)
        .filter(|rank| *rank <= count);
    (low, high)
}

/// The first at which what came so far is more than the tail.
fn first_beyond<'a>(
    mut from_one_end: impl Iterator<Item = &'a (u64, f64)>,
    tail: f64,
) -> Option<u64> {
    let mut sum = 0.0;
    from_one_end
        .find(|(_, weight)| {
            sum += weight;
            sum > tail
        })
        .map(|(k, _)| *k)
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};

    use super::*;
    use crate::record;

    #[test]
    fn ranks_of_a_median_are_those_of_the_tables() {
        for (count, low, high) in [(6, 1, 6), (10, 2, 9), (20, 6, 15), (100, 40, 61)] {
            assert_eq!(ranks(count, 0.5), (Some(low), Some(high)), "{count}");
        }
        assert_eq!(ranks(5, 0.5), (None, None));
        assert_eq!(ranks(0, 0.5), (None, None));
    }

    #[test]
    fn large_runs_agree_with_the_normal_distribution() {
        let (low, high) = ranks(100_000_000, 0.99);
        // 1.96 deviations of sqrt(n q (1 - q)) on either side.
        let (middle, deviation) = (99_000_000.0, 994.987);
        for (rank, sign) in [(low, -1.0), (high, 1.0)] {
            let rank = rank.expect("a rank") as f64;
            let wanted = middle + sign * 1.96 * deviation;
            assert!((rank - wanted).abs() < 3.0, "{rank} {wanted}");
        }
    }

    #[test]
    fn a_percentile_has_an_upper_end_from_the_count_that_is_named() {
        for (quantile, count) in [
            (0.5, 6),
            (0.9, 36),
            (0.99, 368),
            (0.999, 3_688),
            (0.9999, 36_887),
        ] {
            assert_eq!(needed(quantile), count, "{quantile}");
            assert!(ranks(count, quantile).1.is_some(), "{quantile}");
            assert!(ranks(count - 1, quantile).1.is_none(), "{quantile}");
        }
    }

    #[test]
    fn the_interval_holds_the_truth_as_often_as_it_says() {
        let mut random = StdRng::seed_from_u64(11);
        // Uniform values: the quantile is known.
        for (count, at) in [(50, 0), (400, 2), (400, 4), (5_000, 5)] {
            let truth = QUANTILES[at] * 1e6;
            let trials = 1_000;
            let held = (0..trials)
                .filter(|_| {
                    let mut histogram = record::histogram();
                    for _ in 0..count {
                        histogram.saturating_record(random.random_range(1..=1_000_000));
                    }
                    let estimate = estimates(&histogram)[at];
                    let low = estimate.low_ms.expect("a lower end") * 1e3;
                    let high = estimate.high_ms.expect("an upper end") * 1e3;
                    low <= truth && truth <= high
                })
                .count();
            // 950 expected at least, with a deviation of 7.
            assert!(held >= 925, "{held} of {trials} with {count}");
        }
    }

    #[test]
    fn a_run_that_was_too_short_says_so() {
        let mut histogram = record::histogram();
        for us in 1..=400 {
            histogram.saturating_record(us);
        }
        let estimates = estimates(&histogram);
        let p99 = estimates[4];
        assert_eq!((p99.percentile, p99.value_ms), (99.0, Some(0.396)));
        let p999 = estimates[5];
        assert_eq!((p999.percentile, p999.value_ms), (99.9, None));
        assert_eq!((p999.high_ms, p999.needed), (None, 3_688));
        assert_eq!(estimates[6].percentile, 99.99);
    }
}
