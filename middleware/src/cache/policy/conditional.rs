//! Validation (RFC 9111, 4.3; RFC 9110, 13): towards the client with 304, towards the handler with conditions of ours.

use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode,
    header::{
        CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_LOCATION, CONTENT_RANGE, DATE,
        ETAG, EXPIRES, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, LAST_MODIFIED, RANGE, VARY,
    },
};

use super::date;

/// The conditions that a cache may evaluate itself; `If-Match` and `If-Unmodified-Since` are the origin's (RFC 9110,
/// 13.2.1).
const CLIENT_CONDITIONS: [HeaderName; 4] = [IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_RANGE, RANGE];

/// What a 304 carries of a stored answer (RFC 9110, 15.4.5).
const IN_NOT_MODIFIED: [HeaderName; 6] =
    [CACHE_CONTROL, CONTENT_LOCATION, DATE, ETAG, EXPIRES, VARY];

/// Fields of a 304 that do not replace what is stored (RFC 9111, 3.2): they describe the content, which is the stored
/// one.
const NOT_UPDATED: [HeaderName; 6] = [
    CONTENT_ENCODING,
    CONTENT_LENGTH,
    CONTENT_RANGE,
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("content-md5"),
    HeaderName::from_static("repr-digest"),
];

/// Whether an answer can be validated at all.
pub(crate) fn has_validator(headers: &HeaderMap) -> bool {
    etag(headers).is_some() || date::only_ms(headers, &LAST_MODIFIED).is_some()
}

fn etag(headers: &HeaderMap) -> Option<&HeaderValue> {
    headers
        .get(ETAG)
        .filter(|tag| opaque(tag.as_bytes()).is_some())
}

/// Puts the client's conditions out and those of a stored answer in, so that the handler may say that it still holds.
/// Without a stored answer the handler makes a whole one, which everybody may have.
pub(crate) fn condition(request: &mut HeaderMap, stored: Option<&HeaderMap>) {
    for name in CLIENT_CONDITIONS {
        request.remove(name);
    }
    let Some(stored) = stored else { return };
    if let Some(tag) = etag(stored) {
        request.insert(IF_NONE_MATCH, tag.clone());
    }
    if let Some(modified) = stored.get(LAST_MODIFIED)
        && date::only_ms(stored, &LAST_MODIFIED).is_some()
    {
        request.insert(IF_MODIFIED_SINCE, modified.clone());
    }
}

/// Whether a 304 of the handler is about this stored answer (4.3.4): its validators, where it has any, are the stored
/// ones.
pub(crate) fn confirms(not_modified: &HeaderMap, stored: &HeaderMap) -> bool {
    match (etag(not_modified), etag(stored)) {
        (Some(new), Some(old)) => weakly_equal(new.as_bytes(), old.as_bytes()),
        (Some(_), None) => false,
        (None, _) => match not_modified.get(LAST_MODIFIED) {
            Some(new) => stored.get(LAST_MODIFIED) == Some(new),
            None => true,
        },
    }
}

/// The stored fields with those of a 304, or of an answer to HEAD, in their place (3.2).
pub(crate) fn updated(stored: &HeaderMap, new: &HeaderMap) -> HeaderMap {
    let mut headers = stored.clone();
    for name in new.keys() {
        if !NOT_UPDATED.contains(name) {
            headers.remove(name);
            for value in new.get_all(name) {
                headers.append(name.clone(), value.clone());
            }
        }
    }
    headers
}

/// Whether an answer to HEAD is about the stored answer to GET (4.3.5): what both say of the content agrees.
pub(crate) fn head_confirms(head: &HeaderMap, stored: &HeaderMap) -> bool {
    [ETAG, LAST_MODIFIED, CONTENT_LENGTH].iter().all(|name| {
        match (head.get(name), stored.get(name)) {
            (Some(new), Some(old)) => new == old,
            _ => true,
        }
    })
}

/// Whether a stored 200 answers the client's conditions with 304 (RFC 9110, 13.2.2; RFC 9111, 4.3.2). `made_unix_ms` is
/// when it came.
pub(crate) fn is_not_modified(
    request: &HeaderMap,
    status: StatusCode,
    stored: &HeaderMap,
    made_unix_ms: u64,
) -> bool {
    if status != StatusCode::OK {
        return false;
    }
    if request.contains_key(IF_NONE_MATCH) {
        let tag = etag(stored).map(HeaderValue::as_bytes);
        return request.get_all(IF_NONE_MATCH).iter().any(|value| {
            value.as_bytes() == b"*"
                || tag.is_some_and(|tag| {
                    tags(value.as_bytes()).any(|candidate| weakly_equal(candidate, tag))
                })
        });
    }
    let Some(since) = date::only_ms(request, &IF_MODIFIED_SINCE) else {
        return false;
    };
    let changed = date::only_ms(stored, &LAST_MODIFIED)
        .or_else(|| date::only_ms(stored, &DATE))
        // HTTP dates have no fractions.
        .unwrap_or(made_unix_ms / 1_000 * 1_000);
    changed <= since
}

/// Whether a range of the stored answer may be sent (RFC 9110, 13.1.5): without `If-Range`, or where that names exactly
/// this answer.
pub(crate) fn range_applies(request: &HeaderMap, stored: &HeaderMap) -> bool {
    let Some(condition) = request.get(IF_RANGE) else {
        return true;
    };
    let text = condition.as_bytes();
    if opaque(text).is_some() {
        // Strong comparison: a weak tag never allows it.
        return !text.starts_with(b"W/") && etag(stored).is_some_and(|tag| tag == condition);
    }
    let modified = date::only_ms(stored, &LAST_MODIFIED);
    // 8.8.2.2: a date is strong where the answer was made at least a second later.
    let is_strong = modified
        .zip(date::only_ms(stored, &DATE))
        .is_some_and(|(modified, made)| made >= modified + 1_000);
    is_strong && modified == date::parse_ms(condition)
}

/// The fields of a 304 for a stored answer.
pub(crate) fn not_modified_headers(stored: &HeaderMap) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(IN_NOT_MODIFIED.len() + 3);
    for name in IN_NOT_MODIFIED {
        for value in stored.get_all(&name) {
            headers.append(name.clone(), value.clone());
        }
    }
    // Where there is no tag the date is all that the client can validate with.
    if !headers.contains_key(ETAG)
        && let Some(modified) = stored.get(LAST_MODIFIED)
    {
        headers.insert(LAST_MODIFIED, modified.clone());
    }
    headers
}

/// What stands between the quotes of an entity tag, also of a weak one.
fn opaque(tag: &[u8]) -> Option<&[u8]> {
    let tag = tag.strip_prefix(b"W/").unwrap_or(tag);
    let inner = tag.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    (!inner.contains(&b'"')).then_some(inner)
}

/// RFC 9110, 8.8.3.2.
fn weakly_equal(one: &[u8], other: &[u8]) -> bool {
    matches!((opaque(one), opaque(other)), (Some(one), Some(other)) if one == other)
}

/// The entity tags of a list; a comma inside quotes belongs to its tag.
fn tags(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut quoted = false;
    list.split(move |byte| {
        quoted ^= *byte == b'"';
        *byte == b',' && !quoted
    })
    .map(<[u8]>::trim_ascii)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(
                HeaderName::from_bytes(name.as_bytes()).unwrap(),
                value.parse().unwrap(),
            );
        }
        headers
    }

    const OLD: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const LATER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";

    #[test]
    fn tags_are_compared_weakly_and_go_before_dates() {
        let stored = headers(&[("etag", "W/\"a,b\""), ("last-modified", LATER)]);
        let is = |request: &[(&str, &str)]| {
            is_not_modified(&headers(request), StatusCode::OK, &stored, 0)
        };
        assert!(is(&[("if-none-match", "\"a,b\"")]));
        assert!(is(&[("if-none-match", "\"x\", W/\"a,b\"")]));
        assert!(is(&[
            ("if-none-match", "\"x\""),
            ("if-none-match", "\"a,b\"")
        ]));
        assert!(is(&[("if-none-match", "*")]));
        assert!(!is(&[("if-none-match", "a,b")]), "no quotes, no tag");
        assert!(!is(&[("if-none-match", "\"a\", b\"")]));
        assert!(!is(&[
            ("if-none-match", "\"x\""),
            ("if-modified-since", LATER)
        ]));
        assert!(is(&[("if-modified-since", LATER)]));
        assert!(!is(&[("if-modified-since", OLD)]));
        assert!(!is(&[("if-modified-since", "yesterday")]));
        assert!(!is(&[]));
    }

    #[test]
    fn only_a_200_is_not_modified() {
        let stored = headers(&[("etag", "\"a\"")]);
        let request = headers(&[("if-none-match", "\"a\"")]);
        assert!(!is_not_modified(&request, StatusCode::FOUND, &stored, 0));
    }

    #[test]
    fn the_handler_is_asked_by_the_stored_validators_alone() {
        let mut request = headers(&[
            ("if-none-match", "\"mine\""),
            ("range", "bytes=0-1"),
            ("if-range", "\"mine\""),
            ("accept", "*/*"),
        ]);
        let stored = headers(&[("etag", "\"stored\""), ("last-modified", OLD)]);
        condition(&mut request, Some(&stored));
        let wanted = headers(&[
            ("accept", "*/*"),
            ("if-none-match", "\"stored\""),
            ("if-modified-since", OLD),
        ]);
        assert_eq!(request, wanted);
        condition(&mut request, None);
        assert_eq!(request, headers(&[("accept", "*/*")]));
    }

    #[test]
    fn of_two_dates_none_is_asked_by() {
        let stored = headers(&[("last-modified", OLD), ("last-modified", LATER)]);
        let mut request = HeaderMap::new();
        condition(&mut request, Some(&stored));
        assert!(request.is_empty() && !has_validator(&stored));
    }

    #[test]
    fn c9_a_304_updates_what_does_not_describe_the_content() {
        let stored = headers(&[
            ("etag", "\"a\""),
            ("content-type", "text/plain"),
            ("content-length", "3"),
            ("x", "1"),
            ("x", "2"),
            ("y", "1"),
        ]);
        let new = headers(&[
            ("content-type", "text/html"),
            ("content-md5", "x"),
            ("content-length", "0"),
            ("x", "3"),
        ]);
        let wanted = headers(&[
            ("etag", "\"a\""),
            ("content-type", "text/html"),
            ("content-length", "3"),
            ("y", "1"),
            ("x", "3"),
        ]);
        assert_eq!(updated(&stored, &new), wanted);
    }

    #[test]
    fn a_304_about_another_answer_confirms_nothing() {
        let stored = headers(&[("etag", "\"a\""), ("last-modified", OLD)]);
        assert!(confirms(&headers(&[]), &stored));
        assert!(confirms(&headers(&[("etag", "W/\"a\"")]), &stored));
        assert!(!confirms(&headers(&[("etag", "\"b\"")]), &stored));
        assert!(!confirms(&headers(&[("last-modified", LATER)]), &stored));
    }

    #[test]
    fn if_range_compares_strongly() {
        let weak = headers(&[("etag", "W/\"a\"")]);
        let strong = headers(&[("etag", "\"a\""), ("last-modified", OLD), ("date", LATER)]);
        let just_made = headers(&[("last-modified", OLD), ("date", OLD)]);
        let with = |value: &str, stored| range_applies(&headers(&[("if-range", value)]), stored);
        assert!(range_applies(&headers(&[]), &weak));
        assert!(with("\"a\"", &strong) && !with("\"b\"", &strong));
        assert!(!with("W/\"a\"", &weak) && !with("\"a\"", &weak));
        assert!(with(OLD, &strong) && !with(LATER, &strong) && !with(OLD, &just_made));
    }
}
