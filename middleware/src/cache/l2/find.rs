//! Finding an answer in Redis: one `GET`, and another one where it varies.

use std::{sync::Arc, time::Duration};

use http::HeaderMap;

use tokio::time::Instant;

use super::{
    L2,
    wire::{self, Value},
};
use crate::cache::{entry::Entry, invalidation::Position, key::CacheKey, policy::VaryNames};

/// An entry from further ahead than this was written by a machine whose clock cannot be trusted.
const MAX_CLOCK_SKEW_MS: u64 = 60_000;

impl L2 {
    /// Looks an answer up for a request that begins at `begin`. Whether it is dead the table in this process says, to
    /// whoever takes it.
    pub(super) async fn find(
        &self,
        key: &CacheKey,
        request: &HeaderMap,
        begin: Position,
        deadline: Instant,
    ) -> Option<Arc<Entry>> {
        let answer = match self.get(key, None, deadline).await? {
            Value::Answer(answer) if answer.entry.vary.names.is_empty() => answer,
            Value::Answer(_) => return None,
            Value::Vary(names) => self.find_variant(key, &names, request, deadline).await?,
        };
        let now_ms = self.clock.unix_ms();
        if answer.made_unix_ms > now_ms + MAX_CLOCK_SKEW_MS {
            return None;
        }
        let mut entry = answer.entry;
        entry.stamp = Position::imported(answer.stamp, begin);
        entry.made = self.clock.now();
        entry.age += Duration::from_millis(now_ms.saturating_sub(answer.made_unix_ms));
        Some(Arc::new(entry))
    }

    async fn get(
        &self,
        key: &CacheKey,
        variant: Option<(&VaryNames, &[u8])>,
        deadline: Instant,
    ) -> Option<Value> {
        let redis_key = self.entry_key(key.bytes(), variant);
        // Whoever asked for the first of two keys has passed its breaker; in a cluster the second lies elsewhere.
        if variant.is_some() && !self.breakers.of(&redis_key).allows() {
            return None;
        }
        let mut pipeline = redis::pipe();
        pipeline.cmd("GET").arg(&redis_key);
        let left = deadline.saturating_duration_since(Instant::now());
        let got = self.call(&pipeline, left).await;
        let (bytes,): (Option<Vec<u8>>,) = self.judged(&redis_key, got)?;
        wire::decode(&bytes?, key.bytes())
    }

    async fn find_variant(
        &self,
        key: &CacheKey,
        names: &VaryNames,
        request: &HeaderMap,
        deadline: Instant,
    ) -> Option<Box<wire::Answer>> {
        let values = names.values(request)?;
        match self.get(key, Some((names, &values)), deadline).await? {
            Value::Answer(answer)
                if answer.entry.values == values && answer.entry.vary == *names =>
            {
                Some(answer)
            }
            _ => None,
        }
    }
}
