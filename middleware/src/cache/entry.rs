//! A stored answer.

use std::time::Duration;

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode,
    header::{
        AGE, CONNECTION, CONTENT_LENGTH, PROXY_AUTHENTICATE, TE, TRAILER, TRANSFER_ENCODING,
        UPGRADE,
    },
};

use super::invalidation::Position;
use super::policy::{Share, VaryNames, Verdict, request::Credentials};

/// Where a handler may write tags; never sent on.
pub(super) const TAGS_HEADER: HeaderName = HeaderName::from_static("x-cache-tags");
/// RFC 9211.
pub(super) const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// Fields of one connection (RFC 9110, 7.6.1; RFC 9111, 3.1), and those that each answer gets anew.
const NOT_STORED: [HeaderName; 11] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("proxy-authentication-info"),
    PROXY_AUTHENTICATE,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
    AGE,
    TAGS_HEADER,
];

/// What an entry costs beyond its bytes: the structs, the maps, the counts.
const OVERHEAD_BYTES: usize = 512;
/// What a header costs in a `HeaderMap` beyond its text.
const HEADER_OVERHEAD_BYTES: usize = 104;

/// A stored answer with prebuilt headers. Shared, never changed.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) vary: VaryNames,
    /// What the request held in these fields.
    pub(super) values: Box<[u8]>,
    pub(super) share: Share,
    /// Slots of the invalidation table: path, region and tags.
    pub(super) slots: Box<[u32]>,
    /// This instance's position when the request began.
    pub(super) stamp: Position,
    /// Monotonic time when the answer came.
    pub(super) made: Duration,
    /// How old it was then.
    pub(super) age: Duration,
    pub(super) fresh_for: Duration,
}

impl Entry {
    pub(super) fn age(&self, now: Duration) -> Duration {
        self.age + now.saturating_sub(self.made)
    }

    /// Time for which it stays fresh; zero when stale.
    pub(super) fn ttl(&self, now: Duration) -> Duration {
        self.fresh_for.saturating_sub(self.age(now))
    }

    /// Whether a request may have it as far as variant and credentials go.
    pub(super) fn matches(&self, request: &HeaderMap, credentials: Credentials) -> bool {
        self.share.allows(credentials).is_ok() && self.selected_by(request)
    }

    /// RFC 9111, 4.1. A request whose values are too much to compare selects nothing.
    pub(super) fn selected_by(&self, request: &HeaderMap) -> bool {
        self.vary.0.is_empty()
            || self
                .vary
                .values(request)
                .is_some_and(|values| values == self.values)
    }

    /// Bytes that holding it costs.
    pub(super) fn weight(&self) -> usize {
        let headers = self
            .headers
            .iter()
            .map(|(name, value)| name.as_str().len() + value.len() + HEADER_OVERHEAD_BYTES);
        OVERHEAD_BYTES
            + headers.sum::<usize>()
            + self.body.len()
            + self.values.len()
            + self.vary.0.len() * size_of::<HeaderName>()
            + self.slots.len() * size_of::<u32>()
    }
}

/// What a stored answer needs that comes from its request.
#[derive(Clone, Debug)]
pub(super) struct Origin {
    pub(super) values: Box<[u8]>,
    pub(super) slots: Vec<u32>,
    pub(super) stamp: Position,
    pub(super) made: Duration,
}

/// Builds an entry. Everything is copied into allocations of its own: a header or body that is a slice of a larger read
/// buffer would keep all of that buffer alive, unweighed.
pub(super) fn build(
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
    verdict: Verdict,
    origin: Origin,
) -> Entry {
    let mut stored = storable_headers(headers);
    if status != StatusCode::NO_CONTENT {
        stored.insert(CONTENT_LENGTH, HeaderValue::from(body.len() as u64));
    }
    Entry {
        status,
        headers: stored,
        body: Bytes::copy_from_slice(body),
        vary: verdict.vary,
        values: origin.values,
        share: verdict.share,
        slots: origin.slots.into_boxed_slice(),
        stamp: origin.stamp,
        made: origin.made,
        age: verdict.age,
        fresh_for: verdict.fresh_for,
    }
}

/// The fields that are stored: none of the connection's, none that `Connection` names.
fn storable_headers(headers: &HeaderMap) -> HeaderMap {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| HeaderName::from_bytes(name.trim().as_bytes()).ok())
        .collect();
    let mut stored = HeaderMap::with_capacity(headers.len() + 3);
    for (name, value) in headers {
        if NOT_STORED.contains(name) || named.contains(name) {
            continue;
        }
        if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
            stored.append(name.clone(), value);
        }
    }
    stored
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c14_hop_by_hop_fields_and_those_named_in_connection_are_not_stored() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "close, X-Hop"),
            ("connection", "x-other"),
            ("x-hop", "1"),
            ("x-other", "1"),
            ("keep-alive", "timeout=5"),
            ("proxy-authenticate", "Basic"),
            ("te", "trailers"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("age", "3"),
            ("x-cache-tags", "a"),
            ("etag", "\"1\""),
            ("x-twice", "1"),
            ("x-twice", "2"),
        ] {
            headers.append(
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            );
        }
        let stored = storable_headers(&headers);
        let names: Vec<_> = stored
            .iter()
            .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
            .collect();
        assert_eq!(
            names,
            [("etag", "\"1\""), ("x-twice", "1"), ("x-twice", "2")]
        );
    }
}
