//! [`Room`]: bytes that may still be taken.

use super::super::sync::{AtomicU64, AtomicUsize, Ordering};

/// A bound of memory. What is refused is counted.
#[derive(Debug)]
pub(crate) struct Room {
    left: AtomicUsize,
    bytes: usize,
    refused: AtomicU64,
}

impl Room {
    pub(crate) fn new(bytes: usize) -> Self {
        Self {
            left: AtomicUsize::new(bytes),
            bytes,
            refused: AtomicU64::new(0),
        }
    }

    /// Takes `bytes`, or counts that they were not there.
    pub(crate) fn take(&self, bytes: usize) -> bool {
        let taken = self
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                left.checked_sub(bytes)
            });
        if taken.is_err() {
            self.refused.fetch_add(1, Ordering::Relaxed);
        }
        taken.is_ok()
    }

    /// Takes `bytes` that are in use already; what is wanted next finds the less.
    pub(crate) fn take_anyway(&self, bytes: usize) {
        let take = |left: usize| Some(left.saturating_sub(bytes));
        let _ = self
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
    }

    pub(crate) fn give_back(&self, bytes: usize) {
        self.left.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Bytes that are taken.
    pub(crate) fn taken(&self) -> usize {
        self.bytes - self.left.load(Ordering::Relaxed).min(self.bytes)
    }

    /// How often there was no room.
    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }
}
