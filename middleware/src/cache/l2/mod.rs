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
mod pool;
mod purges;
mod wire;
mod writer;

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use bb8_redis::RedisConnectionManager;
use http::HeaderMap;
use redis::{FromRedisValue, Pipeline};
use siphasher::sip128::{Hasher128, SipHasher13};

use self::{
    breaker::Breaker,
    pool::{CallError, Pool},
    purges::Purges,
    wire::Value,
    writer::Writer,
};
use super::{
    entry::Entry,
    invalidation::{ALL, PurgeState},
    key::CacheKey,
    policy::VaryNames,
    shared::Found,
    stats::L2Stats,
};
use crate::clock::Clock;

/// Longest time a request waits for Redis unless told otherwise.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_millis(50);
/// Longest time for what nobody waits for: writes, and purges tried again.
const BACKGROUND_TIMEOUT: Duration = Duration::from_secs(1);
/// An entry from further ahead than this was written by a machine whose clock cannot be trusted.
const MAX_CLOCK_SKEW_MS: u64 = 60_000;

/// Takes the next position and writes it into the slots that are named: larger than every one before, and at least the
/// time, so that a Redis that lost its last writes never gives a position twice. `%.0f`: Lua's numbers are doubles,
/// exact to 2^53; microseconds reach that in the year 2255.
const NEXT_POSITION: &str = r"
local time = redis.call('TIME')
local counter = tonumber(redis.call('HGET', KEYS[1], 'c') or '0')
local position = math.max(counter, tonumber(ARGV[1])) + 1
position = math.max(position, time[1] * 1000000 + time[2])
local text = string.format('%.0f', position)
if counter == 0 then redis.call('HSET', KEYS[1], 'all', text) end
redis.call('HSET', KEYS[1], 'c', text)
for i = 2, #ARGV do redis.call('HSET', KEYS[1], ARGV[i], text) end
return text
";

/// Why a [`RedisStore`] cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RedisStoreError {
    /// The URL cannot be used.
    #[error(
        "the Redis URL cannot be used; write redis://[user:password@]host[:port][/db] or redis+unix:///path"
    )]
    Url(#[source] redis::RedisError),
    /// The URL asks for TLS, which this build does not have.
    #[error(
        "rediss:// needs TLS, which this build does not have; use redis:// or redis+unix://, or a local TLS proxy"
    )]
    Tls,
}

/// A cache level in Redis or Valkey, shared by every instance that uses the same namespace.
#[derive(Clone)]
pub struct RedisStore {
    manager: RedisConnectionManager,
    namespace: String,
    timeout: Duration,
}

impl RedisStore {
    /// A store at `url`; connects when first used, so it never fails because Redis is down.
    ///
    /// # Errors
    ///
    /// [`RedisStoreError::Url`] where the URL cannot be read, [`RedisStoreError::Tls`] for `rediss://`.
    pub fn connect(url: &str) -> Result<Self, RedisStoreError> {
        let scheme = url.split(':').next().unwrap_or_default();
        if scheme.eq_ignore_ascii_case("rediss") || scheme.eq_ignore_ascii_case("valkeys") {
            return Err(RedisStoreError::Tls);
        }
        let manager = RedisConnectionManager::new(url).map_err(RedisStoreError::Url)?;
        Ok(Self {
            manager,
            namespace: "default".to_owned(),
            timeout: DEFAULT_TIMEOUT,
        })
    }

    /// Begins every Redis key of this app; two apps with different namespaces never see each other's entries. Default
    /// `default`.
    #[must_use]
    pub fn namespace(mut self, namespace: &str) -> Self {
        namespace.clone_into(&mut self.namespace);
        self
    }

    /// Longest time a request waits for Redis. Default [`DEFAULT_TIMEOUT`].
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    pub(super) fn open(self, clock: Clock) -> L2 {
        L2 {
            pool: Pool::new(self.manager),
            positions_key: format!("pitcrew:{{{}}}:positions", self.namespace),
            entry_prefix: format!("pitcrew:{}:e:", self.namespace),
            timeout: self.timeout,
            clock,
            breaker: Breaker::new(),
            purges: Purges::default(),
            writer: Writer::default(),
            highest: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
            retrying: AtomicBool::new(false),
            counters: Counters::default(),
        }
    }
}

impl fmt::Debug for RedisStore {
    /// Without the URL: it may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore")
            .field("namespace", &self.namespace)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

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
    purges: Purges,
    writer: Writer,
    /// Highest position seen, so that a Redis that lost writes never goes back behind it.
    highest: AtomicU64,
    stopped: AtomicBool,
    retrying: AtomicBool,
    counters: Counters,
}

impl L2 {
    /// Looks an answer up; `None` where Redis is not asked at all. `stamp` is this instance's position when the request
    /// began: what is found counts as no newer.
    pub(super) fn look(
        self: &Arc<Self>,
        key: Arc<CacheKey>,
        request: &HeaderMap,
        slots: [u32; 2],
        stamp: u64,
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

    async fn find(
        &self,
        key: &CacheKey,
        request: &HeaderMap,
        slots: [u32; 2],
        stamp: u64,
    ) -> Result<Found, CallError> {
        let mut pipeline = redis::pipe();
        pipeline.cmd("GET").arg(self.entry_key(key.bytes(), None));
        // After the entry: a purge between the two is seen.
        self.add_positions(&mut pipeline, &slots);
        let (bytes, positions): (Option<Vec<u8>>, Vec<Option<u64>>) =
            self.call(&pipeline, self.timeout).await?;
        let Some(now) = positions.first().copied().flatten() else {
            // No positions: new, flushed or evicted. What stands here may be older than a purge that is forgotten.
            let position = self.next_position(&[], self.timeout).await?;
            return Ok(Found {
                entry: None,
                stamp: Some(position),
            });
        };
        self.highest.fetch_max(now, Ordering::AcqRel);
        let nothing = Found {
            entry: None,
            stamp: Some(now),
        };
        let answer = match bytes.and_then(|bytes| wire::decode(&bytes, key.bytes())) {
            None => return Ok(nothing),
            Some(Value::Answer(answer)) if answer.entry.vary.0.is_empty() => Some(answer),
            Some(Value::Answer(_)) => return Ok(nothing),
            Some(Value::Vary(names)) => self.find_variant(key, &names, request).await?,
        };
        let Some(answer) = answer else {
            return Ok(nothing);
        };
        let known = positions[1..].iter().flatten().copied().max().unwrap_or(0);
        let others: Vec<u32> = answer
            .entry
            .slots
            .iter()
            .copied()
            .filter(|slot| !slots.contains(slot))
            .collect();
        let tags = self.highest_of(&others).await?;
        if known.max(tags) > answer.stamp {
            return Ok(nothing);
        }
        let now_ms = self.clock.unix_ms();
        if answer.made_unix_ms > now_ms + MAX_CLOCK_SKEW_MS {
            return Ok(nothing);
        }
        let mut entry = answer.entry;
        entry.stamp = stamp;
        entry.made = self.clock.now();
        entry.age += Duration::from_millis(now_ms.saturating_sub(answer.made_unix_ms));
        Ok(Found {
            entry: Some(Arc::new(entry)),
            stamp: Some(now),
        })
    }

    async fn find_variant(
        &self,
        key: &CacheKey,
        names: &VaryNames,
        request: &HeaderMap,
    ) -> Result<Option<Box<wire::Answer>>, CallError> {
        let Some(values) = names.values(request) else {
            return Ok(None);
        };
        let mut pipeline = redis::pipe();
        pipeline
            .cmd("GET")
            .arg(self.entry_key(key.bytes(), Some((names, &values))));
        let (bytes,): (Option<Vec<u8>>,) = self.call(&pipeline, self.timeout).await?;
        Ok(
            match bytes.and_then(|bytes| wire::decode(&bytes, key.bytes())) {
                Some(Value::Answer(answer))
                    if answer.entry.values == values && answer.entry.vary == *names =>
                {
                    Some(answer)
                }
                _ => None,
            },
        )
    }

    /// The highest position of these slots and of "all"; 0 where none was ever purged.
    async fn highest_of(&self, slots: &[u32]) -> Result<u64, CallError> {
        if slots.is_empty() {
            return Ok(0);
        }
        let mut pipeline = redis::pipe();
        self.add_positions(&mut pipeline, slots);
        let (positions,): (Vec<Option<u64>>,) = self.call(&pipeline, self.timeout).await?;
        // Without its counter the table was lost meanwhile: count everything as purged.
        if positions.first().is_none_or(Option::is_none) {
            return Ok(u64::MAX);
        }
        Ok(positions[1..].iter().flatten().copied().max().unwrap_or(0))
    }

    /// `HMGET positions c all slot...`.
    fn add_positions(&self, pipeline: &mut Pipeline, slots: &[u32]) {
        let command = pipeline
            .cmd("HMGET")
            .arg(&self.positions_key)
            .arg("c")
            .arg(field(ALL));
        for slot in slots {
            command.arg(field(*slot));
        }
    }

    async fn next_position(&self, slots: &[u32], timeout: Duration) -> Result<u64, CallError> {
        let mut pipeline = redis::pipe();
        let command = pipeline
            .cmd("EVAL")
            .arg(NEXT_POSITION)
            .arg(1)
            .arg(&self.positions_key);
        command.arg(self.highest.load(Ordering::Acquire));
        for slot in slots {
            command.arg(field(*slot));
        }
        let (position,): (u64,) = self.call(&pipeline, timeout).await?;
        self.highest.fetch_max(position, Ordering::AcqRel);
        Ok(position)
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
                .0
                .iter()
                .for_each(|name| write(name.as_str().as_bytes()));
            write(values);
        }
        let hash = hasher.finish128();
        format!("{}{:016x}{:016x}", self.entry_prefix, hash.h1, hash.h2)
    }

    // Writing

    /// Queues an answer; full, the oldest queued one is given up.
    pub(super) fn write(self: &Arc<Self>, key: &Arc<CacheKey>, entry: &Arc<Entry>, stamp: u64) {
        if self.stopped.load(Ordering::Acquire) {
            return;
        }
        let dropped = self.writer.push(writer::Write {
            key: key.clone(),
            entry: entry.clone(),
            stamp,
        });
        self.counters
            .dropped_writes
            .fetch_add(dropped, Ordering::Relaxed);
        writer::ensure(self);
    }

    /// Writes one answer. What Redis does not take is lost to L2, nothing more.
    async fn put(&self, write: &writer::Write) {
        let (entry, now) = (&write.entry, self.clock.now());
        let ttl = crate::clock::millis(entry.ttl(now));
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
        let value = wire::encode_answer(key, entry, write.stamp, made_unix_ms);
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
        if entry.vary.0.is_empty() {
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

/// The name of a slot in the hash of positions.
fn field(slot: u32) -> String {
    if slot == ALL {
        "all".to_owned()
    } else {
        slot.to_string()
    }
}
