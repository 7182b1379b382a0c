//! [`Folder`]: the thread that folds in the background.
//!
//! A thread and not a task: the layer needs no runtime, and what blocks a runtime does not stop its figures. It starts when a
//! thread first has something to record, holds only a weak reference to the layer between two folds, and ends with it.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak},
    time::{Duration, Instant},
};

use super::recorder::shared::Shared;

/// Time between two folds in the background.
pub const FOLD_INTERVAL: Duration = Duration::from_millis(500);

/// The thread's name, cut to what Linux shows.
const NAME: &str = "pitcrew-latency";

/// Starts and ends the thread.
#[derive(Debug, Default)]
pub(crate) struct Folder {
    signal: Arc<Signal>,
}

#[derive(Debug, Default)]
struct Signal {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    is_running: bool,
    is_told_to_end: bool,
    panics: u64,
}

impl Signal {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Folder {
    /// Starts the thread unless it runs or was told to end. Where it cannot be spawned, whoever asks for a snapshot folds, and
    /// the next thread that meets the layer tries again.
    pub(crate) fn start(&self, shared: Weak<Shared>) {
        let mut state = self.signal.state();
        if state.is_running || state.is_told_to_end {
            return;
        }
        let signal = self.signal.clone();
        let thread = std::thread::Builder::new()
            .name(NAME.to_owned())
            .spawn(move || run(&shared, &signal));
        match thread {
            Ok(_) => state.is_running = true,
            Err(error) => {
                tracing::warn!(%error, "latency figures are folded when they are asked for")
            }
        }
    }

    /// Folds that panicked.
    pub(crate) fn panics(&self) -> u64 {
        self.signal.state().panics
    }

    /// Tells it to end, for good.
    pub(crate) fn end(&self) {
        self.signal.state().is_told_to_end = true;
        self.signal.changed.notify_all();
    }

    /// Waits for its end. Whether it has ended in time.
    pub(crate) fn join(&self, deadline: Duration) -> bool {
        let until = Instant::now().checked_add(deadline);
        let mut state = self.signal.state();
        while state.is_running {
            // A deadline beyond what a clock can say is none.
            let left = until.map_or(FOLD_INTERVAL, |until| {
                until.saturating_duration_since(Instant::now())
            });
            if left.is_zero() {
                return false;
            }
            state = match self.signal.changed.wait_timeout(state, left) {
                Ok((state, _)) => state,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
        true
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        self.end();
    }
}

fn run(shared: &Weak<Shared>, signal: &Signal) {
    loop {
        let mut state = signal.state();
        let due = Instant::now() + FOLD_INTERVAL;
        while !state.is_told_to_end {
            let left = due.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            state = match signal.changed.wait_timeout(state, left) {
                Ok((state, _)) => state,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
        let is_told_to_end = state.is_told_to_end;
        drop(state);
        let Some(shared) = shared.upgrade().filter(|_| !is_told_to_end) else {
            break;
        };
        // What panics is counted, and tried again with the next fold: the figures before it are still there.
        let fold = catch_unwind(AssertUnwindSafe(|| shared.fold_in_background()));
        // Perhaps the last reference: the layer may go here.
        drop(shared);
        if fold.is_err() {
            signal.state().panics += 1;
        }
    }
    signal.state().is_running = false;
    signal.changed.notify_all();
}
