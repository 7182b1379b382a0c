//! Tasks in the background: bounded in number, and none whose panic is silent.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::runtime::Handle;

use super::{runtime, shared::Shared};
use crate::clock::millis;

/// Least time between two warnings of one kind.
const WARN_EVERY: Duration = Duration::from_secs(10);

/// Tasks of one kind.
pub(super) struct Tasks {
    max: usize,
    under_way: AtomicUsize,
    begun: AtomicU64,
    dropped: AtomicU64,
}

impl Tasks {
    /// At most `max` at one time.
    pub(super) fn new(max: usize) -> Self {
        Self {
            max,
            under_way: AtomicUsize::new(0),
            begun: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
        }
    }

    pub(super) fn begun(&self) -> u64 {
        self.begun.load(Ordering::Relaxed)
    }

    /// Left out because too many were under way.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

/// One of a kind's `max`, for as long as its task lives.
pub(super) struct Slot {
    shared: Arc<Shared>,
    kind: fn(&Shared) -> &Tasks,
    runtime: Handle,
}

impl Slot {
    /// `None` where there is no runtime, or too many run.
    pub(super) fn take(shared: &Arc<Shared>, kind: fn(&Shared) -> &Tasks) -> Option<Self> {
        let runtime = runtime::current()?;
        let tasks = kind(shared);
        let before = tasks.under_way.fetch_add(1, Ordering::AcqRel);
        let slot = Self {
            shared: shared.clone(),
            kind,
            runtime,
        };
        if before < tasks.max {
            return Some(slot);
        }
        tasks.dropped.fetch_add(1, Ordering::Relaxed);
        None
    }

    pub(super) fn run(self, task: impl Future<Output = ()> + Send + 'static) {
        (self.kind)(&self.shared)
            .begun
            .fetch_add(1, Ordering::Relaxed);
        let runtime = self.runtime.clone();
        runtime.spawn(async move {
            // Moved in, so that it is given up however the task ends.
            let slot = self;
            task.await;
            drop(slot);
        });
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        (self.kind)(&self.shared)
            .under_way
            .fetch_sub(1, Ordering::AcqRel);
        if std::thread::panicking() {
            let counters = &self.shared.counters;
            counters.panics.fetch_add(1, Ordering::Relaxed);
            if counters.panic_warning.is_due(self.shared.clock.now()) {
                tracing::warn!(
                    target: "pitcrew::cache",
                    "a handler panicked while the cache called it in the background"
                );
            }
        }
    }
}

/// Keeps a warning from being given more often than once in [`WARN_EVERY`].
#[derive(Default)]
pub(super) struct Throttle {
    /// Milliseconds after which the next one is due.
    next_ms: AtomicU64,
}

impl Throttle {
    pub(super) fn is_due(&self, now: Duration) -> bool {
        let next = self.next_ms.load(Ordering::Relaxed);
        let now_ms = millis(now);
        // Of several at once one is.
        now_ms >= next
            && self
                .next_ms
                .compare_exchange(
                    next,
                    now_ms + millis(WARN_EVERY),
                    Ordering::Relaxed,
                    Ordering::Relaxed,
                )
                .is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_is_due_once_in_ten_seconds() {
        let throttle = Throttle::default();
        let due = (0..30).filter(|second| throttle.is_due(Duration::from_secs(*second)));
        assert_eq!(due.collect::<Vec<_>>(), [0, 10, 20]);
    }
}
