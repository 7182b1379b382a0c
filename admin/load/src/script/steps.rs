//! Steps of PostgreSQL and WebSocket, as a plan has them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Capture, Expect, is_zero};

/// One statement of a visit. It is prepared once a connection. Several are a transaction where the first is `BEGIN` and the last
/// `COMMIT`; a visit that fails is rolled back.
#[cfg(feature = "postgres")]
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct PostgresStep {
    /// How reports name it. Default the statement as it is written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The statement. No value stands in its text: those are `parameters`.
    pub sql: String,
    /// Its parameters `$1`, `$2`, ... in PostgreSQL's own text form, whatever their types are; none is NULL. `{{name}}` is a value
    /// of the plan's `data` or one that a step before it captured.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parameters: Vec<Option<String>>,
    /// Pause before it, in milliseconds: at most [`MAX_THINK_MS`](crate::MAX_THINK_MS), and none before the first of an open
    /// model. Default 0.
    #[serde(skip_serializing_if = "is_zero")]
    pub think_ms: u64,
    /// What has to come of it, of `rows` and `within_ms`. Default that it is no error.
    #[serde(skip_serializing_if = "Expect::is_usual")]
    pub expect: Expect,
    /// Columns of its first row to take, by the name that later steps use. One that is not there, or NULL, is an error of this
    /// step.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub capture: BTreeMap<String, Capture>,
}

/// One message of a visit, or the wait for one.
#[cfg(feature = "websocket")]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct WebSocketStep {
    /// How reports name it. Default `send` or `wait`, with its number from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What is sent; none only waits. A text may hold values as the body of an HTTP step does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub send: Option<crate::WebSocketMessage>,
    /// Which message is the answer. Default the next one, whatever it is.
    pub reply: crate::Reply,
    /// Pause before it, in milliseconds: at most [`MAX_THINK_MS`](crate::MAX_THINK_MS), and none before the first of an open
    /// model. Default 0.
    #[serde(skip_serializing_if = "is_zero")]
    pub think_ms: u64,
    /// What the answer has to be, of `body_contains`, `body_matches`, `json` and `within_ms`.
    #[serde(skip_serializing_if = "Expect::is_usual")]
    pub expect: Expect,
    /// Values to take from the answer by `json` or `regex`, by the name that later steps use.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub capture: BTreeMap<String, Capture>,
}

#[cfg(feature = "websocket")]
impl Default for WebSocketStep {
    fn default() -> Self {
        Self {
            name: None,
            send: None,
            reply: crate::Reply::Any,
            think_ms: 0,
            expect: Expect::default(),
            capture: BTreeMap::new(),
        }
    }
}
