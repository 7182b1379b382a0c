//! [`MemoryLayer`], its builder and its handle.

use std::{
    fmt,
    panic::AssertUnwindSafe,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use http::request::Parts;
use tokio::{sync::Notify, task::JoinHandle};
use tower_layer::Layer;

use super::{
    allocator,
    release::{self, ReleaseReport},
    routes::Routes,
    sampler::{Sample, Sampler, Trend, rss_now},
    service::Memory,
    snapshot::{MemorySnapshot, TrendPoint},
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

    /// Names a request's route. Return a template (`/orders/{id}`), not the path. `None` falls back to axum's
    /// `MatchedPath`, then to `unmatched`.
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
        let shared = Arc::new(Shared {
            interval: self.interval,
            labeler: self.labeler,
            clock: self.clock,
            counting: allocator::is_counting(),
            routes: Routes::new(self.max_routes),
            state: Mutex::new(State {
                sampler: None,
                last: None,
                trend: Trend::new(TREND_POINTS),
            }),
            errors: AtomicU64::new(0),
            running: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
            stop: Arc::new(Notify::new()),
            task: Mutex::new(None),
        });
        (
            MemoryLayer {
                shared: shared.clone(),
            },
            MemoryHandle { shared },
        )
    }
}

pub(super) struct Shared {
    interval: Duration,
    pub(super) labeler: Labeler,
    clock: Clock,
    pub(super) counting: bool,
    pub(super) routes: Routes,
    state: Mutex<State>,
    errors: AtomicU64,
    /// Whether a sampler task lives. Cleared by the task's guard however it ends, the death of its runtime included.
    running: AtomicBool,
    stopped: AtomicBool,
    stop: Arc<Notify>,
    task: Mutex<Option<JoinHandle<()>>>,
}

struct State {
    sampler: Option<Sampler>,
    last: Option<(u64, Sample)>,
    trend: Trend,
}

impl Shared {
    /// Starts the sampler unless it runs. One atomic load a request otherwise.
    pub(super) fn ensure_sampling(self: &Arc<Self>) {
        if self.running.load(Ordering::Acquire) || self.stopped.load(Ordering::Acquire) {
            return;
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        if self.running.swap(true, Ordering::AcqRel) {
            return;
        }
        let guard = Running(Arc::downgrade(self));
        let task = runtime.spawn(sample_forever(guard, self.interval, self.stop.clone()));
        *lock(&self.task) = Some(task);
    }

    fn sample(&self) {
        let mut state = lock(&self.state);
        let state = &mut *state;
        let sampler = state.sampler.get_or_insert_with(Sampler::new);
        // A panic inside `sysinfo` or a parser costs one sample, never the task.
        let taken = std::panic::catch_unwind(AssertUnwindSafe(|| sampler.sample(self.clock.now())));
        match taken {
            Ok(Ok(sample)) => {
                let unix_ms = self.clock.unix_ms();
                let (rss_bytes, cpu_percent) =
                    (sample.process.rss_bytes, sample.process.cpu_percent);
                state.last = Some((unix_ms, sample));
                state.trend.push(TrendPoint {
                    unix_ms,
                    rss_bytes,
                    cpu_percent,
                });
            }
            Ok(Err(_)) => {
                self.errors.fetch_add(1, Ordering::Relaxed);
            }
            Err(_) => {
                state.sampler = None;
                self.errors.fetch_add(1, Ordering::Relaxed);
                tracing::warn!("memory sampler panicked; it goes on with a new one");
            }
        }
    }
}

/// Tells, however the task ends, that it no longer runs.
struct Running(Weak<Shared>);

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(shared) = self.0.upgrade() {
            shared.running.store(false, Ordering::Release);
        }
    }
}

async fn sample_forever(guard: Running, interval: Duration, stop: Arc<Notify>) {
    loop {
        // Held only while sampling: the task must not keep a dropped layer alive.
        let Some(shared) = guard.0.upgrade() else {
            return;
        };
        shared.sample();
        if shared.stopped.load(Ordering::Acquire) {
            return;
        }
        drop(shared);
        if tokio::time::timeout(interval, stop.notified())
            .await
            .is_ok()
        {
            return;
        }
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
        let shared = &self.shared;
        let running = shared.running.load(Ordering::Acquire);
        let sampled = lock(&shared.state).last.is_some();
        // Without a running task the last sample may be hours old: a fresh one is the honest answer.
        if !sampled || !running {
            shared.sample();
        }
        let state = lock(&shared.state);
        let (sampled_unix_ms, sample) = state.last.unwrap_or_default();
        MemorySnapshot {
            process: sample.process,
            system: sample.system,
            cgroup: sample.cgroup,
            trend: state.trend.points(),
            routes: shared.routes.snapshot(),
            dropped_routes: shared.routes.dropped(),
            counting: shared.counting,
            sampled_unix_ms,
            sample_errors: shared.errors.load(Ordering::Relaxed),
        }
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
        self.shared.stopped.store(true, Ordering::Release);
        self.shared.stop.notify_one();
        let task = lock(&self.shared.task).take();
        if let Some(task) = task {
            let abort = task.abort_handle();
            if tokio::time::timeout(deadline, task).await.is_err() {
                abort.abort();
            }
        }
    }
}

impl fmt::Debug for MemoryHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryHandle")
            .field("counting", &self.shared.counting)
            .finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
