//! `POST /optimize`, `GET /optimize`.

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::operation::Operation;
use super::{Answer, App};
use crate::optimizer::{self, CycleReport, STEPS, Trigger};
use crate::security::problem::{self, Problem};
use serde_json::json;

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::get("/optimize", "The last cycles.", reports)
            .gives(json!({"is_running": false, "interval_s": 1800, "panics": 0, "cycles": [{}]})),
        Operation::post("/optimize", "Starts a cycle now.", start)
            .takes(json!({"steps~": ["cache"], "dry_run~": true}))
            .gives_as(
                202,
                "application/json",
                json!({"cycle": 1, "follow": "/optimize"}),
            ),
    ]
}

#[derive(Debug, Serialize)]
pub(super) struct Reports {
    is_running: bool,
    interval_s: u64,
    /// Cycles that ended by a fault of ours.
    panics: u64,
    /// The newest first.
    cycles: Vec<CycleReport>,
}

pub(super) async fn reports(State(inner): App) -> Answer<Reports> {
    let cycles = &inner.cycles;
    Ok(Json(Reports {
        is_running: cycles.is_running(),
        interval_s: cycles.interval().as_secs(),
        panics: cycles.panics(),
        cycles: cycles.reports(),
    }))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Optimize {
    /// Which steps; all where none is named.
    #[serde(default)]
    steps: Vec<String>,
    #[serde(default)]
    dry_run: bool,
}

#[derive(Debug, Serialize)]
pub(super) struct Started {
    cycle: u64,
    /// Where to look for the report, under the prefix.
    follow: &'static str,
}

/// Starts a cycle now and answers at once: its report is under `GET /optimize` when it has ended.
pub(super) async fn start(
    State(inner): App,
    problem::Json(optimize): problem::Json<Optimize>,
) -> Result<(StatusCode, Json<Started>), Problem> {
    if let Some(unknown) = optimize
        .steps
        .iter()
        .find(|step| !STEPS.contains(&step.as_str()))
    {
        let detail = format!(
            "there is no step `{unknown}`; there are: {}",
            STEPS.join(", ")
        );
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail));
    }
    let Some((turn, cycle)) = optimizer::take_turn(&inner) else {
        return Err(Problem::new(
            StatusCode::CONFLICT,
            "a cycle is running: see GET /optimize",
        ));
    };
    tokio::spawn(optimizer::run(
        turn,
        cycle,
        Trigger::Request,
        optimize.steps,
        optimize.dry_run,
    ));
    Ok((
        StatusCode::ACCEPTED,
        Json(Started {
            cycle,
            follow: "/optimize",
        }),
    ))
}
