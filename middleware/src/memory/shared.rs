//! What a layer, its services, its sampler task and its handle share; and that task.

use std::{
    panic::AssertUnwindSafe,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{sync::Notify, task::JoinHandle};

use super::{
    allocator,
    layer::TREND_POINTS,
    routes::Routes,
    sampler::{Sample, Sampler, Trend},
    snapshot::{MemorySnapshot, TrendPoint},
};
use crate::{clock::Clock, route::Labeler};

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
    pub(super) fn new(
        interval: Duration,
        max_routes: usize,
        labeler: Labeler,
        clock: Clock,
    ) -> Self {
        Self {
            interval,
            labeler,
            clock,
            counting: allocator::is_counting(),
            routes: Routes::new(max_routes),
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
        }
    }

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

    pub(super) fn sample(&self) {
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

    /// The last sample. Without a running task that may be hours old: then a fresh one is the honest answer.
    pub(super) fn snapshot(&self) -> MemorySnapshot {
        let running = self.running.load(Ordering::Acquire);
        let sampled = lock(&self.state).last.is_some();
        // Without a running task the last sample may be hours old: a fresh one is the honest answer.
        if !sampled || !running {
            self.sample();
        }
        let state = lock(&self.state);
        let (sampled_unix_ms, sample) = state.last.unwrap_or_default();
        MemorySnapshot {
            process: sample.process,
            system: sample.system,
            cgroup: sample.cgroup,
            trend: state.trend.points(),
            routes: self.routes.snapshot(),
            dropped_routes: self.routes.dropped(),
            counting: self.counting,
            sampled_unix_ms,
            sample_errors: self.errors.load(Ordering::Relaxed),
        }
    }

    /// Ends the task, and waits for that.
    pub(super) async fn stop(&self, deadline: Duration) {
        self.stopped.store(true, Ordering::Release);
        self.stop.notify_one();
        let task = lock(&self.task).take();
        if let Some(task) = task {
            let abort = task.abort_handle();
            if tokio::time::timeout(deadline, task).await.is_err() {
                abort.abort();
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

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
