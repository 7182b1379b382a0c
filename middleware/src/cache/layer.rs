//! [`CacheLayer`] and its builder.

use std::{borrow::Cow, fmt, sync::Arc, time::Duration};

use http::request::Parts;
use tower_layer::Layer;

use super::{
    body_key::BodyKeyLayer,
    handle::CacheHandle,
    region::Region,
    service::Cache,
    shared::{Parameters, RegionFn, Shared},
};
use crate::{
    clock::{self, Clock},
    route::Labeler,
};

/// Bytes that the cache in this process holds unless told otherwise.
pub const DEFAULT_CAPACITY_BYTES: u64 = 64 << 20;

/// How long requests wait for another's answer before one of them goes to the handler as well, or for content of their own,
/// unless told otherwise.
pub const DEFAULT_WAIT_DEADLINE: Duration = Duration::from_secs(5);

/// Series of figures that a cache keeps unless told otherwise, those of the route `overflow` included.
pub const DEFAULT_MAX_SERIES: usize = 512;

/// Series at most; more is taken for this.
pub const MOST_SERIES: usize = 65_536;

/// Caches the answers of the service it is put on. In axum, add it first, so that it is the innermost of the three; and
/// after all methods of a route, `get(read).post(write).layer(cache)`: those added behind it change things unseen.
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
            regions: Vec::new(),
            region_for: None,
            mount: String::new(),
            wait_deadline: DEFAULT_WAIT_DEADLINE,
            labeler: Labeler::default(),
            max_series: DEFAULT_MAX_SERIES,
            sample_truth: 0.0,
            clock: Clock::system(),
            #[cfg(feature = "redis")]
            redis: None,
            #[cfg(feature = "redis")]
            own_writes: None,
        }
    }

    /// The same with requests' content read ahead where [`Region::body_in_key`] wants it in the key. The service inside gets
    /// [`RequestBody`](super::RequestBody) for a body; [`BodyKeyLayer`] shows how that is mounted.
    #[must_use]
    pub fn with_body_keys(self) -> BodyKeyLayer {
        BodyKeyLayer::new(self)
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
    labeler: Labeler,
    max_series: usize,
    sample_truth: f64,
    clock: Clock,
    #[cfg(feature = "redis")]
    redis: Option<super::RedisStore>,
    #[cfg(feature = "redis")]
    own_writes: Option<super::ReadYourWrites>,
}

impl CacheBuilder {
    /// Bytes that the cache in this process holds at most, keys and headers included. Default
    /// [`DEFAULT_CAPACITY_BYTES`].
    ///
    /// # Panics
    ///
    /// At 0: nothing could be kept.
    #[must_use]
    pub fn capacity_bytes(mut self, capacity_bytes: u64) -> Self {
        assert!(
            capacity_bytes > 0,
            "capacity_bytes wants room for some answers; leave the layer out to cache nothing"
        );
        self.capacity_bytes = capacity_bytes;
        self
    }

    /// Adds a region, or replaces the built-in one of that name.
    ///
    /// # Panics
    ///
    /// Where one of that name was added before.
    #[must_use]
    pub fn region(mut self, region: Region) -> Self {
        let is_new = self
            .regions
            .iter()
            .all(|known| known.name() != region.name());
        assert!(
            is_new,
            "the region `{}` is added twice; say all of it in one place",
            region.name()
        );
        self.regions.push(region);
        self
    }

    /// Says which region a request belongs to; `None` is `api`. Of a name that no region has the cache stays out
    /// (`detail=unknown-region`): none of the rules that were meant would hold. Inside a nested router the path is the one that
    /// this leaves.
    #[must_use]
    pub fn region_for<N: Into<Cow<'static, str>>>(
        mut self,
        region_for: impl Fn(&Parts) -> Option<N> + Send + Sync + 'static,
    ) -> Self {
        self.region_for = Some(Box::new(move |parts| region_for(parts).map(N::into)));
        self
    }

    /// A name that becomes part of every key. Without the feature `axum` two nested routers under one layer see the
    /// same path; give each its own layer with its own mount. Default empty.
    #[must_use]
    pub fn mount(mut self, mount: &str) -> Self {
        mount.clone_into(&mut self.mount);
        self
    }

    /// How long requests wait for the answer of another that asks the same before one of them is sent to the handler as well;
    /// the others go on waiting for whichever answers first, so that a handler that is slow gets one request more for each time
    /// that this passes, and not all at once. And the longest time that a request waits for
    /// content of its own that is part of its key ([`Region::body_in_key`]); then it goes to the handler uncached. Default
    /// [`DEFAULT_WAIT_DEADLINE`].
    #[must_use]
    pub fn wait_deadline(mut self, wait_deadline: Duration) -> Self {
        self.wait_deadline = wait_deadline.min(clock::LONGEST);
        self
    }

    /// Names a request's route in the figures; see [`route`](crate::route).
    ///
    /// It is asked on the way to the handler alone; a stored answer keeps the route of the request that it was made for, and a hit
    /// is counted there.
    #[must_use]
    pub fn route_label(
        mut self,
        label: impl Fn(&Parts) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        self.labeler = Labeler::new(label);
        self
    }

    /// How many (region, route) are kept apart in the figures, some 3 KiB each; at least one more than there are regions.
    /// What comes after is counted in its region's route `overflow`, and in [`CacheStats::dropped_series`](super::CacheStats). Default
    /// [`DEFAULT_MAX_SERIES`], at most [`MOST_SERIES`]. [`Self::build`] refuses fewer.
    #[must_use]
    pub fn max_series(mut self, max_series: usize) -> Self {
        self.max_series = max_series.min(MOST_SERIES);
        self
    }

    /// The share of fresh hits, 0 to 1, for which the handler is asked again in the background, to see whether what was
    /// served is still true: a purge that somebody forgot, or that was lost, shows in [`TruthStats`](super::TruthStats).
    /// Default 0: the handler is never asked for it.
    ///
    /// The handler gets the hit's own request, without its conditions and `Range`, with [`Recomputation`](super::Recomputation) among its
    /// extensions; its answer is compared (status, `Content-Type`, `Content-Encoding`, body) and thrown away. Where it
    /// differs, a later hit on the same answer asks once more, a second after at the earliest: that gives a purge that is on its
    /// way time to come, and what differs each time (a time, a nonce) is told from what is old. So each sampled
    /// hit costs one call of the handler, two where something is amiss; 8 at one time, others are left out and counted.
    /// A route that lives by its time to live alone, without purges, is shown as often as its data changes meanwhile.
    ///
    /// # Panics
    ///
    /// Where `share` is not between 0 and 1.
    #[must_use]
    pub fn sample_truth(mut self, share: f64) -> Self {
        assert!(
            (0.0..=1.0).contains(&share),
            "sample_truth wants a share of hits between 0 and 1, not {share}"
        );
        self.sample_truth = share;
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
    /// `RedisStore::serve_while_away` and 60 s; the clocks of instances and Redis may differ by that minute. Tokens are not
    /// signed: who forges one has his own requests answered by the handler (`detail=behind`), as by `Cache-Control: no-cache`, but
    /// also where [`Region::client_directives`] is off. What a soft purge makes stale may still be given.
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
    ///
    /// # Panics
    ///
    /// Where [`Self::max_series`] leaves no room for a route beside the regions.
    #[must_use]
    pub fn build(mut self) -> (CacheLayer, CacheHandle) {
        for region in Region::built_in() {
            if self
                .regions
                .iter()
                .all(|known| known.name() != region.name())
            {
                self.regions.push(region);
            }
        }
        let regions = self.regions.len();
        assert!(
            self.max_series > regions,
            "max_series wants {} at least, for {regions} regions and a route, not {}",
            regions + 1,
            self.max_series
        );
        let shared = Arc::new(Shared::new(Parameters {
            mount: self.mount,
            clock: self.clock,
            capacity_bytes: self.capacity_bytes,
            wait_deadline: self.wait_deadline,
            regions: self.regions,
            region_for: self.region_for,
            labeler: self.labeler,
            max_series: self.max_series,
            sample_truth: self.sample_truth,
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
