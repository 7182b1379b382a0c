//! Maintenance jobs: planned, submitted once, followed.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio_postgres::error::SqlState;

use super::client::Database;
use super::error::{DatabaseError, QueryError};

/// What an operator asks for.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct JobRequest {
    /// `vacuum`, `analyze` or `create_index`.
    pub(crate) kind: String,
    /// A table, as it would be written in SQL. None means every table, where the kind allows it.
    pub(crate) target: Option<String>,
    /// What the kind takes: see `pitcrew.submit_job` of the extension.
    #[serde(default = "no_options")]
    pub(crate) options: Value,
    /// Only say what would be done.
    #[serde(default)]
    pub(crate) dry_run: bool,
}

fn no_options() -> Value {
    Value::Object(serde_json::Map::new())
}

/// A row of `pitcrew.jobs`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Job {
    pub(crate) id: i64,
    pub(crate) kind: String,
    pub(crate) state: String,
    #[serde(flatten)]
    pub(crate) more: serde_json::Map<String, Value>,
}

impl Job {
    /// What was seen of it last says nothing once it has ended.
    fn forget_progress(&mut self) {
        let is_under_way = ["queued", "waiting_for_lock", "running"].contains(&&*self.state);
        if !is_under_way && let Some(progress) = self.more.get_mut("progress") {
            *progress = Value::Null;
        }
    }
}

/// The relation that a job is for, as the server resolved it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Target {
    pub(crate) oid: u32,
    pub(crate) name: String,
}

/// Why a job was not submitted.
#[derive(Debug)]
pub(crate) enum SubmitError {
    /// The same job is already queued or running.
    Same(i64),
    /// The target does not exist.
    NoTarget(String),
    Database(DatabaseError),
}

impl From<DatabaseError> for SubmitError {
    fn from(error: DatabaseError) -> Self {
        Self::Database(error)
    }
}

/// Whether such a job was submitted since and has not failed, or the index that it would build is there however it came.
const CARED_FOR: &str = "
    SELECT EXISTS (
        SELECT FROM pitcrew.jobs
        WHERE state IN ('queued', 'waiting_for_lock', 'running', 'done') AND kind = $1
          AND target::pg_catalog.oid = pg_catalog.to_regclass($2)::pg_catalog.oid AND options - 'name'::text = $3::jsonb - 'name'::text
          AND submitted_at >= $4::pg_catalog.text::pg_catalog.timestamptz
    ) OR EXISTS (
        SELECT FROM pg_catalog.pg_index AS i JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid
        WHERE $1 = 'create_index' AND i.indisvalid AND i.indrelid = pg_catalog.to_regclass($2)
          AND c.relname = $3 OPERATOR(pg_catalog.->>) 'name'
    )";

/// The newest job; 0 without any.
const LAST: &str = "SELECT coalesce(max(id), 0) FROM pitcrew.jobs";

const SUBMIT: &str = "SELECT pitcrew.submit_job($1, $2::oid::regclass, $3)";

/// An index is the same under another name: while one is built, its suggestion takes the next that is free.
const SAME: &str = "SELECT id FROM pitcrew.jobs WHERE state IN ('queued', 'waiting_for_lock', 'running') AND kind = $1 \
                    AND target::oid IS NOT DISTINCT FROM $2::oid AND options - 'name'::text = $3::jsonb - 'name'::text LIMIT 1";

impl Database {
    /// Resolves a table's name as the server reads it.
    pub(crate) async fn resolve(&self, name: &str) -> Result<Option<Target>, DatabaseError> {
        let sql = "SELECT c::oid::bigint AS oid, c::text AS name FROM pg_catalog.to_regclass($1) AS c WHERE c IS NOT NULL";
        match self.rows(sql, &[&name]).await {
            Ok(found) => Ok(found.into_iter().next()),
            // A text that is no name at all, such as `a"b`.
            Err(DatabaseError::Other(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The command that a job would run, or why it would be refused: it is submitted in a transaction that is rolled back.
    pub(crate) async fn plan(&self, request: &JobRequest) -> Result<String, SubmitError> {
        let oid = self.target_of(request).await?;
        let planned = self
            .rolled_back::<String>(
                SUBMIT,
                &[&request.kind, &oid, &request.options],
                "SELECT command FROM pitcrew.jobs WHERE id = $1",
            )
            .await;
        Ok(planned.map_err(said)?)
    }

    async fn target_of(&self, request: &JobRequest) -> Result<Option<u32>, SubmitError> {
        let Some(name) = &request.target else {
            return Ok(None);
        };
        let target = self.resolve(name).await?;
        let target = target.ok_or_else(|| SubmitError::NoTarget(name.clone()))?;
        Ok(Some(target.oid))
    }

    pub(crate) async fn submit(&self, request: &JobRequest) -> Result<i64, SubmitError> {
        let oid = self.target_of(request).await?;
        // Checking for a twin and submitting are one step: two operators who press the same button get one job.
        let _one = self.submitting.lock().await;
        let same = self
            .value::<i64>(SAME, &[&request.kind, &oid, &request.options])
            .await;
        if let Some(id) = same.map_err(said)? {
            return Err(SubmitError::Same(id));
        }
        let last = self.value::<i64>(LAST, &[]).await.map_err(said)?;
        let id = self
            .value::<i64>(SUBMIT, &[&request.kind, &oid, &request.options])
            .await
            .map_err(said)?;
        match id {
            // Options that state a default say the same as none, and the extension joins such jobs itself.
            Some(id) if Some(id) <= last => Err(SubmitError::Same(id)),
            Some(id) => Ok(id),
            None => Err(SubmitError::Database(DatabaseError::Unreachable)),
        }
    }

    /// Whether what a piece of advice wants done has been done, or is under way, since `since` (RFC 3339).
    pub(crate) async fn is_cared_for(
        &self,
        job: &JobRequest,
        since: &str,
    ) -> Result<bool, DatabaseError> {
        let cared_for = self
            .value::<bool>(CARED_FOR, &[&job.kind, &job.target, &job.options, &since])
            .await?;
        Ok(cared_for.unwrap_or(false))
    }

    /// Jobs before `before`, the newest first; at most `limit`.
    pub(crate) async fn jobs(
        &self,
        before: Option<i64>,
        limit: i64,
    ) -> Result<Vec<Job>, DatabaseError> {
        let sql = "SELECT * FROM pitcrew.jobs WHERE $1::bigint IS NULL OR id < $1 ORDER BY id DESC LIMIT $2";
        let mut jobs: Vec<Job> = self.rows(sql, &[&before, &limit]).await?;
        jobs.iter_mut().for_each(Job::forget_progress);
        Ok(jobs)
    }

    pub(crate) async fn job(&self, id: i64) -> Result<Option<Job>, DatabaseError> {
        let found: Vec<Job> = self
            .rows("SELECT * FROM pitcrew.jobs WHERE id = $1", &[&id])
            .await?;
        Ok(found.into_iter().next().map(|mut job| {
            job.forget_progress();
            job
        }))
    }

    /// Whether the job was still there to be cancelled; `None` where there is no such job.
    pub(crate) async fn cancel_job(&self, id: i64) -> Result<Option<bool>, DatabaseError> {
        let asked = self
            .value::<bool>("SELECT pitcrew.cancel_job($1)", &[&id])
            .await;
        match asked {
            Err(QueryError::Server(error)) if error.code() == Some(&SqlState::NO_DATA_FOUND) => {
                Ok(None)
            }
            asked => asked.map_err(said),
        }
    }
}

/// The extension's own refusals say what to do, so they are passed on with their hint; anything else stays a code.
pub(super) fn said(error: QueryError) -> DatabaseError {
    let QueryError::Server(error) = error else {
        return error.into();
    };
    let Some(refusal) = error.as_db_error() else {
        return error.into();
    };
    // Class 22, "data exception": a value of the request is no text that the server can hold (a NUL), or no JSON.
    if refusal.code().code().starts_with("22")
        && *refusal.code() != SqlState::INVALID_PARAMETER_VALUE
        && *refusal.code() != SqlState::NULL_VALUE_NOT_ALLOWED
    {
        return DatabaseError::Refused(format!(
            "a value of the request cannot be used: {}",
            refusal.message()
        ));
    }
    let is_ours = [
        SqlState::INVALID_PARAMETER_VALUE,
        SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
        SqlState::FEATURE_NOT_SUPPORTED,
        SqlState::WRONG_OBJECT_TYPE,
        SqlState::UNDEFINED_COLUMN,
        SqlState::DUPLICATE_TABLE,
        SqlState::NULL_VALUE_NOT_ALLOWED,
    ]
    .contains(refusal.code());
    if !is_ours {
        return error.into();
    }
    let hint = refusal
        .hint()
        .map(|hint| format!(" ({hint})"))
        .unwrap_or_default();
    DatabaseError::Refused(format!("{}{hint}", refusal.message()))
}
