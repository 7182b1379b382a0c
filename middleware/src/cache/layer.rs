//! [`CacheLayer`], its builder and its handle.

use std::{
    fmt,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use http::request::Parts;
use tower_layer::Layer;

use super::{
    explain::Explanation,
    invalidation::{Kind, Name, Purge, PurgeReport, PurgeState},
    region::Region,
    service::Cache,
    shared::{Parameters, RegionFn, Shared},
    stats::CacheStats,
};
use crate::clock::Clock;

/// Bytes that the cache in this process holds unless told otherwise.
pub const DEFAULT_CAPACITY_BYTES: u64 = 64 << 20;

/// Longest time that a request waits for another's answer unless told otherwise.
pub const DEFAULT_WAIT_DEADLINE: Duration = Duration::from_secs(5);

/// Caches the answers of the service it is put on. In axum, add it first, so that it is the innermost of the three.
#[derive(Clone)]
pub struct CacheLayer {
    shared: Arc<Shared>,
}

impl CacheLayer {
    /// Starts with the defaults: 64 MiB in this process, no Redis, the built-in regions without a TTL of their own.
    #[must_use]
    pub fn builder() -> CacheBuilder {
        CacheBuilder {
            capacity_bytes: DEFAULT_CAPACITY_BYTES,
            regions: Region::built_in(),
            region_for: None,
            mount: String::new(),
            wait_deadline: DEFAULT_WAIT_DEADLINE,
            clock: Clock::system(),
            #[cfg(feature = "redis")]
            redis: None,
            #[cfg(feature = "redis")]
            own_writes: None,
        }
    }
}

impl<S> Layer<S> for CacheLayer {
    type Service = Cache<S>;

    fn layer(&self, inner: S) -> Cache<S> {
        Cache::new(inner, self.shared.clone())
    }
}

impl fmt::Debug for CacheLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheLayer").finish_non_exhaustive()
    }
}

/// Settings of a [`CacheLayer`].
pub struct CacheBuilder {
    capacity_bytes: u64,
    regions: Vec<Region>,
    region_for: Option<Box<RegionFn>>,
    mount: String,
    wait_deadline: Duration,
    clock: Clock,
    #[cfg(feature = "redis")]
    redis: Option<super::RedisStore>,
    #[cfg(feature = "redis")]
    own_writes: Option<super::ReadYourWrites>,
}

impl CacheBuilder {
    /// Bytes that the cache in this process holds at most, keys and headers included. Default
    /// [`DEFAULT_CAPACITY_BYTES`].
    #[must_use]
    pub fn capacity_bytes(mut self, capacity_bytes: u64) -> Self {
        self.capacity_bytes = capacity_bytes;
        self
    }

    /// Adds a region, or replaces the one of that name.
    #[must_use]
    pub fn region(mut self, region: Region) -> Self {
        self.regions.retain(|known| known.name() != region.name());
        self.regions.push(region);
        self
    }

    /// Says which region a request belongs to. `None`, or a name that no region has, is `api`.
    #[must_use]
    pub fn region_for(
        mut self,
        region_for: impl Fn(&Parts) -> Option<&'static str> + Send + Sync + 'static,
    ) -> Self {
        self.region_for = Some(Box::new(region_for));
        self
    }

    /// A name that becomes part of every key. Without the feature `axum` two nested routers under one layer see the
    /// same path; give each its own layer with its own mount. Default empty.
    #[must_use]
    pub fn mount(mut self, mount: &str) -> Self {
        mount.clone_into(&mut self.mount);
        self
    }

    /// Longest time that a request waits for the answer of another that asks the same; then it runs alone. Default
    /// [`DEFAULT_WAIT_DEADLINE`].
    #[must_use]
    pub fn wait_deadline(mut self, wait_deadline: Duration) -> Self {
        self.wait_deadline = wait_deadline;
        self
    }

    /// A second level in Redis or Valkey.
    #[cfg(feature = "redis")]
    #[must_use]
    pub fn redis(mut self, redis: super::RedisStore) -> Self {
        self.redis = Some(redis);
        self
    }

    /// Lets a client see what it has changed, whichever instance answers it next. Off by default; of no effect without
    /// [`redis`](Self::redis).
    ///
    /// The answer to an unsafe request (POST, PUT, PATCH, DELETE ...) then carries a token: what the request has purged, by
    /// itself (RFC 9111, 4.4) and by [`CacheHandle::purge`] in its handler's own task, and the positions that Redis gave.
    /// The answer waits for these, as long as a request waits for Redis at most. A request with a token that its instance
    /// has not reached waits as long, then is answered by the handler. A token counts for
    /// `RedisStore::serve_while_away` and 10 s. Who forges one has his own requests answered by the handler, as by
    /// `Cache-Control: no-cache`, nothing more; what a soft purge makes stale may still be given.
    #[cfg(feature = "redis")]
    #[must_use]
    pub fn read_your_writes(mut self, carrier: super::ReadYourWrites) -> Self {
        self.own_writes = Some(carrier);
        self
    }

    /// Replaces the clock; for tests.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// The layer for the app and the handle for whoever purges and reads figures. Spawns nothing.
    #[must_use]
    pub fn build(self) -> (CacheLayer, CacheHandle) {
        let shared = Arc::new(Shared::new(Parameters {
            mount: self.mount,
            clock: self.clock,
            capacity_bytes: self.capacity_bytes,
            wait_deadline: self.wait_deadline,
            regions: self.regions,
            region_for: self.region_for,
            #[cfg(feature = "redis")]
            l2: self.redis,
            #[cfg(feature = "redis")]
            own_writes: self.own_writes,
        }));
        (
            CacheLayer {
                shared: shared.clone(),
            },
            CacheHandle { shared },
        )
    }
}

impl fmt::Debug for CacheBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheBuilder")
            .field("capacity_bytes", &self.capacity_bytes)
            .field("mount", &self.mount)
            .finish_non_exhaustive()
    }
}

/// Purges, and tells figures. Cheap to clone.
#[derive(Clone)]
pub struct CacheHandle {
    shared: Arc<Shared>,
}

impl CacheHandle {
    /// Figures since the layer was built.
    #[must_use]
    pub fn stats(&self) -> CacheStats {
        self.shared.stats()
    }

    /// What the cache in this process would do with a request, and why; without calling the handler or Redis, and without
    /// counting. The same closures run that decide regions, keys and identities.
    #[must_use]
    pub fn explain<B>(&self, request: &http::Request<B>) -> Explanation {
        let mut copy = http::Request::new(());
        *copy.method_mut() = request.method().clone();
        *copy.uri_mut() = request.uri().clone();
        *copy.headers_mut() = request.headers().clone();
        *copy.extensions_mut() = request.extensions().clone();
        self.shared.explain(&copy.into_parts().0, false)
    }

    /// Removes stored answers, and answers that are being made by requests that began before this call. O(1), whatever
    /// is stored.
    ///
    /// When this returns, this instance serves nothing older ([`PurgeState::Done`] for `local`). For L2 the report says
    /// whether Redis has confirmed it: [`PurgeState::Pending`] means that it did not within the store's timeout; then
    /// this instance reads nothing from L2 until a background task has seen to it.
    ///
    /// Once the purge is `Done`, every other instance that hears Redis serves nothing older a network round trip later,
    /// neither from Redis nor from its own process. One that does not hear it serves what it holds for at most
    /// `RedisStore::serve_while_away`.
    pub async fn purge(&self, purge: Purge) -> PurgeReport {
        self.purge_as(Kind::Hard, purge).await
    }

    /// Makes stored answers stale: each is still given while one fetch in the background replaces it, by its validators
    /// where it has any. An answer that must not be given stale (`must-revalidate`,
    /// `proxy-revalidate`, `no-cache`) is validated before it is given, and so is one that is found in L2. Else as
    /// [`purge`](Self::purge).
    pub async fn purge_softly(&self, purge: Purge) -> PurgeReport {
        self.purge_as(Kind::Soft, purge).await
    }

    async fn purge_as(&self, kind: Kind, purge: Purge) -> PurgeReport {
        let name = Name {
            kind,
            target: purge.target(),
        };
        let commands = self.shared.purge(vec![name]);
        self.shared.counters.purges.fetch_add(1, Ordering::Relaxed);
        #[cfg(feature = "redis")]
        if let Some(l2) = &self.shared.l2
            && let Some(command) = commands.into_iter().next()
        {
            return PurgeReport {
                local: PurgeState::Done,
                l2: l2.purge(command).await,
            };
        }
        #[cfg(not(feature = "redis"))]
        drop(commands);
        PurgeReport {
            local: PurgeState::Done,
            l2: PurgeState::Off,
        }
    }

    /// Whether L2 answers: `None` without one. Redis is asked at most once in 2 seconds, within 1 second; meant for health
    /// checks, which would otherwise learn that it is away only from requests.
    pub async fn probe_l2(&self) -> Option<bool> {
        #[cfg(feature = "redis")]
        if let Some(l2) = &self.shared.l2 {
            return Some(l2.probe().await);
        }
        None
    }

    /// The rows of a query: from this process's cache, from another caller who is fetching the same, or by `fetch`, whose rows
    /// are then kept for the region's TTL.
    ///
    /// The statement is read (feature `query`, crate `sqlparser`): texts that differ in space, comments and case are one,
    /// `parameters` are part of the key, and each table that it reads is a tag `table:schema.name`, to be purged by
    /// [`Purge::Tag`] when the table changes. A name without a schema is one of [`Region::search_path`]. Nothing is cached of a
    /// statement that writes, locks rows, or calls a built-in function whose value is another one each time or session
    /// (`now()`, `random()`, `current_user`); the outcome says why. A function of your own that is volatile, a view (its
    /// tables stand elsewhere) and row-level security (rows differ by role) are **not** seen: give a view's tables by
    /// [`Self::query_tagged`], and keep the others out.
    ///
    /// `fetch` runs for whoever leads; its error is that caller's alone. Rows are kept as JSON. A region that does not exist
    /// is `api`.
    #[cfg(feature = "query")]
    pub async fn query<T, P, E, F>(
        &self,
        region: &str,
        sql: &str,
        parameters: &P,
        fetch: F,
    ) -> (Result<T, E>, super::QueryOutcome)
    where
        T: serde::Serialize + serde::de::DeserializeOwned,
        P: serde::Serialize + ?Sized,
        F: AsyncFnOnce() -> Result<T, E>,
    {
        self.query_tagged(region, sql, parameters, &[], fetch).await
    }

    /// [`Self::query`] with tags besides those of its tables.
    #[cfg(feature = "query")]
    pub async fn query_tagged<T, P, E, F>(
        &self,
        region: &str,
        sql: &str,
        parameters: &P,
        tags: &[&str],
        fetch: F,
    ) -> (Result<T, E>, super::QueryOutcome)
    where
        T: serde::Serialize + serde::de::DeserializeOwned,
        P: serde::Serialize + ?Sized,
        F: AsyncFnOnce() -> Result<T, E>,
    {
        let call = super::query::Call {
            shared: &self.shared,
            region: self.shared.region_named(region),
            sql,
            parameters: serde_json::to_vec(parameters),
            more_tags: tags,
        };
        call.run(fetch).await
    }

    /// Finishes background work: waits for queued writes and pending purges to reach Redis, `deadline` at most, then
    /// stops. Requests are served on, without L2.
    pub async fn shutdown(&self, deadline: Duration) {
        #[cfg(feature = "redis")]
        if let Some(l2) = &self.shared.l2 {
            l2.shutdown(deadline).await;
        }
        #[cfg(not(feature = "redis"))]
        let _ = deadline;
    }
}

impl fmt::Debug for CacheHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheHandle").finish_non_exhaustive()
    }
}
