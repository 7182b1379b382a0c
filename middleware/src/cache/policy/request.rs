//! What a request allows the cache to do.

use http::{
    HeaderMap, Method,
    header::{IF_NONE_MATCH, PRAGMA},
    request::Parts,
};

use super::{
    content::{Content, declares_body, is_framed_as},
    directives::{Directives, Scope},
    fields::{Field, Fields},
};
use crate::cache::{outcome::BypassReason, region::Region};

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
    /// Its content is part of its key: a POST or QUERY that its region calls safe.
    pub(crate) content: bool,
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

/// Whether the cache may look at a request at all. `fields` are those of its headers.
pub(crate) fn classify(
    parts: &Parts,
    fields: Fields,
    content: &Content,
    region: &Region,
    has_identity: bool,
) -> Result<Lookup, BypassReason> {
    let headers = &parts.headers;
    let has_key = region.content_in_key(&parts.method, fields).is_some();
    let head = match parts.method {
        Method::GET => false,
        Method::HEAD => true,
        _ if has_key => false,
        _ => return Err(BypassReason::Method),
    };
    let says_length = fields.has(Field::Framing);
    let is_covered = match content {
        Content::Unread(reason) => return Err(*reason),
        Content::Whole(content) => {
            has_key && (!says_length || is_framed_as(headers, content.len()))
        }
        Content::Nothing => !has_key && (!says_length || !declares_body(headers)),
    };
    if !is_covered {
        return Err(BypassReason::RequestBody);
    }
    if fields.has(Field::Rewriting) || fields.has(Field::Connection) {
        return Err(BypassReason::Rewrite);
    }
    if fields.has(Field::Upgrade) {
        return Err(BypassReason::Upgrade);
    }
    // RFC 9110, 13.1.2: `If-None-Match` on another method than GET and HEAD may have to be answered by 412.
    let is_conditional = fields.has(Field::Conditional);
    if fields.has(Field::Precondition)
        || (has_key && is_conditional && headers.contains_key(IF_NONE_MATCH))
    {
        return Err(BypassReason::Precondition);
    }
    if region
        .requests
        .as_ref()
        .is_some_and(|requests| !requests.holds(parts))
    {
        return Err(BypassReason::Region);
    }
    let directives = directives(headers, fields, region);
    if directives.no_store {
        return Err(BypassReason::RequestNoStore);
    }
    let pragma = region.client_directives
        && !directives.present
        && fields.has(Field::Pragma)
        && headers
            .get_all(PRAGMA)
            .iter()
            .any(|value| value.as_bytes().eq_ignore_ascii_case(b"no-cache"));
    Ok(Lookup {
        head,
        content: has_key,
        credentials: credentials(fields, region, has_identity),
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
        // 13.1.3: of other methods than GET and HEAD `If-Modified-Since` is ignored.
        conditional: !has_key && is_conditional,
        // 14.2: `Range` means something for GET alone.
        range: !head && !has_key && fields.has(Field::Range),
    })
}

/// What the client says, where its region listens.
fn directives(headers: &HeaderMap, fields: Fields, region: &Region) -> Directives {
    if region.client_directives && fields.has(Field::CacheControl) {
        Directives::of(headers)
    } else {
        Directives::default()
    }
}

/// An identity in the key stands for all credentials.
fn credentials(fields: Fields, region: &Region, has_identity: bool) -> Credentials {
    Credentials {
        authorization: !has_identity && fields.has(Field::Authorization),
        cookie: !has_identity && !region.insecure_cookie && fields.has(Field::Cookie),
    }
}

/// The look-up that a GET by the sender of this POST would be: its answer may be kept for one. `None` where the target is
/// not what the key would say, and where the client or the region wants nothing kept.
pub(crate) fn as_get(
    parts: &Parts,
    fields: Fields,
    region: &Region,
    has_identity: bool,
) -> Option<Lookup> {
    let is_rewritten = [Field::Rewriting, Field::Connection, Field::Upgrade]
        .into_iter()
        .any(|field| fields.has(field));
    let is_wanted = region
        .requests
        .as_ref()
        .is_none_or(|requests| requests.holds(parts))
        && !directives(&parts.headers, fields, region).no_store;
    if parts.method != Method::POST || is_rewritten || !is_wanted {
        return None;
    }
    Some(Lookup {
        credentials: credentials(fields, region, has_identity),
        identity: has_identity,
        ..Lookup::default()
    })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn judge(parts: &Parts, region: &Region) -> Result<Lookup, BypassReason> {
        judge_with(parts, &Content::Nothing, region)
    }

    fn judge_with(
        parts: &Parts,
        content: &Content,
        region: &Region,
    ) -> Result<Lookup, BypassReason> {
        classify(parts, Fields::of(&parts.headers), content, region, false)
    }

    fn classify_with(headers: &[(&str, &str)]) -> Result<Lookup, BypassReason> {
        let mut request = http::Request::builder().uri("/");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let parts = request.body(()).unwrap().into_parts().0;
        judge(&parts, &Region::api())
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
            judge_with(
                &parts,
                &Content::Unread(BypassReason::RequestBody),
                &Region::api()
            ),
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
        assert_eq!(judge(&parts, &Region::api()), Err(BypassReason::Method));
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
            assert_eq!(judge(&parts, &deaf), Ok(Lookup::default()), "{value}");
        }
    }

    fn classify_content(
        method: &str,
        headers: &[(&str, &str)],
        content: &Content,
    ) -> Result<Lookup, BypassReason> {
        let mut request = http::Request::builder().method(method).uri("/");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let parts = request.body(()).unwrap().into_parts().0;
        judge_with(&parts, content, &Region::api().body_in_key(10))
    }

    #[test]
    fn content_that_the_key_covers_is_looked_up_by_the_methods_that_a_region_calls_safe() {
        let three = Content::Whole(Bytes::from_static(b"abc"));
        for method in ["POST", "QUERY"] {
            let lookup = classify_content(method, &[], &three).unwrap();
            assert!(lookup.content && !lookup.head, "{method}");
            for content in [Content::Nothing, Content::Unread(BypassReason::RequestBody)] {
                assert_eq!(
                    classify_content(method, &[], &content),
                    Err(BypassReason::RequestBody)
                );
            }
        }
        for method in ["PUT", "PATCH", "DELETE", "query", "M-SEARCH"] {
            assert_eq!(
                classify_content(method, &[], &three),
                Err(BypassReason::Method),
                "{method}"
            );
        }
        assert_eq!(
            classify_content("GET", &[], &three),
            Err(BypassReason::RequestBody)
        );
        let get = classify_content("GET", &[], &Content::Nothing).unwrap();
        assert!(!get.content);
    }

    #[test]
    fn content_of_another_length_than_the_fields_say_bypasses() {
        let three = Content::Whole(Bytes::from_static(b"abc"));
        let length = |value| ("content-length", value);
        let chunked = ("transfer-encoding", "chunked");
        for honest in [vec![], vec![length("3")], vec![chunked]] {
            assert!(
                classify_content("POST", &honest, &three).is_ok(),
                "{honest:?}"
            );
        }
        for lying in [
            vec![length("2")],
            vec![length("4")],
            vec![length("03")],
            vec![length("3, 3")],
            vec![length("x")],
            vec![length("3"), length("4")],
            vec![length("3"), chunked],
            vec![("transfer-encoding", "gzip")],
        ] {
            assert_eq!(
                classify_content("POST", &lying, &three),
                Err(BypassReason::RequestBody),
                "{lying:?}"
            );
        }
    }

    #[test]
    fn conditions_and_ranges_of_a_post_are_none_for_a_cache() {
        let content = Content::Whole(Bytes::new());
        let ignored = [
            ("if-modified-since", "Sun, 06 Nov 1994 08:49:37 GMT"),
            ("range", "bytes=0-1"),
        ];
        let lookup = classify_content("POST", &ignored, &content).unwrap();
        assert!(!lookup.conditional && !lookup.range);
        for name in ["if-none-match", "if-match", "if-unmodified-since"] {
            assert_eq!(
                classify_content("POST", &[(name, "*")], &content),
                Err(BypassReason::Precondition),
                "{name}"
            );
        }
    }
}
