//! Clients that read what they have written, whichever instance answers.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something unexpected happens"
)]

mod instance;

use std::{
    convert::Infallible,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use pitcrew::{
    CacheHandle, CacheLayer,
    cache::{Purge, ReadYourWrites, RedisStore},
};
use pitcrew_stack::{Redis, require, testing::redis};
use tower::{Layer, ServiceExt, service_fn, util::BoxCloneService};

use instance::{App, LONG, eventually};

const TOKEN: HeaderName = HeaderName::from_static("x-own-writes");

/// What all instances read and write.
type Datum = Arc<AtomicUsize>;

struct Instance {
    app: App,
    handle: CacheHandle,
    calls: Arc<AtomicUsize>,
}

struct Answer {
    headers: HeaderMap,
    body: String,
}

impl Answer {
    fn status(&self) -> &str {
        self.headers["cache-status"].to_str().unwrap()
    }

    fn token(&self) -> String {
        self.headers[&TOKEN].to_str().unwrap().to_owned()
    }
}

/// A GET reads the datum, a POST adds one and purges the tag that its path names.
async fn instance(store: RedisStore, datum: &Datum, carrier: ReadYourWrites) -> Instance {
    let (calls, datum) = (Arc::new(AtomicUsize::new(0)), datum.clone());
    let own: Arc<OnceLock<CacheHandle>> = Arc::default();
    let (counted, purging) = (calls.clone(), own.clone());
    let handler = service_fn(move |request: Request<Full<Bytes>>| {
        let (datum, purging) = (datum.clone(), purging.clone());
        counted.fetch_add(1, Ordering::SeqCst);
        async move {
            assert!(!request.headers().contains_key(&TOKEN), "it is the cache's");
            let mut response = Response::builder();
            if request.method() == http::Method::POST {
                datum.fetch_add(1, Ordering::SeqCst);
                let tag = request.uri().path()[1..].to_owned();
                purging.get().unwrap().purge(Purge::Tag(tag)).await.unwrap();
            } else {
                response = response
                    .header("cache-control", "max-age=600")
                    .header("x-cache-tags", "orders");
            }
            let cookies = request.headers().get("cookie");
            let cookies = cookies.map_or("", |value| value.to_str().unwrap());
            let body = format!("{}{cookies}", datum.load(Ordering::SeqCst));
            Ok::<_, Infallible>(response.body(Full::new(Bytes::from(body))).unwrap())
        }
    });
    let builder = CacheLayer::builder().redis(store);
    let (layer, handle) = builder.read_your_writes(carrier).build();
    own.set(handle.clone()).unwrap();
    let app = BoxCloneService::new(layer.layer(handler).and_then(
        |response: Response<_>| async move {
            let (parts, body) = response.into_parts();
            let bytes = BodyExt::collect(body).await?.to_bytes();
            Ok(Response::from_parts(parts, Full::new(bytes)))
        },
    ));
    let instance = Instance { app, handle, calls };
    instance.hears().await;
    instance
}

/// By header, and with a Redis that has time to answer on a busy machine.
async fn by_header(redis: &Redis, datum: &Datum, timeout: Duration) -> Instance {
    let store = RedisStore::connect(&redis.url()).unwrap().timeout(timeout);
    instance(store, datum, ReadYourWrites::header(TOKEN)).await
}

impl Instance {
    async fn hears(&self) {
        eventually("it hears of purges", LONG, || async {
            self.handle.probe_l2().await;
            let l2 = self.handle.stats().l2.unwrap();
            l2.table_reads > 0 && l2.state == "up"
        })
        .await;
    }

    async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in [("host", "app.example")].iter().chain(headers) {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::default()).unwrap();
        let response = self.app.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        Answer {
            headers: parts.headers,
            body: String::from_utf8(bytes.to_vec()).unwrap(),
        }
    }

    async fn get(&self, token: &str) -> Answer {
        self.send("GET", "/", &[(TOKEN.as_str(), token)]).await
    }

    /// Until the datum's present value is a hit in this process.
    async fn warm(&self) {
        eventually("it is stored", LONG, || async {
            self.send("GET", "/", &[])
                .await
                .status()
                .starts_with("pitcrew; hit; ttl")
        })
        .await;
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }
}

/// A token for a purge of what `token` names that is still to come.
fn ahead(token: &str) -> String {
    let raised = token.split('.').map(|purge| {
        let (slot, position) = purge.split_once('-').unwrap();
        let position = u64::from_str_radix(position, 16).unwrap();
        format!("{slot}-{:x}", position + 1)
    });
    raised.collect::<Vec<_>>().join(".")
}

#[tokio::test]
async fn a_write_through_one_instance_is_seen_through_another() {
    require!(redis);
    let (redis, datum) = (redis(), Datum::default());
    let one = by_header(&redis, &datum, LONG).await;
    let two = by_header(&redis, &datum, LONG).await;
    let mut token = String::new();
    for round in 1..=100 {
        two.warm().await;
        let written = one
            .send("POST", "/orders", &[(TOKEN.as_str(), &token)])
            .await;
        token = written.token();
        for instance in [&two, &one] {
            let read = instance.get(&token).await;
            assert_eq!(read.body, round.to_string(), "{token}: {}", read.status());
        }
    }
    two.warm().await;
    assert!(two.get(&token).await.status().starts_with("pitcrew; hit"));
}

#[tokio::test]
async fn a_client_that_is_ahead_waits_until_its_instance_has_heard() {
    require!(redis);
    let (redis, datum) = (redis(), Datum::default());
    let one = by_header(&redis, &datum, LONG).await;
    let two = by_header(&redis, &datum, LONG).await;
    let token = ahead(&one.send("POST", "/parts", &[]).await.token());
    two.warm().await;
    let calls = two.calls();
    let mut reading = std::pin::pin!(two.get(&token));
    let early = std::future::poll_fn(|cx| std::task::Poll::Ready(reading.as_mut().poll(cx))).await;
    assert!(early.is_pending(), "it has not heard of that yet");
    // Both names of the token: the tag, and the target of the POST.
    one.send("POST", "/parts", &[]).await;
    let read = reading.await;
    assert!(
        read.status().starts_with("pitcrew; hit"),
        "{}",
        read.status()
    );
    assert_eq!(two.calls(), calls);
}

#[tokio::test]
async fn a_client_that_stays_ahead_is_answered_by_the_handler_and_alone() {
    require!(redis);
    let (redis, datum) = (redis(), Datum::default());
    let instance = by_header(&redis, &datum, Duration::from_millis(100)).await;
    let token = ahead(&instance.send("POST", "/parts", &[]).await.token());
    instance.warm().await;
    let calls = instance.calls();
    let (a, b) = tokio::join!(instance.get(&token), instance.get(&token));
    for read in [a, b] {
        let wanted = "pitcrew; fwd=bypass; stored; detail=behind";
        assert_eq!(read.status(), wanted);
    }
    assert_eq!(instance.handle.stats().miss_reasons["behind"], 2);
    assert_eq!(
        instance.calls(),
        calls + 2,
        "they did not wait for one another"
    );
    // Whoever wants no call of the handler has none.
    let calls = instance.calls();
    let mut request = Request::get("/").header(&TOKEN, &token);
    for (name, value) in [("host", "app.example"), ("cache-control", "only-if-cached")] {
        request = request.header(name, value);
    }
    let request = request.body(Full::default()).unwrap();
    let response = instance.app.clone().oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::GATEWAY_TIMEOUT);
    assert_eq!(instance.calls(), calls);
    // Nobody else is kept from the cache.
    instance.warm().await;
    for foreign in ["", "nonsense", "1-1"] {
        let read = instance.get(foreign).await;
        assert!(read.status().starts_with("pitcrew; hit"), "{foreign}");
    }
}

#[tokio::test]
async fn a_write_that_redis_has_not_confirmed_is_seen_all_the_same() {
    require!(redis);
    let (redis, datum) = (redis(), Datum::default());
    let one = by_header(&redis, &datum, Duration::from_millis(100)).await;
    let two = by_header(&redis, &datum, Duration::from_millis(100)).await;
    two.warm().await;
    redis.pause();
    let token = one.send("POST", "/orders", &[]).await.token();
    assert!(token.split('.').all(|name| name.contains("-t")), "{token}");
    for instance in [&one, &two] {
        assert_eq!(instance.get(&token).await.body, "1");
    }
    redis.resume();
}

#[tokio::test]
async fn a_cookie_carries_it_without_being_one_of_the_app() {
    require!(redis);
    let (redis, datum) = (redis(), Datum::default());
    let carrier = ReadYourWrites::cookie("own");
    let store = RedisStore::connect(&redis.url()).unwrap().timeout(LONG);
    let instance = instance(store, &datum, carrier).await;
    let written = instance.send("POST", "/orders", &[]).await;
    let cookie = written.headers["set-cookie"].to_str().unwrap().to_owned();
    assert!(
        cookie.ends_with("; Max-Age=90; Path=/; HttpOnly; SameSite=Lax; Secure"),
        "{cookie}"
    );
    instance.warm().await;
    let pair = cookie.split(';').next().unwrap();
    let read = instance.send("GET", "/", &[("cookie", pair)]).await;
    assert!(
        read.status().starts_with("pitcrew; hit"),
        "{}",
        read.status()
    );
    // Of others the rule for cookies holds as ever, and the handler sees them alone.
    let both = format!("theme=dark; {pair}");
    let read = instance.send("GET", "/", &[("cookie", &both)]).await;
    assert_eq!(read.body, "1theme=dark");
}
