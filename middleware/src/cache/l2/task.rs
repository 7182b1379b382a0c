//! Background tasks of L2: they start when there is something to do, hold the level weakly, and are started again should
//! their runtime have died: however a task ends, its guard says so.

use std::sync::{
    Arc, Weak,
    atomic::{AtomicBool, Ordering},
};

use super::L2;

/// Clears a task's flag however the task ends, and counts a panic.
pub(super) struct Running {
    pub(super) l2: Weak<L2>,
    flag: fn(&L2) -> &AtomicBool,
}

impl Running {
    /// `None` where the task runs already.
    pub(super) fn claim(l2: &Arc<L2>, flag: fn(&L2) -> &AtomicBool) -> Option<Self> {
        // Read first: most look in vain, and a swap would take the cache line from all others.
        let is_free = !flag(l2).load(Ordering::Acquire);
        let claimed = is_free && !flag(l2).swap(true, Ordering::AcqRel);
        claimed.then(|| Self {
            l2: Arc::downgrade(l2),
            flag,
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let Some(l2) = self.l2.upgrade() else { return };
        (self.flag)(&l2).store(false, Ordering::Release);
        if std::thread::panicking() {
            l2.counters.panics.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(
                "a background task of the second cache level panicked; it starts again when needed"
            );
        }
    }
}
