//! `pg_pitcrew`: index suggestions by what-if planning, statistic summaries and maintenance jobs, all in schema
//! `pitcrew`.

use pgrx::prelude::*;

::pgrx::pg_module_magic!(name, version);

/// Version of the loaded library, as in `pg_pitcrew.control`.
#[pg_extern(immutable, parallel_safe)]
#[search_path(pg_catalog, pg_temp)]
fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}
