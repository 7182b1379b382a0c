//! Runs a plan on threads of its own, at most one a core, each with a current-thread runtime.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use tokio::task::LocalSet;
use tokio_util::sync::CancellationToken;

use crate::http1::Connection;
use crate::plan::{Checked, HttpPlan, PlanError};
use crate::record::Recorder;
use crate::report::{Progress, Report};
use crate::targets::Target;

/// After the end or a cancel, requests under way get so long before their connections are dropped.
const GRACE: Duration = Duration::from_millis(500);

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
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    id: String,
    begin: Instant,
    cancel: CancellationToken,
    done: CancellationToken,
    claimed: AtomicU64,
    finished: AtomicU64,
    errors: AtomicU64,
    merged: Mutex<(Recorder, usize)>,
    report: OnceLock<Report>,
}

/// Checks the plan and starts it. Returns at once; the run goes on in threads of its own.
///
/// `id` is sent in the header [`RUN_HEADER`](crate::RUN_HEADER) of every request.
///
/// # Errors
/// [`PlanError`] when a field is out of its range, or when no thread can be started; nothing has been sent then.
pub fn start(id: impl Into<String>, plan: &HttpPlan, target: &Target) -> Result<Run, PlanError> {
    let plan = Arc::new(plan.checked()?);
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let threads = cores.min(plan.connections as usize);
    let shared = Arc::new(Shared {
        id: id.into(),
        begin: Instant::now(),
        cancel: CancellationToken::new(),
        done: CancellationToken::new(),
        claimed: AtomicU64::new(0),
        finished: AtomicU64::new(0),
        errors: AtomicU64::new(0),
        merged: Mutex::new((Recorder::new(), threads)),
        report: OnceLock::new(),
    });
    for index in 0..threads {
        let (for_thread, plan, target) = (Arc::clone(&shared), Arc::clone(&plan), target.clone());
        let connections = share_of(plan.connections as usize, threads, index);
        let spawned = std::thread::Builder::new()
            .name(format!("pitcrew-load-{index}"))
            .spawn(move || for_thread.thread(&plan, &target, connections));
        if let Err(error) = spawned {
            shared.cancel.cancel();
            let wants = format!("could not start a thread for the run: {error}");
            return Err(PlanError {
                field: "connections".to_owned(),
                wants,
            });
        }
    }
    Ok(Run { shared })
}

/// The connections of thread `index`: an exact split.
fn share_of(connections: usize, threads: usize, index: usize) -> usize {
    connections / threads + usize::from(index < connections % threads)
}

/// Merges whatever the thread recorded when it ends, also by a panic, so that a run always ends.
struct Finish<'a> {
    shared: &'a Shared,
    recorder: RefCell<Recorder>,
}

impl Drop for Finish<'_> {
    fn drop(&mut self) {
        self.shared.thread_ended(&self.recorder.borrow());
    }
}

impl Shared {
    fn thread(self: Arc<Self>, plan: &Arc<Checked>, target: &Target, connections: usize) {
        // One recorder a thread, whatever the number of connections.
        let finish = Finish {
            shared: &self,
            recorder: RefCell::new(Recorder::new()),
        };
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
        else {
            return;
        };
        let local = LocalSet::new();
        local.block_on(&runtime, async {
            let workers = (0..connections).map(|_| self.worker(plan, target, &finish.recorder));
            futures_util::future::join_all(workers).await;
        });
    }

    async fn worker(&self, plan: &Checked, target: &Target, recorder: &RefCell<Recorder>) {
        let end = self.begin + plan.duration;
        let mut connection = Connection::new(plan, target, &self.id);
        while Instant::now() < end
            && !self.cancel.is_cancelled()
            && self.claimed.fetch_add(1, Relaxed) < plan.requests
        {
            let outcome = tokio::select! {
                outcome = connection.send() => outcome,
                // What has not answered within the grace after the end is dropped and not counted: its fate is unknown.
                () = self.grace_is_over(end) => break,
            };
            self.finished.fetch_add(1, Relaxed);
            if !recorder.borrow_mut().record(outcome) {
                self.errors.fetch_add(1, Relaxed);
            }
        }
    }

    async fn grace_is_over(&self, end: Instant) {
        tokio::select! {
            () = self.cancel.cancelled() => {}
            () = tokio::time::sleep_until(end.into()) => {}
        }
        tokio::time::sleep(GRACE).await;
    }

    fn thread_ended(&self, recorder: &Recorder) {
        let mut merged = self.merged.lock().unwrap_or_else(PoisonError::into_inner);
        merged.0.merge(recorder);
        merged.1 -= 1;
        if merged.1 == 0 {
            let report = Report::new(&merged.0, self.begin.elapsed(), self.cancel.is_cancelled());
            let _ = self.report.set(report);
            self.done.cancel();
        }
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
        Progress {
            elapsed_s: self.report().map_or_else(
                || self.shared.begin.elapsed().as_secs_f64(),
                |report| report.elapsed_s,
            ),
            finished: self.shared.finished.load(Relaxed),
            errors: self.shared.errors.load(Relaxed),
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_split_exactly() {
        for (connections, threads) in [(1, 1), (16, 2), (17, 4), (3, 2), (1_024, 7)] {
            let shares: Vec<_> = (0..threads)
                .map(|index| share_of(connections, threads, index))
                .collect();
            assert_eq!(shares.iter().sum::<usize>(), connections);
            assert!(
                shares
                    .iter()
                    .max()
                    .zip(shares.iter().min())
                    .is_some_and(|(most, least)| most - least <= 1)
            );
        }
    }
}
