//! The truth sampler: what was served and is no longer true is found, and nothing else.

#![allow(clippy::unwrap_used)]

mod support;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use pitcrew::{
    CacheHandle, CacheLayer,
    cache::{CacheBuilder, Purge, Recomputation, Region, TruthStats},
    clock::Clock,
};
use support::*;
use tower::Layer;

const SECOND: Duration = Duration::from_secs(1);

/// An app whose value changes when it is told to.
#[derive(Clone, Default)]
struct Value(Arc<AtomicU64>);

impl Value {
    fn change(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }

    /// Answers with the value, tagged `value`.
    fn handler(&self) -> Handler {
        let value = self.clone();
        Handler::new(move |_, _| {
            let fields = [("cache-control", "max-age=600"), ("x-cache-tags", "value")];
            ready(answer(&fields, value.0.load(Ordering::SeqCst).to_string()))
        })
    }
}

fn sampling(share: f64, clock: &Clock) -> CacheBuilder {
    CacheLayer::builder()
        .sample_truth(share)
        .clock(clock.clone())
        .route_label(|_| Some("/value/{id}".into()))
}

fn truth(handle: &CacheHandle) -> TruthStats {
    handle.stats().truth.unwrap()
}

/// Asks so often that each recomputation that is due is made, with time between them.
async fn watch(app: &Cached, clock: &Clock, seconds: u32) {
    for _ in 0..seconds {
        assert!(ask(app, get("/value/1?token=s3cret")).await.is_hit());
        settle().await;
        clock.advance(SECOND);
    }
}

#[tokio::test]
async fn a_purge_that_is_lost_is_reported_within_a_minute_with_its_region_and_route() {
    let (value, clock) = (Value::default(), Clock::manual());
    let handler = value.handler();
    // 20 visitors a second, of whom one in 20 is sampled: that none is in a minute happens once in 10^26.
    let (app, handle) = cached(&handler, sampling(0.05, &clock));
    ask(&app, get("/value/1?token=s3cret")).await;
    clock.advance(10 * SECOND);
    value.change();
    // The app means to purge, and names another tag.
    handle.purge(Purge::Tag("valeu".into())).await.unwrap();
    let mut seconds = 0;
    while truth(&handle).stale_served_total == 0 {
        assert!(seconds < 60, "{:?}", truth(&handle));
        for _ in 0..20 {
            assert_eq!(ask(&app, get("/value/1?token=s3cret")).await.body, "0");
        }
        settle().await;
        clock.advance(SECOND);
        seconds += 1;
    }
    let stats = handle.stats();
    let finding = &stats.truth.as_ref().unwrap().findings[0];
    assert_eq!((&*finding.region, &*finding.route), ("api", "/value/{id}"));
    assert_eq!(finding.key, "app.example/value/1", "no query");
    assert!(finding.age_s >= 10 && finding.unix_ms >= 1_767_225_610_000);
    let json = serde_json::to_value(&stats).unwrap();
    for rows in ["regions", "routes"] {
        let found = json[rows].as_array().unwrap().iter();
        let found: u64 = found
            .map(|row| row["stale_served_total"].as_u64().unwrap())
            .sum();
        assert_eq!(
            found,
            stats.truth.as_ref().unwrap().stale_served_total,
            "{rows}"
        );
    }
    // It changes nothing: what is stored goes on being served, and nobody's figures moved.
    assert_eq!(ask(&app, get("/value/1?token=s3cret")).await.body, "0");
    assert_eq!((stats.misses, stats.stores, stats.bypasses), (1, 1, 0));
}

/// Where the cache stands twice on the way, the inner one does not vouch for the outer.
#[tokio::test]
async fn a_cache_that_stands_twice_is_not_blind() {
    let (value, clock) = (Value::default(), Clock::manual());
    let (layer, handle) = sampling(1.0, &clock).build();
    let app = layer.layer(layer.layer(value.handler()));
    let asked = async || ask(&app, get("/value/1")).await.body;
    asked().await;
    value.change();
    for _ in 0..60 {
        assert_eq!(asked().await, "0");
        settle().await;
        clock.advance(SECOND);
    }
    assert!(
        truth(&handle).stale_served_total > 0,
        "{:?}",
        truth(&handle)
    );
}

#[tokio::test]
async fn an_app_that_purges_what_it_changes_has_no_finding() {
    let (value, clock) = (Value::default(), Clock::manual());
    let handler = value.handler();
    let (app, handle) = cached(&handler, sampling(1.0, &clock));
    ask(&app, get("/value/1?token=s3cret")).await;
    for change in 1..=20 {
        watch(&app, &clock, 5).await;
        value.change();
        handle.purge(Purge::Tag("value".into())).await.unwrap();
        assert_eq!(
            ask(&app, get("/value/1?token=s3cret")).await.body,
            change.to_string()
        );
    }
    let truth = truth(&handle);
    assert_eq!(truth.checks, 100, "each hit was compared: {truth:?}");
    assert_eq!((truth.stale_served_total, truth.unstable), (0, 0));
    assert!(truth.findings.is_empty());
}

#[tokio::test]
async fn a_purge_between_the_hit_and_the_comparison_is_no_finding() {
    let (value, clock) = (Value::default(), Clock::manual());
    let handler = value.handler();
    let (app, handle) = cached(&handler, sampling(1.0, &clock));
    for purge in [Purge::Tag("value".into()), Purge::All] {
        ask(&app, get("/value/1?token=s3cret")).await;
        // The change is made, its purge comes a moment later: after the first look, and before the second, which does not come
        // within a second however many ask.
        value.change();
        for _ in 0..10 {
            assert!(ask(&app, get("/value/1?token=s3cret")).await.is_hit());
            settle().await;
            clock.advance(SECOND / 11);
        }
        handle.purge(purge).await.unwrap();
        ask(&app, get("/value/1?token=s3cret")).await;
        watch(&app, &clock, 5).await;
        // And here between the call of the handler and its answer.
        value.change();
        assert!(ask(&app, get("/value/1?token=s3cret")).await.is_hit());
        handle
            .purge_softly(Purge::Tag("value".into()))
            .await
            .unwrap();
        settle().await;
        ask(&app, get("/value/1?token=s3cret")).await;
        settle().await;
    }
    let truth = truth(&handle);
    assert_eq!(
        (truth.overtaken, truth.stale_served_total),
        (2, 0),
        "{truth:?}"
    );
    assert!(truth.checks > 0);
}

#[tokio::test]
async fn a_handler_whose_answers_all_differ_is_unstable_and_not_stale() {
    let clock = Clock::manual();
    let handler = Handler::with(&[("cache-control", "max-age=600")]);
    let (app, handle) = cached(&handler, sampling(1.0, &clock));
    ask(&app, get("/value/1?token=s3cret")).await;
    watch(&app, &clock, 10).await;
    let truth = truth(&handle);
    assert_eq!(
        (truth.unstable, truth.stale_served_total),
        (5, 0),
        "{truth:?}"
    );
    assert_eq!(handle.stats().routes[0].figures.unstable, 5);
    assert!(truth.findings.is_empty());
}

#[tokio::test]
async fn a_share_of_nothing_calls_nobody_and_one_beyond_the_range_is_refused() {
    let (value, clock) = (Value::default(), Clock::manual());
    let handler = value.handler();
    let (app, handle) = cached(&handler, sampling(0.0, &clock));
    ask(&app, get("/value/1?token=s3cret")).await;
    value.change();
    watch(&app, &clock, 100).await;
    assert_eq!(handler.calls(), 1);
    assert!(handle.stats().truth.is_none());
    for share in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
        let refused = std::panic::catch_unwind(|| CacheLayer::builder().sample_truth(share));
        let message = *refused.unwrap_err().downcast::<String>().unwrap();
        assert!(message.contains("between 0 and 1"), "{message}");
    }
}

#[tokio::test]
async fn the_share_of_hits_is_sampled() {
    let clock = Clock::manual();
    let handler = Value::default().handler();
    let (app, handle) = cached(&handler, sampling(0.25, &clock));
    ask(&app, get("/value/1")).await;
    for _ in 0..4_000 {
        ask(&app, get("/value/1")).await;
        settle().await;
    }
    // Ten standard deviations to either side.
    let checks = truth(&handle).checks;
    assert!((730..1_270).contains(&checks), "{checks}");
    assert_eq!(handler.calls() as u64, 1 + checks);
}

#[tokio::test]
async fn no_more_than_eight_recomputations_are_under_way_and_the_others_are_counted() {
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    let waiting = Arc::new(AtomicUsize::new(0));
    let (opened, seen) = (gate.clone(), waiting.clone());
    let handler = Handler::new(move |request, _| {
        let (gate, waiting) = (gate.clone(), waiting.clone());
        Box::pin(async move {
            if request.extensions().get::<Recomputation>().is_some() {
                waiting.fetch_add(1, Ordering::SeqCst);
                gate.acquire().await.unwrap().forget();
            }
            Ok(answer(&[("cache-control", "max-age=600")], "x"))
        })
    });
    let (app, handle) = cached(&handler, sampling(1.0, &Clock::manual()));
    ask(&app, get("/value/1")).await;
    for _ in 0..20 {
        assert!(ask(&app, get("/value/1")).await.is_hit());
        settle().await;
    }
    assert_eq!(seen.load(Ordering::SeqCst), 8);
    assert_eq!((truth(&handle).dropped, truth(&handle).checks), (12, 0));
    opened.add_permits(8);
    settle().await;
    assert_eq!(truth(&handle).checks, 8);
    // There is room again.
    ask(&app, get("/value/1")).await;
    settle().await;
    assert_eq!(seen.load(Ordering::SeqCst), 9);
    assert_eq!(truth(&handle).dropped, 12);
}

#[tokio::test]
async fn a_handler_that_panics_when_it_is_asked_again_harms_nobody() {
    let handler = Handler::new(|request, _| {
        let again = request.extensions().get::<Recomputation>().is_some();
        let path = request.uri().path().to_owned();
        assert!(!(again && path == "/value/call"), "planned");
        Box::pin(async move {
            assert!(!(again && path == "/value/future"), "planned");
            Ok(answer(&[("cache-control", "max-age=600")], "x"))
        })
    });
    let (app, handle) = cached(&handler, sampling(1.0, &Clock::manual()));
    for path in ["/value/call", "/value/future"] {
        ask(&app, get(path)).await;
        // More often than there may be recomputations at one time: each gives its place back.
        for _ in 0..10 {
            assert!(ask(&app, get(path)).await.is_hit());
            settle().await;
        }
    }
    let stats = handle.stats();
    assert_eq!(stats.background_panics, 20);
    assert_eq!((stats.hits, stats.misses), (20, 2));
    let truth = stats.truth.unwrap();
    assert_eq!((truth.dropped, truth.checks), (0, 0));
}

#[tokio::test]
async fn what_would_not_be_stored_cannot_be_compared() {
    let clock = Clock::manual();
    let handler = Handler::new(|request, _| {
        if request.extensions().get::<Recomputation>().is_none() {
            return ready(answer(&[("cache-control", "max-age=600")], "x"));
        }
        let mut response = match request.uri().path() {
            "/validated" => answer(&[("cache-control", "no-cache"), ("etag", "\"1\"")], "y"),
            "/private" => answer(&[("cache-control", "private")], "y"),
            "/cookie" => answer(
                &[("cache-control", "max-age=600"), ("set-cookie", "a=1")],
                "y",
            ),
            "/large" => answer(&[("cache-control", "max-age=600")], vec![b'y'; 101]),
            "/short" => answer(
                &[("cache-control", "max-age=600"), ("content-length", "9")],
                "y",
            ),
            _ => answer(&[("cache-control", "max-age=600")], "y"),
        };
        match request.uri().path() {
            "/away" => return Box::pin(std::future::ready(Err("away"))),
            "/failing" => *response.status_mut() = http::StatusCode::INTERNAL_SERVER_ERROR,
            _ => {}
        }
        ready(response)
    });
    let region = Region::api().max_body_bytes(100);
    let (app, handle) = cached(&handler, sampling(1.0, &clock).region(region));
    let paths = [
        "/validated",
        "/private",
        "/cookie",
        "/large",
        "/short",
        "/away",
        "/failing",
    ];
    for path in paths {
        ask(&app, get(path)).await;
        for _ in 0..3 {
            assert_eq!(ask(&app, get(path)).await.body, "x");
            settle().await;
            clock.advance(2 * SECOND);
        }
    }
    let truth = truth(&handle);
    assert_eq!((truth.inconclusive, truth.checks), (21, 0), "{truth:?}");
    assert_eq!(truth.stale_served_total, 0);
}

#[tokio::test]
async fn the_handler_gets_the_hits_own_request_for_the_whole_answer() {
    let seen: Arc<Mutex<Vec<Request<Full<Bytes>>>>> = Arc::default();
    let keep = seen.clone();
    let handler = Handler::new(move |request, _| {
        if request.extensions().get::<Recomputation>().is_some() {
            keep.lock().unwrap().push(request);
        }
        ready(answer(
            &[
                ("cache-control", "max-age=600"),
                ("etag", "\"1\""),
                ("vary", "accept"),
            ],
            "whole",
        ))
    });
    let (app, handle) = cached(&handler, sampling(1.0, &Clock::manual()));
    ask(&app, get_with("/value/1?a=1", &[("accept", "text/plain")])).await;
    let fields = [
        ("accept", "text/plain"),
        ("if-none-match", "\"1\""),
        ("range", "bytes=0-1"),
        ("x-own", "yes"),
    ];
    ask(&app, get_with("/value/1?a=1", &fields)).await;
    // HEAD has nothing to compare, and asks for nothing.
    ask(
        &app,
        method("HEAD", "/value/1?a=1", &[("accept", "text/plain")]),
    )
    .await;
    settle().await;
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 1);
    let request = &seen[0];
    assert_eq!(
        (request.method(), request.uri().to_string()),
        (&http::Method::GET, "/value/1?a=1".into())
    );
    assert_eq!(request.headers()["x-own"], "yes");
    for name in ["if-none-match", "range"] {
        assert!(!request.headers().contains_key(name), "{name}");
    }
    assert_eq!(
        (truth(&handle).checks, truth(&handle).stale_served_total),
        (1, 0)
    );
}

#[tokio::test]
async fn each_identity_is_compared_with_its_own_truth() {
    let clock = Clock::manual();
    let value = Value::default();
    let current = value.clone();
    let handler = Handler::new(move |request, _| {
        let who = request.headers()["authorization"]
            .to_str()
            .unwrap()
            .to_owned();
        let value = if who == "alice" {
            0
        } else {
            current.0.load(Ordering::SeqCst)
        };
        ready(answer(
            &[("cache-control", "private, max-age=600")],
            format!("{who} {value}"),
        ))
    });
    let region = Region::api().per_identity(|parts| {
        let who = parts.headers.get("authorization")?.to_str().ok()?;
        Some(who.to_owned())
    });
    let (app, handle) = cached(&handler, sampling(1.0, &clock).region(region));
    let visit = async || {
        for who in ["alice", "bob"] {
            ask(&app, get_with("/me", &[("authorization", who)])).await;
            settle().await;
        }
        clock.advance(SECOND);
    };
    visit().await;
    visit().await;
    assert_eq!(
        (truth(&handle).checks, truth(&handle).stale_served_total),
        (2, 0)
    );
    value.change();
    visit().await;
    visit().await;
    let truth = truth(&handle);
    assert_eq!(truth.stale_served_total, 1, "bob's alone: {truth:?}");
    assert_eq!(truth.unstable, 0);
}

#[tokio::test]
async fn findings_are_kept_up_to_their_bound_the_newest_first() {
    let (value, clock) = (Value::default(), Clock::manual());
    let handler = value.handler();
    let (app, handle) = cached(&handler, sampling(1.0, &clock));
    for n in 0..20 {
        ask(&app, get(&format!("/value/{n}"))).await;
    }
    value.change();
    for n in 0..20 {
        for _ in 0..2 {
            ask(&app, get(&format!("/value/{n}"))).await;
            settle().await;
            clock.advance(SECOND);
        }
    }
    let truth = truth(&handle);
    assert_eq!((truth.stale_served_total, truth.findings.len()), (20, 16));
    assert_eq!(truth.findings[0].key, "app.example/value/19");
    assert_eq!(truth.findings[15].key, "app.example/value/4");
}

#[tokio::test]
async fn answers_that_wait_for_a_second_look_are_bounded_and_those_left_out_counted() {
    let (value, clock) = (Value::default(), Clock::manual());
    let handler = value.handler();
    let (app, handle) = cached(&handler, sampling(1.0, &clock));
    for n in 0..70 {
        ask(&app, get(&format!("/value/{n}"))).await;
    }
    value.change();
    for n in 0..70 {
        ask(&app, get(&format!("/value/{n}"))).await;
        settle().await;
    }
    assert_eq!((truth(&handle).dropped, truth(&handle).checks), (6, 0));
    // Purged answers are gone and make room.
    handle.purge(Purge::All).await.unwrap();
    for n in 0..70 {
        ask(&app, get(&format!("/value/{n}"))).await;
    }
    value.change();
    for _ in 0..2 {
        ask(&app, get("/value/0")).await;
        settle().await;
        clock.advance(SECOND);
    }
    assert_eq!(
        (truth(&handle).dropped, truth(&handle).stale_served_total),
        (6, 1)
    );
}

#[test]
fn without_a_runtime_nothing_is_sampled_and_hits_are_served() {
    let handler = Value::default().handler();
    let (app, handle) = cached(&handler, sampling(1.0, &Clock::manual()));
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    for _ in 0..3 {
        let asking = std::pin::pin!(ask(&app, get("/value/1")));
        assert!(asking.poll(&mut cx).is_ready());
    }
    assert_eq!((handler.calls(), handle.stats().hits), (1, 2));
    assert_eq!(truth(&handle).checks, 0);
}
