//! One look at what the sessions of all databases do, from the server's shared memory: no database, no transaction.

use pgrx::prelude::*;

use super::board::{BOARD, Doing};
use crate::compat;

/// Counts the sessions that are in a statement or in a transaction, but for those of some databases.
pub(super) fn look(without: impl Fn(pg_sys::Oid) -> bool) {
    let mut all = Vec::new();
    // SAFETY: the snapshot of the backends' states is this process's own copy until it is cleared; entries are valid
    // for the numbers that the server gives.
    unsafe {
        pg_sys::pgstat_clear_backend_activity_snapshot();
        let worker = BOARD.share().worker.1;
        for number in 1..=pg_sys::pgstat_fetch_stat_numbackends() {
            let entry = compat::backend_status(number);
            if entry.is_null() {
                continue;
            }
            let status = &(*entry).backendStatus;
            let is_session = matches!(
                status.st_backendType,
                pg_sys::BackendType::B_BACKEND | pg_sys::BackendType::B_BG_WORKER
            );
            let is_busy = matches!(
                status.st_state,
                pg_sys::BackendState::STATE_RUNNING
                    | pg_sys::BackendState::STATE_FASTPATH
                    | pg_sys::BackendState::STATE_IDLEINTRANSACTION
                    | pg_sys::BackendState::STATE_IDLEINTRANSACTION_ABORTED
            );
            if !is_session
                || !is_busy
                || status.st_databaseid == pg_sys::InvalidOid
                || without(status.st_databaseid)
                || status.st_procpid == worker
            {
                continue;
            }
            let process = pg_sys::BackendPidGetProc(status.st_procpid);
            let wait = if process.is_null() {
                0
            } else {
                std::ptr::read_volatile(&raw const (*process).wait_event_info)
            };
            all.push(Doing {
                database: status.st_databaseid,
                state: status.st_state,
                wait,
                // Unsigned before 18.
                query: status.st_query_id as _,
            });
        }
    }
    BOARD.exclusive().look(&all);
}

/// How a state is called in `pg_stat_activity`.
pub(super) fn state_name(state: pg_sys::BackendState::Type) -> &'static str {
    use pg_sys::BackendState;
    match state {
        BackendState::STATE_RUNNING => "active",
        BackendState::STATE_FASTPATH => "fastpath function call",
        BackendState::STATE_IDLEINTRANSACTION_ABORTED => "idle in transaction (aborted)",
        _ => "idle in transaction",
    }
}

/// Type and name of what is waited for, empty for nothing.
pub(super) fn wait_name(wait: u32) -> (String, String) {
    if wait == 0 {
        return Default::default();
    }
    // SAFETY: both answer a static string or null, for any code.
    unsafe {
        let text = |name| crate::names::text(name).unwrap_or_default();
        (
            text(pg_sys::pgstat_get_wait_event_type(wait)),
            text(pg_sys::pgstat_get_wait_event(wait)),
        )
    }
}
