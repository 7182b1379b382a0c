//! The second level: Redis or Valkey, shared by all instances of an app.
//!
//! A look-up is one `GET` (two for an answer that varies); many at once share an `MGET`. Whether what it finds is dead the table in this process says,
//! which follows the purges of all instances; as long as it cannot, or a purge of its own is not confirmed, nothing is
//! read from Redis. What is written there carries what Redis had given of this instance's position when the request
//! began: so a purge by any instance holds for what every instance finds here, also after restarts, and a fill that began
//! before the purge never counts.
//!
//! Redis trouble is a miss: a soft timeout, then a circuit breaker; writes go through a bounded queue that no request
//! waits for.

mod breaker;
mod breakers;
#[cfg(feature = "redis-cluster")]
mod cluster;
mod compress;
mod connect;
mod error;
mod find;
mod follower;
#[cfg(any(test, fuzzing))]
pub(super) mod fuzzing;
mod gather;
mod opener;
mod pool;
mod probe;
mod purges;
mod script;
#[cfg(feature = "redis-sentinel")]
mod sentinel;
mod task;
#[cfg(feature = "redis-tls")]
mod tls;
mod wire;
mod writer;

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use redis::FromRedisValue;
use siphasher::sip128::{Hasher128, SipHasher13};
use tokio::sync::Notify;

use self::{
    breakers::Breakers,
    find::Lead,
    gather::Gather,
    opener::Question,
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
    figures::stats::L2Stats,
    invalidation::{Invalidation, Position},
    key::CacheKey,
    miss::looking::{Found, Looking},
    policy::VaryNames,
    runtime,
    timed::timed,
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
    last_error: Mutex<Option<String>>,
}

impl Counters {
    fn failed(&self, error: &CallError) {
        let mut last = self
            .last_error
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *last = Some(error.to_string());
    }

    fn last_error(&self) -> Option<String> {
        let last = self.last_error.lock();
        last.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// An open second level.
pub(super) struct L2 {
    pool: Pool,
    scripts: Scripts,
    invalidation: Arc<Invalidation>,
    entry_prefix: String,
    timeout: Duration,
    clock: Clock,
    breakers: Breakers,
    probe: Probe,
    writer: Writer,
    gather: Gather,
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
    /// How long what is read has been of late.
    usual_bytes: AtomicUsize,
}

impl L2 {
    fn new(
        pool: Pool,
        namespace: &str,
        timeout: Duration,
        clock: Clock,
        invalidation: Arc<Invalidation>,
    ) -> Self {
        let opener = pool.opener();
        Self {
            scripts: Scripts::new(namespace, opener.fails_over()),
            breakers: Breakers::new(opener.is_cluster()),
            pool,
            invalidation,
            entry_prefix: format!("pitcrew:{namespace}:e:"),
            timeout,
            clock,
            probe: Probe::default(),
            writer: Writer::default(),
            gather: Gather::default(),
            following: AtomicBool::new(false),
            settled: AtomicBool::new(false),
            moved: Notify::new(),
            stopped: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            counters: Counters::default(),
            usual_bytes: AtomicUsize::new(0),
        }
    }

    /// Looks up what stands under a key; `None` where Redis is not asked at all.
    pub(super) fn look(self: &Arc<Self>, key: Arc<CacheKey>) -> Option<Looking> {
        follower::ensure(self);
        let is_settled = self.is_settled();
        if self.stopped.load(Ordering::Acquire) || (is_settled && !self.is_readable()) {
            return None;
        }
        let redis_key = self.entry_key(key.bytes(), None);
        if !self.breakers.of(&redis_key).allows() {
            return None;
        }
        let l2 = self.clone();
        Some(Box::pin(timed(async move {
            let began = Instant::now();
            let left = || l2.timeout.saturating_sub(began.elapsed());
            // The first requests of an instance wait for its table rather than find nothing.
            let is_late = !is_settled
                && tokio::time::timeout(l2.timeout, l2.until(Self::is_settled))
                    .await
                    .is_err();
            // Nothing was read before, so here the request may begin; then only is it asked whether L2 may be read.
            let begin = l2.invalidation.now();
            let lead = if is_late {
                l2.judged(&redis_key, Err(CallError::Timeout))
            } else if l2.is_readable() {
                let timeout = if is_settled { l2.timeout } else { left() };
                l2.find(&key, &redis_key, begin, timeout).await
            } else {
                None
            };
            let (entry, vary) = match lead {
                Some(Lead::Answer(entry)) => (Some(entry), None),
                Some(Lead::Vary(names)) => (None, Some((names, left()))),
                None => (None, None),
            };
            Found { entry, begin, vary }
        })))
    }

    /// Looks on, after a look-up that has found how answers vary, for a request with these values.
    pub(super) fn look_for_variant(
        self: &Arc<Self>,
        key: Arc<CacheKey>,
        (names, timeout): (VaryNames, Duration),
        values: Box<[u8]>,
        begin: Position,
    ) -> Looking {
        let l2 = self.clone();
        Box::pin(timed(async move {
            let found = l2.find_variant(&key, &names, &values, begin, timeout);
            Found {
                entry: found.await,
                begin,
                vary: None,
            }
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

    /// `bytes` are about those that it and its answer have.
    async fn call<T: FromRedisValue>(
        &self,
        question: &impl Question,
        bytes: usize,
        timeout: Duration,
    ) -> Result<T, CallError> {
        self.pool.call(question, bytes, timeout).await
    }

    /// Tells the breaker of what was asked for, and the counters.
    fn judged<T>(&self, redis_key: &str, result: Result<T, CallError>) -> Option<T> {
        let breaker = self.breakers.of(redis_key);
        match result {
            Ok(value) => {
                breaker.succeeded();
                Some(value)
            }
            Err(error) => {
                breaker.failed();
                self.missed(&error);
                None
            }
        }
    }

    /// Counts a question that brought no answer.
    fn missed(&self, error: &CallError) {
        self.counters.errors.fetch_add(1, Ordering::Relaxed);
        self.counters.failed(error);
        tracing::debug!(%error, "the second cache level did not answer");
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
        let mut redis_key = String::with_capacity(self.entry_prefix.len() + 32);
        redis_key.push_str(&self.entry_prefix);
        for half in [hash.h1, hash.h2] {
            let digit = |at| char::from(b"0123456789abcdef"[(half >> (4 * at)) as usize & 15]);
            redis_key.extend((0..16).rev().map(digit));
        }
        redis_key
    }

    // The handle

    pub(super) fn stats(&self) -> L2Stats {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (queued_writes, queued_bytes) = self.writer.depth();
        L2Stats {
            state: if self.is_down() { "down" } else { "up" },
            hits: load(&self.counters.hits),
            misses: load(&self.counters.misses),
            errors: load(&self.counters.errors),
            queued_writes,
            queued_bytes,
            dropped_writes: load(&self.counters.dropped_writes),
            pending_purges: self.invalidation.pending(),
            table_reads: load(&self.counters.table_reads),
            unconfirmed_hits: load(&self.counters.unconfirmed_hits),
            last_error: self.counters.last_error(),
        }
    }

    fn is_down(&self) -> bool {
        let is_lost = self.is_settled() && !self.invalidation.is_connected(self.clock.now());
        is_lost || self.breakers.of(self.scripts.key()).is_open()
    }

    /// An answer is given from L1. Counts it where purges of others may have been missed, and sees to it that they are
    /// heard again.
    pub(super) fn served(self: &Arc<Self>, now: Duration) {
        if !self.invalidation.is_connected(now) {
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
                self.write_through(&write).await;
            }
        };
        if runtime::has_one() {
            let _ = tokio::time::timeout(deadline, finishing).await;
        }
        self.ended.store(true, Ordering::Release);
        self.writer.wake();
    }
}
