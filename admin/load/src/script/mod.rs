//! Visits: several requests one after the other, as one visitor makes them, with data in them and values taken from answers.
//!
//! A plan's [`Flow`]s are compiled into a [`Script`] before the first request, so that a template that names nothing and a
//! pattern that is none are known then. A name in a template is a place in a list of values by that time.
//!
//! | file | role |
//! |---|---|
//! | here | flows and steps as a plan has them |
//! | `steps` | those of PostgreSQL and WebSocket |
//! | `spoken` | what they have in common |
//! | `data` | where values come from |
//! | `rows` | rows of named columns |
//! | `template` | texts with values in them |
//! | `expect` | what an answer has to be |
//! | `capture` | what is taken from it |
//! | `reply` | an answer as these two see it |
//! | `cookies` | what a visitor was told to say again |
//! | `sends` | what a step sends, checked |
//! | `compile` | a plan's flows, checked |
//! | `compiled` | a script as the engine runs it |

mod capture;
mod compile;
mod compiled;
mod cookies;
mod data;
mod expect;
mod reply;
mod rows;
mod sends;
mod spoken;
#[cfg(any(feature = "postgres", feature = "websocket"))]
mod steps;
mod template;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use self::capture::Capture;
pub(crate) use self::compile::{Common, of_plan};
#[cfg(feature = "websocket")]
pub(crate) use self::compiled::Message;
#[cfg(feature = "postgres")]
pub(crate) use self::compiled::{Prepared, Sql};
pub(crate) use self::compiled::{Script, Sent, Visitor};
pub use self::data::Source;
pub use self::expect::Expect;
pub(crate) use self::expect::Unmet;
pub(crate) use self::reply::{MAX_KEPT_BYTES, Reply};
pub use self::rows::{Order, Rows};
pub(crate) use self::spoken::Spoken;
#[cfg(feature = "postgres")]
pub use self::steps::PostgresStep;
#[cfg(feature = "websocket")]
pub use self::steps::WebSocketStep;

/// The most steps of all flows together: 20. Each has histograms of its own, 0.7 MB on each thread of the run.
pub const MAX_STEPS: usize = 20;
/// The longest pause before a step: a minute.
pub const MAX_THINK_MS: u64 = 60_000;

/// Steps that one visitor takes, and how often this is what a visitor does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Flow<S = Step> {
    /// What its steps are named by in reports: `name/step`.
    pub name: String,
    /// Its share of all visits is this over the sum of all weights: 1 to 1,000. Default 1.
    #[serde(default = "one")]
    pub weight: u32,
    /// One after the other. A step that fails ends the visit: a visitor who cannot log in does not buy.
    pub steps: Vec<S>,
}

/// One request of a visit. `{{name}}` in its path, headers and body is a value of the plan's `data` or one that a step before
/// it captured; `{{name.column}}` one of a row. In a path values are percent-encoded; elsewhere they stand as they are, and
/// `{{name|json}}` stands as JSON, a text with its quotes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Step {
    /// How reports name it. Default method and path as they are written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Path and query, from `/`. Default `/`.
    pub path: String,
    /// Request method. Default `GET`.
    pub method: String,
    /// Headers, besides those of the plan.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Request body. Default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// Pause before it, in milliseconds: at most [`MAX_THINK_MS`]. It counts in no figure. In an open model the first
    /// step has none: it is sent when it is due. Default 0.
    #[serde(skip_serializing_if = "is_zero")]
    pub think_ms: u64,
    /// What its answer has to be. Default a status below 400.
    #[serde(skip_serializing_if = "Expect::is_usual")]
    pub expect: Expect,
    /// Values to take from its answer, by the name that later steps use. One that is not there is an error of this step.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub capture: BTreeMap<String, Capture>,
}

impl Default for Step {
    fn default() -> Self {
        Self {
            name: None,
            path: "/".to_owned(),
            method: "GET".to_owned(),
            headers: BTreeMap::new(),
            body: None,
            think_ms: 0,
            expect: Expect::default(),
            capture: BTreeMap::new(),
        }
    }
}

const fn one() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}
