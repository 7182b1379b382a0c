//! Instances over one Redis, with writers and readers at random.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{HeaderName, Request, Response};
use http_body_util::{BodyExt, Full};
use pitcrew::{
    CacheHandle, CacheLayer,
    cache::{PurgeState, ReadYourWrites, RedisStore},
};
use rand::{Rng, RngExt, SeedableRng, rngs::StdRng};
use tower::{Layer, ServiceExt, service_fn, util::BoxCloneSyncService};

use super::history::{History, Purge, Read};
use crate::instance::{LONG, eventually};

const TOKEN: HeaderName = HeaderName::from_static("x-own-writes");
pub(crate) const INSTANCES: usize = 3;
const KEYS: usize = 6;
const WRITERS: usize = 3;
const READERS: usize = 6;
const CLIENTS: usize = 3;

type Data = Arc<Vec<AtomicU64>>;

type App = BoxCloneSyncService<Request<Full<Bytes>>, Response<Full<Bytes>>, Infallible>;

struct Instance {
    app: App,
    handle: CacheHandle,
}

pub(crate) struct World {
    instances: Vec<Instance>,
    data: Data,
    begin: Instant,
    is_over: AtomicBool,
    /// Writers that change a datum and do not purge it: what the checker must find.
    pub(crate) forgets: bool,
}

/// A GET answers the version of its key: read at once or late, as a handler does that is quick or slow.
fn instance(store: RedisStore, data: &Data, seed: u64) -> Instance {
    let (data, seed) = (data.clone(), Arc::new(AtomicU64::new(seed)));
    let handler = service_fn(move |request: Request<Full<Bytes>>| {
        let data = data.clone();
        let mut random = StdRng::seed_from_u64(seed.fetch_add(1, Ordering::Relaxed));
        async move {
            let key: usize = request.uri().path()[3..].parse().unwrap();
            let datum = &data[key];
            let version = if request.method() == http::Method::POST {
                datum.fetch_add(1, Ordering::SeqCst) + 1
            } else {
                pause(&mut random).await;
                let version = datum.load(Ordering::SeqCst);
                pause(&mut random).await;
                version
            };
            let response = Response::builder()
                .header("cache-control", "max-age=600")
                .header("x-cache-tags", format!("k{key}"))
                .body(Full::new(Bytes::from(version.to_string())));
            Ok::<_, Infallible>(response.unwrap())
        }
    });
    let builder = CacheLayer::builder().redis(store);
    let carrier = ReadYourWrites::header(TOKEN);
    let (layer, handle) = builder.read_your_writes(carrier).build();
    let whole = |response: Response<_>| async move {
        let (parts, body) = response.into_parts();
        let bytes = BodyExt::collect(body).await?.to_bytes();
        Ok(Response::from_parts(parts, Full::new(bytes)))
    };
    Instance {
        app: BoxCloneSyncService::new(layer.layer(handler).and_then(whole)),
        handle,
    }
}

/// Mostly none, at times long enough for a purge to go by.
async fn pause(random: &mut impl Rng) {
    match random.random_range(0..10) {
        0..6 => {}
        6..9 => tokio::task::yield_now().await,
        _ => tokio::time::sleep(Duration::from_millis(random.random_range(1..20))).await,
    }
}

impl World {
    pub(crate) fn new(store: &RedisStore, seed: u64) -> Self {
        let data: Data = Arc::new((0..KEYS).map(|_| AtomicU64::new(0)).collect());
        let instances = (0..INSTANCES as u64)
            .map(|number| instance(store.clone(), &data, seed ^ (number << 32)))
            .collect();
        Self {
            instances,
            data,
            begin: Instant::now(),
            is_over: AtomicBool::new(false),
            forgets: false,
        }
    }

    /// Writers and readers go on while `faults` happen; then everything comes to rest, and each instance must have the last
    /// version of each key.
    pub(crate) async fn run(self, seed: u64, faults: impl Future<Output = ()>) -> History {
        let world = Arc::new(self);
        let mut tasks = tokio::task::JoinSet::new();
        let random = |number: usize| StdRng::seed_from_u64(seed.wrapping_add(number as u64));
        for number in 0..WRITERS {
            tasks.spawn(world.clone().write(random(number)));
        }
        for number in 0..READERS {
            tasks.spawn(world.clone().read(random(100 + number)));
        }
        for number in 0..CLIENTS {
            tasks.spawn(world.clone().write_and_read(random(200 + number)));
        }
        faults.await;
        world.is_over.store(true, Ordering::SeqCst);
        let mut history = History::default();
        while let Some(part) = tasks.join_next().await {
            let part = part.unwrap();
            history.purges.extend(part.purges);
            history.reads.extend(part.reads);
        }
        if !world.forgets {
            world.comes_to_rest().await;
        }
        history
    }

    fn now(&self) -> Duration {
        self.begin.elapsed()
    }

    fn goes_on(&self) -> bool {
        !self.is_over.load(Ordering::SeqCst)
    }

    /// Changes data, and purges them by each kind of name.
    async fn write(self: Arc<Self>, mut random: StdRng) -> History {
        use pitcrew::cache::Purge as By;
        let mut history = History::default();
        while self.goes_on() {
            let (instance, key) = (
                random.random_range(0..INSTANCES),
                random.random_range(0..KEYS),
            );
            let version = self.data[key].fetch_add(1, Ordering::SeqCst) + 1;
            let by = match random.random_range(0..20) {
                0..6 => By::Tag(format!("k{key}")),
                6..11 => By::Path(format!("/k/{key}")),
                11..15 => By::Key(format!("/k/{key}")),
                15..17 => By::Prefix(format!("/k/{key}")),
                17 => By::Pattern(format!("*/{key}")),
                18 => By::Region("api".into()),
                _ => By::All,
            };
            let confirmed = if self.forgets {
                true
            } else {
                let report = self.instances[instance].handle.purge(by).await.unwrap();
                assert_eq!(report.local, PurgeState::Done);
                report.l2 == PurgeState::Done
            };
            history.purges.push(Purge {
                instance,
                key,
                version,
                returned: self.now(),
                confirmed,
            });
            tokio::time::sleep(Duration::from_millis(random.random_range(0..15))).await;
        }
        history
    }

    async fn read(self: Arc<Self>, mut random: StdRng) -> History {
        let mut history = History::default();
        while self.goes_on() {
            let (instance, key) = (
                random.random_range(0..INSTANCES),
                random.random_range(0..KEYS),
            );
            let (read, _) = self.ask("GET", instance, key, "", 0).await;
            history.reads.push(read);
            pause(&mut random).await;
        }
        history
    }

    /// A client that writes through one instance and reads through others.
    async fn write_and_read(self: Arc<Self>, mut random: StdRng) -> History {
        let mut history = History::default();
        let mut token = String::new();
        let mut own = [0; KEYS];
        while self.goes_on() {
            let (instance, key) = (
                random.random_range(0..INSTANCES),
                random.random_range(0..KEYS),
            );
            if random.random_range(0..8) == 0 {
                let (written, new) = self.ask("POST", instance, key, &token, 0).await;
                own[key] = written.version;
                history.purges.push(Purge {
                    instance,
                    key,
                    version: written.version,
                    returned: self.now(),
                    confirmed: false,
                });
                // Without one the instance has given up: it has lost its purge, which it must not.
                token = new.expect("the answer to a POST carries a token");
            } else {
                let (read, _) = self.ask("GET", instance, key, &token, own[key]).await;
                history.reads.push(read);
            }
            pause(&mut random).await;
        }
        history
    }

    async fn ask(
        &self,
        method: &str,
        instance: usize,
        key: usize,
        token: &str,
        own: u64,
    ) -> (Read, Option<String>) {
        let began = self.now();
        let mut request = Request::builder().method(method).uri(format!("/k/{key}"));
        request = request.header("host", "app.example");
        if !token.is_empty() {
            request = request.header(TOKEN, token);
        }
        let request = request.body(Full::default()).unwrap();
        let app = self.instances[instance].app.clone();
        let response = app.oneshot(request).await.unwrap();
        assert_eq!(response.status(), 200, "no fault of Redis reaches a client");
        let text = |name: &str| {
            let value = response.headers().get(name);
            value.map(|value| value.to_str().unwrap().to_owned())
        };
        let (status, token) = (text("cache-status").unwrap(), text(TOKEN.as_str()));
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let read = Read {
            instance,
            key,
            version: std::str::from_utf8(&body).unwrap().parse().unwrap(),
            began,
            own,
            status,
        };
        (read, token)
    }

    async fn comes_to_rest(&self) {
        for (number, instance) in self.instances.iter().enumerate() {
            eventually("everything is confirmed and heard", LONG * 3, || async {
                instance.handle.probe_l2().await;
                let l2 = instance.handle.stats().l2.unwrap();
                l2.state == "up" && l2.pending_purges == 0
            })
            .await;
            for key in 0..KEYS {
                eventually("each instance has the last version", LONG, || async {
                    let (read, _) = self.ask("GET", number, key, "", 0).await;
                    read.version == self.data[key].load(Ordering::SeqCst)
                })
                .await;
            }
        }
    }
}
