//! What is taken from an answer.

use regex::bytes::Regex;
use serde::{Deserialize, Serialize};

use super::reply::Reply;
use super::spoken::Protocol;
use crate::plan::{PlanError, wrong};

/// A longer value is not taken, as if it were not there.
const MAX_BYTES: usize = 8 * 1_024;

/// Where a value lies in an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Capture {
    /// At a JSON Pointer (RFC 6901) in the body, such as `/items/0/id`. A text is taken without its quotes, anything else as
    /// JSON.
    Json(String),
    /// The value of a header; of several the first.
    Header(String),
    /// PostgreSQL: a column of the first row, by its name: a text, a whole number, a boolean or a UUID. Cast others to `text`.
    Column(String),
    /// The first group of a regular expression where it first matches the body, or all of the match where it has no group.
    Regex(String),
}

#[derive(Debug)]
pub(super) enum Taker {
    Json(String),
    Header(String),
    Regex(Regex),
    Column(String),
}

impl Capture {
    pub(super) fn compile(&self, field: &str, of: Protocol) -> Result<Taker, PlanError> {
        let (name, is_right) = match self {
            Self::Json(_) => ("json", !of.has_rows()),
            Self::Regex(_) => ("regex", !of.has_rows()),
            Self::Header(_) => ("header", of.is_http()),
            Self::Column(_) => ("column", of.has_rows()),
        };
        if !is_right {
            return wrong(
                &format!("{field}.{name}"),
                "is of another protocol: HTTP has json, header and regex, PostgreSQL column, WebSocket json and regex",
            );
        }
        Ok(match self {
            Self::Json(pointer) => Taker::Json(pointer_of(pointer, field)?),
            Self::Header(name) => Taker::Header(header_of(name, field)?),
            Self::Column(name) => Taker::Column(name.clone()),
            Self::Regex(pattern) => {
                let regex = regex_of(pattern, field)?;
                if regex.captures_len() < 2 {
                    return wrong(
                        field,
                        format!("`{pattern}` has no group: put what is taken in brackets"),
                    );
                }
                Taker::Regex(regex)
            }
        })
    }
}

impl Taker {
    /// The value; `None` where there is none. `json` is the reply's body, where it is JSON.
    pub(super) fn take(&self, reply: &Reply, json: Option<&serde_json::Value>) -> Option<String> {
        let value = match self {
            Self::Json(pointer) => match json?.pointer(pointer)? {
                serde_json::Value::String(text) => text.clone(),
                other => other.to_string(),
            },
            Self::Header(name) => String::from_utf8_lossy(reply.values(name).next()?).into_owned(),
            Self::Column(name) => reply.column(name)?.to_owned(),
            Self::Regex(regex) => {
                let text = reply.text();
                let found = regex.captures(text.as_bytes())?;
                let group = found.get(1).or_else(|| found.get(0))?;
                String::from_utf8_lossy(group.as_bytes()).into_owned()
            }
        };
        (value.len() <= MAX_BYTES).then_some(value)
    }

    pub(super) const fn needs_json(&self) -> bool {
        matches!(self, Self::Json(_))
    }
}

pub(super) fn pointer_of(pointer: &str, field: &str) -> Result<String, PlanError> {
    if pointer.is_empty() || pointer.starts_with('/') {
        Ok(pointer.to_owned())
    } else {
        wrong(
            field,
            format!("wants a JSON Pointer (RFC 6901), which begins with `/`, has `{pointer}`"),
        )
    }
}

pub(super) fn header_of(name: &str, field: &str) -> Result<String, PlanError> {
    match http::HeaderName::from_bytes(name.as_bytes()) {
        Ok(name) => Ok(name.as_str().to_owned()),
        Err(_) => wrong(field, format!("wants the name of a header, has `{name}`")),
    }
}

/// Of linear time, and at most a MiB compiled.
pub(super) fn regex_of(pattern: &str, field: &str) -> Result<Regex, PlanError> {
    regex::bytes::RegexBuilder::new(pattern)
        .size_limit(1 << 20)
        .build()
        .or_else(|error| {
            let error = error.to_string();
            let last = error.lines().last().unwrap_or_default();
            wrong(
                field,
                format!("`{pattern}` is no regular expression: {last}"),
            )
        })
}
