//! The second level: Redis or Valkey, shared by all instances of an app.
//!
//! A look-up is one `GET` (two for an answer that varies). Whether what it finds is dead the table in this process says,
//! which follows the purges of all instances; as long as it cannot, or a purge of its own is not confirmed, nothing is
//! read from Redis. What is written there carries what Redis had given of this instance's position when the request
//! began: so a purge by any instance holds for what every instance finds here, also after restarts, and a fill that began
//! before the purge never counts.
//!
//! Redis trouble is a miss: a soft timeout, then a circuit breaker; writes go through a bounded queue that no request
//! waits for.

mod breaker;
mod compress;
mod connect;
mod error;
mod find;
mod follower;
#[cfg(any(test, fuzzing))]
pub(super) mod fuzzing;
mod pool;
mod probe;
mod purges;
mod script;
mod task;
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
use tokio::sync::Notify;

use self::{
    breaker::Breaker,
    pool::{CallError, Pool},
    probe::Probe,
    script::Scripts,
    writer::Writer,
};
pub use self::{
    connect::{DEFAULT_SERVE_WHILE_AWAY, DEFAULT_TIMEOUT, RedisStore},
    error::RedisStoreError,
};
use super::{
    invalidation::Invalidation, key::CacheKey, policy::VaryNames, shared::Found, stats::L2Stats,
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
    table_reads: AtomicU64,
    unconfirmed_hits: AtomicU64,
    panics: AtomicU64,
}

/// An open second level.
pub(super) struct L2 {
    pool: Pool,
    scripts: Scripts,
    invalidation: Arc<Invalidation>,
    entry_prefix: String,
    timeout: Duration,
    clock: Clock,
    breaker: Breaker,
    probe: Probe,
    writer: Writer,
    following: AtomicBool,
    /// Whether the follower has once reached Redis, or failed to.
    settled: AtomicBool,
    /// The follower has got further, or lost its connection.
    moved: Notify,
    /// No reads and writes any more.
    stopped: AtomicBool,
    /// No tasks any more.
    ended: AtomicBool,
    counters: Counters,
}

impl L2 {
    fn new(
        pool: Pool,
        namespace: &str,
        timeout: Duration,
        clock: Clock,
        invalidation: Arc<Invalidation>,
    ) -> Self {
        Self {
            pool,
            scripts: Scripts::new(namespace),
            invalidation,
            entry_prefix: format!("pitcrew:{namespace}:e:"),
            timeout,
            clock,
            breaker: Breaker::new(),
            probe: Probe::default(),
            writer: Writer::default(),
            following: AtomicBool::new(false),
            settled: AtomicBool::new(false),
            moved: Notify::new(),
            stopped: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            counters: Counters::default(),
        }
    }

    /// Looks an answer up; `None` where Redis is not asked at all.
    pub(super) fn look(
        self: &Arc<Self>,
        key: Arc<CacheKey>,
        request: &HeaderMap,
    ) -> Option<Pin<Box<dyn Future<Output = Found> + Send>>> {
        follower::ensure(self);
        let is_reachable = !self.is_settled() || self.is_readable();
        if self.stopped.load(Ordering::Acquire) || !is_reachable || !self.breaker.allows() {
            return None;
        }
        let (l2, request) = (self.clone(), request.clone());
        Some(Box::pin(async move {
            let looking = async {
                // The first requests of an instance wait for its table rather than find nothing.
                l2.until(Self::is_settled).await;
                // Nothing was read before, so here the request may begin; then only is it asked whether L2 may be read.
                let begin = l2.invalidation.now();
                if !l2.is_readable() {
                    return Ok((begin, None));
                }
                Ok((begin, l2.find(&key, &request, begin).await?))
            };
            let result = tokio::time::timeout(l2.timeout, looking).await;
            let result = l2.judged(result.unwrap_or(Err(CallError::Timeout)));
            let (begin, entry) = result.unwrap_or_else(|| (l2.invalidation.now(), None));
            Found { entry, begin }
        }))
    }

    /// A look-up is over. Whether what was found is of use, whoever asked knows: a purge may have made it old.
    pub(super) fn looked(&self, is_hit: bool) {
        let counter = if is_hit {
            &self.counters.hits
        } else {
            &self.counters.misses
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    fn is_readable(&self) -> bool {
        self.invalidation.reads_l2(self.clock.now())
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

    // The handle

    pub(super) fn stats(&self) -> L2Stats {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        L2Stats {
            state: if self.is_down() { "down" } else { "up" },
            hits: load(&self.counters.hits),
            misses: load(&self.counters.misses),
            errors: load(&self.counters.errors),
            dropped_writes: load(&self.counters.dropped_writes),
            pending_purges: self.invalidation.pending(),
            table_reads: load(&self.counters.table_reads),
            unconfirmed_hits: load(&self.counters.unconfirmed_hits),
        }
    }

    fn is_down(&self) -> bool {
        let is_lost = self.is_settled() && !self.invalidation.is_connected(self.clock.now());
        is_lost || self.breaker.is_open()
    }

    /// An answer is given from L1. Counts it where purges of others may have been missed, and sees to it that they are
    /// heard again.
    pub(super) fn served(self: &Arc<Self>) {
        if !self.invalidation.is_connected(self.clock.now()) {
            self.counters
                .unconfirmed_hits
                .fetch_add(1, Ordering::Relaxed);
            follower::ensure(self);
        }
    }

    pub(super) fn panics(&self) -> u64 {
        self.counters.panics.load(Ordering::Relaxed)
    }

    /// Writes what is queued and confirms what is pending, `deadline` at most; then L2 is neither read nor written.
    pub(super) async fn shutdown(self: &Arc<Self>, deadline: Duration) {
        self.stopped.store(true, Ordering::Release);
        let finishing = async {
            if self.invalidation.pending() > 0 {
                follower::ensure(self);
                self.until(|l2| l2.invalidation.pending() == 0).await;
            }
            while let Some(write) = self.writer.pop() {
                self.put(&write).await;
            }
        };
        let _ = tokio::time::timeout(deadline, finishing).await;
        self.ended.store(true, Ordering::Release);
        self.writer.wake();
    }
}
