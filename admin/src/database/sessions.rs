//! What the sessions of the database do, and who waits for whom.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::client::Database;
use super::error::DatabaseError;

/// A session of the database. What the role of the router may not see of others is none.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Session {
    pid: i32,
    user_name: Option<String>,
    application_name: Option<String>,
    state: Option<String>,
    wait_event_type: Option<String>,
    wait_event: Option<String>,
    /// How long its transaction has been open.
    transaction_s: Option<f64>,
    /// For how long it has been in its state.
    state_s: Option<f64>,
    queryid: Option<i64>,
    /// Its statement without values, where pg_stat_statements knows it.
    statement: Option<String>,
    /// Whom it waits for; 0 is a prepared transaction.
    blocked_by: Vec<i32>,
    /// How many wait for it.
    blocks: i64,
}

#[derive(Debug, Deserialize)]
struct Statement {
    queryid: i64,
    query: String,
}

const STATEMENTS: &str =
    "SELECT queryid, query FROM pitcrew.slow_queries WHERE queryid = ANY ($1::bigint[])";

impl Database {
    /// The sessions: those that others wait for first, then those that wait, then by the age of their transaction; at most `limit`.
    pub(crate) async fn sessions(&self, limit: i64) -> Result<Vec<Session>, DatabaseError> {
        let sql = include_str!("sql/sessions.sql");
        let mut sessions: Vec<Session> = self.rows(sql, &[&limit]).await?;
        let ids: Vec<_> = sessions.iter().filter_map(|one| one.queryid).collect();
        // Without the extension, or pg_stat_statements, they have no text.
        let known = self.rows::<Statement>(STATEMENTS, &[&ids]).await;
        let known = known.unwrap_or_default().into_iter();
        let known: HashMap<_, _> = known.map(|one| (one.queryid, one.query)).collect();
        for one in &mut sessions {
            one.statement = one.queryid.and_then(|id| known.get(&id).cloned());
        }
        Ok(sessions)
    }
}
