//! `GET /audit`.

use std::io;
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, stream};
use http::{StatusCode, header};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::operation::Operation;
use super::{App, page};
use crate::Inner;
use crate::audit::{Chain, Entry, Filter, Found};
use crate::security::problem::{self, Problem};

pub(super) fn operations() -> Vec<Operation> {
    let entry = json!({"seq": 1, "at": "2026-11-28T12:00:00Z", "kind": "@begun|ended|abandoned", "action": 1, "who": "ann",
        "role": "@operator|reader|system", "name": "POST /cache/clear", "path": "/cache/clear", "dry_run": false,
        "asked?": "{\"all\":true}", "status?": 200, "took_us?": 1500, "outcome~": "finished after 10.0 s: 52000 good answers, 0 errors",
        "prev": "00", "hash": "9f"});
    vec![
        Operation::get(
            "/audit",
            "Who did what, the newest first; and whether anybody has changed it since.",
            audit,
        )
        .query("who", "ann", "Only what they did.")
        .query("name", "POST /cache/clear", "Only this action.")
        .query("since", "2026-11-28T00:00:00Z", "Only from then on (RFC 3339).")
        .query("until", "2026-11-29T00:00:00Z", "Only before then (RFC 3339).")
        .query("cursor", "41", "`next_cursor` of the page before.")
        .query("limit", "100", "1 to 1,000; where it is left out 100, and as CSV all that there are.")
        .query("format", "@json|csv", "How it is written.")
        .gives(json!({"entries": [entry], "next_cursor?": "41", "chain": {"is_intact": true, "first_broken_seq?": 3,
            "head": "9f", "entries": 2, "kept_in": "@memory|file|database", "dropped_total": 0, "failed_writes_total": 0,
            "detail": "all 2 entries are as they were written"}}))
        .gives_as(200, "text/csv; charset=utf-8", json!("seq,at,kind,...")),
    ]
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    who: Option<String>,
    name: Option<String>,
    since: Option<String>,
    until: Option<String>,
    cursor: Option<String>,
    limit: Option<String>,
    format: Option<String>,
}

#[derive(Debug, Serialize)]
struct Page {
    entries: Vec<Entry>,
    next_cursor: Option<String>,
    chain: Chain,
}

/// A time of the query.
pub(super) fn time(name: &str, text: Option<&str>) -> Result<Option<jiff::Timestamp>, Problem> {
    let parsed = |text: &str| {
        text.parse().map_err(|_| {
            let detail =
                format!("`{name}` is no time as RFC 3339 has it, such as 2026-11-28T12:00:00Z");
            Problem::bad_request(detail)
        })
    };
    text.map(parsed).transpose()
}

async fn audit(
    State(inner): App,
    problem::Query(asked): problem::Query<Asked>,
) -> Result<Response, Problem> {
    let filter = Filter {
        since: time("since", asked.since.as_deref())?,
        until: time("until", asked.until.as_deref())?,
        who: asked.who,
        name: asked.name,
    };
    let cursor = page::cursor(asked.cursor.as_deref())?;
    let limit = page::limit(asked.limit.as_deref())?;
    match asked.format.as_deref() {
        Some("csv") => {
            let is_whole = asked.limit.is_none();
            Ok(csv(&inner, cursor, (!is_whole).then_some(limit), filter))
        }
        None | Some("json") => {
            let found = search(&inner, cursor, limit, &filter).await;
            let audit = Arc::clone(&inner.audit);
            let chain = tokio::task::spawn_blocking(move || audit.verify()).await;
            let mut chain = chain.map_err(|_| {
                let detail =
                    "the audit could not be looked through, by a fault that the app's log tells of";
                Problem::new(StatusCode::INTERNAL_SERVER_ERROR, detail)
            })?;
            inner.keep.look_through(&inner, &mut chain).await;
            // What could not be looked at now is the next page's.
            let Found {
                entries, is_more, ..
            } = found.unwrap_or_else(|(found, _)| found);
            let last = entries.last().filter(|_| is_more);
            let next_cursor = last.map(|last| last.fact.seq.to_string());
            let page = Page {
                entries,
                next_cursor,
                chain,
            };
            Ok(Json(page).into_response())
        }
        Some(_) => Err(Problem::bad_request("`format` is `json` or `csv`")),
    }
}

/// Entries of the memory, and then of what is kept beyond it. An error has what was found before it, of which there may be more.
async fn search(
    inner: &Inner,
    before: Option<u64>,
    limit: usize,
    filter: &Filter,
) -> Result<Found, (Found, String)> {
    let mut found = inner.audit.page(before, limit, filter);
    if found.is_more {
        return Ok(found);
    }
    let left = limit - found.entries.len();
    // All that is in the memory has been looked through.
    let before = found.looked_to.into_iter().chain(before).min();
    let in_file = inner.audit.page_of_file(before, left, filter).await;
    let beyond = match in_file.map_err(|error| error.to_string()) {
        Ok(None) => {
            let kept = inner.keep.audit(inner, before, left, filter).await;
            kept.map_err(|error| error.to_string())
        }
        in_file => in_file,
    };
    match beyond {
        Ok(None) => Ok(found),
        Ok(Some(beyond)) => {
            found.is_more = beyond.is_more;
            found.entries.extend(beyond.entries);
            Ok(found)
        }
        Err(error) => {
            found.is_more = true;
            Err((found, error))
        }
    }
}

const HEAD: &str =
    "seq,at,kind,action,who,role,name,path,dry_run,asked,status,took_us,outcome,prev,hash\r\n";
/// Rows that are written at once.
const ROWS: usize = 1_000;

/// RFC 4180, every cell quoted: `limit` entries, or all that there are, written as they are read.
fn csv(inner: &Arc<Inner>, cursor: Option<u64>, limit: Option<usize>, filter: Filter) -> Response {
    let state = (Arc::clone(inner), filter, cursor, limit, true);
    let rows = stream::try_unfold(state, |(inner, filter, cursor, left, is_on)| async move {
        let count = left.unwrap_or(ROWS).min(ROWS);
        if !is_on || count == 0 {
            return Ok(None);
        }
        let found = search(&inner, cursor, count, &filter).await;
        // A file that ends in its middle says so by not ending well.
        let found = found.map_err(|(_, error)| io::Error::other(error))?;
        let left = left.map(|left| left - found.entries.len().min(left));
        let next = found.entries.last().map(|last| last.fact.seq);
        let is_on = found.is_more && next.is_some();
        let text: String = found.entries.iter().map(row).collect();
        Ok::<_, io::Error>(Some((text, (inner, filter, next, left, is_on))))
    });
    let text = stream::once(async { Ok(HEAD.to_owned()) }).chain(rows);
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8"),
        (
            header::CONTENT_DISPOSITION,
            "attachment; filename=\"audit.csv\"",
        ),
    ];
    (headers, Body::from_stream(text)).into_response()
}

fn row(Entry { fact, prev, hash }: &Entry) -> String {
    let number = |number: Option<u64>| number.map(|number| number.to_string()).unwrap_or_default();
    let cells = [
        fact.seq.to_string(),
        fact.at.clone(),
        fact.kind.clone(),
        fact.action.to_string(),
        fact.who.clone(),
        fact.role.clone(),
        fact.name.clone(),
        fact.path.clone(),
        fact.dry_run.to_string(),
        fact.asked.clone().unwrap_or_default(),
        number(fact.status.map(u64::from)),
        number(fact.took_us),
        fact.outcome.clone().unwrap_or_default(),
        prev.clone(),
        hash.clone(),
    ];
    let cells: Vec<_> = cells.iter().map(|cell| quoted(cell)).collect();
    cells.join(",") + "\r\n"
}

/// A spreadsheet takes a cell that begins with one of these for a formula: an apostrophe makes it text (CWE-1236).
fn quoted(cell: &str) -> String {
    let formula = cell.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let mark = if formula { "'" } else { "" };
    format!("\"{mark}{}\"", cell.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn a13_a_cell_is_never_a_formula() {
        for formula in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1"] {
            assert_eq!(quoted(formula), format!("\"'{formula}\""));
        }
        assert_eq!(quoted("a \"b\", c"), "\"a \"\"b\"\", c\"");
    }
}
