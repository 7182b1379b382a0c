//! Validation in both directions, ranges, stale answers, and what unsafe requests change (RFC 9110, RFC 9111, RFC 5861).

#![allow(clippy::unwrap_used)]

mod support;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use http::{HeaderMap, StatusCode};
use pitcrew::{
    CacheHandle, CacheLayer,
    cache::{Purge, Region},
    clock::Clock,
};
use support::*;
use tower::ServiceExt;

const OLD: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

/// A handler that holds one version of one thing, answers 304 to those who have it, and notes what it was asked.
#[derive(Clone)]
struct Thing {
    handler: Handler,
    version: Arc<Mutex<u32>>,
    asked: Arc<Mutex<Vec<HeaderMap>>>,
}

impl Thing {
    fn new(control: &'static str) -> Self {
        let (version, asked) = (Arc::new(Mutex::new(1)), Arc::new(Mutex::new(Vec::new())));
        let (now, notes) = (Arc::clone(&version), Arc::clone(&asked));
        let handler = Handler::new(move |request, call| {
            notes.lock().unwrap().push(request.headers().clone());
            let tag = format!("\"v{}\"", now.lock().unwrap());
            let call = call.to_string();
            let headers = [
                ("cache-control", control),
                ("etag", &tag),
                ("x-call", &call),
            ];
            let has_it = request.headers().get("if-none-match");
            if has_it.is_some_and(|known| known == tag.as_str()) {
                let mut response = answer(&headers, "");
                *response.status_mut() = StatusCode::NOT_MODIFIED;
                return ready(response);
            }
            ready(answer(&headers, format!("body of {tag}")))
        });
        Self {
            handler,
            version,
            asked,
        }
    }

    fn change(&self) {
        *self.version.lock().unwrap() += 1;
    }

    /// What the handler was asked with last.
    fn last(&self, name: &str) -> Option<String> {
        let asked = self.asked.lock().unwrap();
        let value = asked.last()?.get(name)?;
        Some(value.to_str().unwrap().to_owned())
    }
}

fn clocked(handler: &Handler) -> (Cached, CacheHandle, Clock) {
    clocked_in(handler, Region::api())
}

fn clocked_in(handler: &Handler, region: Region) -> (Cached, CacheHandle, Clock) {
    let clock = Clock::manual();
    let builder = CacheLayer::builder().region(region).clock(clock.clone());
    let (app, handle) = cached(handler, builder);
    (app, handle, clock)
}

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn a_client_that_has_the_stored_answer_is_told_so() {
    let thing = Thing::new("max-age=60");
    let app = simple(&thing.handler);
    ask(&app, get("/")).await;
    let known = ask(&app, get_with("/", &[("if-none-match", "\"x\", \"v1\"")])).await;
    assert_eq!(
        (known.status, known.body.as_str()),
        (StatusCode::NOT_MODIFIED, "")
    );
    assert!(
        known.is_hit() && known.headers.contains_key("age"),
        "{known:?}"
    );
    assert_eq!(known.headers["etag"], "\"v1\"");
    assert!(!known.headers.contains_key("content-length"));
    let unknown = ask(&app, get_with("/", &[("if-none-match", "\"x\"")])).await;
    assert_eq!(
        (unknown.status, unknown.body.as_str()),
        (StatusCode::OK, "body of \"v1\"")
    );
    let mut head = method("HEAD", "/", &[("if-none-match", "\"v1\"")]);
    *head.version_mut() = http::Version::HTTP_11;
    assert_eq!(ask(&app, head).await.status, StatusCode::NOT_MODIFIED);
    assert_eq!(thing.handler.calls(), 1);
}

#[tokio::test]
async fn a_conditional_miss_fetches_the_whole_for_all_and_tells_its_client_what_it_asked() {
    let thing = Thing::new("max-age=60");
    let app = simple(&thing.handler);
    let known = ask(&app, get_with("/", &[("if-none-match", "\"v1\"")])).await;
    assert_eq!(known.status, StatusCode::NOT_MODIFIED);
    assert_eq!(known.cache_status(), "pitcrew; fwd=uri-miss; stored");
    assert_eq!(
        thing.last("if-none-match"),
        None,
        "the handler makes the whole"
    );
    let other = ask(&app, get("/")).await;
    assert!(
        other.is_hit() && other.body == "body of \"v1\"",
        "{other:?}"
    );
}

#[tokio::test]
async fn conditions_reach_the_handler_where_nothing_can_be_shared() {
    let thing = Thing::new("private");
    let app = simple(&thing.handler);
    // Known from here on as not to be shared.
    ask(&app, get("/")).await;
    let known = ask(&app, get_with("/", &[("if-none-match", "\"v1\"")])).await;
    assert_eq!(known.status, StatusCode::NOT_MODIFIED);
    assert_eq!(thing.last("if-none-match").unwrap(), "\"v1\"");
}

#[tokio::test]
async fn a_stale_answer_is_validated_and_fresh_again() {
    let thing = Thing::new("max-age=10");
    let (app, handle, clock) = clocked(&thing.handler);
    ask(&app, get("/")).await;
    clock.advance(11 * SECOND);
    let confirmed = ask(&app, get("/")).await;
    assert_eq!(confirmed.status, StatusCode::OK);
    assert_eq!(confirmed.body, "body of \"v1\"");
    assert_eq!(
        confirmed.cache_status(),
        "pitcrew; fwd=stale; fwd-status=304; ttl=10; stored"
    );
    assert_eq!(
        confirmed.headers["x-call"], "1",
        "fields of the 304 are the new ones"
    );
    assert_eq!(thing.last("if-none-match").unwrap(), "\"v1\"");
    assert!(ask(&app, get("/")).await.is_hit());
    assert_eq!(handle.stats().revalidated, 1);

    clock.advance(11 * SECOND);
    thing.change();
    let changed = ask(&app, get("/")).await;
    assert_eq!(changed.body, "body of \"v2\"");
    assert_eq!(changed.cache_status(), "pitcrew; fwd=stale; stored");
}

#[tokio::test]
async fn a_validation_is_one_for_all_who_ask_and_keeps_the_conditions_of_each() {
    let thing = Thing::new("max-age=10");
    let (app, _, clock) = clocked(&thing.handler);
    ask(&app, get("/")).await;
    clock.advance(11 * SECOND);
    let asking = (0..20).map(|n| {
        let app = app.clone();
        let known: &[(&str, &str)] = if n % 2 == 0 {
            &[]
        } else {
            &[("if-none-match", "\"v1\"")]
        };
        let request = get_with("/", known);
        tokio::spawn(async move { ask(&app, request).await })
    });
    let asking: Vec<_> = asking.collect();
    for (n, asked) in asking.into_iter().enumerate() {
        let seen = asked.await.unwrap();
        let wanted = if n % 2 == 0 {
            StatusCode::OK
        } else {
            StatusCode::NOT_MODIFIED
        };
        assert_eq!(seen.status, wanted, "{seen:?}");
    }
    assert_eq!(thing.handler.calls(), 2);
}

#[tokio::test]
async fn no_cache_is_stored_and_validated_at_each_use() {
    let thing = Thing::new("no-cache");
    let (app, handle, _) = clocked(&thing.handler);
    ask(&app, get("/")).await;
    for _ in 0..3 {
        let seen = ask(&app, get("/")).await;
        assert_eq!(seen.body, "body of \"v1\"");
        assert!(!seen.is_hit(), "{seen:?}");
    }
    assert_eq!(thing.handler.calls(), 4);
    assert_eq!(handle.stats().revalidated, 3);
    thing.change();
    assert_eq!(ask(&app, get("/")).await.body, "body of \"v2\"");
}

#[tokio::test]
async fn a_client_that_wants_a_new_answer_gets_it_by_validation() {
    let thing = Thing::new("max-age=60");
    let app = simple(&thing.handler);
    ask(&app, get("/")).await;
    let reload = ask(&app, get_with("/", &[("cache-control", "no-cache")])).await;
    assert_eq!(reload.body, "body of \"v1\"");
    assert!(
        reload
            .cache_status()
            .starts_with("pitcrew; fwd=request; fwd-status=304")
    );
    thing.change();
    let reload = ask(&app, get_with("/", &[("cache-control", "max-age=0")])).await;
    assert_eq!(reload.body, "body of \"v2\"");
    assert_eq!(ask(&app, get("/")).await.body, "body of \"v2\"");
}

#[tokio::test]
async fn a_304_may_end_the_storing_and_its_cookie_is_for_its_client() {
    let handler = Handler::new(|request, call| {
        let known = request.headers().contains_key("if-none-match");
        let control = if call == 2 { "no-store" } else { "max-age=10" };
        let mut headers = vec![("cache-control", control), ("etag", "\"a\"")];
        if call == 1 {
            headers.push(("set-cookie", "sid=1"));
        }
        let mut response = answer(&headers, if known { "" } else { "whole" });
        if known {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        }
        ready(response)
    });
    let (app, handle, clock) = clocked(&handler);
    ask(&app, get("/")).await;
    clock.advance(11 * SECOND);
    let confirmed = ask(&app, get("/")).await;
    assert_eq!(confirmed.headers["set-cookie"], "sid=1");
    let hit = ask(&app, get("/")).await;
    assert!(
        hit.is_hit() && !hit.headers.contains_key("set-cookie"),
        "{hit:?}"
    );
    clock.advance(11 * SECOND);
    let ended = ask(&app, get("/")).await;
    assert_eq!(
        (ended.status, ended.body.as_str()),
        (StatusCode::OK, "whole")
    );
    assert_eq!(ended.headers["cache-control"], "no-store");
    assert_eq!(handle.stats().l1.entries, 0, "it said no-store");
}

#[tokio::test]
async fn while_stale_is_given_any_client_brings_about_the_whole() {
    let handler = Handler::new(|request, call| {
        let whole = request.method() == "GET" && !request.headers().contains_key("range");
        let headers = [("cache-control", "max-age=10, stale-while-revalidate=60")];
        let mut response = answer(&headers, format!("{call}"));
        if !whole {
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        }
        ready(response)
    });
    for asks in [
        method("HEAD", "/", &[]),
        get_with("/", &[("range", "bytes=0-0")]),
    ] {
        let (app, _, clock) = clocked(&handler);
        let old = ask(&app, get("/")).await.body;
        clock.advance(11 * SECOND);
        assert!(ask(&app, asks).await.is_hit());
        settle().await;
        let new = ask(&app, get("/")).await;
        assert!(new.is_hit() && new.body != old, "{new:?}");
        assert!(new.cache_status().contains("ttl=10"), "{new:?}");
    }
}

#[tokio::test]
async fn what_the_handler_refuses_or_has_no_more_is_given_no_longer() {
    for status in [403, 404, 410, 451] {
        let handler = Handler::new(move |_, call| {
            let mut response = answer(
                &[("cache-control", "max-age=10, stale-while-revalidate=600")],
                call.to_string(),
            );
            if call > 0 {
                *response.status_mut() = StatusCode::from_u16(status).unwrap();
                response.headers_mut().clear();
            }
            ready(response)
        });
        let (app, _, clock) = clocked(&handler);
        ask(&app, get("/")).await;
        clock.advance(11 * SECOND);
        assert_eq!(ask(&app, get("/")).await.body, "0", "while it is fetched");
        settle().await;
        assert_eq!(ask(&app, get("/")).await.status.as_u16(), status);
    }
}

#[tokio::test(start_paused = true)]
async fn background_fetches_that_hang_give_their_places_back() {
    let handler = Handler::new(|request, call| {
        if call >= 400 && request.uri().path() != "/fine" {
            return Box::pin(std::future::pending());
        }
        let headers = [("cache-control", "max-age=10, stale-while-revalidate=6000")];
        ready(answer(&headers, call.to_string()))
    });
    let (app, handle, clock) = clocked(&handler);
    for n in 0..399 {
        ask(&app, get(&format!("/{n}"))).await;
    }
    let old = ask(&app, get("/fine")).await.body;
    clock.advance(11 * SECOND);
    for n in 0..399 {
        ask(&app, get(&format!("/{n}"))).await;
    }
    settle().await;
    assert!(handle.stats().dropped_refreshes > 0, "no place is left");
    assert_eq!(ask(&app, get("/fine")).await.body, old);
    settle().await;
    assert_eq!(ask(&app, get("/fine")).await.body, old);
    tokio::time::sleep(31 * SECOND).await;
    ask(&app, get("/fine")).await;
    settle().await;
    assert_ne!(ask(&app, get("/fine")).await.body, old);
}

#[tokio::test]
async fn a_range_that_cannot_be_given_says_nothing_that_a_cache_outside_would_keep() {
    let headers = &[("cache-control", "public, max-age=60"), ("etag", "\"a\"")];
    let (app, ..) = clocked(&Handler::with(headers));
    ask(&app, get("/")).await;
    let seen = ask(&app, get_with("/", &[("range", "bytes=99-")])).await;
    assert_eq!(seen.status, StatusCode::RANGE_NOT_SATISFIABLE);
    assert_eq!(seen.headers["content-range"], "bytes */1");
    for name in ["cache-control", "etag", "content-type"] {
        assert!(!seen.headers.contains_key(name), "{name}");
    }
}

#[tokio::test]
async fn what_was_purged_is_not_confirmed_back() {
    let thing = Thing::new("max-age=10");
    let (app, handle, clock) = clocked(&thing.handler);
    ask(&app, get("/")).await;
    clock.advance(11 * SECOND);
    handle.purge(Purge::All).await.unwrap();
    ask(&app, get("/")).await;
    assert_eq!(thing.last("if-none-match"), None);
}

#[tokio::test]
async fn an_answer_to_head_renews_the_stored_get_or_shows_that_it_is_old() {
    let thing = Thing::new("max-age=10");
    let (app, _, clock) = clocked(&thing.handler);
    ask(&app, get("/")).await;
    clock.advance(11 * SECOND);
    ask(&app, method("HEAD", "/", &[])).await;
    assert!(ask(&app, get("/")).await.is_hit(), "renewed");
    clock.advance(11 * SECOND);
    thing.change();
    ask(&app, method("HEAD", "/", &[])).await;
    let after = ask(&app, get("/")).await;
    assert_eq!(after.cache_status(), "pitcrew; fwd=uri-miss; stored");
}

// Ranges

#[tokio::test]
async fn c9_ranges_are_served_from_the_whole() {
    let handler = Handler::new(|_, _| {
        let headers = [("cache-control", "max-age=60"), ("etag", "\"a\"")];
        ready(answer(&headers, "0123456789"))
    });
    let app = simple(&handler);
    ask(&app, get("/")).await;
    let range = |range: &'static str| ask(&app, get_with("/", &[("range", range)]));
    let part = range("bytes=2-4").await;
    assert_eq!(
        (part.status, part.body.as_str()),
        (StatusCode::PARTIAL_CONTENT, "234")
    );
    assert_eq!(part.headers["content-range"], "bytes 2-4/10");
    assert_eq!(part.headers["content-length"], "3");
    assert!(part.is_hit());
    let beyond = range("bytes=10-").await;
    assert_eq!(beyond.status, StatusCode::RANGE_NOT_SATISFIABLE);
    assert_eq!(beyond.headers["content-range"], "bytes */10");
    let several = range("bytes=0-1,3-4").await;
    assert_eq!((several.status, several.body.len()), (StatusCode::OK, 10));
    let changed = [("range", "bytes=0-1"), ("if-range", "\"b\"")];
    assert_eq!(
        ask(&app, get_with("/", &changed)).await.status,
        StatusCode::OK
    );
    let same = [("range", "bytes=0-1"), ("if-range", "\"a\"")];
    assert_eq!(ask(&app, get_with("/", &same)).await.body, "01");
    let head = ask(&app, method("HEAD", "/", &[("range", "bytes=0-1")])).await;
    assert_eq!((head.status, head.body.as_str()), (StatusCode::OK, ""));
    assert_eq!(handler.calls(), 1);
}

/// Answers a range as asked, from ten digits.
fn ranged() -> Handler {
    Handler::new(|request, _| {
        let Some(range) = request.headers().get("range") else {
            return ready(answer(&[("cache-control", "max-age=60")], "0123456789"));
        };
        assert_eq!(range, "bytes=5-9");
        let headers = [
            ("cache-control", "max-age=60"),
            ("content-range", "bytes 5-9/10"),
        ];
        let mut response = answer(&headers, "56789");
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        ready(response)
    })
}

#[tokio::test]
async fn c9_a_part_is_nobodys_whole_and_by_default_not_stored() {
    let handler = ranged();
    let app = simple(&handler);
    for _ in 0..2 {
        let part = ask(&app, get_with("/", &[("range", "bytes=5-9")])).await;
        assert_eq!(
            (part.status, part.body.as_str()),
            (StatusCode::PARTIAL_CONTENT, "56789")
        );
        assert_eq!(
            part.cache_status(),
            "pitcrew; fwd=uri-miss; detail=response-status"
        );
    }
    assert_eq!(ask(&app, get("/")).await.body, "0123456789");
    assert_eq!(handler.calls(), 3);
}

#[tokio::test]
async fn c9_a_stored_part_serves_what_lies_within_it() {
    let handler = ranged();
    let (app, handle) = cached(
        &handler,
        CacheLayer::builder().region(Region::api().partial(true)),
    );
    ask(&app, get_with("/", &[("range", "bytes=5-9")])).await;
    let within = ask(&app, get_with("/", &[("range", "bytes=6-7")])).await;
    assert_eq!(
        (within.status, within.body.as_str()),
        (StatusCode::PARTIAL_CONTENT, "67")
    );
    assert_eq!(within.headers["content-range"], "bytes 6-7/10");
    assert!(within.is_hit());
    assert_eq!(
        ask(&app, get_with("/", &[("range", "bytes=-2")]))
            .await
            .body,
        "89"
    );
    assert_eq!(handler.calls(), 1);
    assert_eq!(
        ask(&app, get("/")).await.body,
        "0123456789",
        "the whole is another thing"
    );
    handle.purge(Purge::Path("/".into())).await.unwrap();
    ask(&app, get_with("/", &[("range", "bytes=5-9")])).await;
    assert_eq!(
        handler.calls(),
        3,
        "a purge of the path takes the part along"
    );
}

// Stale answers

#[tokio::test]
async fn while_it_is_revalidated_a_stale_answer_is_given_and_one_fetch_goes() {
    let thing = Thing::new("max-age=10, stale-while-revalidate=20");
    let (app, handle, clock) = clocked(&thing.handler);
    ask(&app, get("/")).await;
    clock.advance(15 * SECOND);
    thing.change();
    for _ in 0..50 {
        let seen = ask(&app, get("/")).await;
        assert_eq!(seen.body, "body of \"v1\"");
        assert_eq!(
            seen.cache_status(),
            "pitcrew; hit; ttl=-5; detail=stale-while-revalidate"
        );
        assert_eq!(seen.headers["age"], "15");
    }
    settle().await;
    let fresh = ask(&app, get("/")).await;
    assert_eq!(fresh.body, "body of \"v2\"");
    assert_eq!(thing.handler.calls(), 2);
    let stats = handle.stats();
    assert_eq!((stats.stale, stats.background_refreshes), (50, 1));
    clock.advance(31 * SECOND);
    let after = ask(&app, get("/")).await;
    assert!(
        !after.is_hit(),
        "past its window it is not given: {after:?}"
    );
}

#[tokio::test]
async fn early_refresh_fetches_before_staleness_and_serves_fresh_answers_meanwhile() {
    let clock = Clock::manual();
    let moving = clock.clone();
    // A handler that takes five seconds.
    let handler = Handler::new(move |_, call| {
        let moving = moving.clone();
        Box::pin(async move {
            if call == 0 {
                moving.advance(5 * SECOND);
            }
            Ok(answer(&[("cache-control", "max-age=60")], call.to_string()))
        })
    });
    for (beta, fetches) in [(1.0, 2), (0.0, 1)] {
        let region = Region::api().early_refresh(beta);
        let builder = CacheLayer::builder().region(region).clock(clock.clone());
        let (app, _) = cached(&handler, builder);
        handler.calls.store(0, std::sync::atomic::Ordering::SeqCst);
        ask(&app, get("/")).await;
        // A second before the end a hit fetches with probability 0.8: of 200 one does, but for 1 in 10^140.
        clock.advance(59 * SECOND);
        for _ in 0..200 {
            assert!(ask(&app, get("/")).await.is_hit());
        }
        settle().await;
        assert_eq!(handler.calls(), fetches, "beta {beta}");
    }
}

#[tokio::test]
async fn an_early_refresh_goes_as_often_as_the_formula_says() {
    let clock = Clock::manual();
    let moving = clock.clone();
    let handler = Handler::new(move |_, call| {
        let moving = moving.clone();
        Box::pin(async move {
            // Each first answer takes five seconds, a fetch in the background none.
            if call < 2_000 {
                moving.advance(5 * SECOND);
            }
            Ok(answer(&[("cache-control", "max-age=100000")], "x"))
        })
    });
    let region = Region::api().early_refresh(1.0);
    let builder = CacheLayer::builder().region(region).clock(clock.clone());
    let (app, handle) = cached(&handler, builder);
    for n in 0..2_000 {
        ask(&app, get(&format!("/{n}"))).await;
    }
    // The last was made now, the first 9,995 s before: each is asked once when 3.4657 s (5 ln 2) are left of it.
    clock.advance(100_000 * SECOND - 9_995 * SECOND - Duration::from_secs_f64(3.4657));
    for n in 0..2_000 {
        ask(&app, get(&format!("/{n}"))).await;
        // No more than 256 may be under way at one time.
        tokio::task::yield_now().await;
        clock.advance(5 * SECOND);
    }
    settle().await;
    assert_eq!(handle.stats().dropped_refreshes, 0);
    let share = handle.stats().background_refreshes as f64 / 2_000.0;
    assert!((share - 0.5).abs() < 0.06, "{share}");
    assert_eq!(
        handler.calls() as u64,
        2_000 + handle.stats().background_refreshes
    );
}

#[tokio::test]
async fn a_head_within_the_stale_window_fetches_the_whole_and_a_private_answer_ends_it() {
    let handler = Handler::new(|_, call| {
        let control = match call {
            0 => "max-age=10, stale-while-revalidate=60",
            _ => "private",
        };
        ready(answer(&[("cache-control", control)], call.to_string()))
    });
    let (app, _, clock) = clocked(&handler);
    ask(&app, get("/")).await;
    clock.advance(11 * SECOND);
    for _ in 0..5 {
        assert!(ask(&app, method("HEAD", "/", &[])).await.is_hit());
    }
    settle().await;
    assert_eq!(handler.calls(), 2, "one, by GET");
    assert!(
        !ask(&app, get("/")).await.is_hit(),
        "the newest answer is private"
    );
}

#[tokio::test]
async fn a_background_fetch_that_fails_leaves_the_stale_answer_and_is_tried_again() {
    let handler = Handler::new(|_, call| match call {
        0 => {
            let control = "max-age=10, stale-while-revalidate=60";
            ready(answer(&[("cache-control", control)], "old"))
        }
        1 => Box::pin(std::future::ready(Err("gone"))),
        2 => Box::pin(async { panic!("broken") }),
        _ => ready(answer(&[("cache-control", "max-age=60")], "new")),
    });
    let (app, _, clock) = clocked(&handler);
    ask(&app, get("/")).await;
    clock.advance(11 * SECOND);
    for _ in 0..3 {
        assert_eq!(ask(&app, get("/")).await.body, "old");
        settle().await;
    }
    assert_eq!(ask(&app, get("/")).await.body, "new");
    assert_eq!(handler.calls(), 4);
}

#[tokio::test]
async fn a_stale_answer_stands_in_for_an_error_within_its_window() {
    let handler = Handler::new(|_, call| {
        let control = "max-age=10, stale-if-error=60";
        match call {
            0 => ready(answer(&[("cache-control", control)], "old")),
            1 => Box::pin(std::future::ready(Err("gone"))),
            2 => {
                let mut response = answer(&[], "broken");
                *response.status_mut() = StatusCode::BAD_GATEWAY;
                ready(response)
            }
            3 => {
                let mut response = answer(&[], "not there");
                *response.status_mut() = StatusCode::NOT_FOUND;
                ready(response)
            }
            _ => Box::pin(std::future::ready(Err("gone"))),
        }
    });
    let (app, _, clock) = clocked(&handler);
    ask(&app, get("/")).await;
    clock.advance(11 * SECOND);
    for _ in 0..2 {
        let seen = ask(&app, get("/")).await;
        assert_eq!((seen.status, seen.body.as_str()), (StatusCode::OK, "old"));
        assert_eq!(
            seen.cache_status(),
            "pitcrew; fwd=stale; ttl=-1; detail=stale-if-error"
        );
    }
    assert_eq!(
        ask(&app, get("/")).await.status,
        StatusCode::NOT_FOUND,
        "no error of the server"
    );
    clock.advance(60 * SECOND);
    assert_eq!(app.clone().oneshot(get("/")).await.unwrap_err(), "gone");
}

#[tokio::test]
async fn must_revalidate_gives_nothing_stale_whatever_anybody_wishes() {
    let handler = Handler::new(|_, call| {
        let control = "max-age=10, must-revalidate, stale-if-error=60, stale-while-revalidate=60";
        match call {
            0 => ready(answer(&[("cache-control", control)], "old")),
            _ => Box::pin(std::future::ready(Err("gone"))),
        }
    });
    let region = Region::api()
        .stale_if_error(60 * SECOND)
        .stale_while_revalidate(60 * SECOND);
    let (app, _, clock) = clocked_in(&handler, region);
    ask(&app, get("/")).await;
    clock.advance(11 * SECOND);
    for wish in ["max-stale", "max-stale=60", ""] {
        let request = get_with("/", &[("cache-control", wish)]);
        assert_eq!(app.clone().oneshot(request).await.unwrap_err(), "gone");
    }
}

#[tokio::test]
async fn a_client_may_take_stale_answers_and_may_want_stored_ones_alone() {
    let thing = Thing::new("max-age=10");
    let (app, _, clock) = clocked(&thing.handler);
    let only = ask(&app, get_with("/", &[("cache-control", "only-if-cached")])).await;
    assert_eq!(only.status, StatusCode::GATEWAY_TIMEOUT);
    assert_eq!(thing.handler.calls(), 0);
    ask(&app, get("/")).await;
    let only = ask(&app, get_with("/", &[("cache-control", "only-if-cached")])).await;
    assert!(only.is_hit());
    clock.advance(15 * SECOND);
    let taken = ask(&app, get_with("/", &[("cache-control", "max-stale=6")])).await;
    assert_eq!(
        taken.cache_status(),
        "pitcrew; hit; ttl=-5; detail=max-stale"
    );
    let too_stale = ask(&app, get_with("/", &[("cache-control", "max-stale=4")])).await;
    assert!(!too_stale.is_hit());
}

// Unsafe requests

/// GETs are cached; what else comes is answered with this status and these headers.
fn changing(status: u16, headers: &'static [(&'static str, &'static str)]) -> Handler {
    Handler::new(move |request, call| {
        if request.method() == "GET" {
            return ready(answer(&[("cache-control", "max-age=60")], call.to_string()));
        }
        let mut response = answer(headers, "changed");
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        ready(response)
    })
}

#[tokio::test]
async fn a_successful_unsafe_request_makes_its_target_and_what_it_names_old() {
    let named = &[
        ("location", "/b"),
        ("content-location", "http://app.example/c?y=2"),
    ];
    for verb in ["POST", "PUT", "DELETE", "PATCH", "M-SEARCH"] {
        let (app, handle, _) = clocked(&changing(201, named));
        for path in ["/a", "/a?x=1", "/b", "/c?y=2", "/d"] {
            ask(&app, get(path)).await;
        }
        ask(&app, method(verb, "/a", &[])).await;
        for path in ["/a", "/b", "/c?y=2"] {
            assert!(!ask(&app, get(path)).await.is_hit(), "{verb} {path}");
        }
        assert!(ask(&app, get("/d")).await.is_hit());
        assert!(ask(&app, get("/a?x=1")).await.is_hit(), "another target");
        assert_eq!(handle.stats().invalidations, 3);
    }
}

#[tokio::test]
async fn what_a_key_leaves_out_is_left_out_of_a_changed_target_too() {
    let region = Region::api().ignore_query(["utm_*"]);
    let (app, ..) = clocked_in(&changing(200, &[]), region);
    ask(&app, get("/a?x=1&utm_a=1")).await;
    ask(&app, method("PUT", "/a?utm_b=2&x=1", &[])).await;
    assert!(!ask(&app, get("/a?x=1")).await.is_hit());
}

#[tokio::test]
async fn what_a_change_names_is_spelled_as_a_key_spells_it() {
    let region = Region::api().ignore_query(["utm_*"]).sort_query(true);
    let location = &[("location", "/x?b=1&a=2&utm_source=form")];
    let (app, ..) = clocked_in(&changing(303, location), region);
    ask(&app, get("/x?a=2&b=1")).await;
    ask(&app, method("POST", "/form", &[])).await;
    assert!(!ask(&app, get("/x?a=2&b=1")).await.is_hit());
}

#[tokio::test]
async fn a_failed_or_foreign_change_makes_nothing_old() {
    let (app, ..) = clocked(&changing(500, &[("location", "/b")]));
    ask(&app, get("/a")).await;
    ask(&app, get("/b")).await;
    ask(&app, method("POST", "/a", &[])).await;
    assert!(ask(&app, get("/a")).await.is_hit() && ask(&app, get("/b")).await.is_hit());
    let (app, ..) = clocked(&changing(201, &[("location", "http://evil.example/b")]));
    ask(&app, get("/b")).await;
    ask(&app, method("POST", "/a", &[])).await;
    assert!(
        ask(&app, get("/b")).await.is_hit(),
        "nobody purges for another origin"
    );
    for safe in ["OPTIONS", "QUERY", "PROPFIND"] {
        ask(&app, method(safe, "/b", &[])).await;
        assert!(
            ask(&app, get("/b")).await.is_hit(),
            "a safe method changes nothing"
        );
    }
    let mut elsewhere = method("POST", "/b", &[]);
    elsewhere
        .headers_mut()
        .insert("host", "evil.example".parse().unwrap());
    ask(&app, elsewhere).await;
    assert!(
        ask(&app, get("/b")).await.is_hit(),
        "another host has a target of its own"
    );
}

#[tokio::test]
async fn an_unsafe_request_that_is_given_up_or_fails_makes_its_target_old() {
    let handler = Handler::new(|request, call| {
        if request.method() == "GET" {
            return ready(answer(&[("cache-control", "max-age=60")], call.to_string()));
        }
        match request.uri().path() {
            "/hangs" => Box::pin(std::future::pending()),
            _ => Box::pin(std::future::ready(Err("gone after the commit"))),
        }
    });
    let (app, ..) = clocked(&handler);
    for path in ["/hangs", "/fails", "/other"] {
        ask(&app, get(path)).await;
    }
    let mut hanging = Box::pin(app.clone().oneshot(method("POST", "/hangs", &[])));
    assert!(futures_poll(&mut hanging).await.is_pending());
    drop(hanging);
    app.clone()
        .oneshot(method("POST", "/fails", &[]))
        .await
        .unwrap_err();
    assert!(!ask(&app, get("/hangs")).await.is_hit());
    assert!(!ask(&app, get("/fails")).await.is_hit());
    assert!(ask(&app, get("/other")).await.is_hit());
}

/// Polls once.
async fn futures_poll<F: Future + Unpin>(future: &mut F) -> std::task::Poll<F::Output> {
    std::future::poll_fn(|cx| std::task::Poll::Ready(std::pin::Pin::new(&mut *future).poll(cx)))
        .await
}

// Fields

#[tokio::test]
async fn fields_that_are_kept_back_reach_the_one_who_asked_and_nobody_else() {
    let handler = Handler::with(&[
        (
            "cache-control",
            "private=\"x-user\", no-cache=\"x-count\", max-age=60",
        ),
        ("x-user", "ann"),
        ("x-count", "7"),
        ("x-other", "1"),
    ]);
    let app = simple(&handler);
    let first = ask(&app, get("/")).await;
    assert!(first.headers.contains_key("x-user") && first.headers.contains_key("x-count"));
    let hit = ask(&app, get("/")).await;
    assert!(hit.is_hit() && hit.headers.contains_key("x-other"));
    assert!(!hit.headers.contains_key("x-user") && !hit.headers.contains_key("x-count"));
}

#[tokio::test]
async fn directives_for_this_cache_are_obeyed_and_not_sent_on() {
    let handler = Handler::with(&[
        ("pitcrew-cache-control", "max-age=60"),
        ("cdn-cache-control", "no-store"),
        ("cache-control", "no-store"),
    ]);
    let app = simple(&handler);
    for _ in 0..2 {
        let seen = ask(&app, get("/")).await;
        assert!(!seen.headers.contains_key("pitcrew-cache-control"));
        assert_eq!(seen.headers["cdn-cache-control"], "no-store");
    }
    assert_eq!(handler.calls(), 1);
}

#[tokio::test]
async fn a_stored_answer_has_the_date_of_its_making() {
    let handler = Handler::with(&[("cache-control", "max-age=60")]);
    let (app, _, clock) = clocked(&handler);
    ask(&app, get("/")).await;
    let first = ask(&app, get("/")).await.headers["date"].clone();
    clock.advance(30 * SECOND);
    let later = ask(&app, get("/")).await;
    assert_eq!(later.headers["date"], first);
    let since = [("if-modified-since", first.to_str().unwrap())];
    assert_eq!(
        ask(&app, get_with("/", &since)).await.status,
        StatusCode::NOT_MODIFIED
    );
    let before = [("if-modified-since", OLD)];
    assert_eq!(
        ask(&app, get_with("/", &before)).await.status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn an_answer_in_the_language_that_a_client_prefers_is_given_where_that_is_wanted() {
    let headers: &[(&str, &str)] = &[
        ("cache-control", "max-age=60"),
        ("vary", "accept-language, accept"),
        ("content-language", "de"),
    ];
    for wanted in [true, false] {
        let region = Region::api().normalize_vary(wanted);
        let (app, ..) = clocked_in(&Handler::with(headers), region);
        ask(&app, get_with("/", &[("accept-language", "en, de")])).await;
        let prefers = [("accept-language", "fr;q=0.5, de")];
        assert_eq!(ask(&app, get_with("/", &prefers)).await.is_hit(), wanted);
        for other in [
            &[("accept-language", "fr, de;q=0.9")][..],
            &[("accept-language", "de"), ("accept", "text/html")],
        ] {
            let (app, ..) = clocked_in(&Handler::with(headers), Region::api().normalize_vary(true));
            ask(&app, get_with("/", &[("accept-language", "en, de")])).await;
            assert!(!ask(&app, get_with("/", other)).await.is_hit(), "{other:?}");
        }
    }
}
