//! `GET /cache/stats`, `POST /cache/clear`.

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use pitcrew::CacheHandle;
use pitcrew::cache::{CacheStats, Purge, PurgeReport};
use serde::{Deserialize, Serialize};

use super::{Answer, App};
use crate::Inner;
use crate::security::problem::{self, Problem};

fn handle(inner: &Inner) -> Result<&CacheHandle, Problem> {
    inner
        .cache
        .as_ref()
        .ok_or_else(|| Problem::not_configured("cache handle", "cache"))
}

pub(super) async fn stats(State(inner): App) -> Answer<CacheStats> {
    handle(&inner).map(|cache| Json(cache.stats()))
}

/// What to purge: exactly one of the four.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Clear {
    path: Option<String>,
    tag: Option<String>,
    region: Option<String>,
    all: Option<bool>,
    #[serde(default)]
    dry_run: bool,
}

#[derive(Debug, Serialize)]
pub(super) struct Cleared {
    purged: String,
    dry_run: bool,
    report: Option<PurgeReport>,
}

pub(super) async fn clear(
    State(inner): App,
    problem::Json(clear): problem::Json<Clear>,
) -> Answer<Cleared> {
    let cache = handle(&inner)?;
    let all = clear.all.unwrap_or(false);
    let (purge, purged) = match (clear.path, clear.tag, clear.region, all) {
        (Some(path), None, None, false) => {
            let text = format!("path {path}");
            (Purge::Path(path), text)
        }
        (None, Some(tag), None, false) => {
            let text = format!("tag {tag}");
            (Purge::Tag(tag), text)
        }
        (None, None, Some(region), false) => {
            // A mistyped region would purge nothing and say `done`.
            let stats = cache.stats();
            if !stats.regions.iter().any(|known| known.name == region) {
                let known: Vec<_> = stats
                    .regions
                    .iter()
                    .map(|region| region.name.as_str())
                    .collect();
                let detail = format!(
                    "there is no region `{region}`; there are: {}",
                    known.join(", ")
                );
                return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail));
            }
            let text = format!("region {region}");
            (Purge::Region(region), text)
        }
        (None, None, None, true) => (Purge::All, "all".to_owned()),
        _ => {
            let detail = "name exactly one of `path`, `tag`, `region`, or `\"all\": true`";
            return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail));
        }
    };
    let report = if clear.dry_run {
        None
    } else {
        Some(cache.purge(purge).await)
    };
    Ok(Json(Cleared {
        purged,
        dry_run: clear.dry_run,
        report,
    }))
}
