//! `GET /memory/usage`, `POST /memory/gc`.

use axum::Json;
use axum::extract::State;
use pitcrew::MemoryHandle;
use pitcrew::memory::{MemorySnapshot, ReleaseReport};
use serde::{Deserialize, Serialize};

use super::{Answer, App};
use crate::Inner;
use crate::security::problem::{self, Problem};

fn handle(inner: &Inner) -> Result<&MemoryHandle, Problem> {
    inner
        .memory
        .as_ref()
        .ok_or_else(|| Problem::not_configured("memory handle", "memory"))
}

pub(super) async fn usage(State(inner): App) -> Answer<MemorySnapshot> {
    handle(&inner).map(|memory| Json(memory.snapshot()))
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
