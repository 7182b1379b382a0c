//! `POST /load-test` and what follows it.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use pitcrew_load::{Progress, Report, Run, RunState};
use serde::{Deserialize, Serialize};

use super::health::worst;
use super::operation::Operation;
use super::{Answer, App, plan_schema};
use crate::health::{Health, components};
use crate::load_plan::AskedPlan;
use crate::load_tests::StartError;
use crate::observe;
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
            "The target is none of the allowed ones, the plan is of PostgreSQL, or a reader asks.",
        )
        .refuses(503, "The app is DOWN."),
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
    problem::Json(test): problem::Json<LoadTest>,
) -> Result<Response, Problem> {
    if worst(&inner, &components(&inner).await) == Health::Down {
        return Err(Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "the app is DOWN, and load would keep it from getting up: GET /health names what ails",
        ));
    }
    let observer = observe::of_app(&inner);
    let target = test.target.as_deref();
    let started = inner
        .load_tests
        .start(&test.plan, target, test.dry_run, observer);
    match started {
        Ok(None) => {
            let started = Started {
                id: None,
                dry_run: true,
            };
            Ok(Json(started).into_response())
        }
        Ok(Some(run)) => {
            let there = [(header::LOCATION, format!("load-test/{}", run.id()))];
            let started = Started {
                id: Some(run.id().to_owned()),
                dry_run: false,
            };
            Ok((StatusCode::ACCEPTED, there, Json(started)).into_response())
        }
        Err(StartError::Busy(id)) => {
            let problem = Problem::new(
                StatusCode::CONFLICT,
                format!("run {id} is under way: wait, or DELETE /load-test/{id}"),
            );
            Err(problem.with_header(header::LOCATION, &format!("load-test/{id}")))
        }
        Err(StartError::Plan(error)) => Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, error)),
        Err(StartError::Database(field)) => {
            let detail = format!(
                "{field}: no statement is sent from here: run the plan with the program `pitcrew-load`"
            );
            Err(Problem::new(StatusCode::FORBIDDEN, detail))
        }
        Err(StartError::Target(error)) => {
            Err(Problem::new(StatusCode::FORBIDDEN, error.to_string()))
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
