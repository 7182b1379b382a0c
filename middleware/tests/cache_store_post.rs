//! Answers to POST that are kept for later GETs (RFC 9110, 9.3.3).

#![allow(clippy::unwrap_used)]

mod support;

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use http_body_util::BodyExt;
use pitcrew::{
    CacheHandle, CacheLayer,
    cache::{Purge, Region, RequestPredicate, tag},
};
use support::*;
use tokio::sync::Semaphore;

/// What an answer has to say to be kept.
const KEPT: &[(&str, &str)] = &[
    ("cache-control", "max-age=60"),
    ("content-location", "/a?x=1"),
];

/// GETs are answered by the number of the call, all else so.
fn changing(headers: &'static [(&'static str, &'static str)]) -> Handler {
    Handler::new(move |request, call| {
        ready(if request.method() == "GET" {
            answer(&[("cache-control", "max-age=60")], call.to_string())
        } else {
            answer(headers, "changed")
        })
    })
}

fn wanting() -> Region {
    Region::api().store_post(true)
}

fn in_region(handler: &Handler, region: Region) -> (Cached, CacheHandle) {
    cached(handler, CacheLayer::builder().region(region))
}

fn post(fields: &[(&str, &str)]) -> http::Request<http_body_util::Full<bytes::Bytes>> {
    method("POST", "/a?x=1", fields)
}

async fn is_kept(app: &Cached) -> bool {
    ask(app, get("/a?x=1")).await.is_hit()
}

#[tokio::test]
async fn an_answer_to_post_serves_gets_only_where_it_says_so_and_the_region_wants_it() {
    let (app, ..) = in_region(&changing(KEPT), wanting());
    ask(&app, method("POST", "/a?x=1", &[])).await;
    let hit = ask(&app, get("/a?x=1")).await;
    assert!(hit.is_hit() && hit.body == "changed", "{hit:?}");
    assert!(!ask(&app, get("/a")).await.is_hit());
    // Another target, no freshness of its own, or a region that does not want it.
    for (headers, region) in [
        (
            &[("cache-control", "max-age=60"), ("content-location", "/b")][..],
            wanting(),
        ),
        (
            &[("content-location", "/a?x=1")][..],
            wanting().ttl(Duration::from_secs(60)),
        ),
        (KEPT, Region::api()),
    ] {
        let (app, ..) = in_region(&changing(headers), region);
        ask(&app, method("POST", "/a?x=1", &[])).await;
        assert!(!ask(&app, get("/a?x=1")).await.is_hit(), "{headers:?}");
    }
}

/// What was read before a purge is not kept after it, whichever of its names the purge says.
#[tokio::test]
async fn c16_an_answer_that_was_being_made_when_a_purge_came_is_not_kept() {
    const TAGGED: &[(&str, &str)] = &[KEPT[0], KEPT[1], ("x-cache-tags", "orders")];
    let purges = [
        None,
        Some(Purge::Tag("others".into())),
        Some(Purge::Tag("orders".into())),
        Some(Purge::Tag("called".into())),
        Some(Purge::Tag("streamed".into())),
        Some(Purge::Path("/a".into())),
        Some(Purge::Key("/a?x=1".into())),
        Some(Purge::Pattern("/a*".into())),
        Some(Purge::Region("api".into())),
    ];
    for (n, purge) in purges.into_iter().enumerate() {
        let gate = Arc::new(Semaphore::new(0));
        let inside = gate.clone();
        let handler = Handler::new(move |request, _| {
            if request.method() == "GET" {
                return ready(answer(&KEPT[..1], "read"));
            }
            tag("called");
            let gate = inside.clone();
            Box::pin(async move {
                gate.acquire().await.unwrap().forget();
                let body = full("changed").map_frame(|frame| {
                    tag("streamed");
                    frame
                });
                Ok(answer(TAGGED, "").map(|_| body.boxed_unsync()))
            })
        });
        let (app, handle) = in_region(&handler, wanting());
        let changing = tokio::spawn({
            let app = app.clone();
            async move { ask(&app, post(&[])).await }
        });
        settle().await;
        let is_alive = n < 2;
        match purge {
            Some(purge) if n.is_multiple_of(2) => drop(handle.purge_softly(purge).await.unwrap()),
            Some(purge) => drop(handle.purge(purge).await.unwrap()),
            None => {}
        }
        gate.add_permits(1);
        assert_eq!(changing.await.unwrap().body, "changed");
        assert_eq!(is_kept(&app).await, is_alive, "{n}");
    }
}

/// The handler of a POST sees a parameter that keys leave out: what it answers is no GET's.
#[tokio::test]
async fn an_answer_to_a_parameter_that_keys_ignore_is_not_kept() {
    for location in ["", "#x", "/a?x=1", "/a?x=1&utm_source=evil"] {
        let handler = Handler::new(move |_, _| {
            let fields = [KEPT[0], ("content-location", location)];
            ready(answer(&fields, "changed"))
        });
        let region = wanting().ignore_query(["utm_*"]);
        let (app, _) = in_region(&handler, region);
        let target = "/a?x=1&utm_source=evil";
        ask(&app, method("POST", target, &[])).await;
        assert!(!ask(&app, get(target)).await.is_hit(), "{location}");
        assert!(is_kept(&app).await, "that one is");
        ask(&app, post(&[])).await;
        assert_eq!(is_kept(&app).await, !location.contains("utm"), "{location}");
    }
}

/// What is not kept says nothing of the answers to GET: those who ask for one wait for one another as before.
#[tokio::test]
async fn an_answer_that_may_not_be_shared_leaves_the_readers_alone() {
    const PRIVATE: &[(&str, &str)] = &[
        ("cache-control", "private, max-age=60"),
        ("content-location", "/a?x=1"),
    ];
    let gate = Arc::new(Semaphore::new(0));
    let inside = gate.clone();
    let handler = Handler::new(move |request, _| {
        if request.method() == "POST" {
            return ready(answer(PRIVATE, "changed"));
        }
        let gate = inside.clone();
        Box::pin(async move {
            gate.acquire().await.unwrap().forget();
            Ok(answer(&KEPT[..1], "read"))
        })
    });
    let (app, _) = in_region(&handler, wanting());
    ask(&app, post(&[])).await;
    let reading: Vec<_> = (0..3)
        .map(|_| {
            let app = app.clone();
            tokio::spawn(async move { ask(&app, get("/a?x=1")).await })
        })
        .collect();
    settle().await;
    gate.add_permits(3);
    for reads in reading {
        assert_eq!(reads.await.unwrap().body, "read");
    }
    assert_eq!(handler.calls(), 2);
}

/// A purge by what its handler has named it finds it.
#[tokio::test]
async fn the_tags_of_a_kept_answer_are_found() {
    for name in ["called", "awaited"] {
        let handler = Handler::new(move |request, _| {
            if request.method() == "GET" {
                return ready(answer(&KEPT[..1], "read"));
            }
            assert!(tag("called"));
            Box::pin(async {
                assert!(tag("awaited"));
                Ok(answer(KEPT, "changed"))
            })
        });
        let (app, handle) = in_region(&handler, wanting());
        ask(&app, post(&[])).await;
        assert!(is_kept(&app).await);
        handle.purge(Purge::Tag(name.into())).await.unwrap();
        assert!(!is_kept(&app).await, "{name}");
    }
}

/// What the handler itself purges on the way counts as another's: it is not known what it had read by then.
#[tokio::test]
async fn an_answer_whose_handler_purges_it_is_not_kept() {
    let own: Arc<OnceLock<CacheHandle>> = Arc::default();
    let purging = own.clone();
    let handler = Handler::new(move |request, _| {
        let purging = purging.clone();
        Box::pin(async move {
            if request.method() == "POST" {
                let handle = purging.get().unwrap();
                handle.purge(Purge::Path("/a".into())).await.unwrap();
            }
            Ok(answer(KEPT, "changed"))
        })
    });
    let (app, handle) = in_region(&handler, wanting());
    own.set(handle).unwrap();
    ask(&app, post(&[])).await;
    assert!(!is_kept(&app).await);
}

#[tokio::test]
async fn neither_a_client_that_says_no_store_nor_a_region_that_is_for_others_keeps_it() {
    let no_store = &[("cache-control", "no-store")];
    let listens = wanting().client_directives(true);
    let others = wanting().only_requests(RequestPredicate::path("/b"));
    let these = wanting().only_requests(RequestPredicate::path("/a"));
    for (region, fields, kept) in [
        (listens.clone(), &[][..], true),
        (listens, no_store, false),
        (wanting().client_directives(false), no_store, true),
        (others, &[], false),
        (these, &[], true),
    ] {
        let (app, _) = in_region(&changing(KEPT), region);
        ask(&app, post(fields)).await;
        assert_eq!(is_kept(&app).await, kept, "{fields:?}");
    }
}
