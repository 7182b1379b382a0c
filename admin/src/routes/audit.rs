//! `GET /audit`.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::operation::Operation;
use super::{App, page};
use crate::audit::{Chain, Entry, Fact};
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
        .query("limit", "100", "1 to 1,000; 100 where it is left out.")
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
    let since = time("since", asked.since.as_deref())?;
    let until = time("until", asked.until.as_deref())?;
    let cursor = page::cursor(asked.cursor.as_deref())?;
    let limit = page::limit(asked.limit.as_deref())?;
    let is_wanted = |fact: &Fact| {
        let at = fact.at.parse::<jiff::Timestamp>().ok();
        asked.who.as_ref().is_none_or(|who| *who == fact.who)
            && asked.name.as_ref().is_none_or(|name| *name == fact.name)
            && since.is_none_or(|since| at.is_some_and(|at| at >= since))
            && until.is_none_or(|until| at.is_some_and(|at| at < until))
    };
    let (entries, is_more) = inner.audit.page(cursor, limit, is_wanted);
    match asked.format.as_deref() {
        Some("csv") => Ok(csv(&entries)),
        None | Some("json") => {
            let audit = std::sync::Arc::clone(&inner.audit);
            let chain = tokio::task::spawn_blocking(move || audit.verify()).await;
            let mut chain = chain.map_err(|_| {
                let detail =
                    "the audit could not be looked through, by a fault that the app's log tells of";
                Problem::new(StatusCode::INTERNAL_SERVER_ERROR, detail)
            })?;
            inner.keep.look_through(&inner, &mut chain).await;
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

/// RFC 4180, every cell quoted.
fn csv(entries: &[Entry]) -> Response {
    let mut text =
        "seq,at,kind,action,who,role,name,path,dry_run,asked,status,took_us,outcome,prev,hash\r\n"
            .to_owned();
    for Entry { fact, prev, hash } in entries {
        let number =
            |number: Option<u64>| number.map(|number| number.to_string()).unwrap_or_default();
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
        text.push_str(&cells.join(","));
        text.push_str("\r\n");
    }
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8"),
        (
            header::CONTENT_DISPOSITION,
            "attachment; filename=\"audit.csv\"",
        ),
    ];
    (headers, text).into_response()
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
