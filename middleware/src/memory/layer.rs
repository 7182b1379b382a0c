//! [`MemoryLayer`], its builder and its handle.

use std::{fmt, sync::Arc, time::Duration};

use http::request::Parts;
use tower_layer::Layer;

use super::{
    release::{self, ReleaseReport},
    sampler::rss_now,
    service::Memory,
    shared::Shared,
    snapshot::MemorySnapshot,
};
use crate::{clock::Clock, route::Labeler};

/// Time between two samples unless told otherwise.
pub const DEFAULT_INTERVAL: Duration = Duration::from_secs(1);
/// (route, method) pairs kept apart unless told otherwise, the `overflow` row included.
pub const DEFAULT_MAX_ROUTES: usize = 512;
/// Points in [`MemorySnapshot::trend`] at most: an hour at one a second, then thinned.
pub const TREND_POINTS: usize = 3_600;
/// A shorter interval is raised to this: one sample costs some 50 us.
const MIN_INTERVAL: Duration = Duration::from_millis(10);

/// Counts bytes allocated per route, and keeps the sampler running.
#[derive(Clone)]
pub struct MemoryLayer {
    shared: Arc<Shared>,
}

impl MemoryLayer {
    /// Starts with the defaults: a sample each second, labels from axum's `MatchedPath`.
    #[must_use]
    pub fn builder() -> MemoryBuilder {
        MemoryBuilder {
            interval: DEFAULT_INTERVAL,
            max_routes: DEFAULT_MAX_ROUTES,
            labeler: Labeler::default(),
            clock: Clock::system(),
        }
    }
}

impl<S> Layer<S> for MemoryLayer {
    type Service = Memory<S>;

    fn layer(&self, inner: S) -> Memory<S> {
        Memory::new(inner, self.shared.clone())
    }
}

impl fmt::Debug for MemoryLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryLayer")
            .field("counting", &self.shared.counting)
            .finish_non_exhaustive()
    }
}

/// Settings of a [`MemoryLayer`].
#[derive(Debug)]
pub struct MemoryBuilder {
    interval: Duration,
    max_routes: usize,
    labeler: Labeler,
    clock: Clock,
}

impl MemoryBuilder {
    /// Time between two samples; at least 10 ms. Default [`DEFAULT_INTERVAL`].
    #[must_use]
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval.max(MIN_INTERVAL);
        self
    }

    /// How many (route, method) pairs are kept apart; at least 2. What comes after is counted in the route `overflow`
    /// and in [`MemorySnapshot::dropped_routes`]. Default [`DEFAULT_MAX_ROUTES`].
    #[must_use]
    pub fn max_routes(mut self, max_routes: usize) -> Self {
        self.max_routes = max_routes;
        self
    }

    /// Names a request's route; see [`route`](crate::route).
    #[must_use]
    pub fn route_label(
        mut self,
        label: impl Fn(&Parts) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        self.labeler = Labeler::new(label);
        self
    }

    /// Replaces the clock; for tests.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// The layer for the app and the handle for whoever wants to read it. Spawns nothing: the sampler starts with the
    /// first request that is served inside a Tokio runtime, and again should that runtime end.
    #[must_use]
    pub fn build(self) -> (MemoryLayer, MemoryHandle) {
        let shared = Arc::new(Shared::new(
            self.interval,
            self.max_routes,
            self.labeler,
            self.clock,
        ));
        (
            MemoryLayer {
                shared: shared.clone(),
            },
            MemoryHandle { shared },
        )
    }
}

/// Reads what a [`MemoryLayer`] knows and gives memory back. Cheap to clone.
#[derive(Clone)]
pub struct MemoryHandle {
    shared: Arc<Shared>,
}

impl MemoryHandle {
    /// The last sample, at most an interval old while the sampler runs. Where there is none yet, one is taken now.
    #[must_use]
    pub fn snapshot(&self) -> MemorySnapshot {
        self.shared.snapshot()
    }

    /// Gives freed memory back to the operating system (`malloc_trim` on glibc), on a blocking thread, and says what
    /// came of it. Where there is no such call the report says `supported: false`.
    ///
    /// Runs on the calling thread where no Tokio runtime is there.
    pub async fn release(&self) -> ReleaseReport {
        let run = || release::release(rss_now);
        let report = match tokio::runtime::Handle::try_current() {
            Ok(runtime) => runtime.spawn_blocking(run).await,
            Err(_) => Ok(run()),
        };
        let report =
            report.unwrap_or_else(|error| ReleaseReport::failed(rss_now(), &error.to_string()));
        self.shared.sample();
        report
    }

    /// Stops the sampler and waits for its end, `deadline` at most. Later requests do not start it again.
    pub async fn shutdown(&self, deadline: Duration) {
        self.shared.stop(deadline).await;
    }
}

impl fmt::Debug for MemoryHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryHandle")
            .field("counting", &self.shared.counting)
            .finish_non_exhaustive()
    }
}
