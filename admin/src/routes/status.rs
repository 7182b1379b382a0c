//! `GET /status`: everything at a glance.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use pitcrew::latency::Figures;
use pitcrew::memory::LeakState;
use serde::Serialize;

use super::operation::Operation;
use super::{Answer, App};
use crate::Inner;
use crate::database::{DatabaseError, NamedPool, Overview, PoolReport, Recent};
use crate::observe;
use crate::optimizer::{self, Action, Advice};
use crate::section::Section;
use crate::targets::{Benchmark, Verdict};
use serde_json::json;

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::get("/status", "Everything at a glance: a sentence, targets missed, one next action, key figures.", status)
            .gives(json!({"verdict": "Every target that could be measured is met.", "next_action?": {}, "uptime_s": 61.5,
                "missed": [{}], "response_times": {"age_s~": 0.5}, "cache": {}, "memory": {}, "database": {"age_s~": 0.5}, "pools": [{}],
                "last_cycle_at?": "2026-11-28T12:00:00Z"})),
    ]
}

#[derive(Debug, Serialize)]
pub(super) struct Status {
    /// A sentence.
    verdict: String,
    /// The most urgent advice of the last cycle that nobody has acted on since.
    next_action: Option<Advice>,
    uptime_s: f64,
    missed: Vec<Benchmark>,
    response_times: Section<Times>,
    cache: Section<Hits>,
    memory: Section<Process>,
    database: Section<Recent<Overview>>,
    pools: Vec<PoolReport>,
    last_cycle_at: Option<String>,
}

#[derive(Debug, Serialize)]
struct Times {
    /// Seconds since the rest was taken: 0 where that is cheap.
    age_s: f64,
    in_flight: u64,
    errors: u64,
    aborted: u64,
    dropped_series: u64,
    #[serde(flatten)]
    total: Figures,
}

#[derive(Debug, Serialize)]
struct Hits {
    hits: u64,
    misses: u64,
    bypasses: u64,
    hit_ratio: f64,
    l1_bytes: u64,
    l2: Option<&'static str>,
}

#[derive(Debug, Serialize)]
struct Process {
    /// `None` where it is not known; so with the others.
    rss_bytes: Option<u64>,
    peak_rss_bytes: Option<u64>,
    cpu_percent: Option<f64>,
    /// `steady`, `growing`, `leaking` or `unknown`.
    leak: LeakState,
}

pub(super) async fn status(State(inner): App) -> Answer<Status> {
    let overview = match &inner.database {
        None => None,
        Some(database) => Some(database.recent_overview().await),
    };
    inner.is_l2_up().await;
    let seen = inner.seen();
    let missed: Vec<_> = inner
        .benchmarks(overview.as_ref().map(|recent| &recent.value), &seen)
        .into_iter()
        .filter(|one| one.verdict == Verdict::Missed)
        .collect();
    let last = inner.cycles.last();
    let next_action = next_action(&inner, &seen).await;
    let in_flight = inner
        .latency
        .as_ref()
        .map(|latency| latency.counts().in_flight);
    let response_times = seen.times.map_or_else(
        || Section::missing("no latency handle"),
        |times| {
            Section::Ready(Times {
                age_s: times.age_s(),
                in_flight: in_flight.unwrap_or(times.snapshot.in_flight),
                errors: times.snapshot.errors,
                aborted: times.snapshot.aborted,
                dropped_series: times.snapshot.dropped_series,
                total: times.total.clone(),
            })
        },
    );
    let cache = seen.cache.map_or_else(
        || Section::missing("no cache handle"),
        |stats| {
            Section::Ready(Hits {
                hits: stats.hits,
                misses: stats.misses,
                bypasses: stats.bypasses,
                hit_ratio: stats.hit_ratio,
                l1_bytes: stats.l1.bytes,
                l2: stats.l2.as_ref().map(|l2| l2.state),
            })
        },
    );
    let memory = inner.memory.as_ref().map_or_else(
        || Section::missing("no memory handle"),
        |memory| {
            let snapshot = memory.snapshot();
            let process = snapshot.process;
            Section::Ready(Process {
                rss_bytes: process.rss_bytes,
                peak_rss_bytes: process.peak_rss_bytes,
                cpu_percent: process.cpu_percent,
                leak: snapshot.leak.state,
            })
        },
    );
    let database = overview.map_or_else(
        || Section::missing("no database"),
        |Recent { age_s, value }| value.map(|value| Recent { age_s, value }).into(),
    );
    let is_database_away = inner.database.is_some() && database.ready().is_none();
    let verdict = match (is_database_away, missed.as_slice()) {
        (true, _) => "The database does not answer; everything else goes on.".to_owned(),
        (false, []) => "Every target that could be measured is met.".to_owned(),
        (false, [one]) => format!("One target is missed: {} ({}).", one.name, one.detail),
        (false, [first, ..]) => {
            format!(
                "{} targets are missed, first of all {} ({}).",
                missed.len(),
                first.name,
                first.detail
            )
        }
    };
    Ok(Json(Status {
        verdict,
        next_action,
        uptime_s: inner.started.elapsed().as_secs_f64(),
        missed,
        response_times,
        cache,
        memory,
        database,
        pools: inner.pools.iter().map(NamedPool::report).collect(),
        last_cycle_at: last.map(|cycle| cycle.started_at.clone()),
    }))
}

/// The most urgent of what stands. The parts in this process are looked at again, which costs next to nothing, so that
/// their advice never contradicts the figures beside it; the database's last look stands, less what has been done about it.
async fn next_action(inner: &Inner, seen: &observe::Seen) -> Option<Advice> {
    let looked_again = optimizer::look_again(inner, seen);
    let mut candidates: Vec<_> = looked_again
        .into_iter()
        .map(|advice| (advice, None))
        .collect();
    for standing in inner.cycles.standing() {
        let of_database = standing.advice.into_iter();
        let of_database = of_database.filter(|advice| advice.part == "database");
        candidates.extend(of_database.map(|advice| (advice, Some(standing.since.clone()))));
    }
    candidates.sort_by_key(|(advice, _)| std::cmp::Reverse(advice.severity));
    // The database is asked only about those that come before the answer, and no more once it does not answer.
    let mut is_away = false;
    for (advice, since) in candidates {
        let Some(since) = since else {
            return Some(advice);
        };
        if !is_away {
            match is_cared_for(inner, &advice, &since).await {
                Some(false) => return Some(advice),
                Some(true) => {}
                None => is_away = true,
            }
        }
    }
    None
}

/// The longest that the answer waits for the database to say so.
const PATIENCE: Duration = Duration::from_millis(250);

/// None where the database does not answer: then nothing of it can be acted on either.
async fn is_cared_for(inner: &Inner, advice: &Advice, since: &str) -> Option<bool> {
    let job = advice.action.as_ref().and_then(Action::as_job);
    let (Some(database), Some(job)) = (&inner.database, job) else {
        // A pool's figures: the part is looked at again.
        return Some(true);
    };
    match tokio::time::timeout(PATIENCE, database.is_cared_for(job, since)).await {
        Ok(Ok(is_cared_for)) => Some(is_cared_for),
        Ok(Err(DatabaseError::Unreachable)) | Err(_) => None,
        Ok(Err(_)) => Some(false),
    }
}
