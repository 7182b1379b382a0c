//! The cycle that looks at everything every 30 minutes, and keeps what it found.

mod advice;
mod cycle;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::JoinHandle;

pub(crate) use advice::{Action, Advice, look_again};
pub(crate) use cycle::{CycleReport, STEPS, Trigger};

use crate::Inner;

/// The pause between cycles: 30 minutes.
pub const DEFAULT_INTERVAL: Duration = Duration::from_secs(30 * 60);
/// The shortest pause that is taken: 10 seconds.
pub(crate) const MIN_INTERVAL: Duration = Duration::from_secs(10);
/// So many reports are kept; the oldest goes.
const KEPT: usize = 48;

/// The cycle's schedule and its last reports.
#[derive(Debug)]
pub(crate) struct Cycles {
    interval: Duration,
    is_running: AtomicBool,
    is_stopped: AtomicBool,
    panics: AtomicU64,
    last_id: AtomicU64,
    reports: Mutex<VecDeque<CycleReport>>,
    standing: Mutex<Vec<Standing>>,
    schedule: Mutex<Option<JoinHandle<()>>>,
}

/// What a step has advised when it looked last.
#[derive(Debug, Clone)]
pub(crate) struct Standing {
    step: &'static str,
    /// RFC 3339.
    pub(crate) since: String,
    pub(crate) advice: Vec<Advice>,
}

/// Held while a cycle runs: cycles never overlap.
pub(crate) struct Turn {
    inner: Arc<Inner>,
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.inner.cycles.is_running.store(false, Ordering::Release);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Cycles {
    pub(crate) fn new(interval: Duration) -> Self {
        Self {
            interval,
            is_running: AtomicBool::new(false),
            is_stopped: AtomicBool::new(false),
            panics: AtomicU64::new(0),
            last_id: AtomicU64::new(0),
            reports: Mutex::default(),
            standing: Mutex::default(),
            schedule: Mutex::default(),
        }
    }

    pub(crate) fn interval(&self) -> Duration {
        self.interval
    }

    pub(crate) fn is_running(&self) -> bool {
        self.is_running.load(Ordering::Acquire)
    }

    pub(crate) fn panics(&self) -> u64 {
        self.panics.load(Ordering::Relaxed)
    }

    /// The newest first.
    pub(crate) fn reports(&self) -> Vec<CycleReport> {
        lock(&self.reports).iter().rev().cloned().collect()
    }

    pub(crate) fn last(&self) -> Option<CycleReport> {
        lock(&self.reports).back().cloned()
    }

    /// The advice of each step's last look. A dry run, or a cycle of other steps, has not looked.
    pub(crate) fn standing(&self) -> Vec<Standing> {
        lock(&self.standing).clone()
    }

    fn keep(&self, report: CycleReport) {
        let mut standing = lock(&self.standing);
        for step in report.steps.iter().filter(|step| step.has_looked()) {
            standing.retain(|known| known.step != step.name);
            let of_step = report
                .advice
                .iter()
                .filter(|advice| advice.part == step.name);
            standing.push(Standing {
                step: step.name,
                since: report.started_at.clone(),
                advice: of_step.cloned().collect(),
            });
        }
        drop(standing);
        let mut reports = lock(&self.reports);
        reports.push_back(report);
        if reports.len() > KEPT {
            reports.pop_front();
        }
    }

    pub(crate) async fn stop(&self) {
        self.is_stopped.store(true, Ordering::Release);
        let schedule = lock(&self.schedule).take();
        if let Some(schedule) = schedule {
            schedule.abort();
            // An aborted task ends with an error, which is what was asked for.
            let _ = schedule.await;
        }
    }
}

/// Takes the turn, or tells that a cycle is running. The id is the one that its report will have.
pub(crate) fn take_turn(inner: &Arc<Inner>) -> Option<(Turn, u64)> {
    let was_running = inner.cycles.is_running.swap(true, Ordering::AcqRel);
    if was_running {
        return None;
    }
    let id = inner.cycles.last_id.fetch_add(1, Ordering::Relaxed) + 1;
    Some((
        Turn {
            inner: Arc::clone(inner),
        },
        id,
    ))
}

/// Runs one cycle and keeps its report. A panic in it is caught by the task, and counted.
pub(crate) async fn run(turn: Turn, id: u64, trigger: Trigger, steps: Vec<String>, dry_run: bool) {
    let inner = Arc::clone(&turn.inner);
    let work = tokio::spawn(async move { cycle::run(&inner, id, trigger, &steps, dry_run).await });
    match work.await {
        Ok(report) => turn.inner.cycles.keep(report),
        Err(error) => {
            turn.inner.cycles.panics.fetch_add(1, Ordering::Relaxed);
            tracing::error!(
                cycle = id,
                is_panic = error.is_panic(),
                "an optimisation cycle did not end"
            );
        }
    }
}

/// Starts the schedule where it is not running: at first use inside a runtime, and again where that runtime has died.
pub(crate) fn ensure_running(inner: &Arc<Inner>) {
    let Ok(runtime) = tokio::runtime::Handle::try_current() else {
        return;
    };
    if inner.cycles.is_stopped.load(Ordering::Acquire) {
        return;
    }
    let mut schedule = lock(&inner.cycles.schedule);
    if schedule.as_ref().is_some_and(|task| !task.is_finished()) {
        return;
    }
    let (weak, interval) = (Arc::downgrade(inner), inner.cycles.interval);
    *schedule = Some(runtime.spawn(async move {
        loop {
            tokio::time::sleep(interval).await;
            let Some(inner) = weak.upgrade() else { return };
            // A cycle that an operator has just started serves as well.
            if let Some((turn, id)) = take_turn(&inner) {
                drop(inner);
                run(turn, id, Trigger::Schedule, Vec::new(), false).await;
            }
        }
    }));
}
