//! What the three kinds of process have in common: signals, waiting, starting, transactions.

use std::ffi::CString;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};

use pgrx::pg_sys::panic::CaughtError;
use pgrx::prelude::*;

use crate::compat;

/// Set by SIGHUP: the configuration file is to be read again.
static RELOAD: AtomicBool = AtomicBool::new(false);

unsafe extern "C-unwind" {
    // The raw server functions: `pg_sys::die` and its like are guarded wrappers, not signal handlers.
    fn die(signal: i32);
    fn StatementCancelHandler(signal: i32);
}

unsafe extern "C-unwind" fn on_reload(_signal: i32) {
    RELOAD.store(true, Ordering::Relaxed);
    // SAFETY: SetLatch is made for signal handlers.
    unsafe {
        let latch = pg_sys::MyLatch;
        if !latch.is_null() {
            set_latch_raw(latch);
        }
    }
}

unsafe fn set_latch_raw(latch: *mut pg_sys::Latch) {
    unsafe extern "C-unwind" {
        fn SetLatch(latch: *mut pg_sys::Latch);
    }
    // SAFETY: the caller's latch is this process's own.
    unsafe { SetLatch(latch) };
}

/// Installs the handlers. SIGTERM is the server's own `die`, so that a running VACUUM stops at its next interrupt
/// check; a handler that only sets a flag would let it run on.
pub(crate) fn signals() {
    // SAFETY: called at the start of a background worker, before signals are unblocked.
    unsafe {
        compat::signal(libc::SIGTERM, die);
        compat::signal(libc::SIGINT, StatementCancelHandler);
        compat::signal(libc::SIGHUP, on_reload);
        pg_sys::BackgroundWorkerUnblockSignals();
    }
}

/// Reads the configuration file again if it was asked for.
pub(crate) fn reload_if_asked() {
    if RELOAD.swap(false, Ordering::Relaxed) {
        // SAFETY: between transactions, in a background worker.
        unsafe { pg_sys::ProcessConfigFile(pg_sys::GucContext::PGC_SIGHUP) };
    }
}

/// Waits for this process's latch, at most `milliseconds`; ends the process when it was told to.
pub(crate) fn wait(milliseconds: i64) {
    let events = pg_sys::WL_LATCH_SET | pg_sys::WL_TIMEOUT | pg_sys::WL_EXIT_ON_PM_DEATH;
    // SAFETY: MyLatch is set in every process that runs this.
    unsafe {
        pg_sys::WaitLatch(
            pg_sys::MyLatch,
            events as i32,
            milliseconds as _,
            pg_sys::PG_WAIT_EXTENSION,
        );
        pg_sys::ResetLatch(pg_sys::MyLatch);
    }
    pgrx::check_for_interrupts!();
}

/// Runs `work` in a transaction of its own. An error leaves through the process's top level and ends the process.
pub(crate) fn transaction<R>(activity: &std::ffi::CStr, work: impl FnOnce() -> R) -> R {
    // SAFETY: called at top level of a connected background worker, outside any transaction.
    unsafe {
        pg_sys::SetCurrentStatementStartTimestamp();
        pg_sys::StartTransactionCommand();
        pg_sys::PushActiveSnapshot(pg_sys::GetTransactionSnapshot());
        pg_sys::pgstat_report_activity(pg_sys::BackendState::STATE_RUNNING, activity.as_ptr());
    }
    let result = work();
    // SAFETY: as above; SPI inside has been finished.
    unsafe {
        pg_sys::PopActiveSnapshot();
        pg_sys::CommitTransactionCommand();
        pg_sys::pgstat_report_activity(pg_sys::BackendState::STATE_IDLE, std::ptr::null());
    }
    result
}

/// Runs `work` in a transaction of its own that others can be in the way of; `None` where they were. See [`attempt`].
pub(crate) fn bounded<R>(activity: &std::ffi::CStr, work: impl FnOnce() -> R) -> Option<R> {
    let what = activity.to_str().unwrap_or_default();
    let what = what.strip_prefix("pitcrew: ").unwrap_or(what);
    transaction(activity, || attempt(what, work))
}

/// Runs a part of a transaction that others can be in the way of: a lock is waited for a second at most. Where that, or anything else,
/// fails, nothing of it is done, the server's log says so, and the transaction goes on.
pub(crate) fn attempt<R>(what: &str, work: impl FnOnce() -> R) -> Option<R> {
    // SAFETY: inside a transaction of this process; what is saved is put back as the server's own PL/pgSQL does it.
    unsafe {
        let context = pg_sys::CurrentMemoryContext;
        let owner = pg_sys::CurrentResourceOwner;
        pg_sys::BeginInternalSubTransaction(std::ptr::null());
        pg_sys::MemoryContextSwitchTo(context);
        pg_sys::set_config_option(
            c"lock_timeout".as_ptr(),
            c"1s".as_ptr(),
            pg_sys::GucContext::PGC_USERSET,
            pg_sys::GucSource::PGC_S_SESSION,
            pg_sys::GucAction::GUC_ACTION_LOCAL,
            true,
            0,
            false,
        );
        let result = PgTryBuilder::new(AssertUnwindSafe(|| Ok(work())))
            .catch_others(|error| Err(Box::new(error)))
            .execute();
        match result {
            Ok(done) => {
                pg_sys::ReleaseCurrentSubTransaction();
                pg_sys::MemoryContextSwitchTo(context);
                pg_sys::CurrentResourceOwner = owner;
                Some(done)
            }
            Err(error) => {
                pg_sys::MemoryContextSwitchTo(context);
                pg_sys::RollbackAndReleaseCurrentSubTransaction();
                pg_sys::MemoryContextSwitchTo(context);
                pg_sys::CurrentResourceOwner = owner;
                match &*error {
                    CaughtError::PostgresError(report) | CaughtError::ErrorReport(report)
                        if report.sql_error_code() != PgSqlErrorCode::ERRCODE_ADMIN_SHUTDOWN =>
                    {
                        pgrx::log!("pitcrew: {what} is left for later: {}", report.message());
                        None
                    }
                    _ => error.rethrow(),
                }
            }
        }
    }
}

/// A dynamic worker that this process started.
pub(crate) struct Started(*mut pg_sys::BackgroundWorkerHandle);

impl Started {
    /// Whether the postmaster knows that it ended, or that it never came up.
    pub(crate) fn has_stopped(&self) -> bool {
        let mut pid: pg_sys::pid_t = 0;
        // SAFETY: the handle came from RegisterDynamicBackgroundWorker and lives in TopMemoryContext.
        let status = unsafe { pg_sys::GetBackgroundWorkerPid(self.0, &mut pid) };
        status == pg_sys::BgwHandleStatus::BGWH_STOPPED
            || status == pg_sys::BgwHandleStatus::BGWH_POSTMASTER_DIED
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        // SAFETY: palloc'd by RegisterDynamicBackgroundWorker in TopMemoryContext and freed once.
        unsafe { pg_sys::pfree(self.0.cast()) };
    }
}

fn fill(target: &mut [std::ffi::c_char], text: &str) {
    for (to, from) in target.iter_mut().zip(text.bytes()) {
        *to = from as std::ffi::c_char;
    }
}

/// Describes a worker whose entry point is `function`.
pub(crate) fn worker(name: &str, function: &str, argument: u64) -> pg_sys::BackgroundWorker {
    let mut worker = pg_sys::BackgroundWorker::default();
    let longest = worker.bgw_name.len() - 1;
    fill(&mut worker.bgw_name[..longest], name);
    fill(
        &mut worker.bgw_type[..longest],
        name.split(':').next().unwrap_or(name),
    );
    let longest = worker.bgw_library_name.len() - 1;
    fill(&mut worker.bgw_library_name[..longest], "pg_pitcrew");
    let longest = worker.bgw_function_name.len() - 1;
    fill(&mut worker.bgw_function_name[..longest], function);
    worker.bgw_flags =
        (pg_sys::BGWORKER_SHMEM_ACCESS | pg_sys::BGWORKER_BACKEND_DATABASE_CONNECTION) as i32;
    worker.bgw_start_time = pg_sys::BgWorkerStartTime::BgWorkerStart_RecoveryFinished;
    worker.bgw_restart_time = pg_sys::BGW_NEVER_RESTART;
    worker.bgw_main_arg = pg_sys::Datum::from(argument);
    worker
}

/// Starts it; `None` when `max_worker_processes` leaves no room.
pub(crate) fn start(mut worker: pg_sys::BackgroundWorker) -> Option<Started> {
    let mut handle = std::ptr::null_mut();
    // SAFETY: the handle is allocated in the current context, which has to outlive transactions.
    let started = unsafe {
        worker.bgw_notify_pid = pg_sys::MyProcPid;
        let before = pg_sys::MemoryContextSwitchTo(pg_sys::TopMemoryContext);
        let started = pg_sys::RegisterDynamicBackgroundWorker(&mut worker, &mut handle);
        pg_sys::MemoryContextSwitchTo(before);
        started
    };
    // Not `then_some`: where there is no handle, none may be dropped.
    started.then(|| Started(handle))
}

/// Sends a signal to a process of this server.
pub(crate) fn signal(pid: i32, number: i32) {
    if pid > 0 {
        // SAFETY: kill has no memory effects; callers hold the board's lock, under which a pid is of a process that
        // has not run its exit callback yet.
        unsafe { libc::kill(pid, number) };
    }
}

/// Sets a setting of this process, above what the role or database say.
pub(crate) fn set(name: &std::ffi::CStr, value: &str) {
    let Ok(value) = CString::new(value) else {
        return;
    };
    // SAFETY: both strings outlive the call.
    unsafe {
        pg_sys::SetConfigOption(
            name.as_ptr(),
            value.as_ptr(),
            pg_sys::GucContext::PGC_SUSET,
            pg_sys::GucSource::PGC_S_SESSION,
        );
    }
}
