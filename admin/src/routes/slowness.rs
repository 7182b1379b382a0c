//! `GET /response-times/…`: which routes are slow, where their time goes, what they ask again and again; and `GET /slos`.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use http::StatusCode;
use pitcrew::LatencyHandle;
use pitcrew::latency::{NPlusOneReport, ObjectiveReport, SlowReport, TimeReport, Window};
use serde::{Deserialize, Serialize};

use super::{Answer, App};
use crate::Inner;
use crate::security::problem::Problem;

/// What is asked of a window.
#[derive(Debug, Deserialize)]
pub(super) struct Asked {
    window: Option<String>,
}

type Parameters = Result<Query<Asked>, QueryRejection>;

/// Objectives, the worst first.
#[derive(Debug, Serialize)]
pub(super) struct Objectives {
    objectives: Vec<ObjectiveReport>,
}

/// Routes that are slow by a target, an objective or their own past.
pub(super) async fn slow(State(inner): App, asked: Parameters) -> Answer<SlowReport> {
    let window = window(asked)?;
    Ok(Json(latency(&inner)?.slow_endpoints(window)))
}

/// Waiting for a connection, the database, the cache, the app's segments and the rest, by route.
pub(super) async fn parts(State(inner): App, asked: Parameters) -> Answer<TimeReport> {
    let window = window(asked)?;
    Ok(Json(latency(&inner)?.where_time_goes(window)))
}

/// Statements that requests run again and again.
pub(super) async fn n_plus_one(State(inner): App, asked: Parameters) -> Answer<NPlusOneReport> {
    let window = window(asked)?;
    Ok(Json(latency(&inner)?.n_plus_one(window)))
}

/// How the app's objectives stand.
pub(super) async fn objectives(State(inner): App) -> Answer<Objectives> {
    let mut objectives = latency(&inner)?.objectives();
    objectives.sort_by_key(|objective| std::cmp::Reverse(objective.state.urgency()));
    Ok(Json(Objectives { objectives }))
}

fn latency(inner: &Inner) -> Result<&LatencyHandle, Problem> {
    inner
        .latency
        .as_ref()
        .ok_or_else(|| Problem::not_configured("latency handle", "latency"))
}

/// Fifteen minutes unless it is said.
fn window(asked: Parameters) -> Result<Window, Problem> {
    let refused = |detail: String| Problem::new(StatusCode::BAD_REQUEST, detail);
    let Query(asked) = asked.map_err(|rejection| refused(rejection.body_text()))?;
    let Some(text) = asked.window else {
        return Ok(Window::FifteenMinutes);
    };
    let unknown = "there is no such window: choose one of 1m, 5m, 15m, 1h and total";
    text.parse().map_err(|_| refused(unknown.to_owned()))
}
