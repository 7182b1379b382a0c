//! `GET /config`: what the router was built with, and what it costs. No secret is in it: none is kept.

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use super::operation::Operation;
use super::{Answer, App};
use crate::observe::metrics::{CPU, OWN_COST, RSS};
use crate::observe::number;
use crate::optimizer::Policy;
use crate::security::{identity, problem, sessions};

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::get("/config", "What the router was built with, its bounds, and what it costs itself.", config).gives(json!({
            "version": "0.1.0", "instance": {"name?": "web-2", "environment?": "production"}, "kept": {"is_wanted": true, "is_kept": true, "detail": "..."},
            "parts": {"*cache": true}, "pools": ["app"], "targets": {"*api_p95_ms": 500.0},
            "cycle": {"interval_s": 1800, "policy": "@observe|maintain|tune", "tuning?": "at any time, 1024 MiB a day",
                "alerts_start_cycles": true},
            "access": {"holders": [{"name": "ann", "role": "@operator|reader"}], "asks_the_host": false, "sessions": 0},
            "bounds": {"*request_bytes": 65_536}, "cost": {"sample_us?": 120, "process_cpu_percent?": 1.5,
                "process_rss_mib?": 60.5, "history_bytes": 2_000_000, "asked_database_total?": 52, "listeners": 0, "panics": 0}
        })),
    ]
}

async fn config(State(inner): App) -> Answer<Value> {
    let sample = inner.observed.last().map(|(_, sample)| sample);
    let figure = |place: usize| sample.map_or(Value::Null, |sample| number(sample[place]));
    let tuning = match &inner.policy {
        Policy::Tune(tuning) => Some(tuning.to_string()),
        _ => None,
    };
    let pools: Vec<_> = inner.pools.iter().map(|pool| &pool.name).collect();
    Ok(Json(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "instance": inner.instance,
        "kept": inner.keep.told(),
        "parts": {
            "cache": inner.cache.is_some(), "latency": inner.latency.is_some(), "memory": inner.memory.is_some(),
            "database": inner.database.is_some(),
        },
        "pools": pools,
        "targets": inner.targets,
        "cycle": {
            "interval_s": inner.cycles.interval().as_secs(), "policy": inner.policy.name(), "tuning": tuning,
            "alerts_start_cycles": inner.alerts_start_cycles,
        },
        "access": {
            "holders": inner.auth.holders(), "asks_the_host": inner.auth.has_hook(),
            "sessions": inner.auth.sessions.count(),
        },
        "bounds": {
            "request_bytes": problem::MAX_REQUEST_BYTES, "token_bytes": identity::MAX_TOKEN_BYTES,
            "sessions": sessions::MAX_SESSIONS, "session_s": sessions::LIFETIME.as_secs(),
            "audit_entries_in_memory": crate::audit::KEPT,
        },
        "cost": {
            "sample_us": figure(OWN_COST).as_f64().map(|us| us.round() as u64), "process_cpu_percent": figure(CPU),
            "process_rss_mib": figure(RSS), "history_bytes": inner.history.bytes() + inner.heat.bytes(),
            "asked_database_total": inner.database.as_ref().map(|database| database.asked()),
            "listeners": inner.observed.events.receiver_count(), "panics": inner.background.panics(),
        },
    })))
}
