//! Executions that never come to their end: an error marks those that it hits, and the end of their transaction or
//! subtransaction sweeps them up.
//!
//! | what the server does | what is done here |
//! |---|---|
//! | reports an error to client and log | what runs is marked as failed or cancelled |
//! | undoes a subtransaction | what was begun in it, and what failed in it, is swept |
//! | undoes the transaction, also when the session is terminated | all that is open is swept |
//! | commits | what is left is forgotten |
//!
//! An error that a function catches reaches no log: its statements are swept as failed with their subtransaction.

use std::ffi::c_void;

use pg_pitcrew_capture::Ended;
use pgrx::prelude::*;

use super::hooks::watched;
use super::keep;
use super::open::{Open, registry};

static mut PREVIOUS_LOG: pg_sys::emit_log_hook_type = None;

/// Sets the callbacks.
pub(super) fn preload() {
    // SAFETY: called once, in _PG_init, on the only thread; what is registered is inherited by every backend.
    unsafe {
        PREVIOUS_LOG = pg_sys::emit_log_hook;
        pg_sys::emit_log_hook = Some(on_log);
        pg_sys::RegisterXactCallback(Some(on_transaction), std::ptr::null_mut());
        pg_sys::RegisterSubXactCallback(Some(on_subtransaction), std::ptr::null_mut());
    }
}

unsafe extern "C-unwind" fn on_log(error: *mut pg_sys::ErrorData) {
    // SAFETY: the server passes what it reports; the registry is this process's own.
    unsafe {
        if (*error).elevel >= PgLogLevel::ERROR as i32 && !registry().is_empty() {
            watched(|| {
                let ended = keep::ended_by((*error).sqlerrcode);
                for open in registry().unhit() {
                    // Nothing of what runs was given back yet: that comes with the transaction's end.
                    if is_hit(open.portal) {
                        keep::hit(open, ended);
                    }
                }
            });
        }
        if let Some(previous) = PREVIOUS_LOG {
            previous(error);
        }
    }
}

fn give_back(open: &Open) {
    if let Some(buffer) = open.buffer {
        // SAFETY: on the only thread; the execution is in no list any more.
        unsafe { buffer.give_back() };
    }
}

/// Whether an error hits what runs in this portal: not so a cursor that only waits.
unsafe fn is_hit(portal: pg_sys::Portal) -> bool {
    // SAFETY: portals are small chunks of a memory context that is never emptied: what is there can be read, also in the rare
    // case that it is no portal any more.
    unsafe {
        portal.is_null()
            || matches!(
                (*portal).status,
                pg_sys::PortalStatus::PORTAL_ACTIVE | pg_sys::PortalStatus::PORTAL_FAILED
            )
    }
}

/// Whether a cursor that was opened outside of a subtransaction failed inside: it never comes to its end either.
unsafe fn is_over(open: &Open) -> bool {
    use pg_sys::PortalStatus;
    // SAFETY: as in `is_hit`.
    unsafe {
        !open.portal.is_null()
            && match (*open.portal).status {
                PortalStatus::PORTAL_ACTIVE => false,
                PortalStatus::PORTAL_FAILED => true,
                _ => (*open.portal).queryDesc != open.description,
            }
    }
}

unsafe extern "C-unwind" fn on_transaction(event: pg_sys::XactEvent::Type, _: *mut c_void) {
    // SAFETY: the registry is this process's own.
    unsafe {
        if registry().is_empty() {
            return;
        }
        match event {
            pg_sys::XactEvent::XACT_EVENT_ABORT => watched(|| {
                while let Some(open) = registry().take_where(|_| true) {
                    keep::swept(&open);
                    give_back(&open);
                }
            }),
            pg_sys::XactEvent::XACT_EVENT_COMMIT | pg_sys::XactEvent::XACT_EVENT_PREPARE => {
                watched(|| {
                    while let Some(open) = registry().take_where(|_| true) {
                        give_back(&open);
                    }
                });
            }
            _ => {}
        }
    }
}

unsafe extern "C-unwind" fn on_subtransaction(
    event: pg_sys::SubXactEvent::Type,
    own: pg_sys::SubTransactionId,
    parent: pg_sys::SubTransactionId,
    _: *mut c_void,
) {
    // SAFETY: the registry is this process's own.
    unsafe {
        if registry().is_empty() {
            return;
        }
        match event {
            pg_sys::SubXactEvent::SUBXACT_EVENT_COMMIT_SUB => {
                watched(|| registry().hand_over(own, parent));
            }
            pg_sys::SubXactEvent::SUBXACT_EVENT_ABORT_SUB => watched(|| {
                while let Some(mut open) =
                    registry().take_where(|open| open.subtransaction == own || is_over(open))
                {
                    if !open.top {
                        open.failed.get_or_insert(Ended::Failed);
                    }
                    keep::swept(&open);
                    give_back(&open);
                }
            }),
            _ => {}
        }
    }
}
