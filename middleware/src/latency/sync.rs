//! Locks and atomics of what is tested in every order of several threads' steps: the standard library's, or those of
//! `loom` under `--cfg pitcrew_loom`, which run such a test once for each order and each value that a load may see.

#[cfg(not(pitcrew_loom))]
pub(super) use std::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering, fence},
};

#[cfg(pitcrew_loom)]
pub(super) use loom::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering, fence},
};

use std::sync::PoisonError;

/// A panic while a lock is held cannot leave figures half written in a way that matters more than losing them all.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
