//! From a commit to the coordinator: a queued job starts when its transaction is durable, never before.
//!
//! A callback after commit must not raise an error (it would be a PANIC of the whole server), so it does atomics and
//! one latch alone.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};

use pgrx::prelude::*;
use pgrx::{PGRXSharedMemory, PgAtomic};

use crate::failure::Failure;

const MAX_WANTED: usize = 64;

/// Databases that want their coordinator, and the launcher that starts it.
pub(super) struct Wishes {
    databases: [AtomicU32; MAX_WANTED],
    overflow: AtomicBool,
    launcher_latch: AtomicUsize,
}

impl Default for Wishes {
    fn default() -> Self {
        Self {
            databases: [const { AtomicU32::new(0) }; MAX_WANTED],
            overflow: AtomicBool::new(false),
            launcher_latch: AtomicUsize::new(0),
        }
    }
}

// SAFETY: atomics of fixed size; the address in it is of shared memory.
unsafe impl PGRXSharedMemory for Wishes {}

// SAFETY: the name is this extension's own.
static WISHES: PgAtomic<Wishes> = unsafe { PgAtomic::new(c"pg_pitcrew wishes") };

/// This backend's open transaction queued something.
static PENDING: AtomicBool = AtomicBool::new(false);

/// Asks for the shared memory and to be told of commits.
// pgrx's macro asks for the features of server versions that this crate does not have.
#[allow(unexpected_cfgs)]
pub(super) fn preload() {
    pgrx::pg_shmem_init!(WISHES);
    // SAFETY: called once, in _PG_init; backends inherit the registration.
    unsafe { pg_sys::RegisterXactCallback(Some(on_transaction_end), std::ptr::null_mut()) };
}

/// Wakes the coordinator when the current transaction commits.
pub(crate) fn after_commit() {
    PENDING.store(true, Ordering::Relaxed);
}

/// Wants a coordinator for `database` now. Atomics alone: safe after commit and in exit callbacks.
pub(super) fn want(database: pg_sys::Oid) {
    let wishes = WISHES.get();
    let wanted = database.to_u32();
    let noted = wishes.databases.iter().any(|slot| {
        slot.compare_exchange(0, wanted, Ordering::AcqRel, Ordering::Acquire)
            .map_or_else(|there| there == wanted, |_| true)
    });
    if !noted {
        wishes.overflow.store(true, Ordering::Release);
    }
    wake_launcher();
}

/// Wakes the launcher.
pub(super) fn wake_launcher() {
    let latch = WISHES.get().launcher_latch.load(Ordering::Acquire) as *mut pg_sys::Latch;
    if !latch.is_null() {
        // SAFETY: the address of a PGPROC's latch, which stays mapped for the server's life.
        unsafe { pg_sys::SetLatch(latch) };
    }
}

/// The launcher is up: this is its latch.
pub(super) fn launcher_is(latch: *mut pg_sys::Latch) {
    WISHES
        .get()
        .launcher_latch
        .store(latch as usize, Ordering::Release);
}

/// Takes what was wanted since the last call; the flag says that more was wanted than could be noted, so every
/// database has to be looked at.
pub(super) fn take() -> (Vec<pg_sys::Oid>, bool) {
    let wishes = WISHES.get();
    let databases = wishes
        .databases
        .iter()
        .map(|slot| slot.swap(0, Ordering::AcqRel))
        .filter(|&database| database != 0)
        .map(pg_sys::Oid::from)
        .collect();
    (databases, wishes.overflow.swap(false, Ordering::AcqRel))
}

#[pg_guard]
unsafe extern "C-unwind" fn on_transaction_end(
    event: pg_sys::XactEvent::Type,
    _arg: *mut std::ffi::c_void,
) {
    use pg_sys::XactEvent;
    match event {
        XactEvent::XACT_EVENT_COMMIT if PENDING.swap(false, Ordering::Relaxed) => {
            // SAFETY: set in every process that has transactions.
            want(unsafe { pg_sys::MyDatabaseId });
        }
        XactEvent::XACT_EVENT_ABORT => PENDING.store(false, Ordering::Relaxed),
        // Nobody would be told when it is committed later, in another session.
        XactEvent::XACT_EVENT_PRE_PREPARE if PENDING.load(Ordering::Relaxed) => Failure::new(
            PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED,
            "a transaction that queued a pitcrew job cannot be prepared",
        )
        .raise(),
        _ => {}
    }
}
