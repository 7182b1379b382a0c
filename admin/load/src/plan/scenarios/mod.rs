//! A plan of any protocol with its target, and several of them side by side.
//!
//! | file | role |
//! |---|---|
//! | here | what it has, and its builder |
//! | `protocol` | what scenarios of all protocols have |
//! | `size` | how much it holds and takes |
//! | `check` | that it can run |
//! | `ceilings` | that it asks for no more than whoever starts it may |

mod ceilings;
mod check;
mod protocol;
mod size;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

pub use self::ceilings::Ceilings;
pub(crate) use self::protocol::Protocol;
use super::load::Load;
use super::{HttpPlan, PlanError, wrong};
use crate::part::Part;
use crate::threshold::Threshold;

/// The most scenarios of a plan: 10. Each has threads of its own, one a core.
pub const MAX_SCENARIOS: usize = 10;

/// Where load goes, what is sent, and what has to hold: either one target with the plan of one protocol, or several
/// [`scenarios`](Self::scenarios), each with its own.
///
/// Serialised field names are stable. Unknown fields are refused.
///
/// ```
/// use pitcrew_load::{HttpPlan, Plan};
///
/// let browse = Plan::http("http://127.0.0.1:3000", HttpPlan::default());
/// let plan = Plan::side_by_side([
///     browse.clone().name("browse").thresholds(["p99 < 500ms".parse()?]),
///     browse.name("late").start_s(5.0),
/// ]);
/// plan.check()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Plan {
    /// Of a scenario: how reports name it; 1 to 100 letters, digits, `_` and `-`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Where to: a URL, or of PostgreSQL also `key=value` pairs.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub target: String,
    /// What is sent by HTTP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpPlan>,
    /// What is sent to PostgreSQL.
    #[cfg(feature = "postgres")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub postgres: Option<crate::PostgresPlan>,
    /// What is sent by WebSocket.
    #[cfg(feature = "websocket")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub websocket: Option<crate::WebSocketPlan>,
    /// Of a scenario: it begins so many seconds after the plan. 0 or more; with its own length at most 600. Default 0.
    #[serde(skip_serializing_if = "is_zero")]
    #[cfg_attr(feature = "schema", schemars(range(min = 0.0, max = super::MAX_DURATION_S)))]
    pub start_s: f64,
    /// What has to hold: of this scenario, or of a plan with several of all their requests together.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub thresholds: Vec<Threshold>,
    /// Of one protocol: its [`UsualTargets`](crate::UsualTargets) have to hold as well. Default false.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub usual_thresholds: bool,
    /// Plans that run side by side, in the place of a target and a protocol: at most [`MAX_SCENARIOS`], each with a name, and none
    /// with scenarios of its own. What a run may have at most is shared by all of them: connections, rate, requests, steps.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schemars(length(max = MAX_SCENARIOS)))]
    pub scenarios: Vec<Self>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
fn is_zero(number: &f64) -> bool {
    *number == 0.0
}

/// Builds a plan, and a scenario of one.
impl Plan {
    /// HTTP, to `target`.
    #[must_use]
    pub fn http(target: impl Into<String>, plan: HttpPlan) -> Self {
        Self {
            target: target.into(),
            http: Some(plan),
            ..Self::default()
        }
    }

    /// PostgreSQL, at `target`.
    #[cfg(feature = "postgres")]
    #[must_use]
    pub fn postgres(target: impl Into<String>, plan: crate::PostgresPlan) -> Self {
        Self {
            target: target.into(),
            postgres: Some(plan),
            ..Self::default()
        }
    }

    /// WebSocket, to `target`.
    #[cfg(feature = "websocket")]
    #[must_use]
    pub fn websocket(target: impl Into<String>, plan: crate::WebSocketPlan) -> Self {
        Self {
            target: target.into(),
            websocket: Some(plan),
            ..Self::default()
        }
    }

    /// These, side by side.
    #[must_use]
    pub fn side_by_side(scenarios: impl IntoIterator<Item = Self>) -> Self {
        Self {
            scenarios: scenarios.into_iter().collect(),
            ..Self::default()
        }
    }

    /// Sets the name of a scenario.
    #[must_use]
    pub fn name(self, name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            ..self
        }
    }

    /// Sets when a scenario begins, in seconds from the beginning of the plan.
    #[must_use]
    pub fn start_s(self, start_s: f64) -> Self {
        Self { start_s, ..self }
    }

    /// Sets what has to hold.
    #[must_use]
    pub fn thresholds(self, thresholds: impl IntoIterator<Item = Threshold>) -> Self {
        Self {
            thresholds: thresholds.into_iter().collect(),
            ..self
        }
    }

    /// Has the protocol's [`UsualTargets`](crate::UsualTargets) hold as well.
    #[must_use]
    pub fn usual_thresholds(self) -> Self {
        Self {
            usual_thresholds: true,
            ..self
        }
    }

    /// All that has to hold, the usual first.
    #[must_use]
    pub fn all_thresholds(&self) -> Vec<Threshold> {
        let usual = self.protocols().next().filter(|_| self.usual_thresholds);
        let usual = usual.map(|protocol| protocol.usual_targets().thresholds());
        let mut all = usual.unwrap_or_default();
        all.extend_from_slice(&self.thresholds);
        all
    }

    /// The same without rows of data, which may be large and hold passwords: for who keeps a plan beside its run.
    #[must_use]
    pub fn without_rows(mut self) -> Self {
        #[cfg(feature = "scripts")]
        for data in self.data() {
            for source in data.values_mut() {
                source.forget_rows();
            }
        }
        self.scenarios = std::mem::take(&mut self.scenarios)
            .into_iter()
            .map(Self::without_rows)
            .collect();
        self
    }

    #[cfg(feature = "scripts")]
    fn data(&mut self) -> Vec<&mut std::collections::BTreeMap<String, crate::Source>> {
        let mut all: Vec<_> = self
            .http
            .iter_mut()
            .map(|plan| &mut plan.visits.data)
            .collect();
        #[cfg(feature = "postgres")]
        all.extend(self.postgres.iter_mut().map(|plan| &mut plan.visits.data));
        #[cfg(feature = "websocket")]
        all.extend(self.websocket.iter_mut().map(|plan| &mut plan.visits.data));
        all
    }

    /// Runs only a part, of all scenarios.
    #[must_use]
    pub fn part(mut self, part: Part) -> Self {
        for load in self.loads() {
            load.part = Some(part);
        }
        self
    }
}

/// What each protocol's field holds, in the order in which errors name them.
impl Plan {
    fn protocols(&self) -> impl Iterator<Item = Protocol<'_>> {
        let all = self.http.iter().map(Protocol::Http);
        #[cfg(feature = "postgres")]
        let all = all.chain(self.postgres.iter().map(Protocol::Postgres));
        #[cfg(feature = "websocket")]
        let all = all.chain(self.websocket.iter().map(Protocol::WebSocket));
        all
    }

    /// The one that it has.
    pub(crate) fn protocol(&self) -> Result<Protocol<'_>, PlanError> {
        let mut all = self.protocols();
        match (all.next(), all.next()) {
            (Some(one), None) => Ok(one),
            (None, _) => wrong(
                "http",
                "is missing: a plan wants one of `http`, `postgres` and `websocket`",
            ),
            (Some(_), Some(other)) => wrong(
                other.name(),
                "is one too many: a plan wants one of `http`, `postgres` and `websocket`; several are `scenarios`",
            ),
        }
    }

    /// The loads of all scenarios.
    fn loads(&mut self) -> Vec<&mut Load> {
        let mut loads: Vec<&mut Load> = self.http.iter_mut().map(|plan| &mut plan.load).collect();
        #[cfg(feature = "postgres")]
        loads.extend(self.postgres.iter_mut().map(|plan| &mut plan.load));
        #[cfg(feature = "websocket")]
        loads.extend(self.websocket.iter_mut().map(|plan| &mut plan.load));
        loads.extend(self.scenarios.iter_mut().flat_map(Self::loads));
        loads
    }

    /// The plans that are run, with what stands before the names of their fields: the scenarios, or this one.
    pub(crate) fn leaves(&self) -> Vec<(String, &Self)> {
        if self.scenarios.is_empty() {
            return vec![(String::new(), self)];
        }
        let numbered = self.scenarios.iter().enumerate();
        numbered
            .map(|(number, plan)| (format!("scenarios[{number}]."), plan))
            .collect()
    }

    /// An error of the protocol's plan, by its path here.
    pub(crate) fn named(&self, path: &str, error: PlanError) -> PlanError {
        let is_own = ["target", "http", "postgres", "websocket"].contains(&error.field.as_str());
        let protocol = match self.protocol() {
            Ok(protocol) if !is_own => format!("{}.", protocol.name()),
            _ => String::new(),
        };
        PlanError {
            field: format!("{path}{protocol}{}", error.field),
            ..error
        }
    }

    /// The same in an open model, of each scenario.
    #[must_use]
    pub fn with_open(mut self, open: &crate::Open) -> Self {
        for load in self.loads() {
            *load = load.clone().with_open(open.clone());
        }
        self
    }

    /// How long it sends, in seconds.
    #[must_use]
    pub fn length_s(&self) -> f64 {
        let own = self.protocols().map(|protocol| protocol.load().length_s());
        let others = self.scenarios.iter().map(Self::length_s);
        self.start_s + own.chain(others).fold(0.0, f64::max)
    }
}
