//! What is in the key, who shares, and groups: `Region`'s settings as a client sees them.

#![allow(clippy::unwrap_used)]

mod support;

use std::sync::{Arc, Mutex};

use http::{HeaderName, StatusCode};
use pitcrew::{CacheHandle, CacheLayer, cache::Region};
use support::*;

fn in_region(handler: &Handler, region: Region) -> (Cached, CacheHandle) {
    cached(handler, CacheLayer::builder().region(region))
}

#[tokio::test]
async fn c5_an_ignored_parameter_is_neither_in_the_key_nor_seen_by_the_handler() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let notes = Arc::clone(&seen);
    let handler = Handler::new(move |request, call| {
        notes.lock().unwrap().push(request.uri().to_string());
        ready(answer(&[("cache-control", "max-age=60")], call.to_string()))
    });
    let region = Region::api().ignore_query(["utm_*", "gclid"]);
    let (app, _) = in_region(&handler, region);
    ask(&app, get("/a?utm_source=%3Cscript%3E&x=1")).await;
    assert!(ask(&app, get("/a?x=1&gclid=2")).await.is_hit());
    assert!(!ask(&app, get("/a?x=2")).await.is_hit());
    assert_eq!(*seen.lock().unwrap(), ["/a?x=1", "/a?x=2"]);
}

#[tokio::test]
async fn c7_the_order_of_parameters_counts_unless_the_region_says_otherwise() {
    for sorted in [false, true] {
        let handler = Handler::with(&[("cache-control", "max-age=60")]);
        let (app, _) = in_region(&handler, Region::api().sort_query(sorted));
        ask(&app, get("/?b=1&a=1")).await;
        assert_eq!(ask(&app, get("/?a=1&b=1")).await.is_hit(), sorted);
    }
}

#[tokio::test]
async fn fields_cookies_and_a_closure_may_be_part_of_the_key() {
    let region = Region::api()
        .key_headers([HeaderName::from_static("x-tenant")])
        .key_cookies(["theme"])
        .key_by(|parts| (parts.uri.path().len() % 2).to_string());
    let handler = Handler::with(&[("cache-control", "public, max-age=60")]);
    let (app, _) = in_region(&handler, region);
    let with = |tenant: &'static str, cookie: &'static str| {
        ask(
            &app,
            get_with("/", &[("x-tenant", tenant), ("cookie", cookie)]),
        )
    };
    with("a", "theme=dark; sid=1").await;
    assert!(with("a", "sid=2; theme=dark").await.is_hit());
    assert!(!with("b", "theme=dark").await.is_hit());
    assert!(!with("a", "theme=light").await.is_hit());
    assert!(!with("a", "other=1").await.is_hit());
}

#[tokio::test]
async fn c1_an_identity_shares_with_itself_alone() {
    let region = || {
        Region::api().per_identity(|parts| {
            let user = parts.headers.get("x-verified-user")?;
            Some(user.to_str().ok()?.to_owned())
        })
    };
    let handler = Handler::with(&[("cache-control", "private, max-age=60")]);
    let (app, _) = in_region(&handler, region());
    let as_user = |user: &'static str| {
        let fields = [
            ("x-verified-user", user),
            ("authorization", "Bearer x"),
            ("cookie", "a=b"),
        ];
        ask(&app, get_with("/", &fields))
    };
    as_user("ann").await;
    assert!(as_user("ann").await.is_hit());
    assert!(!as_user("bob").await.is_hit());
    let anybody = [("authorization", "Bearer x")];
    for _ in 0..2 {
        let seen = ask(&app, get_with("/", &anybody)).await;
        assert_eq!(
            seen.cache_status(),
            "pitcrew; fwd=uri-miss; detail=response-private"
        );
    }
    // What must not be stored at all is not stored for one either.
    for never in [
        &[("cache-control", "no-store")][..],
        &[("cache-control", "max-age=60"), ("set-cookie", "a=b")],
    ] {
        let (app, _) = in_region(&Handler::with(never), region());
        let asking = || ask(&app, get_with("/", &[("x-verified-user", "ann")]));
        asking().await;
        assert!(!asking().await.is_hit(), "{never:?}");
    }
}

/// RFC 9875.
#[tokio::test]
async fn a_group_becomes_old_together_and_within_its_origin() {
    let handler = Handler::new(|request, call| {
        let path = request.uri().path().to_owned();
        if request.method() == "POST" {
            let mut response = answer(&[("cache-group-invalidation", "\"prices\"")], "");
            *response.status_mut() =
                StatusCode::from_u16(if path == "/fails" { 500 } else { 200 }).unwrap();
            return ready(response);
        }
        let groups = match path.as_str() {
            "/a" => "\"prices\", \"shoes\"",
            "/b" => "\"prices\"",
            _ => "\"Prices\"",
        };
        let headers = [("cache-control", "max-age=60"), ("cache-groups", groups)];
        ready(answer(&headers, call.to_string()))
    });
    let (app, handle) = in_region(&handler, Region::api());
    let other_host = || {
        let mut request = get("/a");
        request
            .headers_mut()
            .insert("host", "other.example".parse().unwrap());
        request
    };
    for path in ["/a", "/b", "/c"] {
        ask(&app, get(path)).await;
    }
    ask(&app, other_host()).await;
    ask(&app, method("POST", "/fails", &[])).await;
    assert!(
        ask(&app, get("/a")).await.is_hit(),
        "an error makes nothing old"
    );
    ask(&app, method("POST", "/change", &[])).await;
    assert!(!ask(&app, get("/a")).await.is_hit() && !ask(&app, get("/b")).await.is_hit());
    assert!(
        ask(&app, get("/c")).await.is_hit(),
        "names are compared as they are written"
    );
    assert!(
        ask(&app, other_host()).await.is_hit(),
        "a group is one of an origin"
    );
    assert_eq!(handle.stats().invalidations, 2);
}

#[tokio::test]
async fn c10_an_answer_of_more_groups_than_are_kept_is_not_stored() {
    let many = vec!["\"g\""; 65].join(", ");
    let handler = Handler::new(move |_, _| {
        ready(answer(
            &[("cache-control", "max-age=60"), ("cache-groups", &many)],
            "x",
        ))
    });
    let (app, _) = in_region(&handler, Region::api());
    ask(&app, get("/")).await;
    assert!(!ask(&app, get("/")).await.is_hit());
}

#[tokio::test]
async fn a_request_is_explained_as_it_would_be_decided() {
    let clock = pitcrew::clock::Clock::manual();
    let handler = Handler::with(&[
        ("cache-control", "max-age=60, stale-while-revalidate=60"),
        ("vary", "accept"),
        ("etag", "\"a\""),
    ]);
    let builder = CacheLayer::builder()
        .region(Region::api().ignore_query(["utm_*"]))
        .clock(clock.clone());
    let (app, handle) = cached(&handler, builder);
    let first = handle.explain(&get("/a?utm_x=1&b=2"));
    assert_eq!(
        (first.decision, first.key.as_str()),
        ("miss", "app.example/a?b=2")
    );
    assert!(first.stored.is_none() && first.because.contains("nothing is stored"));
    ask(&app, get("/a?b=2")).await;
    let hit = handle.explain(&get("/a?b=2"));
    let stored = hit.stored.unwrap();
    assert_eq!(
        (hit.decision, stored.ttl_s, stored.body_bytes),
        ("hit", 60, 1)
    );
    assert!(stored.has_validator && stored.vary == ["accept"]);
    let other = handle.explain(&get_with("/a?b=2", &[("accept", "x")]));
    assert!(
        other.decision == "miss" && other.because.contains("Vary"),
        "{other:?}"
    );
    clock.advance(std::time::Duration::from_secs(90));
    let stale = handle.explain(&get("/a?b=2"));
    assert_eq!(
        (stale.decision, stale.stored.unwrap().ttl_s),
        ("stale", -30)
    );
    handle.purge(pitcrew::cache::Purge::All).await.unwrap();
    assert!(handle.explain(&get("/a?b=2")).because.contains("purged"));
    let bypass = handle.explain(&method("POST", "/a", &[]));
    assert_eq!((bypass.decision, bypass.region.as_str()), ("bypass", "api"));
    assert_eq!(bypass.makes_old.as_deref(), Some("/a"));
    assert!(bypass.because.contains("`/a` is old then"), "{bypass:?}");
    assert!(bypass.because.contains("Content-Location"), "{bypass:?}");
    for safe in ["GET", "OPTIONS"] {
        let explained = handle.explain(&method(safe, "/a", &[]));
        assert_eq!(explained.makes_old, None, "{safe}");
    }
    assert_eq!(handler.calls(), 1, "nothing is run");
    assert_eq!(handle.stats().hits, 0, "nothing is counted");
}

#[tokio::test]
async fn a_region_says_which_requests_and_answers_it_is_for() {
    use pitcrew::cache::{AnswerPredicate, RequestPredicate};
    let handler = Handler::new(|request, _| {
        let media_type = match request.uri().path() {
            "/admin" => "application/json",
            _ => "text/html; charset=utf-8",
        };
        let headers = [
            ("cache-control", "max-age=60"),
            ("content-type", media_type),
        ];
        ready(answer(&headers, "body"))
    });
    let preview = http::HeaderName::from_static("x-preview");
    let region = Region::api()
        .only_requests(!RequestPredicate::header(preview))
        .only_requests(RequestPredicate::path("/shop").or(RequestPredicate::path("/admin")))
        .only_answers(AnswerPredicate::content_type("text/*"));
    let (app, handle) = cached(&handler, CacheLayer::builder().region(region));
    for (path, headers, status) in [
        ("/shop/1", &[][..], "pitcrew; fwd=uri-miss; stored"),
        (
            "/shop/1",
            &[("x-preview", "1")],
            "pitcrew; fwd=bypass; detail=region",
        ),
        ("/other", &[], "pitcrew; fwd=bypass; detail=region"),
        (
            "/admin",
            &[],
            "pitcrew; fwd=uri-miss; detail=response-region",
        ),
        (
            "/admin",
            &[],
            "pitcrew; fwd=uri-miss; detail=response-region",
        ),
    ] {
        let asked = ask(&app, get_with(path, headers)).await;
        assert_eq!(asked.cache_status(), status, "{path} {headers:?}");
    }
    let explained = handle.explain(&get("/other"));
    assert_eq!(explained.because, "the cache stays out of it: region");
    assert!(ask(&app, get("/shop/1")).await.is_hit());
}

#[tokio::test]
async fn an_explanation_names_all_that_is_in_the_key_and_no_secret() {
    let region = Region::api()
        .key_headers([http::HeaderName::from_static("x-tenant")])
        .key_cookies(["theme"])
        .per_identity(|_| Some("alice".to_owned()));
    let (_, handle) = cached(
        &Handler::with(&[]),
        CacheLayer::builder().mount("/v1").region(region),
    );
    let asked = get_with(
        "/x",
        &[
            ("x-forwarded-host", "a.example"),
            ("x-tenant", "7"),
            ("cookie", "theme=dark"),
        ],
    );
    assert_eq!(
        handle.explain(&asked).key,
        "app.example/x [mount /v1; x-forwarded-host: a.example; x-tenant: 7; cookie theme; who asks]"
    );
}
