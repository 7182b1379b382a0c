//! A run at one rate, held against thresholds.

use super::Outcome;
use crate::arrivals::{Spacing, Stage};
use crate::engine::Run;
use crate::plan::{Open, PlanError};
use crate::report::Report;
use crate::threshold::{Threshold, Verdict};

/// A probe is preceded by so much of its own length at the same rate, which does not count: what an earlier probe left behind
/// in queues and caches is gone by then.
const SETTLE_SHARE: f64 = 0.25;
/// A probe that would be too short for its percentiles is made longer, up to this.
const LONGEST_S: f64 = 60.0;
/// So many times the answers that a percentile takes, for some may fail.
const ROOM: f64 = 1.1;

/// What the probes of a search have in common.
#[derive(Debug, Clone, Copy)]
pub struct Probing<'a, S> {
    /// Starts a run of a plan with these stages.
    pub start: S,
    /// What has to hold.
    pub thresholds: &'a [Threshold],
    /// How long a probe counts, in seconds; a quarter of that goes before it, to settle. One that would be too short for a percentile
    /// that has to hold is longer, up to a minute.
    pub duration_s: f64,
    /// How arrivals lie between one another.
    pub spacing: Spacing,
}

impl<S: AsyncFn(Open) -> Result<Run, PlanError>> Probing<'_, S> {
    /// Runs one, and says what came of it. Its run ends when this is dropped.
    ///
    /// # Errors
    /// Those of `start`.
    pub async fn at(&self, rate_per_s: f64) -> Result<(Outcome, Report), PlanError> {
        self.run(rate_per_s, self.duration_s * SETTLE_SHARE).await?;
        let report = self.run(rate_per_s, self.counted_s(rate_per_s)).await?;
        let verdicts: Vec<_> = self
            .thresholds
            .iter()
            .map(|one| one.judge(&report))
            .collect();
        let outcome = if report.generator_limited.is_some() {
            Outcome::GeneratorLimited
        } else if report.missed > 0 || verdicts.iter().any(Verdict::is_broken) {
            Outcome::Broke
        } else if verdicts.iter().all(|verdict| verdict.holds) {
            Outcome::Held
        } else {
            Outcome::TooShort
        };
        Ok((outcome, report))
    }

    /// As long as its percentiles take at that rate, where that is not too long.
    fn counted_s(&self, rate_per_s: f64) -> f64 {
        let needed = self.thresholds.iter().map(Threshold::needed).max();
        let wanted_s = needed.unwrap_or(0) as f64 * ROOM / rate_per_s;
        self.duration_s.max(wanted_s.min(LONGEST_S))
    }

    async fn run(&self, rate_per_s: f64, duration_s: f64) -> Result<Report, PlanError> {
        let open = Open {
            stages: vec![Stage {
                duration_s,
                rate_per_s,
                to_rate_per_s: None,
            }],
            spacing: self.spacing,
            seed: 0,
        };
        let run = Running((self.start)(open).await?);
        Ok(run.0.finished().await.clone())
    }
}

struct Running(Run);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.cancel();
    }
}
