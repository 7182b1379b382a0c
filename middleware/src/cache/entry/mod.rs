//! A stored answer.

pub(super) mod reply_headers;
pub(super) mod scope;
pub(super) mod tags;

use std::{
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode,
    header::{
        AGE, CONNECTION, CONTENT_LANGUAGE, CONTENT_LENGTH, PROXY_AUTHENTICATE, TE, TRAILER,
        TRANSFER_ENCODING, UPGRADE,
    },
};

use crate::cache::policy::{
    OWN_TARGET, Share, Stale, VaryNames, Verdict, conditional, date, range::Span,
    request::Credentials, vary,
};
use crate::cache::{
    entry::reply_headers::ReplyHeaders,
    entry::tags::Tags,
    figures::series::Series,
    invalidation::{Position, Subject},
};

/// Where a handler may write tags; never sent on.
pub(in crate::cache) const TAGS_HEADER: HeaderName = HeaderName::from_static("x-cache-tags");

/// Fields of one connection (RFC 9110, 7.6.1; RFC 9111, 3.1), and those that each answer gets anew.
const NOT_STORED: [HeaderName; 12] = [
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
    OWN_TARGET,
];

/// How long past its freshness an answer with a validator is kept in Redis: while it is there, a 304 is all that the
/// handler has to make.
const KEPT_FOR_VALIDATION: Duration = Duration::from_secs(60 * 60);

/// Takes out what is for this cache alone.
pub(in crate::cache) fn strip_own(headers: &mut HeaderMap) {
    headers.remove(TAGS_HEADER);
    headers.remove(OWN_TARGET);
}

/// What an entry costs beyond its bytes: the structs, the maps, the counts.
const OVERHEAD_BYTES: usize = 512;
/// What a place in a `HeaderMap` costs, taken or not: it grows by powers of two.
const HEADER_PLACE_BYTES: usize = 112;
/// What the name and the value of a field cost beyond their text.
const HEADER_OVERHEAD_BYTES: usize = 100;

/// A stored answer with prebuilt headers. Shared, never changed.
#[derive(Debug)]
pub(in crate::cache) struct Entry {
    pub(in crate::cache) status: StatusCode,
    pub(in crate::cache) headers: ReplyHeaders,
    pub(in crate::cache) body: Bytes,
    pub(in crate::cache) vary: VaryNames,
    /// What the request held in these fields.
    pub(in crate::cache) values: Box<[u8]>,
    pub(in crate::cache) share: Share,
    /// Slots of the invalidation table: path, region and tags.
    pub(in crate::cache) slots: Box<[u32]>,
    /// Path and query as the client asks for them; empty for the rows of a query.
    pub(in crate::cache) target: Box<str>,
    /// Up to where the patterns of purges were held against it.
    pub(in crate::cache) checked: AtomicU64,
    /// This instance's position when the request began.
    pub(in crate::cache) stamp: Position,
    /// Monotonic time when the answer came.
    pub(in crate::cache) made: Duration,
    /// How old it was then.
    pub(in crate::cache) age: Duration,
    pub(in crate::cache) fresh_for: Duration,
    pub(in crate::cache) stale: Stale,
    /// Where the bytes stand in the whole, for a 206.
    pub(in crate::cache) span: Option<Span>,
    /// The `Range` that a 206 answers.
    pub(in crate::cache) asked: Option<HeaderValue>,
    /// Time that the handler needed for its head; zero where that is not known.
    pub(in crate::cache) took: Duration,
    pub(in crate::cache) credit: Credit,
}

/// To whom the hits of an answer are counted, and what each saves.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::cache) struct Credit {
    pub(in crate::cache) series: Series,
    /// Microseconds that the handler took for the answer itself, its confirmations left out; 0 where that is not known.
    pub(in crate::cache) saves_us: u32,
}

impl Entry {
    pub(in crate::cache) fn age(&self, now: Duration) -> Duration {
        self.age.saturating_add(now.saturating_sub(self.made))
    }

    /// Time for which it stays fresh; zero when stale.
    pub(in crate::cache) fn ttl(&self, now: Duration) -> Duration {
        self.fresh_for.saturating_sub(self.age(now))
    }

    /// Time for which it has been stale; zero while fresh.
    pub(in crate::cache) fn staleness(&self, now: Duration) -> Duration {
        self.age(now).saturating_sub(self.fresh_for)
    }

    /// Time for which it is of use: fresh, in a stale window, or to be validated.
    pub(in crate::cache) fn useful_for(&self, now: Duration) -> Duration {
        let mut past_freshness = self.stale.while_revalidate.max(self.stale.if_error);
        if conditional::has_validator(&self.headers) {
            past_freshness = past_freshness.max(KEPT_FOR_VALIDATION);
        }
        self.fresh_for
            .saturating_add(past_freshness)
            .saturating_sub(self.age(now))
    }

    /// `ttl` as `Cache-Status` gives it: below zero when stale.
    pub(in crate::cache) fn ttl_s(&self, now: Duration) -> i64 {
        let seconds = |time: Duration| i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
        seconds(self.fresh_for) - seconds(self.age(now))
    }

    /// Whether a request may have it as far as variant and credentials go.
    pub(in crate::cache) fn matches(&self, request: &HeaderMap, credentials: Credentials) -> bool {
        self.share.allows(credentials).is_ok() && self.selected_by(request)
    }

    /// RFC 9111, 4.1. A request whose values are too much to compare selects nothing.
    pub(in crate::cache) fn selected_by(&self, request: &HeaderMap) -> bool {
        self.vary.names.is_empty()
            || self.vary.values(request).is_some_and(|values| {
                values == self.values || self.is_in_language(&values, request)
            })
    }

    /// Whether it differs from what a request selects in `Accept-Language` alone, and is in the language that the request
    /// prefers: then the handler, which has that language, would give it the same.
    fn is_in_language(&self, values: &[u8], request: &HeaderMap) -> bool {
        let language = self.headers.get(CONTENT_LANGUAGE);
        self.vary.normalized
            && language
                .and_then(|language| language.to_str().ok())
                .is_some_and(|language| vary::prefers(request, language))
            && self.vary.differ_in_language_alone(values, &self.values)
    }

    /// What purges name it by.
    pub(in crate::cache) fn subject(&self) -> Subject<'_> {
        Subject {
            slots: &self.slots,
            target: &self.target,
            checked: &self.checked,
        }
    }

    /// Bytes that holding it costs.
    pub(in crate::cache) fn weight(&self) -> usize {
        let headers = self
            .headers
            .iter()
            .map(|(name, value)| name.as_str().len() + value.len() + HEADER_OVERHEAD_BYTES);
        OVERHEAD_BYTES
            + headers.sum::<usize>()
            + self.headers.capacity() * HEADER_PLACE_BYTES
            + self.body.len()
            + self.values.len()
            + self.vary.names.len() * size_of::<HeaderName>()
            + self.slots.len() * size_of::<u32>()
            + self.target.len()
    }
}

/// An answer that comes from elsewhere, counted as one of this series. Nobody else has it yet.
pub(in crate::cache) fn credited(mut entry: Arc<Entry>, series: Series) -> Arc<Entry> {
    if let Some(entry) = Arc::get_mut(&mut entry) {
        entry.credit.series = series;
    }
    entry
}

/// An answer of nothing at the first position, which each test changes to what it needs.
#[cfg(test)]
pub(in crate::cache) fn example() -> Entry {
    Entry {
        status: StatusCode::OK,
        headers: ReplyHeaders::new(HeaderMap::new()),
        body: Bytes::new(),
        vary: VaryNames::default(),
        values: Box::default(),
        share: Share::default(),
        slots: Box::default(),
        target: Box::default(),
        checked: AtomicU64::new(0),
        stamp: Position::default(),
        made: Duration::ZERO,
        age: Duration::ZERO,
        fresh_for: Duration::from_secs(60),
        stale: Stale::default(),
        span: None,
        asked: None,
        took: Duration::ZERO,
        credit: Credit::default(),
    }
}

/// What a stored answer needs that comes from its request.
#[derive(Clone, Debug)]
pub(in crate::cache) struct Origin {
    pub(in crate::cache) values: Box<[u8]>,
    pub(in crate::cache) slots: Vec<u32>,
    pub(in crate::cache) target: Box<str>,
    pub(in crate::cache) stamp: Position,
    pub(in crate::cache) made: Duration,
    pub(in crate::cache) made_unix_ms: u64,
    /// The request's `Range`.
    pub(in crate::cache) asked: Option<HeaderValue>,
    /// Monotonic time when the handler was called.
    pub(in crate::cache) called: Duration,
    pub(in crate::cache) series: Series,
}

impl Origin {
    /// Rows of cached queries pass their slots and their age on.
    pub(in crate::cache) fn is_made_from(&mut self, tags: &Tags) {
        self.slots.extend(&tags.slots);
        self.stamp = tags
            .oldest
            .map_or(self.stamp, |oldest| oldest.min(self.stamp));
    }
}

/// Builds an entry. Everything is copied into allocations of its own: a header or body that is a slice of a larger read
/// buffer would keep all of that buffer alive, unweighed.
pub(in crate::cache) fn build(
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
    verdict: Verdict,
    origin: Origin,
) -> Entry {
    let body = Bytes::copy_from_slice(body);
    with_body(status, headers, body, verdict, origin)
}

/// [`build`] around a body that is stored already.
pub(in crate::cache) fn with_body(
    status: StatusCode,
    headers: &HeaderMap,
    body: Bytes,
    verdict: Verdict,
    origin: Origin,
) -> Entry {
    let mut stored = storable_headers(headers);
    for name in &verdict.left_out {
        stored.remove(name);
    }
    date::add_date(&mut stored, origin.made_unix_ms);
    if status != StatusCode::NO_CONTENT {
        stored.insert(CONTENT_LENGTH, HeaderValue::from(body.len() as u64));
    }
    let took = origin.made.saturating_sub(origin.called);
    Entry {
        status,
        headers: ReplyHeaders::new(stored),
        body,
        vary: verdict.vary,
        values: origin.values,
        share: verdict.share,
        slots: origin.slots.into_boxed_slice(),
        target: origin.target,
        checked: AtomicU64::new(0),
        stamp: origin.stamp,
        made: origin.made,
        age: verdict.age,
        fresh_for: verdict.fresh_for,
        stale: verdict.stale,
        span: verdict.span,
        asked: origin.asked,
        took,
        credit: Credit {
            series: origin.series,
            saves_us: u32::try_from(took.as_micros()).unwrap_or(u32::MAX),
        },
    }
}

/// The fields that are stored: none of the connection's, none that `Connection` names.
pub(in crate::cache) fn storable_headers(headers: &HeaderMap) -> HeaderMap {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| HeaderName::from_bytes(name.trim().as_bytes()).ok())
        .collect();
    // By its names, not its values: for a map of more than some 24,000 no room can be made beforehand.
    let room = HeaderMap::try_with_capacity(headers.keys_len() + 2 + ReplyHeaders::PLACES);
    let mut stored = room.unwrap_or_default();
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

    #[test]
    fn c10_any_number_of_fields_is_gone_through() {
        let mut headers = HeaderMap::new();
        for _ in 0..30_000 {
            headers.append("link", HeaderValue::from_static("</a>"));
        }
        assert_eq!(storable_headers(&headers).len(), 30_000);
    }
}
