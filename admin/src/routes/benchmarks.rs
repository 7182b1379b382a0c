//! `GET /benchmarks`: targets against measured values.

use axum::Json;
use axum::extract::State;
use serde::Serialize;

use super::operation::Operation;
use super::{Answer, App};
use crate::targets::Benchmark;
use serde_json::json;

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::get("/benchmarks", "The targets against the measured values.", benchmarks).gives(json!({
            "benchmarks": [{"name": "api_p95", "unit": "ms", "target": 500.0, "bound": "@at_most|at_least", "value?": 312.5,
                "verdict": "@met|missed|not_measured", "since?": "2026-11-28T12:00:00Z", "detail": "312.5 ms measured, at most 500 ms wanted"}]
        })),
    ]
}

#[derive(Debug, Serialize)]
pub(super) struct Benchmarks {
    benchmarks: Vec<Benchmark>,
}

pub(super) async fn benchmarks(State(inner): App) -> Answer<Benchmarks> {
    let overview = match &inner.database {
        None => None,
        Some(database) => Some(database.recent_overview().await.value),
    };
    let mut benchmarks = inner.benchmarks(overview.as_ref(), &inner.seen());
    inner.observed.since.put(&mut benchmarks);
    Ok(Json(Benchmarks { benchmarks }))
}
