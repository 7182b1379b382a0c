//! The database: indexes that are suggested, tables that want care, pools that are short.

use serde_json::json;

use super::{Action, Advice, Found, Severity};
use crate::Inner;
use crate::database::{NamedPool, Suggestion, TableStats};

/// A table with fewer dead rows is never worth a job.
const ENOUGH_DEAD_ROWS: i64 = 1_000;
/// Autovacuum's own default begins at 20 % (`autovacuum_vacuum_scale_factor`); past that it is behind.
const DEAD_PERCENT: f64 = 25.0;

pub(super) async fn advice(inner: &Inner) -> Found {
    let Some(database) = &inner.database else {
        return Found::Nothing("no database".to_owned());
    };
    let suggestions = match database.suggestions().await {
        Ok(found) => found,
        Err(error) => return Found::Failed(error.to_string()),
    };
    let tables = match database.tables().await {
        Ok(found) => found,
        Err(error) => return Found::Failed(error.to_string()),
    };
    let detail = format!(
        "{} tables, {} index suggestions",
        tables.len(),
        suggestions.len()
    );
    let mut advice: Vec<_> = suggestions.iter().map(index).collect();
    advice.extend(tables.iter().filter_map(table));
    advice.extend(pools(inner));
    Found::Advice(detail, advice)
}

pub(super) fn pools(inner: &Inner) -> impl Iterator<Item = Advice> {
    let reports = inner.pools.iter().map(NamedPool::report);
    reports.filter(NamedPool::is_short).map(|pool| Advice {
        id: format!("pool:{}", pool.name),
        part: "database",
        severity: Severity::Warn,
        title: format!("the pool `{}` is short", pool.name),
        detail: pool.advice,
        action: None,
        estimated_bytes: None,
    })
}

fn index(suggestion: &Suggestion) -> Advice {
    let stored = match suggestion.included.as_slice() {
        [] => String::new(),
        included => format!(" with {}", included.join(", ")),
    };
    let mut detail = suggestion.detail.clone();
    if suggestion.job.is_none() {
        detail.push_str(&format!(" No job builds it: run {}", suggestion.ddl));
    }
    Advice {
        id: format!("index:{}", suggestion.id),
        part: "database",
        severity: if suggestion.gain_percent >= 50.0 {
            Severity::Critical
        } else {
            Severity::Warn
        },
        title: format!(
            "an index on {} ({}){stored}",
            suggestion.table_name,
            suggestion.columns.join(", ")
        ),
        detail,
        action: suggestion.job.clone().map(Action::of),
        estimated_bytes: u64::try_from(suggestion.estimated_size_bytes).ok(),
    }
}

fn table(table: &TableStats) -> Option<Advice> {
    let name = format!(
        "{}.{}",
        quoted(&table.schema_name),
        quoted(&table.table_name)
    );
    let dead_percent = table.dead_percent.unwrap_or(0.0);
    let never_analyzed = table.last_analyze.is_none() && table.last_autoanalyze.is_none();
    let (kind, why) = if table.dead_rows >= ENOUGH_DEAD_ROWS && dead_percent > DEAD_PERCENT {
        (
            "vacuum",
            format!(
                "{dead_percent:.0} % of its rows are dead ({} rows)",
                table.dead_rows
            ),
        )
    } else if never_analyzed && table.live_rows >= ENOUGH_DEAD_ROWS {
        (
            "analyze",
            format!(
                "it was never analyzed, and has {} rows: the planner guesses",
                table.live_rows
            ),
        )
    } else {
        return None;
    };
    Some(Advice {
        id: format!("{kind}:{name}"),
        part: "database",
        severity: Severity::Warn,
        title: format!("{kind} {name}"),
        detail: why,
        action: Some(Action::job(kind, name, json!({}))),
        estimated_bytes: None,
    })
}

/// A name as it has to be written in SQL; quoting one that needs none does no harm.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
