//! `GET /alerts`, and what an operator may do with a rule.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::operation::Operation;
use super::{Answer, App, page};
use crate::alerts::{Alert, Standing};
use crate::observe::{Event, time};
use crate::security::problem::{self, Problem};

/// The longest time for which nobody is told: 30 days. What is longer is a rule that nobody wants.
const MAX_SUPPRESSED_S: u64 = 30 * 24 * 60 * 60;

pub(super) fn operations() -> Vec<Operation> {
    let alert = || {
        json!({"id": 1, "rule": "cpu", "state": "@firing|resolved|test", "severity": "@warn|critical",
            "at": "2026-11-28T12:00:00Z", "metric": "cpu_percent", "value?": 99.5, "threshold": 70.0,
            "sentence": "cpu fires: cpu_percent is 99.5 %, at most 70 % wanted", "link": "/memory/usage"})
    };
    vec![
        Operation::get("/alerts", "Every rule and how it stands, and what fired, the newest first.", alerts)
            .query("cursor", "41", "`next_cursor` of the page before.")
            .query("limit", "100", "1 to 1,000; 100 where it is left out.")
            .gives(json!({"firing": 0, "rules": [{"name": "cpu", "metric": "cpu_percent", "is_above": true, "threshold": 70.0,
                "clear": 63.0, "lasting_s": 300.0, "severity": "@warn|critical", "state": "@quiet|pending|firing",
                "since?": "2026-11-28T12:00:00Z", "value?": 12.5, "unit": "%", "suppressed_until?": "2026-11-28T13:00:00Z"}],
                "history": [alert()], "next_cursor?": "41", "dropped_total": 0, "sink_panics_total": 0})),
        Operation::post("/alerts/{rule}/test", "Tells the log, every sink and the clients of /events of an alert that is none.", test)
            .takes(json!({"dry_run~": true}))
            .gives(json!({"dry_run": true, "alert": alert()})),
        Operation::post("/alerts/{rule}/suppress", "Tells nobody of a rule for so long.", suppress)
            .takes(json!({"for_s": 3600, "dry_run~": true}))
            .gives(json!({"dry_run": true, "suppressed_until?": "2026-11-28T13:00:00Z"})),
        Operation::delete("/alerts/{rule}/suppress", "Tells of a rule again.", tell_again)
            .gives(json!({"dry_run": false, "suppressed_until?": null})),
    ]
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    cursor: Option<String>,
    limit: Option<String>,
}

#[derive(Debug, Serialize)]
struct Answered {
    firing: usize,
    rules: Vec<Standing>,
    history: Vec<Alert>,
    next_cursor: Option<String>,
    dropped_total: u64,
    sink_panics_total: u64,
}

async fn alerts(
    State(inner): App,
    problem::Query(asked): problem::Query<Asked>,
) -> Answer<Answered> {
    let cursor = page::cursor(asked.cursor.as_deref())?;
    let limit = page::limit(asked.limit.as_deref())?;
    let (history, is_more) = inner.alerts.page(cursor, limit);
    let last = history.last().filter(|_| is_more);
    let (dropped_total, sink_panics_total) = inner.alerts.lost();
    Ok(Json(Answered {
        firing: inner.alerts.firing(),
        rules: inner.alerts.standing(inner.observed.unix_s()),
        next_cursor: last.map(|alert| alert.id.to_string()),
        history,
        dropped_total,
        sink_panics_total,
    }))
}

fn no_rule() -> Problem {
    Problem::not_found("there is no such rule: GET /alerts lists them")
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Test {
    #[serde(default)]
    dry_run: bool,
}

#[derive(Debug, Serialize)]
struct Tested {
    dry_run: bool,
    alert: Alert,
}

async fn test(
    State(inner): App,
    problem::Path(rule): problem::Path,
    problem::Json(Test { dry_run }): problem::Json<Test>,
) -> Answer<Tested> {
    let alert = inner.alerts.test(&rule, inner.observed.unix_s(), dry_run);
    let alert = alert.ok_or_else(no_rule)?;
    if !dry_run {
        let event = Event::Alert(Arc::new(alert.clone()));
        // Nobody may be listening.
        let _ = inner.observed.events.send(event);
    }
    Ok(Json(Tested { dry_run, alert }))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Suppress {
    for_s: u64,
    #[serde(default)]
    dry_run: bool,
}

#[derive(Debug, Serialize)]
struct Suppressed {
    dry_run: bool,
    suppressed_until: Option<String>,
}

async fn suppress(
    State(inner): App,
    problem::Path(rule): problem::Path,
    problem::Json(asked): problem::Json<Suppress>,
) -> Answer<Suppressed> {
    if !(1..=MAX_SUPPRESSED_S).contains(&asked.for_s) {
        let detail = format!("`for_s` is from 1 to {MAX_SUPPRESSED_S}");
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail));
    }
    let until = inner.observed.unix_s() + asked.for_s.cast_signed();
    if !inner.alerts.suppress(&rule, Some(until), asked.dry_run) {
        return Err(no_rule());
    }
    Ok(Json(Suppressed {
        dry_run: asked.dry_run,
        suppressed_until: Some(time(until)),
    }))
}

async fn tell_again(State(inner): App, problem::Path(rule): problem::Path) -> Answer<Suppressed> {
    if !inner.alerts.suppress(&rule, None, false) {
        return Err(no_rule());
    }
    Ok(Json(Suppressed {
        dry_run: false,
        suppressed_until: None,
    }))
}
