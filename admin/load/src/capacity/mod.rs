//! The highest rate at which a target keeps its thresholds, found by stepping up and halving. Pure: `probe` runs what it asks
//! for.
//!
//! A probe is a run at one rate, after a time to settle. Rates double until one breaks the thresholds; then the middle of the
//! highest that held and the lowest that broke is probed, until the two are close. Both ends are then probed again: where a
//! rate that held breaks, or one that broke holds, noise is wider than the bracket, and the bracket is opened again by a step;
//! what is stated is the interval between a rate that held twice and one that broke twice.

mod knee;
mod probe;

use serde::{Deserialize, Serialize};

use crate::report::Report;

pub use self::knee::{Knee, knee};
pub use self::probe::Probing;

/// How the search goes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CapacityPlan {
    /// The first rate, in requests a second: more than 0. Default 100.
    pub from_per_s: f64,
    /// No rate above is tried. Default 100,000.
    pub to_per_s: f64,
    /// How close the two ends come, in per cent of the rate: 0.1 to 50. Default 2.
    pub resolution_percent: f64,
    /// Most probes: 4 to 100. Default 40.
    pub max_probes: usize,
}

impl Default for CapacityPlan {
    fn default() -> Self {
        Self {
            from_per_s: 100.0,
            to_per_s: 100_000.0,
            resolution_percent: 2.0,
            max_probes: 40,
        }
    }
}

impl CapacityPlan {
    /// Checks every field.
    ///
    /// # Errors
    /// The first field that is out of its range, and what it wants.
    pub fn check(&self) -> Result<(), (&'static str, String)> {
        // A NaN fails every comparison, so it is refused too.
        if !(self.from_per_s > 0.0 && self.from_per_s.is_finite()) {
            return Err((
                "from_per_s",
                "wants more than 0 requests a second".to_owned(),
            ));
        }
        if !(self.to_per_s > self.from_per_s && self.to_per_s <= crate::MAX_RATE_PER_S) {
            return Err((
                "to_per_s",
                format!(
                    "wants more than from_per_s and at most {}",
                    crate::MAX_RATE_PER_S
                ),
            ));
        }
        if !(0.1..=50.0).contains(&self.resolution_percent) {
            return Err(("resolution_percent", "wants 0.1 to 50".to_owned()));
        }
        if !(4..=100).contains(&self.max_probes) {
            return Err(("max_probes", "wants 4 to 100".to_owned()));
        }
        Ok(())
    }
}

/// What a probe found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// All thresholds held.
    Held,
    /// One did not.
    Broke,
    /// The tester itself was late, so the run says nothing of the target.
    GeneratorLimited,
    /// It was too short for a percentile that has to hold.
    TooShort,
}

/// A rate that was tried.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Probe {
    /// Requests a second.
    pub rate_per_s: f64,
    /// What came of it.
    pub outcome: Outcome,
}

/// The same with what the run measured.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Tried {
    /// Requests a second.
    pub rate_per_s: f64,
    /// What came of it.
    pub outcome: Outcome,
    /// Good answers a second.
    pub answered_per_s: f64,
    /// Median response time, in milliseconds; 0 without any answer, as the following ones.
    pub p50_ms: f64,
    /// 95th percentile.
    pub p95_ms: f64,
    /// 99th percentile.
    pub p99_ms: f64,
    /// Errors among all requests, in per cent.
    pub error_percent: f64,
}

impl Tried {
    /// A rate, and the run at it.
    #[must_use]
    pub fn new(rate_per_s: f64, outcome: Outcome, report: &Report) -> Self {
        Self {
            rate_per_s,
            outcome,
            answered_per_s: report.rate_per_s,
            p50_ms: report.response.p50_ms,
            p95_ms: report.response.p95_ms,
            p99_ms: report.response.p99_ms,
            error_percent: report.error_percent,
        }
    }
}

/// The end of a search.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "result")]
pub enum Capacity {
    /// Between a rate that held twice and one that broke twice.
    Found {
        /// The highest rate that held, in requests a second.
        low_per_s: f64,
        /// The lowest above it that broke.
        high_per_s: f64,
    },
    /// No interval can be stated.
    NotMeasurable {
        /// Why, as a sentence.
        because: String,
    },
}

/// A search under way.
#[derive(Debug, Clone)]
pub struct Search {
    plan: CapacityPlan,
    probes: Vec<Probe>,
    held: Option<f64>,
    broke: Option<f64>,
    /// Times that each end was seen as it is.
    held_times: u32,
    broke_times: u32,
    /// Times on end that the tester itself was late.
    late_times: u32,
    end: Option<Capacity>,
}

/// So often an end of the interval is seen before it is stated.
const CONFIRMED: u32 = 2;
/// So often on end the tester may be late at a rate: a machine is busy for a moment, and that is no end of a search.
const LATE: u32 = 3;

impl Search {
    /// Begins a search.
    ///
    /// # Errors
    /// As [`CapacityPlan::check`].
    pub fn new(plan: CapacityPlan) -> Result<Self, (&'static str, String)> {
        plan.check()?;
        Ok(Self {
            plan,
            probes: Vec::new(),
            held: None,
            broke: None,
            held_times: 0,
            broke_times: 0,
            late_times: 0,
            end: None,
        })
    }

    /// What was tried so far, in order.
    #[must_use]
    pub fn probes(&self) -> &[Probe] {
        &self.probes
    }

    /// The end, once nothing is left to try.
    #[must_use]
    pub fn end(&self) -> Option<&Capacity> {
        self.end.as_ref()
    }

    /// The next rate to try; `None` at the end.
    #[must_use]
    pub fn next_rate(&self) -> Option<f64> {
        if self.end.is_some() {
            return None;
        }
        Some(match (self.held, self.broke) {
            (None, None) => self.plan.from_per_s,
            (Some(held), None) => (2.0 * held).min(self.plan.to_per_s),
            // What broke from the start on is tried lower.
            (None, Some(broke)) => broke / 2.0,
            (Some(held), Some(broke)) => {
                if !self.is_close(held, broke) {
                    f64::midpoint(held, broke)
                } else if self.held_times < CONFIRMED {
                    held
                } else {
                    broke
                }
            }
        })
    }

    fn is_close(&self, held: f64, broke: f64) -> bool {
        broke - held <= held * self.plan.resolution_percent / 100.0
    }

    /// Takes what came of the rate that [`next_rate`](Self::next_rate) gave.
    pub fn take(&mut self, outcome: Outcome) {
        let Some(rate) = self.next_rate() else { return };
        self.probes.push(Probe {
            rate_per_s: rate,
            outcome,
        });
        if outcome != Outcome::GeneratorLimited {
            self.late_times = 0;
        }
        match outcome {
            Outcome::GeneratorLimited => {
                self.late_times += 1;
                if self.late_times >= LATE || self.probes.len() >= self.plan.max_probes {
                    self.fail(format!(
                        "the tester itself was late at {rate:.0} a second, so nothing can be said of the target there"
                    ));
                }
                return;
            }
            Outcome::TooShort => {
                self.fail(format!(
                    "a probe at {rate:.0} a second is too short for a percentile that has to hold: let probes be longer, or begin at a higher rate"
                ));
                return;
            }
            Outcome::Held => {
                self.held_times = if self.held == Some(rate) {
                    self.held_times + 1
                } else {
                    1
                };
                self.held = Some(rate);
                // What broke before and holds now is no end: one step up is looked for again.
                if self.broke.is_some_and(|broke| broke <= rate) {
                    let step = rate * self.plan.resolution_percent / 100.0;
                    (self.broke, self.broke_times) = (Some(rate + step), 0);
                }
            }
            Outcome::Broke => {
                self.broke_times = if self.broke == Some(rate) {
                    self.broke_times + 1
                } else {
                    1
                };
                self.broke = Some(rate);
                if self.held.is_some_and(|held| held >= rate) {
                    let step = rate * self.plan.resolution_percent / 100.0;
                    (self.held, self.held_times) = (Some(rate - step), 0);
                }
            }
        }
        self.finish_if_done(rate);
    }

    fn finish_if_done(&mut self, rate: f64) {
        if let (Some(held), Some(broke)) = (self.held, self.broke)
            && self.is_close(held, broke)
            && self.held_times >= CONFIRMED
            && self.broke_times >= CONFIRMED
        {
            self.end = Some(Capacity::Found {
                low_per_s: held,
                high_per_s: broke,
            });
        } else if self.broke.is_none() && rate >= self.plan.to_per_s {
            self.fail(format!(
                "the thresholds held up to {rate:.0} a second, which is as far as the plan goes"
            ));
        } else if self.held.is_none() && rate < self.plan.from_per_s / 64.0 {
            self.fail(format!(
                "the thresholds did not hold at {rate:.2} a second either"
            ));
        } else if self.probes.len() >= self.plan.max_probes {
            self.fail(format!(
                "{} probes did not agree: the same rate held one time and broke another",
                self.probes.len()
            ));
        }
    }

    fn fail(&mut self, because: String) {
        self.end = Some(Capacity::NotMeasurable { because });
    }
}

#[cfg(test)]
mod tests;
