//! When requests are due: stages of a rate, and the exact moment of each arrival.
//!
//! With `N(t)` arrivals expected by the time `t`, arrival `k` (from 0) is due at `N⁻¹(k)` with even spacing. With Poisson
//! spacing the arrivals of a process of rate 1 are taken through the same inverse (Çınlar 1975, inversion of the integrated
//! rate), so that a ramp is as exact as a constant rate. Nothing here reads a clock.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde::{Deserialize, Serialize};

pub(crate) use crate::part::Part;
#[cfg(feature = "schema")]
use crate::plan::{MAX_DURATION_S, MAX_RATE_PER_S};

/// A part of a run in which the rate is constant or changes evenly.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// How long it lasts, in seconds: more than 0.
    #[cfg_attr(feature = "schema", schemars(range(max = MAX_DURATION_S), extend("exclusiveMinimum" = 0)))]
    pub duration_s: f64,
    /// Arrivals a second at its beginning: 0 or more.
    #[cfg_attr(feature = "schema", schemars(range(min = 0.0, max = MAX_RATE_PER_S)))]
    pub rate_per_s: f64,
    /// Arrivals a second at its end; what it began with where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = 0.0, max = MAX_RATE_PER_S)))]
    pub to_rate_per_s: Option<f64>,
}

/// How arrivals lie between one another.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Spacing {
    /// As a metronome.
    #[default]
    Even,
    /// As visitors who know nothing of one another.
    Poisson,
}

/// A stage with what came before it.
#[derive(Debug, Clone, Copy)]
struct Leg {
    begin_s: f64,
    begin_count: f64,
    duration_s: f64,
    count: f64,
    rate: f64,
    /// Change of the rate a second.
    slope: f64,
}

/// The integrated rate of a list of stages.
#[derive(Debug, Clone)]
pub(crate) struct Curve {
    legs: Vec<Leg>,
    count: f64,
}

impl Curve {
    pub(crate) fn new(stages: &[Stage]) -> Self {
        let (mut begin_s, mut begin_count) = (0.0, 0.0);
        let legs = stages
            .iter()
            .map(|stage| {
                let to = stage.to_rate_per_s.unwrap_or(stage.rate_per_s);
                let leg = Leg {
                    begin_s,
                    begin_count,
                    duration_s: stage.duration_s,
                    count: f64::midpoint(stage.rate_per_s, to) * stage.duration_s,
                    rate: stage.rate_per_s,
                    slope: (to - stage.rate_per_s) / stage.duration_s,
                };
                begin_s += leg.duration_s;
                begin_count += leg.count;
                leg
            })
            .collect();
        Self {
            legs,
            count: begin_count,
        }
    }

    /// Arrivals until the end, as a real number.
    pub(crate) fn count(&self) -> f64 {
        self.count
    }

    /// When so many have come, in seconds from the beginning; `None` past the end.
    fn moment(&self, count: f64) -> Option<f64> {
        if count >= self.count {
            return None;
        }
        // The last leg that begins at or before it; one without arrivals is passed over, for the next begins there too.
        let at = self.legs.partition_point(|leg| leg.begin_count <= count);
        let leg = self.legs.get(at.checked_sub(1)?)?;
        let rest = count - leg.begin_count;
        if rest == 0.0 && leg.rate == 0.0 {
            // A ramp from nothing: the first of it comes when the rate has risen above nothing, which is at once.
            return Some(leg.begin_s);
        }
        // Of rate·t + slope·t²/2 = rest, in the form that loses no figures where the slope is small.
        let root = (leg.rate * leg.rate + 2.0 * leg.slope * rest)
            .max(0.0)
            .sqrt();
        Some(leg.begin_s + (2.0 * rest / (leg.rate + root)).min(leg.duration_s))
    }
}

/// The moments of a plan's arrivals, in seconds from its beginning and in order.
pub(crate) struct Arrivals {
    curve: Curve,
    part: Part,
    next: u64,
    /// The Poisson process of rate 1, and how far it has come.
    random: Option<(StdRng, f64)>,
}

impl Arrivals {
    pub(crate) fn new(curve: Curve, spacing: Spacing, seed: u64, part: Part) -> Self {
        Self {
            curve,
            part,
            next: 0,
            random: (spacing == Spacing::Poisson).then(|| (StdRng::seed_from_u64(seed), 0.0)),
        }
    }

    /// The next of all processes, and its number.
    fn any(&mut self) -> Option<(u64, f64)> {
        let number = self.next;
        let count = match &mut self.random {
            // Counting in whole numbers, so that no error adds up. A sum of stages may miss a whole number by its rounding.
            None => {
                let count = number as f64;
                if count > self.curve.count() - 1e-6 {
                    return None;
                }
                count
            }
            Some((random, count)) => {
                let uniform: f64 = random.random();
                // ln of what lies in (0, 1].
                *count -= (1.0 - uniform).ln();
                *count
            }
        };
        self.next += 1;
        Some((number, self.curve.moment(count)?))
    }
}

impl Iterator for Arrivals {
    type Item = f64;

    fn next(&mut self) -> Option<f64> {
        loop {
            let (number, moment) = self.any()?;
            if number % self.part.of == self.part.index {
                return Some(moment);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stage(duration_s: f64, rate_per_s: f64, to: f64) -> Stage {
        Stage {
            duration_s,
            rate_per_s,
            to_rate_per_s: Some(to),
        }
    }

    fn moments(stages: &[Stage], spacing: Spacing, part: Part) -> Vec<f64> {
        Arrivals::new(Curve::new(stages), spacing, 7, part).collect()
    }

    fn even(stages: &[Stage]) -> Vec<f64> {
        moments(stages, Spacing::Even, Part::WHOLE)
    }

    #[test]
    fn a_constant_rate_is_a_metronome() {
        let moments = even(&[stage(12.0, 5_000.0, 5_000.0)]);
        assert_eq!(moments.len(), 60_000);
        for (number, moment) in moments.iter().enumerate() {
            assert!((moment - number as f64 / 5_000.0).abs() < 1e-9, "{number}");
        }
        assert_eq!(even(&[stage(1.0, 2.5, 2.5)]), [0.0, 0.4, 0.8]);
        assert_eq!(even(&[stage(10.0, 0.1, 0.1)]), [0.0]);
    }

    #[test]
    fn a_ramp_has_as_many_by_each_moment_as_its_integral() {
        for (from, to) in [(0.0, 100.0), (100.0, 0.0), (10.0, 1_000.0), (7.0, 7.0001)] {
            let moments = even(&[stage(20.0, from, to)]);
            let count = (from + to) / 2.0 * 20.0;
            assert!((moments.len() as f64 - count).abs() <= 1.0, "{from} {to}");
            for (number, t) in moments.iter().enumerate() {
                let integral = from * t + (to - from) / 20.0 * t * t / 2.0;
                assert!(
                    (integral - number as f64).abs() < 1e-6 * count,
                    "{from} {to} {number} {t}"
                );
            }
        }
    }

    #[test]
    fn stages_follow_one_another_without_a_gap_and_a_pause_is_one() {
        let moments = even(&[
            stage(1.0, 10.0, 10.0),
            stage(2.0, 0.0, 0.0),
            stage(1.0, 100.0, 100.0),
        ]);
        assert_eq!(moments.len(), 110);
        assert!(moments[9] < 1.0);
        assert_eq!(moments[10], 3.0);
        let steps: Vec<_> = (1..=5)
            .map(|step| stage(0.3, 1_000.0 * f64::from(step), 1_000.0 * f64::from(step)))
            .collect();
        assert_eq!(even(&steps).len(), 4_500);
    }

    #[test]
    fn moments_rise_and_end_before_the_end_whatever_the_stages() {
        use rand::RngExt;
        let mut random = StdRng::seed_from_u64(1);
        for _ in 0..300 {
            let stages: Vec<_> = (0..random.random_range(1..6))
                .map(|_| {
                    let rate = |random: &mut StdRng| match random.random_range(0..4) {
                        0 => 0.0,
                        _ => random.random_range(0.0..500.0),
                    };
                    stage(
                        random.random_range(0.01..3.0),
                        rate(&mut random),
                        rate(&mut random),
                    )
                })
                .collect();
            let end: f64 = stages.iter().map(|stage| stage.duration_s).sum();
            let count = Curve::new(&stages).count();
            let moments = even(&stages);
            assert!((moments.len() as f64 - count).abs() <= 1.0, "{stages:?}");
            for spacing in [Spacing::Even, Spacing::Poisson] {
                let moments = self::moments(&stages, spacing, Part::WHOLE);
                assert!(moments.is_sorted(), "{stages:?}");
                assert!(
                    moments.iter().all(|t| (0.0..=end).contains(t)),
                    "{stages:?}"
                );
            }
        }
    }

    #[test]
    fn poisson_has_its_mean_and_its_deviation_in_each_half_of_a_ramp() {
        // 30,000 expected, a deviation of 173: five of them is one in a million, and the seed is fixed.
        let moments = moments(
            &[stage(10.0, 2_000.0, 4_000.0)],
            Spacing::Poisson,
            Part::WHOLE,
        );
        assert!((moments.len() as f64 - 30_000.0).abs() < 870.0);
        let early = moments.iter().filter(|t| **t < 5.0).count() as f64;
        assert!((early - 12_500.0).abs() < 560.0, "{early}");
        // Gaps of a Poisson process are as wide as they deviate.
        let gaps: Vec<f64> = moments.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        assert!((variance.sqrt() / mean - 1.0).abs() < 0.15);
    }

    #[test]
    fn the_parts_of_several_processes_are_the_whole() {
        for spacing in [Spacing::Even, Spacing::Poisson] {
            let stages = [stage(3.0, 100.0, 333.0), stage(1.0, 50.0, 50.0)];
            let whole = moments(&stages, spacing, Part::WHOLE);
            let mut together: Vec<f64> = (0..3)
                .flat_map(|index| moments(&stages, spacing, Part { index, of: 3 }))
                .collect();
            together.sort_by(f64::total_cmp);
            assert_eq!(together, whole);
        }
    }
}
