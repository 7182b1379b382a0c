//! Locks and atomics of what is tested in every order of two threads' steps: the standard library's, or those of `loom`
//! under `--cfg pitcrew_loom`, which run such a test once for each order and each value that a load may see.

#[cfg(not(pitcrew_loom))]
pub(super) use std::sync::{Mutex, MutexGuard, atomic::AtomicU64};

#[cfg(pitcrew_loom)]
pub(super) use loom::sync::{Mutex, MutexGuard, atomic::AtomicU64};
