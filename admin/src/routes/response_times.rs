//! `GET /response-times`.

use axum::Json;
use axum::extract::{RawQuery, State};
use pitcrew::latency::{Figures, LatencySnapshot, Window};
use serde::Serialize;

use super::{Answer, App};
use crate::security::problem::Problem;

#[derive(Debug, Serialize)]
pub(super) struct ResponseTimes {
    total: Figures,
    #[serde(flatten)]
    snapshot: LatencySnapshot,
}

/// Every series, the slowest p99 first. `?window=1m|5m|15m|1h|total`: what its figures are of.
pub(super) async fn response_times(
    State(inner): App,
    RawQuery(query): RawQuery,
) -> Answer<ResponseTimes> {
    let window = window(query.as_deref().unwrap_or_default())?;
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

fn window(query: &str) -> Result<Window, Problem> {
    let mut wanted = query
        .split('&')
        .filter_map(|pair| pair.strip_prefix("window="));
    match (wanted.next(), wanted.next()) {
        (None, _) => Ok(Window::SinceStart),
        (Some(text), None) => text
            .parse()
            .map_err(|error: pitcrew::latency::UnknownWindow| {
                Problem::bad_request(error.to_string())
            }),
        (Some(_), Some(_)) => Err(Problem::bad_request("`window` is there twice; name one")),
    }
}
