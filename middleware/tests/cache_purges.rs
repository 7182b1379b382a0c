//! Purges that other tests do not name: groups, and soft ones.

#![allow(clippy::unwrap_used)]

mod support;

use http::Response;
use pitcrew::{
    CacheHandle, CacheLayer,
    cache::{Purge, PurgeError, Region},
};
use support::*;

fn app(handler: &Handler) -> (Cached, CacheHandle) {
    cached(handler, CacheLayer::builder())
}

/// Answers `1`, then `2`, and so on, each with a validator of its own; a condition with one of those is answered 304.
fn numbered(control: &'static str) -> Handler {
    Handler::new(move |request, call| {
        let headers = [
            ("cache-control", control),
            ("etag", "\"a\""),
            ("x-cache-tags", "orders"),
        ];
        let mut response = answer(&headers, call.to_string());
        if request.headers().contains_key("if-none-match") {
            response = Response::new(full(""));
            *response.status_mut() = http::StatusCode::NOT_MODIFIED;
            response
                .headers_mut()
                .insert("etag", "\"a\"".parse().unwrap());
        }
        ready(response)
    })
}

#[tokio::test]
async fn a_soft_purge_lets_the_answer_be_given_while_one_fetch_renews_it() {
    let handler = Handler::new(|_, call| {
        let headers = [("cache-control", "max-age=60"), ("x-cache-tags", "orders")];
        ready(answer(&headers, call.to_string()))
    });
    let (app, handle) = app(&handler);
    let first = ask(&app, get("/")).await.body;
    for purge in [
        Purge::Tag("orders".into()),
        Purge::Path("/".into()),
        Purge::Key("/".into()),
        Purge::Prefix("/".into()),
        Purge::Pattern("/".into()),
        Purge::Region("api".into()),
        Purge::All,
    ] {
        let before = ask(&app, get("/")).await.body;
        let calls = handler.calls();
        handle.purge_softly(purge.clone()).await.unwrap();
        let explained = handle.explain(&get("/"));
        assert_eq!(explained.decision, "stale", "{purge:?}");
        for _ in 0..20 {
            let seen = ask(&app, get("/")).await;
            assert_eq!(seen.body, before, "{purge:?}");
            assert_eq!(seen.cache_status(), "pitcrew; hit; detail=soft-purge");
        }
        settle().await;
        let after = ask(&app, get("/")).await;
        assert!(after.cache_status().contains("ttl="), "{after:?}");
        assert_ne!(after.body, before, "{purge:?}");
        assert_eq!(handler.calls(), calls + 1, "{purge:?}");
    }
    assert_ne!(ask(&app, get("/")).await.body, first);
    let stats = handle.stats();
    assert_eq!((stats.stale, stats.background_refreshes), (140, 7));
}

#[tokio::test]
async fn a_soft_purge_asks_by_validators_and_a_304_makes_the_answer_fresh() {
    let handler = numbered("max-age=60");
    let (app, handle) = app(&handler);
    let first = ask(&app, get("/")).await.body;
    handle
        .purge_softly(Purge::Tag("orders".into()))
        .await
        .unwrap();
    ask(&app, get("/")).await;
    settle().await;
    let after = ask(&app, get("/")).await;
    assert!(after.cache_status().contains("ttl="), "{after:?}");
    assert_eq!((after.body, handler.calls()), (first, 2));
    assert_eq!(handle.stats().revalidated, 1);
}

#[tokio::test]
async fn what_must_not_be_given_stale_is_validated_after_a_soft_purge() {
    let handler = numbered("max-age=60, must-revalidate");
    let (app, handle) = app(&handler);
    ask(&app, get("/")).await;
    handle.purge_softly(Purge::All).await.unwrap();
    let seen = ask(&app, get("/")).await;
    assert_eq!(
        seen.cache_status(),
        "pitcrew; fwd=stale; fwd-status=304; ttl=60; stored"
    );
    assert!(ask(&app, get("/")).await.is_hit());
}

#[tokio::test]
async fn a_hard_purge_after_a_soft_one_holds() {
    let handler = numbered("max-age=60");
    let (app, handle) = app(&handler);
    let first = ask(&app, get("/")).await.body;
    handle.purge_softly(Purge::All).await.unwrap();
    handle.purge(Purge::All).await.unwrap();
    assert_ne!(ask(&app, get("/")).await.body, first);
}

#[tokio::test]
async fn a_soft_purge_that_comes_while_an_answer_is_made_makes_it_stale() {
    let (feed, body) = fed();
    let body = std::sync::Mutex::new(Some(body));
    let handler = Handler::new(move |_, _| {
        let mut response = answer(&[("cache-control", "max-age=60")], "new");
        if let Some(body) = body.lock().unwrap().take() {
            *response.body_mut() = body;
        }
        ready(response)
    });
    let (app, handle) = app(&handler);
    let response = tower::ServiceExt::oneshot(app.clone(), get("/"))
        .await
        .unwrap();
    handle.purge_softly(Purge::All).await.unwrap();
    feed.send(data("old")).unwrap();
    drop(feed);
    assert_eq!(read(response).await.body, "old");
    settle().await;
    let stale = ask(&app, get("/")).await;
    assert_eq!(
        (stale.body.as_str(), stale.cache_status()),
        ("old", "pitcrew; hit; detail=soft-purge")
    );
    settle().await;
    assert_eq!(ask(&app, get("/")).await.body, "new");
}

#[tokio::test]
async fn a_group_is_purged_for_its_host_alone() {
    let handler = Handler::with(&[
        ("cache-control", "max-age=60"),
        ("cache-groups", "\"menu\""),
    ]);
    let (app, handle) = app(&handler);
    let at = |host: &'static str| {
        let mut request = get("/");
        request
            .headers_mut()
            .insert("host", http::HeaderValue::from_static(host));
        request
    };
    for host in ["a.example", "b.example"] {
        ask(&app, at(host)).await;
        assert!(ask(&app, at(host)).await.is_hit());
    }
    let purge = Purge::Group {
        host: "A.example".into(),
        name: "menu".into(),
    };
    handle.purge(purge).await.unwrap();
    assert!(!ask(&app, at("a.example")).await.is_hit());
    assert!(ask(&app, at("b.example")).await.is_hit());
}

#[tokio::test]
async fn a_key_is_purged_however_its_region_spells_it() {
    let sorted = Region::new("sorted").sort_query(true);
    let region = Region::api().ignore_query(["utm_*"]);
    let builder = CacheLayer::builder()
        .region(region)
        .region(sorted)
        .region_for(|parts| (parts.uri.path() == "/sorted").then_some("sorted"));
    let handler = Handler::with(&[("cache-control", "max-age=60")]);
    let (app, handle) = cached(&handler, builder);
    for (asked, purged) in [
        ("/sorted?b=2&a=1", "/sorted?b=2&a=1"),
        ("/sorted?b=2&a=1", "/sorted?a=1&b=2"),
        ("/a?b=2&utm_source=x&a=1", "/a?b=2&utm_source=x&a=1"),
        ("/a?b=2&utm_source=x&a=1", "/a?b=2&a=1"),
        ("/a?utm_source=x", "/a?utm_medium=y#top"),
    ] {
        ask(&app, get(asked)).await;
        assert!(ask(&app, get(asked)).await.is_hit(), "{asked}");
        handle.purge(Purge::Key(purged.into())).await.unwrap();
        assert!(!ask(&app, get(asked)).await.is_hit(), "{asked}, {purged}");
    }
    ask(&app, get("/a?b=2&a=1")).await;
    handle.purge(Purge::Key("/a?a=1&b=2".into())).await.unwrap();
    let other = ask(&app, get("/a?b=2&a=1")).await;
    assert!(other.is_hit(), "the order counts where it is not sorted");
}

#[tokio::test]
async fn a_purge_that_can_name_nothing_says_what_to_write() {
    let (_, handle) = app(&Handler::with(&[]));
    let group = |host: &str, name: &str| Purge::Group {
        host: host.into(),
        name: name.into(),
    };
    for (purge, advice) in [
        (Purge::Path("a".into()), "from the first `/` on"),
        (Purge::Path(String::new()), "from the first `/` on"),
        (Purge::Path("http://app.example/a".into()), "without scheme"),
        (Purge::Path("/a b".into()), "percent-encoded"),
        (Purge::Key("?a=1".into()), "from the first `/` on"),
        (Purge::Prefix(String::new()), "`Purge::All` for everything"),
        (Purge::Prefix("orders/".into()), "begin a prefix"),
        (Purge::Pattern("orders/*".into()), "begin a prefix"),
        (Purge::Tag(" ".into()), "1 to 256 bytes"),
        (Purge::Tag("x".repeat(257)), "1 to 256 bytes"),
        (
            Purge::Region("apy".into()),
            "there are: api, dashboard_config",
        ),
        (
            group("https://app.example", "x"),
            "such as `example.com:8080`",
        ),
        (group("app.example", &"x".repeat(257)), "256 bytes at most"),
    ] {
        let said = handle.check_purge(&purge).unwrap_err();
        assert!(said.to_string().contains(advice), "{said}");
        assert_eq!(handle.purge(purge.clone()).await, Err(said.clone()));
        assert_eq!(handle.purge_softly(purge).await, Err(said));
    }
    assert_eq!(handle.stats().purges, 0);
    for purge in [
        Purge::Path("/".into()),
        Purge::Key("//a?b=%20#c".into()),
        Purge::Prefix("/a".into()),
        Purge::Pattern("*.png".into()),
        Purge::Tag(" orders ".into()),
        Purge::Region("queries".into()),
        group("app.example:8080", ""),
        Purge::All,
    ] {
        assert_eq!(handle.check_purge(&purge), Ok(()), "{purge:?}");
    }
    let unknown = handle.purge(Purge::Region("apy".into())).await;
    assert!(matches!(unknown, Err(PurgeError::Region { name, .. }) if name == "apy"));
}
