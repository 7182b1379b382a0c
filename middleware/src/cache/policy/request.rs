//! What a request allows the cache to do.

use http::{
    HeaderMap, HeaderName, Method,
    header::{
        AUTHORIZATION, CONTENT_LENGTH, COOKIE, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH,
        IF_UNMODIFIED_SINCE, PRAGMA, RANGE, TRANSFER_ENCODING, UPGRADE,
    },
    request::Parts,
};

use super::directives::{Directives, Scope};
use crate::cache::{outcome::BypassReason, region::Region};

/// Fields by which a client may have the app answer for another target or method than the key says (SECURITY C5).
const REWRITING: [HeaderName; 5] = [
    HeaderName::from_static("x-original-url"),
    HeaderName::from_static("x-rewrite-url"),
    HeaderName::from_static("x-http-method-override"),
    HeaderName::from_static("x-http-method"),
    HeaderName::from_static("x-method-override"),
];

/// What the client brought that may make its answer its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Credentials {
    pub(crate) authorization: bool,
    pub(crate) cookie: bool,
}

impl Credentials {
    /// Requests coalesce within one class, so that a crowd with cookies never waits for an answer it may not have.
    pub(crate) fn class(self) -> u8 {
        u8::from(self.authorization) | (u8::from(self.cookie) << 1)
    }
}

/// A request that may be looked up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lookup {
    pub(crate) head: bool,
    pub(crate) credentials: Credentials,
    /// The key says who asks.
    pub(crate) identity: bool,
    /// The client wants a new answer: `no-cache`, `max-age=0`, or `Pragma: no-cache` alone (RFC 9111, 5.4).
    pub(crate) refresh: bool,
    /// Oldest age, seconds, that the client takes (5.2.1.1).
    pub(crate) max_age: Option<u64>,
    /// Seconds for which the answer must stay fresh (5.2.1.3).
    pub(crate) min_fresh: Option<u64>,
    /// Seconds of staleness that the client takes (5.2.1.2).
    pub(crate) max_stale: Option<u64>,
    /// The client wants no call of the handler (5.2.1.7).
    pub(crate) only_if_cached: bool,
    /// `If-None-Match` or `If-Modified-Since`.
    pub(crate) conditional: bool,
    /// `Range`.
    pub(crate) range: bool,
}

/// Whether the cache may look at a request at all.
pub(crate) fn classify(
    parts: &Parts,
    has_body: bool,
    region: &Region,
    has_identity: bool,
) -> Result<Lookup, BypassReason> {
    let head = match parts.method {
        Method::GET => false,
        Method::HEAD => true,
        _ => return Err(BypassReason::Method),
    };
    let headers = &parts.headers;
    let declares_body = headers.contains_key(TRANSFER_ENCODING)
        || headers
            .get(CONTENT_LENGTH)
            .is_some_and(|length| length.as_bytes() != b"0");
    if has_body || declares_body {
        return Err(BypassReason::RequestBody);
    }
    if REWRITING.iter().any(|name| headers.contains_key(name)) {
        return Err(BypassReason::Rewrite);
    }
    if headers.contains_key(UPGRADE) {
        return Err(BypassReason::Upgrade);
    }
    if headers.contains_key(IF_MATCH) || headers.contains_key(IF_UNMODIFIED_SINCE) {
        return Err(BypassReason::Precondition);
    }
    let directives = if region.client_directives {
        Directives::of(headers)
    } else {
        Directives::default()
    };
    if directives.no_store {
        return Err(BypassReason::RequestNoStore);
    }
    let pragma = region.client_directives
        && !directives.present
        && headers
            .get_all(PRAGMA)
            .iter()
            .any(|value| value.as_bytes().eq_ignore_ascii_case(b"no-cache"));
    Ok(Lookup {
        head,
        credentials: credentials(headers, region, has_identity),
        identity: has_identity,
        // A client's directive that cannot be read asks for something; a new answer is the one that is never wrong.
        refresh: directives.no_cache != Scope::Nothing
            || directives.max_age == Some(0)
            || directives.malformed
            || pragma,
        max_age: directives.max_age,
        min_fresh: directives.min_fresh,
        max_stale: directives.max_stale,
        only_if_cached: directives.only_if_cached,
        conditional: headers.contains_key(IF_NONE_MATCH) || headers.contains_key(IF_MODIFIED_SINCE),
        // 14.2: `Range` means something for GET alone.
        range: !head && headers.contains_key(RANGE),
    })
}

/// An identity in the key stands for all credentials.
fn credentials(headers: &HeaderMap, region: &Region, has_identity: bool) -> Credentials {
    Credentials {
        authorization: !has_identity && headers.contains_key(AUTHORIZATION),
        cookie: !has_identity && !region.insecure_cookie && headers.contains_key(COOKIE),
    }
}

/// The look-up that a GET by the sender of this POST would be: its answer may be kept for one. `None` where the target is
/// not what the key would say.
pub(crate) fn as_get(parts: &Parts, region: &Region, has_identity: bool) -> Option<Lookup> {
    let headers = &parts.headers;
    let is_rewritten = REWRITING.iter().any(|name| headers.contains_key(name));
    if parts.method != Method::POST || is_rewritten || headers.contains_key(UPGRADE) {
        return None;
    }
    Some(Lookup {
        credentials: credentials(headers, region, has_identity),
        identity: has_identity,
        ..Lookup::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classify_with(headers: &[(&str, &str)]) -> Result<Lookup, BypassReason> {
        let mut request = http::Request::builder().uri("/");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let parts = request.body(()).unwrap().into_parts().0;
        classify(&parts, false, &Region::api(), false)
    }

    #[test]
    fn c5_rewriting_and_overriding_fields_bypass() {
        for name in [
            "X-Original-URL",
            "X-Rewrite-URL",
            "X-HTTP-Method-Override",
            "X-HTTP-Method",
            "X-Method-Override",
        ] {
            assert_eq!(
                classify_with(&[(name, "/admin")]),
                Err(BypassReason::Rewrite),
                "{name}"
            );
        }
    }

    #[test]
    fn c5_a_body_on_get_bypasses_however_it_is_declared() {
        assert_eq!(
            classify_with(&[("content-length", "3")]),
            Err(BypassReason::RequestBody)
        );
        assert_eq!(
            classify_with(&[("transfer-encoding", "chunked")]),
            Err(BypassReason::RequestBody)
        );
        assert!(classify_with(&[("content-length", "0")]).is_ok());
        let parts = http::Request::builder()
            .uri("/")
            .body(())
            .unwrap()
            .into_parts()
            .0;
        assert_eq!(
            classify(&parts, true, &Region::api(), false),
            Err(BypassReason::RequestBody)
        );
    }

    #[test]
    fn no_store_bypasses_and_no_cache_refreshes() {
        assert_eq!(
            classify_with(&[("cache-control", "no-store")]),
            Err(BypassReason::RequestNoStore)
        );
        assert!(
            classify_with(&[("cache-control", "no-cache")])
                .unwrap()
                .refresh
        );
        assert!(
            classify_with(&[("cache-control", "max-age=0")])
                .unwrap()
                .refresh
        );
        assert!(classify_with(&[("pragma", "no-cache")]).unwrap().refresh);
        assert!(
            !classify_with(&[("pragma", "no-cache"), ("cache-control", "max-age=5")])
                .unwrap()
                .refresh
        );
        assert!(!classify_with(&[]).unwrap().refresh);
    }

    #[test]
    fn methods_ranges_and_upgrades_bypass() {
        let parts = http::Request::builder()
            .method("POST")
            .uri("/")
            .body(())
            .unwrap()
            .into_parts()
            .0;
        assert_eq!(
            classify(&parts, false, &Region::api(), false),
            Err(BypassReason::Method)
        );
        assert!(classify_with(&[("range", "bytes=0-1")]).unwrap().range);
        for name in ["if-match", "if-unmodified-since"] {
            assert_eq!(
                classify_with(&[(name, "x")]),
                Err(BypassReason::Precondition),
                "{name}"
            );
        }
        assert_eq!(
            classify_with(&[("upgrade", "websocket")]),
            Err(BypassReason::Upgrade)
        );
    }

    #[test]
    fn a_region_may_refuse_to_let_clients_bypass_it() {
        let deaf = Region::api().client_directives(false);
        for (name, value) in [
            ("cache-control", "no-store"),
            ("cache-control", "no-cache, max-age=0, only-if-cached"),
            ("pragma", "no-cache"),
        ] {
            let request = http::Request::builder().uri("/").header(name, value);
            let parts = request.body(()).unwrap().into_parts().0;
            assert_eq!(
                classify(&parts, false, &deaf, false),
                Ok(Lookup::default()),
                "{value}"
            );
        }
    }
}
