//! What the database says about itself.

use std::sync::{MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::client::Database;
use super::error::DatabaseError;
use super::jobs::JobRequest;
use crate::section::Section;

/// Key figures that cost one short query.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Overview {
    pub(crate) server_version: String,
    pub(crate) database: String,
    pub(crate) size_bytes: i64,
    pub(crate) connections: i64,
    pub(crate) max_connections: i64,
    /// Blocks found in the server's own buffers, in per cent; none before the first read.
    pub(crate) buffer_hit_percent: Option<f64>,
    pub(crate) extension_version: Option<String>,
    /// Statements' mean execution time, weighted by calls; none without pg_stat_statements.
    pub(crate) mean_ms: Option<f64>,
}

/// One row of `pitcrew.suggest_indexes()`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Suggestion {
    pub(crate) id: String,
    pub(crate) index_name: String,
    pub(crate) table_name: String,
    pub(crate) columns: Vec<String>,
    pub(crate) ddl: String,
    pub(crate) cost_before: f64,
    pub(crate) cost_after: f64,
    pub(crate) gain_percent: f64,
    pub(crate) estimated_size_bytes: i64,
    pub(crate) queryids: Vec<i64>,
    pub(crate) detail: String,
    pub(crate) evidence: Value,
    /// Columns that are only stored.
    #[serde(default)]
    pub(crate) included: Vec<String>,
    /// By which it is suppressed.
    #[serde(default)]
    pub(crate) cache_key: Option<String>,
    /// The job that builds it; none where `ddl` has to be run by hand.
    #[serde(default)]
    pub(crate) job: Option<JobRequest>,
}

/// One row of `pitcrew.table_stats`, or of the server's own statistics.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct TableStats {
    pub(crate) schema_name: String,
    pub(crate) table_name: String,
    pub(crate) total_bytes: i64,
    pub(crate) live_rows: i64,
    pub(crate) dead_rows: i64,
    pub(crate) dead_percent: Option<f64>,
    pub(crate) last_analyze: Option<String>,
    pub(crate) last_autoanalyze: Option<String>,
    #[serde(flatten)]
    pub(crate) more: serde_json::Map<String, Value>,
}

/// Everything that a DBA would look at first.
#[derive(Debug, Serialize)]
pub(crate) struct Analysis {
    pub(crate) overview: Section<Overview>,
    pub(crate) suggestions: Section<Vec<Suggestion>>,
    pub(crate) slow_queries: Section<Vec<Value>>,
    pub(crate) tables: Section<Vec<TableStats>>,
    pub(crate) skipped: Section<Vec<Value>>,
    pub(crate) extension: Section<Vec<Value>>,
}

/// Two looks at the sessions that are closer together say little.
const ENOUGH_TIME: Duration = Duration::from_secs(60);
const SLOW_QUERIES: &str = "SELECT * FROM pitcrew.slow_queries LIMIT 20";
const SLOW_QUERIES_WITHOUT_EXTENSION: &str = include_str!("sql/slow_queries.sql");
const TABLES: &str = "SELECT * FROM pitcrew.table_stats ORDER BY total_bytes DESC LIMIT 50";
const TABLES_WITHOUT_EXTENSION: &str = include_str!("sql/table_stats.sql");
const SKIPPED: &str = "SELECT queryid, query, calls, skipped_because FROM pitcrew.workload() WHERE NOT planned \
                       ORDER BY total_ms DESC LIMIT 20";

impl Database {
    pub(crate) async fn overview(&self) -> Result<Overview, DatabaseError> {
        let found = self
            .rows::<Overview>(include_str!("sql/overview.sql"), &[])
            .await?;
        let mut overview = found.into_iter().next().ok_or(DatabaseError::Unreachable)?;
        // Without pg_stat_statements this figure is missing, which is said by leaving it out.
        let mean =
            "SELECT pg_catalog.sum(total_ms) / pg_catalog.sum(calls) FROM pitcrew.slow_queries";
        overview.mean_ms = self
            .value::<Option<f64>>(mean, &[])
            .await
            .ok()
            .flatten()
            .flatten();
        Ok(overview)
    }

    pub(crate) async fn suggestions(&self) -> Result<Vec<Suggestion>, DatabaseError> {
        self.rows("SELECT * FROM pitcrew.suggest_indexes()", &[])
            .await
    }

    pub(crate) async fn tables(&self) -> Result<Vec<TableStats>, DatabaseError> {
        match self.rows(TABLES, &[]).await {
            Err(DatabaseError::NoExtension | DatabaseError::Other(_)) => {
                self.rows(TABLES_WITHOUT_EXTENSION, &[]).await
            }
            found => found,
        }
    }

    pub(crate) async fn slow_queries(&self) -> Result<Vec<Value>, DatabaseError> {
        match self.rows(SLOW_QUERIES, &[]).await {
            Err(DatabaseError::NoExtension | DatabaseError::Other(_)) => {
                self.rows(SLOW_QUERIES_WITHOUT_EXTENSION, &[]).await
            }
            found => found,
        }
    }

    pub(crate) async fn analysis(&self) -> Result<Analysis, DatabaseError> {
        self.probe().await?;
        Ok(Analysis {
            overview: self.overview().await.into(),
            suggestions: self.suggestions().await.into(),
            slow_queries: self.slow_queries().await.into(),
            tables: self.tables().await.into(),
            skipped: self.rows(SKIPPED, &[]).await.into(),
            extension: self
                .rows("SELECT * FROM pitcrew.status()", &[])
                .await
                .into(),
        })
    }

    /// Takes down what the sessions have done so far, where that has not been done. The observing task asks for it.
    pub(crate) async fn begin_pool_advice(&self) -> Result<(), DatabaseError> {
        if self.first_pool_sample().is_some() {
            return Ok(());
        }
        let sample = self
            .value::<Value>("SELECT pitcrew.pool_sample()", &[])
            .await?;
        *self.first_pool_sample() = sample.map(|sample| (Instant::now(), sample));
        Ok(())
    }

    /// How many connections the database has use for, by what its sessions did since then; none before a minute has passed.
    pub(crate) async fn pool_advice(&self) -> Result<Option<Value>, DatabaseError> {
        let first = self.first_pool_sample().clone();
        let Some((_, sample)) = first.filter(|(at, _)| at.elapsed() >= ENOUGH_TIME) else {
            // Without the extension there never will be one.
            self.value::<String>("SELECT pitcrew.version()", &[])
                .await?;
            return Ok(None);
        };
        let rows = self
            .rows("SELECT * FROM pitcrew.pool_advice($1)", &[&sample])
            .await?;
        Ok(rows.into_iter().next())
    }

    fn first_pool_sample(&self) -> MutexGuard<'_, Option<(Instant, Value)>> {
        self.first_pool_sample
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_job_is_the_one_that_the_row_says() {
        let row = json!({"id": "1", "index_name": "by_customer", "table_name": "public.orders", "columns": ["customer"],
            "ddl": "CREATE INDEX by_customer ON public.orders (customer) INCLUDE (price)", "cost_before": 2.0,
            "cost_after": 1.0, "gain_percent": 50.0, "estimated_size_bytes": 8192, "queryids": [1], "detail": "", "evidence": {},
            "included": ["price"], "job": {"kind": "create_index", "target": "public.orders",
            "options": {"columns": ["customer"], "include": ["price"], "name": "by_customer"}}});
        let job = |row: &Value| {
            let suggestion: Suggestion = serde_json::from_value(row.clone()).expect("a row");
            suggestion.job
        };
        let whole = job(&row).expect("a job");
        assert_eq!(
            (whole.kind.as_str(), whole.target.as_deref()),
            ("create_index", Some("public.orders"))
        );
        assert_eq!(
            whole.options,
            json!({"columns": ["customer"], "include": ["price"], "name": "by_customer"})
        );
        assert!(!whole.dry_run);
        // A kind that no job builds.
        let mut other = row;
        other["job"] = Value::Null;
        assert!(job(&other).is_none());
    }
}
