//! `GET /health`, `/health/live` and `/health/ready`: public, and without details for those who are not known.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Request, State};
use http::StatusCode;
use serde::Serialize;
use serde_json::json;

use super::operation::{Operation, WRONG_TOKEN};
use super::{Answer, App};
use crate::Inner;
use crate::health::{Health, components};

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::get("/health", "One word; for whoever may look, also a word for each component.", health)
            .public()
            .gives(json!({"status": "@UP|DEGRADED|DOWN", "components~": {"*database": "@UP|DEGRADED|DOWN"}}))
            .refuses(429, WRONG_TOKEN),
        Operation::get("/health/live", "Whether the process answers. Asks nobody.", live)
            .public()
            .gives(json!({"status": "@UP"})),
        Operation::get("/health/ready", "Whether requests should come here: 503 while it is DOWN or ends.", ready)
            .public()
            .gives(json!({"status": "@UP|DEGRADED"}))
            .gives_as(503, "application/json", json!({"status": "@DOWN"})),
    ]
}

#[derive(Debug, Serialize)]
struct Answered {
    status: Health,
    #[serde(skip_serializing_if = "Option::is_none")]
    components: Option<BTreeMap<String, Health>>,
}

async fn health(State(inner): App, request: Request) -> Answer<Answered> {
    let (parts, _) = request.into_parts();
    let is_known = inner.auth.identify(&parts)?.is_some();
    let found = components(&inner).await;
    let status = worst(&inner, &found);
    let components = is_known.then(|| found.into_iter().collect());
    Ok(Json(Answered { status, components }))
}

async fn live() -> Json<Answered> {
    Json(Answered {
        status: Health::Up,
        components: None,
    })
}

async fn ready(State(inner): App) -> (StatusCode, Json<Answered>) {
    let status = worst(&inner, &components(&inner).await);
    let code = if status == Health::Down {
        StatusCode::SERVICE_UNAVAILABLE
    } else {
        StatusCode::OK
    };
    let answered = Answered {
        status,
        components: None,
    };
    (code, Json(answered))
}

pub(super) fn worst(inner: &Inner, found: &[(String, Health)]) -> Health {
    if inner.background.is_stopped() {
        return Health::Down;
    }
    let each = found.iter().map(|(_, health)| *health);
    each.max().unwrap_or(Health::Up)
}
