//! The figures: every request is one outcome, in its region and its route.

#![allow(clippy::unwrap_used)]

mod support;

use std::{sync::Arc, time::Duration};

use pitcrew::{
    CacheHandle, CacheLayer,
    cache::{CacheBuilder, Purge, Region},
    clock::Clock,
};
use serde_json::{Value, json};
use tower::ServiceExt;

use support::*;

const FRESH: &[(&str, &str)] = &[("cache-control", "max-age=60")];
const SECOND: Duration = Duration::from_secs(1);

/// Each path's first part is its route.
fn routed() -> CacheBuilder {
    CacheLayer::builder().route_label(|parts| {
        let first = parts.uri.path().split('/').nth(1)?;
        Some(format!("/{first}/{{id}}"))
    })
}

fn json_of(handle: &CacheHandle) -> Value {
    serde_json::to_value(handle.stats()).unwrap()
}

/// The figures of a route, or nothing where it had no request.
fn route(handle: &CacheHandle, route: &str) -> Value {
    let stats = json_of(handle);
    let mut rows = stats["routes"].as_array().unwrap().iter();
    rows.find(|row| row["route"] == route)
        .cloned()
        .unwrap_or_default()
}

#[tokio::test]
async fn hits_misses_and_bypasses_stand_by_route_with_their_reasons() {
    let handler = Handler::new(|request, call| {
        let control = match request.uri().path() {
            "/mine/1" => "private",
            _ => "max-age=60",
        };
        ready(answer(&[("cache-control", control)], call.to_string()))
    });
    let clock = Clock::manual();
    let (app, handle) = cached(&handler, routed().clock(clock.clone()));
    ask(&app, get("/orders/1")).await;
    ask(&app, get("/orders/1")).await;
    ask(&app, get("/orders/2")).await;
    ask(
        &app,
        get_with("/orders/2", &[("cache-control", "no-cache")]),
    )
    .await;
    ask(&app, method("POST", "/orders/1", &[])).await;
    ask(&app, get("/orders/1")).await;
    ask(&app, get("/mine/1")).await;
    ask(&app, get_with("/mine/1", &[("cache-control", "no-store")])).await;
    ask(
        &app,
        get_with("/parts/1", &[("cache-control", "only-if-cached")]),
    )
    .await;
    clock.advance(61 * SECOND);
    ask(
        &app,
        get_with("/orders/2", &[("cache-control", "max-stale")]),
    )
    .await;
    ask(&app, get("/orders/2")).await;

    let orders = route(&handle, "/orders/{id}");
    assert_eq!(orders["region"], "api");
    assert_eq!(orders["hit_kinds"], json!({"fresh": 1, "max-stale": 1}));
    assert_eq!(
        orders["miss_reasons"],
        json!({"uri-miss": 2, "request": 1, "purged": 1, "stale": 1})
    );
    assert_eq!(orders["bypass_reasons"], json!({"method": 1}));
    assert_eq!(
        (&orders["stores"], &orders["deletes"]),
        (&json!(5), &json!(1))
    );
    let mine = route(&handle, "/mine/{id}");
    assert_eq!(
        mine["bypass_reasons"],
        json!({"response-private": 1, "request-no-store": 1})
    );
    assert_eq!((&mine["hits"], &mine["misses"]), (&json!(0), &json!(0)));
    assert_eq!(route(&handle, "/parts/{id}")["only_if_cached"], 1);

    // The whole is the sum of its regions, which are the sums of their routes.
    let stats = json_of(&handle);
    assert_eq!(stats["dropped_series"], 0);
    for field in [
        "hits",
        "misses",
        "bypasses",
        "stale",
        "stores",
        "stored_bytes",
        "only_if_cached",
    ] {
        let sum = |rows: &str| -> u64 {
            let rows = stats[rows].as_array().unwrap().iter();
            rows.map(|row| row[field].as_u64().unwrap()).sum()
        };
        assert_eq!(sum("routes"), stats[field].as_u64().unwrap(), "{field}");
        assert_eq!(sum("regions"), stats[field].as_u64().unwrap(), "{field}");
    }
    let outcomes = ["hits", "misses", "bypasses", "only_if_cached", "errors"];
    let requests: u64 = outcomes
        .iter()
        .map(|field| stats[field].as_u64().unwrap())
        .sum();
    assert_eq!(requests, 11, "each request is one of them, once");
}

#[tokio::test]
async fn a_hundred_thousand_routes_make_no_more_series_than_the_bound() {
    let handler = Handler::with(FRESH);
    let builder = CacheLayer::builder()
        .max_series(12)
        .capacity_bytes(1 << 20)
        .route_label(|parts| Some(parts.uri.path().to_owned()));
    let (app, handle) = cached(&handler, builder);
    for n in 0..100_000 {
        app.clone().oneshot(get(&format!("/{n}"))).await.unwrap();
    }
    // Hits of an overflowing route are counted where its miss was.
    ask(&app, get("/99999")).await;
    let stats = handle.stats();
    // Seven regions have a row of their own for what overflows, so there is room for five routes.
    assert_eq!(stats.routes.len(), 6);
    assert_eq!(stats.dropped_series, 100_001 - 5);
    assert_eq!(stats.misses, 100_000);
    let overflow = stats
        .routes
        .iter()
        .find(|row| row.route == "overflow")
        .unwrap();
    assert_eq!(
        (overflow.figures.hits, overflow.figures.misses),
        (1, 99_995)
    );
}

#[tokio::test]
async fn without_axum_or_a_closure_a_request_is_unmatched() {
    let (app, handle) = cached(&Handler::with(FRESH), CacheLayer::builder());
    ask(&app, get("/a")).await;
    assert_eq!(handle.stats().routes[0].route, "unmatched");
}

#[tokio::test]
async fn a_fetch_in_the_background_is_no_clients_miss_hit_or_bypass() {
    // In turn: stored, then what the background fetch meets.
    for second in ["fresh", "private", "error", "failure"] {
        let handler = Handler::new(move |_, call| {
            let fields = [
                (
                    "cache-control",
                    "max-age=60, stale-while-revalidate=60, stale-if-error=600",
                ),
                ("etag", "\"1\""),
            ];
            if call == 0 || second == "fresh" {
                return ready(answer(&fields, "x"));
            }
            match second {
                "private" => ready(answer(&[("cache-control", "private")], "x")),
                "error" => {
                    let mut response = answer(&[], "x");
                    *response.status_mut() = http::StatusCode::BAD_GATEWAY;
                    ready(response)
                }
                _ => Box::pin(std::future::ready(Err("away"))),
            }
        });
        let clock = Clock::manual();
        let (app, handle) = cached(&handler, routed().clock(clock.clone()));
        ask(&app, get("/a/1")).await;
        clock.advance(61 * SECOND);
        assert!(ask(&app, get("/a/1")).await.is_hit());
        settle().await;
        assert_eq!(handler.calls(), 2, "{second}");
        let stats = handle.stats();
        assert_eq!((stats.hits, stats.misses), (1, 1), "{second}");
        assert_eq!((stats.bypasses, stats.errors), (0, 0), "{second}");
        assert_eq!(stats.background_refreshes, 1, "{second}");
        assert_eq!(stats.stores, if second == "fresh" { 2 } else { 1 });
    }
}

#[tokio::test]
async fn a_panic_of_a_fetch_in_the_background_is_counted() {
    let handler = Handler::new(|_, call| {
        assert!(call == 0, "planned");
        let fields = [("cache-control", "max-age=60, stale-while-revalidate=60")];
        ready(answer(&fields, "x"))
    });
    let clock = Clock::manual();
    let (app, handle) = cached(&handler, CacheLayer::builder().clock(clock.clone()));
    ask(&app, get("/")).await;
    clock.advance(61 * SECOND);
    assert!(ask(&app, get("/")).await.is_hit());
    settle().await;
    let stats = handle.stats();
    assert_eq!((handler.calls(), stats.background_panics), (2, 1));
    assert_eq!((stats.handler_panics, stats.errors), (1, 0));
}

#[tokio::test]
async fn a_panic_of_the_handler_is_counted_and_goes_on_to_the_server() {
    let handler = Handler::new(|request, _| match request.uri().path() {
        "/call" => panic!("planned"),
        _ => Box::pin(async { panic!("planned") }),
    });
    let (app, handle) = cached(&handler, CacheLayer::builder());
    for (number, (by, path)) in [
        ("GET", "/call"),
        ("GET", "/poll"),
        ("POST", "/call"),
        ("POST", "/poll"),
        ("OPTIONS", "/poll"),
    ]
    .into_iter()
    .enumerate()
    {
        let app = app.clone();
        let asking = tokio::spawn(async move { ask(&app, method(by, path, &[])).await });
        assert!(asking.await.unwrap_err().is_panic(), "{by} {path}");
        let panics = handle.stats().handler_panics;
        assert_eq!(panics, number as u64 + 1, "{by} {path}");
    }
    let stats = handle.stats();
    assert_eq!((stats.errors, stats.bypasses), (2, 3), "each request once");
}

#[tokio::test]
async fn a_post_whose_answer_is_kept_is_counted_once() {
    let handler = Handler::with(&[
        ("cache-control", "max-age=60"),
        ("content-location", "/a/1"),
    ]);
    let builder = routed().region(Region::api().store_post(true));
    let (app, handle) = cached(&handler, builder);
    ask(&app, method("POST", "/a/1", &[])).await;
    assert!(ask(&app, get("/a/1")).await.is_hit());
    let stats = handle.stats();
    assert_eq!((stats.hits, stats.misses, stats.bypasses), (1, 0, 1));
    assert_eq!(stats.stores, 1);
}

#[tokio::test]
async fn each_hit_saves_what_the_handler_took_and_a_confirmation_does_not_change_that() {
    let clock = Clock::manual();
    let moving = clock.clone();
    let handler = Handler::new(move |request, call| {
        let fields = [("cache-control", "max-age=60"), ("etag", "\"1\"")];
        if request.headers().contains_key("if-none-match") {
            moving.advance(Duration::from_millis(1));
            let mut response = answer(&fields, "");
            *response.status_mut() = http::StatusCode::NOT_MODIFIED;
            return ready(response);
        }
        moving.advance(Duration::from_millis(40));
        ready(answer(&fields, call.to_string()))
    });
    let (app, handle) = cached(&handler, routed().clock(clock.clone()));
    let saved = || handle.stats().handler_time_saved_us;
    ask(&app, get("/a/1")).await;
    assert_eq!(saved(), 0, "a miss saves nothing");
    ask(&app, get("/a/1")).await;
    ask(&app, get("/a/1")).await;
    assert_eq!(saved(), 80_000);
    clock.advance(61 * SECOND);
    assert!(
        ask(&app, get("/a/1"))
            .await
            .cache_status()
            .contains("fwd-status=304")
    );
    assert_eq!(saved(), 80_000, "the handler was asked");
    ask(&app, get("/a/1")).await;
    assert_eq!(saved(), 120_000);
    assert_eq!(route(&handle, "/a/{id}")["handler_time_saved_us"], 120_000);
    assert_eq!(handle.stats().revalidated, 1);
}

#[tokio::test]
async fn an_answer_that_stands_in_for_an_error_saves_nothing_and_an_error_is_counted() {
    let clock = Clock::manual();
    let moving = clock.clone();
    let handler = Handler::new(move |_, call| {
        moving.advance(SECOND);
        if call > 0 {
            return Box::pin(std::future::ready(Err("away")));
        }
        ready(answer(
            &[("cache-control", "max-age=60, stale-if-error=60")],
            "x",
        ))
    });
    let (app, handle) = cached(&handler, CacheLayer::builder().clock(clock.clone()));
    ask(&app, get("/")).await;
    clock.advance(61 * SECOND);
    ask(&app, get("/")).await;
    assert!(app.clone().oneshot(get("/other")).await.is_err());
    let stats = handle.stats();
    assert_eq!(stats.hit_kinds["stale-if-error"], 1);
    assert_eq!(stats.handler_time_saved_us, 0);
    assert_eq!((stats.errors, stats.misses), (1, 1));
}

#[tokio::test]
async fn what_others_answers_serve_is_a_hit_that_this_process_did_not_have() {
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    let opened = gate.clone();
    let handler = Handler::new(move |_, _| {
        let gate = gate.clone();
        Box::pin(async move {
            gate.acquire().await.unwrap().forget();
            Ok(answer(FRESH, "x"))
        })
    });
    let (app, handle) = cached(&handler, CacheLayer::builder());
    let asking: Vec<_> = (0..10)
        .map(|_| tokio::spawn(app.clone().oneshot(get("/"))))
        .collect();
    settle().await;
    opened.add_permits(1);
    for asked in asking {
        asked.await.unwrap().unwrap();
    }
    ask(&app, get("/")).await;
    let stats = handle.stats();
    assert_eq!((stats.hits, stats.misses, stats.coalesced), (10, 1, 9));
    assert_eq!(stats.hit_kinds["collapsed"], 9);
    assert_eq!((stats.l1.hits, stats.l1.misses), (1, 10));
}

#[tokio::test(start_paused = true)]
async fn who_waits_in_vain_is_counted() {
    let handler = Handler::new(|_, call| {
        Box::pin(async move {
            if call == 0 {
                std::future::pending::<()>().await;
            }
            // Until all of them have given up.
            settle().await;
            Ok(answer(FRESH, "x"))
        })
    });
    let (app, handle) = cached(&handler, CacheLayer::builder());
    let hanging = tokio::spawn(app.clone().oneshot(get("/")));
    settle().await;
    let asking: Vec<_> = (0..3)
        .map(|_| tokio::spawn(app.clone().oneshot(get("/"))))
        .collect();
    for asked in asking {
        asked.await.unwrap().unwrap();
    }
    assert_eq!(handle.stats().wait_timeouts, 3);
    hanging.abort();
}

#[tokio::test]
async fn purges_are_counted_by_kind_and_their_answers_once_when_somebody_asks() {
    let (app, handle) = cached(&Handler::with(FRESH), CacheLayer::builder());
    for n in 0..5 {
        ask(&app, get(&format!("/{n}"))).await;
    }
    handle.purge(Purge::Path("/0".into())).await.unwrap();
    handle.purge(Purge::Region("api".into())).await.unwrap();
    handle.purge_softly(Purge::Tag("x".into())).await.unwrap();
    let stats = json_of(&handle);
    assert_eq!(
        stats["purge_kinds"],
        json!({"path": 1, "region": 1, "tag": 1})
    );
    assert_eq!(
        (&stats["purges"], &stats["soft_purges"]),
        (&json!(3), &json!(1))
    );
    assert_eq!(stats["deletes"], 0, "nobody has looked yet");
    for _ in 0..3 {
        ask(&app, get("/0")).await;
        ask(&app, get("/1")).await;
    }
    let stats = handle.stats();
    assert_eq!((stats.deletes, stats.miss_reasons["purged"]), (2, 2));
    assert_eq!(stats.l1.entries, 5);
}

#[tokio::test]
async fn what_an_answer_to_head_shows_to_be_old_is_a_delete() {
    let handler = Handler::new(|_, call| {
        let etag = format!("\"{call}\"");
        let fields = [("cache-control", "max-age=60"), ("etag", &*etag)];
        ready(answer(&fields, "x"))
    });
    let clock = Clock::manual();
    let (app, handle) = cached(&handler, CacheLayer::builder().clock(clock.clone()));
    ask(&app, get("/")).await;
    clock.advance(61 * SECOND);
    ask(&app, method("HEAD", "/", &[])).await;
    let stats = handle.stats();
    assert_eq!((stats.deletes, stats.l1.entries), (1, 0));
}

#[cfg(feature = "query")]
#[tokio::test]
async fn rows_of_queries_are_counted_under_a_route_of_their_own() {
    let clock = Clock::manual();
    let region = Region::queries().ttl(60 * SECOND);
    let (_app, handle) = cached(
        &Handler::with(FRESH),
        CacheLayer::builder().region(region).clock(clock.clone()),
    );
    let fetch = async || {
        clock.advance(Duration::from_millis(5));
        Ok::<_, ()>(vec![1])
    };
    for _ in 0..3 {
        handle
            .query("queries", "SELECT a FROM t", &(), fetch)
            .await
            .0
            .unwrap();
    }
    handle
        .query("queries", "SELECT now()", &(), fetch)
        .await
        .0
        .unwrap();
    let failing = async || Err::<Vec<i32>, _>(());
    handle
        .query("queries", "SELECT b FROM t", &(), failing)
        .await
        .0
        .unwrap_err();
    let rows = route(&handle, "query");
    assert_eq!(rows["region"], "queries");
    assert_eq!(
        (&rows["hits"], &rows["misses"], &rows["errors"]),
        (&json!(2), &json!(1), &json!(1))
    );
    assert_eq!(rows["bypass_reasons"], json!({"query-refused": 1}));
    assert_eq!(rows["handler_time_saved_us"], 10_000);
}
