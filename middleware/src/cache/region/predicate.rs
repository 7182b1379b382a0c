//! What a region leaves to the handler: conditions on requests and answers, to be put together.

use std::{fmt, sync::Arc};

use http::{
    HeaderMap, HeaderName, Method, StatusCode,
    header::{CONTENT_LENGTH, CONTENT_TYPE},
    request::Parts,
};

/// A condition on a request; see [`Region::only_requests`](crate::cache::Region::only_requests).
#[derive(Clone)]
pub struct RequestPredicate(Arc<dyn Fn(&Parts) -> bool + Send + Sync>);

impl RequestPredicate {
    /// What a closure says. The request is as the layer sees it.
    #[must_use]
    pub fn new(holds: impl Fn(&Parts) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(holds))
    }

    /// Requests of this method.
    #[must_use]
    pub fn method(method: Method) -> Self {
        Self::new(move |parts| parts.method == method)
    }

    /// Requests whose path is this one or lies below it: `/a` holds for `/a` and `/a/b`, not for `/ab`.
    #[must_use]
    pub fn path(path: &str) -> Self {
        let path = path.trim_end_matches('/').to_owned();
        Self::new(move |parts| {
            let rest = parts.uri.path().strip_prefix(path.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    }

    /// Requests with this field, whatever its value.
    #[must_use]
    pub fn header(name: HeaderName) -> Self {
        Self::new(move |parts| parts.headers.contains_key(&name))
    }

    /// Both hold. The second is not asked where the first does not.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self::new(move |parts| self.holds(parts) && other.holds(parts))
    }

    /// One of them holds. The second is not asked where the first does.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self::new(move |parts| self.holds(parts) || other.holds(parts))
    }

    pub(in crate::cache) fn holds(&self, parts: &Parts) -> bool {
        (self.0)(parts)
    }
}

impl std::ops::Not for RequestPredicate {
    type Output = Self;

    /// It does not hold.
    fn not(self) -> Self {
        Self::new(move |parts| !self.holds(parts))
    }
}

/// A condition on an answer's status and fields; see [`Region::only_answers`](crate::cache::Region::only_answers).
#[derive(Clone)]
pub struct AnswerPredicate(Arc<AnswerFn>);

type AnswerFn = dyn Fn(StatusCode, &HeaderMap) -> bool + Send + Sync;

impl AnswerPredicate {
    /// What a closure says.
    #[must_use]
    pub fn new(holds: impl Fn(StatusCode, &HeaderMap) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(holds))
    }

    /// Answers of this status.
    #[must_use]
    pub fn status(status: StatusCode) -> Self {
        Self::new(move |answered, _| answered == status)
    }

    /// Answers with this field, whatever its value.
    #[must_use]
    pub fn header(name: HeaderName) -> Self {
        Self::new(move |_, headers| headers.contains_key(&name))
    }

    /// Answers of this media type, parameters apart; `text/*` is every type of that kind (RFC 9110, 8.3.1 and 12.5.1).
    #[must_use]
    pub fn content_type(media_type: &str) -> Self {
        let wanted = media_type.to_ascii_lowercase();
        Self::new(move |_, headers| {
            let value = headers.get(CONTENT_TYPE);
            let value = value.and_then(|value| value.to_str().ok());
            let found = value.and_then(|value| value.split(';').next());
            let found = found.unwrap_or_default().trim().to_ascii_lowercase();
            match wanted.strip_suffix('*') {
                Some(kind) => found.starts_with(kind),
                None => found == wanted,
            }
        })
    }

    /// Answers whose `Content-Length` is as long as that; without one it does not hold.
    /// [`Region::max_body_bytes`](crate::cache::Region::max_body_bytes) is the bound above.
    #[must_use]
    pub fn at_least_bytes(bytes: u64) -> Self {
        Self::new(move |_, headers| {
            let length = headers.get(CONTENT_LENGTH);
            let length = length.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
            length.is_some_and(|length| length >= bytes)
        })
    }

    /// Both hold. The second is not asked where the first does not.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self::new(move |status, headers| {
            self.holds(status, headers) && other.holds(status, headers)
        })
    }

    /// One of them holds. The second is not asked where the first does.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self::new(move |status, headers| {
            self.holds(status, headers) || other.holds(status, headers)
        })
    }

    pub(in crate::cache) fn holds(&self, status: StatusCode, headers: &HeaderMap) -> bool {
        (self.0)(status, headers)
    }
}

impl std::ops::Not for AnswerPredicate {
    type Output = Self;

    /// It does not hold.
    fn not(self) -> Self {
        Self::new(move |status, headers| !self.holds(status, headers))
    }
}

impl fmt::Debug for RequestPredicate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestPredicate").finish_non_exhaustive()
    }
}

impl fmt::Debug for AnswerPredicate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnswerPredicate").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(method: &str, uri: &str) -> Parts {
        let request = http::Request::builder().method(method).uri(uri);
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn a_path_holds_for_what_lies_below_it() {
        for path in ["/a", "/a/"] {
            let below = RequestPredicate::path(path);
            for (uri, expected) in [("/a", true), ("/a/b?c", true), ("/ab", false), ("/", false)] {
                assert_eq!(below.holds(&parts("GET", uri)), expected, "{path} {uri}");
            }
        }
        assert!(RequestPredicate::path("/").holds(&parts("GET", "/x")));
    }

    #[test]
    fn they_compose() {
        let get = RequestPredicate::method(Method::GET);
        let below = RequestPredicate::path("/a");
        let both = get.clone().and(below.clone());
        let one = get.or(below.clone());
        let not = !below;
        for (method, uri, wanted) in [
            ("GET", "/a", [true, true, false]),
            ("GET", "/b", [false, true, true]),
            ("HEAD", "/a", [false, true, false]),
            ("HEAD", "/b", [false, false, true]),
        ] {
            let parts = parts(method, uri);
            let found = [&both, &one, &not].map(|predicate| predicate.holds(&parts));
            assert_eq!(found, wanted, "{method} {uri}");
        }
    }

    #[test]
    fn media_types_are_held_against_each_other_without_parameters() {
        for (wanted, found, expected) in [
            ("text/html", "Text/HTML; charset=utf-8", true),
            ("text/*", "text/css", true),
            ("text/*", "textual/css", false),
            ("application/json", "application/json-seq", false),
            ("application/json", "", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, found.parse().unwrap());
            let predicate = AnswerPredicate::content_type(wanted);
            assert_eq!(
                predicate.holds(StatusCode::OK, &headers),
                expected,
                "{wanted} {found}"
            );
        }
    }

    #[test]
    fn a_length_that_is_not_known_is_none() {
        let mut headers = HeaderMap::new();
        let large = AnswerPredicate::at_least_bytes(100);
        assert!(!large.holds(StatusCode::OK, &headers));
        for (length, expected) in [("99", false), ("100", true), ("x", false)] {
            headers.insert(CONTENT_LENGTH, length.parse().unwrap());
            assert_eq!(large.holds(StatusCode::OK, &headers), expected, "{length}");
        }
    }
}
