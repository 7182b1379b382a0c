//! The sampler's task: one a layer, started by a request, and again should its runtime end.

use std::{
    cell::Cell,
    panic::AssertUnwindSafe,
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    runtime::{Handle, Id},
    sync::Notify,
    task::JoinHandle,
};

use super::shared::{Shared, lock};

/// An interval is lengthened or shortened by up to this share, so that instances do not all sample at once.
pub(super) const JITTER: f64 = 0.05;

#[derive(Default)]
pub(super) struct Task {
    /// The number of the sampler that looks, 0 where none does. Cleared by its guard however it ends, the death of its runtime
    /// included.
    current: AtomicU64,
    /// Samplers that were started.
    started: AtomicU64,
    stopped: AtomicBool,
    handle: Mutex<Option<Spawned>>,
}

struct Spawned {
    stop: Arc<Notify>,
    handle: JoinHandle<()>,
}

impl Task {
    pub(super) fn has_begun(&self) -> bool {
        self.started.load(Ordering::Acquire) != 0
    }

    pub(super) fn is_running(&self) -> bool {
        self.current.load(Ordering::Acquire) != 0
    }

    pub(super) fn is_current(&self, number: u64) -> bool {
        self.current.load(Ordering::Acquire) == number
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }
}

thread_local! {
    /// The runtime that was found to be without timers on this thread; the sampler cannot wait there.
    static TIMELESS: Cell<Option<Id>> = const { Cell::new(None) };
}

/// Starts a sampler in the runtime that this thread is in, if it has timers. One that is there already loses its place: it was not
/// driven.
pub(super) fn start(shared: &Arc<Shared>) {
    let Ok(runtime) = Handle::try_current() else {
        return;
    };
    if !has_timers(&runtime) || !shared.attention.claim_start() {
        return;
    }
    let task = &shared.task;
    if task.is_stopped() {
        return;
    }
    let number = task.started.fetch_add(1, Ordering::AcqRel) + 1;
    task.current.store(number, Ordering::Release);
    shared.begins();
    let stop = Arc::new(Notify::new());
    let guard = Running(Arc::downgrade(shared), number);
    let spawned = Spawned {
        handle: runtime.spawn(sample_forever(guard, shared.interval, stop.clone())),
        stop,
    };
    let before = lock(&task.handle).replace(spawned);
    if let Some(before) = before {
        before.handle.abort();
    }
}

/// Whether a sampler can wait in this runtime.
fn has_timers(runtime: &Handle) -> bool {
    if TIMELESS.try_with(Cell::get).ok().flatten() == Some(runtime.id()) {
        return false;
    }
    // Tokio says by a panic alone that there are no timers; once for a thread it is let happen where it harms nobody.
    let has = std::panic::catch_unwind(|| drop(tokio::time::sleep(Duration::ZERO))).is_ok();
    if !has {
        let _ = TIMELESS.try_with(|timeless| timeless.set(Some(runtime.id())));
        tracing::warn!(
            target: "pitcrew::memory",
            "this Tokio runtime has no timers (enable_time): memory is sampled when somebody asks, and the guard does nothing"
        );
    }
    has
}

/// Ends the task. Waits for that where there are timers to bound the wait.
pub(super) async fn stop(shared: &Shared, deadline: Duration) {
    let task = &shared.task;
    task.stopped.store(true, Ordering::Release);
    task.current.store(0, Ordering::Release);
    shared.ended();
    let Some(Spawned { stop, handle }) = lock(&task.handle).take() else {
        return;
    };
    stop.notify_one();
    let abort = handle.abort_handle();
    let can_wait = Handle::try_current().is_ok_and(|runtime| has_timers(&runtime));
    if !can_wait || tokio::time::timeout(deadline, handle).await.is_err() {
        abort.abort();
    }
}

/// Tells, however the task ends, that it no longer runs.
struct Running(Weak<Shared>, u64);

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(shared) = self.0.upgrade() {
            let current = &shared.task.current;
            let ended = current.compare_exchange(self.1, 0, Ordering::AcqRel, Ordering::Relaxed);
            if ended.is_ok() {
                shared.ended();
            }
        }
    }
}

async fn sample_forever(guard: Running, interval: Duration, stop: Arc<Notify>) {
    let mut turn = std::process::id();
    loop {
        // Held only while sampling: the task must not keep a dropped layer alive.
        let Some(shared) = guard.0.upgrade() else {
            return;
        };
        if let Some(relief) = shared.sample(Some(guard.1)) {
            let shared = shared.clone();
            tokio::task::spawn_blocking(move || {
                if std::panic::catch_unwind(AssertUnwindSafe(|| shared.relieve(relief))).is_err() {
                    shared.panics.fetch_add(1, Ordering::Relaxed);
                    tracing::warn!(target: "pitcrew::memory", "giving memory back panicked");
                }
            });
        }
        if !shared.task.is_current(guard.1) {
            return;
        }
        drop(shared);
        turn = turn.wrapping_add(1);
        let wait = jittered(interval, turn);
        if tokio::time::timeout(wait, stop.notified()).await.is_ok() {
            return;
        }
    }
}

/// Multiples of the golden ratio: evenly spread over the turns, another sequence for each process.
fn jittered(interval: Duration, turn: u32) -> Duration {
    let unit = f64::from(turn.wrapping_mul(0x9e37_79b9)) / f64::from(u32::MAX);
    interval.mul_f64(1.0 + JITTER * (2.0 * unit - 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_vary_by_the_share_that_is_said_and_keep_their_mean() {
        let second = Duration::from_secs(1);
        let all: Vec<f64> = (0..10_000)
            .map(|turn| jittered(second, turn).as_secs_f64())
            .collect();
        assert!(all.iter().all(|s| (0.949..1.051).contains(s)));
        let mean = all.iter().sum::<f64>() / 10_000.0;
        assert!((mean - 1.0).abs() < 1e-3, "{mean}");
        let (low, high) = (
            all.iter().filter(|s| **s < 0.97).count(),
            all.iter().filter(|s| **s > 1.03).count(),
        );
        assert!(low > 1_500 && high > 1_500, "{low} {high}");
    }
}
