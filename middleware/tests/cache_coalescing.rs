//! SECURITY C2, C11, C15, C16, C17, C19: many requests at once.

#![allow(clippy::unwrap_used)]

mod support;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::StatusCode;
use http_body_util::BodyExt;
use pitcrew::{CacheLayer, cache::Purge};
use support::*;
use tokio::sync::{Notify, Semaphore};
use tower::{
    Layer, Service, ServiceBuilder, ServiceExt, buffer::BufferLayer, limit::ConcurrencyLimitLayer,
    load_shed::LoadShedLayer,
};

const FRESH: &[(&str, &str)] = &[("cache-control", "max-age=60")];

/// Answers when the test lets it: one permit a call.
fn gated(headers: &'static [(&'static str, &'static str)]) -> (Handler, Arc<Semaphore>) {
    let gate = Arc::new(Semaphore::new(0));
    let inside = gate.clone();
    let handler = Handler::new(move |_, call| {
        let gate = inside.clone();
        Box::pin(async move {
            gate.acquire().await.unwrap().forget();
            Ok(answer(headers, call.to_string()))
        })
    });
    (handler, gate)
}

fn spawn_many(app: &Cached, count: usize) -> Vec<tokio::task::JoinHandle<Seen>> {
    (0..count)
        .map(|_| {
            tokio::spawn({
                let app = app.clone();
                async move { ask(&app, get("/")).await }
            })
        })
        .collect()
}

#[tokio::test]
async fn c11_a_thousand_waiters_are_one_call() {
    let (handler, gate) = gated(FRESH);
    let (app, handle) = cached(&handler, CacheLayer::builder());
    let waiters = spawn_many(&app, 1_000);
    settle().await;
    assert_eq!(handler.calls(), 1);
    gate.add_permits(1);
    let mut collapsed = 0;
    for waiter in waiters {
        let seen = waiter.await.unwrap();
        assert_eq!(seen.body, "0");
        collapsed += usize::from(seen.cache_status() == "pitcrew; fwd=uri-miss; collapsed");
    }
    assert_eq!(
        (handler.calls(), collapsed, handle.stats().coalesced),
        (1, 999, 999)
    );
}

#[tokio::test]
async fn c11_a_cancelled_leader_is_replaced_by_one_waiter() {
    let (handler, gate) = gated(FRESH);
    let app = simple(&handler);
    let mut many = spawn_many(&app, 10);
    settle().await;
    let leader = many.remove(0);
    leader.abort();
    assert!(leader.await.unwrap_err().is_cancelled());
    settle().await;
    assert_eq!(handler.calls(), 2, "exactly one took over");
    gate.add_permits(1);
    for waiter in many {
        assert_eq!(waiter.await.unwrap().body, "1");
    }
}

#[tokio::test]
async fn c11_a_panicking_leader_is_replaced_and_after_two_all_run() {
    let go = Arc::new(Notify::new());
    let inside = go.clone();
    let handler = Handler::new(move |_, call| {
        let go = inside.clone();
        Box::pin(async move {
            if call < 2 {
                go.notified().await;
                std::panic::resume_unwind(Box::new("handler"));
            }
            Ok(answer(FRESH, call.to_string()))
        })
    });
    let app = simple(&handler);
    let many = spawn_many(&app, 10);
    settle().await;
    assert_eq!(handler.calls(), 1);
    go.notify_one();
    settle().await;
    assert_eq!(handler.calls(), 2, "one re-election");
    go.notify_one();
    let mut panicked = 0;
    for waiter in many {
        match waiter.await {
            Ok(seen) => assert!(seen.body.parse::<usize>().unwrap() >= 2),
            Err(error) => panicked += usize::from(error.is_panic()),
        }
    }
    assert_eq!(panicked, 2, "only those whose own handler panicked");
    assert_eq!(
        handler.calls(),
        10,
        "after the second panic nobody waits for anybody"
    );
}

#[tokio::test(start_paused = true)]
async fn c11_a_hanging_leader_stalls_nobody_beyond_the_deadline() {
    let handler = Handler::new(|_, call| {
        Box::pin(async move {
            if call == 0 {
                std::future::pending::<()>().await;
            }
            Ok(answer(FRESH, call.to_string()))
        })
    });
    let app = cached(
        &handler,
        CacheLayer::builder().wait_deadline(Duration::from_secs(5)),
    )
    .0;
    let mut many = spawn_many(&app, 3);
    settle().await;
    assert_eq!(handler.calls(), 1);
    // The clock is paused: it jumps to the waiters' deadline as soon as nothing else can run.
    let leader = many.remove(0);
    for waiter in many {
        assert_ne!(waiter.await.unwrap().body, "0");
    }
    leader.abort();
}

#[tokio::test(start_paused = true)]
async fn c11_a_handler_that_is_slow_gets_one_request_more_for_each_deadline() {
    let (handler, gate) = gated(FRESH);
    let deadline = Duration::from_secs(5);
    let app = cached(&handler, CacheLayer::builder().wait_deadline(deadline)).0;
    let many = spawn_many(&app, 1_000);
    settle().await;
    for passed in 1..4 {
        assert_eq!(handler.calls(), passed);
        tokio::time::sleep(deadline + Duration::from_millis(1)).await;
        settle().await;
    }
    // The first answers at last, and has led to an end for all who wait behind whichever.
    gate.add_permits(1);
    settle().await;
    assert_eq!(handler.calls(), 4);
    let mut answered = 0;
    for waiter in &many {
        answered += usize::from(waiter.is_finished());
    }
    assert_eq!(answered, 997, "all but the three others that were sent");
    gate.add_permits(3);
    for waiter in many {
        waiter.await.unwrap();
    }
    assert_eq!(handler.calls(), 4);
}

#[tokio::test]
async fn c11_an_answer_that_speaks_of_one_request_leaves_the_others_together() {
    for status in [400, 406, 412, 416, 429, 431] {
        let gate = Arc::new(Semaphore::new(0));
        let inside = gate.clone();
        let handler = Handler::new(move |_, call| {
            let gate = inside.clone();
            Box::pin(async move {
                let mut response = answer(FRESH, call.to_string());
                if call == 0 {
                    *response.status_mut() = StatusCode::from_u16(status).unwrap();
                } else {
                    gate.acquire().await.unwrap().forget();
                }
                Ok(response)
            })
        });
        let app = simple(&handler);
        ask(&app, get_with("/", &[("range", "bytes=99999-")])).await;
        let many = spawn_many(&app, 50);
        settle().await;
        assert_eq!(handler.calls(), 2, "{status}");
        gate.add_permits(1);
        for waiter in many {
            waiter.await.unwrap();
        }
        assert_eq!(handler.calls(), 2, "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_same_cache_twice_on_one_way_waits_for_nobody() {
    let handler = Handler::with(FRESH);
    let (layer, handle) = CacheLayer::builder().build();
    let app = layer.layer(layer.layer(handler.clone()));
    let before = tokio::time::Instant::now();
    let inner = "pitcrew; fwd=bypass; detail=nested";
    for outer in ["pitcrew; fwd=uri-miss; stored", "pitcrew; hit; ttl=60"] {
        let seen = ask(&app, get("/")).await;
        assert_eq!(seen.body, "0");
        let members: Vec<_> = seen.headers.get_all("cache-status").iter().collect();
        assert_eq!(members, [inner, outer]);
    }
    assert_eq!((handler.calls(), handle.stats().wait_timeouts), (1, 0));
    assert_eq!(before.elapsed(), Duration::ZERO);
}

/// What the handler says to the cache reaches the copy that stores.
#[tokio::test]
async fn tags_and_directives_pass_a_cache_that_stands_further_in() {
    for (field, stored) in [
        (("x-cache-tags", "orders"), true),
        (("pitcrew-cache-control", "no-store"), false),
    ] {
        let handler = Handler::new(move |_, call| {
            ready(answer(
                &[("cache-control", "max-age=60"), field],
                call.to_string(),
            ))
        });
        let (layer, handle) = CacheLayer::builder().build();
        let app = layer.layer(layer.layer(handler));
        let seen = ask(&app, get("/")).await;
        assert!(!seen.headers.contains_key(field.0));
        assert_eq!(ask(&app, get("/")).await.body == "0", stored);
        handle.purge(Purge::Tag("orders".into())).await.unwrap();
        assert_ne!(ask(&app, get("/")).await.body, "0");
    }
}

/// Another cache between them does not hide the outer one.
#[tokio::test(start_paused = true)]
async fn a_cache_around_another_around_the_same_waits_for_nobody() {
    let handler = Handler::with(FRESH);
    let (layer, handle) = CacheLayer::builder().build();
    let (between, _) = CacheLayer::builder().build();
    let app = layer.layer(between.layer(layer.layer(handler.clone())));
    let before = tokio::time::Instant::now();
    for _ in 0..2 {
        assert_eq!(ask(&app, get("/")).await.body, "0");
    }
    assert_eq!((handler.calls(), handle.stats().wait_timeouts), (1, 0));
    assert_eq!(before.elapsed(), Duration::ZERO);
}

#[tokio::test]
async fn c11_an_uncacheable_answer_serialises_nobody() {
    let (handler, gate) = gated(&[("cache-control", "no-store")]);
    let app = simple(&handler);
    let cold = spawn_many(&app, 20);
    settle().await;
    assert_eq!(handler.calls(), 1);
    gate.add_permits(1);
    settle().await;
    assert_eq!(handler.calls(), 20, "released at the head, all at once");
    gate.add_permits(19);
    for waiter in cold {
        waiter.await.unwrap();
    }
    let known = spawn_many(&app, 20);
    settle().await;
    assert_eq!(handler.calls(), 40, "a known uncacheable key never queues");
    gate.add_permits(20);
    for waiter in known {
        waiter.await.unwrap();
    }
}

#[tokio::test]
async fn c2_a_coalesced_waiter_never_gets_anothers_cookie() {
    let gate = Arc::new(Semaphore::new(0));
    let inside = gate.clone();
    let handler = Handler::new(move |_, call| {
        let gate = inside.clone();
        Box::pin(async move {
            gate.acquire().await.unwrap().forget();
            let cookie = format!("id={call}");
            Ok(answer(
                &[
                    ("cache-control", "public, max-age=60"),
                    ("set-cookie", &cookie),
                ],
                call.to_string(),
            ))
        })
    });
    let app = simple(&handler);
    let many = spawn_many(&app, 50);
    settle().await;
    gate.add_permits(50);
    let mut cookies = std::collections::HashSet::new();
    for waiter in many {
        let seen = waiter.await.unwrap();
        assert!(
            cookies.insert(seen.headers["set-cookie"].clone()),
            "a cookie was given twice"
        );
    }
    assert_eq!(handler.calls(), 50);
}

#[tokio::test]
async fn waiters_whose_vary_does_not_match_regroup_by_variant() {
    let gate = Arc::new(Semaphore::new(0));
    let inside = gate.clone();
    let handler = Handler::new(move |request, _| {
        let gate = inside.clone();
        Box::pin(async move {
            gate.acquire().await.unwrap().forget();
            let language = request.headers()["accept-language"]
                .to_str()
                .unwrap()
                .to_owned();
            Ok(answer(
                &[("cache-control", "max-age=60"), ("vary", "accept-language")],
                language,
            ))
        })
    });
    let app = simple(&handler);
    let many: Vec<_> = (0..30)
        .map(|n| {
            let (app, language) = (app.clone(), ["de", "en", "fr"][n % 3]);
            tokio::spawn(async move {
                (
                    language,
                    ask(&app, get_with("/", &[("accept-language", language)])).await,
                )
            })
        })
        .collect();
    settle().await;
    gate.add_permits(100);
    for waiter in many {
        let (language, seen) = waiter.await.unwrap();
        assert_eq!(seen.body, language);
    }
    assert_eq!(handler.calls(), 3);
}

#[tokio::test]
async fn c15_a_concurrency_limit_of_one_inside_does_not_deadlock() {
    let (handler, gate) = gated(FRESH);
    let (layer, _) = CacheLayer::builder().build();
    let app = ServiceBuilder::new()
        .layer(layer)
        .layer(ConcurrencyLimitLayer::new(1))
        .service(handler.clone());
    let many: Vec<_> = (0..20)
        .map(|_| {
            tokio::spawn({
                let app = app.clone();
                async move { ask(&app, get("/")).await.body }
            })
        })
        .collect();
    settle().await;
    gate.add_permits(1);
    for waiter in many {
        assert_eq!(waiter.await.unwrap(), "0");
    }
    assert_eq!(handler.calls(), 1);
    // A service that was answered from the cache holds no permit, though it is kept.
    let mut kept = app.clone();
    kept.ready().await.unwrap().call(get("/")).await.unwrap();
    gate.add_permits(1);
    let other = ask(&app, get("/other"));
    assert_eq!(
        tokio::time::timeout(Duration::from_secs(5), other)
            .await
            .unwrap()
            .body,
        "1"
    );
}

#[tokio::test]
async fn c15_a_waiter_holds_no_permit_of_a_limit_inside() {
    let gate = Arc::new(Semaphore::new(0));
    let inside = gate.clone();
    let handler = Handler::new(move |request, call| {
        let gate = inside.clone();
        Box::pin(async move {
            if request.uri().path() == "/" {
                gate.acquire().await.unwrap().forget();
            }
            Ok(answer(FRESH, call.to_string()))
        })
    });
    let (layer, _) = CacheLayer::builder().build();
    let app = ServiceBuilder::new()
        .layer(layer)
        .layer(ConcurrencyLimitLayer::new(2))
        .service(handler.clone());
    let same: Vec<_> = (0..5)
        .map(|_| {
            let app = app.clone();
            tokio::spawn(async move { ask(&app, get("/")).await.body })
        })
        .collect();
    settle().await;
    // The leader has one of two permits; were a waiter to keep the other, this would wait for the gate.
    let other = ask(&app, get("/other"));
    let other = tokio::time::timeout(Duration::from_secs(5), other).await;
    assert_eq!(other.unwrap().body, "1");
    gate.add_permits(1);
    for one in same {
        assert_eq!(one.await.unwrap(), "0");
    }
}

#[tokio::test]
async fn c15_buffer_and_load_shed_inside_and_outside() {
    let handler = Handler::with(FRESH);
    let (layer, _) = CacheLayer::builder().build();
    let shed_inside = ServiceBuilder::new()
        .layer(layer.clone())
        .layer(LoadShedLayer::new())
        .layer(ConcurrencyLimitLayer::new(1))
        .service(handler.clone());
    ask_boxed(&shed_inside).await;
    let shed_outside = ServiceBuilder::new()
        .layer(LoadShedLayer::new())
        .layer(ConcurrencyLimitLayer::new(1))
        .layer(layer.clone())
        .service(handler.clone());
    ask_boxed(&shed_outside).await;
    let errors = handler
        .clone()
        .map_err(|error| -> tower::BoxError { error.into() });
    let buffer_inside = ServiceBuilder::new()
        .layer(layer.clone())
        .layer(BufferLayer::new(4))
        .service(errors.clone());
    ask_boxed(&buffer_inside).await;
    let buffer_outside = ServiceBuilder::new()
        .layer(BufferLayer::new(4))
        .layer(layer)
        .service(errors);
    ask_boxed(&buffer_outside).await;
    assert_eq!(
        handler.calls(),
        1,
        "one cache: only the very first request reached the handler"
    );
}

async fn ask_boxed<S, R>(service: &S)
where
    S: Service<http::Request<http_body_util::Full<bytes::Bytes>>, Response = http::Response<R>>
        + Clone,
    S::Error: std::fmt::Debug,
    R: http_body::Body<Data = bytes::Bytes>,
    R::Error: std::fmt::Debug,
{
    for _ in 0..3 {
        assert_eq!(ask(service, get("/")).await.body, "0");
    }
}

#[tokio::test]
async fn c16_a_purge_during_a_fill_keeps_the_old_value_out() {
    let (handler, gate) = gated(FRESH);
    let (app, handle) = cached(&handler, CacheLayer::builder());
    let slow = spawn_many(&app, 1).remove(0);
    settle().await;
    handle.purge(Purge::Path("/".into())).await.unwrap();
    // Joins the flight that began before the purge.
    let after = spawn_many(&app, 1).remove(0);
    settle().await;
    assert_eq!(handler.calls(), 1);
    gate.add_permits(1);
    assert_eq!(
        slow.await.unwrap().body,
        "0",
        "who asked before the purge may have the old value"
    );
    settle().await;
    assert_eq!(handler.calls(), 2, "who asked after it may not");
    gate.add_permits(1);
    assert_eq!(after.await.unwrap().body, "1");
    assert_eq!(
        ask(&app, get("/")).await.body,
        "1",
        "the old value never comes back"
    );
}

#[tokio::test]
async fn c16_a_purge_while_the_body_streams_keeps_the_old_value_out() {
    let (sender, body) = fed();
    let body = Mutex::new(Some(body));
    let handler = Handler::new(move |_, call| {
        let body = body
            .lock()
            .unwrap()
            .take()
            .unwrap_or_else(|| full(call.to_string()));
        ready(answer(FRESH, "").map(|_| body))
    });
    let (app, handle) = cached(&handler, CacheLayer::builder());
    let response = app.clone().oneshot(get("/")).await.unwrap();
    sender.send(data("old")).unwrap();
    handle.purge(Purge::All).await.unwrap();
    drop(sender);
    assert_eq!(
        response.into_body().collect().await.unwrap().to_bytes(),
        "old"
    );
    assert_eq!(ask(&app, get("/")).await.body, "1");
}

#[tokio::test]
async fn c19_a_leader_whose_client_stops_reading_stalls_nobody() {
    let (sender, body) = fed();
    let body = Mutex::new(Some(body));
    let handler = Handler::new(move |_, _| {
        ready(answer(FRESH, "").map(|_| body.lock().unwrap().take().unwrap()))
    });
    let app = simple(&handler);
    // The head is read, the body never.
    let held = app.clone().oneshot(get("/")).await.unwrap();
    let waiters = spawn_many(&app, 100);
    settle().await;
    sender.send(data("all of it")).unwrap();
    drop(sender);
    for waiter in waiters {
        assert_eq!(waiter.await.unwrap().body, "all of it");
    }
    assert_eq!(handler.calls(), 1);
    assert_eq!(read(held).await.body, "all of it");
}

#[tokio::test]
async fn c19_a_client_that_goes_away_in_mid_body_still_fills_the_cache() {
    let (sender, body) = fed();
    let body = Mutex::new(Some(body));
    let handler = Handler::new(move |_, _| {
        ready(answer(FRESH, "").map(|_| body.lock().unwrap().take().unwrap()))
    });
    let app = simple(&handler);
    drop(app.clone().oneshot(get("/")).await.unwrap());
    sender.send(data("whole")).unwrap();
    drop(sender);
    settle().await;
    assert_eq!(ask(&app, get("/")).await.body, "whole");
    assert_eq!(handler.calls(), 1);
}

#[tokio::test]
async fn c19_a_thousand_failing_fills_form_no_convoy() {
    let most = Arc::new(AtomicUsize::new(0));
    let gate = Arc::new(Semaphore::new(0));
    let (inside, seen) = (gate.clone(), most.clone());
    let handler = Handler::new(move |_, _| {
        let (gate, seen) = (inside.clone(), seen.clone());
        Box::pin(async move {
            seen.fetch_add(1, Ordering::SeqCst);
            gate.acquire().await.unwrap().forget();
            Err("down")
        })
    });
    let app = simple(&handler);
    let many: Vec<_> = (0..1_000)
        .map(|_| tokio::spawn(app.clone().oneshot(get("/"))))
        .collect();
    settle().await;
    gate.add_permits(1);
    settle().await;
    assert_eq!(
        most.load(Ordering::SeqCst),
        1_000,
        "after the first failure all run side by side"
    );
    gate.add_permits(999);
    for one in many {
        assert_eq!(
            one.await.unwrap().unwrap_err(),
            "down",
            "each has its own error"
        );
    }
}

#[tokio::test]
async fn a_panic_in_a_collected_body_reaches_its_client_and_nobody_else() {
    struct Panics(bool);
    impl http_body::Body for Panics {
        type Data = bytes::Bytes;
        type Error = BodyError;
        fn poll_frame(
            mut self: std::pin::Pin<&mut Self>,
            cx: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Result<http_body::Frame<bytes::Bytes>, BodyError>>> {
            if std::mem::replace(&mut self.0, true) {
                std::panic::resume_unwind(Box::new("body"));
            }
            cx.waker().wake_by_ref();
            std::task::Poll::Pending
        }
    }
    let handler = Handler::new(|_, call| {
        let body = if call == 0 {
            Panics(false).boxed_unsync()
        } else {
            full("fine")
        };
        ready(answer(FRESH, "").map(|_| body))
    });
    let (app, handle) = cached(&handler, CacheLayer::builder());
    let first = tokio::spawn({
        let app = app.clone();
        async move { ask(&app, get("/")).await }
    });
    assert!(first.await.unwrap_err().is_panic());
    assert_eq!(handle.stats().handler_panics, 1);
    assert_eq!(ask(&app, get("/")).await.body, "fine");
}

#[test]
fn a_runtime_that_ends_in_mid_fill_hands_the_body_over() {
    let (sender, body) = fed();
    let body = Mutex::new(Some(body));
    let handler = Handler::new(move |_, _| {
        ready(answer(FRESH, "").map(|_| body.lock().unwrap().take().unwrap()))
    });
    let app = simple(&handler);
    let first = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let response = first.block_on(app.clone().oneshot(get("/"))).unwrap();
    drop(first);
    sender.send(data("still whole")).unwrap();
    drop(sender);
    let second = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    assert_eq!(second.block_on(read(response)).body, "still whole");
}

#[test]
fn without_a_tokio_runtime_the_layer_still_answers() {
    let handler = Handler::with(FRESH);
    let app = simple(&handler);
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    for expected in ["pitcrew; fwd=uri-miss; stored", "pitcrew; hit; ttl=59"] {
        let mut answer = std::pin::pin!(ask(&app, get("/")));
        let std::task::Poll::Ready(seen) = answer.as_mut().poll(&mut cx) else {
            panic!("waits for nothing")
        };
        assert_eq!(seen.cache_status().replace("ttl=60", "ttl=59"), expected);
    }
}

/// A runtime may be built without timers, and what waits by them panics there.
#[test]
fn without_timers_the_layer_still_answers_and_nothing_panics() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let (sender, body) = fed();
    let body = Mutex::new(Some(body));
    let handler = Handler::new(move |request, call| match request.uri().path() {
        "/stream" => {
            let body = body.lock().unwrap().take().unwrap();
            ready(answer(FRESH, "").map(|_| body))
        }
        _ => ready(answer(FRESH, call.to_string())),
    });
    let builder = CacheLayer::builder();
    #[cfg(feature = "redis")]
    let builder = builder
        .redis(pitcrew::cache::RedisStore::connect("redis://127.0.0.1:1").unwrap())
        .read_your_writes(pitcrew::cache::ReadYourWrites::cookie("own"));
    let (app, handle) = cached(&handler, builder);
    runtime.block_on(async {
        let (one, two) = tokio::join!(ask(&app, get("/")), ask(&app, get("/")));
        assert_eq!((one.status, two.status), (StatusCode::OK, StatusCode::OK));
        assert!(ask(&app, get("/")).await.is_hit());
        let streaming = async {
            sender.send(data("a")).unwrap();
            tokio::task::yield_now().await;
            sender.send(data("b")).unwrap();
            drop(sender);
        };
        let (streamed, ()) = tokio::join!(ask(&app, get("/stream")), streaming);
        assert_eq!(streamed.body, "ab");
        let written = ask(&app, method("POST", "/", &[])).await;
        assert_eq!(written.status, StatusCode::OK);
        assert!(!ask(&app, get("/")).await.is_hit(), "it is old");
        let own = [("cookie", "own=1-38d7ea4c68000")];
        assert_eq!(ask(&app, get_with("/", &own)).await.status, StatusCode::OK);
        handle.purge(Purge::All).await.unwrap();
        assert!(!ask(&app, get("/")).await.is_hit(), "it is purged");
        handle.probe_l2().await;
        handle.shutdown(Duration::from_secs(1)).await;
    });
    assert_eq!(handle.stats().background_panics, 0);
}

#[tokio::test]
async fn two_caches_in_one_process_do_not_mix() {
    let (one, two) = (Handler::with(FRESH), Handler::with(FRESH));
    let (first, second) = (simple(&one), simple(&two));
    ask(&first, get("/")).await;
    assert!(!ask(&second, get("/")).await.is_hit());
    assert_eq!((one.calls(), two.calls()), (1, 1));
}

#[tokio::test]
async fn c17_one_layer_on_services_with_mounts_of_their_own() {
    let handler = Handler::with(FRESH);
    let one = CacheLayer::builder()
        .mount("v1")
        .build()
        .0
        .layer(handler.clone());
    let two = CacheLayer::builder()
        .mount("v2")
        .build()
        .0
        .layer(handler.clone());
    assert_eq!(ask(&one, get("/items")).await.body, "0");
    assert_eq!(ask(&two, get("/items")).await.body, "1");
}
