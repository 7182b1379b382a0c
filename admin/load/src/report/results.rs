//! The results of a run as they are kept in a file.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{GeneratorLimited, Report};
use crate::confidence::Estimate;
use crate::part::Part;
use crate::threshold::{Breach, Threshold, Verdict};

/// Which parts of a plan the results are of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parts {
    /// Their numbers, from 1, in order.
    pub numbers: Vec<u64>,
    /// Into how many the plan was split: 1 where it was not.
    pub of: u64,
}

/// A run with what it was of: what every form of a report is made of.
#[derive(Debug, Clone, PartialEq)]
pub struct Results {
    /// Where load went: `host:port`.
    pub target: String,
    /// The plan as JSON. Headers that may hold a secret have no value, and rows of data, which may hold passwords, are left out.
    pub plan: Value,
    /// Which parts of it these results are of.
    pub parts: Parts,
    /// When it began, by the wall clock.
    pub began: SystemTime,
    /// The figures.
    pub report: Report,
    /// What had to hold.
    pub thresholds: Vec<Threshold>,
    /// The threshold that ended the run, if one did.
    pub stopped_by: Option<Breach>,
}

impl Results {
    /// Of a run that began at a moment. A plan's `part` is taken out of it, so that all parts have the same plan.
    #[must_use]
    pub fn new(target: &str, plan: &impl Serialize, began: SystemTime, report: Report) -> Self {
        let mut plan = serde_json::to_value(plan).unwrap_or_default();
        hide_secrets(&mut plan);
        let part = plan
            .as_object_mut()
            .and_then(|fields| fields.remove("part"))
            .and_then(|part| part.as_str()?.parse::<Part>().ok())
            .unwrap_or(Part::WHOLE);
        Self {
            target: target.to_owned(),
            plan,
            parts: Parts {
                numbers: vec![part.number()],
                of: part.of(),
            },
            began: to_the_millisecond(began),
            report,
            thresholds: Vec::new(),
            stopped_by: None,
        }
    }

    /// What each threshold came to.
    #[must_use]
    pub fn verdicts(&self) -> Vec<Verdict> {
        self.thresholds
            .iter()
            .map(|threshold| match &self.stopped_by {
                Some(breach) if breach.threshold == *threshold => breach.verdict(),
                _ => threshold.judge(&self.report),
            })
            .collect()
    }

    /// Whether a file can be trusted to be about the target: the tester was not late.
    pub(super) fn limited(&self) -> Option<&GeneratorLimited> {
        self.report.generator_limited.as_ref()
    }

    pub(super) fn began_unix(&self) -> Duration {
        self.began.duration_since(UNIX_EPOCH).unwrap_or_default()
    }

    /// Percentiles of the response times with their intervals, and the service times' where these are not the same.
    pub(super) fn estimates(&self) -> (Vec<Estimate>, Option<Vec<Estimate>>) {
        let service =
            (self.report.model == super::Model::Open).then(|| self.report.service_estimates());
        (self.report.response_estimates(), service)
    }
}

/// As a file has it.
fn to_the_millisecond(moment: SystemTime) -> SystemTime {
    let since = moment.duration_since(UNIX_EPOCH).unwrap_or_default();
    UNIX_EPOCH + Duration::from_millis(u64::try_from(since.as_millis()).unwrap_or(0))
}

/// Of a header: whoever reads a report should not be able to act as who ran it.
const SECRET_NAMES: [&str; 7] = [
    "auth",
    "cookie",
    "credential",
    "key",
    "password",
    "secret",
    "token",
];

/// In the place of a value.
const HIDDEN: &str = "(hidden)";

fn hide_secrets(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                if name == "headers" {
                    hide_headers(field);
                } else if name == "rows" {
                    hide_rows(field);
                } else {
                    hide_secrets(field);
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(hide_secrets),
        _ => {}
    }
}

/// Users of a service and their passwords, perhaps.
fn hide_rows(rows: &mut Value) {
    for name in ["csv", "json"] {
        if let Some(text) = rows.get_mut(name) {
            *text = Value::from(HIDDEN);
        }
    }
}

fn hide_headers(headers: &mut Value) {
    let Value::Object(headers) = headers else {
        return;
    };
    for (name, value) in headers {
        let name = name.to_ascii_lowercase();
        if SECRET_NAMES.iter().any(|secret| name.contains(secret)) {
            *value = Value::from(HIDDEN);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_of_headers_are_not_kept() {
        let mut plan = serde_json::json!({
            "path": "/?token=shown",
            "scenarios": [{"headers": {"Authorization": "Bearer x", "accept": "*/*"}}],
            "data": {"user": {"rows": {"csv": "name,password\nann,x", "order": "random"}}},
            "headers": {"X-Api-Key": "x", "cookie": "a=b", "Proxy-Authorization": "x", "x-csrf-token": "x"},
        });
        hide_secrets(&mut plan);
        assert_eq!(plan["scenarios"][0]["headers"]["Authorization"], HIDDEN);
        assert_eq!(plan["scenarios"][0]["headers"]["accept"], "*/*");
        let rows = &plan["data"]["user"]["rows"];
        assert_eq!(
            (&rows["csv"], &rows["order"]),
            (&HIDDEN.into(), &"random".into())
        );
        for (name, value) in plan["headers"].as_object().expect("headers") {
            assert_eq!(value, HIDDEN, "{name}");
        }
    }
}
