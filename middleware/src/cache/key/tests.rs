//! Keys: what is one and what is another.

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
