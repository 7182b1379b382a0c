//! A reply from a stored answer: whole, its head, a part of it, or "not modified".

use std::time::Duration;

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Response, StatusCode,
    header::{ACCEPT_RANGES, AGE, CONTENT_LENGTH, CONTENT_RANGE, RANGE},
};
use http_body::Body;

use super::{
    body::ResponseBody,
    entry::Entry,
    outcome::Outcome,
    policy::{
        Lookup, conditional,
        range::{self, Part},
    },
};

/// The reply that a request gets from a stored answer. `now` is monotonic time, `unix_ms` the same moment.
pub(super) fn answer<R: Body>(
    entry: &Entry,
    request: &HeaderMap,
    lookup: &Lookup,
    now: Duration,
    unix_ms: u64,
    outcome: Outcome,
) -> Response<ResponseBody<R>> {
    let mut response = if lookup.conditional && is_not_modified(entry, request, now, unix_ms) {
        not_modified(&entry.headers)
    } else if lookup.range
        && entry.status == StatusCode::OK
        && conditional::range_applies(request, &entry.headers)
    {
        part(entry, request)
    } else {
        whole(entry, lookup.head)
    };
    let headers = response.headers_mut();
    headers.insert(AGE, HeaderValue::from(entry.age(now).as_secs()));
    outcome.write(headers, Some(entry.ttl_s(now)));
    response
}

fn is_not_modified(entry: &Entry, request: &HeaderMap, now: Duration, unix_ms: u64) -> bool {
    let resident = crate::clock::millis(now.saturating_sub(entry.made));
    let made_unix_ms = unix_ms.saturating_sub(resident);
    conditional::is_not_modified(request, entry.status, &entry.headers, made_unix_ms)
}

/// A 304 about an answer with these fields.
pub(super) fn not_modified<R: Body>(stored: &HeaderMap) -> Response<ResponseBody<R>> {
    let mut response = Response::new(ResponseBody::full(Bytes::new()));
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    *response.headers_mut() = conditional::not_modified_headers(stored);
    response
}

fn whole<R: Body>(entry: &Entry, head: bool) -> Response<ResponseBody<R>> {
    // An answer to HEAD has the fields of the GET, `Content-Length` included, and no content (RFC 9110, 9.3.2).
    let bytes = if head {
        Bytes::new()
    } else {
        entry.body.clone()
    };
    let mut response = Response::new(ResponseBody::full(bytes));
    *response.status_mut() = entry.status;
    *response.headers_mut() = entry.headers.clone();
    debug_assert!(
        entry.status == StatusCode::NO_CONTENT || entry.headers.contains_key(CONTENT_LENGTH)
    );
    response
}

/// What a stored part (206) gives of a request for a range; `None` where it does not hold all of it.
pub(super) fn from_part<R: Body>(
    entry: &Entry,
    request: &HeaderMap,
    now: Duration,
) -> Option<Response<ResponseBody<R>>> {
    let span = entry.span?;
    if !conditional::range_applies(request, &entry.headers) {
        return None;
    }
    // The very same question has the very same answer, whatever its bytes are said to be.
    if entry.asked.is_some() && request.get(RANGE) == entry.asked.as_ref() {
        let mut response = whole(entry, false);
        let headers = response.headers_mut();
        headers.insert(AGE, HeaderValue::from(entry.age(now).as_secs()));
        Outcome::Hit.write(headers, Some(entry.ttl_s(now)));
        return Some(response);
    }
    let asked = span.covers(request, entry.body.len())?;
    let bytes = entry
        .body
        .slice(asked.start - span.first..asked.end - span.first);
    let mut headers = entry.headers.clone();
    headers.insert(CONTENT_LENGTH, HeaderValue::from(bytes.len() as u64));
    headers.insert(CONTENT_RANGE, range::content_range(&asked, span.total)?);
    headers.insert(AGE, HeaderValue::from(entry.age(now).as_secs()));
    Outcome::Hit.write(&mut headers, Some(entry.ttl_s(now)));
    let mut response = Response::new(ResponseBody::full(bytes));
    *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    *response.headers_mut() = headers;
    Some(response)
}

fn part<R: Body>(entry: &Entry, request: &HeaderMap) -> Response<ResponseBody<R>> {
    let length = entry.body.len();
    let (status, bytes, content_range) = match Part::of(request, length) {
        Part::Whole => return whole(entry, false),
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
    let mut headers = entry.headers.clone();
    headers.insert(CONTENT_LENGTH, HeaderValue::from(bytes.len() as u64));
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if let Some(content_range) = content_range {
        headers.insert(CONTENT_RANGE, content_range);
    }
    let mut response = Response::new(ResponseBody::full(bytes));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}
