//! Writing what is queued, behind the requests.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::sync::Notify;

use super::{L2, task::Running};
use crate::cache::{entry::Entry, key::CacheKey};

/// Answers that wait to be written at most.
const MAX_QUEUED: usize = 1_024;
/// Bytes of those.
const MAX_QUEUED_BYTES: usize = 16 << 20;
/// An idle writer looks this often whether its level still exists.
const IDLE_CHECK: Duration = Duration::from_secs(5);

/// An answer on its way to Redis.
pub(super) struct Write {
    pub(super) key: Arc<CacheKey>,
    pub(super) entry: Arc<Entry>,
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
