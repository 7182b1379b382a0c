//! `If-None-Match`, `If-Modified-Since`, `If-Range`, and what a 304 says of a stored answer.

use http::{
    HeaderMap, StatusCode,
    header::{
        CONTENT_LENGTH, ETAG, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, LAST_MODIFIED, RANGE,
    },
};

use super::{
    blocks, bounded,
    input::{fields, lines, with_lines},
};
use crate::cache::policy::conditional::{
    condition, confirms, has_validator, head_confirms, is_not_modified, not_modified_headers,
    range_applies, updated,
};

/// A request's fields, and those of a stored answer. The request's are also read as those of a 304.
pub fn validation(data: &[u8]) {
    let (request, stored) = blocks(data);
    let (request, stored) = (fields(request), fields(stored));
    bounded(8, data.len(), || {
        is_not_modified(&request, StatusCode::OK, &stored, 0);
        range_applies(&request, &stored);
    });
    tags_come_before_dates(&request, &stored);
    ranges_want_exactly_this_answer(&request, &stored);
    a_304_updates_all_but_the_content(&request, &stored);
    the_handler_is_asked_by_what_is_stored(&request, &stored);
}

fn tags_come_before_dates(request: &HeaderMap, stored: &HeaderMap) {
    let is = |request: &HeaderMap, stored: &HeaderMap| {
        is_not_modified(request, StatusCode::OK, stored, 0)
    };
    let answer = is(request, stored);
    assert!(!is_not_modified(request, StatusCode::NOT_FOUND, stored, 0));
    if !request.contains_key(IF_NONE_MATCH) {
        assert!(!answer || request.contains_key(IF_MODIFIED_SINCE));
        return;
    }
    let mut undated = request.clone();
    undated.remove(IF_MODIFIED_SINCE);
    assert_eq!(is(&undated, stored), answer, "{request:?}");
    if !has_validator(&with_lines(stored, &LAST_MODIFIED, [])) {
        return;
    }
    // Comparison is weak (RFC 9110, 13.1.2): `W/` says nothing here.
    let tag = stored[ETAG].as_bytes();
    let other = match tag.strip_prefix(b"W/") {
        Some(strong) => strong.to_vec(),
        None => [b"W/", tag].concat(),
    };
    let toggled = with_lines(stored, &ETAG, [other]);
    assert_eq!(is(request, &toggled), answer, "{stored:?}");
    let mut named = request.clone();
    named.append(IF_NONE_MATCH, stored[ETAG].clone());
    assert!(is(&named, stored), "{stored:?}");
}

fn ranges_want_exactly_this_answer(request: &HeaderMap, stored: &HeaderMap) {
    let applies = range_applies(request, stored);
    let Some(condition) = request.get(IF_RANGE) else {
        assert!(applies);
        return;
    };
    if applies {
        assert!(!condition.as_bytes().starts_with(b"W/"), "{condition:?}");
        let is_tag = stored.get(ETAG) == Some(condition);
        assert!(is_tag || stored.contains_key(LAST_MODIFIED), "{stored:?}");
    }
    assert!(!range_applies(request, &HeaderMap::new()), "{condition:?}");
}

fn a_304_updates_all_but_the_content(new: &HeaderMap, stored: &HeaderMap) {
    assert!(confirms(stored, stored) && head_confirms(stored, stored));
    let fresh = updated(stored, new);
    assert_eq!(fresh.get(CONTENT_LENGTH), stored.get(CONTENT_LENGTH));
    for name in new.keys() {
        let is_kept = lines(&fresh, name) == lines(stored, name);
        assert!(is_kept || lines(&fresh, name) == lines(new, name), "{name}");
    }
    assert_eq!(updated(&fresh, new), fresh, "twice is once");
    let sent = not_modified_headers(stored);
    for name in sent.keys() {
        assert_eq!(lines(&sent, name)[0], lines(stored, name)[0], "{name}");
    }
}

fn the_handler_is_asked_by_what_is_stored(request: &HeaderMap, stored: &HeaderMap) {
    let mut asked = request.clone();
    condition(&mut asked, Some(stored));
    assert!(!asked.contains_key(RANGE) && !asked.contains_key(IF_RANGE));
    let is_conditional = asked.contains_key(IF_NONE_MATCH) || asked.contains_key(IF_MODIFIED_SINCE);
    assert!(is_conditional || !has_validator(stored), "{stored:?}");
    // A handler that holds the very same answer says so.
    if is_conditional {
        assert!(
            is_not_modified(&asked, StatusCode::OK, stored, 0),
            "{stored:?}"
        );
    }
}
