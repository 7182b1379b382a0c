//! `GET /response-times/…`: which routes are slow, where their time goes, what they ask again and again; and `GET /slos`.

use axum::Json;
use axum::extract::State;
use pitcrew::LatencyHandle;
use pitcrew::latency::{NPlusOneReport, ObjectiveReport, SlowReport, TimeReport, Window};
use serde::{Deserialize, Serialize};

use super::operation::Operation;
use super::{Answer, App};
use crate::Inner;
use crate::security::problem::{self, Problem};
use serde_json::json;

pub(super) fn operations() -> Vec<Operation> {
    let windowed = |operation: Operation| {
        operation.query(
            "window",
            "@15m|1m|5m|1h|total",
            "What the figures are of; 15m where it is left out.",
        )
    };
    vec![
        windowed(Operation::get(
            "/response-times/slow",
            "Routes that are slow by a target, an objective or their own past.",
            slow,
        ))
        .gives(json!({"findings": [{}]})),
        windowed(Operation::get(
            "/response-times/parts",
            "Where the time goes, by route.",
            parts,
        ))
        .gives(json!({"routes": [{}]})),
        windowed(Operation::get(
            "/response-times/n-plus-one",
            "Statements that requests run again and again.",
            n_plus_one,
        ))
        .gives(json!({"findings": [{}]})),
        Operation::get(
            "/slos",
            "Objectives, error budgets and burn rates, the worst first.",
            objectives,
        )
        .gives(json!({"objectives": [{}]})),
    ]
}

/// What is asked of a window.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    window: Option<String>,
}

impl Asked {
    /// The window that is named, or another.
    pub(super) fn window_or(&self, otherwise: Window) -> Result<Window, Problem> {
        let Some(text) = &self.window else {
            return Ok(otherwise);
        };
        text.parse().map_err(|_| {
            Problem::bad_request("there is no such window: choose one of 1m, 5m, 15m, 1h and total")
        })
    }
}

type Parameters = problem::Query<Asked>;

/// Objectives, the worst first.
#[derive(Debug, Serialize)]
pub(super) struct Objectives {
    objectives: Vec<ObjectiveReport>,
}

/// Routes that are slow by a target, an objective or their own past.
pub(super) async fn slow(State(inner): App, asked: Parameters) -> Answer<SlowReport> {
    let window = window(&asked)?;
    Ok(Json(latency(&inner)?.slow_endpoints(window)))
}

/// Waiting for a connection, the database, the cache, the app's segments and the rest, by route.
pub(super) async fn parts(State(inner): App, asked: Parameters) -> Answer<TimeReport> {
    let window = window(&asked)?;
    Ok(Json(latency(&inner)?.where_time_goes(window)))
}

/// Statements that requests run again and again.
pub(super) async fn n_plus_one(State(inner): App, asked: Parameters) -> Answer<NPlusOneReport> {
    let window = window(&asked)?;
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
fn window(asked: &Parameters) -> Result<Window, Problem> {
    asked.0.window_or(Window::FifteenMinutes)
}
