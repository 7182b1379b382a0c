//! One statement at top level of a background worker, as a session would run it.

use std::ffi::CStr;

use pgrx::prelude::*;

use super::command::Command;
use crate::failure::{Failure, or_raise};
use crate::{compat, guc, lists};

unsafe extern "C-unwind" {
    // Not among pgrx's bindings. `STATEMENT_TIMEOUT` is 3 in `utils/timeout.h` of 15 to 18.
    fn enable_timeout_after(id: i32, milliseconds: i32);
    fn disable_timeout(id: i32, keep_indicator: bool);
}
const STATEMENT_TIMEOUT: i32 = 3;

/// Runs one statement at top level, as a session would: commands that commit inside work.
pub(crate) fn run(command: &Command) {
    // SAFETY: top level of a connected background worker, outside any transaction.
    unsafe {
        pg_sys::SetCurrentStatementStartTimestamp();
        pg_sys::StartTransactionCommand();
        // The text and its trees outlive the transactions that the command commits inside, and the error that it ends with: the log quotes it
        // when everything of Rust's is gone.
        let context = pg_sys::AllocSetContextCreateInternal(
            pg_sys::TopMemoryContext,
            c"pitcrew job".as_ptr(),
            pg_sys::ALLOCSET_DEFAULT_MINSIZE as usize,
            pg_sys::ALLOCSET_DEFAULT_INITSIZE as usize,
            pg_sys::ALLOCSET_DEFAULT_MAXSIZE as usize,
        );
        // Only in a transaction is a text converted to the database's encoding.
        let text = or_raise(crate::names::c_string(&command.text));
        let text = CStr::from_ptr(pg_sys::MemoryContextStrdup(context, text.as_ptr()));
        pg_sys::debug_query_string = text.as_ptr();
        pg_sys::pgstat_report_activity(pg_sys::BackendState::STATE_RUNNING, text.as_ptr());
        let before = pg_sys::MemoryContextSwitchTo(context);
        let &[tree] = lists::pointers::<pg_sys::RawStmt>(pg_sys::pg_parse_query(text.as_ptr()))
        else {
            Failure::new(
                PgSqlErrorCode::ERRCODE_INTERNAL_ERROR,
                "a job is not one statement",
            )
            .raise()
        };
        pin(tree, command.pinned);
        let tag = pg_sys::CreateCommandTag((*tree).stmt);
        pg_sys::PushActiveSnapshot(pg_sys::GetTransactionSnapshot());
        let queries = pg_sys::pg_analyze_and_rewrite_fixedparams(
            tree,
            text.as_ptr(),
            std::ptr::null(),
            0,
            std::ptr::null_mut(),
        );
        let plans = pg_sys::pg_plan_queries(queries, text.as_ptr(), 0, std::ptr::null_mut());
        pg_sys::PopActiveSnapshot();

        let portal = pg_sys::CreatePortal(c"".as_ptr(), true, true);
        (*portal).visible = false;
        pg_sys::PortalDefineQuery(
            portal,
            std::ptr::null(),
            text.as_ptr(),
            tag,
            plans,
            std::ptr::null_mut(),
        );
        pg_sys::PortalStart(portal, std::ptr::null_mut(), 0, std::ptr::null_mut());
        let receiver = pg_sys::CreateDestReceiver(pg_sys::CommandDest::DestNone);
        pg_sys::MemoryContextSwitchTo(before);

        hold(command.held);
        // PortalRun arms no timeout by itself.
        let limit = guc::JOB_STATEMENT_TIMEOUT_MS.get();
        if limit > 0 {
            enable_timeout_after(STATEMENT_TIMEOUT, limit);
        }
        compat::portal_run(portal, receiver);
        if limit > 0 {
            disable_timeout(STATEMENT_TIMEOUT, false);
        }
        if let Some(destroy) = (*receiver).rDestroy {
            destroy(receiver);
        }
        pg_sys::PortalDrop(portal, false);
        pg_sys::CommitTransactionCommand();
        release(command.held);
        pg_sys::pgstat_report_activity(pg_sys::BackendState::STATE_IDLE, std::ptr::null());
        pg_sys::debug_query_string = std::ptr::null();
    }
}

/// Makes VACUUM and ANALYZE work on the relation that was meant, whatever its name means by now.
unsafe fn pin(tree: *mut pg_sys::RawStmt, relation: Option<pg_sys::Oid>) {
    let Some(relation) = relation else { return };
    // SAFETY: the cast follows the node's tag; the list holds VacuumRelation nodes.
    unsafe {
        if (*(*tree).stmt).type_ == pg_sys::NodeTag::T_VacuumStmt {
            let vacuum = (*tree).stmt.cast::<pg_sys::VacuumStmt>();
            if let &[only] = lists::pointers::<pg_sys::VacuumRelation>((*vacuum).rels) {
                (*only).oid = relation;
            }
        }
    }
}

fn lock_id(relation: pg_sys::Oid) -> pg_sys::LockRelId {
    pg_sys::LockRelId {
        relId: relation,
        // SAFETY: set in every connected process.
        dbId: unsafe { pg_sys::MyDatabaseId },
    }
}

/// Renaming a relation takes this lock too (ALTER INDEX RENAME) or a stronger one, so until the session lets go of it
/// the name goes on meaning the relation. Our own command is not in its way.
unsafe fn hold(relation: Option<pg_sys::Oid>) {
    if let Some(relation) = relation {
        // SAFETY: inside a transaction; an error ends the process and with it the lock.
        unsafe {
            pg_sys::LockRelationIdForSession(
                &mut lock_id(relation),
                pg_sys::ShareUpdateExclusiveLock as _,
            );
        }
    }
}

unsafe fn release(relation: Option<pg_sys::Oid>) {
    if let Some(relation) = relation {
        // SAFETY: taken by hold().
        unsafe {
            pg_sys::UnlockRelationIdForSession(
                &mut lock_id(relation),
                pg_sys::ShareUpdateExclusiveLock as _,
            );
        }
    }
}
