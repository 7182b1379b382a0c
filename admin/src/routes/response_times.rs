//! `GET /response-times`.

use axum::Json;
use axum::extract::State;
use pitcrew::latency::{Figures, LatencySnapshot};
use serde::Serialize;

use super::{Answer, App};
use crate::security::problem::Problem;

#[derive(Debug, Serialize)]
pub(super) struct ResponseTimes {
    total: Figures,
    #[serde(flatten)]
    snapshot: LatencySnapshot,
}

/// Every series, the slowest p99 first.
pub(super) async fn response_times(State(inner): App) -> Answer<ResponseTimes> {
    let latency = inner
        .latency
        .as_ref()
        .ok_or_else(|| Problem::not_configured("latency handle", "latency"))?;
    let mut snapshot = latency.snapshot();
    snapshot.series.sort_by(|a, b| {
        let names =
            || (&a.route, &a.method, a.status_class).cmp(&(&b.route, &b.method, b.status_class));
        b.p99_ms.total_cmp(&a.p99_ms).then_with(names)
    });
    Ok(Json(ResponseTimes {
        total: snapshot.total(),
        snapshot,
    }))
}
