//! SECURITY C1 to C10, C13, C14: what is stored, for whom, under which key.

#![allow(clippy::unwrap_used)]

mod support;

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, UNIX_EPOCH},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, Full};
use pitcrew::{
    CacheLayer,
    cache::{Purge, Region},
    clock::Clock,
};
use support::*;
use tower::ServiceExt;

const FRESH: &[(&str, &str)] = &[("cache-control", "max-age=60")];
const PUBLIC: &[(&str, &str)] = &[("cache-control", "public, max-age=60")];

#[tokio::test]
async fn a_hit_calls_no_handler_and_says_its_age() {
    let handler = Handler::with(FRESH);
    let clock = Clock::manual();
    let (app, handle) = cached(&handler, CacheLayer::builder().clock(clock.clone()));
    let first = ask(&app, get("/a")).await;
    assert_eq!(first.cache_status(), "pitcrew; fwd=uri-miss; stored");
    clock.advance(Duration::from_secs(7));
    let second = ask(&app, get("/a")).await;
    assert_eq!(second.cache_status(), "pitcrew; hit; ttl=53");
    assert_eq!(second.headers["age"], "7");
    assert_eq!((second.body.as_str(), handler.calls()), ("0", 1));
    clock.advance(Duration::from_secs(53));
    let third = ask(&app, get("/a")).await;
    assert_eq!(
        (third.cache_status(), handler.calls()),
        ("pitcrew; fwd=stale; stored", 2)
    );
    let stats = handle.stats();
    assert_eq!(
        (stats.hits, stats.misses, stats.bypasses, stats.stores),
        (1, 2, 0, 2)
    );
    assert!((stats.hit_ratio - 1.0 / 3.0).abs() < 1e-9);
}

#[tokio::test]
async fn c1_an_authorised_answer_is_never_shared_unless_it_says_so() {
    let handler = Handler::with(FRESH);
    let app = simple(&handler);
    let alice = [("authorization", "Bearer alice")];
    let seen = ask(&app, get_with("/me", &alice)).await;
    assert_eq!(
        seen.cache_status(),
        "pitcrew; fwd=uri-miss; detail=authorization"
    );
    assert!(
        !ask(&app, get("/me")).await.is_hit(),
        "an anonymous request was given alice's answer"
    );
    assert!(
        !ask(&app, get_with("/me", &alice)).await.is_hit(),
        "alice was given an anonymous answer"
    );
    assert_eq!(handler.calls(), 3);

    for value in [
        "public, max-age=60",
        "s-maxage=60",
        "max-age=60, must-revalidate",
    ] {
        let handler = Handler::new(move |_, _| ready(answer(&[("cache-control", value)], "x")));
        let app = simple(&handler);
        ask(&app, get_with("/", &alice)).await;
        assert!(
            ask(&app, get_with("/", &[("authorization", "Bearer bob")]))
                .await
                .is_hit(),
            "{value}"
        );
    }
}

#[tokio::test]
async fn c1_a_request_with_a_cookie_uses_only_what_is_public() {
    let handler = Handler::with(FRESH);
    let app = simple(&handler);
    ask(&app, get("/")).await;
    let seen = ask(&app, get_with("/", &[("cookie", "id=1")])).await;
    assert_eq!(seen.cache_status(), "pitcrew; fwd=vary-miss; detail=cookie");
    assert!(ask(&app, get("/")).await.is_hit());

    let handler = Handler::with(PUBLIC);
    let app = simple(&handler);
    ask(&app, get_with("/", &[("cookie", "id=1")])).await;
    assert!(
        ask(&app, get_with("/", &[("cookie", "id=2")]))
            .await
            .is_hit()
    );
}

#[tokio::test]
async fn c2_set_cookie_is_neither_stored_nor_replayed() {
    let handler = Handler::with(&[
        ("cache-control", "public, max-age=60"),
        ("set-cookie", "id=1"),
    ]);
    let app = simple(&handler);
    let seen = ask(&app, get("/")).await;
    assert_eq!(
        seen.headers["set-cookie"], "id=1",
        "the one who asked gets it"
    );
    assert_eq!(
        seen.cache_status(),
        "pitcrew; fwd=uri-miss; detail=response-set-cookie"
    );
    assert!(!ask(&app, get("/")).await.is_hit());
    assert_eq!(handler.calls(), 2);
}

#[tokio::test]
async fn c3_vary_chooses_the_variant() {
    let handler = Handler::new(|request, _| {
        let language = request
            .headers()
            .get("accept-language")
            .map_or("none", |value| value.to_str().unwrap());
        let headers = [
            ("cache-control", "max-age=60"),
            ("vary", "Accept-Language, ACCEPT"),
        ];
        ready(answer(&headers, language.to_owned()))
    });
    let app = simple(&handler);
    for language in ["de", "en", "de", "en", "fr"] {
        assert_eq!(
            ask(&app, get_with("/", &[("accept-language", language)]))
                .await
                .body,
            language
        );
    }
    assert_eq!(ask(&app, get("/")).await.body, "none");
    assert_eq!(handler.calls(), 4);
    assert!(
        !ask(
            &app,
            get_with("/", &[("accept-language", "de"), ("accept", "x")])
        )
        .await
        .is_hit()
    );
}

#[tokio::test]
async fn c3_vary_star_is_never_stored_and_a_changed_vary_is_obeyed() {
    let handler = Handler::with(&[("cache-control", "max-age=60"), ("vary", "accept, *")]);
    let app = simple(&handler);
    ask(&app, get("/")).await;
    assert_eq!(
        ask(&app, get("/")).await.cache_status(),
        "pitcrew; fwd=uri-miss; detail=response-vary"
    );

    // The first answer varies on nothing, the second, made for another client, on `x-tenant`.
    let handler = Handler::new(|request, call| {
        let vary: &[(&str, &str)] = &[("cache-control", "max-age=60"), ("vary", "x-tenant")];
        let tenant = request
            .headers()
            .get("x-tenant")
            .map_or("", |value| value.to_str().unwrap());
        ready(answer(
            if call == 0 { &vary[..1] } else { vary },
            tenant.to_owned(),
        ))
    });
    let app = simple(&handler);
    ask(&app, get_with("/", &[("x-tenant", "a")])).await;
    ask(
        &app,
        get_with("/", &[("x-tenant", "b"), ("cache-control", "no-cache")]),
    )
    .await;
    assert_eq!(
        ask(&app, get_with("/", &[("x-tenant", "a")])).await.body,
        "a"
    );
    assert_eq!(
        ask(&app, get_with("/", &[("x-tenant", "b")])).await.body,
        "b"
    );
}

#[tokio::test]
async fn c4_directives_that_forbid_storing_are_obeyed() {
    for value in [
        "no-store, max-age=60",
        "private, max-age=60",
        "no-cache=\"\", max-age=60",
        "max-age=60, max-age=-1",
        "max-age=\"60",
        "max-age=0",
    ] {
        let handler = Handler::new(move |_, _| ready(answer(&[("cache-control", value)], "x")));
        let app = simple(&handler);
        ask(&app, get("/")).await;
        assert!(!ask(&app, get("/")).await.is_hit(), "{value}");
    }
}

#[tokio::test]
async fn c5_unkeyed_inputs_cannot_poison() {
    let handler = Handler::new(|request, _| {
        let host = request
            .headers()
            .get("x-forwarded-host")
            .map_or("app.example", |value| value.to_str().unwrap());
        ready(answer(PUBLIC, format!("https://{host}/")))
    });
    let app = simple(&handler);
    ask(&app, get_with("/", &[("x-forwarded-host", "evil.example")])).await;
    assert_eq!(ask(&app, get("/")).await.body, "https://app.example/");
    let long = "x".repeat(256);
    let refused = ask(&app, get_with("/", &[("x-forwarded-host", &long)])).await;
    assert_eq!(refused.cache_status(), "pitcrew; fwd=bypass; detail=key");
    for name in ["x-original-url", "x-rewrite-url", "x-http-method-override"] {
        let seen = ask(&app, get_with("/", &[(name, "/admin")])).await;
        assert_eq!(seen.cache_status(), "pitcrew; fwd=bypass; detail=rewrite");
    }
    let mut with_body = get("/");
    *with_body.body_mut() = Full::new(Bytes::from_static(b"q"));
    assert_eq!(
        ask(&app, with_body).await.cache_status(),
        "pitcrew; fwd=bypass; detail=request-body"
    );
}

#[tokio::test]
async fn c5_a_field_that_connection_names_poisons_nothing() {
    let app = simple(&Handler::with(&[("cache-control", "max-age=60")]));
    for named in [
        "close, Host",
        "Accept",
        "x-forwarded-host",
        "keep-alive,\u{e9}",
    ] {
        let mut request = get("/");
        let value = http::HeaderValue::from_bytes(named.as_bytes()).unwrap();
        request.headers_mut().insert("connection", value);
        let seen = ask(&app, request).await;
        assert_eq!(
            seen.cache_status(),
            "pitcrew; fwd=bypass; detail=rewrite",
            "{named}"
        );
    }
    ask(&app, get("/")).await;
    for own in ["keep-alive", "Close", "te, close", "Keep-Alive, Upgrade"] {
        assert!(
            ask(&app, get_with("/", &[("connection", own)]))
                .await
                .is_hit()
        );
    }
}

#[tokio::test]
async fn c5_whatever_a_proxy_may_say_of_itself_is_in_the_key() {
    let handler = Handler::new(|request, _| {
        let mut said: Vec<_> = request
            .headers()
            .iter()
            .map(|field| format!("{field:?}"))
            .collect();
        said.sort();
        ready(answer(PUBLIC, said.join("\n")))
    });
    let app = simple(&handler);
    let honest = ask(&app, get("/")).await.body;
    for name in [
        "X-Forwarded-Prefix",
        "X-Forwarded-Scheme",
        "X-Forwarded-Server",
        "X-Forwarded-Ssl",
        "X-Forwarded-Path",
        "X-Forwarded-Uri",
        "X-Host",
        "X-Original-Host",
        "X-HTTP-Host-Override",
        "X-Url-Scheme",
        "Front-End-Https",
    ] {
        let poisoned = ask(&app, get_with("/", &[(name, "evil.example")])).await;
        assert!(poisoned.body.contains("evil.example"), "{name}");
        let other = ask(&app, get_with("/", &[(name, "app.example")])).await;
        assert!(other.body.contains("app.example"), "{name}");
        let seen = ask(&app, get("/")).await;
        assert!(seen.is_hit(), "{name}");
        assert_eq!(seen.body, honest, "{name}");
    }
}

#[tokio::test]
async fn c6_no_extension_or_encoded_path_makes_a_private_answer_public() {
    let handler = Handler::with(&[("cache-control", "private, max-age=60")]);
    let app = simple(&handler);
    for path in ["/me/x.css", "/me%2fx.css", "/me;x.css", "/me/..%2fstatic"] {
        ask(&app, get(path)).await;
        assert!(!ask(&app, get(path)).await.is_hit(), "{path}");
    }
}

#[tokio::test]
async fn c7_targets_that_look_alike_have_their_own_answers() {
    let handler = Handler::new(|request, _| ready(answer(PUBLIC, request.uri().to_string())));
    let app = simple(&handler);
    let long = format!("/{}", "p".repeat(8_000));
    let targets = [
        "/",
        "/?",
        "/?a=1&b",
        "/?a=1%26b",
        "/?b&a=1",
        "/A",
        "/%41",
        "/a",
        "/a/",
        long.as_str(),
    ];
    for target in targets {
        ask(&app, get(target)).await;
    }
    for target in targets {
        let seen = ask(&app, get(target)).await;
        assert!(seen.is_hit(), "{target}");
        assert_eq!(seen.body, *target);
    }
    let other_host = Request::builder()
        .uri("/")
        .header("host", "other.example")
        .body(Full::default())
        .unwrap();
    assert!(!ask(&app, other_host).await.is_hit());
}

#[tokio::test]
async fn c8_provoked_errors_are_not_stored() {
    for status in [400, 404, 414, 431, 500, 503] {
        let handler = Handler::new(move |_, _| {
            let mut response = answer(PUBLIC, "oops");
            *response.status_mut() = StatusCode::from_u16(status).unwrap();
            ready(response)
        });
        let app = simple(&handler);
        ask(&app, get("/")).await;
        let seen = ask(&app, get("/")).await;
        assert_eq!(seen.status, status);
        assert_eq!(
            seen.cache_status(),
            "pitcrew; fwd=uri-miss; detail=response-status"
        );
        assert_eq!(handler.calls(), 2);
    }
}

#[tokio::test]
async fn c9_head_is_answered_from_get_and_never_the_other_way_round() {
    let handler = Handler::new(|request, _| {
        let body = if request.method() == "HEAD" {
            ""
        } else {
            "hello"
        };
        ready(answer(PUBLIC, body))
    });
    let app = simple(&handler);
    ask(&app, method("HEAD", "/", &[])).await;
    let seen = ask(&app, get("/")).await;
    assert_eq!(seen.body, "hello", "an answer to HEAD was given to GET");
    let seen = ask(&app, method("HEAD", "/", &[])).await;
    assert!(seen.is_hit() && seen.body.is_empty());
    assert_eq!(seen.headers["content-length"], "5");
    assert_eq!(handler.calls(), 2);
}

#[tokio::test]
async fn c9_content_encoding_is_kept_with_its_bytes() {
    let gzip: &[u8] = &[0x1f, 0x8b, 8, 0, 0xff];
    let headers: &[(&str, &str)] = &[
        ("cache-control", "max-age=60"),
        ("content-encoding", "gzip"),
        ("vary", "accept-encoding"),
    ];
    let handler = Handler::new(move |_, _| ready(answer(headers, gzip)));
    let app = simple(&handler);
    let accept = [("accept-encoding", "gzip")];
    ask(&app, get_with("/", &accept)).await;
    let hit = app.clone().oneshot(get_with("/", &accept)).await.unwrap();
    assert_eq!(hit.headers()["content-encoding"], "gzip");
    assert_eq!(hit.into_body().collect().await.unwrap().to_bytes(), gzip);
    assert!(
        !ask(&app, get("/")).await.is_hit(),
        "a client without gzip was given gzip"
    );
}

#[tokio::test]
async fn c9_upgrades_and_partial_answers_stay_out() {
    let handler = Handler::with(PUBLIC);
    let app = simple(&handler);
    let upgrade = [("upgrade", "websocket"), ("connection", "upgrade")];
    assert_eq!(
        ask(&app, get_with("/", &upgrade)).await.cache_status(),
        "pitcrew; fwd=bypass; detail=upgrade"
    );
    for status in [206, 304] {
        let handler = Handler::new(move |_, _| {
            let mut response = answer(PUBLIC, "x");
            *response.status_mut() = StatusCode::from_u16(status).unwrap();
            ready(response)
        });
        let app = simple(&handler);
        ask(&app, get("/")).await;
        assert!(!ask(&app, get("/")).await.is_hit());
    }
}

#[tokio::test]
async fn c9_a_body_that_fails_or_has_another_length_or_trailers_is_not_stored() {
    type Frames = fn() -> Vec<Result<Frame<Bytes>, BodyError>>;
    type Case = (
        &'static str,
        &'static [(&'static str, &'static str)],
        Frames,
    );
    let cases: [Case; 3] = [
        ("error", PUBLIC, || vec![data("half"), Err(BodyError)]),
        (
            "length",
            &[("cache-control", "max-age=60"), ("content-length", "9")],
            || vec![data("short")],
        ),
        ("trailers", PUBLIC, || {
            vec![data("all"), Ok(Frame::trailers(http::HeaderMap::new()))]
        }),
    ];
    for (name, headers, frames) in cases {
        for late in [false, true] {
            let handler = Handler::new(move |_, _| {
                let (sender, body) = fed();
                let send = move || {
                    frames()
                        .into_iter()
                        .for_each(|frame| drop(sender.send(frame)))
                };
                if late {
                    tokio::spawn(async move { send() });
                } else {
                    send();
                }
                ready(answer(headers, "").map(|_| body))
            });
            let (app, handle) = cached(&handler, CacheLayer::builder());
            for _ in 0..2 {
                let response = app.clone().oneshot(get("/")).await.unwrap();
                let collected = response.into_body().collect().await;
                match name {
                    "error" => assert_eq!(collected.unwrap_err(), BodyError),
                    "trailers" => assert!(collected.unwrap().trailers().is_some()),
                    _ => assert_eq!(collected.unwrap().to_bytes(), "short"),
                }
            }
            assert_eq!(
                (handler.calls(), handle.stats().stores),
                (2, 0),
                "{name}, late: {late}"
            );
            assert_eq!(handle.stats().fills_failed, 2);
        }
    }
}

#[tokio::test]
async fn c9_an_event_stream_flows_at_once_and_is_not_stored() {
    let (sender, body) = fed();
    let body = std::sync::Mutex::new(Some(body));
    let headers: &[(&str, &str)] = &[
        ("cache-control", "max-age=60"),
        ("content-type", "text/event-stream"),
    ];
    let handler = Handler::new(move |_, _| {
        ready(answer(headers, "").map(|_| body.lock().unwrap().take().unwrap()))
    });
    let app = simple(&handler);
    let mut response = app.clone().oneshot(get("/events")).await.unwrap();
    assert_eq!(
        response.headers()["cache-status"],
        "pitcrew; fwd=uri-miss; detail=response-stream"
    );
    for event in ["data: 1\n\n", "data: 2\n\n"] {
        sender.send(data(event)).unwrap();
        assert_eq!(
            response
                .body_mut()
                .frame()
                .await
                .unwrap()
                .unwrap()
                .into_data()
                .unwrap(),
            event
        );
    }
}

#[tokio::test]
async fn c9_a_stream_of_unknown_length_flows_while_it_is_collected() {
    let (sender, body) = fed();
    let body = std::sync::Mutex::new(Some(body));
    let handler = Handler::new(move |_, _| {
        ready(answer(FRESH, "").map(|_| body.lock().unwrap().take().unwrap()))
    });
    let (app, handle) = cached(&handler, CacheLayer::builder());
    let mut response = app.clone().oneshot(get("/")).await.unwrap();
    sender.send(data("one,")).unwrap();
    assert_eq!(
        response
            .body_mut()
            .frame()
            .await
            .unwrap()
            .unwrap()
            .into_data()
            .unwrap(),
        "one,"
    );
    assert_eq!(handle.stats().stores, 0, "stored before its end");
    sender.send(data("two")).unwrap();
    drop(sender);
    assert_eq!(
        response.into_body().collect().await.unwrap().to_bytes(),
        "two"
    );
    let hit = ask(&app, get("/")).await;
    assert!(hit.is_hit());
    assert_eq!(hit.body, "one,two");
}

#[tokio::test]
async fn c10_a_body_over_the_limit_streams_through_unstored() {
    let region = || Region::api().max_body_bytes(10);
    // Declared length: known at the head.
    let declared: &[(&str, &str)] = &[("cache-control", "max-age=60"), ("content-length", "26")];
    let handler = Handler::new(move |_, _| ready(answer(declared, "abcdefghijklmnopqrstuvwxyz")));
    let (app, handle) = cached(&handler, CacheLayer::builder().region(region()));
    for _ in 0..2 {
        let seen = ask(&app, get("/")).await;
        assert_eq!((seen.status, seen.body.len()), (StatusCode::OK, 26));
    }
    assert_eq!(handle.stats().bypass_reasons["response-too-large"], 2);
    // Unknown length, ready at once or not.
    for late in [false, true] {
        let handler = Handler::new(move |_, _| {
            let (sender, body) = fed();
            let send =
                move || ["abcdef", "ghijkl", "mnopqr"].map(|part| sender.send(data(part)).unwrap());
            if late {
                tokio::spawn(async move {
                    send();
                });
            } else {
                send();
            }
            ready(answer(FRESH, "").map(|_| body))
        });
        let (app, handle) = cached(&handler, CacheLayer::builder().region(region()));
        for _ in 0..2 {
            assert_eq!(
                ask(&app, get("/")).await.body,
                "abcdefghijklmnopqr",
                "late: {late}"
            );
        }
        assert_eq!((handle.stats().stores, handle.stats().l1.bytes), (0, 0));
    }
}

/// A body that makes its next part whenever it is asked twice, and counts what it made.
struct Made {
    left: usize,
    is_asked: bool,
    bytes: Arc<AtomicUsize>,
}

const PART: usize = 64 << 10;

impl http_body::Body for Made {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.is_asked = !self.is_asked;
        if self.is_asked {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if self.left == 0 {
            return Poll::Ready(None);
        }
        self.left -= 1;
        self.bytes.fetch_add(PART, Ordering::SeqCst);
        Poll::Ready(Some(Ok(Frame::data(vec![b'x'; PART].into()))))
    }
}

/// `MAX_UNREAD_BYTES` of the cache.
const MAX_UNREAD: usize = 64 << 20;

#[tokio::test]
async fn c10_clients_that_do_not_read_hold_a_bounded_number_of_bytes() {
    let made = Arc::new(AtomicUsize::new(0));
    let counter = made.clone();
    // Half of them are short, and whole before the bound is reached.
    let parts = |n: usize| if n.is_multiple_of(2) { 16 } else { 4 };
    let handler = Handler::new(move |_, call| {
        let body = Made {
            left: parts(call),
            is_asked: false,
            bytes: counter.clone(),
        };
        ready(
            Response::builder()
                .header("cache-control", "public, max-age=60")
                .body(body.boxed_unsync())
                .unwrap(),
        )
    });
    let region = Region::api().max_body_bytes(2 << 20);
    let (app, handle) = cached(
        &handler,
        CacheLayer::builder().capacity_bytes(1 << 30).region(region),
    );
    let mut unread = Vec::new();
    for n in 0..128 {
        unread.push(app.clone().oneshot(get(&format!("/{n}"))).await.unwrap());
    }
    // Until nothing is made any more.
    let mut before = usize::MAX;
    while before != made.load(Ordering::SeqCst) {
        before = made.load(Ordering::SeqCst);
        settle().await;
    }
    // Each goes on to the end of the part that it has begun.
    let bound = MAX_UNREAD + 128 * 2 * PART;
    assert!(
        (MAX_UNREAD..=bound).contains(&before),
        "{before} of {bound}"
    );
    for (n, response) in (0..).zip(unread) {
        assert_eq!(read(response).await.body.len(), parts(n) * PART);
    }
    // Those that were given up are not stored; and whoever comes now is stored again.
    let stored = handle.stats().stores;
    assert!((64..128).contains(&stored), "{stored}");
    ask(&app, get("/new")).await;
    assert!(ask(&app, get("/new")).await.is_hit());
}

#[tokio::test]
async fn c10_the_byte_bound_holds_under_many_keys() {
    let handler = Handler::new(|_, _| ready(answer(PUBLIC, vec![b'x'; 1_000])));
    let (app, handle) = cached(&handler, CacheLayer::builder().capacity_bytes(100_000));
    for n in 0..1_000 {
        ask(&app, get(&format!("/{n}"))).await;
        assert!(handle.stats().l1.bytes <= 100_000);
    }
    let l1 = handle.stats().l1;
    assert!(l1.evictions > 0 && l1.entries > 10, "{l1:?}");
}

#[tokio::test]
async fn c13_a_step_of_the_wall_clock_ages_nothing() {
    let handler = Handler::with(FRESH);
    let clock = Clock::manual();
    let (app, _) = cached(&handler, CacheLayer::builder().clock(clock.clone()));
    ask(&app, get("/")).await;
    for step in [86_400_000, -2 * 86_400_000] {
        clock.step_wall(step);
        let seen = ask(&app, get("/")).await;
        assert!(seen.is_hit());
        assert_eq!(seen.headers["age"], "0");
    }
}

/// RFC 9111, 4.2.3: the apparent age is counted from `Date` by the clock that others have, after its step too.
#[tokio::test]
async fn c13_a_date_is_read_by_the_wall_clock_as_it_stands() {
    let clock = Clock::manual();
    let wall = clock.clone();
    let handler = Handler::new(move |_, _| {
        let made = UNIX_EPOCH + Duration::from_millis(wall.unix_ms()) - Duration::from_secs(5);
        let date = httpdate::fmt_http_date(made);
        ready(answer(
            &[("cache-control", "max-age=60"), ("date", &date)],
            "x",
        ))
    });
    let (app, _) = cached(&handler, CacheLayer::builder().clock(clock.clone()));
    for (path, step) in [
        ("/before", 0),
        ("/later", 3_600_000),
        ("/earlier", -7_200_000),
    ] {
        clock.step_wall(step);
        ask(&app, get(path)).await;
        assert_eq!(ask(&app, get(path)).await.headers["age"], "5", "{path}");
    }
}

#[tokio::test]
async fn c13_an_age_from_upstream_counts() {
    let handler = Handler::with(&[("cache-control", "max-age=60"), ("age", "50")]);
    let clock = Clock::manual();
    let (app, _) = cached(&handler, CacheLayer::builder().clock(clock.clone()));
    ask(&app, get("/")).await;
    clock.advance(Duration::from_secs(9));
    assert_eq!(ask(&app, get("/")).await.headers["age"], "59");
    clock.advance(Duration::from_secs(1));
    assert!(!ask(&app, get("/")).await.is_hit());
}

#[tokio::test]
async fn c14_hop_by_hop_headers_are_not_replayed() {
    let handler = Handler::with(&[
        ("cache-control", "max-age=60"),
        ("connection", "x-secret-hop"),
        ("x-secret-hop", "1"),
        ("keep-alive", "timeout=5"),
        ("etag", "\"1\""),
    ]);
    let app = simple(&handler);
    ask(&app, get("/")).await;
    let hit = ask(&app, get("/")).await;
    assert!(hit.is_hit());
    for name in ["connection", "x-secret-hop", "keep-alive"] {
        assert!(!hit.headers.contains_key(name), "{name}");
    }
    assert_eq!(hit.headers["etag"], "\"1\"");
}

#[tokio::test]
async fn posts_pass_and_are_never_stored() {
    let handler = Handler::with(PUBLIC);
    let (app, handle) = cached(&handler, CacheLayer::builder());
    for _ in 0..2 {
        assert_eq!(
            ask(&app, method("POST", "/", &[])).await.cache_status(),
            "pitcrew; fwd=method"
        );
    }
    assert_eq!(handler.calls(), 2);
    assert_eq!(handle.stats().bypass_reasons["method"], 2);
}

#[tokio::test]
async fn the_clients_directives_are_honoured() {
    let handler = Handler::with(FRESH);
    let clock = Clock::manual();
    let (app, _) = cached(&handler, CacheLayer::builder().clock(clock.clone()));
    ask(&app, get("/")).await;
    clock.advance(Duration::from_secs(10));
    let with = |value: &'static str| {
        ask(
            &app,
            get_with("/", Box::leak(Box::new([("cache-control", value)]))),
        )
    };
    assert_eq!(
        with("no-store").await.cache_status(),
        "pitcrew; fwd=bypass; detail=request-no-store"
    );
    assert!(with("max-age=10").await.is_hit());
    assert!(
        !with("min-fresh=59").await.is_hit(),
        "the miss stored a new one, fresh for 60 s"
    );
    assert!(with("min-fresh=59").await.is_hit());
    let refreshed = with("no-cache").await;
    assert_eq!(refreshed.cache_status(), "pitcrew; fwd=request; stored");
    let hit = ask(&app, get("/")).await;
    assert_eq!(
        hit.body, refreshed.body,
        "a refresh replaces what was stored"
    );
}

#[tokio::test]
async fn regions_have_their_own_ttl_and_figures() {
    let handler = Handler::with(&[]);
    let builder = CacheLayer::builder()
        .region(Region::dashboard_data().ttl(Duration::from_secs(5)))
        .region_for(|parts| {
            parts
                .uri
                .path()
                .starts_with("/dash")
                .then_some("dashboard_data")
        });
    let (app, handle) = cached(&handler, builder);
    ask(&app, get("/dash")).await;
    assert!(ask(&app, get("/dash")).await.is_hit());
    ask(&app, get("/other")).await;
    assert!(!ask(&app, get("/other")).await.is_hit());
    let stats = handle.stats();
    let region = stats
        .regions
        .iter()
        .find(|region| region.name == "dashboard_data")
        .unwrap();
    let figures = &region.figures;
    assert_eq!((figures.hits, figures.misses, figures.stores), (1, 1, 1));
    assert!(
        serde_json::to_string(&stats)
            .unwrap()
            .contains("\"hit_ratio\":0.5")
    );
}

#[tokio::test]
async fn purges_by_path_key_prefix_pattern_tag_region_and_all() {
    let handler = Handler::new(|request, call| {
        if request.uri().path() == "/tagged" {
            assert!(pitcrew::cache::tag("orders"));
        }
        let headers = [
            ("cache-control", "max-age=60"),
            ("x-cache-tags", "parts, suppliers"),
        ];
        ready(answer(&headers, call.to_string()))
    });
    let (app, handle) = cached(&handler, CacheLayer::builder());
    let cases = [
        ("/p?x=1", Purge::Path("/p".into())),
        ("/key?x=1", Purge::Key("/key?x=1".into())),
        ("/prefix/1?x", Purge::Prefix("/prefix/".into())),
        ("/pattern/1.png", Purge::Pattern("/*/?.png".into())),
        ("/tagged", Purge::Tag("orders".into())),
        ("/header", Purge::Tag("suppliers".into())),
        ("/region", Purge::Region("api".into())),
        ("/all", Purge::All),
    ];
    for (path, purge) in &cases {
        let (path, purge) = (*path, purge.clone());
        let first = ask(&app, get(path)).await;
        assert!(
            !first.headers.contains_key("x-cache-tags"),
            "the tags header is stripped"
        );
        assert!(ask(&app, get(path)).await.is_hit());
        let report = serde_json::to_value(handle.purge(purge.clone()).await.unwrap()).unwrap();
        assert_eq!(report, serde_json::json!({"local": "done", "l2": "off"}));
        assert_eq!(
            ask(&app, get(path)).await.cache_status(),
            "pitcrew; fwd=stale; stored",
            "{purge:?}"
        );
        assert!(ask(&app, get(path)).await.is_hit());
    }
    assert_eq!(handle.stats().purges, cases.len() as u64);
    for other in [
        Purge::Tag("nobody".into()),
        Purge::Key("/all?".into()),
        Purge::Prefix("/all/".into()),
        Purge::Pattern("/al".into()),
    ] {
        handle.purge(other.clone()).await.unwrap();
        assert!(ask(&app, get("/all")).await.is_hit(), "{other:?}");
    }
}
