//! `GET /database/analysis`, `POST /database/maintenance`, `/database/jobs`.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use serde::{Deserialize, Serialize};

use super::operation::Operation;
use super::{Answer, App, page};
use crate::Inner;
use crate::database::{
    Analysis, Database, DatabaseError, Job, JobRequest, NamedPool, PoolReport, SubmitError,
};
use crate::security::problem::{self, Problem};
use serde_json::json;

pub(super) fn operations() -> Vec<Operation> {
    let job = || json!({"id": 7, "kind": "vacuum", "state": "@done|queued|waiting_for_lock|running|failed|cancelled|orphaned"});
    vec![
        Operation::get("/database/analysis", "Suggestions, slow queries, tables and pools.", analysis)
            .tagged()
            .gives(json!({"overview": {}, "suggestions": null, "slow_queries": null, "tables": null, "skipped": null,
                "extension": null, "pools": [{}]})),
        Operation::post("/database/maintenance", "Submits a job of the extension; `dry_run` says what it would run.", submit)
            .takes(json!({"kind": "vacuum", "target?~": "public.orders", "options?~": {"*analyze": null}, "dry_run~": true}))
            .gives(json!({"job?": 7, "command?": "VACUUM public.orders", "dry_run": true, "kind": "vacuum",
                "target?": "public.orders"}))
            .gives_as(202, "application/json", json!({"job?": 7, "command?": "VACUUM public.orders", "dry_run": false,
                "kind": "vacuum", "target?": "public.orders"})),
        Operation::get("/database/jobs", "The jobs, the newest first.", jobs)
            .query("cursor", "41", "`next_cursor` of the page before.")
            .query("limit", "100", "1 to 1,000; 100 where it is left out.")
            .gives(json!({"jobs": [job()], "next_cursor?": "41"})),
        Operation::get("/database/jobs/{id}", "One job.", self::job).gives(job()),
        Operation::delete("/database/jobs/{id}", "Asks a job to end.", cancel).gives(json!({"asked": true})),
    ]
}

pub(super) fn handle(inner: &Inner) -> Result<&Database, Problem> {
    inner
        .database
        .as_deref()
        .ok_or_else(|| Problem::not_configured("database", "database"))
}

impl From<DatabaseError> for Problem {
    fn from(error: DatabaseError) -> Self {
        let status = match error {
            DatabaseError::Refused(_) => StatusCode::UNPROCESSABLE_ENTITY,
            DatabaseError::Timeout => StatusCode::GATEWAY_TIMEOUT,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self::new(status, error.to_string())
    }
}

#[derive(Debug, Serialize)]
pub(super) struct AnalysisView {
    #[serde(flatten)]
    analysis: Analysis,
    pools: Vec<PoolReport>,
}

pub(super) async fn analysis(State(inner): App) -> Answer<AnalysisView> {
    let analysis = handle(&inner)?.analysis().await?;
    Ok(Json(AnalysisView {
        analysis,
        pools: inner.pools.iter().map(NamedPool::report).collect(),
    }))
}

#[derive(Debug, Serialize)]
pub(super) struct Submitted {
    /// None in a dry run.
    pub(super) job: Option<i64>,
    /// What would run; only in a dry run.
    command: Option<String>,
    dry_run: bool,
    kind: String,
    target: Option<String>,
}

pub(super) async fn submit(
    State(inner): App,
    problem::Json(request): problem::Json<JobRequest>,
) -> Result<Response, Problem> {
    let submitted = submit_job(handle(&inner)?, request, "jobs").await?;
    let Some(job) = submitted.job else {
        return Ok(Json(submitted).into_response());
    };
    let there = [(header::LOCATION, format!("jobs/{job}"))];
    Ok((StatusCode::ACCEPTED, there, Json(submitted)).into_response())
}

/// Submits a job, or with `dry_run` only plans it. `jobs` is where jobs are, from where this was asked.
pub(super) async fn submit_job(
    database: &Database,
    request: JobRequest,
    jobs: &str,
) -> Result<Submitted, Problem> {
    let refused = |error| refused(error, jobs);
    let (job, command) = if request.dry_run {
        (None, Some(database.plan(&request).await.map_err(refused)?))
    } else {
        (
            Some(database.submit(&request).await.map_err(refused)?),
            None,
        )
    };
    Ok(Submitted {
        job,
        command,
        dry_run: request.dry_run,
        kind: request.kind,
        target: request.target,
    })
}

fn refused(error: SubmitError, jobs: &str) -> Problem {
    match error {
        SubmitError::Same(id) => Problem::new(
            StatusCode::CONFLICT,
            format!("job {id} does the same and has not ended"),
        )
        .with_header(header::LOCATION, &format!("{jobs}/{id}")),
        SubmitError::NoTarget(name) => Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            format!("there is no table `{name}`: write it as in SQL, with its schema"),
        ),
        SubmitError::Database(error) => error.into(),
    }
}

#[derive(Debug, Serialize)]
pub(super) struct Jobs {
    /// The newest first.
    jobs: Vec<Job>,
    next_cursor: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AskedJobs {
    cursor: Option<String>,
    limit: Option<String>,
}

async fn jobs(State(inner): App, problem::Query(asked): problem::Query<AskedJobs>) -> Answer<Jobs> {
    let before = page::cursor(asked.cursor.as_deref())?;
    let before = before.map(|before| i64::try_from(before).unwrap_or(i64::MAX));
    let limit = page::limit(asked.limit.as_deref())?;
    // One more than is shown says whether there are more.
    let mut jobs = handle(&inner)?.jobs(before, limit as i64 + 1).await?;
    let is_more = jobs.len() > limit;
    jobs.truncate(limit);
    let last = jobs.last().filter(|_| is_more);
    let next_cursor = last.map(|last| last.id.to_string());
    Ok(Json(Jobs { jobs, next_cursor }))
}

/// An id that is no number names no job.
fn parsed(id: &str) -> Result<i64, Problem> {
    id.parse().map_err(|_| no_job())
}

fn no_job() -> Problem {
    Problem::not_found("there is no such job: GET /database/jobs lists the last ones")
}

pub(super) async fn job(State(inner): App, problem::Path(id): problem::Path) -> Answer<Job> {
    let job = handle(&inner)?.job(parsed(&id)?).await?;
    job.map(Json).ok_or_else(no_job)
}

#[derive(Debug, Serialize)]
pub(super) struct Cancelled {
    /// Whether the job was still there to be cancelled; `GET /database/jobs/{id}` tells when it has ended.
    asked: bool,
}

pub(super) async fn cancel(
    State(inner): App,
    problem::Path(id): problem::Path,
) -> Answer<Cancelled> {
    let asked = handle(&inner)?
        .cancel_job(parsed(&id)?)
        .await?
        .ok_or_else(no_job)?;
    Ok(Json(Cancelled { asked }))
}
