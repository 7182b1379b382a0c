//! POSTs and QUERYs that change nothing, cached with their content in the key.

#![allow(clippy::unwrap_used)]

mod support;

use std::{
    collections::VecDeque,
    future::Future,
    pin::{Pin, pin},
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, Full};
use pitcrew::{
    CacheHandle, CacheLayer,
    cache::{
        BodyKey, CacheBuilder, DEFAULT_BODY_IN_KEY_BYTES, MAX_BODY_IN_KEY_BYTES, Purge, Region,
        RequestBody,
    },
};
use support::{Body, BodyError, Seen, answer, data, fed, full, read, settle};
use tokio::sync::Semaphore;
use tower::{Layer, Service, ServiceExt};

const FRESH: &[(&str, &str)] = &[("cache-control", "max-age=60")];

/// What reached the handler.
#[derive(Debug, Default, PartialEq)]
struct Got {
    content: String,
    trailers: Option<HeaderMap>,
    failed: bool,
    headers: HeaderMap,
}

/// Reads the request to its end, as far as it goes, and answers `CALL METHOD CONTENT`.
#[derive(Clone)]
struct Handler {
    got: Arc<Mutex<Vec<Got>>>,
    headers: &'static [(&'static str, &'static str)],
    /// One permit lets one answer go.
    gate: Arc<Semaphore>,
}

impl Handler {
    fn with(headers: &'static [(&'static str, &'static str)]) -> Self {
        Self {
            got: Arc::default(),
            headers,
            gate: Arc::new(Semaphore::new(Semaphore::MAX_PERMITS)),
        }
    }

    fn fresh() -> Self {
        Self::with(FRESH)
    }

    fn calls(&self) -> usize {
        self.got.lock().unwrap().len()
    }

    fn last(&self) -> Got {
        self.got.lock().unwrap().pop().unwrap()
    }
}

impl Service<Request<RequestBody<Body>>> for Handler {
    type Response = Response<Body>;
    type Error = &'static str;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, &'static str>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), &'static str>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<RequestBody<Body>>) -> Self::Future {
        let handler = self.clone();
        Box::pin(async move {
            let (parts, mut body) = request.into_parts();
            let mut got = Got {
                headers: parts.headers,
                ..Got::default()
            };
            while let Some(frame) = body.frame().await {
                match frame.map(Frame::into_data) {
                    Ok(Ok(data)) => got.content += std::str::from_utf8(&data).unwrap(),
                    Ok(Err(frame)) => got.trailers = frame.into_trailers().ok(),
                    Err(BodyError) => got.failed = true,
                }
            }
            let said = format!("{} {}", parts.method, got.content);
            let call = {
                let mut all = handler.got.lock().unwrap();
                all.push(got);
                all.len()
            };
            handler.gate.acquire().await.unwrap().forget();
            Ok(answer(handler.headers, format!("{call} {said}")))
        })
    }
}

type App = BodyKey<Handler>;

/// `/search` and below it is a region of safe POSTs, with at most 10 bytes of content.
fn builder() -> CacheBuilder {
    with_region(|region| region)
}

fn with_region(more: impl FnOnce(Region) -> Region) -> CacheBuilder {
    CacheLayer::builder()
        .region(more(Region::new("searches").body_in_key(10)))
        .region_for(|request| {
            let path = request.uri.path();
            path.starts_with("/search").then_some("searches")
        })
}

fn app(handler: &Handler, builder: CacheBuilder) -> (App, CacheHandle) {
    let (layer, handle) = builder.build();
    (layer.with_body_keys().layer(handler.clone()), handle)
}

fn request(method: &str, uri: &str, headers: &[(&str, &str)], body: Body) -> Request<Body> {
    let request = support::method(method, uri, headers);
    request.map(|_| body)
}

async fn ask_in(app: App, body: Body) -> Seen {
    ask(&app, request("POST", "/search", &[], body)).await
}

fn post(uri: &str, content: &'static str) -> Request<Body> {
    request("POST", uri, &[], full(content))
}

fn post_with(headers: &[(&str, &str)], content: &'static str) -> Request<Body> {
    request("POST", "/search", headers, full(content))
}

fn get(uri: &str) -> Request<Body> {
    request("GET", uri, &[], full(""))
}

async fn ask(app: &App, request: Request<Body>) -> Seen {
    read(app.clone().oneshot(request).await.unwrap()).await
}

/// A body of these frames, all there at once.
fn frames(frames: impl IntoIterator<Item = Result<Frame<Bytes>, BodyError>>) -> Body {
    struct Frames(VecDeque<Result<Frame<Bytes>, BodyError>>);
    impl http_body::Body for Frames {
        type Data = Bytes;
        type Error = BodyError;
        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
            Poll::Ready(self.0.pop_front())
        }
    }
    Frames(frames.into_iter().collect()).boxed_unsync()
}

fn trailers() -> Frame<Bytes> {
    let mut trailers = HeaderMap::new();
    trailers.insert("x-checksum", "1".parse().unwrap());
    Frame::trailers(trailers)
}

// What is one key, and what is not

#[tokio::test]
async fn two_contents_have_two_answers_and_the_same_content_is_one_call() {
    let handler = Handler::fresh();
    let (app, handle) = app(&handler, builder());
    for method in ["POST", "QUERY"] {
        let ask = async |content| {
            let body = full(content);
            self::ask(&app, request(method, "/search", &[], body)).await
        };
        let calls = handler.calls();
        let first = ask("one").await;
        assert_eq!(first.cache_status(), "pitcrew; fwd=uri-miss; stored");
        assert_eq!(first.body, format!("{} {method} one", calls + 1));
        assert_eq!(ask("two").await.body, format!("{} {method} two", calls + 2));
        for _ in 0..3 {
            let again = ask("one").await;
            assert!(again.is_hit() && again.body == first.body, "{again:?}");
            assert_eq!(again.headers["age"], "0");
        }
        assert_eq!(handler.calls(), calls + 2);
    }
    // None is content too.
    assert!(!ask(&app, post("/search", "")).await.is_hit());
    assert!(ask(&app, post("/search", "")).await.is_hit());
    assert_eq!(handle.stats().hits, 7);
}

#[tokio::test]
async fn the_handler_gets_what_was_read() {
    let handler = Handler::fresh();
    let (app, _) = app(&handler, builder());
    let pieces = frames([data("ab"), data(""), data("cd")]);
    ask(&app, request("POST", "/search", &[], pieces)).await;
    let got = handler.last();
    assert_eq!((got.content.as_str(), got.failed), ("abcd", false));
}

#[tokio::test]
async fn content_in_pieces_is_the_same_content() {
    let handler = Handler::fresh();
    let (app, _) = app(&handler, builder());
    ask(&app, post("/search", "abcd")).await;
    for pieces in [["abcd", ""], ["a", "bcd"], ["", "abcd"]] {
        let (feed, body) = fed();
        let chunked = [("transfer-encoding", "chunked")];
        let asking = ask(&app, request("POST", "/search", &chunked, body));
        let feeding = async {
            for piece in pieces {
                settle().await;
                feed.send(data(piece)).unwrap();
            }
            drop(feed);
        };
        let (seen, ()) = tokio::join!(asking, feeding);
        assert!(seen.is_hit(), "{pieces:?}: {seen:?}");
    }
    assert_eq!(handler.calls(), 1);
}

#[tokio::test]
async fn fields_that_describe_the_content_tell_requests_apart() {
    let handler = Handler::fresh();
    let (app, _) = app(&handler, builder());
    let described: &[&[(&str, &str)]] = &[
        &[],
        &[("content-type", "application/json")],
        &[("content-type", "application/graphql")],
        &[("content-encoding", "gzip")],
        &[("content-encoding", "br")],
        &[("content-type", "gzip")],
        &[("content-encoding", "gzip"), ("content-encoding", "br")],
        &[("content-encoding", "gzipbr")],
        &[("content-language", "de")],
        &[("content-range", "bytes 0-1/9")],
        &[("content-location", "/x")],
    ];
    for headers in described {
        assert!(!ask(&app, post_with(headers, "x")).await.is_hit());
    }
    for headers in described {
        assert!(
            ask(&app, post_with(headers, "x")).await.is_hit(),
            "{headers:?}"
        );
    }
    // How content is framed says nothing of it.
    assert!(
        ask(&app, post_with(&[("content-length", "1")], "x"))
            .await
            .is_hit()
    );
    assert_eq!(handler.calls(), described.len());
}

/// The fields of a key in one another's places, and bytes that could stand for an end, a length or a mark.
#[tokio::test]
async fn content_that_pretends_to_be_another_field_of_the_key_is_content() {
    let handler = Handler::fresh();
    let (app, _) = app(&handler, builder());
    let ask = async |uri, kind: &str, content| {
        let headers = [("content-type", kind)];
        let headers = if kind.is_empty() { &[][..] } else { &headers };
        self::ask(&app, request("POST", uri, headers, full(content))).await
    };
    let alike = [
        ("/search", "", "ab"),
        ("/search", "a", "b"),
        ("/search", "ab", ""),
        ("/searcha", "", "b"),
        ("/searchab", "", ""),
        ("/search?ab", "", ""),
        ("/search?", "", "ab"),
        ("/search", "", "\0\0\0\0ab"),
        ("/search", "", "p"),
        ("/search", "", "\x02\0\0\0ab"),
        ("/search", "", "c\x04\0\0\0P"),
    ];
    for (uri, kind, content) in alike {
        let seen = ask(uri, kind, content).await;
        assert!(!seen.is_hit(), "{uri} {kind} {content:?}");
    }
    for (uri, kind, content) in alike {
        let seen = ask(uri, kind, content).await;
        assert!(seen.is_hit() && seen.body.ends_with(content), "{seen:?}");
    }
}

#[tokio::test]
async fn methods_are_never_each_others_answers() {
    let handler = Handler::fresh();
    let (app, _) = app(&handler, builder());
    for _ in 0..2 {
        for method in ["GET", "POST", "QUERY"] {
            let seen = ask(&app, request(method, "/search", &[], full(""))).await;
            assert_eq!(seen.body.split(' ').nth(1), Some(method));
        }
    }
    assert_eq!(handler.calls(), 3);
    let head = ask(&app, request("HEAD", "/search", &[], full(""))).await;
    assert!(head.is_hit() && head.body.is_empty(), "that of the GET");
}

#[tokio::test]
async fn a_get_with_content_is_no_request_of_such_a_region() {
    let handler = Handler::fresh();
    let (app, _) = app(&handler, builder());
    for _ in 0..2 {
        let seen = ask(&app, request("GET", "/search", &[], full("x"))).await;
        assert_eq!(
            seen.cache_status(),
            "pitcrew; fwd=bypass; detail=request-body"
        );
    }
    assert_eq!(handler.calls(), 2);
}

// Many at once, later, and in the background

#[tokio::test]
async fn the_same_content_at_once_is_one_call() {
    let mut handler = Handler::fresh();
    handler.gate = Arc::new(Semaphore::new(0));
    let (app, handle) = app(&handler, builder());
    let asking: Vec<_> = (0..100)
        .map(|n| {
            let app = app.clone();
            let content = if n % 2 == 0 { "even" } else { "odd" };
            tokio::spawn(async move { (content, ask(&app, post("/search", content)).await) })
        })
        .collect();
    settle().await;
    handler.gate.add_permits(2);
    for asking in asking {
        let (content, seen) = asking.await.unwrap();
        assert!(seen.body.ends_with(content), "{seen:?} to {content}");
    }
    assert_eq!(handler.calls(), 2);
    assert_eq!(handle.stats().coalesced, 98);
}

#[tokio::test]
async fn a_fetch_in_the_background_sends_the_content_again_and_no_condition() {
    let clock = pitcrew::clock::Clock::manual();
    let handler = Handler::with(&[
        ("cache-control", "max-age=10, stale-while-revalidate=60"),
        ("etag", "\"a\""),
    ]);
    let (app, _) = app(&handler, builder().clock(clock.clone()));
    let first = ask(&app, post("/search", "x")).await.body;
    clock.advance(Duration::from_secs(20));
    let stale = ask(&app, post("/search", "x")).await;
    assert!(stale.cache_status().contains("stale-while-revalidate"));
    assert_eq!(stale.body, first);
    settle().await;
    let renewed = ask(&app, post("/search", "x")).await;
    assert_eq!(
        (renewed.is_hit(), renewed.body.as_str()),
        (true, "2 POST x")
    );
    let got = handler.last();
    assert_eq!(got.content, "x");
    assert!(!got.headers.contains_key("if-none-match"), "{got:?}");
}

#[tokio::test]
async fn the_truth_sampler_sends_the_content_again() {
    let handler = Handler::fresh();
    let (app, handle) = app(&handler, builder().sample_truth(1.0));
    for _ in 0..2 {
        ask(&app, post("/search", "x")).await;
    }
    settle().await;
    assert_eq!(handler.calls(), 2);
    assert_eq!(handler.last().content, "x");
    assert_eq!(handle.stats().truth.unwrap().inconclusive, 0);
}

// What changes, and what does not

#[tokio::test]
async fn a_safe_post_makes_nothing_old_and_other_unsafe_requests_do() {
    let handler = Handler::fresh();
    let (app, handle) = app(&handler, builder());
    let is_stored = async |request| ask(&app, request).await.is_hit();
    ask(&app, get("/search")).await;
    for content in ["x", "more than ten bytes"] {
        ask(&app, post("/search", content)).await;
        assert!(is_stored(get("/search")).await, "{content}");
    }
    assert!(is_stored(post("/search", "x")).await);
    assert_eq!(handle.stats().invalidations, 0);
    // Another method, and one that says it means another method.
    let overriding = [("x-http-method-override", "DELETE")];
    for change in [
        request("PUT", "/search", &[], full("x")),
        post_with(&overriding, "x"),
    ] {
        assert!(is_stored(get("/search")).await && is_stored(post("/search", "x")).await);
        ask(&app, change).await;
        assert!(!is_stored(get("/search")).await);
        assert!(!is_stored(post("/search", "x")).await);
    }
}

#[tokio::test]
async fn a_post_of_another_region_is_as_it_was() {
    let handler = Handler::fresh();
    let (app, handle) = app(&handler, builder());
    for _ in 0..2 {
        assert!(!ask(&app, get("/orders")).await.is_hit());
        assert!(ask(&app, get("/orders")).await.is_hit());
        for method in ["POST", "QUERY"] {
            let seen = ask(&app, request(method, "/orders", &[], full("x"))).await;
            assert_eq!(seen.cache_status(), "pitcrew; fwd=method");
        }
    }
    assert_eq!(handler.calls(), 6);
    assert_eq!(handle.stats().invalidations, 2, "a QUERY changes nothing");
}

#[tokio::test]
async fn purges_reach_every_content_of_a_target() {
    let handler = Handler::with(&[("cache-control", "max-age=60"), ("x-cache-tags", "found")]);
    let (app, handle) = app(&handler, builder());
    for purge in [
        Purge::Path("/search/a".into()),
        Purge::Key("/search/a?q".into()),
        Purge::Prefix("/search".into()),
        Purge::Pattern("/*/a?q".into()),
        Purge::Tag("found".into()),
        Purge::Region("searches".into()),
        Purge::All,
    ] {
        for content in ["one", "two"] {
            ask(&app, post("/search/a?q", content)).await;
            assert!(ask(&app, post("/search/a?q", content)).await.is_hit());
        }
        handle.purge(purge.clone()).await.unwrap();
        for content in ["one", "two"] {
            let seen = ask(&app, post("/search/a?q", content)).await;
            assert_eq!(
                seen.cache_status(),
                "pitcrew; fwd=stale; stored",
                "{purge:?}"
            );
        }
    }
    ask(&app, post("/search/a", "one")).await;
    handle.purge(Purge::Path("/search/b".into())).await.unwrap();
    assert!(ask(&app, post("/search/a", "one")).await.is_hit());
}

// What cannot be in a key

/// Asks twice, and says how it went; both times the handler must have got the same.
async fn twice(app: &App, handler: &Handler, ask: impl Fn() -> Request<Body>) -> (String, Got) {
    let one = self::ask(app, ask()).await;
    let first = handler.last();
    let two = self::ask(app, ask()).await;
    let second = handler.last();
    assert_eq!(first, second);
    assert_eq!(one.cache_status(), two.cache_status());
    (one.cache_status().to_owned(), first)
}

const TOO_LARGE: &str = "pitcrew; fwd=bypass; detail=request-too-large";
const UNREAD: &str = "pitcrew; fwd=bypass; detail=request-body";

#[tokio::test]
async fn content_past_the_bound_passes_byte_for_byte() {
    let handler = Handler::fresh();
    let (app, handle) = app(&handler, builder());
    ask(&app, post("/search", "ten bytes.")).await;
    assert!(ask(&app, post("/search", "ten bytes.")).await.is_hit());
    handler.last();
    // Its length known before, in one piece, and found out at the third of four.
    let (status, got) = twice(&app, &handler, || post("/search", "eleven byte")).await;
    assert_eq!(
        (status.as_str(), got.content.as_str()),
        (TOO_LARGE, "eleven byte")
    );
    let long = || frames([data("1234"), data("567890"), data("1"), data("234")]);
    let (status, got) = twice(&app, &handler, || request("POST", "/search", &[], long())).await;
    assert_eq!(
        (status.as_str(), got.content.as_str()),
        (TOO_LARGE, "12345678901234")
    );
    assert!(!got.failed && got.trailers.is_none());
    let reasons = handle.stats().bypass_reasons;
    assert_eq!(reasons["request-too-large"], 4, "{reasons:?}");
}

#[tokio::test]
async fn content_in_too_many_pieces_passes() {
    let handler = Handler::fresh();
    let (app, _) = app(&handler, builder());
    let empty = |count| frames((0..count).map(|_| data("")).chain([data("x")]));
    let (status, got) = twice(&app, &handler, || {
        request("POST", "/search", &[], empty(5_000))
    })
    .await;
    assert_eq!((status.as_str(), got.content.as_str()), (TOO_LARGE, "x"));
    let seen = ask(&app, request("POST", "/search", &[], empty(1_023))).await;
    assert_eq!(seen.cache_status(), "pitcrew; fwd=uri-miss; stored");
}

#[tokio::test]
async fn content_that_fails_passes_with_its_error() {
    let handler = Handler::fresh();
    let (app, _) = app(&handler, builder());
    ask(&app, post("/search", "abc")).await;
    handler.last();
    let failing = || frames([data("a"), data("bc"), Err(BodyError)]);
    let (status, got) = twice(&app, &handler, || {
        request("POST", "/search", &[], failing())
    })
    .await;
    assert_eq!((status.as_str(), got.content.as_str()), (UNREAD, "abc"));
    assert!(got.failed);
}

#[tokio::test]
async fn trailers_pass() {
    let handler = Handler::fresh();
    let (app, _) = app(&handler, builder());
    ask(&app, post("/search", "abc")).await;
    handler.last();
    let with_trailers = || frames([data("abc"), Ok(trailers())]);
    let (status, got) = twice(&app, &handler, || {
        request("POST", "/search", &[], with_trailers())
    })
    .await;
    assert_eq!((status.as_str(), got.content.as_str()), (UNREAD, "abc"));
    assert_eq!(got.trailers.unwrap()["x-checksum"], "1");
}

#[tokio::test]
async fn a_length_that_lies_passes() {
    let handler = Handler::fresh();
    let (app, _) = app(&handler, builder());
    ask(&app, post("/search", "abc")).await;
    handler.last();
    for lie in ["2", "4", "99999999999999999999", "03", "3, 3", "x", ""] {
        let headers = [("content-length", lie)];
        let (status, got) = twice(&app, &handler, || post_with(&headers, "abc")).await;
        assert_eq!(
            (status.as_str(), got.content.as_str()),
            (UNREAD, "abc"),
            "{lie}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn content_that_does_not_come_in_time_passes_and_holds_no_permit_meanwhile() {
    let handler = Handler::fresh();
    let (layer, _) = builder().wait_deadline(Duration::from_secs(2)).build();
    let limited = tower::ServiceBuilder::new()
        .layer(layer.with_body_keys())
        .concurrency_limit(1)
        .service(handler.clone());
    let begun = tokio::time::Instant::now();
    let (feed, body) = fed();
    feed.send(data("ab")).unwrap();
    let slow = tokio::spawn({
        let app = limited.clone();
        async move {
            let request = request("POST", "/search", &[], body);
            read(app.oneshot(request).await.unwrap()).await
        }
    });
    settle().await;
    // The only permit is free, though the slow one was ready first.
    let other = limited.clone().oneshot(post("/search", "x"));
    let other = tokio::time::timeout(Duration::from_secs(1), other).await;
    assert_eq!(read(other.unwrap().unwrap()).await.body, "1 POST x");
    assert_eq!(begun.elapsed(), Duration::ZERO);
    tokio::time::advance(Duration::from_secs(2)).await;
    settle().await;
    feed.send(data("cd")).unwrap();
    drop(feed);
    let seen = slow.await.unwrap();
    assert_eq!(
        seen.cache_status(),
        "pitcrew; fwd=bypass; detail=request-timeout"
    );
    assert_eq!(seen.body, "2 POST abcd");
}

#[tokio::test]
async fn c10_content_that_is_waited_for_is_bounded_for_all_together() {
    let handler = Handler::fresh();
    let region = |region: Region| region.body_in_key(1 << 20);
    let (app, handle) = app(&handler, with_region(region));
    // Their length is not known, so each may come to 1 MiB.
    let mut waiting = Vec::new();
    for _ in 0..64 {
        let (feed, body) = fed();
        waiting.push((feed, tokio::spawn(ask_in(app.clone(), body))));
    }
    settle().await;
    assert_eq!(handler.calls(), 0, "all wait for their content");
    let (feed, body) = fed();
    feed.send(data("ab")).unwrap();
    let more = tokio::spawn(ask_in(app.clone(), body));
    settle().await;
    feed.send(data("cd")).unwrap();
    drop(feed);
    let seen = more.await.unwrap();
    let wanted = "pitcrew; fwd=bypass; detail=request-backlog";
    assert_eq!(
        (seen.cache_status(), seen.body.as_str()),
        (wanted, "1 POST abcd")
    );
    assert_eq!(handle.stats().bypass_reasons["request-backlog"], 1);
    // What is there at once waits for nothing.
    let seen = ask(&app, post("/search", "x")).await;
    assert!(seen.cache_status().ends_with("stored"), "{seen:?}");
    // One that ends, and one that is given up, make room for two more.
    let (feed, ended) = waiting.pop().unwrap();
    drop(feed);
    ended.await.unwrap();
    let (_feed, given_up) = waiting.pop().unwrap();
    given_up.abort();
    assert!(given_up.await.is_err());
    for _ in 0..2 {
        let (feed, body) = fed();
        waiting.push((feed, tokio::spawn(ask_in(app.clone(), body))));
    }
    settle().await;
    for (feed, asking) in waiting {
        drop(feed);
        let seen = asking.await.unwrap();
        assert!(!seen.cache_status().contains("bypass"), "{seen:?}");
    }
}

#[test]
fn without_a_runtime_nothing_is_waited_for() {
    let handler = Handler::fresh();
    let (app, handle) = app(&handler, builder());
    let mut cx = Context::from_waker(Waker::noop());
    // What is there at once is cached all the same.
    for _ in 0..2 {
        let asking = pin!(ask(&app, post("/search", "x")));
        assert!(asking.poll(&mut cx).is_ready());
    }
    assert_eq!((handler.calls(), handle.stats().hits), (1, 1));
    let (feed, body) = fed();
    let mut asking = pin!(ask(&app, request("POST", "/search", &[], body)));
    assert!(asking.as_mut().poll(&mut cx).is_pending());
    feed.send(data("x")).unwrap();
    drop(feed);
    let Poll::Ready(seen) = asking.poll(&mut cx) else {
        panic!("the handler reads it")
    };
    assert!(seen.cache_status().contains("request-timeout"), "{seen:?}");
}

#[tokio::test]
async fn a_client_that_hangs_up_before_its_content_is_whole_calls_nobody() {
    let handler = Handler::fresh();
    let (app, _) = app(&handler, builder());
    let (feed, body) = fed();
    feed.send(data("x")).unwrap();
    {
        let mut asking = pin!(ask(&app, request("POST", "/search", &[], body)));
        assert!(
            asking
                .as_mut()
                .poll(&mut Context::from_waker(Waker::noop()))
                .is_pending()
        );
    }
    assert!(feed.is_closed(), "its body is given up too");
    assert_eq!(handler.calls(), 0);
}

#[tokio::test]
async fn a_region_takes_no_more_than_a_megabyte_into_a_key() {
    let handler = Handler::fresh();
    let region = |max| CacheLayer::builder().region(Region::api().body_in_key(max));
    let (app, _) = app(&handler, region(usize::MAX));
    let long = |length| {
        let body = Full::new(Bytes::from(vec![b'x'; length]));
        let body = body.map_err(|never| match never {}).boxed_unsync();
        request("POST", "/", &[], body)
    };
    let seen = ask(&app, long(MAX_BODY_IN_KEY_BYTES + 1)).await;
    assert_eq!(seen.cache_status(), TOO_LARGE);
    let region = region(DEFAULT_BODY_IN_KEY_BYTES);
    let (app, _) = self::app(&handler, region);
    for is_hit in [false, true] {
        let seen = ask(&app, long(DEFAULT_BODY_IN_KEY_BYTES)).await;
        assert_eq!(seen.is_hit(), is_hit);
    }
    let seen = ask(&app, long(DEFAULT_BODY_IN_KEY_BYTES + 1)).await;
    assert_eq!(seen.cache_status(), TOO_LARGE);
}

/// The size of the store counts keys: contents cannot outgrow it.
#[tokio::test]
async fn the_capacity_holds_whatever_is_asked_for() {
    let handler = Handler::fresh();
    let region = Region::api().body_in_key(DEFAULT_BODY_IN_KEY_BYTES);
    let capacity = 1 << 20;
    let (app, handle) = app(
        &handler,
        CacheLayer::builder()
            .region(region)
            .capacity_bytes(capacity),
    );
    for n in 0..100_u8 {
        let body = Full::new(Bytes::from(vec![b'0' + n % 64; 60_000 + usize::from(n)]));
        let body = body.map_err(|never| match never {}).boxed_unsync();
        ask(&app, request("POST", "/", &[], body)).await;
    }
    let level = handle.stats().l1;
    assert!(level.bytes <= capacity && level.entries > 0, "{level:?}");
}

// The rules of a GET

#[tokio::test]
async fn credentials_and_cookies_are_shared_as_for_a_get() {
    for (control, name, is_shared) in [
        ("max-age=60", "authorization", false),
        ("max-age=60", "cookie", false),
        ("public, max-age=60", "authorization", true),
        ("public, max-age=60", "cookie", true),
    ] {
        let control: &'static [(&str, &str)] = if control.starts_with("public") {
            &[("cache-control", "public, max-age=60")]
        } else {
            FRESH
        };
        let handler = Handler::with(control);
        let (app, _) = app(&handler, builder());
        ask(&app, post_with(&[(name, "one")], "x")).await;
        let seen = ask(&app, post_with(&[(name, "two")], "x")).await;
        assert_eq!(seen.is_hit(), is_shared, "{control:?} {name}");
    }
}

#[tokio::test]
async fn vary_directives_and_no_store_count_as_for_a_get() {
    let handler = Handler::with(&[("cache-control", "max-age=60"), ("vary", "accept")]);
    let (app, _) = app(&handler, builder());
    for (headers, status) in [
        (("accept", "a"), "fwd=uri-miss; stored"),
        (("accept", "b"), "fwd=vary-miss; stored"),
        (("accept", "a"), "hit; ttl=60"),
        (
            ("cache-control", "no-store"),
            "fwd=bypass; detail=request-no-store",
        ),
        (("upgrade", "x"), "fwd=bypass; detail=upgrade"),
        // Such a one nobody has called safe.
        (("x-original-url", "/x"), "fwd=method"),
    ] {
        let seen = ask(&app, post_with(&[headers], "x")).await;
        assert_eq!(
            seen.cache_status(),
            format!("pitcrew; {status}"),
            "{headers:?}"
        );
    }
    let private = Handler::with(&[("cache-control", "private, max-age=60")]);
    let (app, _) = self::app(&private, builder());
    ask(&app, post("/search", "x")).await;
    let seen = ask(&app, post("/search", "x")).await;
    assert_eq!(
        seen.cache_status(),
        "pitcrew; fwd=uri-miss; detail=response-private"
    );
}

#[tokio::test]
async fn a_post_is_never_answered_by_304_or_a_part() {
    let handler = Handler::with(&[
        ("cache-control", "max-age=60"),
        ("etag", "\"a\""),
        ("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT"),
    ]);
    let (app, _) = app(&handler, builder());
    let ignored = [
        ("if-modified-since", "Sun, 06 Nov 1994 08:49:37 GMT"),
        ("range", "bytes=0-0"),
    ];
    for is_hit in [false, true] {
        let seen = ask(&app, post_with(&ignored, "x")).await;
        assert_eq!(
            (seen.status.as_u16(), seen.body.as_str()),
            (200, "1 POST x")
        );
        assert_eq!(seen.is_hit(), is_hit);
    }
    handler.last();
    // 412 is the handler's to say.
    let seen = ask(&app, post_with(&[("if-none-match", "\"a\"")], "x")).await;
    assert_eq!(
        seen.cache_status(),
        "pitcrew; fwd=bypass; detail=precondition"
    );
    assert_eq!(handler.last().headers["if-none-match"], "\"a\"");
}

#[tokio::test]
async fn a_stale_answer_is_fetched_whole_and_not_by_a_condition() {
    let clock = pitcrew::clock::Clock::manual();
    let handler = Handler::with(&[("cache-control", "max-age=10"), ("etag", "\"a\"")]);
    let (app, _) = app(&handler, builder().clock(clock.clone()));
    ask(&app, post("/search", "x")).await;
    clock.advance(Duration::from_secs(20));
    let seen = ask(&app, post("/search", "x")).await;
    assert_eq!(seen.cache_status(), "pitcrew; fwd=stale; stored");
    assert_eq!(seen.body, "2 POST x");
    assert!(!handler.last().headers.contains_key("if-none-match"));
}

#[tokio::test]
async fn a_regions_ttl_and_its_own_keys_hold_for_posts_too() {
    let handler = Handler::with(&[]);
    let region = |region: Region| {
        region
            .ttl(Duration::from_secs(60))
            .per_identity(|parts| Some(parts.headers.get("x-user")?.to_str().ok()?.to_owned()))
    };
    let (app, _) = app(&handler, with_region(region));
    for is_hit in [false, true] {
        for user in ["ann", "bob"] {
            let seen = ask(&app, post_with(&[("x-user", user)], "x")).await;
            assert_eq!(seen.is_hit(), is_hit, "{user}");
        }
    }
}

// Around it

#[tokio::test]
async fn without_the_layer_that_reads_content_such_a_post_passes_and_makes_nothing_old() {
    let handler = support::Handler::with(FRESH);
    let (app, _) = support::cached(&handler, builder());
    support::ask(&app, support::get("/search")).await;
    for content in ["", "x"] {
        let body = Full::new(Bytes::from_static(content.as_bytes()));
        let request = support::method("POST", "/search", &[]).map(|_| body);
        let seen = support::ask(&app, request).await;
        assert_eq!(seen.cache_status(), UNREAD);
    }
    assert!(support::ask(&app, support::get("/search")).await.is_hit());
}

#[tokio::test]
async fn explain_tells_of_a_request_with_its_content() {
    let handler = Handler::fresh();
    let (app, handle) = app(&handler, builder());
    let request = || post("/search?q", "x");
    let open = handle.explain(&request());
    assert_eq!(open.decision, "bypass");
    assert!(open.because.contains("explain_with_body"), "{open:?}");
    let miss = handle.explain_with_body(&request(), b"x");
    assert_eq!(
        (miss.decision, miss.region.as_str(), miss.key.as_str()),
        (
            "miss",
            "searches",
            "POST app.example/search?q with 1 bytes of content"
        )
    );
    ask(&app, request()).await;
    assert_eq!(handle.explain_with_body(&request(), b"x").decision, "hit");
    assert_eq!(handle.explain_with_body(&request(), b"y").decision, "miss");
    let long = handle.explain_with_body(&request(), b"eleven byte");
    assert!(long.because.ends_with("request-too-large"), "{long:?}");
    ask(&app, get("/search")).await;
    assert_eq!(
        handle.explain_with_body(&get("/search"), b"").decision,
        "hit"
    );
    let content = handle.explain_with_body(&get("/search"), b"x");
    assert!(content.because.ends_with("request-body"), "{content:?}");
    let unsafe_post = handle.explain_with_body(&post("/orders", "x"), b"x");
    let said = "method; where it succeeds, `/orders` is old then";
    assert!(unsafe_post.because.contains(said), "{unsafe_post:?}");
    let safe_post = handle.explain_with_body(&post("/search", "x"), b"x");
    assert_eq!(safe_post.makes_old, None);
    assert_eq!(handler.calls(), 2);
}

mod on_axum {
    use axum::{Json, Router, body::Body, routing::post};
    use serde_json::{Value, json};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    fn search(handler: &Handler) -> (Router, CacheHandle) {
        let (layer, handle) = CacheLayer::builder()
            .region(
                Region::api()
                    .ttl(Duration::from_secs(60))
                    .body_in_key(DEFAULT_BODY_IN_KEY_BYTES),
            )
            .build();
        let got = handler.got.clone();
        let answer = async move |Json(query): Json<Value>| {
            got.lock().unwrap().push(Got::default());
            Json(json!({ "found": query["q"] }))
        };
        let app = Router::new()
            .route("/search", post(answer))
            .layer(layer.with_body_keys());
        (app, handle)
    }

    async fn ask(app: &Router, body: Body) -> Seen {
        let request = Request::post("/search")
            .header("host", "app.example")
            .header("content-type", "application/json")
            .body(body)
            .unwrap();
        read(app.clone().oneshot(request).await.unwrap()).await
    }

    #[tokio::test]
    async fn a_json_handler_is_called_once_for_one_question() {
        let handler = Handler::fresh();
        let (app, handle) = search(&handler);
        for is_hit in [false, true] {
            for q in ["tyres", "fuel"] {
                let seen = ask(&app, Body::from(json!({ "q": q }).to_string())).await;
                assert_eq!(seen.is_hit(), is_hit);
                assert_eq!(seen.body, json!({ "found": q }).to_string());
            }
        }
        // What the extractor refuses is not kept.
        for _ in 0..2 {
            let seen = ask(&app, Body::from("{")).await;
            assert_eq!((seen.status.as_u16(), seen.is_hit()), (400, false));
        }
        assert_eq!(handler.calls(), 2);
        handle.purge(Purge::Path("/search".into())).await.unwrap();
        let seen = ask(&app, Body::from(json!({ "q": "fuel" }).to_string())).await;
        assert_eq!(seen.cache_status(), "pitcrew; fwd=stale; stored");
    }

    /// Over a connection: bodies of hyper, chunked and not, several on one connection.
    #[tokio::test]
    async fn it_works_on_a_connection() {
        let handler = Handler::fresh();
        let (app, handle) = search(&handler);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move { axum::serve(listener, app).await });
        let mut connection = tokio::net::TcpStream::connect(address).await.unwrap();
        let head =
            "POST /search HTTP/1.1\r\nhost: app.example\r\ncontent-type: application/json\r\n";
        let sized = format!("{head}content-length: 9\r\n\r\n{{\"q\":\"a\"}}");
        let chunked = format!(
            "{head}transfer-encoding: chunked\r\n\r\n4\r\n{{\"q\"\r\n5\r\n:\"a\"}}\r\n0\r\n\r\n"
        );
        let with_trailers = format!(
            "{head}transfer-encoding: chunked\r\n\r\n9\r\n{{\"q\":\"a\"}}\r\n0\r\nx-checksum: 1\r\n\r\n"
        );
        let last = sized.replace("host:", "connection: close\r\nhost:");
        for request in [sized, chunked, with_trailers, last] {
            connection.write_all(request.as_bytes()).await.unwrap();
        }
        let mut text = String::new();
        connection.read_to_string(&mut text).await.unwrap();
        assert_eq!(text.matches(r#"{"found":"a"}"#).count(), 4, "{text}");
        assert_eq!(text.matches("pitcrew; hit").count(), 2, "{text}");
        assert_eq!(text.matches("detail=request-body").count(), 1, "{text}");
        assert_eq!((handler.calls(), handle.stats().hits), (2, 2));
        server.abort();
    }
}
