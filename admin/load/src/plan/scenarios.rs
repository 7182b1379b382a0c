//! A plan of any protocol with its target, and several of them side by side.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

#[cfg(feature = "websocket")]
use super::MAX_IDLE;
use super::load::Load;
use super::{
    HttpPlan, MAX_CONNECTIONS, MAX_DURATION_S, MAX_RATE_PER_S, MAX_REQUESTS, PlanError, wrong,
};
use crate::part::Part;
#[cfg(feature = "scripts")]
use crate::script::MAX_STEPS;
use crate::threshold::{Threshold, contradiction};

/// The most scenarios of a plan: 10. Each has threads of its own, one a core.
pub const MAX_SCENARIOS: usize = 10;

// None can be asked for without the feature.
#[cfg(not(feature = "websocket"))]
const MAX_IDLE: u32 = 0;
#[cfg(not(feature = "scripts"))]
const MAX_STEPS: usize = 0;

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
    pub postgres: Option<super::PostgresPlan>,
    /// What is sent by WebSocket.
    #[cfg(feature = "websocket")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub websocket: Option<super::WebSocketPlan>,
    /// Of a scenario: it begins so many seconds after the plan. 0 or more; with its own length at most 600. Default 0.
    #[serde(skip_serializing_if = "is_zero")]
    pub start_s: f64,
    /// What has to hold: of this scenario, or of a plan with several of all their requests together.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub thresholds: Vec<Threshold>,
    /// Plans that run side by side, in the place of a target and a protocol: at most [`MAX_SCENARIOS`], each with a name, and none
    /// with scenarios of its own. What a run may have at most is shared by all of them: connections, rate, requests, steps.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scenarios: Vec<Self>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
fn is_zero(number: &f64) -> bool {
    *number == 0.0
}

/// The plan of a protocol.
pub(crate) enum Protocol<'a> {
    Http(&'a HttpPlan),
    #[cfg(feature = "postgres")]
    Postgres(&'a super::PostgresPlan),
    #[cfg(feature = "websocket")]
    WebSocket(&'a super::WebSocketPlan),
}

impl Protocol<'_> {
    /// As the plan's field has it.
    const fn name(&self) -> &'static str {
        match self {
            Self::Http(_) => "http",
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => "postgres",
            #[cfg(feature = "websocket")]
            Self::WebSocket(_) => "websocket",
        }
    }

    const fn load(&self) -> &Load {
        match self {
            Self::Http(plan) => &plan.load,
            #[cfg(feature = "postgres")]
            Self::Postgres(plan) => &plan.load,
            #[cfg(feature = "websocket")]
            Self::WebSocket(plan) => &plan.load,
        }
    }

    fn check(&self) -> Result<(), PlanError> {
        match self {
            Self::Http(plan) => plan.check(),
            #[cfg(feature = "postgres")]
            Self::Postgres(plan) => plan.check(),
            #[cfg(feature = "websocket")]
            Self::WebSocket(plan) => plan.check(),
        }
    }

    const fn idle(&self) -> u32 {
        match self {
            #[cfg(feature = "websocket")]
            Self::WebSocket(plan) => plan.idle,
            _ => 0,
        }
    }

    fn steps(&self) -> usize {
        match self {
            #[cfg(feature = "scripts")]
            Self::Http(plan) => counted(&plan.steps, &plan.flows),
            #[cfg(all(feature = "scripts", feature = "postgres"))]
            Self::Postgres(plan) => counted(&plan.steps, &plan.flows),
            #[cfg(all(feature = "scripts", feature = "websocket"))]
            Self::WebSocket(plan) => counted(&plan.steps, &plan.flows),
            #[cfg(not(feature = "scripts"))]
            _ => 0,
        }
    }
}

#[cfg(feature = "scripts")]
fn counted<S>(steps: &[S], flows: &[crate::Flow<S>]) -> usize {
    steps.len() + flows.iter().map(|flow| flow.steps.len()).sum::<usize>()
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
    pub fn postgres(target: impl Into<String>, plan: super::PostgresPlan) -> Self {
        Self {
            target: target.into(),
            postgres: Some(plan),
            ..Self::default()
        }
    }

    /// WebSocket, to `target`.
    #[cfg(feature = "websocket")]
    #[must_use]
    pub fn websocket(target: impl Into<String>, plan: super::WebSocketPlan) -> Self {
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
    pub fn with_open(mut self, open: &super::Open) -> Self {
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

    /// Checks every field without sending anything.
    ///
    /// # Errors
    /// [`PlanError`] names the first field that is out of its range, by its path.
    pub fn check(&self) -> Result<(), PlanError> {
        if self.scenarios.is_empty() {
            if self.start_s != 0.0 {
                return wrong("start_s", "is of one of several `scenarios`; leave it out");
            }
            return self.check_one("");
        }
        self.check_around()?;
        if self.scenarios.len() > MAX_SCENARIOS {
            return wrong(
                "scenarios",
                format!(
                    "wants at most {MAX_SCENARIOS}, has {}",
                    self.scenarios.len()
                ),
            );
        }
        let mut names = BTreeSet::new();
        for (path, scenario) in self.leaves() {
            scenario.check_scenario(&path)?;
            if !names.insert(&scenario.name) {
                return wrong(
                    &format!("{path}name"),
                    format!("is `{}` for the second time", scenario.name),
                );
            }
        }
        self.check_sums()
    }

    /// What has no place beside scenarios.
    fn check_around(&self) -> Result<(), PlanError> {
        for (field, is_there) in [
            ("target", !self.target.is_empty()),
            ("start_s", self.start_s != 0.0),
        ] {
            if is_there {
                return wrong(field, "is of each of the `scenarios`; say it there");
            }
        }
        if let Some(protocol) = self.protocols().next() {
            return wrong(
                protocol.name(),
                "is of each of the `scenarios`; say it there",
            );
        }
        self.check_thresholds("")
    }

    fn check_scenario(&self, path: &str) -> Result<(), PlanError> {
        if !self.scenarios.is_empty() {
            return wrong(
                &format!("{path}scenarios"),
                "stand in no scenario: put them beside it",
            );
        }
        let is_of_name = |letter: char| letter.is_ascii_alphanumeric() || "_-".contains(letter);
        if !(1..=100).contains(&self.name.len()) || !self.name.chars().all(is_of_name) {
            return wrong(
                &format!("{path}name"),
                "wants 1 to 100 letters, digits, `_` and `-`",
            );
        }
        // A NaN fails the comparison, so it is refused here too.
        if !(self.start_s >= 0.0 && self.length_s() <= MAX_DURATION_S) {
            return wrong(
                &format!("{path}start_s"),
                format!(
                    "wants 0 or more, and with the length after it at most {MAX_DURATION_S} seconds"
                ),
            );
        }
        self.check_one(path)
    }

    fn check_one(&self, path: &str) -> Result<(), PlanError> {
        if self.target.is_empty() {
            return wrong(&format!("{path}target"), "is missing: say where to");
        }
        let checked = self.protocol().and_then(|protocol| protocol.check());
        checked.map_err(|error| self.named(path, error))?;
        self.check_thresholds(path)
    }

    fn check_thresholds(&self, path: &str) -> Result<(), PlanError> {
        match contradiction(&self.thresholds) {
            None => Ok(()),
            Some((one, other)) => wrong(
                &format!("{path}thresholds"),
                format!("no run can keep both `{one}` and `{other}`"),
            ),
        }
    }

    /// What a run may have at most is of all scenarios together.
    fn check_sums(&self) -> Result<(), PlanError> {
        type Of = fn(&Protocol<'_>) -> f64;
        let limits: [(&str, f64, Of); 5] = [
            ("connections", MAX_CONNECTIONS.into(), |of| {
                of.load().connections_asked().into()
            }),
            ("arrivals a second", MAX_RATE_PER_S, |of| {
                of.load().highest_rate_per_s()
            }),
            ("requests", MAX_REQUESTS as f64, |of| {
                of.load().requests_asked()
            }),
            ("steps", MAX_STEPS as f64, |of| of.steps() as f64),
            ("idle connections", MAX_IDLE.into(), |of| of.idle().into()),
        ];
        let shared = self.shared_out();
        let protocols: Vec<_> = shared.scenarios.iter().flat_map(Self::protocols).collect();
        for (what, most, of) in limits {
            let sum: f64 = protocols.iter().map(of).sum();
            if sum > most {
                return wrong(
                    "scenarios",
                    format!("want at most {most} {what} together, have {sum}"),
                );
            }
        }
        let mut parts = protocols.iter().map(|protocol| protocol.load().part());
        let first = parts.next();
        if parts.any(|part| Some(part) != first) {
            return wrong("scenarios", "want the same `part` in each, or in none");
        }
        Ok(())
    }

    /// The same with a number of connections for each open scenario that does not say: what the others leave, shared evenly.
    pub(crate) fn shared_out(&self) -> Self {
        let mut plan = self.clone();
        if plan.scenarios.is_empty() {
            return plan;
        }
        let mut loads = plan.loads();
        let says = |load: &Load| load.connections.is_some() || load.open.is_none();
        let said = loads.iter().filter(|load| says(load));
        let said: u32 = said
            .map(|load| load.connections_asked())
            .fold(0, u32::saturating_add);
        loads.retain(|load| !says(load));
        let share = MAX_CONNECTIONS.saturating_sub(said) / (loads.len() as u32).max(1);
        for load in loads {
            load.connections = Some(share.max(1));
        }
        plan
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Open, Stage};

    fn plan(text: &str) -> Plan {
        serde_json::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn two(one: &str, other: &str) -> Plan {
        let scenario = |name: &str, more: &str| {
            format!(r#"{{"name": "{name}", "target": "http://127.0.0.1:1", {more}}}"#)
        };
        let (one, other) = (scenario("a", one), scenario("b", other));
        plan(&format!(r#"{{"scenarios": [{one}, {other}]}}"#))
    }

    #[test]
    fn what_is_wrong_is_named_by_its_path() {
        let http = r#""http": {}"#;
        for (plan, field) in [
            (plan("{}"), "target"),
            (plan(r#"{"target": "a"}"#), "http"),
            (
                plan(r#"{"target": "a", "http": {}, "start_s": 1}"#),
                "start_s",
            ),
            (
                plan(r#"{"target": "a", "http": {"connections": 0}}"#),
                "http.connections",
            ),
            (
                two(http, r#""http": {"headers": {"host": "a"}}"#),
                "scenarios[1].http.headers.host",
            ),
            (
                two(http, r#""http": {}, "start_s": -1"#),
                "scenarios[1].start_s",
            ),
            (
                two(http, r#""http": {}, "start_s": 590.5"#),
                "scenarios[1].start_s",
            ),
            (
                two(
                    http,
                    r#""http": {}, "thresholds": ["p99 < 1ms", "p99 > 2ms"]"#,
                ),
                "scenarios[1].thresholds",
            ),
            (
                two(http, r#""http": {}, "scenarios": [{}]"#),
                "scenarios[1].scenarios",
            ),
            (two(http, r#""thresholds": []"#), "scenarios[1].http"),
            (
                Plan {
                    target: "a".to_owned(),
                    ..two(http, http)
                },
                "target",
            ),
            (
                Plan {
                    http: Some(HttpPlan::default()),
                    ..two(http, http)
                },
                "http",
            ),
            (
                Plan::side_by_side(
                    two(http, http)
                        .scenarios
                        .into_iter()
                        .map(|one| one.name("a")),
                ),
                "scenarios[1].name",
            ),
            (
                Plan::side_by_side([two(http, http).scenarios[0].clone().name("a b")]),
                "scenarios[0].name",
            ),
            (
                Plan::side_by_side(vec![two(http, http).scenarios[0].clone(); 11]),
                "scenarios",
            ),
            (two(http, r#""http": {"part": "1/2"}"#), "scenarios"),
        ] {
            let error = plan.check().expect_err(field);
            assert_eq!(error.field, field, "{error}");
        }
        assert_eq!(two(http, http).check(), Ok(()));
    }

    #[test]
    fn what_a_run_may_have_is_of_all_scenarios_together() {
        let rate = |rate: u32| {
            format!(
                r#""http": {{"open": {{"stages": [{{"duration_s": 1, "rate_per_s": {rate}}}]}}}}"#
            )
        };
        for (one, other, wants) in [
            (
                r#""http": {"connections": 1000}"#.to_owned(),
                r#""http": {"connections": 25}"#.to_owned(),
                "1024 connections together, have 1025",
            ),
            (
                rate(150_000),
                rate(50_001),
                "200000 arrivals a second together, have 200001",
            ),
            (
                r#""http": {"requests": 100000000}"#.to_owned(),
                rate(7),
                "requests together, have 100000007",
            ),
        ] {
            let error = two(&one, &other).check().expect_err(wants);
            assert!(error.to_string().contains(wants), "{error}");
        }
        assert_eq!(two(&rate(150_000), &rate(50_000)).check(), Ok(()));
    }

    #[test]
    fn open_scenarios_that_do_not_say_share_the_connections_that_are_left() {
        let open = Open {
            stages: vec![Stage {
                duration_s: 1.0,
                rate_per_s: 1.0,
                to_rate_per_s: None,
            }],
            spacing: crate::Spacing::Even,
            seed: 0,
        };
        let http = || Plan::http("http://127.0.0.1:1", HttpPlan::default());
        let mut plan = Plan::side_by_side([
            http().name("a").with_open(&open),
            http().name("b"),
            http().name("c").with_open(&open),
        ]);
        let connections = |plan: &Plan| -> Vec<_> {
            let plans = plan.shared_out();
            let loads = plans.scenarios.into_iter().filter_map(|one| one.http);
            loads.map(|http| http.load.connections).collect()
        };
        assert_eq!(connections(&plan), [Some(504), None, Some(504)]);
        plan.scenarios.truncate(1);
        assert_eq!(connections(&plan), [Some(1_024)]);
        assert_eq!(plan.check(), Ok(()));
    }
}
