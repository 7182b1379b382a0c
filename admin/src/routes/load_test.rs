//! `POST /load-test` and what follows it.

use axum::Json;
use axum::extract::{Extension, State};
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use pitcrew_load::{Progress, Report, Run, RunState};
use serde::{Deserialize, Serialize};

use super::health::worst;
use super::operation::Operation;
use super::{Answer, App, plan_schema};
use crate::health::{Health, components};
use crate::load_tests::{AskedPlan, StartError};
use crate::observe;
use crate::security::identity::Identity;
use crate::security::problem::{self, Problem};
use serde_json::json;

pub(super) fn operations() -> Vec<Operation> {
    let plan = json!({format!("&{}", plan_schema::ASKED): {"duration_s": 10.0, "connections": 4}});
    let run = || json!({"id": "1", "state": "@finished|running", "progress": {}, "report?": {}});
    vec![
        Operation::get(
            "/load-test",
            "The load tests that are kept, the newest first.",
            runs,
        )
        .gives(json!({"runs": [run()]})),
        Operation::post(
            "/load-test",
            "Loads this app, or another of the allowed targets.",
            start,
        )
        .takes(json!({"target?~": "http://127.0.0.1:3000", "plan~": plan, "dry_run~": true}))
        .gives(json!({"id?": null, "dry_run": true}))
        .gives_as(
            202,
            "application/json",
            json!({"id?": "1", "dry_run": false}),
        )
        .refuses(
            403,
            "The target is none of the allowed ones, the plan sends statements where no database is given for that, or a reader asks.",
        )
        .refuses(503, "The app is DOWN, or the database for load tests is away."),
        Operation::get("/load-test/{id}", "One load test.", self::run).gives(run()),
        Operation::get(
            "/load-test/{id}/report",
            "What a load test found; there once it has ended.",
            report,
        )
        .tagged()
        .gives(json!({"ok": 100, "cancelled": false}))
        .refuses(409, "It is under way."),
        Operation::delete("/load-test/{id}", "Ends a load test.", cancel).gives(run()),
    ]
}

/// A plan, and where it goes: to this app where nothing is said there and here.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LoadTest {
    /// One of the allowed targets, as `http://host:port`.
    target: Option<String>,
    #[serde(default)]
    plan: AskedPlan,
    #[serde(default)]
    dry_run: bool,
}

#[derive(Debug, Serialize)]
pub(super) struct RunView {
    id: String,
    state: RunState,
    progress: Progress,
    report: Option<Report>,
}

impl From<&Run> for RunView {
    fn from(run: &Run) -> Self {
        Self {
            id: run.id().to_owned(),
            state: run.state(),
            progress: run.progress(),
            report: run.report().cloned(),
        }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct Started {
    /// None in a dry run.
    id: Option<String>,
    dry_run: bool,
}

pub(super) async fn start(
    State(inner): App,
    Extension(who): Extension<Identity>,
    problem::Json(test): problem::Json<LoadTest>,
) -> Result<Response, Problem> {
    if worst(&inner, &components(&inner).await) == Health::Down {
        return Err(Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "the app is DOWN, and load would keep it from getting up: GET /health names what ails",
        ));
    }
    let target = test.target.as_deref();
    if test.dry_run {
        inner.load_tests.check(&test.plan, target).await?;
        let started = Started {
            id: None,
            dry_run: true,
        };
        return Ok(Json(started).into_response());
    }
    let observer = observe::of_app(&inner);
    let audit = |id: &str| {
        let path = format!("/load-test/{id}");
        inner.audit.begin(&who, "load test", &path, false, None)
    };
    let run = inner
        .load_tests
        .start(&test.plan, target, observer, audit)
        .await?;
    let there = [(header::LOCATION, format!("load-test/{}", run.id()))];
    let started = Started {
        id: Some(run.id().to_owned()),
        dry_run: false,
    };
    Ok((StatusCode::ACCEPTED, there, Json(started)).into_response())
}

impl From<StartError> for Problem {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Busy(id) => {
                let detail = format!("run {id} is under way: wait, or DELETE /load-test/{id}");
                Self::new(StatusCode::CONFLICT, detail)
                    .with_header(header::LOCATION, &format!("load-test/{id}"))
            }
            StartError::Plan(error) => Self::new(StatusCode::UNPROCESSABLE_ENTITY, error),
            StartError::Forbidden(error) => Self::new(StatusCode::FORBIDDEN, error),
            StartError::Target(error) => Self::new(StatusCode::FORBIDDEN, error.to_string()),
            StartError::Database(error) => error.into(),
            StartError::Stopped => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "the router was shut down: no load test begins any more",
            ),
            StartError::Audit(error) => {
                tracing::error!(%error, "a load test is refused: the audit's file cannot be written");
                let detail = "the audit cannot be written, so nothing is done: see the app's log";
                Self::new(StatusCode::SERVICE_UNAVAILABLE, detail)
            }
        }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct Runs {
    /// The newest first.
    runs: Vec<RunView>,
}

pub(super) async fn runs(State(inner): App) -> Answer<Runs> {
    Ok(Json(Runs {
        runs: inner.load_tests.all().iter().map(RunView::from).collect(),
    }))
}

pub(super) async fn run(State(inner): App, problem::Path(id): problem::Path) -> Answer<RunView> {
    let run = inner.load_tests.find(&id).ok_or_else(no_run)?;
    Ok(Json(RunView::from(&run)))
}

async fn report(State(inner): App, problem::Path(id): problem::Path) -> Answer<Report> {
    let run = inner.load_tests.find(&id).ok_or_else(no_run)?;
    let report = run.report().cloned();
    report.map(Json).ok_or_else(|| {
        let detail = format!("run {id} is under way: GET /load-test/{id} tells how far it is");
        Problem::new(StatusCode::CONFLICT, detail)
    })
}

pub(super) async fn cancel(State(inner): App, problem::Path(id): problem::Path) -> Answer<RunView> {
    let run = inner.load_tests.find(&id).ok_or_else(no_run)?;
    run.cancel();
    Ok(Json(RunView::from(&run)))
}

fn no_run() -> Problem {
    Problem::not_found("there is no such run: GET /load-test lists those that are kept")
}
