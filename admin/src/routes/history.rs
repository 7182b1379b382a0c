//! `GET /history`.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::audit::time as asked_time;
use super::operation::Operation;
use super::{Answer, App};
use crate::history::{Mark, STEPS};
use crate::observe::metrics::{METRICS, place};
use crate::observe::{number, time};
use crate::security::problem::{self, Problem};

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::get("/history", "The key figures over time, and what happened when.", history)
            .query("metric", "cpu_percent,response_p95_ms", "Which, with commas between; all where it is left out.")
            .query("step", "@minute|second|hour", "Seconds of an hour, minutes of a day, or hours of a year.")
            .query("since", "2026-11-28T00:00:00Z", "Only from then on (RFC 3339).")
            .query("until", "2026-11-29T00:00:00Z", "Only before then (RFC 3339).")
            .tagged()
            .gives(json!({"step_s": 60, "at": ["2026-11-28T12:00:00Z"],
                "series": [{"metric": "cpu_percent", "unit": "%", "says": "...", "mean": [], "max": []}],
                "marks": [{"at": "2026-11-28T12:00:00Z", "kind": "@start|job|advice|load_test|action|cycle|alert|alert_resolved", "detail": "..."}],
                "dropped_marks_total": 0, "memory_bytes": 2_000_000})),
    ]
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    metric: Option<String>,
    step: Option<String>,
    since: Option<String>,
    until: Option<String>,
}

#[derive(Debug, Serialize)]
struct Answered {
    step_s: i64,
    /// When each point began.
    at: Vec<String>,
    series: Vec<Series>,
    marks: Vec<Mark>,
    dropped_marks_total: u64,
    memory_bytes: usize,
}

#[derive(Debug, Serialize)]
struct Series {
    metric: &'static str,
    unit: &'static str,
    says: &'static str,
    mean: Vec<Value>,
    max: Vec<Value>,
}

async fn history(
    State(inner): App,
    problem::Query(asked): problem::Query<Asked>,
) -> Answer<Answered> {
    let step = asked.step.as_deref().unwrap_or("minute");
    let step = STEPS.iter().find(|known| known.name == step);
    let step =
        step.ok_or_else(|| Problem::bad_request("`step` is `second`, `minute` or `hour`"))?;
    let seconds = |time: Option<jiff::Timestamp>| time.map(jiff::Timestamp::as_second);
    let since = seconds(asked_time("since", asked.since.as_deref())?).unwrap_or(i64::MIN);
    let until = seconds(asked_time("until", asked.until.as_deref())?).unwrap_or(i64::MAX);
    let places: Vec<usize> = match &asked.metric {
        None => (0..METRICS.len()).collect(),
        Some(names) => names
            .split(',')
            .map(|name| {
                place(name).ok_or_else(|| {
                    let known = METRICS.map(|metric| metric.name).join(", ");
                    Problem::bad_request(format!("a `metric` is not known; there are: {known}"))
                })
            })
            .collect::<Result<_, _>>()?,
    };
    let points = inner.history.points(step, since, until);
    let (marks, dropped_marks_total) = inner.history.marks(since, until);
    let series = places.into_iter().map(|place| Series {
        metric: METRICS[place].name,
        unit: METRICS[place].unit,
        says: METRICS[place].says,
        mean: points
            .iter()
            .map(|point| number(point.mean[place]))
            .collect(),
        max: points
            .iter()
            .map(|point| number(point.max[place]))
            .collect(),
    });
    Ok(Json(Answered {
        step_s: step.seconds,
        at: points.iter().map(|point| time(point.unix_s)).collect(),
        series: series.collect(),
        marks,
        dropped_marks_total,
        memory_bytes: inner.history.bytes(),
    }))
}
