//! What a run sends and how much of it, checked before the first request.
//!
//! | file | role |
//! |---|---|
//! | `load` | how much load, and when: the same for each protocol |
//! | `stages` | those of both models |
//! | `visits` | what visitors do, in the place of one request |
//! | `flat` | reads a plan and these from one object |
//! | `http`, `postgres`, `websocket` | what a protocol sends |
//! | `statement` | a statement of PostgreSQL |
//! | `schema` | its JSON Schema |
//! | `scenarios` | a plan of any protocol with its target, and several side by side |

mod flat;
mod http;
mod load;
#[cfg(feature = "postgres")]
mod postgres;
mod scenarios;
#[cfg(feature = "schema")]
mod schema;
mod stages;
#[cfg(feature = "postgres")]
mod statement;
#[cfg(feature = "scripts")]
mod visits;
#[cfg(feature = "websocket")]
mod websocket;

pub(crate) use self::http::Checked;
pub use self::http::{HttpPlan, HttpVersion, MAX_BODY_BYTES, MAX_STREAMS};
#[cfg(feature = "scripts")]
pub(crate) use self::http::{checked_headers, checked_path};
pub(crate) use self::load::CheckedLoad;
pub use self::load::{Load, MAX_CONNECTIONS, MAX_DURATION_S, MAX_RATE_PER_S, MAX_REQUESTS};
#[cfg(feature = "postgres")]
pub(crate) use self::postgres::CheckedPostgres;
#[cfg(feature = "postgres")]
pub use self::postgres::{MAX_DEPTH, PostgresMode, PostgresPlan};
pub(crate) use self::scenarios::Protocol;
pub use self::scenarios::{Ceilings, MAX_SCENARIOS, Plan};
#[cfg(feature = "schema")]
pub use self::schema::schema;
pub(crate) use self::stages::Due;
pub use self::stages::{Closed, MAX_STAGES, Open};
#[cfg(all(feature = "postgres", feature = "scripts"))]
pub(crate) use self::statement::{check_parameters, check_sql};
#[cfg(feature = "scripts")]
pub use self::visits::Visits;
#[cfg(feature = "websocket")]
pub(crate) use self::websocket::CheckedWebSocket;
#[cfg(feature = "websocket")]
pub use self::websocket::{MAX_IDLE, Reply, WebSocketMessage, WebSocketPlan};
#[cfg(all(feature = "websocket", feature = "scripts"))]
pub(crate) use self::websocket::{check_reply, checked_message};

/// A plan that cannot run: which field, and what it wants.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {wants}")]
#[non_exhaustive]
pub struct PlanError {
    /// The field's path in the plan, such as `headers.accept`.
    pub field: String,
    /// What the field wants, as a sentence.
    pub wants: String,
}

/// An error about one field.
pub(crate) fn wrong<T>(field: &str, wants: impl Into<String>) -> Result<T, PlanError> {
    Err(PlanError {
        field: field.to_owned(),
        wants: wants.into(),
    })
}
