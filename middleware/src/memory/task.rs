//! The sampler's task: one a layer, started by a request, and again should its runtime end.

use std::{
    cell::Cell,
    panic::AssertUnwindSafe,
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicBool, Ordering},
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
    /// Whether a sampler lives. Cleared by its guard however it ends, the death of its runtime included.
    running: AtomicBool,
    stopped: AtomicBool,
    stop: Arc<Notify>,
    handle: Mutex<Option<JoinHandle<()>>>,
}

impl Task {
    pub(super) fn is_running(&self) -> bool {
        self.running.load(Ordering::Acquire)
    }
}

thread_local! {
    /// The runtime that was found to be without timers on this thread; the sampler cannot wait there.
    static TIMELESS: Cell<Option<Id>> = const { Cell::new(None) };
}

/// Starts a sampler in the runtime that this thread is in, if it has timers.
pub(super) fn start(shared: &Arc<Shared>) {
    let Ok(runtime) = Handle::try_current() else {
        return;
    };
    if TIMELESS.try_with(Cell::get).ok().flatten() == Some(runtime.id()) {
        return;
    }
    // Tokio says by a panic alone that there are no timers; once for a thread it is let happen where it harms nobody.
    if std::panic::catch_unwind(|| drop(tokio::time::sleep(Duration::ZERO))).is_err() {
        let _ = TIMELESS.try_with(|timeless| timeless.set(Some(runtime.id())));
        tracing::warn!(
            target: "pitcrew::memory",
            "this Tokio runtime has no timers (enable_time): memory is sampled when somebody asks, and the guard does nothing"
        );
        return;
    }
    if !shared.claim_start() {
        return;
    }
    let task = &shared.task;
    if task.stopped.load(Ordering::Acquire) {
        return;
    }
    task.running.store(true, Ordering::Release);
    let guard = Running(Arc::downgrade(shared));
    let spawned = runtime.spawn(sample_forever(guard, shared.interval, task.stop.clone()));
    *lock(&task.handle) = Some(spawned);
}

/// Ends the task, and waits for that.
pub(super) async fn stop(shared: &Shared, deadline: Duration) {
    let task = &shared.task;
    task.stopped.store(true, Ordering::Release);
    shared.claim_start();
    task.stop.notify_one();
    let handle = lock(&task.handle).take();
    if let Some(handle) = handle {
        let abort = handle.abort_handle();
        if tokio::time::timeout(deadline, handle).await.is_err() {
            abort.abort();
        }
    }
}

/// Tells, however the task ends, that it no longer runs.
struct Running(Weak<Shared>);

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(shared) = self.0.upgrade() {
            shared.task.running.store(false, Ordering::Release);
            shared.ended(!shared.task.stopped.load(Ordering::Acquire));
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
        if let Some(relief) = shared.sample(true) {
            let shared = shared.clone();
            tokio::task::spawn_blocking(move || {
                if std::panic::catch_unwind(AssertUnwindSafe(|| shared.relieve(relief))).is_err() {
                    shared.panics.fetch_add(1, Ordering::Relaxed);
                    tracing::warn!(target: "pitcrew::memory", "giving memory back panicked");
                }
            });
        }
        if shared.task.stopped.load(Ordering::Acquire) {
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
