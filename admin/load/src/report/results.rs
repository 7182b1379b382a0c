//! The results of a run as they are kept in a file.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{GeneratorLimited, Report};
use crate::confidence::Estimate;
use crate::engine::{AnyTarget, Run, Stopped};
use crate::part::Part;
use crate::plan::{Plan, Protocol};
use crate::threshold::{Breach, Threshold, Verdict};

/// Which parts of a plan the results are of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Parts {
    /// Their numbers, from 1, in order.
    pub numbers: Vec<u64>,
    /// Into how many the plan was split: 1 where it was not.
    pub of: u64,
    /// Of merged parts: how far apart the first and the last of them began, in seconds.
    #[serde(default)]
    pub apart_s: f64,
}

/// A run with what it was of: what every form of a report is made of.
#[derive(Debug, Clone, PartialEq)]
pub struct Results {
    /// Of a scenario; empty otherwise.
    pub name: String,
    /// Of a scenario: so many seconds after the plan's beginning it began.
    pub start_s: f64,
    /// Where load went: `host:port`, of several scenarios each once with `, ` between them.
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
    /// Each scenario of a plan that has several, in its order. The report above is then of all together.
    pub scenarios: Vec<Self>,
}

impl Results {
    /// Of a run that began at a moment. A plan's `part` is taken out of it, so that all parts have the same plan.
    #[must_use]
    pub fn new(target: &str, plan: &impl Serialize, began: SystemTime, report: Report) -> Self {
        let mut plan = shown(plan);
        let part = without_part(&mut plan).unwrap_or(Part::WHOLE);
        Self {
            name: String::new(),
            start_s: 0.0,
            target: target.to_owned(),
            plan,
            parts: Parts {
                numbers: vec![part.number()],
                of: part.of(),
                apart_s: 0.0,
            },
            began: to_the_millisecond(began),
            report,
            thresholds: Vec::new(),
            stopped_by: None,
            scenarios: Vec::new(),
        }
    }

    /// Of a plan's run that began at a moment, with the plan's thresholds; `targets` as they were given to
    /// [`start_plan`](crate::start_plan). None while the run goes on.
    #[must_use]
    pub fn of_run(
        run: &Run,
        plan: &Plan,
        targets: &[AnyTarget],
        began: SystemTime,
    ) -> Option<Self> {
        let report = run.report()?.clone();
        let mut names: Vec<String> = Vec::new();
        for target in targets.iter().map(AnyTarget::authority) {
            if !names.contains(&target) {
                names.push(target);
            }
        }
        let target = names.join(", ");
        let mut results = match plan.protocol() {
            Ok(Protocol::Http(plan)) => Self::new(&target, plan, began, report),
            #[cfg(feature = "postgres")]
            Ok(Protocol::Postgres(plan)) => Self::new(&target, plan, began, report),
            #[cfg(feature = "websocket")]
            Ok(Protocol::WebSocket(plan)) => Self::new(&target, plan, began, report),
            Err(_) => Self::new(&target, plan, began, report),
        };
        results.name.clone_from(&plan.name);
        results.start_s = plan.start_s;
        results.thresholds = plan.all_thresholds();
        for ((scenario, (_, run)), target) in
            plan.scenarios.iter().zip(run.scenarios()).zip(targets)
        {
            let began = began + Duration::from_secs_f64(scenario.start_s);
            let target = std::slice::from_ref(target);
            results
                .scenarios
                .push(Self::of_run(run, scenario, target, began)?);
        }
        Some(results)
    }

    /// Whether all thresholds hold, those of scenarios too.
    #[must_use]
    pub fn hold(&self) -> bool {
        self.verdicts().iter().all(|verdict| verdict.holds) && self.scenarios.iter().all(Self::hold)
    }

    /// Whether one was shown not to hold. Where none was and not all hold, the run was too short to say.
    #[must_use]
    pub fn are_broken(&self) -> bool {
        self.verdicts().iter().any(Verdict::is_broken)
            || self.scenarios.iter().any(Self::are_broken)
    }

    /// The same, of a run that a threshold ended.
    #[must_use]
    pub fn with_stop(mut self, stopped: Stopped) -> Self {
        let of = match stopped.scenario {
            None => Some(&mut self),
            Some(number) => self.scenarios.get_mut(number),
        };
        if let Some(results) = of {
            results.stopped_by = Some(stopped.breach);
        }
        self
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
            (self.report.model != super::Model::Closed).then(|| self.report.service_estimates());
        (self.report.response_estimates(), service)
    }
}

/// A plan as a report has it.
pub(super) fn shown(plan: &impl Serialize) -> Value {
    let mut plan = serde_json::to_value(plan).unwrap_or_default();
    hide_secrets(&mut plan);
    plan
}

/// Takes the part out of a plan, and out of those of its scenarios, which have the same.
fn without_part(plan: &mut Value) -> Option<Part> {
    let fields = plan.as_object_mut()?;
    let mut part = fields
        .remove("part")
        .and_then(|part| part.as_str()?.parse().ok());
    for (name, field) in fields {
        if name == "scenarios" {
            let scenarios = field.as_array_mut().into_iter().flatten();
            part = scenarios.map(without_part).fold(part, Option::or);
        } else if ["http", "postgres", "websocket"].contains(&name.as_str()) {
            part = part.or(without_part(field));
        }
    }
    part
}

/// As a file has it.
fn to_the_millisecond(moment: SystemTime) -> SystemTime {
    let since = moment.duration_since(UNIX_EPOCH).unwrap_or_default();
    UNIX_EPOCH + Duration::from_millis(u64::try_from(since.as_millis()).unwrap_or(0))
}

/// Of a header: whoever reads a report should not be able to act as who ran it.
const SECRET_NAMES: [&str; 8] = [
    "auth",
    "cookie",
    "credential",
    "key",
    "password",
    "secret",
    "session",
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
                } else if name == "target" {
                    hide_credentials(field);
                } else if name == "path" {
                    hide_query(field);
                } else if name == "body" {
                    hide_body(field);
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

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRET_NAMES.iter().any(|secret| name.contains(secret))
}

/// Values of a query whose names may be of secrets.
fn hide_query(path: &mut Value) {
    let Some((place, query)) = path.as_str().and_then(|path| path.split_once('?')) else {
        return;
    };
    let pairs = query.split('&').map(|pair| match pair.split_once('=') {
        Some((name, _)) if is_secret(name) => format!("{name}={HIDDEN}"),
        _ => pair.to_owned(),
    });
    let shown = format!("{place}?{}", pairs.collect::<Vec<_>>().join("&"));
    *path = Value::from(shown);
}

/// In a body, where `key` and `auth` are parts of many words.
const SECRET_WORDS: [&str; 6] = [
    "password",
    "passwd",
    "secret",
    "token",
    "credential",
    "api_key",
];

/// A body that speaks of secrets, whatever its form.
fn hide_body(body: &mut Value) {
    let text = body
        .as_str()
        .map(|text| text.to_ascii_lowercase().replace('-', "_"));
    if text.is_some_and(|text| SECRET_WORDS.iter().any(|word| text.contains(word))) {
        *body = Value::from(HIDDEN);
    }
}

/// Of a target's text, which may have a user and a password: where it is. Of a text that is no URL (`host=... password=...`), or one in which
/// it is not plain where a password ends, nothing.
fn hide_credentials(target: &mut Value) {
    let Some(text) = target.as_str() else { return };
    let shown = match text.split_once("://") {
        Some((_, rest)) if rest.matches('@').count() > 1 => HIDDEN.to_owned(),
        Some((scheme, rest)) => {
            let place = rest.split_once('@').map_or(rest, |(_, place)| place);
            // A query may hold a password too.
            let place = place.split('?').next().unwrap_or_default();
            format!("{scheme}://{place}")
        }
        None if text.contains('=') => HIDDEN.to_owned(),
        None => text.to_owned(),
    };
    *target = Value::from(shown);
}

fn hide_headers(headers: &mut Value) {
    let Value::Object(headers) = headers else {
        return;
    };
    for (name, value) in headers {
        if is_secret(name) {
            *value = Value::from(HIDDEN);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn l6_no_credentials_of_a_target_are_kept() {
        for (target, shown) in [
            (
                "postgres://u:S3cret@127.0.0.1:5433/db",
                "postgres://127.0.0.1:5433/db",
            ),
            ("postgres://u:S3c/r@e?t@h/db", HIDDEN),
            ("postgres://u:S3c/r?t@h/db", "postgres://h/db"),
            ("postgres://u@h/db?password=S3@cret", HIDDEN),
            ("postgres://u@h/db?password=S3cret", "postgres://h/db"),
            ("host=h user=u password=S3cret", HIDDEN),
            ("http://127.0.0.1:3000", "http://127.0.0.1:3000"),
            ("", ""),
        ] {
            let mut plan = serde_json::json!({"scenarios": [{"target": target}]});
            hide_secrets(&mut plan);
            assert_eq!(plan["scenarios"][0]["target"], shown);
        }
    }

    #[test]
    fn secrets_of_headers_are_not_kept() {
        let mut plan = serde_json::json!({
            "path": "/?token=x&page=2",
            "body": "{\"password\": \"x\"}",
            "scenarios": [{"headers": {"Authorization": "Bearer x", "accept": "*/*"}}],
            "data": {"user": {"rows": {"csv": "name,password\nann,x", "order": "random"}}},
            "headers": {"X-Api-Key": "x", "cookie": "a=b", "Proxy-Authorization": "x", "x-csrf-token": "x"},
        });
        hide_secrets(&mut plan);
        assert_eq!(plan["path"], format!("/?token={HIDDEN}&page=2"));
        assert_eq!(plan["body"], HIDDEN);
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
