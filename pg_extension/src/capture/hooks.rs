//! The executor's hooks: an execution is registered when it began, and looked at when it ends.
//!
//! They run in everybody's backend, so nothing in them can raise an error: no catalogue is asked, no lock waited for, nothing
//! detoasted. A panic is a bug; it is caught and counted. The hook before ours and the server's own function are called without
//! pgrx's guard: an error in them jumps over our frame, which owns nothing, and reaches the client as it was raised (the guard
//! would raise it anew without the names of its constraint and column).

use std::panic::AssertUnwindSafe;

use pg_pitcrew_capture::hash_without_literals;
use pgrx::prelude::*;

use super::open::{Open, registry};
use super::settings::{self, Mode};
use super::{buffers, keep, memory};
use crate::compat;

/// `INSTRUMENT_ALL`: time, buffers and WAL.
const ALL: std::ffi::c_int = i32::MAX;

static mut PREVIOUS_START: pg_sys::ExecutorStart_hook_type = None;
static mut PREVIOUS_END: pg_sys::ExecutorEnd_hook_type = None;

unsafe extern "C-unwind" {
    fn standard_ExecutorStart(description: *mut pg_sys::QueryDesc, flags: std::ffi::c_int);
    fn standard_ExecutorEnd(description: *mut pg_sys::QueryDesc);
    fn GetCurrentSubTransactionId() -> pg_sys::SubTransactionId;
    fn GetCurrentStatementStartTimestamp() -> pg_sys::TimestampTz;
    fn GetUserId() -> pg_sys::Oid;
    fn InstrAlloc(
        count: std::ffi::c_int,
        options: std::ffi::c_int,
        is_async: bool,
    ) -> *mut pg_sys::Instrumentation;
}

/// Sets the hooks, in front of whoever did so earlier.
pub(super) fn preload() {
    // SAFETY: called once, in _PG_init, on the only thread.
    unsafe {
        PREVIOUS_START = pg_sys::ExecutorStart_hook;
        pg_sys::ExecutorStart_hook = Some(on_start);
        PREVIOUS_END = pg_sys::ExecutorEnd_hook;
        pg_sys::ExecutorEnd_hook = Some(on_end);
    }
}

/// Whether executions are looked at in this session now.
pub(super) fn is_on() -> bool {
    // SAFETY: the setting's own variable, on the only thread.
    unsafe { *settings::CAPTURE.as_ptr() != Mode::Off as i32 }
}

/// Runs a hook's own work. It must not call anything that raises an error.
pub(super) fn watched(work: impl FnOnce()) {
    if std::panic::catch_unwind(AssertUnwindSafe(work)).is_err() {
        memory::note(|counters| &counters.panics);
    }
}

unsafe extern "C-unwind" fn on_start(description: *mut pg_sys::QueryDesc, flags: std::ffi::c_int) {
    // SAFETY: the arguments are passed on as they came.
    unsafe {
        if !is_on() {
            return start(description, flags);
        }
        start(description, flags);
        watched(|| begin(description, flags));
    }
}

#[inline(always)]
unsafe fn start(description: *mut pg_sys::QueryDesc, flags: std::ffi::c_int) {
    // SAFETY: as above.
    unsafe {
        match PREVIOUS_START {
            Some(previous) => previous(description, flags),
            None => standard_ExecutorStart(description, flags),
        }
    }
}

unsafe extern "C-unwind" fn on_end(description: *mut pg_sys::QueryDesc) {
    // SAFETY: as above. What was begun while the setting was on is taken out also when it is off by now.
    unsafe {
        if !registry().is_empty() {
            watched(|| end(description));
        }
        match PREVIOUS_END {
            Some(previous) => previous(description),
            None => standard_ExecutorEnd(description),
        }
    }
}

unsafe fn begin(description: *mut pg_sys::QueryDesc, flags: std::ffi::c_int) {
    // SAFETY: the server passes an execution that has just begun.
    unsafe {
        let is_explain = flags & pg_sys::EXEC_FLAG_EXPLAIN_ONLY as i32 != 0;
        // Workers of a parallel plan are part of their leader's execution; background workers are nobody's statements.
        let is_client = pg_sys::MyBackendType == pg_sys::BackendType::B_BACKEND;
        let plan = (*description).plannedstmt;
        if is_explain || !is_client {
            return;
        }
        let top = is_top(description);
        let mut query = compat::query_id(plan);
        // Cursors have none before 16, and with compute_query_id = off nothing has.
        let is_nameless = query == 0;
        if is_nameless && !top {
            return;
        }
        if (*description).totaltime.is_null() {
            instrument(description);
        }
        if is_nameless {
            query = hash_without_literals(buffers::text_of(description));
        }
        let open = Open {
            description,
            query,
            is_nameless,
            subtransaction: GetCurrentSubTransactionId(),
            top,
            portal: pg_sys::ActivePortal,
            search_path: pg_sys::namespace_search_path,
            started_at: GetCurrentStatementStartTimestamp(),
            user: GetUserId(),
            ..Open::BEGUN
        };
        if !registry().add(open) {
            memory::note(|counters| &counters.dropped_deep);
        }
    }
}

/// Has the server measure the execution, as pg_stat_statements does: whoever comes later finds all that he needs.
unsafe fn instrument(description: *mut pg_sys::QueryDesc) {
    // SAFETY: the execution's own memory, which lives as long as it does.
    unsafe {
        let before = pg_sys::CurrentMemoryContext;
        pg_sys::CurrentMemoryContext = (*(*description).estate).es_query_cxt;
        (*description).totaltime = InstrAlloc(1, ALL, false);
        pg_sys::CurrentMemoryContext = before;
    }
}

/// Whether the text is the one that the client sent, so that it means outside what it means here.
unsafe fn is_top(description: *mut pg_sys::QueryDesc) -> bool {
    // SAFETY: a started execution has a receiver; both texts end with a NUL.
    unsafe {
        let receiver = (*(*description).dest).mydest;
        let is_inside = receiver == pg_sys::CommandDest::DestSPI
            || receiver == pg_sys::CommandDest::DestSQLFunction;
        let parameters = (*description).params;
        let is_fetched = !parameters.is_null() && (*parameters).paramFetch.is_some();
        let (text, sent) = ((*description).sourceText, pg_sys::debug_query_string);
        !is_inside
            && !is_fetched
            && !text.is_null()
            && !sent.is_null()
            && (text == sent || libc::strcmp(text, sent) == 0)
    }
}

unsafe fn end(description: *mut pg_sys::QueryDesc) {
    // SAFETY: the server passes an execution that has not ended.
    unsafe {
        let Some(open) = registry().take(description) else {
            return;
        };
        keep::ended(open, description);
        if let Some(buffer) = open.buffer {
            buffer.give_back();
        }
    }
}
