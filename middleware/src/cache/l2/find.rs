//! Finding an answer in Redis: one look-up, and another one where it varies.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use super::{
    L2,
    wire::{self, Answer, Value},
};
use crate::cache::{entry::Entry, invalidation::Position, key::CacheKey, policy::VaryNames};

/// An entry from further ahead than this was written by a machine whose clock cannot be trusted.
const MAX_CLOCK_SKEW_MS: u64 = 60_000;

/// What leads to an answer.
pub(super) enum Lead {
    Answer(Arc<Entry>),
    /// The answers under this key vary so; each stands under a key of its own.
    Vary(VaryNames),
}

impl L2 {
    /// Looks up what stands under a key, for a request that begins at `begin`. Whether it is dead the table in this process
    /// says, to whoever takes it.
    pub(super) async fn find(
        self: &Arc<Self>,
        key: &CacheKey,
        redis_key: &str,
        begin: Position,
        timeout: Duration,
    ) -> Option<Lead> {
        match self.get(key, redis_key, timeout).await? {
            Value::Answer(answer) if answer.entry.vary.names.is_empty() => {
                self.import(*answer, begin).map(Lead::Answer)
            }
            Value::Answer(_) => None,
            Value::Vary(names) => Some(Lead::Vary(names)),
        }
    }

    /// The answer for a request with these values in the fields that answers vary on.
    pub(super) async fn find_variant(
        self: &Arc<Self>,
        key: &CacheKey,
        names: &VaryNames,
        values: &[u8],
        begin: Position,
        timeout: Duration,
    ) -> Option<Arc<Entry>> {
        let redis_key = self.entry_key(key.bytes(), Some((names, values)));
        // Whoever asked for the first of two keys has passed its breaker; in a cluster the second lies elsewhere.
        if !self.breakers.of(&redis_key).allows() {
            return None;
        }
        match self.get(key, &redis_key, timeout).await? {
            Value::Answer(answer)
                if *answer.entry.values == *values && answer.entry.vary == *names =>
            {
                self.import(*answer, begin)
            }
            _ => None,
        }
    }

    /// An answer as this instance takes it.
    fn import(&self, answer: Answer, begin: Position) -> Option<Arc<Entry>> {
        let now_ms = self.clock.unix_ms();
        if answer.made_unix_ms > now_ms + MAX_CLOCK_SKEW_MS {
            return None;
        }
        let mut entry = answer.entry;
        entry.stamp = Position::imported(answer.stamp, begin);
        // Made when it was, so that nobody takes it for newer than that; what lies before this process is in its age.
        let since = Duration::from_millis(now_ms.saturating_sub(answer.made_unix_ms));
        let now = self.clock.now();
        entry.made = now.saturating_sub(since);
        entry.age += since.saturating_sub(now);
        Some(Arc::new(entry))
    }

    async fn get(
        self: &Arc<Self>,
        key: &CacheKey,
        redis_key: &str,
        timeout: Duration,
    ) -> Option<Value> {
        let usual = self.usual_bytes.load(Ordering::Relaxed);
        let bytes = self.get_bytes(redis_key, usual, timeout).await?;
        // A moving mean. That others may write between is of no matter.
        let usual = usual - usual / 16 + bytes.len() / 16;
        self.usual_bytes.store(usual, Ordering::Relaxed);
        wire::decode(&bytes, key.bytes())
    }
}
