//! When each database wants its coordinator back: written by coordinators before they leave, read by the launcher.
//!
//! Atomics of fixed size. Each entry has one writer at a time, the coordinator of its database.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, Ordering};

use pgrx::prelude::*;
use pgrx::{PGRXSharedMemory, PgAtomic};

/// Databases with schedules that can be noted; the launcher looks at all databases once a minute while there are more.
const MAX_DATABASES: usize = 256;

/// Nothing is due.
const NEVER: i64 = 0;

pub(super) struct Dues {
    databases: [AtomicU32; MAX_DATABASES],
    /// The server's time, in microseconds.
    at: [AtomicI64; MAX_DATABASES],
    overflow: AtomicBool,
}

impl Default for Dues {
    fn default() -> Self {
        Self {
            databases: [const { AtomicU32::new(0) }; MAX_DATABASES],
            at: [const { AtomicI64::new(NEVER) }; MAX_DATABASES],
            overflow: AtomicBool::new(false),
        }
    }
}

// SAFETY: atomics of fixed size.
unsafe impl PGRXSharedMemory for Dues {}

// SAFETY: the name is this extension's own.
static DUES: PgAtomic<Dues> = unsafe { PgAtomic::new(c"pg_pitcrew dues") };

/// Asks for the shared memory.
// pgrx's macro asks for the features of server versions that this crate does not have.
#[allow(unexpected_cfgs)]
pub(super) fn preload() {
    pgrx::pg_shmem_init!(DUES);
}

/// Notes when `database` has its next run.
pub(crate) fn set(database: pg_sys::Oid, at: Option<pg_sys::TimestampTz>) {
    let dues = DUES.get();
    let wanted = database.to_u32();
    let place = |held: u32| {
        dues.databases
            .iter()
            .position(|there| there.load(Ordering::Acquire) == held)
    };
    match (place(wanted), at) {
        (Some(place), Some(at)) => dues.at[place].store(at, Ordering::Release),
        (Some(place), None) => {
            dues.at[place].store(NEVER, Ordering::Release);
            dues.databases[place].store(0, Ordering::Release);
        }
        (None, None) => {}
        (None, Some(at)) => {
            let taken = dues.databases.iter().position(|there| {
                there
                    .compare_exchange(0, wanted, Ordering::AcqRel, Ordering::Acquire)
                    .is_ok()
            });
            match taken {
                Some(place) => dues.at[place].store(at, Ordering::Release),
                None => dues.overflow.store(true, Ordering::Release),
            }
        }
    }
}

/// Databases whose time has come. Each is told once, and again when its coordinator has noted its next run.
pub(crate) fn take() -> Vec<pg_sys::Oid> {
    let dues = DUES.get();
    // SAFETY: reads the clock.
    let now = unsafe { pg_sys::GetCurrentTimestamp() };
    let mut due = Vec::new();
    for (database, at) in dues.databases.iter().zip(&dues.at) {
        let noted = at.load(Ordering::Acquire);
        let is_due = noted != NEVER && noted <= now;
        let is_taken = is_due
            && at
                .compare_exchange(noted, NEVER, Ordering::AcqRel, Ordering::Acquire)
                .is_ok();
        if is_taken {
            due.push(pg_sys::Oid::from(database.load(Ordering::Acquire)));
        }
    }
    due
}

/// Whether a run could not be noted since the last call.
pub(crate) fn take_overflow() -> bool {
    DUES.get().overflow.swap(false, Ordering::AcqRel)
}

/// When the next run of any database is due.
pub(crate) fn first() -> Option<pg_sys::TimestampTz> {
    let noted = DUES.get().at.iter().map(|at| at.load(Ordering::Acquire));
    noted.filter(|&at| at != NEVER).min()
}

/// Milliseconds from now until then, rounded up; the most there are for `None`.
pub(crate) fn until(at: Option<pg_sys::TimestampTz>) -> i64 {
    let Some(at) = at else { return i64::MAX };
    // SAFETY: reads the clock.
    let left = at.saturating_sub(unsafe { pg_sys::GetCurrentTimestamp() });
    (left.max(0) / 1_000).saturating_add(1)
}
