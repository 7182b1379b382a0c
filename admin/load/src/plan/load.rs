//! How much load, and when.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{PlanError, wrong};
use crate::arrivals::{Arrivals, Curve, Part, Spacing, Stage};

/// The most connections a run may hold: 1,024.
pub const MAX_CONNECTIONS: u32 = 1_024;
/// The longest a run may last: 600 seconds.
pub const MAX_DURATION_S: f64 = 600.0;
/// The most requests a run may send: 100 million.
pub const MAX_REQUESTS: u64 = 100_000_000;
/// The most stages of an open model: 100.
pub const MAX_STAGES: usize = 100;
/// The highest rate of an open model: 200,000 arrivals a second.
pub const MAX_RATE_PER_S: f64 = 200_000.0;

/// Connections of a closed model that does not say.
pub(super) const USUAL_CONNECTIONS: u32 = 16;
/// Seconds of a closed model that does not say.
pub(super) const USUAL_DURATION_S: f64 = 10.0;
/// The longest that an answer is waited for: a minute.
const MAX_TIMEOUT_MS: u64 = 60_000;

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

/// An open model as one process runs it.
#[derive(Debug, Clone)]
pub(crate) struct Due {
    open: Open,
    part: Part,
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
    fn check(&self) -> Result<(), PlanError> {
        if !(1..=MAX_STAGES).contains(&self.stages.len()) {
            return wrong(
                "open.stages",
                format!("wants 1 to {MAX_STAGES}, has {}", self.stages.len()),
            );
        }
        for (number, stage) in self.stages.iter().enumerate() {
            let field = |name: &str| format!("open.stages[{number}].{name}");
            // A NaN fails both comparisons, so it is refused here too.
            if !(stage.duration_s > 0.0 && stage.duration_s <= MAX_DURATION_S) {
                return wrong(
                    &field("duration_s"),
                    format!("wants more than 0 and at most {MAX_DURATION_S} seconds"),
                );
            }
            let rates = [
                ("rate_per_s", Some(stage.rate_per_s)),
                ("to_rate_per_s", stage.to_rate_per_s),
            ];
            for (name, rate) in rates {
                if rate.is_some_and(|rate| !(0.0..=MAX_RATE_PER_S).contains(&rate)) {
                    return wrong(
                        &field(name),
                        format!("wants 0 to {MAX_RATE_PER_S} arrivals a second"),
                    );
                }
            }
        }
        let duration: f64 = self.stages.iter().map(|stage| stage.duration_s).sum();
        if duration > MAX_DURATION_S {
            return wrong(
                "open.stages",
                format!("want at most {MAX_DURATION_S} seconds together, have {duration}"),
            );
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

/// How much load a plan of any protocol makes, and when. In JSON its fields stand among those of the plan.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(default))]
pub struct Load {
    /// Connections, 1 to [`MAX_CONNECTIONS`]. In a closed model so many are open, each sending one request after the other;
    /// default 16. In an open model so many are opened at most, as they are needed, and a request that finds none free waits,
    /// which counts in its response time; default 1,024.
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = MAX_CONNECTIONS)))]
    pub connections: Option<u32>,
    /// How long new requests of a closed model are sent, in seconds: more than 0, at most 600. Default 10.
    #[cfg_attr(feature = "schema", schemars(range(max = MAX_DURATION_S), extend("exclusiveMinimum" = 0)))]
    pub duration_s: Option<f64>,
    /// Stop a closed model after so many requests: 1 to 100 million. Default: the duration alone decides.
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = MAX_REQUESTS)))]
    pub requests: Option<u64>,
    /// An open model: requests go out when they are due. Its stages say how many and how long. Default: a closed model.
    pub open: Option<Open>,
    /// Run only this part of the plan: several processes run the others, and `pitcrew-load merge` makes one result of
    /// theirs. Connections, requests and arrivals are of all parts together. Default the whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub part: Option<Part>,
    /// An answer that has not ended after so many milliseconds is an error: 1 to 60,000. Of PostgreSQL it is also the sessions'
    /// `statement_timeout`. Default 10,000.
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = MAX_TIMEOUT_MS)))]
    pub timeout_ms: u64,
}

impl Default for Load {
    fn default() -> Self {
        Self {
            connections: None,
            duration_s: None,
            requests: None,
            open: None,
            part: None,
            timeout_ms: 10_000,
        }
    }
}

/// The same, with every field checked, as one process runs it.
#[derive(Debug, Clone)]
pub(crate) struct CheckedLoad {
    pub(crate) connections: u32,
    pub(crate) duration: Duration,
    pub(crate) requests: Option<u64>,
    pub(crate) arrivals: Option<Due>,
    pub(crate) timeout: Duration,
}

impl Load {
    /// How long it sends, in seconds.
    #[must_use]
    pub fn length_s(&self) -> f64 {
        match &self.open {
            Some(open) => open.stages.iter().map(|stage| stage.duration_s).sum(),
            None => self.duration_s.unwrap_or(USUAL_DURATION_S),
        }
    }

    /// The same in an open model.
    #[must_use]
    pub fn with_open(self, open: Open) -> Self {
        Self {
            duration_s: None,
            open: Some(open),
            ..self
        }
    }

    /// Connections of all parts.
    pub(super) fn connections_asked(&self) -> u32 {
        self.connections.unwrap_or(if self.open.is_some() {
            MAX_CONNECTIONS
        } else {
            USUAL_CONNECTIONS
        })
    }

    /// Of an open model; 0 of a closed one.
    pub(super) fn highest_rate_per_s(&self) -> f64 {
        let stages = self.open.iter().flat_map(|open| &open.stages);
        stages
            .map(|stage| stage.rate_per_s.max(stage.to_rate_per_s.unwrap_or(0.0)))
            .fold(0.0, f64::max)
    }

    /// As many as it says; 0 where the duration alone decides.
    pub(super) fn requests_asked(&self) -> f64 {
        match (&self.open, self.requests) {
            (Some(open), _) => Curve::new(&open.stages).count(),
            (None, requests) => requests.unwrap_or(0) as f64,
        }
    }

    pub(crate) fn part(&self) -> Part {
        self.part.unwrap_or(Part::WHOLE)
    }

    pub(crate) fn checked(&self) -> Result<CheckedLoad, PlanError> {
        let connections = self.connections_asked();
        if !(1..=MAX_CONNECTIONS).contains(&connections) {
            return wrong("connections", format!("wants 1 to {MAX_CONNECTIONS}"));
        }
        if let Some(open) = &self.open {
            for (field, is_there) in [
                ("duration_s", self.duration_s.is_some()),
                ("requests", self.requests.is_some()),
            ] {
                if is_there {
                    return wrong(field, "is of a closed model; with `open` its stages say it");
                }
            }
            open.check()?;
        }
        let duration_s = self.duration_s.unwrap_or(USUAL_DURATION_S);
        // A NaN fails both comparisons, so it is refused here too.
        if !(duration_s > 0.0 && duration_s <= MAX_DURATION_S) {
            return wrong(
                "duration_s",
                format!("wants more than 0 and at most {MAX_DURATION_S} seconds"),
            );
        }
        if self
            .requests
            .is_some_and(|requests| !(1..=MAX_REQUESTS).contains(&requests))
        {
            return wrong("requests", format!("wants 1 to {MAX_REQUESTS}"));
        }
        if !(1..=MAX_TIMEOUT_MS).contains(&self.timeout_ms) {
            return wrong(
                "timeout_ms",
                format!("wants 1 to {MAX_TIMEOUT_MS} milliseconds"),
            );
        }
        let part = self.part();
        let least = u64::from(connections).min(self.requests.unwrap_or(u64::MAX));
        if part.of > least {
            return wrong(
                "part",
                format!(
                    "is of {}, and there are {least} connections or requests to share",
                    part.of
                ),
            );
        }
        Ok(CheckedLoad {
            // No more than there were.
            connections: part.share(u64::from(connections)) as u32,
            duration: Duration::from_secs_f64(duration_s),
            requests: self.requests.map(|requests| part.share(requests)),
            arrivals: self.open.clone().map(|open| Due { open, part }),
            timeout: Duration::from_millis(self.timeout_ms),
        })
    }
}
