//! `pg_pitcrew`: index suggestions by what-if planning, statistic summaries and maintenance jobs, all in schema
//! `pitcrew`.
//!
//! | folder | what it does |
//! |---|---|
//! | `advice/` | what became of suggestions: proposed, applied, verified, reverted, suppressed |
//! | `capture/` | recent slow executions with their values, failed and cancelled ones too |
//! | `checks/` | what a DBA looks at every morning, run in one pass |
//! | `history/` | what statements, tables, sessions and settings did over time, sampled by a worker |
//! | `jobs/` | VACUUM, ANALYZE, REINDEX, CREATE INDEX and their like at top level, in a worker connected as the submitter |
//! | `schedule/` | jobs that come again: cron, intervals, maintenance windows |
//! | `suggest/` | which indexes to build, which could go |
//! | `workload/` | the statements that ran, from pg_stat_statements, and the columns that they look things up by |
//! | `whatif/` | plans with indexes that do not exist |
//! | `../sql/` | tables, views and privileges |
//!
//! Suggestions and statistics work without preloading; jobs need
//! `shared_preload_libraries = 'pg_stat_statements, pg_pitcrew'`.

use std::sync::atomic::{AtomicBool, Ordering};

use pgrx::prelude::*;

/// A query file over the collection `relations`, which says what autovacuum's thresholds are.
macro_rules! over_relations {
    ($query:literal) => {
        concat!(
            "WITH relations AS (",
            include_str!(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/sql/collections/relations.sql"
            )),
            ")\n",
            include_str!($query)
        )
    };
}

mod advice;
mod autovacuum;
mod capture;
mod checks;
mod compat;
mod disk;
mod document;
mod explain_with;
mod failure;
mod guc;
mod history;
mod install;
mod jobs;
mod lists;
mod names;
mod owner;
mod schedule;
mod stats;
mod status;
mod suggest;
mod text;
mod whatif;
mod workload;

::pgrx::pg_module_magic!(name, version);

/// The line that belongs into `postgresql.conf`; every hint and `pitcrew.status()` name it the same way.
pub(crate) const PRELOAD_LINE: &str = "shared_preload_libraries = 'pg_stat_statements, pg_pitcrew'";

static PRELOADED: AtomicBool = AtomicBool::new(false);

/// Whether the postmaster loaded this library, so that shared memory and workers are there.
pub(crate) fn is_preloaded() -> bool {
    PRELOADED.load(Ordering::Relaxed)
}

/// Called once by the server when it loads the library, preloaded or not.
#[pg_guard]
pub extern "C-unwind" fn _PG_init() {
    // SAFETY: reads of server globals on the server's only thread.
    let (upgrading, preloading) = unsafe {
        (
            pg_sys::IsBinaryUpgrade,
            pg_sys::process_shared_preload_libraries_in_progress,
        )
    };
    // pg_upgrade runs a server that must not change anything.
    if upgrading {
        return;
    }
    // A panic's backtrace would reach the client as DETAIL when RUST_BACKTRACE is set for the server.
    // SAFETY: the server is single-threaded.
    unsafe { std::env::set_var("RUST_LIB_BACKTRACE", "0") };

    guc::define();
    whatif::hypothetical::install();
    if preloading {
        PRELOADED.store(true, Ordering::Relaxed);
        // SAFETY: allowed in _PG_init of a preloaded library; without it query ids are 0 on a server that does not
        // run pg_stat_statements.
        unsafe { pg_sys::EnableQueryId() };
        jobs::preload();
        schedule::preload();
        history::preload();
        capture::preload();
    }
}

/// Version of the loaded library, as in `pg_pitcrew.control`.
#[pg_extern(sql = r#"
CREATE FUNCTION pitcrew.version() RETURNS text
    LANGUAGE c STRICT IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'version_wrapper';
COMMENT ON FUNCTION pitcrew.version() IS 'Version of the loaded library.';
"#)]
fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}
