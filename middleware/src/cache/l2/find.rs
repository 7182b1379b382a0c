//! Finding an answer in Redis: one `GET`, and another one where it varies.

use std::{sync::Arc, time::Duration};

use http::HeaderMap;

use super::{
    L2,
    pool::CallError,
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
    ) -> Result<Option<Arc<Entry>>, CallError> {
        let answer = match self.get(key, None).await? {
            Some(Value::Answer(answer)) if answer.entry.vary.names.is_empty() => Some(answer),
            Some(Value::Answer(_)) | None => None,
            Some(Value::Vary(names)) => self.find_variant(key, &names, request).await?,
        };
        let now_ms = self.clock.unix_ms();
        let trusted = answer.filter(|answer| answer.made_unix_ms <= now_ms + MAX_CLOCK_SKEW_MS);
        Ok(trusted.map(|answer| {
            let mut entry = answer.entry;
            entry.stamp = Position::imported(answer.stamp, begin);
            entry.made = self.clock.now();
            entry.age += Duration::from_millis(now_ms.saturating_sub(answer.made_unix_ms));
            Arc::new(entry)
        }))
    }

    async fn get(
        &self,
        key: &CacheKey,
        variant: Option<(&VaryNames, &[u8])>,
    ) -> Result<Option<Value>, CallError> {
        let mut pipeline = redis::pipe();
        pipeline
            .cmd("GET")
            .arg(self.entry_key(key.bytes(), variant));
        let (bytes,): (Option<Vec<u8>>,) = self.call(&pipeline, self.timeout).await?;
        Ok(bytes.and_then(|bytes| wire::decode(&bytes, key.bytes())))
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
        Ok(match self.get(key, Some((names, &values))).await? {
            Some(Value::Answer(answer))
                if answer.entry.values == values && answer.entry.vary == *names =>
            {
                Some(answer)
            }
            _ => None,
        })
    }
}
