//! The second level: reads beside bare ones of the same Redis, and a purge where a million answers lie.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use http::{HeaderValue, Request, Response, header};
use pitcrew::CacheLayer;
use pitcrew::cache::{Purge, PurgeState, RedisStore};
use tower::{Layer, Service};

use crate::contenders::KEYS;
use crate::handler::{BODY_BYTES, Handler, service};
use crate::hits::{drain, request};

/// Callers at once.
const CALLERS: usize = 64;

/// Purges of a reading.
const PURGES: usize = 200;

/// Tags over all answers.
const TAGS: usize = 1_000;

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime")
}

fn store(url: &str, namespace: &str) -> RedisStore {
    // A read that is late counts as a miss, which is not what is measured here.
    RedisStore::connect(url)
        .expect("a URL")
        .namespace(namespace)
        .timeout(Duration::from_secs(5))
}

/// Runs `count` operations by [`CALLERS`] and answers operations a second.
async fn rate<F, Fut>(count: usize, operation: F) -> f64
where
    F: Fn(usize) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let begin = Instant::now();
    let callers: Vec<_> = (0..CALLERS)
        .map(|caller| {
            let operation = operation.clone();
            tokio::spawn(async move {
                for n in (caller..count).step_by(CALLERS) {
                    operation(n % KEYS).await;
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.expect("a caller");
    }
    count as f64 / begin.elapsed().as_secs_f64()
}

/// GETs a second over one multiplexed connection, values as long as the layer's own.
pub(crate) fn raw_gets(url: &str, count: usize) -> f64 {
    runtime().block_on(async {
        let client = redis::Client::open(url).expect("a URL");
        let mut connection = client
            .get_multiplexed_async_connection()
            .await
            .expect("Redis");
        for key in 0..KEYS {
            let mut set = redis::cmd("SET");
            set.arg(format!("raw:{key}")).arg(vec![b'x'; BODY_BYTES]);
            set.query_async::<()>(&mut connection)
                .await
                .expect("a write");
        }
        rate(count, move |key| {
            let mut connection = connection.clone();
            async move {
                let mut get = redis::cmd("GET");
                let get = get.arg(format!("raw:{key}"));
                let value: bytes::Bytes = get.query_async(&mut connection).await.expect("a value");
                assert_eq!(value.len(), BODY_BYTES);
            }
        })
        .await
    })
}

/// Answers a second that the layer takes out of Redis; nothing fits into this process.
pub(crate) fn gets(url: &str, count: usize) -> f64 {
    runtime().block_on(async {
        let (layer, handle) = CacheLayer::builder()
            .capacity_bytes(1)
            .redis(store(url, "gets"))
            .build();
        let handler = Arc::new(Handler::new("max-age=3600"));
        let layered = layer.layer(service(handler.clone()));
        let ask = move |key: usize| {
            let mut layered = layered.clone();
            async move {
                let request = request(key).map(|()| Body::empty());
                let response = layered.call(request).await.expect("an answer");
                assert_eq!(drain(response).await, BODY_BYTES);
            }
        };
        // Answers are written behind the clients: asked for until every one lies in Redis.
        let mut calls = u64::MAX;
        while calls != handler.calls() {
            calls = handler.calls();
            rate(KEYS, ask.clone()).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let before = handle.stats().l2.expect("L2").hits;
        let rate = rate(count, ask).await;
        let hits = handle.stats().l2.expect("L2").hits - before;
        assert_eq!(
            (handler.calls(), hits),
            (calls, count as u64),
            "every answer comes from Redis"
        );
        rate
    })
}

/// Small answers that carry one of [`TAGS`] tags.
async fn tagged(request: Request<Body>) -> Result<Response<Body>, Infallible> {
    let key: usize = request.uri().path()[1..].parse().unwrap_or(0);
    let mut response = Response::new(Body::from("x"));
    let headers = response.headers_mut();
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("max-age=3600"),
    );
    let tag = HeaderValue::try_from(format!("tag-{}", key % TAGS)).expect("a value");
    headers.insert("x-cache-tags", tag);
    Ok(response)
}

async fn ask<S>(layered: &mut S, key: usize)
where
    S: Service<Request<Body>, Response = Response<pitcrew::cache::ResponseBody<Body>>>,
    S::Error: std::fmt::Debug,
{
    let mut request = Request::new(Body::empty());
    *request.uri_mut() = format!("/{key}").parse().expect("a path");
    drain(layered.call(request).await.expect("an answer")).await;
}

/// Microseconds of a purge by tag while `keys` answers lie in this process and in Redis: the median of each of
/// `readings`.
pub(crate) fn purges(url: &str, keys: usize, readings: usize) -> Vec<f64> {
    runtime().block_on(async {
        let client = redis::Client::open(url).expect("a URL");
        let mut connection = client
            .get_multiplexed_async_connection()
            .await
            .expect("Redis");
        let (layer, handle) = CacheLayer::builder()
            .capacity_bytes(4 << 30)
            .redis(store(url, "purges"))
            .build();
        let mut layered = layer.layer(tower::service_fn(tagged));
        let mut stored = 0;
        while stored < keys {
            // Fewer than the queue to Redis holds; then it is waited for.
            for _ in 0..512.min(keys - stored) {
                ask(&mut layered, stored).await;
                stored += 1;
            }
            while dbsize(&mut connection).await < stored {
                tokio::time::sleep(Duration::from_micros(200)).await;
                let stats = handle.stats().l2.expect("L2");
                assert_eq!(
                    (stats.dropped_writes, stats.errors),
                    (0, 0),
                    "all is written"
                );
            }
        }
        let held = handle.stats();
        assert!(held.l1.entries >= keys as u64, "{held:?}");
        let mut medians = Vec::with_capacity(readings);
        for reading in 0..readings {
            let mut taken = Vec::with_capacity(PURGES);
            for n in 0..PURGES {
                let tag = Purge::Tag(format!("tag-{}", (reading * PURGES + n) % TAGS));
                let begin = Instant::now();
                let report = handle.purge(tag).await.unwrap();
                taken.push(begin.elapsed().as_secs_f64() * 1e6);
                assert_eq!(report.l2, PurgeState::Done);
            }
            taken.sort_by(f64::total_cmp);
            medians.push(taken[PURGES / 2]);
        }
        // What carried a purged tag is gone.
        let misses = handle.stats().misses;
        ask(&mut layered, 0).await;
        assert_eq!(
            handle.stats().misses,
            misses + 1,
            "a purged answer is made anew"
        );
        medians
    })
}

/// Microseconds that Redis is away at all: the median `PING` of each of `readings`.
pub(crate) fn round_trips(url: &str, readings: usize) -> Vec<f64> {
    runtime().block_on(async {
        let client = redis::Client::open(url).expect("a URL");
        let connection = client.get_multiplexed_async_connection();
        let mut connection = connection.await.expect("Redis");
        let mut medians = Vec::with_capacity(readings);
        for _ in 0..readings {
            let mut taken = Vec::with_capacity(PURGES);
            for _ in 0..PURGES {
                let begin = Instant::now();
                let ping = redis::cmd("PING");
                ping.query_async::<()>(&mut connection)
                    .await
                    .expect("a reply");
                taken.push(begin.elapsed().as_secs_f64() * 1e6);
            }
            taken.sort_by(f64::total_cmp);
            medians.push(taken[PURGES / 2]);
        }
        medians
    })
}

async fn dbsize(connection: &mut redis::aio::MultiplexedConnection) -> usize {
    redis::cmd("DBSIZE")
        .query_async(connection)
        .await
        .expect("a size")
}
