//! One job's process: connects as the submitter, runs one command at top level, reports into its slot, ends.
//!
//! An error is not caught: it ends the process, as it would end a session, and nothing of it can reach another job.
//! What it said is copied by the process's own `emit_log_hook` and put into the slot by its exit callback.

use std::ffi::CStr;

use pgrx::prelude::*;

use super::board::{BOARD, MAX_SLOTS, Outcome, Phase, Report, Slot, SlotState};
use super::command::{self, Command};
use super::process;
use super::spec::Spec;
use crate::failure::{Failure, or_raise};
use crate::{compat, guc, lists};

/// This process's slot and what it has to say. Written by hooks, so a static; the process has one thread.
static mut SLOT: usize = usize::MAX;
static mut REPORT: Option<Report> = None;
static mut PREVIOUS_LOG_HOOK: pg_sys::emit_log_hook_type = None;
static mut PREVIOUS_ACCESS_HOOK: pg_sys::object_access_hook_type = None;

unsafe extern "C-unwind" {
    // Not among pgrx's bindings. `STATEMENT_TIMEOUT` is 3 in `utils/timeout.h` of 15 to 18.
    fn enable_timeout_after(id: i32, milliseconds: i32);
    fn disable_timeout(id: i32, keep_indicator: bool);
}
const STATEMENT_TIMEOUT: i32 = 3;

/// Packs a slot's number and nonce into the worker's argument.
pub(super) fn argument(slot: usize, nonce: u32) -> u64 {
    (u64::from(nonce) << 32) | slot as u64
}

/// Entry point of a job's worker.
#[pg_guard]
#[unsafe(no_mangle)]
pub extern "C-unwind" fn pitcrew_worker_main(argument: pg_sys::Datum) {
    let packed = argument.value() as u64;
    let (number, nonce) = ((packed & 0xffff_ffff) as usize, (packed >> 32) as u32);
    // SAFETY: start of a background worker: its statics are its own, signals are still blocked.
    unsafe {
        pg_sys::before_shmem_exit(Some(on_exit), pg_sys::Datum::from(0));
        PREVIOUS_LOG_HOOK = pg_sys::emit_log_hook;
        pg_sys::emit_log_hook = Some(on_log);
        PREVIOUS_ACCESS_HOOK = pg_sys::object_access_hook;
        pg_sys::object_access_hook = Some(on_object_access);
    }
    process::signals();
    let Some(slot) = claim(number, nonce) else {
        return;
    };
    // SAFETY: the roles and databases are checked by the server; never BGWORKER_BYPASS_ALLOWCONN.
    unsafe {
        pg_sys::BackgroundWorkerInitializeConnectionByOid(
            slot.database,
            slot.role,
            compat::connect_flags(),
        );
    }
    settings();
    if let Some(command) = process::transaction(c"pitcrew: checking the job", || prepare(&slot)) {
        if slot.phase == Phase::Run {
            BOARD.exclusive().slots[number].command.set(&command.text);
        }
        run(&command);
    }
    if slot.phase == Phase::Run {
        process::transaction(c"pitcrew: checking the result", || verify(number));
    }
    // SAFETY: the process's own static.
    unsafe {
        REPORT = Some(Report {
            outcome: Outcome::Done,
            ..Report::default()
        })
    };
}

/// Takes the slot, unless this worker came too late for it.
fn claim(number: usize, nonce: u32) -> Option<Slot> {
    if number >= MAX_SLOTS {
        return None;
    }
    let mut board = BOARD.exclusive();
    if board.is_evicted(board.slots[number].database) {
        return None;
    }
    let slot = &mut board.slots[number];
    if slot.state != SlotState::Assigned || slot.nonce != nonce {
        return None;
    }
    slot.state = SlotState::Running;
    // SAFETY: both are this process's own.
    unsafe {
        slot.pid = pg_sys::MyProcPid;
        SLOT = number;
    }
    Some(*slot)
}

/// Settings of a job, above those of its role and database.
fn settings() {
    process::set(c"search_path", "pg_catalog, pg_temp");
    process::set(c"default_transaction_read_only", "off");
    process::set(c"transaction_read_only", "off");
    process::set(c"default_transaction_isolation", "read committed");
    process::set(c"lock_timeout", &guc::JOB_LOCK_TIMEOUT_MS.get().to_string());
    // Without these the error would reach neither the log nor our hook.
    process::set(c"log_min_messages", "warning");
    process::set(c"log_min_error_statement", "error");
    process::set(c"client_min_messages", "error");
}

/// Builds the command again from kind, OID and options, checked as this role. `None`: nothing is left to do.
fn prepare(slot: &Slot) -> Option<Command> {
    let target = (slot.target != pg_sys::InvalidOid).then_some(slot.target);
    match slot.phase {
        Phase::Run => {
            let options =
                serde_json::from_str(slot.options.as_str()).unwrap_or(serde_json::Value::Null);
            let spec = or_raise(Spec::parse(slot.kind.as_str(), &options));
            Some(or_raise(command::build(&spec, target, slot.role)))
        }
        Phase::Cleanup => or_raise(command::drop_leftover(slot.index, slot.target)),
    }
}

/// A name in the command could have come to mean another table between the look-up and the lock.
fn verify(number: usize) {
    let slot = BOARD.share().slots[number];
    if slot.index == pg_sys::InvalidOid {
        return;
    }
    // SAFETY: a catalogue look-up that answers 0 for an index that is gone.
    let table = unsafe { pg_sys::IndexGetRelation(slot.index, true) };
    if table != pg_sys::InvalidOid && table != slot.target {
        Failure::new(
            PgSqlErrorCode::ERRCODE_OBJECT_IN_USE,
            "the table was renamed while the job started; the index was built on another one",
        )
        .raise();
    }
}

/// Runs one statement at top level, as a session would: commands that commit inside work.
fn run(command: &Command) {
    let text = or_raise(crate::names::c_string(&command.text));
    // SAFETY: top level of a connected background worker, outside any transaction.
    unsafe {
        pg_sys::SetCurrentStatementStartTimestamp();
        pg_sys::debug_query_string = text.as_ptr();
        pg_sys::pgstat_report_activity(pg_sys::BackendState::STATE_RUNNING, text.as_ptr());
        pg_sys::StartTransactionCommand();

        // The trees outlive the transactions that the command commits inside.
        let context = pg_sys::AllocSetContextCreateInternal(
            pg_sys::TopMemoryContext,
            c"pitcrew job".as_ptr(),
            pg_sys::ALLOCSET_DEFAULT_MINSIZE as usize,
            pg_sys::ALLOCSET_DEFAULT_INITSIZE as usize,
            pg_sys::ALLOCSET_DEFAULT_MAXSIZE as usize,
        );
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
                report.message.set(
                    CStr::from_ptr((*error).message)
                        .to_str()
                        .unwrap_or("(message is not UTF-8)"),
                );
            }
            REPORT = Some(report);
        }
        if let Some(previous) = PREVIOUS_LOG_HOOK {
            pg_sys::ffi::pg_guard_ffi_boundary(|| previous(error));
        }
    }
}

/// Notes the index that the job creates, so that exactly this one can be cleaned up.
#[pg_guard]
unsafe extern "C-unwind" fn on_object_access(
    access: pg_sys::ObjectAccessType::Type,
    class: pg_sys::Oid,
    object: pg_sys::Oid,
    column: i32,
    argument: *mut std::ffi::c_void,
) {
    // SAFETY: the statics are this process's own; the lock is held for two assignments.
    unsafe {
        let is_new_relation = access == pg_sys::ObjectAccessType::OAT_POST_CREATE
            && class == pg_sys::RelationRelationId
            && column == 0;
        if is_new_relation && SLOT < MAX_SLOTS {
            let mut board = BOARD.exclusive();
            let slot = &mut board.slots[SLOT];
            if slot.phase == Phase::Run && slot.kind.as_str() == "create_index" {
                slot.index = object;
            }
            let database = slot.database;
            board.poke(database);
        }
        if let Some(previous) = PREVIOUS_ACCESS_HOOK {
            pg_sys::ffi::pg_guard_ffi_boundary(|| {
                previous(access, class, object, column, argument)
            });
        }
    }
}

/// Last act: the outcome goes into the slot. Runs after the transaction was aborted and its locks were released.
#[pg_guard]
unsafe extern "C-unwind" fn on_exit(_code: i32, _argument: pg_sys::Datum) {
    // SAFETY: the statics are this process's own.
    unsafe {
        if SLOT >= MAX_SLOTS {
            return;
        }
        let report = { REPORT }.unwrap_or_default();
        let mut board = BOARD.exclusive();
        let slot = &mut board.slots[SLOT];
        slot.report = report;
        slot.state = SlotState::Finished;
        slot.pid = 0;
        let database = slot.database;
        if !board.poke(database) {
            drop(board);
            super::wake::want(database);
        }
        SLOT = usize::MAX;
    }
}

/// Name shown while a worker runs a job.
pub(super) fn name(job: i64) -> String {
    format!("pitcrew job: {job}")
}
