//! Which of the fields that the cache looks at a request has, found in one pass: most requests have none of them, and
//! asking a header map for each by name costs more than all the rest of a hit.

use http::HeaderMap;

/// Groups of fields that are asked for together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub(crate) enum Field {
    /// `Content-Length` or `Transfer-Encoding`.
    Framing = 1,
    /// Fields by which a client may have the app answer for another target or method than the key says (SECURITY C5).
    Rewriting = 1 << 1,
    Upgrade = 1 << 2,
    /// `If-Match` or `If-Unmodified-Since`.
    Precondition = 1 << 3,
    CacheControl = 1 << 4,
    Pragma = 1 << 5,
    Authorization = 1 << 6,
    Cookie = 1 << 7,
    /// `If-None-Match` or `If-Modified-Since`.
    Conditional = 1 << 8,
    Range = 1 << 9,
    /// Fields that say under which name, scheme and port a proxy was asked.
    Forwarded = 1 << 10,
}

impl Field {
    fn of(name: &str) -> Option<Self> {
        Some(match name {
            "content-length" | "transfer-encoding" => Self::Framing,
            "x-original-url"
            | "x-rewrite-url"
            | "x-http-method-override"
            | "x-http-method"
            | "x-method-override" => Self::Rewriting,
            "upgrade" => Self::Upgrade,
            "if-match" | "if-unmodified-since" => Self::Precondition,
            "cache-control" => Self::CacheControl,
            "pragma" => Self::Pragma,
            "authorization" => Self::Authorization,
            "cookie" => Self::Cookie,
            "if-none-match" | "if-modified-since" => Self::Conditional,
            "range" => Self::Range,
            "x-forwarded-host" | "x-forwarded-proto" | "x-forwarded-port" | "forwarded" => {
                Self::Forwarded
            }
            _ => return None,
        })
    }
}

/// A set of [`Field`]s.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fields(u16);

impl Fields {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let found = headers.keys().filter_map(|name| Field::of(name.as_str()));
        Self(found.fold(0, |fields, field| fields | field as u16))
    }

    pub(crate) fn has(self, field: Field) -> bool {
        self.0 & field as u16 != 0
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn names_are_found_in_any_case_and_others_are_not() {
        let fields = |name: &str| {
            let mut headers = HeaderMap::new();
            let name: http::HeaderName = name.parse().unwrap();
            headers.insert(name, HeaderValue::from_static("x"));
            Fields::of(&headers)
        };
        assert!(fields("X-Original-URL").has(Field::Rewriting));
        assert!(fields("Transfer-Encoding").has(Field::Framing));
        assert!(!fields("Transfer-Encoding").has(Field::Cookie));
        assert_eq!(fields("Accept"), Fields::default());
        assert_eq!(fields("x-forwarded-for"), Fields::default());
    }
}
