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
    routes::{MAX_ROUTES, MIN_ROUTES},
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
/// No shorter interval: one sample costs some 100 us.
const MIN_INTERVAL: Duration = Duration::from_millis(10);
/// No longer one: a leak verdict wants a sample each minute.
const MAX_INTERVAL: Duration = Duration::from_secs(60);
/// No shorter pause: a release of a large heap takes 50 ms and more.
const MIN_RELEASE_PAUSE: Duration = Duration::from_secs(1);
/// No longer one: after a day memory that is free is worth a look.
const MAX_RELEASE_PAUSE: Duration = Duration::from_secs(24 * 60 * 60);
/// No less free memory is worth a release.
const MIN_RELEASE_ABOVE: u64 = 1 << 20;

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
    /// Time between two samples, 10 ms to 60 s. Each wait varies by 5 %. Default [`DEFAULT_INTERVAL`].
    #[must_use]
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
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
    /// At least 1 MiB. Off by default.
    #[must_use]
    pub fn release_above(mut self, bytes: u64) -> Self {
        self.release_above = Some(bytes);
        self
    }

    /// Least time between two releases that the sampler or the guard asks for, 1 s to a day. Default [`DEFAULT_RELEASE_PAUSE`].
    #[must_use]
    pub fn release_pause(mut self, pause: Duration) -> Self {
        self.release_pause = pause;
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

    /// The layer for the app and the handle for whoever wants to read it. Starts nothing: the sampler's thread starts with the
    /// first request. A setting out of its range counts as
    /// the nearest end of it; [`try_build`](Self::try_build) refuses it.
    ///
    /// # Panics
    ///
    /// Where a [`guard`](Self::guard) is set that cannot be; [`try_build`](Self::try_build) answers the error instead.
    #[must_use]
    pub fn build(mut self) -> (MemoryLayer, MemoryHandle) {
        self.interval = self.interval.clamp(MIN_INTERVAL, MAX_INTERVAL);
        self.max_routes = self.max_routes.clamp(MIN_ROUTES, MAX_ROUTES);
        self.release_above = self.release_above.map(|bytes| bytes.max(MIN_RELEASE_ABOVE));
        self.release_pause = self
            .release_pause
            .clamp(MIN_RELEASE_PAUSE, MAX_RELEASE_PAUSE);
        match self.built() {
            Ok(built) => built,
            Err(error) => panic!("the memory guard: {error}"),
        }
    }

    /// [`build`](Self::build), where no setting is out of its range.
    ///
    /// # Errors
    ///
    /// [`BuildError`], which names the setting, what it is and what it may be; of a guard the [`GuardError`] where its limits
    /// cannot be: no limit is there, limit or use is not known, a limit is above the control group's or below what is in use already.
    pub fn try_build(self) -> Result<(MemoryLayer, MemoryHandle), BuildError> {
        if !(MIN_INTERVAL..=MAX_INTERVAL).contains(&self.interval) {
            return Err(BuildError::Interval(self.interval));
        }
        if !(MIN_ROUTES..=MAX_ROUTES).contains(&self.max_routes) {
            return Err(BuildError::MaxRoutes(self.max_routes));
        }
        if let Some(bytes) = self
            .release_above
            .filter(|bytes| *bytes < MIN_RELEASE_ABOVE)
        {
            return Err(BuildError::ReleaseAbove(bytes));
        }
        if !(MIN_RELEASE_PAUSE..=MAX_RELEASE_PAUSE).contains(&self.release_pause) {
            return Err(BuildError::ReleasePause(self.release_pause));
        }
        Ok(self.built()?)
    }

    fn built(self) -> Result<(MemoryLayer, MemoryHandle), GuardError> {
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

/// A setting is out of its range, or a guard cannot be.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// Of [`MemoryBuilder::interval`].
    #[error("interval wants {MIN_INTERVAL:?} to {MAX_INTERVAL:?}, not {0:?}")]
    Interval(Duration),
    /// Of [`MemoryBuilder::max_routes`].
    #[error("max_routes wants {MIN_ROUTES} to {MAX_ROUTES}, not {0}")]
    MaxRoutes(usize),
    /// Of [`MemoryBuilder::release_above`].
    #[error("release_above wants {MIN_RELEASE_ABOVE} bytes at least, not {0}")]
    ReleaseAbove(u64),
    /// Of [`MemoryBuilder::release_pause`].
    #[error("release_pause wants {MIN_RELEASE_PAUSE:?} to {MAX_RELEASE_PAUSE:?}, not {0:?}")]
    ReleasePause(Duration),
    /// Of [`MemoryBuilder::guard`].
    #[error("the memory guard: {0}")]
    Guard(#[from] GuardError),
}
