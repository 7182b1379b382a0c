//! What an answer has to be.

use std::collections::BTreeMap;
use std::time::Duration;

use regex::bytes::Regex;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::capture::{header_of, pointer_of, regex_of};
use super::reply::Reply;
use super::spoken::Protocol;
use crate::plan::{PlanError, wrong};
use crate::record::{Answer, ErrorKind};

/// What the answer to a step has to be; all of it. An answer that is not is an error: of the kind `status` for its status, of
/// the kind `check` for anything else.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Expect {
    /// One of these statuses, each 100 to 599. Default any below 400.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub status: Vec<u16>,
    /// Headers with exactly these values.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// A text that is somewhere in the body's first MiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body_contains: Option<String>,
    /// A regular expression that matches somewhere in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body_matches: Option<String>,
    /// JSON Pointer (RFC 6901) to the value that is there.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub json: BTreeMap<String, Value>,
    /// PostgreSQL: so many rows, of what was read or of what was changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    /// At most so many milliseconds from the send to the body's end: more than 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub within_ms: Option<f64>,
}

/// The same, checked and parsed, each with the name that reports call it by.
#[derive(Debug, Default)]
pub(super) struct Expected {
    status: Vec<u16>,
    headers: Vec<(String, String)>,
    contains: Option<String>,
    matches: Option<Regex>,
    json: Vec<(String, Value)>,
    rows: Option<u64>,
    within: Option<Duration>,
}

/// A check that an answer did not pass: its kind, and what reports call it by.
#[derive(Debug, PartialEq)]
pub(crate) struct Unmet {
    pub(crate) kind: ErrorKind,
    pub(crate) name: String,
}

impl Unmet {
    pub(super) fn check(name: impl Into<String>) -> Self {
        Self {
            kind: ErrorKind::Check,
            name: name.into(),
        }
    }
}

impl Expect {
    pub(super) fn is_usual(&self) -> bool {
        *self == Self::default()
    }

    pub(super) fn compile(&self, field: &str, of: Protocol) -> Result<Expected, PlanError> {
        let has_body = !of.has_rows();
        for (name, is_said, is_right) in [
            ("status", !self.status.is_empty(), of.is_http()),
            ("headers", !self.headers.is_empty(), of.is_http()),
            ("body_contains", self.body_contains.is_some(), has_body),
            ("body_matches", self.body_matches.is_some(), has_body),
            ("json", !self.json.is_empty(), has_body),
            ("rows", self.rows.is_some(), of.has_rows()),
        ] {
            if is_said && !is_right {
                return wrong(
                    &format!("{field}.{name}"),
                    "is of another protocol; leave it out",
                );
            }
        }
        if self
            .status
            .iter()
            .any(|status| !(100..600).contains(status))
        {
            return wrong(
                &format!("{field}.status"),
                "wants statuses from 100 to 599, such as [200, 201]",
            );
        }
        let mut headers = Vec::new();
        for (name, value) in &self.headers {
            let field = format!("{field}.headers.{name}");
            headers.push((header_of(name, &field)?, value.clone()));
        }
        let mut json = Vec::new();
        for (pointer, value) in &self.json {
            let pointer = pointer_of(pointer, &format!("{field}.json"))?;
            json.push((pointer, value.clone()));
        }
        let within = match self.within_ms {
            // A NaN fails both comparisons, so it is refused here too.
            Some(ms) if !(ms > 0.0 && ms <= 3_600_000.0) => {
                return wrong(
                    &format!("{field}.within_ms"),
                    "wants more than 0 and at most 3,600,000 milliseconds",
                );
            }
            within => within.map(|ms| Duration::from_secs_f64(ms / 1e3)),
        };
        let matches = match &self.body_matches {
            Some(pattern) => Some(regex_of(pattern, &format!("{field}.body_matches"))?),
            None => None,
        };
        Ok(Expected {
            status: self.status.clone(),
            headers,
            contains: self.body_contains.clone(),
            matches,
            json,
            rows: self.rows,
            within,
        })
    }
}

impl Expected {
    /// Whether an answer's headers or body have to be looked at.
    pub(super) fn looks_inside(&self) -> bool {
        !self.headers.is_empty()
            || self.contains.is_some()
            || self.matches.is_some()
            || self.needs_json()
    }

    pub(super) fn needs_json(&self) -> bool {
        !self.json.is_empty()
    }

    /// The first check that it does not pass.
    pub(super) fn judge(
        &self,
        answer: &Answer,
        took: Duration,
        reply: &Reply,
        json: Option<&Value>,
    ) -> Result<(), Unmet> {
        if let Some(status) = answer.status {
            let is_right = if self.status.is_empty() {
                status < 400
            } else {
                self.status.contains(&status)
            };
            if !is_right {
                return Err(Unmet {
                    kind: ErrorKind::Status,
                    name: format!("status {status}"),
                });
            }
        }
        for (name, wanted) in &self.headers {
            let mut values = reply.values(name);
            if !values.any(|value| value == wanted.as_bytes()) {
                return Err(Unmet::check(format!("header {name}")));
            }
        }
        let is_in = |wanted: &str| reply.text().contains(wanted);
        if self.contains.as_deref().is_some_and(|text| !is_in(text)) {
            return Err(Unmet::check("body_contains"));
        }
        let is_match = |regex: &Regex| regex.is_match(reply.text().as_bytes());
        if self.matches.as_ref().is_some_and(|regex| !is_match(regex)) {
            return Err(Unmet::check("body_matches"));
        }
        for (pointer, wanted) in &self.json {
            if json.and_then(|json| json.pointer(pointer)) != Some(wanted) {
                return Err(Unmet::check(format!("json {pointer}")));
            }
        }
        if self.rows.is_some_and(|rows| rows != reply.rows()) {
            return Err(Unmet::check("rows"));
        }
        if self.within.is_some_and(|within| took > within) {
            return Err(Unmet::check("within_ms"));
        }
        Ok(())
    }
}
