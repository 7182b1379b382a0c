//! Shared memory of the capture: counters, and sets of slots with a lock each.
//!
//! | who | takes |
//! |---|---|
//! | a hook that counts | the set's lock, shared, if that is free; then atomics alone |
//! | a hook that keeps an execution | the set's lock, exclusively, if that is free |
//! | who reads | the set's lock, shared, for as long as one set is copied |
//! | who forgets | the set's lock, exclusively |
//!
//! A hook never waits: where the lock is taken, the execution is dropped and counted.

use std::sync::atomic::{AtomicU64, Ordering};

use pg_pitcrew_capture::{Set, WAYS};
use pgrx::prelude::*;

use super::settings;

const NAME: &std::ffi::CStr = c"pg_pitcrew capture";

/// What happened since the server's start.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Counters {
    /// Number of the last execution that was kept.
    pub(super) number: AtomicU64,
    /// Executions that were kept.
    pub(super) kept: AtomicU64,
    /// Of them, without some of their values.
    pub(super) without_values: AtomicU64,
    /// Dropped: somebody else had the lock.
    pub(super) dropped_busy: AtomicU64,
    /// Dropped: the text is longer than a slot.
    pub(super) dropped_long: AtomicU64,
    /// Not looked at: too many statements were open in one session.
    pub(super) dropped_deep: AtomicU64,
    /// Counts that were not added: somebody else had the lock.
    pub(super) uncounted: AtomicU64,
    /// Statements whose counts had to make room for another's.
    pub(super) displaced: AtomicU64,
    /// Plans that were forgotten for others within an hour of their last execution.
    pub(super) plans_displaced: AtomicU64,
    /// Plans that were not looked at: somebody else had the lock.
    pub(super) plans_busy: AtomicU64,
    /// Panics in a hook: bugs.
    pub(super) panics: AtomicU64,
    /// Microseconds of the server's epoch of the last purge; 0 for none.
    pub(super) purged_at: AtomicU64,
}

/// Where everything lies; null where there is no room for a single slot.
static mut COUNTERS: *const Counters = std::ptr::null();
static mut SETS: *mut Set = std::ptr::null_mut();
static mut LOCKS: *mut pg_sys::LWLockPadded = std::ptr::null_mut();
static mut COUNT: usize = 0;

static mut PREVIOUS_REQUEST: pg_sys::shmem_request_hook_type = None;
static mut PREVIOUS_STARTUP: pg_sys::shmem_startup_hook_type = None;

// Not pgrx's wrappers: each call of those saves the signal mask's neighbourhood, and these are called for every statement. An error
// in them (there is none but for a backend that holds 200 locks) jumps over frames that own nothing.
unsafe extern "C-unwind" {
    fn LWLockConditionalAcquire(lock: *mut pg_sys::LWLock, mode: pg_sys::LWLockMode::Type) -> bool;
    fn LWLockRelease(lock: *mut pg_sys::LWLock);
}

/// Sets for so many slots.
fn sets() -> usize {
    settings::SLOTS.get().unsigned_abs() as usize / WAYS
        + usize::from(!(settings::SLOTS.get().unsigned_abs() as usize).is_multiple_of(WAYS))
}

/// Asks for shared memory. Called from `_PG_init` of a preloaded library, after the settings are known.
pub(super) fn preload() {
    // SAFETY: called once, on the only thread.
    unsafe {
        PREVIOUS_REQUEST = pg_sys::shmem_request_hook;
        pg_sys::shmem_request_hook = Some(on_request);
        PREVIOUS_STARTUP = pg_sys::shmem_startup_hook;
        pg_sys::shmem_startup_hook = Some(on_startup);
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn on_request() {
    // SAFETY: the server calls it where memory may be asked for.
    unsafe {
        if let Some(previous) = PREVIOUS_REQUEST {
            pg_sys::ffi::pg_guard_ffi_boundary(|| previous());
        }
        pg_sys::RequestAddinShmemSpace(bytes());
        pg_sys::RequestNamedLWLockTranche(NAME.as_ptr(), sets() as i32);
    }
}

/// Shared memory that is taken, where any is.
pub(super) fn bytes() -> usize {
    // A cache line before the sets, so that they begin at one.
    size_of::<Counters>().next_multiple_of(128) + sets() * size_of::<Set>()
}

#[pg_guard]
unsafe extern "C-unwind" fn on_startup() {
    // SAFETY: the server calls it in the postmaster, where shared memory is laid out. Zero bytes are valid counters
    // and valid sets.
    unsafe {
        if let Some(previous) = PREVIOUS_STARTUP {
            pg_sys::ffi::pg_guard_ffi_boundary(|| previous());
        }
        let mut is_there = false;
        let start = pg_sys::ShmemInitStruct(NAME.as_ptr(), bytes(), &mut is_there).cast::<u8>();
        if !is_there {
            std::ptr::write_bytes(start, 0, bytes());
        }
        COUNTERS = start.cast();
        SETS = start
            .add(size_of::<Counters>().next_multiple_of(128))
            .cast();
        COUNT = sets();
        LOCKS = pg_sys::GetNamedLWLockTranche(NAME.as_ptr());
        super::keep::look_around();
    }
}

/// The counters; `None` where nothing can be captured.
pub(super) fn counters() -> Option<&'static Counters> {
    // SAFETY: set once before any backend began; shared memory stays mapped.
    unsafe { COUNTERS.as_ref() }
}

/// How many sets there are.
pub(super) fn count() -> usize {
    // SAFETY: as above.
    unsafe { COUNT }
}

/// Counts something, once.
pub(super) fn note(which: impl Fn(&Counters) -> &AtomicU64) {
    if let Some(counters) = counters() {
        which(counters).fetch_add(1, Ordering::Relaxed);
    }
}

unsafe fn lock(set: usize) -> *mut pg_sys::LWLock {
    // SAFETY: the caller's number is below the count.
    unsafe { &raw mut (*LOCKS.add(set)).lock }
}

/// Lends a set for counting, if nobody writes it. `work` must not panic or raise an error.
pub(super) fn try_share<R>(set: usize, work: impl FnOnce(&Set) -> R) -> Option<R> {
    if set >= count() {
        return None;
    }
    // SAFETY: the set is there, and the lock is held while it is lent.
    unsafe {
        let lock = lock(set);
        if !LWLockConditionalAcquire(lock, pg_sys::LWLockMode::LW_SHARED) {
            return None;
        }
        let result = work(&*SETS.add(set));
        LWLockRelease(lock);
        Some(result)
    }
}

/// Lends a set for writing, if nobody else uses it. `work` must not panic or raise an error.
pub(super) fn try_write<R>(set: usize, work: impl FnOnce(&mut Set) -> R) -> Option<R> {
    if set >= count() {
        return None;
    }
    // SAFETY: as in `try_share`.
    unsafe {
        let lock = lock(set);
        if !LWLockConditionalAcquire(lock, pg_sys::LWLockMode::LW_EXCLUSIVE) {
            return None;
        }
        let result = work(&mut *SETS.add(set));
        LWLockRelease(lock);
        Some(result)
    }
}

/// Lends each set in turn for reading. For SQL functions: this waits.
pub(super) fn each<R>(mut work: impl FnMut(&Set) -> R) {
    for set in 0..count() {
        pgrx::check_for_interrupts!();
        // SAFETY: as in `try_share`; an error in `work` ends the transaction, which releases the lock.
        unsafe {
            let lock = lock(set);
            pg_sys::LWLockAcquire(lock, pg_sys::LWLockMode::LW_SHARED);
            work(&*SETS.add(set));
            pg_sys::LWLockRelease(lock);
        }
    }
}

/// Lends each set in turn for forgetting. For SQL functions: this waits.
pub(super) fn each_written(mut work: impl FnMut(&mut Set)) {
    for set in 0..count() {
        // SAFETY: as in `each`.
        unsafe {
            let lock = lock(set);
            pg_sys::LWLockAcquire(lock, pg_sys::LWLockMode::LW_EXCLUSIVE);
            work(&mut *SETS.add(set));
            pg_sys::LWLockRelease(lock);
        }
    }
}
