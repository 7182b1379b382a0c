//! Load tests of this app: one at a time, the last few kept.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use pitcrew_load::{HttpPlan, PlanError, Run, RunState, TargetError, Targets};

/// So many finished runs are kept; the oldest goes.
const KEPT: usize = 16;

/// Why a run did not start.
#[derive(Debug)]
pub(crate) enum StartError {
    /// Another run is under way: its id.
    Busy(String),
    Plan(PlanError),
    Target(TargetError),
}

/// The runs of this process.
#[derive(Debug)]
pub(crate) struct LoadTests {
    targets: Targets,
    runs: Mutex<(u64, VecDeque<Run>)>,
}

impl LoadTests {
    pub(crate) fn new(targets: Targets) -> Self {
        Self {
            targets,
            runs: Mutex::new((0, VecDeque::new())),
        }
    }

    fn runs(&self) -> MutexGuard<'_, (u64, VecDeque<Run>)> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a run, or with `dry_run` only checks that it could start. `target` is compared with the list, never resolved.
    pub(crate) fn start(
        &self,
        plan: &HttpPlan,
        target: Option<&str>,
        dry_run: bool,
    ) -> Result<Option<Run>, StartError> {
        let target = target.map_or_else(
            || self.targets.default_target(),
            |text| self.targets.find(text),
        );
        let target = target.map_err(StartError::Target)?;
        plan.check().map_err(StartError::Plan)?;
        let mut runs = self.runs();
        if let Some(running) = runs.1.iter().find(|run| run.state() == RunState::Running) {
            return Err(StartError::Busy(running.id().to_owned()));
        }
        if dry_run {
            return Ok(None);
        }
        runs.0 += 1;
        let run =
            pitcrew_load::start(runs.0.to_string(), plan, target).map_err(StartError::Plan)?;
        runs.1.push_back(run.clone());
        if runs.1.len() > KEPT {
            runs.1.pop_front();
        }
        Ok(Some(run))
    }

    pub(crate) fn find(&self, id: &str) -> Option<Run> {
        self.runs().1.iter().find(|run| run.id() == id).cloned()
    }

    /// The newest first.
    pub(crate) fn all(&self) -> Vec<Run> {
        self.runs().1.iter().rev().cloned().collect()
    }

    /// Good answers a second in the last run that finished and was not cancelled.
    pub(crate) fn last_rate_per_s(&self) -> Option<f64> {
        let runs = self.runs();
        let report = runs
            .1
            .iter()
            .rev()
            .filter_map(Run::report)
            .find(|report| !report.cancelled)?;
        Some(report.rate_per_s)
    }

    pub(crate) async fn stop(&self) {
        for run in self.all() {
            run.cancel();
            run.finished().await;
        }
    }
}
