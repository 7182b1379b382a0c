//! One job's process: connects as the submitter, runs one command at top level, reports into its slot, ends.
//!
//! An error is not caught: it ends the process, as it would end a session, and nothing of it can reach another job.
//! What it said is copied by the process's own `emit_log_hook` and put into the slot by its exit callback.

use pgrx::prelude::*;

use super::board::{BOARD, MAX_SLOTS, Outcome, Phase, Report, Slot, SlotState};
use super::command::{self, Command};
use super::plan::{self, Built, Step};
use super::spec::Spec;
use super::{disk, execute, process, report};
use crate::failure::{Failure, or_raise, read_one, read_text};
use crate::{compat, guc};

/// Longest wait for the coordinator to write down which indexes the job touches.
const NOTED_MS: i64 = 5_000;

/// This process's slot. Read by hooks, so a static; the process has one thread.
static mut SLOT: usize = usize::MAX;
static mut PREVIOUS_ACCESS_HOOK: pg_sys::object_access_hook_type = None;

/// Packs a slot's number and nonce into the worker's argument.
pub(super) fn argument(slot: usize, nonce: u32) -> u64 {
    (u64::from(nonce) << 32) | slot as u64
}

/// Name shown while a worker runs a job.
pub(super) fn name(job: i64) -> String {
    format!("pitcrew job: {job}")
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
        report::listen();
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
    match slot.phase {
        Phase::Run => job(number, &slot),
        Phase::Cleanup => clean_up(&slot),
    }
    report::set(Report {
        outcome: Outcome::Done,
        ..Report::default()
    });
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
    // SAFETY: all are this process's own.
    unsafe {
        slot.pid = pg_sys::MyProcPid;
        slot.latch = pg_sys::MyLatch as usize;
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

/// Runs the steps of a job, each built again from kind, OID and options and checked as this role.
fn job(number: usize, slot: &Slot) {
    let target = (slot.target != pg_sys::InvalidOid).then_some(slot.target);
    let steps = process::transaction(c"pitcrew: checking the job", || {
        let options = serde_json::from_str(slot.options.as_str());
        let options =
            or_raise(options.map_err(|error| {
                Failure::argument(format!("the options cannot be read: {error}"))
            }));
        let spec = or_raise(Spec::parse(slot.kind.as_str(), &options));
        // The rights first: nothing is told about a table that the role may not touch.
        if !matches!(spec, Spec::Many(_)) {
            or_raise(command::build(&spec, target, slot.role));
        }
        let before = measure(slot.target, pg_sys::InvalidOid);
        or_raise(disk::has_room(&spec, target));
        BOARD.exclusive().slots[number].before.set(&before);
        or_raise(plan::steps(&spec, target))
    });
    let mut built = Built::default();
    for (place, step) in steps.iter().enumerate() {
        run_step(number, slot, step, (place + 1, steps.len()), &mut built);
    }
    process::transaction(c"pitcrew: checking the result", || {
        let index = BOARD.share().slots[number].index;
        let after = measure(slot.target, index);
        BOARD.exclusive().slots[number].after.set(&after);
    });
}

fn run_step(
    number: usize,
    slot: &Slot,
    step: &Step,
    (place, count): (usize, usize),
    built: &mut Built,
) {
    let command = process::transaction(c"pitcrew: checking the job", || {
        or_raise(step.command(built, slot.role))
    });
    let Some(command) = command else { return };
    if slot.kind.as_str() != "create_index" && command.text.starts_with("REINDEX") {
        process::transaction(c"pitcrew: looking at the indexes", || {
            or_raise(touch_existing(number, &command));
        });
    }
    {
        let mut board = BOARD.exclusive();
        let slot = &mut board.slots[number];
        slot.command.set(&command.text);
        slot.step = place as u16;
        slot.steps = count as u16;
    }
    wait_until_noted();
    execute::run(&command);
    let Some(table) = command.builds_on else {
        return;
    };
    let index = {
        let board = BOARD.share();
        board.slots[number].touched().last().copied()
    };
    let Some(index) = index else { return };
    built.made(table, index);
    process::transaction(c"pitcrew: checking the result", || verify(index, table));
}

/// Drops what a failed job left.
fn clean_up(slot: &Slot) {
    for &index in slot.touched() {
        let command = process::transaction(c"pitcrew: looking for left-overs", || {
            command::drop_leftover(index, slot.table, slot.kind.as_str())
        });
        if let Some(command) = command {
            execute::run(&command);
        }
    }
}

fn measure(target: pg_sys::Oid, index: pg_sys::Oid) -> String {
    let query = include_str!("../../sql/queries/measure_job.sql");
    read_text("the measures", query, &[target.into(), index.into()]).unwrap_or_default()
}

/// A reindex names the old index `_ccold` before it drops it: which indexes there were has to be known before.
fn touch_existing(number: usize, command: &Command) -> Result<(), Failure> {
    let query = include_str!("../../sql/queries/indexes_of.sql");
    let target = command.held.unwrap_or(pg_sys::InvalidOid);
    let indexes: Vec<pg_sys::Oid> =
        read_one("pg_index", query, &[target.into()]).unwrap_or_default();
    let mut board = BOARD.exclusive();
    let slot = &mut board.slots[number];
    // The steps before this one are done: what they touched is no left-over.
    slot.touched_length = 0;
    slot.touched_noted = 0;
    // Each is built once more, so half of the room is theirs.
    if indexes.len() > slot.touched.len() / 2 || !indexes.iter().all(|&index| slot.touch(index)) {
        return Err(Failure::new(
            PgSqlErrorCode::ERRCODE_PROGRAM_LIMIT_EXCEEDED,
            format!("a job rebuilds {} indexes at most", slot.touched.len() / 2),
        )
        .hint("Queue a job for each index, or for each partition."));
    }
    Ok(())
}

/// A name in the command could have come to mean another table between the look-up and the lock.
fn verify(index: pg_sys::Oid, wanted: pg_sys::Oid) {
    // SAFETY: a catalogue look-up that answers 0 for an index that is gone.
    let table = unsafe { pg_sys::IndexGetRelation(index, true) };
    if table != pg_sys::InvalidOid && table != wanted {
        Failure::new(
            PgSqlErrorCode::ERRCODE_OBJECT_IN_USE,
            "the table was renamed while the job started; the index was built on another one",
        )
        .raise();
    }
}

/// Goes on when the coordinator has written down which indexes this job touches, so that a clean-up after a crash
/// knows them. Bounded: without a coordinator the job goes on all the same.
fn wait_until_noted() {
    let mut waited = 0;
    while waited < NOTED_MS {
        {
            let mut board = BOARD.exclusive();
            // SAFETY: this process's own static, set by claim().
            let slot = &board.slots[unsafe { SLOT }];
            let database = slot.database;
            if slot.touched_noted >= slot.touched_length || !board.poke(database) {
                return;
            }
        }
        process::wait(STEP_MS);
        waited += STEP_MS;
    }
}

/// The coordinator wakes this process; this is only a safety net.
const STEP_MS: i64 = 50;

/// Notes the indexes that the job creates, so that exactly these can be cleaned up. They are on disk only after the
/// transaction that this waits in.
#[pg_guard]
unsafe extern "C-unwind" fn on_object_access(
    access: pg_sys::ObjectAccessType::Type,
    class: pg_sys::Oid,
    object: pg_sys::Oid,
    column: i32,
    argument: *mut std::ffi::c_void,
) {
    // SAFETY: the statics are this process's own; the lock is held for assignments alone.
    unsafe {
        let is_new_relation = access == pg_sys::ObjectAccessType::OAT_POST_CREATE
            && class == pg_sys::RelationRelationId
            && column == 0;
        if is_new_relation && SLOT < MAX_SLOTS {
            note_new(object);
        }
        if let Some(previous) = PREVIOUS_ACCESS_HOOK {
            pg_sys::ffi::pg_guard_ffi_boundary(|| {
                previous(access, class, object, column, argument)
            });
        }
    }
}

fn note_new(object: pg_sys::Oid) {
    let is_noted = {
        let mut board = BOARD.exclusive();
        // SAFETY: this process's own static, set by claim().
        let slot = &mut board.slots[unsafe { SLOT }];
        let makes_indexes = matches!(
            slot.kind.as_str(),
            "create_index" | "reindex" | "rebuild_bloated_indexes" | "repair_invalid_indexes"
        );
        if slot.phase == Phase::Run && makes_indexes {
            if slot.kind.as_str() == "create_index" && slot.index == pg_sys::InvalidOid {
                slot.index = object;
            }
            slot.touch(object)
        } else {
            true
        }
    };
    if !is_noted {
        Failure::new(
            PgSqlErrorCode::ERRCODE_PROGRAM_LIMIT_EXCEEDED,
            "the job makes more indexes than can be cleaned up",
        )
        .raise();
    }
    wait_until_noted();
}

/// Last act: the outcome goes into the slot. Runs after the transaction was aborted and its locks were released.
#[pg_guard]
unsafe extern "C-unwind" fn on_exit(_code: i32, _argument: pg_sys::Datum) {
    // SAFETY: the statics are this process's own.
    unsafe {
        if SLOT >= MAX_SLOTS {
            return;
        }
        let report = report::get();
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
