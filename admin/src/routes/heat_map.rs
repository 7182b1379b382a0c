//! `GET /response-times/heat-map`: how many requests took how long, minute by minute.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::audit::time as asked_time;
use super::operation::Operation;
use super::{Answer, App};
use crate::heat::{BOUNDS_MS, COLUMN_S, Counts};
use crate::observe::time;
use crate::security::problem::{self, Problem};

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::get(
            "/response-times/heat-map",
            "How many requests took how long, minute by minute, for three hours at most: of all routes, or of one.",
            heat_map,
        )
        .query("route", "/orders/{id}", "Of this route alone.")
        .query("since", "2026-11-28T00:00:00Z", "Only minutes that began then or later (RFC 3339).")
        .tagged()
        .gives(json!({"route?": "/orders/{id}", "column_s": 60, "bounds_ms": [0.1], "at": ["2026-11-28T12:00:00Z"],
            "counts": [[0]], "dropped_cells_total": 0})),
    ]
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    route: Option<String>,
    since: Option<String>,
}

#[derive(Debug, Serialize)]
struct Answered {
    route: Option<String>,
    column_s: i64,
    /// The longest time of each step; the last step of each column has what took longer.
    bounds_ms: [f64; BOUNDS_MS.len()],
    /// When each column began.
    at: Vec<String>,
    /// Each column: how many requests ended in each step.
    counts: Vec<Counts>,
    /// Counts of routes that were let go before their time, for want of room.
    dropped_cells_total: u64,
}

async fn heat_map(
    State(inner): App,
    problem::Query(asked): problem::Query<Asked>,
) -> Answer<Answered> {
    let latency = inner
        .latency
        .as_ref()
        .ok_or_else(|| Problem::not_configured("latency handle", "latency"))?;
    let since = asked_time("since", asked.since.as_deref())?;
    let since = since.map_or(i64::MIN, jiff::Timestamp::as_second);
    let (route, now) = (asked.route.as_deref(), inner.observed.unix_s());
    let told = inner.heat.told(route, since, now, &latency.snapshot());
    Ok(Json(Answered {
        route: asked.route,
        column_s: COLUMN_S,
        bounds_ms: BOUNDS_MS,
        at: told.columns.iter().map(|(at, _)| time(*at)).collect(),
        counts: told.columns.into_iter().map(|(_, counts)| counts).collect(),
        dropped_cells_total: told.dropped,
    }))
}
