//! Ceilings below the tester's own, for whoever lets others start a run.

use super::super::load::{USUAL_CONNECTIONS, USUAL_DURATION_S};
use super::super::{
    MAX_BODY_BYTES, MAX_CONNECTIONS, MAX_DURATION_S, MAX_RATE_PER_S, PlanError, wrong,
};
use super::Plan;
use super::protocol::Protocol;

/// With less no run begins.
const LEAST_MEMORY: u64 = 4 << 20;

/// What a run may ask for at most. Nothing that is not set is lower than what the tester itself allows.
///
/// ```
/// use pitcrew_load::{Ceilings, HttpPlan, Plan};
///
/// let plan = Plan::http("http://127.0.0.1:3000", HttpPlan::default());
/// let plan = plan.within(&Ceilings::default().connections(4).seconds(5.0))?;
/// assert_eq!(plan.length_s(), 5.0);
/// # Ok::<(), pitcrew_load::PlanError>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[must_use]
pub struct Ceilings {
    connections: Option<u32>,
    rate_per_s: Option<f64>,
    seconds: Option<f64>,
    body_bytes: Option<usize>,
    memory_bytes: Option<u64>,
}

impl Ceilings {
    /// Connections, of each scenario and of all together, idle ones of WebSocket included: 1 to [`MAX_CONNECTIONS`].
    pub fn connections(mut self, connections: u32) -> Self {
        self.connections = Some(connections);
        self
    }

    /// Arrivals a second of open models, of each scenario and of all together: more than 0, at most [`MAX_RATE_PER_S`]. A closed
    /// model has no rate to ask for: its connections bound it.
    pub fn rate_per_s(mut self, rate_per_s: f64) -> Self {
        self.rate_per_s = Some(rate_per_s);
        self
    }

    /// Seconds from the beginning of the run in which anything new is sent: more than 0, at most [`MAX_DURATION_S`].
    pub fn seconds(mut self, seconds: f64) -> Self {
        self.seconds = Some(seconds);
        self
    }

    /// Bytes of the largest body, message or statement with its parameters that one request carries as the plan has it: at most
    /// [`MAX_BODY_BYTES`].
    pub fn body_bytes(mut self, bytes: usize) -> Self {
        self.body_bytes = Some(bytes);
        self
    }

    /// Memory of a run as [`Plan::memory_bytes`] puts it, in bytes: 4 MiB or more.
    pub fn memory_bytes(mut self, bytes: u64) -> Self {
        self.memory_bytes = Some(bytes);
        self
    }

    /// Checks that each is in its range.
    ///
    /// # Errors
    /// [`PlanError`] names the one that is not.
    pub fn check(&self) -> Result<(), PlanError> {
        let limits = [
            (
                "connections",
                self.connections.map(f64::from),
                MAX_CONNECTIONS.into(),
            ),
            ("rate_per_s", self.rate_per_s, MAX_RATE_PER_S),
            ("seconds", self.seconds, MAX_DURATION_S),
        ];
        for (field, ceiling, most) in limits {
            // A NaN fails both comparisons, so it is refused here too.
            if ceiling.is_some_and(|ceiling| !(ceiling > 0.0 && ceiling <= most)) {
                return wrong(field, format!("wants more than 0 and at most {most}"));
            }
        }
        if self.body_bytes.is_some_and(|bytes| bytes > MAX_BODY_BYTES) {
            return wrong("body_bytes", format!("wants at most {MAX_BODY_BYTES}"));
        }
        if self.memory_bytes.is_some_and(|bytes| bytes < LEAST_MEMORY) {
            return wrong(
                "memory_bytes",
                format!("wants {LEAST_MEMORY} or more: no run takes less"),
            );
        }
        Ok(())
    }
}

impl Plan {
    /// The same plan, where it asks for no more than `ceilings`: what it does not say is as usual, or as much as they leave.
    ///
    /// # Errors
    /// [`PlanError`] names the first field that asks for more, by its path, and the ceiling.
    pub fn within(&self, ceilings: &Ceilings) -> Result<Self, PlanError> {
        let mut plan = self.clone();
        let connections = ceilings.connections.unwrap_or(MAX_CONNECTIONS);
        let seconds = ceilings.seconds.unwrap_or(MAX_DURATION_S);
        for load in plan.loads() {
            if load.open.is_none() && load.closed.is_none() {
                load.connections
                    .get_or_insert(USUAL_CONNECTIONS.min(connections));
                load.duration_s.get_or_insert(USUAL_DURATION_S.min(seconds));
            }
        }
        let plan = plan.shared_out_of(connections);
        let (mut all_connections, mut all_rates) = (0_u32, 0.0);
        for (path, scenario) in plan.leaves() {
            let protocol = scenario.protocol()?;
            ceilings
                .check_one(&protocol, scenario.start_s)
                .map_err(|error| scenario.named(&path, error))?;
            let load = protocol.load();
            for more in [load.connections_asked(), protocol.idle()] {
                all_connections = all_connections.saturating_add(more);
            }
            all_rates += load.highest_rate_per_s();
        }
        for (what, sum, most) in [
            (
                "connections",
                f64::from(all_connections),
                ceilings.connections.map(f64::from),
            ),
            ("arrivals a second", all_rates, ceilings.rate_per_s),
        ] {
            if let Some(most) = most.filter(|most| sum > *most) {
                let wants = format!(
                    "want at most {most} {what} together, which is the ceiling here, have {sum}"
                );
                return wrong("scenarios", wants);
            }
        }
        let memory = plan.memory_bytes();
        if let Some(most) = ceilings.memory_bytes.filter(|most| memory > *most) {
            let wants = format!(
                "would take about {memory} bytes of memory, and the ceiling here is {most}: ask for fewer steps, scenarios, connections or rows"
            );
            return wrong("connections", wants);
        }
        Ok(plan)
    }
}

impl Ceilings {
    fn check_one(&self, protocol: &Protocol<'_>, start_s: f64) -> Result<(), PlanError> {
        let load = protocol.load();
        let (body, most) = (protocol.largest_body(), self.body_bytes);
        #[expect(clippy::cast_precision_loss, reason = "at most a megabyte")]
        keeps(
            "body",
            body as f64,
            most.map(|most| most as f64),
            "bytes in a request",
        )?;
        let connections = self.connections.map(f64::from);
        let both = load.connections_asked().saturating_add(protocol.idle());
        let field = if load.closed.is_some() {
            "closed.stages"
        } else {
            "connections"
        };
        keeps(
            field,
            load.connections_asked().into(),
            connections,
            "connections",
        )?;
        keeps(
            "idle",
            both.into(),
            connections,
            "idle and other connections",
        )?;
        let stages = load.open.iter().flat_map(|open| &open.stages).enumerate();
        for (number, stage) in stages {
            let field = |name: &str| format!("open.stages[{number}].{name}");
            let end = stage.to_rate_per_s.unwrap_or(0.0);
            for (name, rate) in [("rate_per_s", stage.rate_per_s), ("to_rate_per_s", end)] {
                keeps(&field(name), rate, self.rate_per_s, "arrivals a second")?;
            }
        }
        let field = match (&load.open, &load.closed) {
            (Some(_), _) => "open.stages",
            (None, Some(_)) => "closed.stages",
            (None, None) => "duration_s",
        };
        let seconds = "seconds from the beginning of the run";
        keeps(field, start_s + load.length_s(), self.seconds, seconds)
    }
}

fn keeps(field: &str, asked: f64, most: Option<f64>, what: &str) -> Result<(), PlanError> {
    match most.filter(|most| asked > *most) {
        None => Ok(()),
        Some(most) => wrong(
            field,
            format!("wants at most {most} {what}, which is the ceiling here, has {asked}"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn within(plan: &str, ceilings: &Ceilings) -> Result<Plan, PlanError> {
        let plan: Plan = serde_json::from_str(plan).expect("a plan");
        plan.check().expect("a plan that could run without them");
        plan.within(ceilings)
    }

    const LOW: Ceilings = Ceilings {
        connections: Some(8),
        rate_per_s: Some(50.0),
        seconds: Some(5.0),
        body_bytes: Some(100),
        memory_bytes: Some(64 << 20),
    };

    #[test]
    fn what_is_not_said_is_lowered_and_what_is_not_set_is_as_ever() {
        let closed = within(r#"{"target": "a", "http": {}}"#, &LOW).expect("lowered");
        let load = closed.http.expect("of HTTP").load;
        assert_eq!((load.connections, load.duration_s), (Some(8), Some(5.0)));
        let open = r#"{"scenarios": [
            {"name": "a", "target": "a", "http": {"connections": 2, "duration_s": 1}},
            {"name": "b", "target": "a", "http": {"open": {"stages": [{"duration_s": 1, "rate_per_s": 50}]}}}]}"#;
        let open = within(open, &LOW).expect("shared out").scenarios.remove(1);
        assert_eq!(open.http.expect("of HTTP").load.connections, Some(6));
        let free = within(
            r#"{"target": "a", "http": {"duration_s": 600}}"#,
            &Ceilings::default(),
        );
        let load = free.expect("as ever").http.expect("of HTTP").load;
        assert_eq!((load.connections, load.duration_s), (Some(16), Some(600.0)));
    }

    #[test]
    fn what_asks_for_more_is_named_with_the_ceiling() {
        let stages = |stage: &str| {
            format!(r#"{{"target": "a", "http": {{"open": {{"stages": [{stage}]}}}}}}"#)
        };
        let two = |one: &str, other: &str| {
            format!(
                r#"{{"scenarios": [{{"name": "a", "target": "a", {one}}}, {{"name": "b", "target": "a", {other}}}]}}"#
            )
        };
        let short = r#""http": {"duration_s": 1, "connections": 5}"#;
        for (plan, field, ceiling) in [
            (
                r#"{"target": "a", "http": {"connections": 9}}"#.to_owned(),
                "http.connections",
                "8",
            ),
            (
                r#"{"target": "a", "http": {"duration_s": 5.1}}"#.to_owned(),
                "http.duration_s",
                "5",
            ),
            (
                stages(r#"{"duration_s": 1, "rate_per_s": 51}"#),
                "http.open.stages[0].rate_per_s",
                "50",
            ),
            (
                stages(r#"{"duration_s": 1, "rate_per_s": 1, "to_rate_per_s": 51}"#),
                "http.open.stages[0].to_rate_per_s",
                "50",
            ),
            (
                stages(r#"{"duration_s": 6, "rate_per_s": 1}"#),
                "http.open.stages",
                "5",
            ),
            (two(short, short), "scenarios", "8"),
            (
                format!(
                    r#"{{"target": "a", "http": {{"body": "{}"}}}}"#,
                    "x".repeat(101)
                ),
                "http.body",
                "100",
            ),
            (
                two(
                    short,
                    r#""http": {"connections": 1, "duration_s": 2}, "start_s": 4"#,
                ),
                "scenarios[1].http.duration_s",
                "5",
            ),
            #[cfg(feature = "websocket")]
            (
                r#"{"target": "a", "websocket": {"connections": 1, "idle": 8}}"#.to_owned(),
                "websocket.idle",
                "8",
            ),
            #[cfg(feature = "websocket")]
            (
                two(short, r#""websocket": {"connections": 9}"#),
                "scenarios[1].websocket.connections",
                "8",
            ),
            #[cfg(feature = "postgres")]
            (
                two(short, r#""postgres": {"connections": 9}"#),
                "scenarios[1].postgres.connections",
                "8",
            ),
        ] {
            let error = within(&plan, &LOW).expect_err(&plan);
            assert_eq!(error.field, field, "{plan}: {error}");
            let says = format!("at most {ceiling} ");
            assert!(error.wants.contains(&says), "{plan}: {error}");
        }
    }

    #[cfg(feature = "scripts")]
    #[test]
    fn memory_grows_with_what_a_plan_asks_for_and_has_a_ceiling() {
        let plan = |rows: usize| {
            let rows = "x".repeat(rows);
            let plan = format!(
                r#"{{"target": "a", "http": {{"connections": 1, "duration_s": 1,
                    "data": {{"a": {{"choice": ["{rows}"]}}}}, "steps": [{{"path": "/{{{{a}}}}"}}]}}}}"#
            );
            serde_json::from_str::<Plan>(&plan).expect("a plan")
        };
        let (small, large) = (plan(1), plan(1 << 20));
        assert!(small.memory_bytes() + (3 << 20) <= large.memory_bytes() + 3);
        let ceilings = Ceilings::default().memory_bytes(small.memory_bytes());
        assert!(small.within(&ceilings).is_ok());
        let error = large.within(&ceilings).expect_err("too large");
        assert!(error.wants.contains("bytes of memory"), "{error}");
    }

    #[test]
    fn ceilings_that_cannot_be_are_refused() {
        let none = Ceilings::default();
        assert_eq!(none.check(), Ok(()));
        assert_eq!(
            none.connections(1_024)
                .rate_per_s(200_000.0)
                .seconds(600.0)
                .check(),
            Ok(())
        );
        for (ceilings, field) in [
            (none.connections(0), "connections"),
            (none.connections(1_025), "connections"),
            (none.rate_per_s(f64::NAN), "rate_per_s"),
            (none.rate_per_s(-1.0), "rate_per_s"),
            (none.seconds(0.0), "seconds"),
            (none.seconds(f64::INFINITY), "seconds"),
            (none.body_bytes(MAX_BODY_BYTES + 1), "body_bytes"),
            (none.memory_bytes(1), "memory_bytes"),
        ] {
            assert_eq!(ceilings.check().expect_err(field).field, field);
        }
    }
}
