//! A run that was started, as others see it and as its threads do.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::pace::Paced;
use crate::record::Recorder;
use crate::report::{Ended, Progress, Report};
use crate::series::{Interval, Series};

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RunState {
    /// Requests are being sent.
    Running,
    /// The report is there.
    Finished,
}

/// A run that was started. Clones are handles on the same run; dropping them all does not stop it.
#[derive(Debug, Clone)]
pub struct Run {
    pub(super) shared: Arc<Shared>,
}

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) id: String,
    pub(super) begin: Instant,
    pub(super) cancel: CancellationToken,
    pub(super) paced: Arc<Paced>,
    is_open: bool,
    done: CancellationToken,
    claimed: AtomicU64,
    unfinished: AtomicU64,
    unfinished_follow_ups: AtomicU64,
    /// Names of the steps, where the plan has some.
    steps: Vec<String>,
    cpu_us: AtomicU64,
    threads: AtomicU64,
    series: Mutex<Series>,
    report: OnceLock<Report>,
}

impl Shared {
    pub(super) fn new(id: String, threads: usize, is_open: bool, steps: Vec<String>) -> Self {
        Self {
            id,
            begin: Instant::now(),
            cancel: CancellationToken::new(),
            paced: Arc::new(Paced::default()),
            is_open,
            done: CancellationToken::new(),
            claimed: AtomicU64::new(0),
            unfinished: AtomicU64::new(0),
            unfinished_follow_ups: AtomicU64::new(0),
            steps,
            cpu_us: AtomicU64::new(0),
            threads: AtomicU64::new(threads as u64),
            series: Mutex::new(Series::new()),
            report: OnceLock::new(),
        }
    }

    /// Whether one more request may be sent.
    pub(super) fn claim(&self, requests: Option<u64>) -> bool {
        // Most runs have no such limit, and then no two threads meet here.
        requests.is_none_or(|requests| self.claimed.fetch_add(1, Relaxed) < requests)
    }

    pub(super) fn unfinished(&self, count: u64) {
        self.unfinished.fetch_add(count, Relaxed);
    }

    #[cfg(feature = "scripts")]
    pub(super) fn unfinished_follow_ups(&self, count: u64) {
        self.unfinished_follow_ups.fetch_add(count, Relaxed);
    }

    fn series(&self) -> MutexGuard<'_, Series> {
        self.series.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a thread recorded since it last handed in.
    pub(super) fn take(&self, recorder: &Recorder) {
        self.series().take(recorder, self.begin.elapsed());
    }

    pub(super) fn thread_ended(&self, recorder: &Recorder, cpu: Duration) {
        self.take(recorder);
        self.cpu_us
            .fetch_add(u64::try_from(cpu.as_micros()).unwrap_or(0), Relaxed);
        if self.threads.fetch_sub(1, Relaxed) > 1 {
            return;
        }
        let elapsed = self.begin.elapsed();
        let series = &mut self.series();
        series.end(elapsed);
        let _ = self.report.set(Report::new(
            &series.total,
            &Ended {
                is_open: self.is_open,
                is_cancelled: self.cancel.is_cancelled(),
                elapsed,
                due: self.paced.due.load(Relaxed),
                unfinished: self.unfinished.load(Relaxed),
                unfinished_follow_ups: self.unfinished_follow_ups.load(Relaxed),
                steps: self.steps.clone(),
                cpu: Duration::from_micros(
                    self.cpu_us.load(Relaxed) + self.paced.cpu_us.load(Relaxed),
                ),
                intervals: series.intervals.clone(),
            },
        ));
        self.done.cancel();
    }
}

impl Run {
    /// The run's id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.shared.id
    }

    /// Whether it is still sending.
    #[must_use]
    pub fn state(&self) -> RunState {
        if self.shared.report.get().is_some() {
            RunState::Finished
        } else {
            RunState::Running
        }
    }

    /// How far it has come.
    #[must_use]
    pub fn progress(&self) -> Progress {
        let series = self.shared.series();
        let errors = series.total.failed();
        Progress {
            elapsed_s: self.report().map_or_else(
                || self.shared.begin.elapsed().as_secs_f64(),
                |report| report.elapsed_s,
            ),
            finished: series.total.ok + errors,
            errors,
        }
    }

    /// Requests of an open model that were due so far.
    #[must_use]
    pub fn due(&self) -> u64 {
        self.shared.paced.due.load(Relaxed)
    }

    /// The seconds that are over, the oldest first.
    #[must_use]
    pub fn intervals(&self) -> Vec<Interval> {
        self.shared.series().intervals.clone()
    }

    /// Stops it: no new request is sent, those under way get half a second.
    pub fn cancel(&self) {
        self.shared.cancel.cancel();
    }

    /// The report, once it has ended.
    #[must_use]
    pub fn report(&self) -> Option<&Report> {
        self.shared.report.get()
    }

    /// Waits for the end.
    pub async fn finished(&self) -> &Report {
        self.shared.done.cancelled().await;
        // `done` is cancelled only after the report was set.
        self.shared
            .report
            .get()
            .unwrap_or_else(|| unreachable!("a finished run has its report"))
    }
}
