//! Where a target begins to queue: the bend of its latency over the rate.
//!
//! Rate and latency are both scaled to 0 to 1; the bend of such a curve is where it lies farthest below the straight line from its
//! beginning to its end (Satopaa, Albrecht, Irwin and Raghavan, "Finding a Kneedle in a Haystack", ICDCS workshops 2011).

use serde::Serialize;

use super::{Outcome, Tried};

/// The bend of the curve.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Knee {
    /// At which rate, in requests a second.
    pub rate_per_s: f64,
    /// The 99th percentile there, in milliseconds.
    pub p99_ms: f64,
}

/// Fewer rates draw no curve.
const MIN_RATES: usize = 4;
/// A curve that bends by less is as good as straight.
const LEAST_BEND: f64 = 0.2;
/// Where the highest is less than so many times the lowest, nothing rises: that is within what two runs of one rate differ by.
const LEAST_RISE: f64 = 1.5;

/// Of what was tried, but for what the tester itself was late in; none where the curve has no bend at a rate that held.
#[must_use]
pub fn knee(tried: &[Tried]) -> Option<Knee> {
    let held = tried
        .iter()
        .filter(|tried| tried.outcome == Outcome::Held)
        .map(|tried| tried.rate_per_s)
        .fold(0.0, f64::max);
    let mut points: Vec<(f64, f64)> = tried
        .iter()
        .filter(|tried| tried.outcome != Outcome::GeneratorLimited && tried.p99_ms > 0.0)
        .map(|tried| (tried.rate_per_s, tried.p99_ms))
        .collect();
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    // A rate that was tried more than once is one point, at the mean.
    let points: Vec<(f64, f64)> = points
        .chunk_by(|a, b| a.0 == b.0)
        .map(|same| {
            let sum: f64 = same.iter().map(|(_, p99)| p99).sum();
            (same[0].0, sum / same.len() as f64)
        })
        .collect();
    let ([(first, _), .., (last, _)], true) = (&*points, points.len() >= MIN_RATES) else {
        return None;
    };
    let low = points.iter().map(|(_, p99)| *p99).fold(f64::MAX, f64::min);
    let high = points.iter().map(|(_, p99)| *p99).fold(0.0, f64::max);
    let (width, height) = (last - first, high - low);
    if !(width > 0.0 && high >= low * LEAST_RISE) {
        return None;
    }
    let below = |(rate, p99): &(f64, f64)| (rate - first) / width - (p99 - low) / height;
    let lowest = points
        .iter()
        .max_by(|a, b| below(a).total_cmp(&below(b)))
        .filter(|point| below(point) >= LEAST_BEND && point.0 <= held)?;
    Some(Knee {
        rate_per_s: lowest.0,
        p99_ms: lowest.1,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tried(rate_per_s: f64, p99_ms: f64) -> Tried {
        Tried {
            rate_per_s,
            outcome: Outcome::Held,
            answered_per_s: rate_per_s,
            p50_ms: p99_ms / 2.0,
            p95_ms: p99_ms,
            p99_ms,
            error_percent: 0.0,
        }
    }

    #[test]
    fn a_queue_bends_where_it_nears_its_limit() {
        // Of one server with exponential service times the response is 1 / (limit - rate): it has no corner, and the bend of what was
        // tried lies where little is left.
        let of = |rate: f64| tried(rate, 4_600.0 / (1_000.0 - rate));
        let all: Vec<_> = [100.0, 200.0, 400.0, 800.0, 900.0, 950.0, 990.0]
            .map(of)
            .into();
        let found = knee(&all).expect("a bend");
        assert!((800.0..=950.0).contains(&found.rate_per_s), "{found:?}");
        // A limit that is sharp bends at its last rate that was good.
        let sharp: Vec<_> = [
            (100.0, 2.0),
            (200.0, 2.1),
            (400.0, 2.0),
            (410.0, 900.0),
            (800.0, 1_500.0),
        ]
        .map(|(rate, p99)| tried(rate, p99))
        .into();
        assert_eq!(knee(&sharp).map(|knee| knee.rate_per_s), Some(400.0));
    }

    #[test]
    fn a_line_and_too_few_rates_have_none() {
        let line: Vec<_> = (1..9)
            .map(|at| tried(f64::from(at), f64::from(at)))
            .collect();
        assert_eq!(knee(&line), None);
        let flat: Vec<_> = (1..9).map(|at| tried(f64::from(at), 3.0)).collect();
        assert_eq!(knee(&flat), None);
        // What comes back as an error comes as fast: nothing rises but noise.
        let noise: Vec<_> = [
            (150.0, 93.9),
            (300.0, 98.2),
            (375.0, 84.0),
            (412.0, 86.0),
            (600.0, 91.2),
        ]
        .map(|(rate, p99)| tried(rate, p99))
        .into();
        assert_eq!(knee(&noise), None);
        // And past the capacity there is no bend to name.
        let mut past: Vec<_> = [
            (100.0, 2.0),
            (200.0, 2.0),
            (400.0, 2.1),
            (500.0, 2.0),
            (800.0, 90.0),
        ]
        .map(|(rate, p99)| tried(rate, p99))
        .into();
        assert!(knee(&past).is_some());
        (past[3].outcome, past[4].outcome) = (Outcome::Broke, Outcome::Broke);
        assert_eq!(knee(&past), None);
        let few = [
            tried(1.0, 1.0),
            tried(1.0, 2.0),
            tried(2.0, 1.0),
            tried(3.0, 90.0),
        ];
        assert_eq!(knee(&few), None);
        let mut late = [
            tried(1.0, 1.0),
            tried(2.0, 1.0),
            tried(3.0, 1.0),
            tried(4.0, 90.0),
        ];
        assert!(knee(&late).is_some());
        late[3].outcome = Outcome::GeneratorLimited;
        assert_eq!(knee(&late), None);
        assert_eq!(knee(&[]), None);
    }
}
