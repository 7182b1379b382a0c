//! What the threads of a run share.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::connection::Work;
use super::observe::Figures;
use super::pace::Paced;
use crate::plan::CheckedLoad;
use crate::record::Recorder;
use crate::report::{Ended, GeneratorLimited, Model, Report};
use crate::run_name::RunName;
use crate::series::Series;

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) name: RunName,
    pub(super) begin: Instant,
    pub(super) cancel: CancellationToken,
    pub(super) paced: Arc<Paced>,
    /// How many of a closed model's connections send.
    pub(super) users: watch::Sender<u32>,
    /// Whether somebody asked for others than the plan has.
    pub(super) are_users_asked: AtomicBool,
    /// As many as there can be; none where they cannot change.
    pub(super) most_users: Option<u32>,
    pub(super) all_threads: usize,
    pub(super) model: Model,
    /// Of an open model: how long its stages are.
    stages: Option<Duration>,
    /// Of which this is a scenario.
    whole: Option<Arc<Self>>,
    /// Of a whole: that one of its scenarios was late.
    late: OnceLock<GeneratorLimited>,
    has_observer: AtomicBool,
    pub(super) done: CancellationToken,
    claimed: AtomicU64,
    /// No more requests may be sent.
    pub(super) all_claimed: CancellationToken,
    unfinished: AtomicU64,
    unfinished_follow_ups: AtomicU64,
    /// Names of the steps, where the plan has some.
    steps: Vec<String>,
    /// Requests that were sent and not answered yet, as of the threads' last hand-ins.
    in_flight: AtomicU64,
    threads: AtomicU64,
    series: Mutex<Series>,
    pub(super) report: OnceLock<Report>,
}

impl Shared {
    pub(super) fn new(
        name: RunName,
        threads: usize,
        load: &CheckedLoad,
        work: &Work,
        place: Place,
    ) -> Self {
        let model = if load.arrivals.is_some() {
            Model::Open
        } else {
            Model::Closed
        };
        let shared = Self {
            begin: place.begin,
            users: watch::Sender::new(
                load.users
                    .as_ref()
                    .map_or(load.connections, |users| users.at(0.0)),
            ),
            most_users: (work.can_rest() && model == Model::Closed).then_some(load.connections),
            steps: work.steps(),
            stages: load
                .arrivals
                .as_ref()
                .map(|due| Duration::from_secs_f64(due.length_s())),
            ..Self::bare(name, threads, model)
        };
        let Some(whole) = place.whole else {
            return shared;
        };
        whole.threads.fetch_add(threads as u64, Relaxed);
        Self {
            cancel: whole.cancel.child_token(),
            whole: Some(whole),
            ..shared
        }
    }

    /// Of several scenarios together. It ends when all of their threads have ended, and whoever made it has said
    /// [`release`](Self::release).
    pub(super) fn of_scenarios(name: RunName, model: Model, begin: Instant) -> Self {
        Self {
            begin,
            ..Self::bare(name, 1, model)
        }
    }

    fn bare(name: RunName, threads: usize, model: Model) -> Self {
        Self {
            name,
            begin: Instant::now(),
            cancel: CancellationToken::new(),
            paced: Arc::new(Paced::default()),
            users: watch::Sender::new(0),
            are_users_asked: AtomicBool::new(false),
            most_users: None,
            all_threads: threads,
            model,
            stages: None,
            whole: None,
            late: OnceLock::new(),
            has_observer: AtomicBool::new(false),
            done: CancellationToken::new(),
            claimed: AtomicU64::new(0),
            all_claimed: CancellationToken::new(),
            unfinished: AtomicU64::new(0),
            unfinished_follow_ups: AtomicU64::new(0),
            steps: Vec::new(),
            in_flight: AtomicU64::new(0),
            threads: AtomicU64::new(threads as u64),
            series: Mutex::new(Series::new()),
            report: OnceLock::new(),
        }
    }

    /// Whether one more request may be sent.
    pub(super) fn claim(&self, requests: Option<u64>) -> bool {
        // Most runs have no such limit, and then no two threads meet here.
        let is_left = requests.is_none_or(|requests| self.claimed.fetch_add(1, Relaxed) < requests);
        if !is_left {
            self.all_claimed.cancel();
        }
        is_left
    }

    pub(super) fn unfinished(&self, count: u64) {
        self.unfinished.fetch_add(count, Relaxed);
    }

    #[cfg(feature = "scripts")]
    pub(super) fn unfinished_follow_ups(&self, count: u64) {
        self.unfinished_follow_ups.fetch_add(count, Relaxed);
    }

    /// Whether it had none before.
    pub(super) fn claim_observer(&self) -> bool {
        !self.has_observer.swap(true, Relaxed)
    }

    pub(super) fn observed(&self, figures: &Figures) {
        self.series().observe(figures);
    }

    pub(super) fn series(&self) -> MutexGuard<'_, Series> {
        self.series.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a thread recorded since it last handed in.
    pub(super) fn take(&self, recorder: &Recorder) {
        let in_flight = self.in_flight.load(Relaxed);
        self.series()
            .take(recorder, self.begin.elapsed(), in_flight);
        if let Some(whole) = &self.whole {
            let is_closed = whole.model == Model::Mixed && self.model == Model::Closed;
            let now = whole.begin.elapsed();
            let in_flight = whole.in_flight.load(Relaxed);
            whole
                .series()
                .take_of_scenario(recorder, now, in_flight, is_closed);
        }
    }

    /// A thread has `now` requests under way where it had `before`.
    pub(super) fn in_flight(&self, before: u64, now: u64) {
        for shared in [Some(self), self.whole.as_deref()].into_iter().flatten() {
            shared.in_flight.fetch_add(now, Relaxed);
            shared.in_flight.fetch_sub(before, Relaxed);
        }
    }

    pub(super) fn thread_ended(&self, recorder: &Recorder) {
        self.take(recorder);
        self.release();
        if let Some(whole) = &self.whole {
            whole.release();
        }
    }

    /// One of those that keep it from its end is gone; with the last the report is made.
    pub(super) fn release(&self) {
        if self.threads.fetch_sub(1, Relaxed) > 1 {
            return;
        }
        let elapsed = self.begin.elapsed();
        let series = &mut self.series();
        // What the pacing thread took since a thread of the run last looked.
        let rest = self.paced.cpu();
        series.total.cpu += rest;
        if let Some(whole) = &self.whole {
            whole.series().total.cpu += rest;
        }
        series.end(elapsed);
        let rate_over = self.rate_over(&series.total, elapsed);
        let mut report = Report::new(
            &series.total,
            &Ended {
                model: self.model,
                is_cancelled: self.cancel.is_cancelled(),
                elapsed,
                rate_over,
                due: self.paced.due.load(Relaxed),
                unfinished: self.unfinished.load(Relaxed),
                unfinished_follow_ups: self.unfinished_follow_ups.load(Relaxed),
                steps: self.steps.clone(),
                cpu: series.total.cpu,
                intervals: series.intervals.clone(),
                observed_dropped: series.observed_dropped,
            },
        );
        // One that was late makes the whole late, however small its share.
        report.generator_limited = report.generator_limited.or(self.late.get().copied());
        if let Some(whole) = &self.whole {
            whole.absorb(self, &report);
        }
        let _ = self.report.set(report);
        self.done.cancel();
    }

    /// What the rate of a run is over, as [`Report::rate_over_s`] says.
    fn rate_over(&self, total: &Recorder, elapsed: Duration) -> Duration {
        let Some(stages) = self.stages.filter(|_| !self.cancel.is_cancelled()) else {
            return elapsed;
        };
        let last = total.last_ended.map_or(elapsed, |last| last - self.begin);
        let least = Duration::from_micros(total.response_us.min());
        stages.max(last.saturating_sub(least))
    }

    /// What the series of a scenario does not tell.
    fn absorb(&self, scenario: &Self, report: &Report) {
        for (own, others) in [
            (&self.paced.due, &scenario.paced.due),
            (&self.unfinished, &scenario.unfinished),
            (&self.unfinished_follow_ups, &scenario.unfinished_follow_ups),
        ] {
            own.fetch_add(others.load(Relaxed), Relaxed);
        }
        if let Some(late) = report.generator_limited {
            let _ = self.late.set(late);
        }
    }
}

/// Where a run stands among others.
pub(super) struct Place {
    pub(super) begin: Instant,
    pub(super) whole: Option<Arc<Shared>>,
}

impl Place {
    /// Alone, and at once.
    pub(super) fn alone() -> Self {
        Self {
            begin: Instant::now(),
            whole: None,
        }
    }
}
