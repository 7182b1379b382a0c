//! `GET /database/sessions`, and what nobody wants to see again: `/database/suppressed`.

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::database::handle;
use super::operation::Operation;
use super::{Answer, App};
use crate::database::{DatabaseError, Session, Suppressed};
use crate::security::problem::{self, Problem};

/// So many sessions are told.
const SESSIONS: usize = 200;
/// The longest key, in letters, as the extension has it.
const MAX_KEY: usize = 1_000;
/// The longest reason, in letters.
const MAX_REASON: usize = 1_000;
/// What is left out for longer than ten years is left out for good.
const MAX_FOR_S: u64 = 10 * 365 * 24 * 60 * 60;

pub(super) fn operations() -> Vec<Operation> {
    let key = "missing_primary_key:public.orders";
    vec![
        Operation::get(
            "/database/sessions",
            "What the sessions of the database do, and who waits for whom: those first that others wait for.",
            sessions,
        )
        .gives(json!({"sessions": [{"pid": 4711, "user_name?": "app", "application_name?": "shop", "state?": "active",
            "wait_event_type?": "Lock", "wait_event?": "transactionid", "transaction_s?": 12.5, "state_s?": 1.5, "queryid?": 7,
            "statement?": "SELECT $1", "blocked_by": [4712], "blocks": 0}], "is_more": false})),
        Operation::get(
            "/database/suppressed",
            "Findings of the checks and suggested indexes that somebody does not want to see again, the newest first.",
            suppressed,
        )
        .gives(json!({"suppressed": [{"cache_key": key, "reason?": "it goes next month", "until?": "2026-12-28T12:00:00Z",
            "suppressed_by": "ann", "suppressed_at": "2026-11-28T12:00:00Z"}]})),
        Operation::post(
            "/database/suppressed",
            "Leaves a finding, a check or a suggested index out, by its `cache_key`: for so long, or for good.",
            suppress,
        )
        .takes(json!({"cache_key": key, "reason?~": "it goes next month", "for_s?~": 86_400, "dry_run~": true}))
        .gives(json!({"dry_run": true, "cache_key": key, "for_s?": 86_400}))
        .refuses(409, "It is left out already."),
        Operation::delete("/database/suppressed/{key}", "Shows it again.", show_again)
            .gives(json!({"cache_key": key})),
    ]
}

#[derive(Debug, Serialize)]
struct Sessions {
    sessions: Vec<Session>,
    is_more: bool,
}

async fn sessions(State(inner): App) -> Answer<Sessions> {
    // One more than is told says whether there are more.
    let mut sessions = handle(&inner)?.sessions(SESSIONS as i64 + 1).await?;
    let is_more = sessions.len() > SESSIONS;
    sessions.truncate(SESSIONS);
    Ok(Json(Sessions { sessions, is_more }))
}

#[derive(Debug, Serialize)]
struct List {
    suppressed: Vec<Suppressed>,
}

async fn suppressed(State(inner): App) -> Answer<List> {
    let suppressed = handle(&inner)?.suppressed().await?;
    Ok(Json(List { suppressed }))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Suppress {
    cache_key: String,
    reason: Option<String>,
    for_s: Option<u64>,
    #[serde(default)]
    dry_run: bool,
}

impl Suppress {
    fn fault(&self) -> Option<String> {
        let letters = |text: &str| text.chars().count();
        if !(1..=MAX_KEY).contains(&letters(&self.cache_key)) {
            return Some(format!("`cache_key` has 1 to {MAX_KEY} letters"));
        }
        if self
            .reason
            .as_deref()
            .is_some_and(|reason| letters(reason) > MAX_REASON)
        {
            return Some(format!("`reason` has at most {MAX_REASON} letters"));
        }
        let is_odd = self
            .for_s
            .is_some_and(|for_s| !(1..=MAX_FOR_S).contains(&for_s));
        is_odd.then(|| format!("`for_s` is from 1 to {MAX_FOR_S}; without it, it is for good"))
    }
}

#[derive(Debug, Serialize)]
struct Done {
    dry_run: bool,
    cache_key: String,
    for_s: Option<u64>,
}

fn twice() -> Problem {
    let detail = "this is left out already: DELETE /database/suppressed/{key} shows it again";
    Problem::new(StatusCode::CONFLICT, detail)
}

async fn suppress(
    State(inner): App,
    problem::Json(asked): problem::Json<Suppress>,
) -> Answer<Done> {
    let database = handle(&inner)?;
    if let Some(fault) = asked.fault() {
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, fault));
    }
    let (key, reason) = (asked.cache_key.as_str(), asked.reason.as_deref());
    if asked.dry_run {
        if database.is_suppressed(key).await? {
            return Err(twice());
        }
    } else {
        let for_s = asked.for_s.map(|for_s| for_s as f64);
        match database.suppress(key, reason, for_s).await {
            Err(DatabaseError::Twice) => return Err(twice()),
            done => done?,
        }
    }
    Ok(Json(Done {
        dry_run: asked.dry_run,
        cache_key: asked.cache_key,
        for_s: asked.for_s,
    }))
}

#[derive(Debug, Serialize)]
struct Shown {
    cache_key: String,
}

async fn show_again(State(inner): App, problem::Path(cache_key): problem::Path) -> Answer<Shown> {
    if !handle(&inner)?.show_again(&cache_key).await? {
        let detail = "nothing with this key is left out: GET /database/suppressed lists them";
        return Err(Problem::not_found(detail));
    }
    Ok(Json(Shown { cache_key }))
}
