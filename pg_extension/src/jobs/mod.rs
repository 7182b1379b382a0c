//! Maintenance at top level, as the role that asked for it.
//!
//! ```text
//! submit_job --(commit)--> launcher --> coordinator of the database --> one worker a job
//!   INSERT into jobs        no database   the only writer of jobs        connected as the submitter
//! ```
//!
//! | process | connected to | leaves |
//! |---|---|---|
//! | launcher | shared catalogues only, so it blocks no DROP DATABASE | never |
//! | coordinator | one database, as the bootstrap superuser | when no job is unfinished |
//! | worker | the same database, as the submitter | after its one job |
//!
//! From arguments to a statement: `spec` reads kind and options, `plan` lists the steps, `command` builds one step's text (of an
//! index with `index_text`, of statistics with `statistics`), `execute` runs it. The coordinator's work is in `dispatch`, `watch`, `reap` and `ledger`.
//!
//! They meet in shared memory (`board`). A worker never writes a table: it reports into its slot, and the coordinator
//! writes the row. One worker a job means that no job can inherit another one's identity, whatever goes wrong in it.

pub(crate) mod board;
pub(crate) mod command;
mod coordinator;
mod disk;
mod dispatch;
mod dry_run;
pub(crate) mod execute;
mod hints;
mod index_text;
pub(crate) mod launcher;
pub(crate) mod leave;
pub(crate) mod ledger;
mod plan;
pub(crate) mod process;
mod reap;
mod report;
mod spec;
pub(crate) mod statistics;
mod submit;
mod wait;
mod wake;
mod watch;
mod worker;

/// Shared memory, the launcher and the hooks. Called from `_PG_init` of a preloaded library.
pub(crate) fn preload() {
    board::preload();
    wake::preload();
    leave::preload();
    launcher::preload();
}

pub(crate) use submit::{can_run_jobs, check_repeated};
pub(crate) use wake::after_commit;

pgrx::extension_sql_file!(
    "../../sql/jobs.sql",
    name = "jobs",
    requires = [submit::job_origin]
);
