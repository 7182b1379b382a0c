//! The stages of both models of load.

use serde::{Deserialize, Serialize};

use super::{MAX_CONNECTIONS, MAX_DURATION_S, MAX_RATE_PER_S, MAX_REQUESTS, PlanError, wrong};
use crate::arrivals::{Arrivals, Curve, Part, Spacing, Stage};
use crate::users::UserStage;

/// The most stages of a model: 100.
pub const MAX_STAGES: usize = 100;

/// When requests of an open model are due.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Open {
    /// One after the other: 1 to [`MAX_STAGES`], together at most [`MAX_DURATION_S`] seconds and [`MAX_REQUESTS`] arrivals.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = MAX_STAGES)))]
    pub stages: Vec<Stage>,
    /// How arrivals lie between one another. Default even.
    #[serde(default)]
    pub spacing: Spacing,
    /// Of Poisson spacing: the same seed gives the same arrivals. Default 0.
    #[serde(default)]
    pub seed: u64,
}

/// How many of a closed model's connections send, over its time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Closed {
    /// One after the other: 1 to [`MAX_STAGES`], together at most [`MAX_DURATION_S`] seconds, at most [`MAX_CONNECTIONS`] users.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = MAX_STAGES)))]
    pub stages: Vec<UserStage>,
}

impl Closed {
    pub(super) fn check(&self) -> Result<(), PlanError> {
        check_stages("closed", self.stages.iter().map(|stage| stage.duration_s))?;
        for (number, stage) in self.stages.iter().enumerate() {
            for (name, users) in [("users", Some(stage.users)), ("to_users", stage.to_users)] {
                if users.is_some_and(|users| users > MAX_CONNECTIONS) {
                    let field = format!("closed.stages[{number}].{name}");
                    return wrong(&field, format!("wants 0 to {MAX_CONNECTIONS}"));
                }
            }
        }
        if self.most() == 0 {
            return wrong("closed.stages", "want a user in one of them");
        }
        Ok(())
    }

    pub(super) fn most(&self) -> u32 {
        self.stages.iter().map(UserStage::most).max().unwrap_or(0)
    }
}

/// The shortest time that a plan may ask for: below it nothing is measured but the start.
pub(super) const MIN_DURATION_S: f64 = 0.001;

/// Whether a time is one that a run may last. A NaN is none.
pub(super) fn is_duration(seconds: f64) -> bool {
    (MIN_DURATION_S..=MAX_DURATION_S).contains(&seconds)
}

/// What stages of both models have.
fn check_stages(of: &str, durations: impl Iterator<Item = f64> + Clone) -> Result<(), PlanError> {
    let stages = format!("{of}.stages");
    let count = durations.clone().count();
    if !(1..=MAX_STAGES).contains(&count) {
        return wrong(&stages, format!("want 1 to {MAX_STAGES}, have {count}"));
    }
    for (number, duration_s) in durations.clone().enumerate() {
        if !is_duration(duration_s) {
            return wrong(
                &format!("{stages}[{number}].duration_s"),
                format!("wants {MIN_DURATION_S} to {MAX_DURATION_S} seconds"),
            );
        }
    }
    let together: f64 = durations.sum();
    if together > MAX_DURATION_S {
        return wrong(
            &stages,
            format!("want at most {MAX_DURATION_S} seconds together, have {together}"),
        );
    }
    Ok(())
}

/// An open model as one process runs it.
#[derive(Debug, Clone)]
pub(crate) struct Due {
    pub(super) open: Open,
    pub(super) part: Part,
}

impl Due {
    pub(crate) fn arrivals(&self) -> Arrivals {
        let Open {
            stages,
            spacing,
            seed,
        } = &self.open;
        Arrivals::new(Curve::new(stages), *spacing, *seed, self.part)
    }

    /// Of all stages, in seconds.
    pub(crate) fn length_s(&self) -> f64 {
        self.open.stages.iter().map(|stage| stage.duration_s).sum()
    }

    /// What is due at another rate from a moment on, until the stages would have ended; counted from that moment.
    pub(crate) fn rest(&self, from_s: f64, rate_per_s: f64) -> Arrivals {
        let rest = Stage {
            duration_s: (self.length_s() - from_s).max(0.0),
            rate_per_s,
            to_rate_per_s: None,
        };
        Arrivals::new(
            Curve::new(&[rest]),
            self.open.spacing,
            self.open.seed,
            self.part,
        )
    }

    #[cfg(test)]
    pub(crate) fn whole(open: Open) -> Self {
        Self {
            open,
            part: Part::WHOLE,
        }
    }
}

impl Open {
    pub(super) fn check(&self) -> Result<(), PlanError> {
        check_stages("open", self.stages.iter().map(|stage| stage.duration_s))?;
        for (number, stage) in self.stages.iter().enumerate() {
            let rates = [
                ("rate_per_s", Some(stage.rate_per_s)),
                ("to_rate_per_s", stage.to_rate_per_s),
            ];
            for (name, rate) in rates {
                // A NaN is in no range, so it is refused here too.
                if rate.is_some_and(|rate| !(0.0..=MAX_RATE_PER_S).contains(&rate)) {
                    let field = format!("open.stages[{number}].{name}");
                    return wrong(
                        &field,
                        format!("wants 0 to {MAX_RATE_PER_S} arrivals a second"),
                    );
                }
            }
        }
        let count = Curve::new(&self.stages).count();
        if !(count > 0.0 && count <= MAX_REQUESTS as f64) {
            return wrong(
                "open.stages",
                format!("want more than no arrival and at most {MAX_REQUESTS}, have {count}"),
            );
        }
        Ok(())
    }
}
