//! How an answer is written into Redis, and read back with every doubt counting as "nothing there".
//!
//! `magic, version, kind, checksum, key, ...`, every variable part with its length. The whole key stands in the value:
//! the Redis key is only a hash of it. Numbers are little-endian.

use std::{sync::atomic::AtomicU64, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use xxhash_rust::xxh3::xxh3_64;

use super::compress::unpack;
use crate::cache::{
    entry::reply_headers::ReplyHeaders,
    entry::{Credit, Entry},
    invalidation::{Position, SLOTS},
    policy::{Share, Stale, VaryNames, response::MAX_FIELDS},
};

const MAGIC: &[u8; 4] = b"PCRW";
/// Raised with every change of what follows. An older or newer value is a miss.
const VERSION: u8 = 5;
const KIND_ANSWER: u8 = 1;
const KIND_VARY: u8 = 2;
/// How the body stands there.
const PLAIN: u8 = 0;
const ZSTD: u8 = 1;
/// Bytes before the checked part: magic, version, kind, checksum.
const HEAD_BYTES: usize = 4 + 1 + 1 + 8;

/// What stands under a Redis key.
#[derive(Debug)]
pub(super) enum Value {
    Answer(Box<Answer>),
    /// The answers under this key vary; each stands under a key of its own.
    Vary(VaryNames),
}

/// An answer as it stands in Redis.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) entry: Entry,
    /// What Redis had given of the writer's position when its request began.
    pub(super) stamp: u64,
    /// Wall time when the answer came, milliseconds.
    pub(super) made_unix_ms: u64,
}

/// `packed` is the body as it is to stand there, where it is compressed.
pub(super) fn encode_answer(
    key: &[u8],
    entry: &Entry,
    packed: Option<&[u8]>,
    made_unix_ms: u64,
) -> Vec<u8> {
    let body = packed.unwrap_or(&entry.body);
    let mut out = begin(KIND_ANSWER, key, body.len() + 512);
    put_vary(&mut out, &entry.vary);
    put(&mut out, &entry.values);
    out.extend_from_slice(&entry.status.as_u16().to_le_bytes());
    out.push(
        u8::from(entry.share.cookie)
            | (u8::from(entry.share.authorization) << 1)
            | (u8::from(entry.stale.forbidden) << 2),
    );
    for number in [
        entry.stamp.redis(),
        made_unix_ms,
        millis(entry.age),
        millis(entry.fresh_for),
        millis(entry.stale.while_revalidate),
        millis(entry.stale.if_error),
    ] {
        out.extend_from_slice(&number.to_le_bytes());
    }
    put_count(&mut out, entry.slots.len());
    entry
        .slots
        .iter()
        .for_each(|slot| out.extend_from_slice(&slot.to_le_bytes()));
    put(&mut out, entry.target.as_bytes());
    let headers = entry.headers.stored();
    let mut section = Vec::with_capacity(256);
    put_count(&mut section, headers.len());
    for (name, value) in &headers {
        put(&mut section, name.as_str().as_bytes());
        put(&mut section, value.as_bytes());
    }
    put(&mut out, &section);
    out.push(if packed.is_some() { ZSTD } else { PLAIN });
    put_count(&mut out, entry.body.len());
    put(&mut out, body);
    finish(out)
}

pub(super) fn encode_vary(key: &[u8], vary: &VaryNames) -> Vec<u8> {
    let mut out = begin(KIND_VARY, key, 64);
    put_vary(&mut out, vary);
    finish(out)
}

/// Reads a value that must belong to `key`. `None` for foreign, damaged, cut, or another key's bytes.
pub(super) fn decode(bytes: &[u8], key: &[u8]) -> Option<Value> {
    let (head, checked) = bytes.split_at_checked(HEAD_BYTES)?;
    if &head[..4] != MAGIC || head[4] != VERSION || head[6..] != checksum(checked).to_le_bytes() {
        return None;
    }
    let mut input = Input(checked);
    if input.take()? != key {
        return None;
    }
    let vary = input.vary()?;
    let value = match head[5] {
        KIND_VARY => Value::Vary(vary),
        KIND_ANSWER => Value::Answer(Box::new(input.answer(vary)?)),
        _ => return None,
    };
    input.0.is_empty().then_some(value)
}

struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.bytes(N)?.try_into().ok()
    }

    fn count(&mut self) -> Option<usize> {
        // A count is never larger than the bytes that are left, so nothing absurd is ever allocated for.
        let count = u32::from_le_bytes(self.array()?) as usize;
        (count <= self.0.len()).then_some(count)
    }

    fn take(&mut self) -> Option<&'a [u8]> {
        let count = self.count()?;
        self.bytes(count)
    }

    fn number(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.array()?))
    }

    fn vary(&mut self) -> Option<VaryNames> {
        let mut names = Vec::new();
        for _ in 0..self.count()? {
            names.push(HeaderName::from_bytes(self.take()?).ok()?);
        }
        let [normalized] = self.array()?;
        Some(VaryNames {
            names,
            normalized: normalized != 0,
        })
    }

    fn answer(&mut self, vary: VaryNames) -> Option<Answer> {
        let values = self.take()?.into();
        let status = StatusCode::from_u16(u16::from_le_bytes(self.array()?)).ok()?;
        let [flags] = self.array()?;
        let (stamp, made_unix_ms, age, fresh_for) = (
            Position::checked(self.number()?)?,
            self.number()?,
            self.number()?,
            self.number()?,
        );
        let (while_revalidate, if_error) = (self.number()?, self.number()?);
        let mut slots = Vec::new();
        for _ in 0..self.count()? {
            let slot = u32::from_le_bytes(self.array()?);
            if slot as usize >= SLOTS {
                return None;
            }
            slots.push(slot);
        }
        let target = str::from_utf8(self.take()?).ok()?.into();
        let headers = headers(self.take()?)?;
        let [encoding] = self.array()?;
        // Not bounded by what is left, as a count is: a packed body is longer than its bytes.
        let length = u32::from_le_bytes(self.array()?) as usize;
        let stored = self.take()?;
        let body = match encoding {
            PLAIN if stored.len() == length => Bytes::copy_from_slice(stored),
            ZSTD => unpack(stored, length)?.into(),
            _ => return None,
        };
        let entry = Entry {
            status,
            headers,
            body,
            vary,
            values,
            share: Share {
                cookie: flags & 1 != 0,
                authorization: flags & 2 != 0,
            },
            slots: slots.into_boxed_slice(),
            target,
            checked: AtomicU64::new(0),
            stamp: Position::from_redis(5).next_local(),
            made: Duration::ZERO,
            age: Duration::from_millis(age),
            fresh_for: Duration::from_millis(fresh_for),
            stale: Stale {
                forbidden: flags & 4 != 0,
                while_revalidate: Duration::from_millis(while_revalidate),
                if_error: Duration::from_millis(if_error),
            },
            // Parts are not written to Redis.
            span: None,
            asked: None,
            took: Duration::ZERO,
            credit: Credit::default(),
        };
        Some(Answer {
            entry,
            stamp,
            made_unix_ms,
        })
    }
}

/// The values are slices of one copy of the section, which holds hardly more than they.
fn headers(section: &[u8]) -> Option<ReplyHeaders> {
    let copy = Bytes::copy_from_slice(section);
    let mut input = Input(&copy);
    let count = input.count().filter(|count| *count <= MAX_FIELDS)?;
    // Each has two lengths at least: nothing is allocated for more than can be there.
    let mut headers = HeaderMap::with_capacity(count.min(copy.len() / 8) + ReplyHeaders::PLACES);
    for _ in 0..count {
        let name = HeaderName::from_bytes(input.take()?).ok()?;
        let value = copy.slice_ref(input.take()?);
        let value = HeaderValue::from_maybe_shared(value).ok()?;
        headers.try_append(name, value).ok()?;
    }
    input.0.is_empty().then(|| ReplyHeaders::new(headers))
}

fn begin(kind: u8, key: &[u8], room: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEAD_BYTES + key.len() + room);
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&[VERSION, kind, 0, 0, 0, 0, 0, 0, 0, 0]);
    put(&mut out, key);
    out
}

fn finish(mut out: Vec<u8>) -> Vec<u8> {
    let sum = checksum(&out[HEAD_BYTES..]).to_le_bytes();
    out[6..HEAD_BYTES].copy_from_slice(&sum);
    out
}

/// Any bytes behind a right head and checksum.
#[cfg(any(test, fuzzing))]
pub(super) fn framed(kind: u8, key: &[u8], rest: &[u8]) -> Vec<u8> {
    let mut out = begin(kind, key, rest.len());
    out.extend_from_slice(rest);
    finish(out)
}

/// Against damage, not against people: who can write into our Redis can write answers.
fn checksum(bytes: &[u8]) -> u64 {
    xxh3_64(bytes)
}

fn put_count(out: &mut Vec<u8>, count: usize) {
    // Bodies and headers are bounded far below 4 GiB; a larger count would make the value unreadable, so a miss.
    out.extend_from_slice(&u32::try_from(count).unwrap_or(u32::MAX).to_le_bytes());
}

fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    put_count(out, bytes.len());
    out.extend_from_slice(bytes);
}

fn put_vary(out: &mut Vec<u8>, vary: &VaryNames) {
    put_count(out, vary.names.len());
    vary.names
        .iter()
        .for_each(|name| put(out, name.as_str().as_bytes()));
    out.push(u8::from(vary.normalized));
}

fn millis(duration: Duration) -> u64 {
    crate::clock::millis(duration)
}

#[cfg(test)]
#[path = "wire_tests.rs"]
mod tests;
