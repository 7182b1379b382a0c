//! The key of an answer: everything of a request that decides what is answered, each field with its length.
//!
//! A keyed 128-bit hash picks the slot; equality of the whole key decides. So neither a collision nor a crafted field
//! (`a=1&b` against `a=1%26b`) ever gives one request another's answer.

pub(super) mod asked;
pub(super) mod rule;

use std::{
    cell::Cell,
    hash::{Hash, Hasher},
    sync::Arc,
};

use http::{
    HeaderMap, HeaderName,
    header::{
        CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LOCATION, CONTENT_RANGE, CONTENT_TYPE, HOST,
    },
    request::Parts,
};
use siphasher::sip128::{Hasher128, SipHasher13};

use crate::cache::{
    key::asked::asked_uri, key::rule::list, outcome::BypassReason, policy::Fields, region::Region,
};

/// Longest value of a forwarded field (SECURITY C5): what an honest proxy sends is far shorter.
const MAX_FORWARDED_BYTES: usize = 255;
/// Longest whole key, but for content, which has a bound of its own. Paths of 8 KiB, which servers commonly take, fit.
const MAX_KEY_BYTES: usize = 32 << 10;

/// Fields that say how content is to be read (RFC 9110, 8.3 to 8.7, and 14.4). A QUERY's key has to hold "the request content and
/// related metadata" (draft-ietf-httpbis-safe-method-w-body).
const OF_CONTENT: [HeaderName; 5] = [
    CONTENT_TYPE,
    CONTENT_ENCODING,
    CONTENT_LANGUAGE,
    CONTENT_LOCATION,
    CONTENT_RANGE,
];

/// A key and its hash.
#[derive(Clone, Debug)]
pub(in crate::cache) struct CacheKey {
    high: u64,
    low: u64,
    bytes: Vec<u8>,
}

thread_local! {
    /// Where the next key of this thread is written: a hit needs its key no longer than it looks.
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}
/// Room for most keys.
const SPARE_BYTES: usize = 256;

impl CacheKey {
    /// To be kept: it holds no more than its bytes.
    pub(in crate::cache) fn kept(mut self) -> Arc<Self> {
        self.bytes.shrink_to_fit();
        Arc::new(self)
    }

    /// Not needed any more: the next key is written in its place.
    pub(in crate::cache) fn spare(mut self) {
        if self.bytes.capacity() <= SPARE_BYTES {
            self.bytes.clear();
            // At a thread's end there is no next one.
            let _ = SPARE.try_with(|spare| spare.set(self.bytes));
        }
    }

    pub(in crate::cache) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Half of the hash: enough to pick a shard or to remember a key by.
    pub(in crate::cache) fn low(&self) -> u64 {
        self.low
    }
}

impl PartialEq for CacheKey {
    fn eq(&self, other: &Self) -> bool {
        self.low == other.low && self.high == other.high && self.bytes == other.bytes
    }
}

impl Eq for CacheKey {}

impl Hash for CacheKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.low);
    }
}

/// How a cache makes its keys.
pub(in crate::cache) struct KeyMaker {
    secret: (u64, u64),
    mount: Box<str>,
}

impl KeyMaker {
    /// The hash's secret is new for each cache, so nobody outside can aim at one slot.
    pub(in crate::cache) fn new(mount: &str) -> Self {
        let mut secret = [0_u8; 16];
        if getrandom::fill(&mut secret).is_err() {
            // No system randomness: the standard library's own per-process keys then.
            use std::hash::{BuildHasher, RandomState};
            secret[..8].copy_from_slice(&RandomState::new().hash_one(1_u8).to_le_bytes());
            secret[8..].copy_from_slice(&RandomState::new().hash_one(2_u8).to_le_bytes());
        }
        let secret = u128::from_le_bytes(secret);
        Self {
            secret: (secret as u64, (secret >> 64) as u64),
            mount: mount.into(),
        }
    }

    pub(in crate::cache) fn mount(&self) -> &str {
        &self.mount
    }

    /// The key of a request in a region. `fields` are those of its headers; `identity` is who asks, where the region tells
    /// people apart; `content` is that of a safe request that has any, whose method counts too.
    pub(in crate::cache) fn key(
        &self,
        parts: &Parts,
        fields: Fields,
        region: &Region,
        identity: Option<&str>,
        content: Option<&[u8]>,
    ) -> Result<CacheKey, BypassReason> {
        let mut bytes = SPARE.try_with(Cell::take).unwrap_or_default();
        bytes.reserve(SPARE_BYTES);
        field(&mut bytes, self.mount.as_bytes());
        field(&mut bytes, region.name().as_bytes());
        region.key.write(&mut bytes, parts, identity);
        let uri = asked_uri(parts);
        field(&mut bytes, uri.scheme_str().unwrap_or("").as_bytes());
        // An absolute-form target and `Host` may differ; a handler may look at either, so both count. As they were sent:
        // hosts are the same in any case (RFC 9110, 4.2.3), but a handler that compares them as text would answer one
        // client's writing for all.
        match uri.authority() {
            Some(authority) => field(&mut bytes, authority.as_str().as_bytes()),
            None => field(&mut bytes, b""),
        }
        let mut hosts = parts.headers.get_all(HOST).iter();
        match (hosts.next(), hosts.next()) {
            (Some(host), None) => field(&mut bytes, host.as_bytes()),
            (None, _) => field(&mut bytes, b""),
            (Some(_), Some(_)) => return Err(BypassReason::Key),
        }
        let (which, names) = fields.forwarded();
        bytes.extend_from_slice(&which.to_le_bytes());
        if which != 0 {
            for name in names {
                forwarded(&mut bytes, &parts.headers, name)?;
            }
        }
        target(&mut bytes, uri);
        // Under `nest` the service sees a shorter path, and a layer outside may have rewritten it: where it differs from
        // what the client asked, it decides the answer too.
        if std::ptr::eq(uri, &raw const parts.uri) || *uri == parts.uri {
            bytes.push(0);
        } else {
            bytes.push(1);
            target(&mut bytes, &parts.uri);
        }
        if content.is_some() {
            // The key of a GET ends before this, or with the mark of a part.
            bytes.push(b'c');
            field(&mut bytes, parts.method.as_str().as_bytes());
            for name in &OF_CONTENT {
                let values = parts.headers.get_all(name);
                list(&mut bytes, values.iter().map(|value| value.as_bytes()));
            }
        }
        if bytes.len() > MAX_KEY_BYTES {
            return Err(BypassReason::Key);
        }
        if let Some(content) = content {
            field(&mut bytes, content);
        }
        Ok(self.finish(bytes))
    }

    /// The key under which a part of an answer is kept: never that of a whole one, which is a list of fields.
    pub(in crate::cache) fn of_part(&self, key: &CacheKey) -> CacheKey {
        let mut bytes = key.bytes.clone();
        bytes.push(b'p');
        self.finish(bytes)
    }

    /// The key of a query's rows: never that of an answer, whose third field is a scheme.
    #[cfg(feature = "query")]
    pub(in crate::cache) fn of_query(
        &self,
        region: &Region,
        normal: &str,
        parameters: &[u8],
    ) -> CacheKey {
        let mut bytes = Vec::with_capacity(normal.len() + parameters.len() + 64);
        for part in [
            self.mount.as_bytes(),
            region.name().as_bytes(),
            b"query\0",
            normal.as_bytes(),
            parameters,
        ] {
            field(&mut bytes, part);
        }
        self.finish(bytes)
    }

    pub(in crate::cache) fn finish(&self, bytes: Vec<u8>) -> CacheKey {
        let mut hasher = SipHasher13::new_with_keys(self.secret.0, self.secret.1);
        hasher.write(&bytes);
        let hash = hasher.finish128();
        CacheKey {
            high: hash.h1,
            low: hash.h2,
            bytes,
        }
    }
}

/// Path and query. No query and an empty one are different targets, as are `/%41` and `/A`: what the handler sees
/// differs.
fn target(bytes: &mut Vec<u8>, uri: &http::Uri) {
    field(bytes, uri.path().as_bytes());
    match uri.query() {
        Some(query) => {
            bytes.push(1);
            field(bytes, query.as_bytes());
        }
        None => bytes.push(0),
    }
}

fn forwarded(
    bytes: &mut Vec<u8>,
    headers: &HeaderMap,
    name: &HeaderName,
) -> Result<(), BypassReason> {
    let mut count = 0_u8;
    let mut total = 0;
    let at = bytes.len();
    bytes.push(0);
    for value in headers.get_all(name) {
        total += value.len();
        if total > MAX_FORWARDED_BYTES || count == u8::MAX {
            return Err(BypassReason::Key);
        }
        count += 1;
        field(bytes, value.as_bytes());
    }
    bytes[at] = count;
    Ok(())
}

/// A length and then the bytes: no field can pretend to be the end of another.
pub(in crate::cache) fn field(bytes: &mut Vec<u8>, value: &[u8]) {
    bytes.extend_from_slice(&length(value));
    bytes.extend_from_slice(value);
}

fn length(value: &[u8]) -> [u8; 4] {
    // A field of 4 GiB cannot be in a request; were it so, the key's bound refuses it.
    u32::try_from(value.len()).unwrap_or(u32::MAX).to_le_bytes()
}

#[cfg(test)]
mod tests;
