//! What is collected and not yet read by its client: bounded over all of them, for a client may never read.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;

/// Bytes that bodies under way hold for clients that read slowly, all together. Past that a body goes on at its client's pace, and
/// is not stored.
pub(in crate::cache) const MAX_UNREAD_BYTES: usize = 64 << 20;

/// Counts them.
#[derive(Debug, Default)]
pub(in crate::cache) struct Unread(Arc<AtomicUsize>);

impl Unread {
    pub(in crate::cache) fn is_full(&self) -> bool {
        self.0.load(Ordering::Relaxed) > MAX_UNREAD_BYTES
    }

    pub(in crate::cache) fn hold(&self, data: Bytes) -> Held {
        self.0.fetch_add(data.len(), Ordering::Relaxed);
        let bytes = data.len();
        Held {
            data,
            bytes,
            of: self.0.clone(),
        }
    }
}

/// Bytes of one frame, counted until it is dropped.
pub(in crate::cache) struct Held {
    data: Bytes,
    bytes: usize,
    of: Arc<AtomicUsize>,
}

impl Held {
    /// Its client has them.
    pub(in crate::cache) fn read(mut self) -> Bytes {
        std::mem::take(&mut self.data)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.of.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_or_given_up_counts_no_longer() {
        let unread = Unread::default();
        let first = unread.hold(Bytes::from_static(&[0; 1_000]));
        let second = unread.hold(Bytes::from(vec![0; MAX_UNREAD_BYTES]));
        assert!(unread.is_full());
        assert_eq!(first.read().len(), 1_000);
        assert!(!unread.is_full());
        drop(second);
        assert_eq!(unread.0.load(Ordering::Relaxed), 0);
    }
}
