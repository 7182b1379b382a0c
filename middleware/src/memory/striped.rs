//! [`Striped`]: a counter that threads seldom meet at.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::shard::thread_index;

/// A counter that threads seldom meet at.
#[derive(Default)]
pub(super) struct Striped([Stripe; 8]);

#[derive(Default)]
#[repr(align(128))]
struct Stripe(AtomicU64);

impl Striped {
    #[inline]
    pub(super) fn add(&self) {
        self.0[thread_index() % self.0.len()]
            .0
            .fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn sum(&self) -> u64 {
        self.0
            .iter()
            .map(|stripe| stripe.0.load(Ordering::Relaxed))
            .sum()
    }
}
