//! One tick in one database. The process comes for it and is gone after it, so it stands in nobody's way.
//!
//! It connects as the bootstrap superuser, for nobody else's name is known before, and works as the extension's owner in a
//! security-restricted operation, as ANALYZE works as a table's owner: an owner who lost his rights lends none to what he
//! put on his tables. Nothing in it commits half-way.

use std::panic::AssertUnwindSafe;

use pgrx::pg_sys::panic::CaughtError;
use pgrx::prelude::*;

use super::board::{BOARD, LastError, Outcome, Stage};
use super::keep::{self, Tidy};
use super::tick;
use crate::failure::{Failure, or_raise};
use crate::jobs::command::Command;
use crate::jobs::{execute, leave, ledger, process};
use crate::whatif::guarded::caught;
use crate::{advice, guc, owner};

/// The database of this process once it has its place. The exit callback reads it.
static mut DATABASE: pg_sys::Oid = pg_sys::InvalidOid;

/// Entry point of a tick's worker; the argument is the database's OID.
#[pg_guard]
#[unsafe(no_mangle)]
pub extern "C-unwind" fn pitcrew_history_main(argument: pg_sys::Datum) {
    let database = pg_sys::Oid::from(argument.value() as u32);
    // SAFETY: start of a background worker, signals are still blocked.
    unsafe { pg_sys::before_shmem_exit(Some(on_exit), pg_sys::Datum::from(0)) };
    process::signals();
    if !claim(database) {
        return;
    }
    // SAFETY: no role means the bootstrap superuser; datallowconn is respected.
    unsafe { pg_sys::BackgroundWorkerInitializeConnectionByOid(database, pg_sys::InvalidOid, 0) };
    for (name, value) in SETTINGS {
        process::set(name, value);
    }
    let run = AssertUnwindSafe(|| take(database));
    PgTryBuilder::new(run)
        .catch_others(|error| {
            note(database, &error);
            error.rethrow()
        })
        .execute();
}

/// What role and database say must not change a tick; its own statements are no workload.
const SETTINGS: [(&std::ffi::CStr, &str); 9] = [
    (c"search_path", "pg_catalog, pg_temp"),
    (c"default_transaction_read_only", "off"),
    (c"default_transaction_isolation", "read committed"),
    (c"compute_query_id", "off"),
    (c"synchronous_commit", "off"),
    (c"lock_timeout", "1s"),
    (c"jit", "off"),
    (c"max_parallel_workers_per_gather", "0"),
    (c"stats_fetch_consistency", "cache"),
];

fn take(database: pg_sys::Oid) {
    if !process::transaction(c"pitcrew: checking the extension", ledger::is_installed) {
        let mut board = BOARD.exclusive();
        board.outcome = Outcome::NoExtension;
        board.advance(database, Stage::Begun, Stage::Failed, 0);
        return;
    }
    let (tally, seen) = BOARD.exclusive().seen(database);
    let id = process::transaction(c"pitcrew: taking a tick", || {
        as_owner(|| tick::take(tally, &seen))
    });
    BOARD.exclusive().written(tally, &seen);
    let tidy = process::transaction(c"pitcrew: forgetting old ticks", || {
        as_owner(|| keep::keep(guc::HISTORY_MAX_SIZE_MB.get()))
    });
    // The bound is one of files, whatever autovacuum does.
    let command = match tidy {
        Tidy::Nothing => None,
        Tidy::Vacuum => Some("VACUUM"),
        Tidy::Shrink => Some("VACUUM (FULL)"),
    };
    for table in ["samples", "ticks", "events", "objects"] {
        if let Some(command) = command {
            execute::run(&Command::new(format!("{command} pitcrew.history_{table}")));
        }
    }
    process::transaction(c"pitcrew: looking at what became of advice", || {
        or_raise(advice::refresh())
    });
    let mut board = BOARD.exclusive();
    board.outcome = Outcome::Done;
    board.advance(database, Stage::Begun, Stage::Done, id);
}

/// Runs `work` as the extension's owner. An error ends the process, and with it the identity.
fn as_owner<R>(work: impl FnOnce() -> R) -> R {
    let Some(owner) = tick::owner() else {
        Failure::new(
            PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            "a table of pitcrew's history has a trigger, a rule or another owner than the extension",
        )
        .hint("Remove it: nothing of a user's may run when the sampler writes.")
        .raise()
    };
    owner::as_owner(owner, work)
}

/// Takes the one place. `false` when it is taken, or when the database has to be left alone.
fn claim(database: pg_sys::Oid) -> bool {
    let mut board = BOARD.exclusive();
    if board.worker.1 != 0 {
        return false;
    }
    // SAFETY: set in every process of the server; the static is this process's own.
    unsafe {
        board.worker = (database, pg_sys::MyProcPid);
        DATABASE = database;
    }
    board.advance(database, Stage::Asked, Stage::Begun, 0);
    drop(board);
    // Whoever empties the database notes it first and then looks who is inside.
    !leave::is_evicted(database)
}

/// Gives the place back, in whatever way the process ends.
#[pg_guard]
unsafe extern "C-unwind" fn on_exit(_code: i32, _argument: pg_sys::Datum) {
    // SAFETY: this process's own static.
    let database = unsafe { DATABASE };
    if database == pg_sys::InvalidOid {
        return;
    }
    let mut board = BOARD.exclusive();
    board.worker = (pg_sys::InvalidOid, 0);
    board.advance(database, Stage::Begun, Stage::Failed, 0);
    board.wake_sampler();
}

fn note(database: pg_sys::Oid, error: &CaughtError) {
    let caught = caught(error);
    let mut last = LastError {
        database,
        // SAFETY: reads the clock.
        at: unsafe { pg_sys::GetCurrentTimestamp() },
        ..LastError::default()
    };
    last.sqlstate.set(&caught.sqlstate);
    last.message.set(&caught.message);
    BOARD.exclusive().failed(last);
}
