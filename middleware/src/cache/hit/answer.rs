//! A reply from a stored answer: whole, its head, a part of it, or "not modified".

use std::time::Duration;

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Response, StatusCode,
    header::{ACCEPT_RANGES, AGE, CONTENT_LENGTH, CONTENT_RANGE, DATE, RANGE},
};
use http_body::Body;

use crate::cache::{
    body::ResponseBody,
    entry::Entry,
    outcome::{CACHE_STATUS, Outcome},
    policy::{
        Lookup, conditional,
        range::{self, Part},
    },
    text,
};
use crate::clock::Clock;

/// What a stored answer is asked with.
#[derive(Clone, Copy)]
pub(in crate::cache) struct Asked<'a> {
    pub(in crate::cache) headers: &'a HeaderMap,
    pub(in crate::cache) lookup: &'a Lookup,
    pub(in crate::cache) region: usize,
    /// Monotonic time: one moment for the look and the reply.
    pub(in crate::cache) now: Duration,
}

/// The reply that a request gets from a stored answer.
pub(in crate::cache) fn answer<R: Body>(
    entry: &Entry,
    asked: Asked<'_>,
    clock: &Clock,
    outcome: Outcome,
) -> Response<ResponseBody<R>> {
    let headers = headers(entry, outcome, asked.now);
    if asked.lookup.conditional && is_not_modified(entry, asked, clock) {
        let mut response = not_modified(&headers);
        for name in [AGE, CACHE_STATUS] {
            for value in headers.get_all(&name) {
                response.headers_mut().append(name.clone(), value.clone());
            }
        }
        response
    } else if asked.lookup.range
        && entry.status == StatusCode::OK
        && conditional::range_applies(asked.headers, &entry.headers)
    {
        part(entry, asked.headers, headers)
    } else {
        whole(entry, headers, asked.lookup.head)
    }
}

/// The stored fields with those that each reply gets anew.
fn headers(entry: &Entry, outcome: Outcome, now: Duration) -> HeaderMap {
    let age = text::decimal(entry.age(now).as_secs());
    entry
        .headers
        .reply(age, outcome.member(Some(entry.ttl_s(now))))
}

fn is_not_modified(entry: &Entry, asked: Asked<'_>, clock: &Clock) -> bool {
    let resident = crate::clock::millis(asked.now.saturating_sub(entry.made));
    let made_unix_ms = clock.unix_ms().saturating_sub(resident);
    conditional::is_not_modified(asked.headers, entry.status, &entry.headers, made_unix_ms)
}

/// A 304 about an answer with these fields.
pub(in crate::cache) fn not_modified<R: Body>(stored: &HeaderMap) -> Response<ResponseBody<R>> {
    let mut response = Response::new(ResponseBody::full(Bytes::new()));
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    *response.headers_mut() = conditional::not_modified_headers(stored);
    response
}

fn whole<R: Body>(entry: &Entry, headers: HeaderMap, head: bool) -> Response<ResponseBody<R>> {
    // An answer to HEAD has the fields of the GET, `Content-Length` included, and no content (RFC 9110, 9.3.2).
    let bytes = if head {
        Bytes::new()
    } else {
        entry.body.clone()
    };
    let mut response = Response::new(ResponseBody::full(bytes));
    *response.status_mut() = entry.status;
    *response.headers_mut() = headers;
    debug_assert!(
        entry.status == StatusCode::NO_CONTENT || entry.headers.contains_key(CONTENT_LENGTH)
    );
    response
}

/// What a stored part (206) gives of a request for a range; `None` where it does not hold all of it.
pub(in crate::cache) fn from_part<R: Body>(
    entry: &Entry,
    asked: Asked<'_>,
) -> Option<Response<ResponseBody<R>>> {
    let request = asked.headers;
    let span = entry.span?;
    if !conditional::range_applies(request, &entry.headers) {
        return None;
    }
    // The very same question has the very same answer, whatever its bytes are said to be.
    if entry.asked.is_some() && request.get(RANGE) == entry.asked.as_ref() {
        return Some(whole(entry, headers(entry, Outcome::Hit, asked.now), false));
    }
    let wanted = span.covers(request, entry.body.len())?;
    let bytes = entry
        .body
        .slice(wanted.start - span.first..wanted.end - span.first);
    let mut headers = headers(entry, Outcome::Hit, asked.now);
    headers.insert(CONTENT_LENGTH, HeaderValue::from(bytes.len() as u64));
    headers.insert(CONTENT_RANGE, range::content_range(&wanted, span.total)?);
    let mut response = Response::new(ResponseBody::full(bytes));
    *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    *response.headers_mut() = headers;
    Some(response)
}

fn part<R: Body>(
    entry: &Entry,
    request: &HeaderMap,
    mut headers: HeaderMap,
) -> Response<ResponseBody<R>> {
    let length = entry.body.len();
    let (status, bytes, content_range) = match Part::of(request, length) {
        Part::Whole => return whole(entry, headers, false),
        Part::Bytes(bytes) => (
            StatusCode::PARTIAL_CONTENT,
            entry.body.slice(bytes.clone()),
            range::content_range(&bytes, Some(length)),
        ),
        Part::Unsatisfiable => (
            StatusCode::RANGE_NOT_SATISFIABLE,
            Bytes::new(),
            range::unsatisfied_range(length),
        ),
    };
    headers.insert(CONTENT_LENGTH, HeaderValue::from(bytes.len() as u64));
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if let Some(content_range) = content_range {
        headers.insert(CONTENT_RANGE, content_range);
    }
    if status == StatusCode::RANGE_NOT_SATISFIABLE {
        // What the stored answer says of itself does not hold for this one: a cache outside would keep it.
        let kept = [
            DATE,
            AGE,
            CACHE_STATUS,
            CONTENT_LENGTH,
            ACCEPT_RANGES,
            CONTENT_RANGE,
        ];
        let mut own = HeaderMap::with_capacity(kept.len());
        for name in kept {
            for value in headers.get_all(&name) {
                own.append(name.clone(), value.clone());
            }
        }
        headers = own;
    }
    let mut response = Response::new(ResponseBody::full(bytes));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}
