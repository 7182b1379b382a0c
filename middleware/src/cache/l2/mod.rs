//! The second level: Redis or Valkey, shared by all instances of an app.
//!
//! A look-up is one round trip (two for an answer that varies or carries tags): the entry, the positions of its slots and
//! the counter. An entry carries the counter's value from before its handler was called; it is dead if one of its slots
//! stands higher in Redis. So a purge by one instance holds for what every instance finds here, also after restarts, and
//! a fill that began before the purge never counts. The positions are one hash; when that is missing (new, flushed,
//! evicted) it is made anew with "all" at the present position, so that entries of before are dead.
//!
//! Redis trouble is a miss: a soft timeout, then a circuit breaker; writes go through a bounded queue that no request
//! waits for.

mod breaker;
mod compress;
mod connect;
mod error;
mod find;
mod pool;
mod probe;
mod purges;
#[cfg(feature = "redis-tls")]
mod tls;
mod wire;
mod writer;

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use http::HeaderMap;
use redis::{FromRedisValue, Pipeline};
use siphasher::sip128::{Hasher128, SipHasher13};

use self::{
    breaker::Breaker,
    pool::{CallError, Pool},
    probe::Probe,
    purges::Purges,
    writer::Writer,
};
pub use self::{
    connect::{DEFAULT_TIMEOUT, RedisStore},
    error::RedisStoreError,
};
use super::{
    entry::Entry,
    invalidation::{Position, PurgeState},
    key::CacheKey,
    policy::VaryNames,
    shared::Found,
    stats::L2Stats,
};
use crate::clock::Clock;

/// Longest time for what nobody waits for: writes, and purges tried again.
const BACKGROUND_TIMEOUT: Duration = Duration::from_secs(1);
#[derive(Default)]
struct Counters {
    hits: AtomicU64,
    misses: AtomicU64,
    errors: AtomicU64,
    dropped_writes: AtomicU64,
    panics: AtomicU64,
}

/// An open second level.
pub(super) struct L2 {
    pool: Pool,
    positions_key: String,
    entry_prefix: String,
    timeout: Duration,
    clock: Clock,
    breaker: Breaker,
    probe: Probe,
    purges: Purges,
    writer: Writer,
    /// Highest position seen, so that a Redis that lost writes never goes back behind it.
    highest: AtomicU64,
    stopped: AtomicBool,
    retrying: AtomicBool,
    counters: Counters,
}

impl L2 {
    fn new(pool: Pool, namespace: &str, timeout: Duration, clock: Clock) -> Self {
        Self {
            pool,
            positions_key: format!("pitcrew:{{{namespace}}}:positions"),
            entry_prefix: format!("pitcrew:{namespace}:e:"),
            timeout,
            clock,
            breaker: Breaker::new(),
            probe: Probe::default(),
            purges: Purges::default(),
            writer: Writer::default(),
            highest: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
            retrying: AtomicBool::new(false),
            counters: Counters::default(),
        }
    }

    /// Looks an answer up; `None` where Redis is not asked at all. `stamp` is this instance's position when the request
    /// began: what is found counts as no newer.
    pub(super) fn look(
        self: &Arc<Self>,
        key: Arc<CacheKey>,
        request: &HeaderMap,
        slots: [u32; 2],
        stamp: Position,
    ) -> Option<Pin<Box<dyn Future<Output = Found> + Send>>> {
        if self.purges.count() > 0 {
            // Also where the purge's own future was dropped, or its task died with a runtime.
            writer::ensure_purging(self);
            return None;
        }
        if self.stopped.load(Ordering::Acquire) || !self.breaker.allows() {
            return None;
        }
        let (l2, request) = (self.clone(), request.clone());
        Some(Box::pin(async move {
            let looking = tokio::time::timeout(l2.timeout, l2.find(&key, &request, slots, stamp));
            let result = looking.await.unwrap_or(Err(CallError::Timeout));
            let found = l2.judged(result).unwrap_or(Found {
                entry: None,
                stamp: None,
            });
            let counter = if found.entry.is_some() {
                &l2.counters.hits
            } else {
                &l2.counters.misses
            };
            counter.fetch_add(1, Ordering::Relaxed);
            found
        }))
    }

    async fn call<T: FromRedisValue>(
        &self,
        pipeline: &Pipeline,
        timeout: Duration,
    ) -> Result<T, CallError> {
        self.pool.call(pipeline, timeout).await
    }

    /// Tells the breaker and the counters.
    fn judged<T>(&self, result: Result<T, CallError>) -> Option<T> {
        match result {
            Ok(value) => {
                self.breaker.succeeded();
                Some(value)
            }
            Err(error) => {
                self.breaker.failed();
                self.counters.errors.fetch_add(1, Ordering::Relaxed);
                tracing::debug!(%error, "the second cache level did not answer");
                None
            }
        }
    }

    /// The Redis key of an answer, or of what says how it varies. Its hash is the same in every instance; the whole key
    /// stands in the value, so that a collision is a miss.
    fn entry_key(&self, key: &[u8], variant: Option<(&VaryNames, &[u8])>) -> String {
        let mut hasher = SipHasher13::new();
        let mut write = |part: &[u8]| {
            use std::hash::Hasher;
            hasher.write(&(part.len() as u64).to_le_bytes());
            hasher.write(part);
        };
        write(key);
        if let Some((names, values)) = variant {
            names
                .names
                .iter()
                .for_each(|name| write(name.as_str().as_bytes()));
            write(values);
        }
        let hash = hasher.finish128();
        format!("{}{:016x}{:016x}", self.entry_prefix, hash.h1, hash.h2)
    }

    // Writing

    /// Queues an answer; full, the oldest queued one is given up.
    pub(super) fn write(
        self: &Arc<Self>,
        key: &Arc<CacheKey>,
        entry: &Arc<Entry>,
        stamp: u64,
        compress_above: usize,
    ) {
        if self.stopped.load(Ordering::Acquire) {
            return;
        }
        let dropped = self.writer.push(writer::Write {
            key: key.clone(),
            entry: entry.clone(),
            stamp,
            compress_above,
        });
        self.counters
            .dropped_writes
            .fetch_add(dropped, Ordering::Relaxed);
        writer::ensure(self);
    }

    /// Writes one answer. What Redis does not take is lost to L2, nothing more.
    async fn put(&self, write: &writer::Write) {
        let (entry, now) = (&write.entry, self.clock.now());
        let ttl = crate::clock::millis(entry.useful_for(now));
        if ttl == 0 {
            return;
        }
        if !self.breaker.allows() {
            self.counters.dropped_writes.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let resident = crate::clock::millis(now.saturating_sub(entry.made));
        let made_unix_ms = self.clock.unix_ms().saturating_sub(resident);
        let key = write.key.bytes();
        let packed = compress::pack(&entry.body, write.compress_above).await;
        let value = wire::encode_answer(key, entry, packed.as_deref(), write.stamp, made_unix_ms);
        let mut pipeline = redis::pipe();
        let mut set = |redis_key: String, value: Vec<u8>| {
            pipeline
                .cmd("SET")
                .arg(redis_key)
                .arg(value)
                .arg("PX")
                .arg(ttl)
                .ignore();
        };
        if entry.vary.names.is_empty() {
            set(self.entry_key(key, None), value);
        } else {
            set(
                self.entry_key(key, Some((&entry.vary, &entry.values))),
                value,
            );
            set(
                self.entry_key(key, None),
                wire::encode_vary(key, &entry.vary),
            );
        }
        if self
            .judged(self.call::<()>(&pipeline, BACKGROUND_TIMEOUT).await)
            .is_none()
        {
            self.counters.dropped_writes.fetch_add(1, Ordering::Relaxed);
        }
    }

    // Purging

    /// From here on this instance reads nothing from L2, until Redis has confirmed.
    pub(super) fn begin_purge(&self, slot: u32) {
        self.purges.add(slot);
    }

    /// Tells Redis what is pending, and goes on in the background where that fails.
    pub(super) async fn purge(self: &Arc<Self>) -> PurgeState {
        if self.confirm_purges(self.timeout.max(DEFAULT_TIMEOUT)).await {
            return PurgeState::Done;
        }
        writer::ensure_purging(self);
        PurgeState::Pending
    }

    /// [`Self::purge`] for those who do not wait.
    pub(super) fn purge_in_background(self: &Arc<Self>) {
        writer::ensure_purging(self);
    }

    async fn confirm_purges(&self, timeout: Duration) -> bool {
        let pending = self.purges.all();
        let slots: Vec<u32> = pending.iter().map(|(slot, _)| *slot).collect();
        if slots.is_empty() {
            return true;
        }
        let confirmed = self
            .judged(self.next_position(&slots, timeout).await)
            .is_some();
        if confirmed {
            self.purges.confirm(&pending);
        }
        confirmed
    }

    // The handle

    pub(super) fn stats(&self) -> L2Stats {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        L2Stats {
            state: if self.breaker.is_open() { "down" } else { "up" },
            hits: load(&self.counters.hits),
            misses: load(&self.counters.misses),
            errors: load(&self.counters.errors),
            dropped_writes: load(&self.counters.dropped_writes),
            pending_purges: self.purges.count() as u64,
        }
    }

    pub(super) fn panics(&self) -> u64 {
        self.counters.panics.load(Ordering::Relaxed)
    }

    /// Writes what is queued and confirms what is pending, `deadline` at most; then L2 is neither read nor written.
    pub(super) async fn shutdown(&self, deadline: Duration) {
        self.stopped.store(true, Ordering::Release);
        let finishing = async {
            while !self.confirm_purges(BACKGROUND_TIMEOUT).await {
                tokio::time::sleep(writer::RETRY_AFTER).await;
            }
            while let Some(write) = self.writer.pop() {
                self.put(&write).await;
            }
        };
        let _ = tokio::time::timeout(deadline, finishing).await;
        self.writer.wake();
    }
}
