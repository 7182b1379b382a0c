//! Settings that cannot be meant are refused where they are made, and say what to write; nothing is silently another one.

#![allow(clippy::unwrap_used)]

mod support;

use std::{panic, time::Duration};

use bytes::Bytes;
use http::StatusCode;
use pitcrew::{CacheLayer, cache::Region};
use support::*;

/// What a setting panics with.
fn refusal<T>(setting: impl FnOnce() -> T + panic::UnwindSafe) -> String {
    match panic::catch_unwind(setting) {
        Ok(_) => String::new(),
        Err(said) => said.downcast_ref::<String>().cloned().unwrap_or_else(|| {
            let said = said.downcast_ref::<&str>();
            (*said.unwrap()).to_owned()
        }),
    }
}

#[track_caller]
fn is_refused<T>(setting: impl FnOnce() -> T + panic::UnwindSafe, advice: &str) {
    let said = refusal(setting);
    assert!(said.contains(advice), "`{said}` does not say `{advice}`");
}

#[test]
fn a_setting_that_cannot_be_meant_is_refused_and_says_what_to_write() {
    for beta in [-1.0, f64::NAN, f64::INFINITY] {
        is_refused(|| Region::api().early_refresh(beta), "1.0 for the optimum");
    }
    for status in [StatusCode::OK, StatusCode::NOT_MODIFIED] {
        let second = Duration::from_secs(1);
        is_refused(
            || Region::api().negative_ttl(status, second),
            "there is ttl",
        );
    }
    is_refused(|| Region::new(""), "a region wants a name");
    let builder = CacheLayer::builder;
    is_refused(|| builder().capacity_bytes(0), "room for some answers");
    is_refused(
        || builder().max_series(0).build(),
        "max_series wants 8 at least",
    );
    is_refused(
        || builder().max_series(7).build(),
        "max_series wants 8 at least",
    );
    let twice = || builder().region(Region::api()).region(Region::api());
    is_refused(twice, "`api` is added twice");
    is_refused(|| builder().sample_truth(1.1), "between 0 and 1");
    let _ = builder()
        .region(Region::api().early_refresh(0.0))
        .region(Region::new("one more"))
        .max_series(9)
        .capacity_bytes(1)
        .build();
}

#[tokio::test]
async fn no_request_panics_for_a_duration_however_long() {
    let longest = Duration::MAX;
    let region = Region::api()
        .ttl(longest)
        .stale_while_revalidate(longest)
        .stale_if_error(longest)
        .errors(true)
        .negative_ttl(StatusCode::NOT_FOUND, longest);
    let handler = Handler::with(&[("etag", "\"a\"")]);
    let builder = CacheLayer::builder()
        .region(region)
        .max_series(usize::MAX)
        .wait_deadline(longest);
    let (app, _) = cached(&handler, builder);
    ask(&app, get("/")).await;
    assert!(ask(&app, get("/")).await.is_hit());
}

#[cfg(feature = "redis")]
#[test]
fn a_namespace_has_a_name() {
    let store = || pitcrew::cache::RedisStore::connect("redis://127.0.0.1").unwrap();
    is_refused(
        || store().namespace(""),
        "that no other app in this Redis has",
    );
}

#[tokio::test]
async fn a_region_that_there_is_not_keeps_the_cache_out_and_says_so() {
    let handler = Handler::with(&[("cache-control", "max-age=60")]);
    let builder = CacheLayer::builder()
        .region(Region::new("tenant-1"))
        // A name that is made while it runs.
        .region_for(|parts| Some(format!("tenant{}", parts.uri.path().replace('/', "-"))));
    let (app, handle) = cached(&handler, builder);
    ask(&app, get("/1")).await;
    assert!(ask(&app, get("/1")).await.is_hit());
    for _ in 0..2 {
        let seen = ask(&app, get("/2")).await;
        let wanted = "pitcrew; fwd=bypass; detail=unknown-region";
        assert_eq!(seen.cache_status(), wanted);
    }
    let explained = handle.explain(&get("/2"));
    assert_eq!(explained.decision, "bypass");
    let said = "names the region `tenant-2`, which there is not";
    assert!(explained.because.contains(said), "{explained:?}");
    assert_eq!(handle.stats().bypass_reasons["unknown-region"], 2);
    // A change makes old what is stored all the same.
    ask(&app, method("POST", "/2", &[])).await;
    assert_eq!(handle.stats().invalidations, 1);
}

#[tokio::test]
async fn what_does_not_fit_is_not_said_to_be_stored() {
    let handler = Handler::new(|_, _| {
        let body = Bytes::from(vec![b'x'; 1_000]);
        ready(answer(&[("cache-control", "max-age=60")], body))
    });
    let (app, handle) = cached(&handler, CacheLayer::builder().capacity_bytes(500));
    let seen = ask(&app, get("/")).await;
    assert_eq!(seen.cache_status(), "pitcrew; fwd=uri-miss");
    let stats = handle.stats();
    assert_eq!((stats.stores, stats.fills_failed, stats.misses), (0, 1, 1));
}
