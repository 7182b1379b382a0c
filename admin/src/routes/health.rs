//! `GET /health`: one word, public.

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde::Serialize;

use super::App;
use super::operation::Operation;
use serde_json::json;

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::get(
            "/health",
            "One word: UP, or DEGRADED where a dependency is away and the app goes on.",
            health,
        )
        .public()
        .gives(json!({"status": "@UP|DEGRADED"})),
    ]
}

#[derive(Debug, Serialize)]
pub(super) struct Health {
    status: &'static str,
}

/// `UP`; `DEGRADED` where a dependency is away and the app goes on; never a detail, for anyone may ask.
pub(super) async fn health(State(inner): App) -> (StatusCode, Json<Health>) {
    let is_database_up = match &inner.database {
        None => true,
        Some(database) => database.probe().await.is_ok(),
    };
    let is_l2_up = inner.is_l2_up().await;
    let status = if is_database_up && is_l2_up {
        "UP"
    } else {
        "DEGRADED"
    };
    (StatusCode::OK, Json(Health { status }))
}
