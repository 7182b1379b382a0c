//! Faults that published Rust caches were seen to have: each one line, each a test.

#![allow(clippy::unwrap_used)]

mod support;

use std::time::Duration;

use http::StatusCode;
use pitcrew::{CacheLayer, cache::Region};
use support::*;
use tower::{Layer, ServiceBuilder, limit::ConcurrencyLimitLayer};

const PUBLIC: &[(&str, &str)] = &[("cache-control", "public, max-age=60")];
const FRESH: &[(&str, &str)] = &[("cache-control", "max-age=60")];

#[tokio::test]
async fn fault_shares_an_authorised_response() {
    let handler = Handler::with(FRESH);
    let app = simple(&handler);
    ask(&app, get_with("/", &[("authorization", "Bearer a")])).await;
    assert_eq!(
        ask(&app, get_with("/", &[("authorization", "Bearer b")]))
            .await
            .body,
        "1"
    );
}

#[tokio::test]
async fn fault_ignores_vary() {
    let handler = Handler::with(&[("cache-control", "max-age=60"), ("vary", "accept")]);
    let app = simple(&handler);
    ask(&app, get_with("/", &[("accept", "a")])).await;
    assert_eq!(ask(&app, get_with("/", &[("accept", "b")])).await.body, "1");
}

#[tokio::test]
async fn fault_replays_set_cookie() {
    let handler = Handler::with(&[
        ("cache-control", "public, max-age=60"),
        ("set-cookie", "a=1"),
    ]);
    let app = simple(&handler);
    ask(&app, get("/")).await;
    assert_eq!(ask(&app, get("/")).await.body, "1");
}

#[tokio::test]
async fn fault_sends_no_age() {
    let app = simple(&Handler::with(FRESH));
    assert!(!ask(&app, get("/")).await.headers.contains_key("age"));
    assert_eq!(ask(&app, get("/")).await.headers["age"], "0");
}

#[tokio::test]
async fn fault_deadlocks_under_a_concurrency_limit_of_one() {
    let handler = Handler::new(|_, call| {
        Box::pin(async move {
            tokio::task::yield_now().await;
            Ok(answer(FRESH, call.to_string()))
        })
    });
    let layer = CacheLayer::builder().build().0;
    let app = ServiceBuilder::new()
        .layer(layer)
        .layer(ConcurrencyLimitLayer::new(1))
        .service(handler);
    let tasks: Vec<_> = (0..50)
        .map(|_| {
            tokio::spawn({
                let app = app.clone();
                async move { ask(&app, get("/")).await.body }
            })
        })
        .collect();
    for task in tasks {
        assert_eq!(
            tokio::time::timeout(Duration::from_secs(10), task)
                .await
                .unwrap()
                .unwrap(),
            "0"
        );
    }
}

#[tokio::test]
async fn fault_head_then_get_gives_an_empty_body() {
    let handler = Handler::new(|request, _| {
        ready(answer(
            PUBLIC,
            if request.method() == "HEAD" { "" } else { "x" },
        ))
    });
    let app = simple(&handler);
    ask(&app, method("HEAD", "/", &[])).await;
    assert_eq!(ask(&app, get("/")).await.body, "x");
    assert_eq!(ask(&app, get("/")).await.body, "x");
}

#[tokio::test]
async fn fault_gives_raw_gzip_without_content_encoding() {
    let handler = Handler::with(&[
        ("cache-control", "max-age=60"),
        ("content-encoding", "gzip"),
    ]);
    let app = simple(&handler);
    ask(&app, get("/")).await;
    let hit = ask(&app, get("/")).await;
    assert!(hit.is_hit());
    assert_eq!(hit.headers["content-encoding"], "gzip");
}

#[tokio::test]
async fn fault_two_hundred_misses_make_two_hundred_calls() {
    let handler = Handler::new(|_, call| {
        Box::pin(async move {
            tokio::task::yield_now().await;
            Ok(answer(FRESH, call.to_string()))
        })
    });
    let app = simple(&handler);
    let tasks: Vec<_> = (0..200)
        .map(|_| {
            tokio::spawn({
                let app = app.clone();
                async move { ask(&app, get("/")).await.body }
            })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap(), "0");
    }
    assert_eq!(handler.calls(), 1);
}

#[tokio::test]
async fn fault_turns_an_oversize_body_into_an_error() {
    let handler = Handler::new(|_, _| ready(answer(FRESH, vec![b'x'; 100])));
    let (app, _) = cached(
        &handler,
        CacheLayer::builder().region(Region::api().max_body_bytes(10)),
    );
    for _ in 0..2 {
        let seen = ask(&app, get("/")).await;
        assert_eq!((seen.status, seen.body.len()), (StatusCode::OK, 100));
    }
}

#[tokio::test]
async fn fault_caches_post() {
    let handler = Handler::with(PUBLIC);
    let app = simple(&handler);
    ask(&app, method("POST", "/", &[])).await;
    assert_eq!(ask(&app, method("POST", "/", &[])).await.body, "1");
    assert_eq!(ask(&app, get("/")).await.body, "2");
}

#[tokio::test]
async fn fault_calls_the_inner_service_on_a_hit() {
    let handler = Handler::with(FRESH);
    let app = simple(&handler);
    for _ in 0..10 {
        assert_eq!(ask(&app, get("/")).await.body, "0");
    }
    assert_eq!(handler.calls(), 1);
}

/// The handler of these tests answers with a body that is not `Sync`; this says so to the compiler.
#[test]
fn fault_needs_a_body_that_is_sync() {
    trait NotSync<Marker> {
        fn ambiguous_if_sync() {}
    }
    struct IsSync;
    impl<T: ?Sized> NotSync<()> for T {}
    impl<T: ?Sized + Sync> NotSync<IsSync> for T {}
    <Body as NotSync<_>>::ambiguous_if_sync();
    let _ = CacheLayer::builder().build().0.layer(Handler::with(FRESH));
}

/// "Tags that do nothing on Redis" is `a_purge_holds_for_what_every_instance_finds_and_across_restarts` of
/// `tests/end-to-end`; in process:
#[tokio::test]
async fn fault_tags_do_nothing() {
    let handler = Handler::with(&[("cache-control", "max-age=60"), ("x-cache-tags", "orders")]);
    let (app, handle) = cached(&handler, CacheLayer::builder());
    ask(&app, get("/")).await;
    handle
        .purge(pitcrew::cache::Purge::Tag("orders".into()))
        .await
        .unwrap();
    assert_eq!(ask(&app, get("/")).await.body, "1");
}
