//! `GET /database/analysis`, `POST /database/maintenance`, `/database/jobs`.

use axum::Json;
use axum::extract::{Path, State};
use http::{StatusCode, header};
use serde::Serialize;

use super::{Answer, App};
use crate::Inner;
use crate::database::{
    Analysis, Database, DatabaseError, Job, JobRequest, NamedPool, PoolReport, SubmitError,
};
use crate::security::problem::{self, Problem};

fn handle(inner: &Inner) -> Result<&Database, Problem> {
    inner
        .database
        .as_ref()
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
    job: Option<i64>,
    /// What would run; only in a dry run.
    command: Option<String>,
    dry_run: bool,
    kind: String,
    target: Option<String>,
}

pub(super) async fn submit(
    State(inner): App,
    problem::Json(request): problem::Json<JobRequest>,
) -> Result<(StatusCode, Json<Submitted>), Problem> {
    let database = handle(&inner)?;
    let (job, command, status) = if request.dry_run {
        let command = database.plan(&request).await?;
        (None, Some(command), StatusCode::OK)
    } else {
        let job = database.submit(&request).await?;
        (Some(job), None, StatusCode::ACCEPTED)
    };
    Ok((
        status,
        Json(Submitted {
            job,
            command,
            dry_run: request.dry_run,
            kind: request.kind,
            target: request.target,
        }),
    ))
}

impl From<SubmitError> for Problem {
    fn from(error: SubmitError) -> Self {
        match error {
            SubmitError::Same(id) => Self::new(
                StatusCode::CONFLICT,
                format!("job {id} does the same and has not ended"),
            )
            .with_header(header::LOCATION, &format!("jobs/{id}")),
            SubmitError::NoTarget(name) => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                format!("there is no table `{name}`: write it as in SQL, with its schema"),
            ),
            SubmitError::Database(error) => error.into(),
        }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct Jobs {
    /// The newest first, at most 100.
    jobs: Vec<Job>,
}

pub(super) async fn jobs(State(inner): App) -> Answer<Jobs> {
    Ok(Json(Jobs {
        jobs: handle(&inner)?.jobs().await?,
    }))
}

/// An id that is no number names no job.
fn parsed(id: &str) -> Result<i64, Problem> {
    id.parse().map_err(|_| no_job())
}

fn no_job() -> Problem {
    Problem::not_found("there is no such job: GET /database/jobs lists the last ones")
}

pub(super) async fn job(State(inner): App, Path(id): Path<String>) -> Answer<Job> {
    let job = handle(&inner)?.job(parsed(&id)?).await?;
    job.map(Json).ok_or_else(no_job)
}

#[derive(Debug, Serialize)]
pub(super) struct Cancelled {
    /// Whether the job was still there to be cancelled; `GET /database/jobs/{id}` tells when it has ended.
    asked: bool,
}

pub(super) async fn cancel(State(inner): App, Path(id): Path<String>) -> Answer<Cancelled> {
    let asked = handle(&inner)?
        .cancel_job(parsed(&id)?)
        .await?
        .ok_or_else(no_job)?;
    Ok(Json(Cancelled { asked }))
}
