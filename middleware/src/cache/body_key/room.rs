//! Room for content that clients send slowly: bounded for all of them together.

use std::sync::{Arc, atomic::Ordering};

use crate::cache::shared::Shared;

/// Bytes of content, still to come or partly there, that requests wait for at one time at most.
pub(super) const MAX_READING_BYTES: usize = 64 << 20;
/// What each such request counts as at least: it holds more than its content.
pub(super) const MIN_READING_BYTES: usize = 16 << 10;

/// A request's part of [`MAX_READING_BYTES`], for as long as its content is on its way.
pub(super) struct Room {
    shared: Arc<Shared>,
    bytes: usize,
}

impl Room {
    /// For content of at most so many bytes; `None` where too much is on its way already.
    pub(super) fn take(shared: &Arc<Shared>, bytes: usize) -> Option<Self> {
        let bytes = bytes.max(MIN_READING_BYTES);
        let before = shared.reading_bytes.fetch_add(bytes, Ordering::AcqRel);
        let room = Self {
            shared: shared.clone(),
            bytes,
        };
        // Else given back at once.
        (before + bytes <= MAX_READING_BYTES).then_some(room)
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let reading = &self.shared.reading_bytes;
        reading.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}
