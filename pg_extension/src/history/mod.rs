//! What the statements, tables, indexes, sessions and settings of each database did over time.
//!
//! ```text
//! sampler, always there --(every pitcrew.history_interval, one database after the other)--> one worker a tick
//!   no database                                                                             connected, then gone
//!   looks at the active sessions each second --(counts in shared memory)--------------------> writes them with the tick
//! ```
//!
//! | file | role |
//! |---|---|
//! | `board` | what they share: counts of sessions, who works where, who asked for a tick |
//! | `sampler`, `sessions` | the process without a database, and its look at the sessions |
//! | `worker` | one tick in one database: identity, life and death |
//! | `tick`, `changes` | what a tick reads and writes |
//! | `keep` | merging into hours, forgetting |
//! | `ask` | `history_sample` |
//! | `functions`, `growth` | what the SQL functions of `history_functions.sql` are built on |
//!
//! Arithmetic lives in the crate `pg_pitcrew_history`.

mod ask;
mod board;
mod changes;
mod functions;
mod growth;
mod keep;
mod sampler;
mod sessions;
mod tick;
mod worker;

pub(crate) use board::{is_inside, leave};

/// Shared memory and the sampler. Called from `_PG_init` of a preloaded library.
pub(crate) fn preload() {
    board::preload();
    sampler::preload();
}

pgrx::extension_sql_file!("../../sql/history.sql", name = "history");
pgrx::extension_sql_file!(
    "../../sql/history_functions.sql",
    name = "history_functions",
    requires = [
        "history",
        functions::history_visible,
        functions::history_last_error,
        functions::history_slower,
        growth::history_growth
    ]
);
