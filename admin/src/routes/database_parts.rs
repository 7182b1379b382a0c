//! `GET /database/queries`, `/indexes`, `/tables`, `/pools`; what an operator may do with an advised index and with a pool.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::database::{Submitted, handle, submit_job};
use super::operation::Operation;
use super::{Answer, App};
use crate::database::{
    Built, JobRequest, NamedPool, PoolReport, ResizeError, Suggestion, TableStats,
};
use crate::section::Section;
use crate::security::problem::{self, Problem};

pub(super) fn operations() -> Vec<Operation> {
    let pool = json!({"name": "app", "max_connections": 16, "connections": 4, "idle": 3, "direct": 90, "waited": 10,
        "timed_out": 0, "wait_ms": 50.5, "waited_percent": 10.5, "advice": "...", "is_resizable": true});
    let submitted = |dry_run| {
        json!({"job?": 7, "command?": "CREATE INDEX CONCURRENTLY ...", "dry_run": dry_run, "kind": "create_index",
            "target?": "public.orders"})
    };
    vec![
        Operation::get("/database/queries", "The statements that took the most time.", queries)
            .tagged()
            .gives(json!({"queries": [{}]})),
        Operation::get("/database/indexes", "Indexes that are advised, and what the checks say of those that there are.", indexes)
            .tagged()
            .gives(json!({"suggestions": null, "findings": null})),
        Operation::get(
            "/database/indexes/built",
            "The last indexes that jobs have built: how often they are used, and how long the statements that name their table took \
             in the day before and take since.",
            built,
        )
        .tagged()
        .gives(json!({"built": [{"job": 7, "index_name?": "by_customer", "table_name?": "public.orders",
            "built_at": "2026-11-28T12:00:00Z", "is_there": true, "bytes?": 8192, "scans?": 52,
            "times?": {"before_ms?": 12.5, "since_ms?": 0.5}}]})),
        Operation::post("/database/indexes/{id}/apply", "Submits the job that builds an advised index; `dry_run` says its command.", apply)
            .takes(json!({"dry_run~": true}))
            .gives(submitted(true))
            .gives_as(202, "application/json", submitted(false)),
        Operation::get("/database/tables", "The largest tables: sizes, rows, dead rows, scans.", tables)
            .tagged()
            .gives(json!({"tables": [{"schema_name": "public", "table_name": "orders", "total_bytes": 8192, "live_rows": 10,
                "dead_rows": 1, "dead_percent?": 9.5}]})),
        Operation::get("/database/pools", "The app's own pools, and how many connections the database has use for.", pools)
            .gives(json!({"pools": [pool], "advice": null})),
        Operation::post("/database/pools/{name}/resize", "Gives a pool another size, with no request lost.", resize)
            .takes(json!({"max_connections": 16, "dry_run~": true}))
            .gives(json!({"dry_run": true, "name": "app", "max_connections_before": 8, "max_connections": 16}))
            .refuses(409, "It is no pool that can be resized."),
    ]
}

#[derive(Debug, Serialize)]
struct Queries {
    queries: Vec<Value>,
}

async fn queries(State(inner): App) -> Answer<Queries> {
    let queries = handle(&inner)?.slow_queries().await?;
    Ok(Json(Queries { queries }))
}

#[derive(Debug, Serialize)]
struct Indexes {
    suggestions: Section<Vec<Suggestion>>,
    findings: Section<Vec<Value>>,
}

async fn indexes(State(inner): App) -> Answer<Indexes> {
    let database = handle(&inner)?;
    database.probe().await?;
    let findings = database.findings().await.map(|findings| {
        let of_indexes = |finding: &Value| {
            finding["check"]
                .as_str()
                .is_some_and(|check| check.contains("index"))
        };
        findings.into_iter().filter(of_indexes).collect()
    });
    Ok(Json(Indexes {
        suggestions: database.suggestions().await.into(),
        findings: findings.into(),
    }))
}

#[derive(Debug, Serialize)]
struct BuiltIndexes {
    built: Vec<Built>,
}

async fn built(State(inner): App) -> Answer<BuiltIndexes> {
    let built = handle(&inner)?.built().await?;
    Ok(Json(BuiltIndexes { built }))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Apply {
    #[serde(default)]
    dry_run: bool,
}

async fn apply(
    State(inner): App,
    problem::Path(id): problem::Path,
    problem::Json(Apply { dry_run }): problem::Json<Apply>,
) -> Result<Response, Problem> {
    let database = handle(&inner)?;
    let suggestions = database.suggestions().await?;
    let suggestion = suggestions
        .into_iter()
        .find(|suggestion| suggestion.id == id);
    let suggestion = suggestion.ok_or_else(|| {
        Problem::not_found("there is no such suggestion now: GET /database/indexes lists them")
    })?;
    let Some(job) = suggestion.job else {
        let detail = format!("no job builds this index: run {}", suggestion.ddl);
        return Err(Problem::new(StatusCode::CONFLICT, detail));
    };
    let request = JobRequest { dry_run, ..job };
    let submitted: Submitted = submit_job(database, request, "../../jobs").await?;
    let Some(job) = submitted.job else {
        return Ok(Json(submitted).into_response());
    };
    let there = [(header::LOCATION, format!("../../jobs/{job}"))];
    Ok((StatusCode::ACCEPTED, there, Json(submitted)).into_response())
}

#[derive(Debug, Serialize)]
struct Tables {
    tables: Vec<TableStats>,
}

async fn tables(State(inner): App) -> Answer<Tables> {
    let tables = handle(&inner)?.tables().await?;
    Ok(Json(Tables { tables }))
}

#[derive(Debug, Serialize)]
struct Pools {
    pools: Vec<PoolReport>,
    /// What the database's own counters say since the router began to look.
    advice: Section<Value>,
}

async fn pools(State(inner): App) -> Answer<Pools> {
    let advice = match &inner.database {
        None => Section::missing("no database: add `.database(..)` to the builder"),
        Some(database) => match database.pool_advice().await {
            Ok(Some(advice)) => Section::Ready(advice),
            Ok(None) => {
                Section::missing("the first look at the sessions is less than a minute old")
            }
            Err(error) => Section::missing(error.to_string()),
        },
    };
    Ok(Json(Pools {
        pools: inner.pools.iter().map(NamedPool::report).collect(),
        advice,
    }))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Resize {
    max_connections: u32,
    #[serde(default)]
    dry_run: bool,
}

#[derive(Debug, Serialize)]
struct Resized {
    dry_run: bool,
    name: String,
    max_connections_before: u32,
    max_connections: u32,
}

async fn resize(
    State(inner): App,
    problem::Path(name): problem::Path,
    problem::Json(asked): problem::Json<Resize>,
) -> Answer<Resized> {
    let pool = inner.pools.iter().find(|pool| pool.name == name);
    let pool = pool.ok_or_else(|| {
        Problem::not_found("there is no such pool: GET /database/pools lists them")
    })?;
    let Some(resize) = &pool.resize else {
        let detail = "this pool cannot be resized: give it to the builder as `.swap_pool(..)`";
        return Err(Problem::new(StatusCode::CONFLICT, detail));
    };
    let resized = Resized {
        dry_run: asked.dry_run,
        max_connections_before: (pool.gauges)().max_connections,
        max_connections: asked.max_connections,
        name,
    };
    if asked.dry_run {
        ResizeError::check(asked.max_connections)
    } else {
        resize(asked.max_connections).await
    }
    .map_err(|error| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, error.to_string()))?;
    Ok(Json(resized))
}
