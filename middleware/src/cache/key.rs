//! The key of an answer: everything of a request that decides what is answered, each field with its length.
//!
//! A keyed 128-bit hash picks the slot; equality of the whole key decides. So neither a collision nor a crafted field
//! (`a=1&b` against `a=1%26b`) ever gives one request another's answer.

use std::{
    cell::Cell,
    hash::{Hash, Hasher},
    sync::Arc,
};

use http::{
    HeaderMap, HeaderName,
    header::{
        CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LOCATION, CONTENT_RANGE, CONTENT_TYPE, HOST,
    },
    request::Parts,
};
use siphasher::sip128::{Hasher128, SipHasher13};

use super::{key_rule::list, outcome::BypassReason, policy::Fields, region::Region};

/// Longest value of a forwarded field (SECURITY C5): what an honest proxy sends is far shorter.
const MAX_FORWARDED_BYTES: usize = 255;
/// Longest whole key, but for content, which has a bound of its own. Paths of 8 KiB, which servers commonly take, fit.
const MAX_KEY_BYTES: usize = 32 << 10;

/// Fields that say how content is to be read (RFC 9110, 8.3 to 8.7, and 14.4). A QUERY's key has to hold "the request content and
/// related metadata" (draft-ietf-httpbis-safe-method-w-body).
const OF_CONTENT: [HeaderName; 5] = [
    CONTENT_TYPE,
    CONTENT_ENCODING,
    CONTENT_LANGUAGE,
    CONTENT_LOCATION,
    CONTENT_RANGE,
];

/// A key and its hash.
#[derive(Clone, Debug)]
pub(super) struct CacheKey {
    high: u64,
    low: u64,
    bytes: Vec<u8>,
}

thread_local! {
    /// Where the next key of this thread is written: a hit needs its key no longer than it looks.
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}
/// Room for most keys.
const SPARE_BYTES: usize = 256;

impl CacheKey {
    /// To be kept: it holds no more than its bytes.
    pub(super) fn kept(mut self) -> Arc<Self> {
        self.bytes.shrink_to_fit();
        Arc::new(self)
    }

    /// Not needed any more: the next key is written in its place.
    pub(super) fn spare(mut self) {
        if self.bytes.capacity() <= SPARE_BYTES {
            self.bytes.clear();
            // At a thread's end there is no next one.
            let _ = SPARE.try_with(|spare| spare.set(self.bytes));
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Half of the hash: enough to pick a shard or to remember a key by.
    pub(super) fn low(&self) -> u64 {
        self.low
    }
}

impl PartialEq for CacheKey {
    fn eq(&self, other: &Self) -> bool {
        self.low == other.low && self.high == other.high && self.bytes == other.bytes
    }
}

impl Eq for CacheKey {}

impl Hash for CacheKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.low);
    }
}

/// How a cache makes its keys.
pub(super) struct KeyMaker {
    secret: (u64, u64),
    mount: Box<str>,
}

impl KeyMaker {
    /// The hash's secret is new for each cache, so nobody outside can aim at one slot.
    pub(super) fn new(mount: &str) -> Self {
        let mut secret = [0_u8; 16];
        if getrandom::fill(&mut secret).is_err() {
            // No system randomness: the standard library's own per-process keys then.
            use std::hash::{BuildHasher, RandomState};
            secret[..8].copy_from_slice(&RandomState::new().hash_one(1_u8).to_le_bytes());
            secret[8..].copy_from_slice(&RandomState::new().hash_one(2_u8).to_le_bytes());
        }
        let secret = u128::from_le_bytes(secret);
        Self {
            secret: (secret as u64, (secret >> 64) as u64),
            mount: mount.into(),
        }
    }

    /// The key of a request in a region. `fields` are those of its headers; `identity` is who asks, where the region tells
    /// people apart; `content` is that of a safe request that has any, whose method counts too.
    pub(super) fn key(
        &self,
        parts: &Parts,
        fields: Fields,
        region: &Region,
        identity: Option<&str>,
        content: Option<&[u8]>,
    ) -> Result<CacheKey, BypassReason> {
        let mut bytes = SPARE.try_with(Cell::take).unwrap_or_default();
        bytes.reserve(SPARE_BYTES);
        field(&mut bytes, self.mount.as_bytes());
        field(&mut bytes, region.name().as_bytes());
        region.key.write(&mut bytes, parts, identity);
        let uri = asked_uri(parts);
        field(&mut bytes, uri.scheme_str().unwrap_or("").as_bytes());
        // An absolute-form target and `Host` may differ; a handler may look at either, so both count. As they were sent:
        // hosts are the same in any case (RFC 9110, 4.2.3), but a handler that compares them as text would answer one
        // client's writing for all.
        match uri.authority() {
            Some(authority) => field(&mut bytes, authority.as_str().as_bytes()),
            None => field(&mut bytes, b""),
        }
        let mut hosts = parts.headers.get_all(HOST).iter();
        match (hosts.next(), hosts.next()) {
            (Some(host), None) => field(&mut bytes, host.as_bytes()),
            (None, _) => field(&mut bytes, b""),
            (Some(_), Some(_)) => return Err(BypassReason::Key),
        }
        let (which, names) = fields.forwarded();
        bytes.extend_from_slice(&which.to_le_bytes());
        if which != 0 {
            for name in names {
                forwarded(&mut bytes, &parts.headers, name)?;
            }
        }
        target(&mut bytes, uri);
        // Under `nest` the service sees a shorter path, and a layer outside may have rewritten it: where it differs from
        // what the client asked, it decides the answer too.
        if std::ptr::eq(uri, &raw const parts.uri) || *uri == parts.uri {
            bytes.push(0);
        } else {
            bytes.push(1);
            target(&mut bytes, &parts.uri);
        }
        if content.is_some() {
            // The key of a GET ends before this, or with the mark of a part.
            bytes.push(b'c');
            field(&mut bytes, parts.method.as_str().as_bytes());
            for name in &OF_CONTENT {
                let values = parts.headers.get_all(name);
                list(&mut bytes, values.iter().map(|value| value.as_bytes()));
            }
        }
        if bytes.len() > MAX_KEY_BYTES {
            return Err(BypassReason::Key);
        }
        if let Some(content) = content {
            field(&mut bytes, content);
        }
        Ok(self.finish(bytes))
    }

    /// The key under which a part of an answer is kept: never that of a whole one, which is a list of fields.
    pub(super) fn of_part(&self, key: &CacheKey) -> CacheKey {
        let mut bytes = key.bytes.clone();
        bytes.push(b'p');
        self.finish(bytes)
    }

    /// The key of a query's rows: never that of an answer, whose third field is a scheme.
    #[cfg(feature = "query")]
    pub(super) fn of_query(&self, region: &Region, normal: &str, parameters: &[u8]) -> CacheKey {
        let mut bytes = Vec::with_capacity(normal.len() + parameters.len() + 64);
        for part in [
            self.mount.as_bytes(),
            region.name().as_bytes(),
            b"query\0",
            normal.as_bytes(),
            parameters,
        ] {
            field(&mut bytes, part);
        }
        self.finish(bytes)
    }

    pub(super) fn finish(&self, bytes: Vec<u8>) -> CacheKey {
        let mut hasher = SipHasher13::new_with_keys(self.secret.0, self.secret.1);
        hasher.write(&bytes);
        let hash = hasher.finish128();
        CacheKey {
            high: hash.h1,
            low: hash.h2,
            bytes,
        }
    }
}

/// The target as the client asked for it, where axum remembers that.
pub(super) fn asked_uri(parts: &Parts) -> &http::Uri {
    #[cfg(feature = "axum")]
    if let Some(original) = parts.extensions.get::<axum::extract::OriginalUri>() {
        return &original.0;
    }
    &parts.uri
}

/// Path and query as the client asked for them.
pub(super) fn asked_target(parts: &Parts) -> &str {
    let target = asked_uri(parts).path_and_query();
    target.map_or("/", http::uri::PathAndQuery::as_str)
}

/// The host that the client asked.
pub(super) fn asked_host(parts: &Parts) -> Option<&str> {
    let authority = asked_uri(parts).authority();
    authority
        .map(|authority| authority.as_str())
        .or_else(|| parts.headers.get(HOST)?.to_str().ok())
}

/// Path and query. No query and an empty one are different targets, as are `/%41` and `/A`: what the handler sees
/// differs.
fn target(bytes: &mut Vec<u8>, uri: &http::Uri) {
    field(bytes, uri.path().as_bytes());
    match uri.query() {
        Some(query) => {
            bytes.push(1);
            field(bytes, query.as_bytes());
        }
        None => bytes.push(0),
    }
}

fn forwarded(
    bytes: &mut Vec<u8>,
    headers: &HeaderMap,
    name: &HeaderName,
) -> Result<(), BypassReason> {
    let mut count = 0_u8;
    let mut total = 0;
    let at = bytes.len();
    bytes.push(0);
    for value in headers.get_all(name) {
        total += value.len();
        if total > MAX_FORWARDED_BYTES || count == u8::MAX {
            return Err(BypassReason::Key);
        }
        count += 1;
        field(bytes, value.as_bytes());
    }
    bytes[at] = count;
    Ok(())
}

/// A length and then the bytes: no field can pretend to be the end of another.
pub(super) fn field(bytes: &mut Vec<u8>, value: &[u8]) {
    bytes.extend_from_slice(&length(value));
    bytes.extend_from_slice(value);
}

fn length(value: &[u8]) -> [u8; 4] {
    // A field of 4 GiB cannot be in a request; were it so, the key's bound refuses it.
    u32::try_from(value.len()).unwrap_or(u32::MAX).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parts(uri: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = http::Request::builder().uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn keyed(maker: &KeyMaker, parts: &Parts) -> Result<CacheKey, BypassReason> {
        maker.key(
            parts,
            Fields::of(&parts.headers),
            &Region::api(),
            None,
            None,
        )
    }

    fn key(maker: &KeyMaker, uri: &str, headers: &[(&str, &str)]) -> CacheKey {
        keyed(maker, &parts(uri, headers)).unwrap()
    }

    #[test]
    fn c7_targets_that_differ_have_different_keys() {
        let maker = KeyMaker::new("");
        let host = [("host", "a.example")];
        let targets = [
            "/",
            "//",
            "/?",
            "/?a=1&b",
            "/?b&a=1",
            "/?a=1%26b",
            "/a",
            "/%61",
            "/A",
            "/a/",
            "/a//",
            "/a?",
            "/a?b",
            "/a%3Fb",
            "/me/x.css",
            "/me%2fx.css",
            "/me;x.css",
            "/me/..%2fstatic",
            "/static",
        ];
        for (i, one) in targets.iter().enumerate() {
            for other in &targets[i + 1..] {
                assert_ne!(
                    key(&maker, one, &host),
                    key(&maker, other, &host),
                    "{one} and {other}"
                );
            }
            assert_eq!(key(&maker, one, &host), key(&maker, one, &host));
        }
    }

    #[test]
    fn c7_host_port_scheme_name_and_their_case_are_part_of_the_key() {
        let maker = KeyMaker::new("");
        let base = key(&maker, "/a", &[("host", "a.example")]);
        assert_ne!(base, key(&maker, "/a", &[("host", "A.Example")]));
        assert_ne!(base, key(&maker, "/a", &[("host", "a.example:8080")]));
        assert_ne!(base, key(&maker, "/a", &[("host", "b.example")]));
        assert_ne!(base, key(&maker, "/a", &[]));
        assert_ne!(
            key(&maker, "http://a.example/a", &[]),
            key(&maker, "https://a.example/a", &[])
        );
        assert_ne!(
            base,
            key(&KeyMaker::new("v1"), "/a", &[("host", "a.example")])
        );
    }

    #[test]
    fn c7_paths_of_8_kb_are_keyed_whole() {
        let maker = KeyMaker::new("");
        let long = format!("/{}", "a".repeat(8_192));
        assert_ne!(
            key(&maker, &format!("{long}1"), &[]),
            key(&maker, &format!("{long}2"), &[])
        );
    }

    #[test]
    fn c5_forwarded_names_are_keyed_and_overlong_ones_refused() {
        let maker = KeyMaker::new("");
        let base = key(&maker, "/a", &[]);
        for name in [
            "x-forwarded-host",
            "x-forwarded-proto",
            "x-forwarded-port",
            "forwarded",
            "x-forwarded-prefix",
            "x-forwarded-scheme",
            "x-forwarded-server",
            "x-forwarded-ssl",
            "x-forwarded-path",
            "x-forwarded-uri",
            "x-host",
            "x-original-host",
            "x-http-host-override",
            "x-url-scheme",
            "front-end-https",
        ] {
            let keyed_by = key(&maker, "/a", &[(name, "evil.example")]);
            assert_ne!(base, keyed_by, "{name}");
            let other = key(&maker, "/a", &[("x-forwarded-protocol", "evil.example")]);
            assert_ne!(keyed_by, other, "{name}");
            let long = "x".repeat(256);
            let refused = keyed(&maker, &parts("/a", &[(name, &long)]));
            assert_eq!(refused.unwrap_err(), BypassReason::Key, "{name}");
        }
        let twice = key(
            &maker,
            "/a",
            &[("x-forwarded-host", "a"), ("x-forwarded-host", "b")],
        );
        assert_ne!(twice, key(&maker, "/a", &[("x-forwarded-host", "ab")]));
    }

    #[test]
    fn two_hosts_are_refused() {
        let refused = keyed(
            &KeyMaker::new(""),
            &parts("/a", &[("host", "a"), ("host", "b")]),
        );
        assert_eq!(refused.unwrap_err(), BypassReason::Key);
    }

    /// Lists of at most two of these.
    fn lists<T: Clone>(of: &[T]) -> Vec<Vec<T>> {
        let mut lists = vec![Vec::new()];
        for one in of {
            lists.push(vec![one.clone()]);
            lists.extend(of.iter().map(|other| vec![one.clone(), other.clone()]));
        }
        lists
    }

    /// Every method, path, fields and content made of the bytes that a key is made of (marks, lengths, counts), beside GETs
    /// and parts: no two have one key.
    #[test]
    fn keys_with_content_are_injective() {
        let maker = KeyMaker::new("");
        let mut keys = std::collections::HashSet::new();
        let mut add = |method: &str, path, fields: [&[&str]; 2], content| {
            let mut request = http::Request::builder().method(method).uri(path);
            for (name, values) in [CONTENT_TYPE, CONTENT_ENCODING].iter().zip(fields) {
                for value in values {
                    request = request.header(name, *value);
                }
            }
            let parts = request.body(()).unwrap().into_parts().0;
            let fields = Fields::of(&parts.headers);
            let key = maker.key(&parts, fields, &Region::api(), None, content);
            let key = key.unwrap();
            for key in [maker.of_part(&key), key] {
                let is_new = keys.insert(key.bytes);
                assert!(is_new, "{method} {path} {:?} {content:?}", parts.headers);
            }
        };
        let values = lists(&["", "c", "p"]);
        let contents = lists(b"\0\x01cpP");
        for path in ["/", "/c", "/p"] {
            add("GET", path, [&[], &[]], None);
            for method in ["POST", "QUERY"] {
                for kinds in &values {
                    for codings in &values {
                        for content in &contents {
                            add(method, path, [kinds, codings], Some(content));
                        }
                    }
                }
            }
        }
    }

    proptest! {
        /// Injective: whatever the fields hold, equal keys mean equal fields.
        #[test]
        fn keys_are_injective(
            one in ("[a-c.]{0,3}", "[a-c.]{0,3}", "[/a-c%26]{0,5}", proptest::option::of("[a-c&=%26]{0,5}")),
            other in ("[a-c.]{0,3}", "[a-c.]{0,3}", "[/a-c%26]{0,5}", proptest::option::of("[a-c&=%26]{0,5}")),
        ) {
            let maker = KeyMaker::new("");
            let make = |(host, forwarded, path, query): &(String, String, String, Option<String>)| {
                let query = query.as_ref().map(|query| format!("?{query}")).unwrap_or_default();
                let uri = format!("/{path}{query}");
                // `http` reads a leading `//` as it is in origin form; some texts are no target at all.
                let uri: http::Uri = uri.parse().ok()?;
                let request = http::Request::builder().uri(uri).header("host", host).header("x-forwarded-host", forwarded);
                keyed(&maker, &request.body(()).ok()?.into_parts().0).ok()
            };
            if let (Some(a), Some(b)) = (make(&one), make(&other)) {
                prop_assert_eq!(one == other, a == b);
            }
        }

        /// Length prefixes: a list of fields is never another list.
        #[test]
        fn field_lists_are_injective(one in proptest::collection::vec("[ab]{0,3}", 0..4), other in proptest::collection::vec("[ab]{0,3}", 0..4)) {
            let encode = |fields: &[String]| {
                let mut bytes = Vec::new();
                fields.iter().for_each(|value| field(&mut bytes, value.as_bytes()));
                bytes
            };
            prop_assert_eq!(one == other, encode(&one) == encode(&other));
        }
    }
}
