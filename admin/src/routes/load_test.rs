//! `POST /load-test` and what follows it.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, State};
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use pitcrew_load::{
    Comparison, Interval, Progress, Report, Results, RunState, Tolerance, Verdict, compare,
};
use serde::{Deserialize, Serialize};

use super::health::worst;
use super::operation::Operation;
use super::{Answer, App, plan_schema};
use crate::health::{Health, components};
use crate::history::MarkKind;
use crate::load_tests::{AskedPlan, Kept, StartError};
use crate::observe;
use crate::security::identity::Identity;
use crate::security::problem::{self, Problem};
use serde_json::json;

/// The largest plan that is read: 2 MiB, a body of the largest size and rows beside it.
const MAX_PLAN_BYTES: usize = 2 << 20;

pub(super) fn operations() -> Vec<Operation> {
    let plan = json!({format!("&{}", plan_schema::ASKED): {"duration_s": 10.0, "connections": 4}});
    let head = json!({"id": "1", "state": "@finished|running", "began": "2026-11-28T12:00:00Z", "target": "127.0.0.1:3000",
        "progress": {}});
    let run = json!({"id": "1", "state": "@finished|running", "began": "2026-11-28T12:00:00Z", "target": "127.0.0.1:3000",
        "progress": {}, "seconds": [{}], "thresholds": [{}], "holds?": true, "report?": {}});
    vec![
        Operation::get(
            "/load-test",
            "The load tests that are kept, the newest first.",
            runs,
        )
        .gives(json!({"runs": [head]})),
        Operation::post(
            "/load-test",
            "Loads this app, or another of the allowed targets.",
            start,
        )
        .takes(json!({"target?~": "http://127.0.0.1:3000", "plan": plan, "dry_run~": true}))
        .takes_up_to(MAX_PLAN_BYTES)
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
        .refuses(
            503,
            "The app is DOWN, the target takes no connection, or the database for load tests is away.",
        ),
        Operation::get(
            "/load-test/{id}",
            "One load test: its seconds so far, and once it has ended what it found.",
            self::run,
        )
        .gives(run.clone()),
        Operation::get(
            "/load-test/{id}/report",
            "What a load test found; there once it has ended.",
            report,
        )
        .query(
            "format",
            "@json|html|markdown|junit|hdr",
            "How it is written; as JSON it is what `pitcrew-load merge` and `compare` read.",
        )
        .tagged()
        .gives(json!({"schema": "pitcrew-load/1", "target": "127.0.0.1:3000", "plan": {}, "report": {}, "thresholds": [{}]}))
        .gives_as(200, "text/html; charset=utf-8", json!("<!doctype html>"))
        .gives_as(200, "text/markdown; charset=utf-8", json!("# Load test"))
        .gives_as(200, "application/xml", json!("<testsuites/>"))
        .gives_as(200, "text/plain; charset=utf-8", json!("#[Histogram log format version 1.3]"))
        .refuses(409, "It is under way."),
        Operation::get(
            "/load-test/{id}/compare",
            "How it differs from an earlier load test, second by second and with the noise of both in view.",
            compared,
        )
        .query("with", "1", "The earlier load test.")
        .gives(json!({"before": "1", "after": "2", "plans_are_the_same": true, "tester_was_late": false,
            "changes": [{"metric": "p99", "before": 1.5, "after": 1.5,
                "change_percent?": {"value": 0.5, "low": -1.5, "high": 2.5},
                "movement": "@better|worse|same|unclear|too_short"}]}))
        .refuses(409, "One of them is under way."),
        Operation::delete("/load-test/{id}", "Ends a load test.", cancel).gives(run),
    ]
}

/// A plan, and where it goes: to this app where nothing is said there and here.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LoadTest {
    /// One of the allowed targets, as `http://host:port`.
    target: Option<String>,
    plan: AskedPlan,
    #[serde(default)]
    dry_run: bool,
}

/// A run among others.
#[derive(Debug, Serialize)]
pub(super) struct Head {
    id: String,
    state: RunState,
    began: String,
    target: String,
    progress: Progress,
}

impl From<&Kept> for Head {
    fn from(kept: &Kept) -> Self {
        let began = jiff::Timestamp::try_from(kept.began);
        Self {
            id: kept.run.id().to_owned(),
            state: kept.state(),
            // To the second, as it is shown.
            began: began.map_or_else(
                |_| String::new(),
                |began| {
                    jiff::Timestamp::from_second(began.as_second())
                        .unwrap_or(began)
                        .to_string()
                },
            ),
            target: kept.target(),
            progress: kept.run.progress(),
        }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct RunView {
    #[serde(flatten)]
    head: Head,
    /// Those that are over; all of a run that has ended are in its report.
    seconds: Vec<Interval>,
    /// What each threshold of the whole came to; nothing while it goes on.
    thresholds: Vec<Verdict>,
    /// Whether all thresholds hold, those of scenarios too; none while it goes on.
    holds: Option<bool>,
    report: Option<Report>,
}

impl From<&Kept> for RunView {
    fn from(kept: &Kept) -> Self {
        let results = kept.results();
        Self {
            head: Head::from(kept),
            seconds: if results.is_some() {
                Vec::new()
            } else {
                kept.run.intervals()
            },
            thresholds: results.as_ref().map(Results::verdicts).unwrap_or_default(),
            holds: results.as_ref().map(Results::hold),
            report: results.map(|results| results.report),
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
    let weak = Arc::downgrade(&inner);
    let ended = move |id: &str, outcome: &str| {
        if let Some(inner) = weak.upgrade() {
            let now = inner.observed.unix_s();
            let what = format!("load test {id} {outcome}");
            inner.history.mark(now, MarkKind::LoadTest, &what);
        }
    };
    let run = inner
        .load_tests
        .start(&test.plan, target, observer, audit, ended)
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
            StartError::Unreachable(error) => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
            }
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
    runs: Vec<Head>,
}

pub(super) async fn runs(State(inner): App) -> Answer<Runs> {
    Ok(Json(Runs {
        runs: inner.load_tests.all().iter().map(Head::from).collect(),
    }))
}

pub(super) async fn run(State(inner): App, problem::Path(id): problem::Path) -> Answer<RunView> {
    let run = inner.load_tests.find(&id).ok_or_else(no_run)?;
    Ok(Json(RunView::from(&run)))
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Format {
    #[default]
    Json,
    Html,
    Markdown,
    Junit,
    Hdr,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AskedReport {
    #[serde(default)]
    format: Format,
}

async fn report(
    State(inner): App,
    problem::Path(id): problem::Path,
    problem::Query(asked): problem::Query<AskedReport>,
) -> Result<Response, Problem> {
    let results = ended(&inner, &id)?;
    let (kind, ending, text) = match asked.format {
        Format::Json => ("application/json", None, results.json()),
        Format::Html => ("text/html; charset=utf-8", Some("html"), results.html()),
        Format::Markdown => (
            "text/markdown; charset=utf-8",
            Some("md"),
            results.markdown(),
        ),
        Format::Junit => ("application/xml", Some("xml"), results.junit()),
        Format::Hdr => ("text/plain; charset=utf-8", Some("hlog"), results.hdr_log()),
    };
    let mut response = ([(header::CONTENT_TYPE, kind)], text).into_response();
    // A page from elsewhere is saved and never shown as one of this origin.
    let name = ending.map(|ending| format!("attachment; filename=\"load-test-{id}.{ending}\""));
    if let Some(Ok(name)) = name.map(|name| name.try_into()) {
        response
            .headers_mut()
            .insert(header::CONTENT_DISPOSITION, name);
    }
    Ok(response)
}

/// The results of a run that has ended.
fn ended(inner: &crate::Inner, id: &str) -> Result<Results, Problem> {
    let run = inner.load_tests.find(id).ok_or_else(no_run)?;
    run.results().ok_or_else(|| {
        let detail = format!("run {id} is under way: GET /load-test/{id} tells how far it is");
        Problem::new(StatusCode::CONFLICT, detail)
    })
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AskedComparison {
    with: String,
}

#[derive(Debug, Serialize)]
struct Compared {
    before: String,
    after: String,
    plans_are_the_same: bool,
    /// In one of the runs: nothing can be said of the target then.
    tester_was_late: bool,
    changes: Vec<Comparison>,
}

async fn compared(
    State(inner): App,
    problem::Path(id): problem::Path,
    problem::Query(asked): problem::Query<AskedComparison>,
) -> Answer<Compared> {
    let (before, after) = (ended(&inner, &asked.with)?, ended(&inner, &id)?);
    let (plans_are_the_same, tester_was_late) = (
        before.plan == after.plan,
        [&before, &after]
            .iter()
            .any(|results| results.report.generator_limited.is_some()),
    );
    // Thousands of resamples take tens of milliseconds, which are not the runtime's.
    let changes = tokio::task::spawn_blocking(move || {
        compare(
            &before.report.intervals,
            &after.report.intervals,
            &Tolerance::default(),
        )
    });
    let changes = changes.await.map_err(|_| {
        let detail = "the comparison could not be made";
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, detail)
    })?;
    Ok(Json(Compared {
        before: asked.with,
        after: id,
        plans_are_the_same,
        tester_was_late,
        changes,
    }))
}

pub(super) async fn cancel(State(inner): App, problem::Path(id): problem::Path) -> Answer<RunView> {
    let kept = inner.load_tests.find(&id).ok_or_else(no_run)?;
    kept.run.cancel();
    Ok(Json(RunView::from(&kept)))
}

fn no_run() -> Problem {
    Problem::not_found("there is no such run: GET /load-test lists those that are kept")
}
