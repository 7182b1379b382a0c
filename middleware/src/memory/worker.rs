//! The sampler's thread: one a layer, started by its first request.
//!
//! A thread and not a task: it needs no runtime and none with timers, what blocks a runtime does not stop it, and what it reads
//! of `/proc` keeps no request waiting. It holds only a weak reference to the layer between two samples, and ends with it.

use std::{
    panic::AssertUnwindSafe,
    sync::{
        Arc, Condvar, Mutex, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use super::{
    sampling::Relief,
    shared::{Shared, lock},
};

/// An interval is lengthened or shortened by up to this share, so that instances do not all sample at once.
pub(super) const JITTER: f64 = 0.05;

/// The thread's name, cut to what Linux shows.
const NAME: &str = "pitcrew-memory";
/// That of one which gives memory back: it may take a tenth of a second and more.
const RELIEF: &str = "pitcrew-relief";

#[derive(Default)]
pub(super) struct Worker {
    /// The number of the sampler that looks, 0 where none does. Cleared by its guard however it ends.
    current: AtomicU64,
    /// Samplers that were started.
    started: AtomicU64,
    stopped: AtomicBool,
    signal: Arc<Signal>,
}

#[derive(Default)]
struct Signal {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    running: usize,
    is_told_to_end: bool,
}

impl Worker {
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

impl Drop for Worker {
    fn drop(&mut self) {
        self.signal.end();
    }
}

impl Signal {
    /// Tells all samplers to end, for good.
    fn end(&self) {
        lock(&self.state).is_told_to_end = true;
        self.changed.notify_all();
    }

    /// Waits so long, or until they are told to end: whether they are.
    fn wait(&self, wait: Duration) -> bool {
        let state = lock(&self.state);
        let waited = self
            .changed
            .wait_timeout_while(state, wait, |state| !state.is_told_to_end);
        match waited {
            Ok((state, _)) => state.is_told_to_end,
            Err(poisoned) => poisoned.into_inner().0.is_told_to_end,
        }
    }

    /// Waits for the end of all that run. Whether they have ended in time.
    fn join(&self, deadline: Duration) -> bool {
        let state = lock(&self.state);
        let waited = self
            .changed
            .wait_timeout_while(state, deadline, |state| state.running > 0);
        match waited {
            Ok((state, _)) => state.running == 0,
            Err(poisoned) => poisoned.into_inner().0.running == 0,
        }
    }
}

/// Starts a sampler. One that is there already loses its place: it has not looked for too long. Where no thread can be had
/// nothing is sampled but when somebody asks, which also tries again.
pub(super) fn start(shared: &Arc<Shared>) {
    if !shared.attention.claim_start() {
        return;
    }
    let worker = &shared.worker;
    if worker.is_stopped() {
        return;
    }
    let number = worker.started.fetch_add(1, Ordering::AcqRel) + 1;
    worker.current.store(number, Ordering::Release);
    shared.begins();
    lock(&worker.signal.state).running += 1;
    let running = Running {
        shared: Arc::downgrade(shared),
        number,
        signal: worker.signal.clone(),
    };
    let interval = shared.interval;
    let thread = std::thread::Builder::new()
        .name(NAME.to_owned())
        .spawn(move || sample_until_told(&running, interval));
    // What was not started has told its end by its drop.
    if let Err(error) = thread {
        tracing::warn!(
            target: "pitcrew::memory",
            %error,
            "memory is sampled when somebody asks, and the guard does nothing"
        );
    }
}

/// Ends the thread, and waits for that. Blocks.
pub(super) fn stop(shared: &Shared, deadline: Duration) -> bool {
    let worker = &shared.worker;
    worker.stopped.store(true, Ordering::Release);
    worker.current.store(0, Ordering::Release);
    shared.ended();
    worker.signal.end();
    worker.signal.join(deadline)
}

/// Tells, however the thread ends, that it no longer runs.
struct Running {
    shared: Weak<Shared>,
    number: u64,
    signal: Arc<Signal>,
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(shared) = self.shared.upgrade() {
            let current = &shared.worker.current;
            let ended =
                current.compare_exchange(self.number, 0, Ordering::AcqRel, Ordering::Relaxed);
            if ended.is_ok() {
                shared.ended();
            }
        }
        lock(&self.signal.state).running -= 1;
        self.signal.changed.notify_all();
    }
}

fn sample_until_told(running: &Running, interval: Duration) {
    let mut turn = std::process::id();
    loop {
        // Held only while sampling: the thread must not keep a dropped layer alive.
        let Some(shared) = running.shared.upgrade() else {
            return;
        };
        if let Some(relief) = shared.sample(Some(running.number)) {
            relieve_beside(&shared, relief);
        }
        if !shared.worker.is_current(running.number) {
            return;
        }
        drop(shared);
        turn = turn.wrapping_add(1);
        if running.signal.wait(jittered(interval, turn)) {
            return;
        }
    }
}

/// On a thread of its own, so that samples go on meanwhile; where there is none to be had, here.
fn relieve_beside(shared: &Arc<Shared>, relief: Relief) {
    let relieve = move |shared: &Shared| {
        if std::panic::catch_unwind(AssertUnwindSafe(|| shared.relieve(relief))).is_err() {
            shared.panics.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(target: "pitcrew::memory", "giving memory back panicked");
        }
    };
    let beside = shared.clone();
    let thread = std::thread::Builder::new()
        .name(RELIEF.to_owned())
        .spawn(move || relieve(&beside));
    if thread.is_err() {
        relieve(shared);
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

    #[test]
    fn whoever_comes_first_starts_one_sampler_and_the_layers_end_ends_it() {
        let (layer, handle) = crate::MemoryLayer::builder()
            .interval(Duration::from_secs(60))
            .build();
        let signal = handle.shared().worker.signal.clone();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..100 {
                        handle.shared().attend("/");
                    }
                });
            }
        });
        assert_eq!(handle.shared().worker.started.load(Ordering::Acquire), 1);
        assert!(!signal.join(Duration::ZERO), "it runs");
        drop((layer, handle));
        // Long before its interval is over.
        assert!(signal.join(Duration::from_secs(30)));
    }

    #[test]
    fn what_was_stopped_has_ended_and_starts_no_more() {
        let (_layer, handle) = crate::MemoryLayer::builder()
            .interval(Duration::from_secs(60))
            .build();
        let shared = handle.shared();
        shared.attend("/");
        assert!(stop(shared, Duration::from_secs(30)));
        shared.attend("/");
        let _ = shared.snapshot();
        shared.attend("/");
        assert_eq!(shared.worker.started.load(Ordering::Acquire), 1);
        assert!(!shared.worker.is_running());
    }
}
