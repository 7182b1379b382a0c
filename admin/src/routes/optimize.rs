//! `POST /optimize`, `GET /cycles`, `GET /cycles/{id}` and pauses.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::operation::Operation;
use super::{Answer, App, page};
use crate::observe::time;
use crate::optimizer::{self, Asked, PARTS, STEPS, Trigger};
use crate::security::problem::{self, Problem};

/// The longest pause: 30 days.
const MAX_PAUSE_S: u64 = 30 * 24 * 60 * 60;

pub(super) fn operations() -> Vec<Operation> {
    let cycle = || -> Value {
        let step = json!({"name": "observe", "state": "@done|skipped|failed", "took_ms": 1.5, "detail": "4 parts looked at, 0 failed"});
        json!({"id": 1, "trigger": "@request|schedule|alert", "policy": "@observe|maintain|tune", "dry_run": false,
            "started_at": "2026-11-28T12:00:00Z", "took_ms": 12.5, "summary": "0 findings, 1 pieces of advice, 0 actions",
            "steps": [step], "parts": [step], "findings": [{}], "advice": [{}],
            "actions": [{"kind": "vacuum_due", "target?": "public.orders", "estimated_bytes": 0, "job?": 7, "state": "done",
                "detail": "job 7"}]})
    };
    vec![
        Operation::post("/optimize", "Starts a cycle now, and answers at once.", start)
            .takes(json!({"steps~": ["observe"], "parts~": ["cache"], "dry_run~": true}))
            .gives_as(202, "application/json", json!({"cycle": 1, "dry_run": true, "follow": "/cycles/1"})),
        Operation::get("/cycles", "The last cycles, the newest first.", cycles)
            .query("cursor", "41", "`next_cursor` of the page before.")
            .query("limit", "100", "1 to 1,000; 100 where it is left out.")
            .tagged()
            .gives(json!({"is_running": false, "interval_s": 1800, "paused_until?": "2026-11-28T13:00:00Z",
                "policy": "@observe|maintain|tune", "panics": 0, "cycles": [cycle()], "next_cursor?": "41"})),
        Operation::get("/cycles/{id}", "One cycle: what it did, what it left out, and why.", self::cycle)
            .gives(cycle()),
        Operation::post("/cycles/pause", "Lets no cycle start by itself for so long.", pause)
            .takes(json!({"for_s": 3600, "dry_run~": true}))
            .gives(json!({"dry_run": true, "paused_until?": "2026-11-28T13:00:00Z"})),
        Operation::delete("/cycles/pause", "Ends a pause.", go_on)
            .gives(json!({"dry_run": false, "paused_until?": null})),
    ]
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Page {
    cursor: Option<String>,
    limit: Option<String>,
}

#[derive(Debug, Serialize)]
struct Reports {
    is_running: bool,
    interval_s: u64,
    /// No cycle starts by itself until then.
    paused_until: Option<String>,
    policy: &'static str,
    /// Cycles that ended by a fault of ours.
    panics: u64,
    /// The newest first.
    cycles: Vec<Value>,
    next_cursor: Option<String>,
}

async fn cycles(State(inner): App, problem::Query(asked): problem::Query<Page>) -> Answer<Reports> {
    let cursor = page::cursor(asked.cursor.as_deref())?;
    let (reports, is_more) = inner
        .cycles
        .page(cursor, page::limit(asked.limit.as_deref())?);
    let last = reports.last().filter(|_| is_more);
    Ok(Json(Reports {
        is_running: inner.cycles.is_running(),
        interval_s: inner.cycles.interval().as_secs(),
        paused_until: inner.cycles.paused_until(inner.observed.unix_s()).map(time),
        policy: inner.policy.name(),
        panics: inner.cycles.panics(),
        next_cursor: last.map(|shown| shown.id.to_string()),
        cycles: reports.into_iter().map(|shown| shown.report).collect(),
    }))
}

async fn cycle(State(inner): App, problem::Path(id): problem::Path) -> Answer<Value> {
    let found = id.parse().ok().and_then(|id| inner.cycles.find(id));
    found.map(|shown| Json(shown.report)).ok_or_else(|| {
        Problem::not_found("there is no report of such a cycle: it runs yet, or GET /cycles lists those that are kept")
    })
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Optimize {
    /// Which steps; all where none is named.
    #[serde(default)]
    steps: Vec<String>,
    /// Which parts are looked at; all where none is named.
    #[serde(default)]
    parts: Vec<String>,
    #[serde(default)]
    dry_run: bool,
}

#[derive(Debug, Serialize)]
struct Started {
    cycle: u64,
    dry_run: bool,
    /// Where the report will be, under the prefix.
    follow: String,
}

async fn start(
    State(inner): App,
    problem::Json(asked): problem::Json<Optimize>,
) -> Result<Response, Problem> {
    for (what, named, known) in [
        ("step", &asked.steps, &STEPS[..]),
        ("part", &asked.parts, &PARTS[..]),
    ] {
        if let Some(unknown) = named.iter().find(|name| !known.contains(&name.as_str())) {
            let detail = format!(
                "there is no {what} `{unknown}`; there are: {}",
                known.join(", ")
            );
            return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail));
        }
    }
    let dry_run = asked.dry_run;
    let asked = Asked {
        steps: asked.steps,
        parts: asked.parts,
        dry_run,
    };
    let Some(cycle) = optimizer::start(&inner, Trigger::Request, asked) else {
        let problem = Problem::new(StatusCode::CONFLICT, "a cycle is running: see GET /cycles");
        return Err(problem.with_header(header::LOCATION, "cycles"));
    };
    // Relative to the route, whatever the prefix.
    let there = [(header::LOCATION, format!("cycles/{cycle}"))];
    let started = Started {
        cycle,
        dry_run,
        follow: format!("/cycles/{cycle}"),
    };
    Ok((StatusCode::ACCEPTED, there, Json(started)).into_response())
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pause {
    for_s: u64,
    #[serde(default)]
    dry_run: bool,
}

#[derive(Debug, Serialize)]
struct Paused {
    dry_run: bool,
    paused_until: Option<String>,
}

async fn pause(State(inner): App, problem::Json(asked): problem::Json<Pause>) -> Answer<Paused> {
    if !(1..=MAX_PAUSE_S).contains(&asked.for_s) {
        let detail = format!("`for_s` is from 1 to {MAX_PAUSE_S}");
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail));
    }
    let until = inner.observed.unix_s() + asked.for_s.cast_signed();
    if !asked.dry_run {
        inner.cycles.pause(Some(until));
    }
    Ok(Json(Paused {
        dry_run: asked.dry_run,
        paused_until: Some(time(until)),
    }))
}

async fn go_on(State(inner): App) -> Answer<Paused> {
    inner.cycles.pause(None);
    Ok(Json(Paused {
        dry_run: false,
        paused_until: None,
    }))
}
