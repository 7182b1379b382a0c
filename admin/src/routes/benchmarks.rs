//! `GET /benchmarks`: targets against measured values.

use axum::Json;
use axum::extract::State;
use serde::Serialize;

use super::{Answer, App};
use crate::targets::Benchmark;

#[derive(Debug, Serialize)]
pub(super) struct Benchmarks {
    benchmarks: Vec<Benchmark>,
}

pub(super) async fn benchmarks(State(inner): App) -> Answer<Benchmarks> {
    let overview = match &inner.database {
        None => None,
        Some(database) => Some(database.overview().await),
    };
    Ok(Json(Benchmarks {
        benchmarks: inner.benchmarks(overview.as_ref()),
    }))
}
