//! How much load, and when.

use std::time::Duration;

use serde::Serialize;

use super::stages::{Closed, Due, MIN_DURATION_S, Open, is_duration};
use super::{PlanError, wrong};
use crate::arrivals::Curve;
use crate::part::Part;
use crate::users::{UserStage, Users};

/// The most connections a run may hold: 1,024.
pub const MAX_CONNECTIONS: u32 = 1_024;
/// The longest a run may last: 600 seconds.
pub const MAX_DURATION_S: f64 = 600.0;
/// The most requests a run may send: 100 million.
pub const MAX_REQUESTS: u64 = 100_000_000;
/// The highest rate of an open model: 200,000 arrivals a second.
pub const MAX_RATE_PER_S: f64 = 200_000.0;

/// Connections of a closed model that does not say.
pub(super) const USUAL_CONNECTIONS: u32 = 16;
/// Seconds of a closed model that does not say.
pub(super) const USUAL_DURATION_S: f64 = 10.0;
/// The longest that an answer is waited for: a minute.
const MAX_TIMEOUT_MS: u64 = 60_000;

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
    /// How long new requests of a closed model are sent, in seconds: 0.001 to 600. Default 10.
    #[cfg_attr(feature = "schema", schemars(range(min = MIN_DURATION_S, max = MAX_DURATION_S)))]
    pub duration_s: Option<f64>,
    /// Stop a closed model after so many requests: 1 to 100 million. Default: the duration alone decides.
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = MAX_REQUESTS)))]
    pub requests: Option<u64>,
    /// A closed model's connections begin to send one after the other, evenly over so many seconds: 0.001 to `duration_s`. Default: all
    /// at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = MIN_DURATION_S, max = MAX_DURATION_S)))]
    pub ramp_up_s: Option<f64>,
    /// A closed model whose number of users changes, in the place of `connections`, `duration_s` and `ramp_up_s`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub closed: Option<Closed>,
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
            ramp_up_s: None,
            closed: None,
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
    /// Of a closed model whose users change.
    pub(crate) users: Option<Users>,
    pub(crate) arrivals: Option<Due>,
    pub(crate) timeout: Duration,
}

impl Load {
    /// How long it sends, in seconds.
    #[must_use]
    pub fn length_s(&self) -> f64 {
        match (&self.open, &self.closed) {
            (Some(open), _) => open.stages.iter().map(|stage| stage.duration_s).sum(),
            (None, Some(closed)) => closed.stages.iter().map(|stage| stage.duration_s).sum(),
            (None, None) => self.duration_s.unwrap_or(USUAL_DURATION_S),
        }
    }

    /// The same in an open model.
    #[must_use]
    pub fn with_open(self, open: Open) -> Self {
        Self {
            duration_s: None,
            ramp_up_s: None,
            closed: None,
            open: Some(open),
            ..self
        }
    }

    /// Connections of all parts.
    pub(super) fn connections_asked(&self) -> u32 {
        if let Some(closed) = &self.closed {
            return closed.most();
        }
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

    /// Of a closed model, where they are not all there from the beginning.
    fn users(&self, connections: u32, part: Part) -> Option<Users> {
        let stages = match (&self.closed, self.ramp_up_s) {
            (Some(closed), _) => closed.stages.clone(),
            // The first is there at once.
            (None, Some(ramp_up_s)) => vec![UserStage {
                duration_s: ramp_up_s,
                users: 1,
                to_users: Some(connections),
            }],
            (None, None) => return None,
        };
        Some(Users::new(stages, part))
    }

    pub(crate) fn part(&self) -> Part {
        self.part.unwrap_or(Part::WHOLE)
    }

    pub(crate) fn checked(&self) -> Result<CheckedLoad, PlanError> {
        if let Some(open) = &self.open {
            for (field, is_there) in [
                ("duration_s", self.duration_s.is_some()),
                ("requests", self.requests.is_some()),
                ("ramp_up_s", self.ramp_up_s.is_some()),
                ("closed", self.closed.is_some()),
            ] {
                if is_there {
                    return wrong(field, "is of a closed model; with `open` its stages say it");
                }
            }
            open.check()?;
        }
        if let Some(closed) = &self.closed {
            for (field, is_there) in [
                ("connections", self.connections.is_some()),
                ("duration_s", self.duration_s.is_some()),
                ("ramp_up_s", self.ramp_up_s.is_some()),
            ] {
                if is_there {
                    return wrong(field, "is said by the stages of `closed`; leave it out");
                }
            }
            closed.check()?;
        }
        let connections = self.connections_asked();
        if !(1..=MAX_CONNECTIONS).contains(&connections) {
            return wrong("connections", format!("wants 1 to {MAX_CONNECTIONS}"));
        }
        let duration_s = if self.open.is_some() {
            USUAL_DURATION_S
        } else {
            self.length_s()
        };
        if !is_duration(duration_s) {
            return wrong(
                "duration_s",
                format!("wants {MIN_DURATION_S} to {MAX_DURATION_S} seconds"),
            );
        }
        if self
            .ramp_up_s
            .is_some_and(|ramp_up_s| !(is_duration(ramp_up_s) && ramp_up_s <= duration_s))
        {
            return wrong(
                "ramp_up_s",
                format!("wants {MIN_DURATION_S} to the {duration_s} seconds of the run"),
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
            users: self.users(connections, part),
            arrivals: self.open.clone().map(|open| Due { open, part }),
            timeout: Duration::from_millis(self.timeout_ms),
        })
    }
}
