//! The two background tasks of L2: one writes what is queued, one confirms purges that are pending.
//!
//! Both start when there is something to do, hold the level weakly, and are started again should their runtime have
//! died: however a task ends, its guard says so.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::sync::Notify;

use super::{BACKGROUND_TIMEOUT, L2};
use crate::cache::{entry::Entry, key::CacheKey};

/// Answers that wait to be written at most.
const MAX_QUEUED: usize = 1_024;
/// Bytes of those.
const MAX_QUEUED_BYTES: usize = 16 << 20;
/// Pause between two tries to confirm a purge.
pub(super) const RETRY_AFTER: Duration = Duration::from_millis(100);
/// An idle writer looks this often whether its level still exists.
const IDLE_CHECK: Duration = Duration::from_secs(5);

/// An answer on its way to Redis.
pub(super) struct Write {
    pub(super) key: Arc<CacheKey>,
    pub(super) entry: Arc<Entry>,
    pub(super) stamp: u64,
    pub(super) compress_above: usize,
}

#[derive(Default)]
struct Queue {
    writes: VecDeque<Write>,
    bytes: usize,
}

/// The queue of the writing task.
#[derive(Default)]
pub(super) struct Writer {
    queue: Mutex<Queue>,
    running: AtomicBool,
    wake: Arc<Notify>,
}

impl Writer {
    /// Queues a write; answers how many older ones were given up for it.
    pub(super) fn push(&self, write: Write) -> u64 {
        let mut queue = self.queue();
        queue.bytes += write.entry.weight();
        queue.writes.push_back(write);
        let mut dropped = 0;
        while queue.writes.len() > MAX_QUEUED || queue.bytes > MAX_QUEUED_BYTES {
            let Some(oldest) = queue.writes.pop_front() else {
                break;
            };
            queue.bytes = queue.bytes.saturating_sub(oldest.entry.weight());
            dropped += 1;
        }
        drop(queue);
        self.wake.notify_one();
        dropped
    }

    pub(super) fn pop(&self) -> Option<Write> {
        let mut queue = self.queue();
        let write = queue.writes.pop_front()?;
        queue.bytes = queue.bytes.saturating_sub(write.entry.weight());
        Some(write)
    }

    pub(super) fn wake(&self) {
        self.wake.notify_one();
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Clears a task's flag however the task ends, and counts a panic.
struct Running {
    l2: Weak<L2>,
    flag: fn(&L2) -> &AtomicBool,
}

impl Running {
    /// `None` where the task runs already.
    fn claim(l2: &Arc<L2>, flag: fn(&L2) -> &AtomicBool) -> Option<Self> {
        let claimed = !flag(l2).swap(true, Ordering::AcqRel);
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

/// Starts the writing task unless it runs.
pub(super) fn ensure(l2: &Arc<L2>) {
    let Ok(runtime) = tokio::runtime::Handle::try_current() else {
        return;
    };
    let Some(running) = Running::claim(l2, |l2| &l2.writer.running) else {
        return;
    };
    let wake = l2.writer.wake.clone();
    runtime.spawn(async move {
        loop {
            // Held only while there is something to write: the task must not keep a dropped level alive.
            let Some(l2) = running.l2.upgrade() else {
                return;
            };
            while let Some(write) = l2.writer.pop() {
                l2.put(&write).await;
            }
            if l2.stopped.load(Ordering::Acquire) {
                return;
            }
            drop(l2);
            let _ = tokio::time::timeout(IDLE_CHECK, wake.notified()).await;
        }
    });
}

/// Starts the task that confirms pending purges unless it runs.
pub(super) fn ensure_purging(l2: &Arc<L2>) {
    let Ok(runtime) = tokio::runtime::Handle::try_current() else {
        return;
    };
    let Some(running) = Running::claim(l2, |l2| &l2.retrying) else {
        return;
    };
    runtime.spawn(async move {
        loop {
            tokio::time::sleep(RETRY_AFTER).await;
            let Some(l2) = running.l2.upgrade() else {
                return;
            };
            if l2.confirm_purges(BACKGROUND_TIMEOUT).await && l2.purges.count() == 0 {
                return;
            }
        }
    });
}
