//! Runs something that may raise an error, in a subtransaction that is always rolled back.
//!
//! An error that is swallowed without a subtransaction was seen to commit half a statement, keep locks and leak
//! snapshots; with one it leaves nothing.

use std::panic::AssertUnwindSafe;

use pgrx::pg_sys::panic::CaughtError;
use pgrx::prelude::*;

/// An error that was caught.
#[derive(Debug, Clone)]
pub(crate) struct Caught {
    /// Its message, without DETAIL and HINT.
    pub(crate) message: String,
    /// Its SQLSTATE.
    pub(crate) sqlstate: String,
}

/// Runs `work` and undoes what it did to the session: locks (waited for half a second at most), settings made with `GUC_ACTION_LOCAL`, memory.
///
/// What `work` returns must not point into server memory. Cancels and shutdowns go on their way.
pub(crate) fn guarded<R>(work: impl FnOnce() -> R) -> Result<R, Caught> {
    // SAFETY: called from an SQL function, inside a transaction; the three saved values are put back below, as the
    // server's own PL/pgSQL does it.
    unsafe {
        let context = pg_sys::CurrentMemoryContext;
        let owner = pg_sys::CurrentResourceOwner;
        pg_sys::BeginInternalSubTransaction(std::ptr::null());
        let scratch = pg_sys::AllocSetContextCreateInternal(
            context,
            c"pitcrew guarded".as_ptr(),
            pg_sys::ALLOCSET_DEFAULT_MINSIZE as usize,
            pg_sys::ALLOCSET_DEFAULT_INITSIZE as usize,
            pg_sys::ALLOCSET_DEFAULT_MAXSIZE as usize,
        );
        pg_sys::MemoryContextSwitchTo(scratch);
        bound_waits();

        let result = PgTryBuilder::new(AssertUnwindSafe(|| Ok(work())))
            .catch_others(|error| Err(Box::new(error)))
            .catch_rust_panic(|error| Err(Box::new(error)))
            .execute();

        pg_sys::MemoryContextSwitchTo(context);
        pg_sys::RollbackAndReleaseCurrentSubTransaction();
        pg_sys::MemoryContextSwitchTo(context);
        pg_sys::CurrentResourceOwner = owner;
        pg_sys::MemoryContextDelete(scratch);
        match result {
            Ok(value) => Ok(value),
            Err(error) if is_not_ours(&error) => error.rethrow(),
            Err(error) => Err(caught(&error)),
        }
    }
}

/// Who waits for a lock keeps those that he has, and others wait behind him: half a second at most. Undone with the
/// subtransaction.
unsafe fn bound_waits() {
    const MS: i32 = 500;
    // SAFETY: the session's own setting; both strings outlive the call.
    unsafe {
        let own = pg_sys::LockTimeout;
        if (1..=MS).contains(&own) {
            return;
        }
        pg_sys::set_config_option(
            c"lock_timeout".as_ptr(),
            c"500ms".as_ptr(),
            pg_sys::GucContext::PGC_USERSET,
            pg_sys::GucSource::PGC_S_SESSION,
            pg_sys::GucAction::GUC_ACTION_LOCAL,
            true,
            0,
            false,
        );
    }
}

/// A cancel, a timeout or a shutdown is for the whole statement, not for one plan.
fn is_not_ours(error: &CaughtError) -> bool {
    let (CaughtError::PostgresError(report) | CaughtError::ErrorReport(report)) = error else {
        return false;
    };
    matches!(
        report.sql_error_code(),
        PgSqlErrorCode::ERRCODE_QUERY_CANCELED
            | PgSqlErrorCode::ERRCODE_ADMIN_SHUTDOWN
            | PgSqlErrorCode::ERRCODE_CRASH_SHUTDOWN
            | PgSqlErrorCode::ERRCODE_OUT_OF_MEMORY
            | PgSqlErrorCode::ERRCODE_DATABASE_DROPPED
    )
}

/// Its message and SQLSTATE.
pub(crate) fn caught(error: &CaughtError) -> Caught {
    let report = match error {
        CaughtError::PostgresError(report) | CaughtError::ErrorReport(report) => report,
        CaughtError::RustPanic { ereport, .. } => ereport,
    };
    // Five characters of six bits each (`MAKE_SQLSTATE`).
    let code = report.sql_error_code() as i32;
    let character = |place: i32| char::from(((code >> (6 * place)) & 0x3f) as u8 + b'0');
    let is_lock = report.sql_error_code() == PgSqlErrorCode::ERRCODE_LOCK_NOT_AVAILABLE;
    Caught {
        message: if is_lock {
            "a lock on one of its tables was not to be had within half a second: try again when nobody has it to himself".to_owned()
        } else {
            report.message().to_owned()
        },
        sqlstate: (0..5).map(character).collect(),
    }
}
