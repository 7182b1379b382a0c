//! The handle on a run that was started.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::shared::Shared;
use crate::plan::{MAX_RATE_PER_S, PlanError, wrong};
use crate::report::{Model, Progress, Report};
use crate::series::{Interval, to_the_microsecond};

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
    /// Of a plan with several, with their names.
    pub(super) scenarios: Arc<[(String, Self)]>,
}

impl Run {
    /// The run's id.
    #[must_use]
    pub fn id(&self) -> &str {
        self.shared.name.id()
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
            in_flight: series.in_flight,
            body_bytes: series.total.body_bytes,
            cpu_s: to_the_microsecond(series.total.cpu.as_secs_f64()),
        }
    }

    /// Requests of an open model that were due so far.
    #[must_use]
    pub fn due(&self) -> u64 {
        let own = self.shared.paced.due.load(Relaxed);
        let others = self.scenarios.iter().map(|(_, run)| run.due());
        // A whole counts its scenarios' at their ends.
        others.reduce(|a, b| a + b).unwrap_or(own)
    }

    /// The scenarios of a plan that has several, with their names and in its order: each a run of its own, whose rate or users
    /// may be changed. None otherwise.
    #[must_use]
    pub fn scenarios(&self) -> &[(String, Self)] {
        &self.scenarios
    }

    /// The seconds that are over, the oldest first.
    #[must_use]
    pub fn intervals(&self) -> Vec<Interval> {
        self.shared.series().intervals.clone()
    }

    /// Sends at another rate from now on, until the plan's stages would have ended: an open model's requests a second, more than 0
    /// and at most [`MAX_RATE_PER_S`]. It holds within 50 milliseconds.
    ///
    /// # Errors
    /// [`PlanError`] when the rate is out of its range, or the model is closed.
    pub fn set_rate(&self, rate_per_s: f64) -> Result<(), PlanError> {
        if !self.scenarios.is_empty() {
            return wrong("rate_per_s", "is of each scenario; ask its own run");
        }
        if self.shared.model != Model::Open {
            return wrong("rate_per_s", "is of an open model; a closed one has users");
        }
        // A NaN fails both comparisons, so it is refused here too.
        if !(rate_per_s > 0.0 && rate_per_s <= MAX_RATE_PER_S) {
            return wrong(
                "rate_per_s",
                format!("wants more than 0 and at most {MAX_RATE_PER_S} arrivals a second"),
            );
        }
        let asked = &self.shared.paced.asked_rate;
        asked.store(rate_per_s.to_bits(), Relaxed);
        Ok(())
    }

    /// Lets so many of a closed model's connections send from now on: 1 to the plan's `connections`. The others finish what they
    /// have under way, and stay open. What the plan says of later users holds no more.
    ///
    /// # Errors
    /// [`PlanError`] when there are not so many, the model is open, or statements are pipelined.
    pub fn set_users(&self, users: u32) -> Result<(), PlanError> {
        if !self.scenarios.is_empty() {
            return wrong("users", "are of each scenario; ask its own run");
        }
        let Some(most) = self.shared.most_users else {
            return wrong(
                "users",
                "are of a closed model that is not pipelined; an open one has a rate",
            );
        };
        if !(1..=most).contains(&users) {
            return wrong("users", format!("wants 1 to the plan's {most} connections"));
        }
        self.shared.are_users_asked.store(true, Relaxed);
        self.shared.users.send_replace(users);
        Ok(())
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
