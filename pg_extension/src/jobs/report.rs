//! What a job's worker has to say at its end, caught where the server itself says it.

use std::ffi::CStr;

use pgrx::prelude::*;

use super::board::{Outcome, Report};

/// Written by a hook, so a static; the process has one thread.
static mut REPORT: Option<Report> = None;
static mut PREVIOUS_LOG_HOOK: pg_sys::emit_log_hook_type = None;

/// Hears the first error from now on.
pub(super) fn listen() {
    // SAFETY: start of a background worker: its statics are its own.
    unsafe {
        PREVIOUS_LOG_HOOK = pg_sys::emit_log_hook;
        pg_sys::emit_log_hook = Some(on_log);
    }
}

/// Replaces the report.
pub(super) fn set(report: Report) {
    // SAFETY: the process's own static.
    unsafe { REPORT = Some(report) };
}

/// The report so far.
pub(super) fn get() -> Report {
    // SAFETY: the process's own static.
    unsafe { { REPORT }.unwrap_or_default() }
}

/// Copies what the first error says. Runs inside error reporting: no allocation, nothing that can fail.
#[pg_guard]
unsafe extern "C-unwind" fn on_log(error: *mut pg_sys::ErrorData) {
    // SAFETY: the server passes a valid error; the statics are this process's own.
    unsafe {
        if (*error).elevel >= PgLogLevel::ERROR as i32 && { REPORT }.is_none() {
            let mut report = Report {
                outcome: Outcome::Failed,
                ..Report::default()
            };
            let mut code = [0_u8; 5];
            let mut packed = (*error).sqlerrcode as u32;
            for byte in &mut code {
                // PGUNSIXBIT of utils/elog.h.
                *byte = (packed & 0x3f) as u8 + b'0';
                packed >>= 6;
            }
            report
                .sqlstate
                .set(std::str::from_utf8(&code).unwrap_or("XX000"));
            if !(*error).message.is_null() {
                report
                    .message
                    .set_bytes(CStr::from_ptr((*error).message).to_bytes());
            }
            if !(*error).hint.is_null() {
                report
                    .hint
                    .set_bytes(CStr::from_ptr((*error).hint).to_bytes());
            }
            REPORT = Some(report);
        }
        if let Some(previous) = PREVIOUS_LOG_HOOK {
            pg_sys::ffi::pg_guard_ffi_boundary(|| previous(error));
        }
    }
}
