//! Finding an answer in Redis, and the positions that say whether it is dead.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use http::HeaderMap;
use redis::Pipeline;

use super::{
    L2,
    pool::CallError,
    wire::{self, Value},
};
use crate::cache::{
    invalidation::{ALL, Position},
    key::CacheKey,
    policy::VaryNames,
    shared::Found,
};

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

impl L2 {
    pub(super) async fn find(
        &self,
        key: &CacheKey,
        request: &HeaderMap,
        slots: [u32; 2],
        stamp: Position,
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
            Some(Value::Answer(answer)) if answer.entry.vary.names.is_empty() => Some(answer),
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

    pub(super) async fn next_position(
        &self,
        slots: &[u32],
        timeout: Duration,
    ) -> Result<u64, CallError> {
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
}

/// The name of a slot in the hash of positions.
fn field(slot: u32) -> String {
    if slot == ALL {
        "all".to_owned()
    } else {
        slot.to_string()
    }
}
