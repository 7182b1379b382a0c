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

use super::{BACKGROUND_TIMEOUT, L2, compress, task::Running, wire};
use crate::cache::{entry::Entry, key::CacheKey, runtime};

/// Answers that wait to be written at most.
const MAX_QUEUED: usize = 1_024;
/// Bytes of those.
const MAX_QUEUED_BYTES: usize = 16 << 20;
/// An idle writer looks this often whether its level still exists.
const IDLE_CHECK: Duration = Duration::from_secs(5);

/// An answer on its way to Redis, or out of it.
pub(super) struct Write {
    key: Arc<CacheKey>,
    entry: Arc<Entry>,
    what: What,
}

#[derive(Clone, Copy)]
enum What {
    /// Stored, compressed above so many bytes.
    Put(usize),
    Deleted,
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

    /// How many wait, and their bytes.
    pub(super) fn depth(&self) -> (u64, u64) {
        let queue = self.queue();
        (queue.writes.len() as u64, queue.bytes as u64)
    }

    pub(super) fn wake(&self) {
        self.wake.notify_one();
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl L2 {
    /// Queues an answer; full, the oldest queued one is given up.
    pub(in crate::cache) fn write(
        self: &Arc<Self>,
        key: &Arc<CacheKey>,
        entry: &Arc<Entry>,
        compress_above: usize,
    ) {
        // What is older than the first table, or is a part, nobody could use; what bears a borrowed stamp nobody may.
        let is_of_use = entry.stamp.redis() != 0 && entry.span.is_none();
        if !is_of_use || self.invalidation.is_borrowing() || self.stopped.load(Ordering::Acquire) {
            return;
        }
        let dropped = self.writer.push(Write {
            key: key.clone(),
            entry: entry.clone(),
            what: What::Put(compress_above),
        });
        self.counters
            .dropped_writes
            .fetch_add(dropped, Ordering::Relaxed);
        ensure(self);
    }

    /// Queues the deletion of an answer, behind what is to be written before.
    pub(in crate::cache) fn forget(self: &Arc<Self>, key: &Arc<CacheKey>, entry: &Arc<Entry>) {
        if self.stopped.load(Ordering::Acquire) {
            return;
        }
        let dropped = self.writer.push(Write {
            key: key.clone(),
            entry: entry.clone(),
            what: What::Deleted,
        });
        self.counters
            .dropped_writes
            .fetch_add(dropped, Ordering::Relaxed);
        ensure(self);
    }

    pub(super) async fn write_through(&self, write: &Write) {
        match write.what {
            What::Put(compress_above) => self.put(write, compress_above).await,
            What::Deleted => self.delete(&write.key, &write.entry).await,
        }
    }

    /// What leads to it and itself: one by one, in a cluster they lie on different masters.
    async fn delete(&self, key: &CacheKey, entry: &Entry) {
        let base = self.entry_key(key.bytes(), None);
        let vary = &entry.vary;
        let variant = (!vary.names.is_empty())
            .then(|| self.entry_key(key.bytes(), Some((vary, &entry.values))));
        for redis_key in [Some(base), variant].into_iter().flatten() {
            if !self.breakers.of(&redis_key).allows() {
                continue;
            }
            let mut unlink = redis::cmd("UNLINK");
            unlink.arg(&redis_key);
            let done = self.call::<()>(&unlink, 0, BACKGROUND_TIMEOUT).await;
            let _ = self.judged(&redis_key, done);
        }
    }

    /// Writes one answer. What Redis does not take is lost to L2, nothing more.
    async fn put(&self, write: &Write, compress_above: usize) {
        let (entry, now) = (&write.entry, self.clock.now());
        let ttl = crate::clock::millis(entry.useful_for(now));
        if ttl == 0 {
            return;
        }
        let resident = crate::clock::millis(now.saturating_sub(entry.made));
        let made_unix_ms = self.clock.unix_ms().saturating_sub(resident);
        let key = write.key.bytes();
        let packed = compress::pack(&entry.body, compress_above).await;
        let value = wire::encode_answer(key, entry, packed.as_deref(), made_unix_ms);
        // One by one: in a cluster they lie on different masters. The answer first, then what leads to it.
        let is_put = if entry.vary.names.is_empty() {
            self.set(&self.entry_key(key, None), value, ttl).await
        } else {
            let variant = self.entry_key(key, Some((&entry.vary, &entry.values)));
            let names = wire::encode_vary(key, &entry.vary);
            self.set(&variant, value, ttl).await
                && self.set(&self.entry_key(key, None), names, ttl).await
        };
        if !is_put {
            self.counters.dropped_writes.fetch_add(1, Ordering::Relaxed);
        }
    }

    async fn set(&self, redis_key: &str, value: Vec<u8>, ttl_ms: u64) -> bool {
        if !self.breakers.of(redis_key).allows() {
            return false;
        }
        let bytes = value.len();
        let mut set = redis::cmd("SET");
        set.arg(redis_key).arg(value).arg("PX").arg(ttl_ms);
        let done = self.call::<()>(&set, bytes, BACKGROUND_TIMEOUT).await;
        self.judged(redis_key, done).is_some()
    }
}

/// Starts the writing task unless it runs.
fn ensure(l2: &Arc<L2>) {
    let Some(runtime) = runtime::current() else {
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
                l2.write_through(&write).await;
            }
            if l2.stopped.load(Ordering::Acquire) {
                return;
            }
            drop(l2);
            let _ = tokio::time::timeout(IDLE_CHECK, wake.notified()).await;
        }
    });
}
