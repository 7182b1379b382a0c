//! The cycle that looks at everything every 30 minutes, does what it may, and keeps what it found.

mod act;
mod advice;
mod cycle;
mod policy;
mod pools;
mod report;
mod reports;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::Instant;

pub(crate) use advice::{Action, Advice, look_again};
pub(crate) use cycle::{Asked, PARTS, STEPS};
pub use policy::{Policy, Tuning};
use report::CycleReport;
pub(crate) use report::Trigger;
use reports::Reports;
pub(crate) use reports::{KEPT, Shown};

use crate::Inner;
use crate::alerts::Alert;

/// The pause between cycles: 30 minutes.
pub const DEFAULT_INTERVAL: Duration = Duration::from_secs(30 * 60);
/// The shortest pause that is taken: 10 seconds.
pub(crate) const MIN_INTERVAL: Duration = Duration::from_secs(10);
/// Alerts start a cycle at most so often.
const AFTER_ALERT: Duration = Duration::from_secs(5 * 60);
/// A pause is longer by up to this share of it, so that instances that were started together do not ask together.
const JITTER: f64 = 0.05;

/// The cycle's schedule and its last reports.
#[derive(Debug)]
pub(crate) struct Cycles {
    interval: Duration,
    is_running: AtomicBool,
    panics: AtomicU64,
    reports: Reports,
    standing: Mutex<Vec<Standing>>,
    /// The cycle that was started beside the schedule.
    started: Mutex<Option<JoinHandle<()>>>,
    paused_until: Mutex<Option<i64>>,
    alerted: Mutex<Option<Instant>>,
    /// Bytes of indexes built on a day, in days since 1970.
    tuned: Mutex<(i64, u64)>,
}

/// What a step has advised when it looked last.
#[derive(Debug, Clone)]
pub(crate) struct Standing {
    part: &'static str,
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

fn today() -> i64 {
    jiff::Timestamp::now().as_second().div_euclid(86_400)
}

impl Cycles {
    pub(crate) fn new(interval: Duration) -> Self {
        Self {
            interval,
            is_running: AtomicBool::new(false),
            panics: AtomicU64::new(0),
            reports: Reports::default(),
            standing: Mutex::default(),
            started: Mutex::default(),
            paused_until: Mutex::default(),
            alerted: Mutex::default(),
            tuned: Mutex::default(),
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

    /// Reports older than `before`, the newest first, at most `limit`; and whether there are more.
    pub(crate) fn page(&self, before: Option<u64>, limit: usize) -> (Vec<Shown>, bool) {
        self.reports.page(before, limit)
    }

    pub(crate) fn find(&self, id: u64) -> Option<Shown> {
        self.reports.find(id)
    }

    pub(crate) fn last(&self) -> Option<Shown> {
        self.reports.last()
    }

    /// Reports that came after that id, the oldest first.
    pub(crate) fn after(&self, id: u64) -> Vec<Shown> {
        self.reports.after(id)
    }

    /// Goes on from reports of an earlier process, of which `last` was the last; `written` is the last of this one that is kept.
    pub(crate) fn go_on(&self, kept: Vec<Shown>, last: u64, written: u64) {
        self.reports.go_on(kept, last, written);
    }

    /// The advice of each part's last look. A cycle of other parts has not looked.
    pub(crate) fn standing(&self) -> Vec<Standing> {
        lock(&self.standing).clone()
    }

    /// No cycle starts by itself until then, in seconds since 1970; none ends the pause.
    pub(crate) fn pause(&self, until: Option<i64>) {
        *lock(&self.paused_until) = until;
    }

    /// Until when no cycle starts by itself.
    pub(crate) fn paused_until(&self, now: i64) -> Option<i64> {
        lock(&self.paused_until).filter(|until| now < *until)
    }

    /// Bytes of indexes that cycles have built since midnight UTC.
    fn tuned_today(&self) -> u64 {
        let (day, bytes) = *lock(&self.tuned);
        if day == today() { bytes } else { 0 }
    }

    fn has_tuned(&self, bytes: u64) {
        let before = self.tuned_today();
        *lock(&self.tuned) = (today(), before.saturating_add(bytes));
    }

    fn keep(&self, report: &CycleReport) {
        let mut standing = lock(&self.standing);
        for part in report.parts.iter().filter(|part| part.has_looked()) {
            standing.retain(|known| known.part != part.name);
            let of_part = report
                .advice
                .iter()
                .filter(|advice| advice.part == part.name);
            standing.push(Standing {
                part: part.name,
                since: report.started_at.clone(),
                advice: of_part.cloned().collect(),
            });
        }
        drop(standing);
        self.reports.add(report);
    }

    /// Ends a cycle that was started beside the schedule.
    pub(crate) async fn stop(&self) {
        let started = lock(&self.started).take();
        if let Some(started) = started {
            started.abort();
            let _ = started.await;
        }
    }
}

/// Takes the turn, or tells that a cycle is running. The id is the one that its report will have.
pub(crate) fn take_turn(inner: &Arc<Inner>) -> Option<(Turn, u64)> {
    let was_running = inner.cycles.is_running.swap(true, Ordering::AcqRel);
    if was_running {
        return None;
    }
    let inner = Arc::clone(inner);
    let id = inner.cycles.reports.next_id();
    Some((Turn { inner }, id))
}

/// Runs one cycle and keeps its report.
async fn run(turn: Turn, id: u64, trigger: Trigger, asked: Asked) {
    let report = cycle::run(&turn.inner, id, trigger, &asked).await;
    turn.inner.cycles.keep(&report);
}

/// Starts a cycle beside the schedule: its id, or none where one is running or everything ends.
pub(crate) fn start(inner: &Arc<Inner>, trigger: Trigger, asked: Asked) -> Option<u64> {
    if inner.background.is_stopped() {
        return None;
    }
    let (turn, id) = take_turn(inner)?;
    let mut started = lock(&inner.cycles.started);
    *started = Some(tokio::spawn(run(turn, id, trigger, asked)));
    Some(id)
}

/// An alert fires: a cycle looks what there is to do, at most once in five minutes.
pub(crate) fn on_alert(inner: &Arc<Inner>, alert: &Alert) {
    let cycles = &inner.cycles;
    if !inner.alerts_start_cycles || cycles.paused_until(inner.observed.unix_s()).is_some() {
        return;
    }
    let mut alerted = lock(&cycles.alerted);
    if alerted.is_some_and(|at| at.elapsed() < AFTER_ALERT) {
        return;
    }
    if start(inner, Trigger::Alert, Asked::default()).is_some() {
        *alerted = Some(Instant::now());
        tracing::info!(rule = %alert.rule, "an alert has started a cycle");
    }
}

/// Runs a cycle after each pause for as long as there is somebody to run it for.
pub(crate) async fn schedule(inner: Weak<Inner>) {
    loop {
        let Some(interval) = inner.upgrade().map(|inner| inner.cycles.interval) else {
            return;
        };
        tokio::time::sleep(interval.mul_f64(1.0 + JITTER * fraction())).await;
        let Some(inner) = inner.upgrade() else { return };
        if inner.cycles.paused_until(inner.observed.unix_s()).is_some() {
            continue;
        }
        // A cycle that an operator has just started serves as well.
        if let Some((turn, id)) = take_turn(&inner) {
            drop(inner);
            run(turn, id, Trigger::Schedule, Asked::default()).await;
        }
    }
}

/// From 0 to 1 by chance; 0 where the system gives none.
fn fraction() -> f64 {
    let mut bytes = [0; 4];
    let _ = getrandom::fill(&mut bytes);
    f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX)
}
