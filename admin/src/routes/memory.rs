//! `GET /memory/usage`, `GET /memory/trend`, `GET /memory/leak`, `POST /memory/gc`, `POST /memory/heap-profile`.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use pitcrew::MemoryHandle;
use pitcrew::memory::{LeakReport, MemorySnapshot, MemoryTrend, ReleaseReport};
use serde::{Deserialize, Serialize};

use super::operation::Operation;
use super::{Answer, App};
use crate::Inner;
use crate::security::problem::{self, Problem};
use serde_json::json;

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::get("/memory/usage", "The process, the machine, the allocator, the guard, and allocations by route.", usage)
            .tagged()
            .gives(json!({"process": {"rss_bytes?": 52_428_800, "cpu_percent?": 3.5}, "system": {}, "cgroup?": {},
                "allocator": {}, "routes": [{}], "leak": {}, "guard?": {}, "last_release?": {}})),
        Operation::get("/memory/trend", "Seconds, minutes and hours of the resident set.", trend)
            .tagged()
            .gives(json!({"seconds": [{}]})),
        Operation::get("/memory/leak", "The leak verdict, its numbers and suspects.", leak)
            .gives(json!({"state": "@unknown|steady|growing|leaking", "detail": "114 minutes more are needed"})),
        Operation::post("/memory/gc", "Returns free pages from the allocator to the system.", release)
            .takes(json!({"dry_run~": true}))
            .gives(json!({"dry_run": true, "report?": {"detail": "..."}})),
        Operation::post("/memory/heap-profile", "What holds the heap, in pprof's format.", heap_profile)
            .takes(json!({}))
            .gives_as(200, "application/octet-stream", json!("(gzip)"))
            .refuses(404, "This build has no heap profiler."),
    ]
}

fn handle(inner: &Inner) -> Result<&MemoryHandle, Problem> {
    inner
        .memory
        .as_ref()
        .ok_or_else(|| Problem::not_configured("memory handle", "memory"))
}

pub(super) async fn usage(State(inner): App) -> Answer<MemorySnapshot> {
    handle(&inner).map(|memory| Json(memory.snapshot()))
}

pub(super) async fn trend(State(inner): App) -> Answer<MemoryTrend> {
    handle(&inner).map(|memory| Json(memory.trend()))
}

pub(super) async fn leak(State(inner): App) -> Answer<LeakReport> {
    handle(&inner).map(|memory| Json(memory.leak()))
}

/// What holds the heap, in pprof's format. A POST, so that a reader may not have it: it tells addresses and names of code.
pub(super) async fn heap_profile(
    State(inner): App,
    problem::Json(Nothing {}): problem::Json<Nothing>,
) -> Result<Response, Problem> {
    profile_of(handle(&inner)?).await
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

#[cfg(feature = "jemalloc-pprof")]
async fn profile_of(memory: &MemoryHandle) -> Result<Response, Problem> {
    use axum::response::IntoResponse;
    use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
    let unavailable = |error: pitcrew::memory::HeapProfileError| {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
    };
    let profile = memory.heap_profile().await.map_err(unavailable)?;
    let headers = [
        (CONTENT_TYPE, "application/octet-stream"),
        (CONTENT_DISPOSITION, "attachment; filename=\"heap.pb.gz\""),
    ];
    Ok((headers, profile).into_response())
}

#[cfg(not(feature = "jemalloc-pprof"))]
#[expect(clippy::unused_async, reason = "as with the feature")]
async fn profile_of(_: &MemoryHandle) -> Result<Response, Problem> {
    let detail = "this build has no heap profiler: enable the feature `jemalloc-pprof` of pitcrew-admin, and make jemalloc \
        the global allocator";
    Err(Problem::new(StatusCode::NOT_FOUND, detail))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Release {
    #[serde(default)]
    dry_run: bool,
}

#[derive(Debug, Serialize)]
pub(super) struct Released {
    dry_run: bool,
    report: Option<ReleaseReport>,
}

/// Rust has no garbage collector: this returns free pages from the allocator to the system.
pub(super) async fn release(
    State(inner): App,
    problem::Json(release): problem::Json<Release>,
) -> Answer<Released> {
    let memory = handle(&inner)?;
    let report = if release.dry_run {
        None
    } else {
        Some(memory.release().await)
    };
    Ok(Json(Released {
        dry_run: release.dry_run,
        report,
    }))
}
