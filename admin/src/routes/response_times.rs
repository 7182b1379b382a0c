//! `GET /response-times`.

use axum::Json;
use axum::extract::State;
use pitcrew::latency::{Figures, LatencySnapshot, Window};
use serde::Serialize;

use super::operation::Operation;
use super::slowness::Asked;
use super::{Answer, App};
use crate::security::problem::{self, Problem};
use serde_json::json;

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::get("/response-times", "Every series, the slowest p99 first.", response_times)
            .query("window", "@total|1m|5m|15m|1h", "What the figures are of; total where it is left out.")
            .tagged()
            .gives(json!({"total": {"count": 3, "p99_ms": 12.5}, "requests": 3, "in_flight": 0, "series": [{}]})),
    ]
}

#[derive(Debug, Serialize)]
pub(super) struct ResponseTimes {
    total: Figures,
    #[serde(flatten)]
    snapshot: LatencySnapshot,
}

/// Every series, the slowest p99 first. `?window=1m|5m|15m|1h|total`: what its figures are of.
pub(super) async fn response_times(
    State(inner): App,
    problem::Query(asked): problem::Query<Asked>,
) -> Answer<ResponseTimes> {
    let window = asked.window_or(Window::SinceStart)?;
    let latency = inner
        .latency
        .as_ref()
        .ok_or_else(|| Problem::not_configured("latency handle", "latency"))?;
    let mut snapshot = latency.snapshot().seen_in(window);
    snapshot.series.sort_by(|a, b| {
        let names =
            || (&a.route, &a.method, a.status_class).cmp(&(&b.route, &b.method, b.status_class));
        b.p99_ms.total_cmp(&a.p99_ms).then_with(names)
    });
    Ok(Json(ResponseTimes {
        total: snapshot.total_in(window),
        snapshot,
    }))
}
