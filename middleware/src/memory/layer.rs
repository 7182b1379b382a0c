//! [`MemoryLayer`] and its builder.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use http::request::Parts;
use tower_layer::Layer;

use super::{
    guard::{Guard, GuardError},
    handle::MemoryHandle,
    sampler::Sampler,
    service::Memory,
    settings::Settings,
    shared::Shared,
    shrink::ShrinkFn,
};
use crate::{clock::Clock, route::Labeler};

/// Time between two samples unless told otherwise.
pub const DEFAULT_INTERVAL: Duration = Duration::from_secs(1);
/// (route, method) pairs kept apart unless told otherwise, the `overflow` row included.
pub const DEFAULT_MAX_ROUTES: usize = 512;
/// Least time between two releases that the sampler asks for unless told otherwise.
pub const DEFAULT_RELEASE_PAUSE: Duration = Duration::from_secs(60);
/// A shorter interval is raised to this: one sample costs some 100 us.
const MIN_INTERVAL: Duration = Duration::from_millis(10);
/// A longer one is lowered to this: a leak verdict wants a sample each minute.
const MAX_INTERVAL: Duration = Duration::from_secs(60);
/// A shorter pause is raised to this, a release of a large heap takes 50 ms and more.
const MIN_RELEASE_PAUSE: Duration = Duration::from_secs(1);

/// Counts bytes allocated per route, and keeps the sampler running.
#[derive(Clone)]
pub struct MemoryLayer {
    shared: Arc<Shared>,
}

impl MemoryLayer {
    /// Starts with the defaults: a sample each second, labels from axum's `MatchedPath`, no guard, nothing released by
    /// itself.
    #[must_use]
    pub fn builder() -> MemoryBuilder {
        MemoryBuilder {
            interval: DEFAULT_INTERVAL,
            max_routes: DEFAULT_MAX_ROUTES,
            labeler: Labeler::default(),
            clock: Clock::system(),
            root: PathBuf::from("/"),
            guard: None,
            release_above: None,
            release_pause: DEFAULT_RELEASE_PAUSE,
            shrinks: Vec::new(),
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
pub struct MemoryBuilder {
    interval: Duration,
    max_routes: usize,
    labeler: Labeler,
    clock: Clock,
    root: PathBuf,
    guard: Option<Guard>,
    release_above: Option<u64>,
    release_pause: Duration,
    shrinks: Vec<(String, Arc<ShrinkFn>)>,
}

impl MemoryBuilder {
    /// Time between two samples, 10 ms to 60 s; what lies outside is taken for the nearer end. Each wait varies by 5 %.
    /// Default [`DEFAULT_INTERVAL`].
    #[must_use]
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval.clamp(MIN_INTERVAL, MAX_INTERVAL);
        self
    }

    /// How many (route, method) pairs are kept apart, 2 to 65,536. What comes after is counted in the route `overflow`
    /// and in [`MemorySnapshot::dropped_routes`](super::MemorySnapshot::dropped_routes). Default [`DEFAULT_MAX_ROUTES`].
    #[must_use]
    pub fn max_routes(mut self, max_routes: usize) -> Self {
        self.max_routes = max_routes;
        self
    }

    /// Names a request's route. Where it answers `None`, axum's `MatchedPath` does, else its `NestedPath` with `/*` after it
    /// (feature `axum`), else it is `unmatched`; see [`route`](crate::route). A label that is longer than
    /// [`MAX_LABEL_BYTES`](crate::route::MAX_LABEL_BYTES) counts in the route `overflow`.
    #[must_use]
    pub fn route_label(
        mut self,
        label: impl Fn(&Parts) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        self.labeler = Labeler::new(label);
        self
    }

    /// Shrinks caches and refuses requests when memory runs short; see [`Guard`]. Off by default.
    #[must_use]
    pub fn guard(mut self, guard: Guard) -> Self {
        self.guard = Some(guard);
        self
    }

    /// Gives memory back by itself, on a blocking thread, as soon as so many bytes are resident but free
    /// ([`AllocatorMemory::free_resident_bytes`](super::AllocatorMemory::free_resident_bytes); with glibc alone its own
    /// figure, asked for once in [`release_pause`](Self::release_pause)). Figures of free memory are estimates: a release that
    /// gives less than an eighth of `bytes` doubles the pause, to 64 times what was set, until the process has grown by so much.
    /// Off by default.
    #[must_use]
    pub fn release_above(mut self, bytes: u64) -> Self {
        self.release_above = Some(bytes);
        self
    }

    /// Least time between two releases that the sampler or the guard asks for, at least 1 s. Default
    /// [`DEFAULT_RELEASE_PAUSE`].
    #[must_use]
    pub fn release_pause(mut self, pause: Duration) -> Self {
        self.release_pause = pause.max(MIN_RELEASE_PAUSE);
        self
    }

    /// As [`MemoryHandle::register_shrink`]; what is over its bound is dropped with a warning in the log.
    #[must_use]
    pub fn shrink(
        mut self,
        name: &str,
        shrink: impl Fn(f64) -> u64 + Send + Sync + 'static,
    ) -> Self {
        self.shrinks.push((name.to_owned(), Arc::new(shrink)));
        self
    }

    /// Replaces the clock; for tests.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Reads `proc` and `sys` below `root` instead of `/`; for tests, and where they are mounted elsewhere. Memory, swap and CPU of
    /// the machine ([`SystemMemory`](super::SystemMemory)) come from `sysinfo` and stay those of the real machine, but for pressure.
    #[must_use]
    pub fn system_root(mut self, root: impl AsRef<Path>) -> Self {
        self.root = root.as_ref().to_path_buf();
        self
    }

    /// The layer for the app and the handle for whoever wants to read it. Spawns nothing: the sampler starts with the
    /// first request that is served inside a Tokio runtime, and again should that runtime end.
    ///
    /// # Panics
    ///
    /// Where a [`guard`](Self::guard) is set that cannot be; [`try_build`](Self::try_build) answers the error instead.
    #[must_use]
    pub fn build(self) -> (MemoryLayer, MemoryHandle) {
        match self.try_build() {
            Ok(built) => built,
            Err(error) => panic!("the memory guard: {error}"),
        }
    }

    /// As [`build`](Self::build).
    ///
    /// # Errors
    ///
    /// [`GuardError`] where the guard's limits cannot be: no limit is there, limit or use is not known, a limit is above the
    /// control group's or below what is in use already.
    pub fn try_build(self) -> Result<(MemoryLayer, MemoryHandle), GuardError> {
        let guard = match &self.guard {
            None => None,
            Some(guard) => {
                let now = Sampler::new(&self.root).sample(self.clock.now());
                Some(guard.check(&now)?)
            }
        };
        let shared = Arc::new(Shared::new(Settings {
            interval: self.interval,
            max_routes: self.max_routes,
            labeler: self.labeler,
            clock: self.clock,
            root: self.root,
            guard,
            release_above: self.release_above,
            release_pause: self.release_pause,
        }));
        for (name, shrink) in self.shrinks {
            if let Err(error) = shared.shrinks.add(&name, shrink) {
                tracing::warn!(target: "pitcrew::memory", name, %error, "a shrink callback is left out");
            }
        }
        let layer = MemoryLayer {
            shared: shared.clone(),
        };
        Ok((layer, MemoryHandle::new(shared)))
    }
}

impl fmt::Debug for MemoryBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryBuilder")
            .field("interval", &self.interval)
            .field("max_routes", &self.max_routes)
            .field("guard", &self.guard)
            .finish_non_exhaustive()
    }
}
