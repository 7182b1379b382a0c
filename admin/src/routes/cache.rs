//! `GET /cache/stats`, `POST /cache/clear`.

use axum::Json;
use axum::extract::State;
use http::{HeaderMap, StatusCode, header};
use pitcrew::CacheHandle;
use pitcrew::cache::{CacheStats, Explanation, Purge, PurgeError, PurgeReport};
use serde::{Deserialize, Serialize};

use super::operation::Operation;
use super::{Answer, App};
use crate::Inner;
use crate::security::problem::{self, Problem};
use serde_json::json;

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::get("/cache/stats", "Figures by region, route and reason.", stats)
            .tagged()
            .gives(json!({"hits": 90, "misses": 10, "bypasses": 1, "hit_ratio": 0.9, "dropped_series": 0,
                "regions": [{}], "routes": [{}], "l1": {}, "l2?": {}, "purges": 0})),
        clearing("/cache/clear"),
        clearing("/cache/invalidate"),
        Operation::get("/cache/explain", "What the cache would do with a request, and by which rule. Nothing is looked up elsewhere.", explain)
            .query("path", "/orders/1?full=1", "Path and query, as a client asks for them; needed.")
            .query("host", "shop.example", "Its `Host`; that of this request where it is left out.")
            .query("method", "@GET|HEAD|POST|QUERY|PUT|PATCH|DELETE|OPTIONS", "GET where it is left out.")
            .query("headers", "accept: application/json", "Its further fields, a line each.")
            .gives(json!({"decision": "@miss|hit|stale|bypass", "because": "...", "region": "api", "key": "...",
                "makes_old?": "/orders/1", "stored?": {}})),
    ]
}

/// Both names of it do the same.
fn clearing(path: &'static str) -> Operation {
    Operation::post(
        path,
        "Purges what is named: exactly one of path, key, prefix, pattern, tag, region, or all.",
        clear,
    )
    .takes(json!({"path~": "/orders/1", "key~": "/orders/1?full=1", "prefix~": "/orders/", "pattern~": "/orders/*/lines",
            "tag~": "orders", "region~": "api", "all~": true, "dry_run~": true}))
        .gives(json!({"purged": "path /orders/1", "dry_run": true, "named_entries": 3, "report?": {"local": "done", "l2": "off"}}))
}

fn handle(inner: &Inner) -> Result<&CacheHandle, Problem> {
    inner
        .cache
        .as_ref()
        .ok_or_else(|| Problem::not_configured("cache handle", "cache"))
}

pub(super) async fn stats(State(inner): App) -> Answer<CacheStats> {
    handle(&inner).map(|cache| Json(cache.stats()))
}

/// What to purge: exactly one of these.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Clear {
    path: Option<String>,
    key: Option<String>,
    prefix: Option<String>,
    pattern: Option<String>,
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
    /// How many of the answers that this process held were named.
    named_entries: u64,
    report: Option<PurgeReport>,
}

pub(super) async fn clear(
    State(inner): App,
    problem::Json(clear): problem::Json<Clear>,
) -> Answer<Cleared> {
    let cache = handle(&inner)?;
    let (purge, purged) = named(&clear)?;
    let refused =
        |error: PurgeError| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, error.to_string());
    let named_entries = cache.preview_purge(&purge).map_err(refused)?;
    let report = if clear.dry_run {
        None
    } else {
        Some(cache.purge(purge).await.map_err(refused)?)
    };
    Ok(Json(Cleared {
        purged,
        dry_run: clear.dry_run,
        named_entries,
        report,
    }))
}

/// The purge that is named, and its words.
fn named(clear: &Clear) -> Result<(Purge, String), Problem> {
    let by = |what: &str, name: &Option<String>, purge: fn(String) -> Purge| {
        let name = name.clone()?;
        let text = format!("{what} {name}");
        Some((purge(name), text))
    };
    let all = clear.all.unwrap_or(false);
    let mut named = [
        by("path", &clear.path, Purge::Path),
        by("key", &clear.key, Purge::Key),
        by("prefix", &clear.prefix, Purge::Prefix),
        by("pattern", &clear.pattern, Purge::Pattern),
        by("tag", &clear.tag, Purge::Tag),
        by("region", &clear.region, Purge::Region),
        all.then(|| (Purge::All, "all".to_owned())),
    ]
    .into_iter()
    .flatten();
    let (Some(named), None) = (named.next(), named.next()) else {
        let detail = "name exactly one of `path`, `key`, `prefix`, `pattern`, `tag`, `region`, or `\"all\": true`";
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail));
    };
    Ok(named)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Explain {
    path: Option<String>,
    host: Option<String>,
    method: Option<String>,
    headers: Option<String>,
}

async fn explain(
    State(inner): App,
    headers: HeaderMap,
    problem::Query(asked): problem::Query<Explain>,
) -> Answer<Explanation> {
    let cache = handle(&inner)?;
    let path = asked.path.as_deref().filter(|path| path.starts_with('/'));
    let path = path.ok_or_else(|| {
        Problem::bad_request("`path` is needed and begins with `/`: /cache/explain?path=/orders/1")
    })?;
    let mut request = http::Request::builder()
        .method(asked.method.as_deref().unwrap_or("GET"))
        .uri(path);
    request = match &asked.host {
        Some(host) => request.header(header::HOST, host),
        None => match headers.get(header::HOST) {
            Some(host) => request.header(header::HOST, host),
            None => request,
        },
    };
    for line in asked.headers.as_deref().unwrap_or_default().lines() {
        let (name, value) = line.split_once(':').ok_or_else(|| {
            Problem::bad_request("`headers` is a line a field, `accept: application/json`")
        })?;
        request = request.header(name.trim(), value.trim());
    }
    let request = request
        .body(())
        .map_err(|error| Problem::bad_request(format!("this is no request: {error}")))?;
    Ok(Json(cache.explain(&request)))
}
