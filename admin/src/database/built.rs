//! What came of indexes that were built: how often they are used, and what statements took before and since.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::client::Database;
use super::error::DatabaseError;

/// An index that a job has built.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Built {
    job: i64,
    index_name: Option<String>,
    table_name: Option<String>,
    built_at: String,
    /// Whether nobody has dropped it.
    is_there: bool,
    bytes: Option<i64>,
    /// Scans of it since it was built.
    scans: Option<i64>,
    #[serde(skip_deserializing)]
    times: Option<Times>,
}

/// Mean times of the statements that name its table; none where none ran.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Times {
    #[serde(skip_serializing)]
    job: i64,
    /// In the day before it was built.
    before_ms: Option<f64>,
    since_ms: Option<f64>,
}

impl Database {
    /// The last indexes that jobs have built, the newest first.
    pub(crate) async fn built(&self) -> Result<Vec<Built>, DatabaseError> {
        let mut built: Vec<Built> = self.rows(include_str!("sql/built.sql"), &[]).await?;
        let jobs: Vec<_> = built.iter().map(|one| one.job).collect();
        let times = self
            .rows::<Times>(include_str!("sql/built_times.sql"), &[&jobs])
            .await;
        // Without history, or for a role that may not see others' statements, there is use alone.
        let times = times.unwrap_or_default().into_iter();
        let times: HashMap<_, _> = times.map(|times| (times.job, times)).collect();
        for one in &mut built {
            one.times = times.get(&one.job).cloned();
        }
        Ok(built)
    }
}
