//! That a plan can run, and what its scenarios share.

use std::collections::BTreeSet;

use super::super::{
    MAX_CONNECTIONS, MAX_DURATION_S, MAX_RATE_PER_S, MAX_REQUESTS, PlanError, wrong,
};
use super::protocol::Protocol;
use super::{Load, MAX_SCENARIOS, Plan};
#[cfg(feature = "websocket")]
use crate::MAX_IDLE;
#[cfg(feature = "scripts")]
use crate::script::MAX_STEPS;
use crate::threshold::contradiction;

// None can be asked for without the feature.
#[cfg(not(feature = "websocket"))]
const MAX_IDLE: u32 = 0;
#[cfg(not(feature = "scripts"))]
const MAX_STEPS: usize = 0;

impl Plan {
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
            ("usual_thresholds", self.usual_thresholds),
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
        self.check_thresholds("", &[])
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
        let steps = checked.map_err(|error| self.named(path, error))?;
        self.check_thresholds(path, &steps)
    }

    /// `steps` are the names of those that there are.
    fn check_thresholds(&self, path: &str, steps: &[String]) -> Result<(), PlanError> {
        if let Some((one, other)) = contradiction(&self.all_thresholds()) {
            return wrong(
                &format!("{path}thresholds"),
                format!("no run can keep both `{one}` and `{other}`"),
            );
        }
        let length_s = self.length_s() - self.start_s;
        let most = self.most();
        let is_closed = self
            .leaves()
            .iter()
            .flat_map(|(_, plan)| plan.protocols())
            .all(|protocol| protocol.load().open.is_none());
        for (number, threshold) in self.thresholds.iter().enumerate() {
            let field = format!("{path}thresholds[{number}]");
            if let Some(step) = threshold.step()
                && !steps.iter().any(|name| name == step)
            {
                let there_are = if steps.is_empty() {
                    "there are no steps".to_owned()
                } else {
                    format!("there are {}", steps.join(", "))
                };
                return wrong(&field, format!("names the step `{step}`; {there_are}"));
            }
            if let Some(over_s) = threshold
                .over_s()
                .filter(|over_s| f64::from(*over_s) > length_s)
            {
                return wrong(
                    &field,
                    format!("wants {over_s} s on end, and the plan sends for {length_s} s"),
                );
            }
            if threshold.is_of_open() && is_closed {
                return wrong(
                    &field,
                    "is of an open model, which has a rate; this one is closed",
                );
            }
            // Of a plan with steps each is sent once a visit at most; how many a visit sends in all is not looked at.
            let is_counted = steps.is_empty() || threshold.step().is_some();
            let Some(most) = most.filter(|_| is_counted) else {
                continue;
            };
            let per_s = most / length_s;
            for (least, most, what) in [
                (threshold.least_requests(), most, "requests"),
                (
                    threshold.least_rate_per_s().filter(|_| !is_closed),
                    per_s,
                    "good answers a second",
                ),
            ] {
                // A little more than is sent, so that no rounding refuses what can be.
                if let Some(least) = least.filter(|least| *least > most * (1.0 + 1e-9)) {
                    let most = (most * 1e3).round() / 1e3;
                    return wrong(
                        &field,
                        format!("wants {least} {what}, and the plan sends {most}"),
                    );
                }
            }
        }
        Ok(())
    }

    /// How many requests or visits it sends at most. None where answers and time decide that.
    fn most(&self) -> Option<f64> {
        let mut most = 0.0;
        for protocol in self.leaves().iter().flat_map(|(_, plan)| plan.protocols()) {
            let load = protocol.load();
            if load.open.is_none() && load.requests.is_none() {
                return None;
            }
            most += load.requests_asked();
        }
        Some(most)
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
        if self.scenarios.is_empty() {
            return self.clone();
        }
        self.clone().shared_out_of(MAX_CONNECTIONS)
    }

    /// The same of so many connections.
    pub(super) fn shared_out_of(mut self, most: u32) -> Self {
        let mut loads = self.loads();
        let says = |load: &Load| load.connections.is_some() || load.open.is_none();
        let said = loads.iter().filter(|load| says(load));
        let said: u32 = said
            .map(|load| load.connections_asked())
            .fold(0, u32::saturating_add);
        loads.retain(|load| !says(load));
        let share = most.saturating_sub(said) / (loads.len() as u32).max(1);
        for load in loads {
            load.connections = Some(share.max(1));
        }
        self
    }
}
