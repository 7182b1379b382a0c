//! Load tests of this app: one at a time, the last few kept.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt;
use pitcrew_load::{Ceilings, Observer, Run, RunState, TargetError, Targets};

use crate::load_plan::AskedPlan;

/// So many finished runs are kept; the oldest goes.
const KEPT: usize = 16;

/// Why a run did not start.
#[derive(Debug)]
pub(crate) enum StartError {
    /// Another run is under way: its id.
    Busy(String),
    /// What is wrong with the plan, by the field's path.
    Plan(String),
    /// The path of what wants a database.
    Database(String),
    Target(TargetError),
}

/// The runs of this process.
#[derive(Debug)]
pub(crate) struct LoadTests {
    targets: Targets,
    ceilings: Ceilings,
    runs: Mutex<(u64, VecDeque<Run>)>,
}

impl LoadTests {
    pub(crate) fn new(targets: Targets, ceilings: Ceilings) -> Self {
        Self {
            targets,
            ceilings,
            runs: Mutex::new((0, VecDeque::new())),
        }
    }

    fn runs(&self) -> MutexGuard<'_, (u64, VecDeque<Run>)> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a run, or with `dry_run` only checks that it could start. Where some of it goes to this app, `observer` tells of
    /// the app meanwhile.
    pub(crate) fn start(
        &self,
        asked: &AskedPlan,
        target: Option<&str>,
        dry_run: bool,
        observer: impl Observer,
    ) -> Result<Option<Run>, StartError> {
        let placed = asked.place(target, &self.targets, &self.ceilings)?;
        // Held to the end, so that no second one starts meanwhile.
        let mut runs = self.runs();
        if let Some(running) = runs.1.iter().find(|run| run.state() == RunState::Running) {
            return Err(StartError::Busy(running.id().to_owned()));
        }
        if dry_run {
            return Ok(None);
        }
        runs.0 += 1;
        // Only PostgreSQL is waited for, which tries its server first, and no such plan comes here.
        let run = pitcrew_load::start_plan(runs.0.to_string(), &placed.plan, &placed.targets)
            .now_or_never()
            .ok_or_else(|| StartError::Plan("plan: its start wants to wait".to_owned()))?
            .map_err(|error| asked.wrong(&error))?;
        runs.1.push_back(run.clone());
        if runs.1.len() > KEPT {
            runs.1.pop_front();
        }
        drop(runs);
        if placed.is_of_app
            && let Err(error) = run.observe(observer)
        {
            // The load is the same without them.
            tracing::warn!(%error, "a load test has no figures of the app");
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
