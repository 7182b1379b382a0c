//! Instances of an app over one Redis.

#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "each test binary uses a part; a test ends where something unexpected happens"
)]

use std::{
    convert::Infallible,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use pitcrew::{
    CacheHandle, CacheLayer,
    cache::{L2Stats, Purge, RedisStore},
};
use pitcrew_stack::Redis;
use tower::{Layer, Service, ServiceExt, service_fn, util::BoxCloneService};

pub(crate) type App = BoxCloneService<Request<Full<Bytes>>, Response<Full<Bytes>>, Infallible>;

/// One instance of an app: its own L1, a Redis that it shares.
pub(crate) struct Instance {
    pub(crate) app: App,
    pub(crate) handle: CacheHandle,
    calls: Arc<AtomicUsize>,
}

/// What the handler answers.
#[derive(Clone, Copy)]
pub(crate) struct Answers {
    pub(crate) headers: &'static [(&'static str, &'static str)],
    pub(crate) takes: Duration,
}

pub(crate) const FRESH: Answers = Answers {
    headers: &[("cache-control", "max-age=60")],
    takes: Duration::ZERO,
};

pub(crate) const TAGGED: Answers = Answers {
    headers: &[("cache-control", "max-age=600"), ("x-cache-tags", "orders")],
    takes: Duration::ZERO,
};

impl Instance {
    pub(crate) fn new(url: &str, namespace: &str, answers: Answers, name: &'static str) -> Self {
        Self::over(store(url, namespace), answers, name)
    }

    pub(crate) fn over(store: RedisStore, answers: Answers, name: &'static str) -> Self {
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = calls.clone();
        let handler = service_fn(move |request: Request<Full<Bytes>>| {
            let call = counted.fetch_add(1, Ordering::SeqCst);
            async move {
                if !answers.takes.is_zero() {
                    tokio::time::sleep(answers.takes).await;
                }
                let language = request
                    .headers()
                    .get("accept-language")
                    .map_or("", |value| value.to_str().unwrap());
                let mut response = Response::builder();
                for (name, value) in answers.headers {
                    response = response.header(*name, *value);
                }
                Ok::<_, Infallible>(
                    response
                        .body(Full::new(Bytes::from(format!("{name}{call}{language}"))))
                        .unwrap(),
                )
            }
        });
        let (layer, handle) = CacheLayer::builder().redis(store).build();
        let app = BoxCloneService::new(layer.layer(handler).and_then(
            |response: Response<_>| async move {
                let (parts, body) = response.into_parts();
                let bytes = BodyExt::collect(body).await?.to_bytes();
                Ok(Response::from_parts(parts, Full::new(bytes)))
            },
        ));
        Self { app, handle, calls }
    }

    /// `(Cache-Status, body)`.
    pub(crate) async fn ask(&self, path: &str) -> (String, String) {
        self.ask_with(path, "").await
    }

    /// An unsafe request.
    pub(crate) async fn post(&self, path: &str) {
        let request = Request::post(path).header("host", "app.example");
        let request = request.body(Full::default()).unwrap();
        let response = self.app.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), 200);
    }

    pub(crate) async fn ask_with(&self, path: &str, language: &str) -> (String, String) {
        let request = Request::builder()
            .uri(path)
            .header("host", "app.example")
            .header("accept-language", language);
        let response = self
            .app
            .clone()
            .ready()
            .await
            .unwrap()
            .call(request.body(Full::default()).unwrap())
            .await
            .unwrap();
        assert_eq!(response.status(), 200);
        let status = response.headers()["cache-status"]
            .to_str()
            .unwrap()
            .to_owned();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }
}

pub(crate) fn l2(instance: &Instance) -> L2Stats {
    instance.handle.stats().l2.unwrap()
}

/// Waits until an instance hears the purges of others.
pub(crate) async fn hears(instance: &Instance) {
    hears_within(instance, LONG).await;
}

pub(crate) async fn hears_within(instance: &Instance, within: Duration) {
    eventually("it hears of purges", within, || async {
        instance.handle.probe_l2().await;
        let stats = l2(instance);
        stats.table_reads > 0 && stats.state == "up"
    })
    .await;
}

/// Waits until a purge of `/b` by one instance is heard by another.
pub(crate) async fn purges_are_heard(by: &Instance, other: &Instance) {
    let before = other.ask("/b").await.1;
    by.handle.purge(Purge::Path("/b".into())).await.unwrap();
    eventually("the purge is heard", LONG, || async {
        other.ask("/b").await.1 != before
    })
    .await;
}

pub(crate) fn is_l1_hit(status: &str) -> bool {
    status.starts_with("pitcrew; hit") && !is_l2_hit(status)
}

pub(crate) fn is_l2_hit(status: &str) -> bool {
    status.starts_with("pitcrew; hit") && status.ends_with("detail=l2")
}

/// Wide enough that a busy machine is not taken for a dead Redis.
pub(crate) fn store(url: &str, namespace: &str) -> RedisStore {
    let store = RedisStore::connect(url).unwrap().namespace(namespace);
    store.timeout(Duration::from_millis(500))
}

/// Waits for something outside this process.
pub(crate) async fn eventually<F: Future<Output = bool>>(
    what: &str,
    within: Duration,
    mut check: impl FnMut() -> F,
) {
    let deadline = Instant::now() + within;
    while !check().await {
        assert!(Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A path that nobody has asked for.
pub(crate) fn unseen() -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    format!("/unseen/{}", NEXT.fetch_add(1, Ordering::SeqCst))
}

pub(crate) const LONG: Duration = Duration::from_secs(10);

/// Waits until as many entries stand in Redis: writes are behind.
pub(crate) async fn entries(redis: &Redis, namespace: &str, count: usize) {
    let script = "return #redis.call('KEYS', ARGV[1])";
    let pattern = format!("pitcrew:{namespace}:e:*");
    eventually("entries in Redis", LONG, || async {
        redis.command(&["EVAL", script, "0", &pattern]).unwrap() == count.to_string()
    })
    .await;
}
