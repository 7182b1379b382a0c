//! What becomes of an execution that ended: counted, kept, or neither.

use std::ffi::CStr;
use std::sync::atomic::Ordering;

use pg_pitcrew_capture::{
    Blocks, Counted, Ended, Kept, Key, Kind, Measured, Outline, Packed, Record, Slot,
};
use pgrx::prelude::*;

use super::buffers::Buffer;
use super::open::Open;
use super::settings::{self, Mode};
use super::{buffers, hooks, memory, shape};
use crate::compat;

unsafe extern "C-unwind" {
    fn GetCurrentTimestamp() -> pg_sys::TimestampTz;
    fn GetCurrentStatementStartTimestamp() -> pg_sys::TimestampTz;
}

/// Nobody else counts statements on this server.
static mut IS_ALONE: bool = false;

/// Whether executions are counted here, for pg_stat_statements does not.
pub(super) fn is_alone() -> bool {
    // SAFETY: set in the postmaster before any backend began.
    unsafe { IS_ALONE }
}

/// Looks whether pg_stat_statements is preloaded. Called in the postmaster when all libraries are.
pub(super) fn look_around() {
    // SAFETY: the server answers a string of its own, or null for a setting that nobody defined.
    unsafe {
        let value = pg_sys::GetConfigOption(c"pg_stat_statements.max".as_ptr(), true, false);
        IS_ALONE = value.is_null();
    }
}

fn key(open: &Open) -> Key {
    Key {
        query: open.query,
        // SAFETY: set in every connected process.
        database: unsafe { pg_sys::MyDatabaseId }.to_u32(),
        user: open.user.to_u32(),
        kind: Kind::new(open.top, open.is_nameless),
    }
}

/// An execution that is run to its end.
///
/// # Safety
/// `description` is that execution, not ended yet.
#[inline]
pub(super) unsafe fn ended(open: &Open, description: *mut pg_sys::QueryDesc) {
    // SAFETY: the caller's promise, and the setting's own variable.
    let is_slow = unsafe {
        compat::duration_ns(description) as f64 >= *settings::MIN_DURATION_MS.as_ptr() * 1e6
    };
    let is_due = is_due(open);
    if is_slow || is_due || is_alone() {
        // SAFETY: the caller's promise.
        unsafe { ended_with(open, description, is_slow, is_due) };
    }
}

/// Whether the plan of a statement that may be fast is looked at: once in a while in each session, so that what a slow one is
/// compared with is known.
#[inline]
fn is_due(open: &Open) -> bool {
    /// Statements with a turn of their own; others share one.
    const TURNS: usize = 64;
    /// In microseconds.
    const INTERVAL: i64 = 10_000_000;
    static mut NEXT: [pg_sys::TimestampTz; TURNS] = [0; TURNS];
    // SAFETY: this process's own, on its only thread.
    unsafe {
        let turn = open.query as usize % TURNS;
        let is_due = open.started_at >= NEXT[turn];
        if is_due {
            NEXT[turn] = open.started_at + INTERVAL;
        }
        is_due
    }
}

unsafe fn ended_with(
    open: &Open,
    description: *mut pg_sys::QueryDesc,
    is_slow: bool,
    is_due: bool,
) {
    // SAFETY: the caller's promise; the text and the plan live as long as the execution.
    unsafe {
        let key = key(open);
        let measured = compat::measured(description);
        let lacks_text = is_alone() && !count(&key, &measured);
        let is_kept = (is_slow && is_drawn()) || lacks_text;
        if !hooks::is_on() || !(is_kept || is_due) {
            return;
        }
        let plan = shape::of((*description).plannedstmt);
        see_plan(&key, &plan, &measured, open.started_at);
        if !is_kept {
            return;
        }
        let shape = plan.shape;
        // What a function runs inside is read where it is; its values mean nothing outside.
        let buffer = if open.top {
            Some(
                open.buffer
                    .unwrap_or_else(|| buffers::fill(description, shape)),
            )
        } else {
            None
        };
        let (text, values, shape) = match buffer {
            None => (buffers::text_of(description), Packed::default(), shape),
            Some(buffer) => match buffer.read() {
                Some(read) => read,
                None => return note_unkept(buffer),
            },
        };
        keep(&Record {
            key,
            measured,
            is_measured: true,
            started_at: open.started_at,
            shape,
            text,
            search_path: search_path(),
            values,
            keep_literals: *settings::VALUES.as_ptr(),
        });
        if let (Some(buffer), None) = (buffer, open.buffer) {
            buffer.give_back();
        }
    }
}

/// An error hits an execution: what is known of it is kept before it goes.
///
/// # Safety
/// The execution's memory is there.
pub(super) unsafe fn hit(open: &mut Open, ended: Ended) {
    open.failed = Some(ended);
    if !open.top || !hooks::is_on() {
        return;
    }
    // SAFETY: the caller's promise.
    open.buffer = Some(unsafe {
        let plan = shape::of((*open.description).plannedstmt);
        buffers::fill(open.description, plan.shape)
    });
}

/// An execution that never came to its end. What it was begun with may be gone.
///
/// # Safety
/// On the server's only thread.
pub(super) unsafe fn swept(open: &Open) {
    // SAFETY: plain reads of the server's clock and settings.
    unsafe {
        let ns = if open.top && open.failed.is_some() {
            let us = GetCurrentTimestamp() - GetCurrentStatementStartTimestamp();
            u64::try_from(us).unwrap_or(0).saturating_mul(1000)
        } else {
            0
        };
        let measured = Measured {
            // What is undone without an error was not in the way of anybody.
            ended: open.failed.unwrap_or_default(),
            ns,
            rows: 0,
            blocks: Blocks::default(),
        };
        let key = key(open);
        if is_alone() {
            count(&key, &measured);
        }
        if open.failed.is_none() || !open.top || !hooks::is_on() || !is_drawn() {
            return;
        }
        let Some(buffer) = open.buffer else {
            return;
        };
        let Some((text, values, shape)) = buffer.read() else {
            return note_unkept(buffer);
        };
        // A function's own search_path is in force until the transaction is undone.
        let is_same_path = open.search_path == pg_sys::namespace_search_path.cast_const();
        keep(&Record {
            key,
            measured,
            is_measured: false,
            started_at: open.started_at,
            shape,
            text,
            search_path: if is_same_path { search_path() } else { None },
            values,
            keep_literals: *settings::VALUES.as_ptr(),
        });
    }
}

/// Adds to what is known of the statement's plans. One that reads no table has nothing to choose from.
fn see_plan(key: &Key, plan: &Outline, measured: &Measured, at: i64) {
    if plan.nodes().all(|node| node.relation == 0) {
        return;
    }
    let set = key.set(memory::count());
    match memory::try_write(set, |set| set.see_plan(key, plan, measured.ns, at)) {
        Some(false) => {}
        Some(true) => memory::note(|counters| &counters.plans_displaced),
        None => memory::note(|counters| &counters.plans_busy),
    }
}

fn note_unkept(buffer: Buffer) {
    if buffer == Buffer::TooLong {
        memory::note(|counters| &counters.dropped_long);
    } else {
        memory::note(|counters| &counters.dropped_deep);
    }
}

/// Adds to the statement's counts. Answers whether it has a text, or may do without.
fn count(key: &Key, measured: &Measured) -> bool {
    let set = key.set(memory::count());
    match memory::try_share(set, |set| set.count(key, measured)) {
        Some(Some(Counted::WithText)) => return true,
        Some(Some(Counted::WithoutText)) => return false,
        Some(None) => {}
        None => {
            memory::note(|counters| &counters.uncounted);
            return true;
        }
    }
    let admitted = memory::try_write(set, |set| {
        let is_displaced = set.admit(key);
        let _ = set.count(key, measured);
        is_displaced
    });
    match admitted {
        Some(true) => memory::note(|counters| &counters.displaced),
        Some(false) => {}
        None => memory::note(|counters| &counters.uncounted),
    }
    false
}

/// Whether this execution is one of those that are kept.
fn is_drawn() -> bool {
    // SAFETY: variables of this process, on its only thread.
    unsafe {
        if *settings::CAPTURE.as_ptr() == Mode::All as i32 {
            return true;
        }
        static mut STATE: u64 = 0;
        if STATE == 0 {
            STATE = (GetCurrentTimestamp() as u64)
                ^ (u64::from(pg_sys::MyProcPid.unsigned_abs()) << 40)
                | 1;
        }
        // xorshift64 (Marsaglia, 2003).
        STATE ^= STATE << 13;
        STATE ^= STATE >> 7;
        STATE ^= STATE << 17;
        ((STATE >> 11) as f64) < *settings::SAMPLE_RATE.as_ptr() * (1_u64 << 53) as f64
    }
}

/// `search_path` as it is set now.
unsafe fn search_path<'a>() -> Option<&'a [u8]> {
    // SAFETY: a setting's value, which lives until it is set anew.
    unsafe {
        let path = pg_sys::namespace_search_path;
        (!path.is_null()).then(|| CStr::from_ptr(path).to_bytes())
    }
}

fn keep(record: &Record<'_>) {
    let Some(counters) = memory::counters() else {
        return;
    };
    if !Slot::fits(record) {
        return memory::note(|counters| &counters.dropped_long);
    }
    let set = record.key.set(memory::count());
    let kept = memory::try_write(set, |set| {
        let number = counters.number.fetch_add(1, Ordering::Relaxed) + 1;
        set.keep(number, record)
    });
    match kept {
        None => memory::note(|counters| &counters.dropped_busy),
        Some(Kept::TooLong) => memory::note(|counters| &counters.dropped_long),
        Some(Kept::Whole) => memory::note(|counters| &counters.kept),
        Some(Kept::WithoutValues) => {
            memory::note(|counters| &counters.kept);
            memory::note(|counters| &counters.without_values);
        }
    }
}

/// How an execution ends that raises an error with this SQLSTATE.
pub(super) fn ended_by(sqlstate: i32) -> Ended {
    // The low twelve bits are the class (`ERRCODE_TO_CATEGORY`).
    let class = |code: PgSqlErrorCode| code as i32 & 0xfff;
    let is_intervention = sqlstate & 0xfff == class(PgSqlErrorCode::ERRCODE_QUERY_CANCELED);
    if is_intervention {
        Ended::Cancelled
    } else {
        Ended::Failed
    }
}
