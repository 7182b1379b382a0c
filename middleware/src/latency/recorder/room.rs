//! [`Room`]: bytes that may still be taken.

use std::sync::{Mutex, PoisonError};

use super::{
    super::sync::{AtomicU64, AtomicUsize, Ordering},
    cell::{CHUNK_BYTES, CHUNKS, HISTOGRAMS, SEEN_CHUNK_BYTES},
};

/// Places of a series, one bit each.
type Places = [u64; (HISTOGRAMS * CHUNKS).div_ceil(64)];

/// A bound of memory. What is refused is counted.
#[derive(Debug)]
pub(crate) struct Room {
    left: AtomicUsize,
    bytes: usize,
    refused: AtomicU64,
    /// By series: at which places some thread has a chunk. Not a lock that is modelled, so nothing that is may happen while it is held.
    places: Mutex<Vec<Places>>,
}

impl Room {
    pub(crate) fn new(bytes: usize) -> Self {
        Self {
            left: AtomicUsize::new(bytes),
            bytes,
            refused: AtomicU64::new(0),
            places: Mutex::default(),
        }
    }

    /// The same where some of it is spoken for.
    pub(crate) fn with_taken(bytes: usize, taken: usize) -> Self {
        Self {
            left: AtomicUsize::new(bytes - taken),
            ..Self::new(bytes)
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

    /// Takes what a chunk is, and what a fold remembers of its place where no thread has one there yet.
    pub(crate) fn take_chunk(&self, series: u32, place: usize) -> bool {
        // Room first: without it this is asked again with each request, and must not come to a lock.
        if !self.take(CHUNK_BYTES + SEEN_CHUNK_BYTES) {
            return false;
        }
        if !self.is_first(series as usize, place) {
            self.give_back(SEEN_CHUNK_BYTES);
        }
        true
    }

    /// Whether no thread has had a chunk at this place of the series before.
    fn is_first(&self, series: usize, place: usize) -> bool {
        let mut all = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() <= series {
            all.resize(series + 1, [0; _]);
        }
        let (word, bit) = (&mut all[series][place / 64], 1 << (place % 64));
        let is_first = *word & bit == 0;
        *word |= bit;
        is_first
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
