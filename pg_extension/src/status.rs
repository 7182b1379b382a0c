//! `pitcrew.status()`: what works here, and which line is missing for the rest.

use pgrx::prelude::*;

use crate::failure::read_one;
use crate::{PRELOAD_LINE, is_preloaded};

/// One row a condition.
#[pg_extern(sql = r#"
CREATE FUNCTION pitcrew.status() RETURNS TABLE (name text, ok boolean, detail text)
    LANGUAGE c STRICT VOLATILE SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'status_wrapper';
COMMENT ON FUNCTION pitcrew.status() IS 'What works in this database, and what to change for the rest.';
"#)]
fn status() -> TableIterator<'static, (name!(name, String), name!(ok, bool), name!(detail, String))>
{
    let mut rows = Vec::new();
    let mut row = |name: &str, ok: bool, yes: &str, no: String| {
        rows.push((name.to_owned(), ok, if ok { yes.to_owned() } else { no }));
    };
    row(
        "preloaded",
        is_preloaded(),
        "the library is preloaded: jobs run",
        format!(
            "jobs need the line {PRELOAD_LINE} in postgresql.conf and a restart; suggestions and statistics work without"
        ),
    );
    let installed: Option<String> = read_one(
        "pg_extension",
        "SELECT (SELECT extnamespace::regnamespace::text FROM pg_extension WHERE extname = 'pg_stat_statements')",
        &[],
    );
    let collects: Option<bool> = read_one(
        "the settings",
        "SELECT current_setting('pg_stat_statements.max', true) IS NOT NULL",
        &[],
    );
    row(
        "pg_stat_statements",
        installed.is_some() && collects == Some(true),
        "pg_stat_statements is installed and preloaded: it is the workload",
        if collects == Some(true) {
            "run CREATE EXTENSION pg_stat_statements in this database".to_owned()
        } else {
            format!(
                "pg_stat_statements needs the line {PRELOAD_LINE} in postgresql.conf and a restart, then CREATE EXTENSION pg_stat_statements"
            )
        },
    );
    let counts: Option<bool> = read_one(
        "the settings",
        "SELECT current_setting('track_counts')::boolean",
        &[],
    );
    row(
        "track_counts",
        counts == Some(true),
        "table statistics are collected",
        "set track_counts = on: without it pitcrew.table_stats shows nothing and autovacuum does not run".to_owned(),
    );
    // SAFETY: a plain read of shared state.
    let is_replica = unsafe { pg_sys::RecoveryInProgress() };
    row(
        "primary",
        !is_replica,
        "this server is a primary: jobs can be queued here",
        "this server is a replica: queue jobs on its primary".to_owned(),
    );
    TableIterator::new(rows)
}
