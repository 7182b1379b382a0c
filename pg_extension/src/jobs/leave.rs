//! DROP, ALTER and CREATE DATABASE need a database to themselves: our processes leave it first.
//!
//! Without this a connected worker makes them fail after five seconds ("is being accessed by other users").

use std::sync::atomic::{AtomicBool, Ordering};

use pgrx::prelude::*;

use super::board::{BOARD, MAX_SLOTS, Slot, SlotState};
use super::{process, wake};
use crate::{compat, lists, names};

/// Longest wait for our processes to go; the server's own five seconds follow.
const LEAVE_MS: i64 = 5_000;
const STEP_MS: i64 = 10;

static mut PREVIOUS: pg_sys::ProcessUtility_hook_type = None;

/// Whether this backend keeps our processes out of a database; which one the board knows.
static EVICTING: AtomicBool = AtomicBool::new(false);

unsafe extern "C-unwind" {
    // pgrx's wrapper would raise errors anew, without their context and the names of their constraint and column.
    #[allow(clippy::too_many_arguments)]
    fn standard_ProcessUtility(
        statement: *mut pg_sys::PlannedStmt,
        query: *const std::ffi::c_char,
        read_only: bool,
        context: pg_sys::ProcessUtilityContext::Type,
        parameters: pg_sys::ParamListInfo,
        environment: *mut pg_sys::QueryEnvironment,
        receiver: *mut pg_sys::DestReceiver,
        completion: *mut pg_sys::QueryCompletion,
    );
}

/// Hooks into utility commands, before whoever did so earlier.
pub(super) fn preload() {
    // SAFETY: called once, in _PG_init, on the only thread.
    unsafe {
        PREVIOUS = pg_sys::ProcessUtility_hook;
        pg_sys::ProcessUtility_hook = Some(on_utility);
        pg_sys::RegisterXactCallback(Some(on_transaction), std::ptr::null_mut());
        pg_sys::RegisterSubXactCallback(Some(on_subtransaction), std::ptr::null_mut());
    }
}

/// Owns nothing: an error of the command jumps over this frame and reaches the client as it was raised. The eviction is then
/// lifted by the end of the transaction.
#[allow(clippy::too_many_arguments)]
unsafe extern "C-unwind" fn on_utility(
    statement: *mut pg_sys::PlannedStmt,
    query: *const std::ffi::c_char,
    read_only: bool,
    context: pg_sys::ProcessUtilityContext::Type,
    parameters: pg_sys::ParamListInfo,
    environment: *mut pg_sys::QueryEnvironment,
    receiver: *mut pg_sys::DestReceiver,
    completion: *mut pg_sys::QueryCompletion,
) {
    // SAFETY: the server passes a valid statement; the arguments are passed on as they came.
    unsafe {
        let command = (*statement).utilityStmt;
        let (tag, emptied) = ((*command).type_, empty(command));
        match PREVIOUS {
            Some(previous) => previous(
                statement,
                query,
                read_only,
                context,
                parameters,
                environment,
                receiver,
                completion,
            ),
            None => standard_ProcessUtility(
                statement,
                query,
                read_only,
                context,
                parameters,
                environment,
                receiver,
                completion,
            ),
        }
        if emptied != pg_sys::InvalidOid {
            done(emptied, tag == pg_sys::NodeTag::T_DropdbStmt);
        }
    }
}

/// Sends our processes away from the database that a command needs for itself, and answers it; else none.
#[pg_guard]
unsafe extern "C-unwind" fn empty(command: *mut pg_sys::Node) -> pg_sys::Oid {
    // SAFETY: the caller's.
    let Some(database) = (unsafe { database_to_empty(command) }) else {
        return pg_sys::InvalidOid;
    };
    // SAFETY: set in every backend.
    if !evict(database, unsafe { pg_sys::MyProcPid }) {
        return pg_sys::InvalidOid;
    }
    EVICTING.store(true, Ordering::Relaxed);
    wait_until_left(database);
    database
}

/// The command came to its end.
#[pg_guard]
unsafe extern "C-unwind" fn done(database: pg_sys::Oid, is_dropped: bool) {
    lift_mine();
    if is_dropped {
        crate::capture::forget(database);
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn on_transaction(
    event: pg_sys::XactEvent::Type,
    _argument: *mut std::ffi::c_void,
) {
    if event == pg_sys::XactEvent::XACT_EVENT_ABORT {
        lift_mine();
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn on_subtransaction(
    event: pg_sys::SubXactEvent::Type,
    _own: pg_sys::SubTransactionId,
    _parent: pg_sys::SubTransactionId,
    _argument: *mut std::ffi::c_void,
) {
    if event == pg_sys::SubXactEvent::SUBXACT_EVENT_ABORT_SUB {
        lift_mine();
    }
}

/// Lets our processes in again wherever this backend keeps them out.
fn lift_mine() {
    if !EVICTING.swap(false, Ordering::Relaxed) {
        return;
    }
    // SAFETY: set in every backend.
    let pid = unsafe { pg_sys::MyProcPid };
    let databases = {
        let board = BOARD.share();
        board.evictions.map(|entry| (entry.pid, entry.database))
    };
    for (_, database) in databases.into_iter().filter(|(of, _)| *of == pid) {
        lift(database, pid);
    }
}

/// The database that the command needs for itself, when the current role may run the command at all.
///
/// # Safety
/// `statement` is a utility statement's parse tree.
unsafe fn database_to_empty(statement: *mut pg_sys::Node) -> Option<pg_sys::Oid> {
    // SAFETY: each cast follows the node's tag.
    unsafe {
        let name = match (*statement).type_ {
            pg_sys::NodeTag::T_DropdbStmt => (*statement.cast::<pg_sys::DropdbStmt>()).dbname,
            pg_sys::NodeTag::T_AlterDatabaseStmt => {
                (*statement.cast::<pg_sys::AlterDatabaseStmt>()).dbname
            }
            pg_sys::NodeTag::T_RenameStmt => {
                let rename = statement.cast::<pg_sys::RenameStmt>();
                if (*rename).renameType != pg_sys::ObjectType::OBJECT_DATABASE {
                    return None;
                }
                (*rename).subname
            }
            pg_sys::NodeTag::T_CreatedbStmt => template_of(statement.cast())?,
            _ => return None,
        };
        if name.is_null() {
            return None;
        }
        let database = pg_sys::get_database_oid(name, true);
        let is_other = database != pg_sys::InvalidOid && database != pg_sys::MyDatabaseId;
        // Who may not run the command must not be able to send our processes away with it.
        (is_other && compat::owns_database(database, pg_sys::GetUserId())).then_some(database)
    }
}

unsafe fn template_of(create: *mut pg_sys::CreatedbStmt) -> Option<*mut std::ffi::c_char> {
    // SAFETY: the list of a parse tree holds DefElem nodes.
    unsafe {
        let options = lists::pointers::<pg_sys::DefElem>((*create).options)
            .iter()
            .copied();
        let template = options
            .into_iter()
            .find(|option| names::text((**option).defname).as_deref() == Some("template"))?;
        // DEFAULT has no argument and means template1, which we never enter.
        (!(*template).arg.is_null()).then(|| pg_sys::defGetString(template))
    }
}

/// Keeps our processes out of a database and tells those inside to go. `false` when there is no room to note it.
fn evict(database: pg_sys::Oid, pid: i32) -> bool {
    let mut board = BOARD.exclusive();
    let Some(entry) = board.evictions.iter_mut().find(|e| e.pid == 0) else {
        return false;
    };
    entry.database = database;
    entry.pid = pid;
    if let Some(coordinator) = board.coordinator(database) {
        process::signal(coordinator.pid, libc::SIGTERM);
    }
    for slot in board
        .slots
        .iter_mut()
        .filter(|slot| slot.database == database)
    {
        match slot.state {
            SlotState::Running => {
                slot.evicted = true;
                process::signal(slot.pid, libc::SIGTERM);
            }
            // Its worker will find that it came too late.
            SlotState::Assigned => {
                slot.evicted = true;
                slot.state = SlotState::Finished;
            }
            SlotState::Free | SlotState::Finished => {}
        }
    }
    drop(board);
    crate::history::leave(database);
    true
}

/// Whether our processes have to stay away from a database.
pub(crate) fn is_evicted(database: pg_sys::Oid) -> bool {
    BOARD.share().is_evicted(database)
}

fn wait_until_left(database: pg_sys::Oid) {
    let mut waited = 0;
    while waited < LEAVE_MS {
        let inside = {
            let mut board = BOARD.exclusive();
            board.coordinator(database).is_some()
                || board
                    .slots
                    .iter()
                    .any(|s| s.database == database && s.state == SlotState::Running)
        };
        if !inside && !crate::history::is_inside(database) {
            return;
        }
        process::wait(STEP_MS);
        waited += STEP_MS;
    }
}

/// Lets our processes in again. Jobs of a database that is gone are forgotten; others go on.
pub(super) fn lift(database: pg_sys::Oid, pid: i32) {
    let has_work = {
        let mut board = BOARD.exclusive();
        for entry in board
            .evictions
            .iter_mut()
            .filter(|e| e.database == database && e.pid == pid)
        {
            *entry = Default::default();
        }
        board
            .slots
            .iter()
            .any(|slot| slot.database == database && slot.state != SlotState::Free)
    };
    if has_work {
        wake::want(database);
    }
}

/// Forgets the jobs of a database without a coordinator to write them down.
pub(super) fn forget(database: pg_sys::Oid) {
    let mut board = BOARD.exclusive();
    for number in 0..MAX_SLOTS {
        let slot = &mut board.slots[number];
        if slot.database == database && slot.state == SlotState::Finished {
            *slot = Slot::default();
        }
    }
}
