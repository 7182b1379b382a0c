//! `GET /response-times/{route}`: one route, over each window, and two windows side by side.

use axum::Json;
use axum::extract::State;
use pitcrew::latency::{Exemplar, Figures, Window};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::operation::Operation;
use super::{Answer, App};
use crate::heat;
use crate::security::problem::{self, Problem};

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::get(
            "/response-times/{route}",
            "One route, percent-encoded: each method and status class over each window, its slowest requests, where its time \
             goes, and what it asks again and again.",
            route,
        )
        .query("window", "@15m|1m|5m|1h|total", "What slowest requests, parts and repeated statements are of.")
        .query("against", "@1h|1m|5m|15m|total", "A window to compare it with.")
        .gives(json!({"route": "/orders/{id}", "window": "15m", "figures": {"*15m": {"count": 3}},
            "histogram": {"bounds_ms": [0.1], "counts": [0]}, "series": [{}],
            "exemplars": [{}], "parts?": {}, "repeated": [{}],
            "change?": {"against": "1h", "mean_percent?": 12.5, "p95_percent?": 12.5, "p99_percent?": 12.5, "detail": "..."}})),
    ]
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    window: Option<String>,
    against: Option<String>,
}

#[derive(Debug, Serialize)]
struct Answered {
    route: String,
    window: &'static str,
    /// All its methods and classes together, by window.
    figures: Value,
    /// How many requests of the window took how long.
    histogram: Steps,
    /// One a method and status class.
    series: Vec<Value>,
    exemplars: Vec<Exemplar>,
    parts: Option<Value>,
    repeated: Vec<Value>,
    change: Option<Change>,
}

/// Requests by how long they took.
#[derive(Debug, Serialize)]
struct Steps {
    /// The longest time of each step; the last count is of what took longer.
    bounds_ms: [f64; heat::BOUNDS_MS.len()],
    counts: heat::Counts,
}

/// How a window differs from another.
#[derive(Debug, Serialize)]
struct Change {
    against: &'static str,
    mean_percent: Option<f64>,
    p95_percent: Option<f64>,
    p99_percent: Option<f64>,
    detail: String,
}

fn window(text: &str) -> Result<Window, Problem> {
    text.parse().map_err(|_| {
        Problem::bad_request("there is no such window: choose one of 1m, 5m, 15m, 1h and total")
    })
}

async fn route(
    State(inner): App,
    problem::Path(route): problem::Path,
    problem::Query(asked): problem::Query<Asked>,
) -> Answer<Answered> {
    let wanted = window(asked.window.as_deref().unwrap_or("15m"))?;
    let against = asked.against.as_deref().map(window).transpose()?;
    let latency = inner
        .latency
        .as_ref()
        .ok_or_else(|| Problem::not_configured("latency handle", "latency"))?;
    let snapshot = latency.snapshot();
    let of = |window: Window| {
        let rows = snapshot.by_route(window).into_iter();
        rows.map(|row| (row.route, row.figures))
            .find(|(name, _)| *name == route)
    };
    let Some((_, figures)) = of(wanted) else {
        let detail = "no request of such a route has ended: GET /response-times lists the routes";
        return Err(Problem::not_found(detail));
    };
    let by_window = Window::ALL.into_iter().filter_map(|window| {
        let (_, figures) = of(window)?;
        Some((
            window.as_str().to_owned(),
            serde_json::to_value(figures).ok()?,
        ))
    });
    let series = snapshot
        .series
        .iter()
        .filter(|series| series.route == route);
    let series = series.map(|series| {
        json!({"method": series.method, "status_class": series.status_class, "figures": series.figures(wanted)})
    });
    let json = |value: Result<Value, _>| value.unwrap_or(Value::Null);
    let parts = latency
        .where_time_goes(wanted)
        .routes
        .into_iter()
        .find(|row| row.route == route);
    let repeated = latency.n_plus_one(wanted).findings.into_iter();
    let repeated = repeated.filter(|row| row.route == route);
    let change = against.map(|against| {
        let before = of(against).map(|(_, figures)| figures).unwrap_or_default();
        compared(against, &figures, &before)
    });
    Ok(Json(Answered {
        window: wanted.as_str(),
        figures: Value::Object(by_window.collect()),
        histogram: Steps {
            bounds_ms: heat::BOUNDS_MS,
            counts: heat::of_route(&snapshot, &route, wanted),
        },
        series: series.collect(),
        exemplars: snapshot.exemplars(&route, wanted).to_vec(),
        parts: parts.map(|row| json(serde_json::to_value(row))),
        repeated: repeated
            .map(|row| json(serde_json::to_value(row)))
            .collect(),
        change,
        route,
    }))
}

fn compared(against: Window, now: &Figures, before: &Figures) -> Change {
    let percent =
        |now: f64, then: f64| (then > 0.0).then(|| ((now / then - 1.0) * 1_000.0).round() / 10.0);
    Change {
        against: against.as_str(),
        mean_percent: percent(now.mean_ms, before.mean_ms),
        p95_percent: percent(now.p95_ms, before.p95_ms),
        p99_percent: percent(now.p99_ms, before.p99_ms),
        detail: format!(
            "p95 {:.1} ms over {} requests, against {:.1} ms over {}",
            now.p95_ms, now.count, before.p95_ms, before.count
        ),
    }
}
