//! Load tests of this app: one at a time, the last few kept.
//!
//! | file | role |
//! |---|---|
//! | `plan` | what was asked for, and where its parts go |
//! | `database` | the one database that statements may go to |
//! | here | the runs |

mod database;
mod plan;

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use pitcrew::latency::LoadRun;
use pitcrew_load::{
    Ceilings, Model, Observer, Report, Run, RunName, RunState, TargetError, Targets,
};
use tokio_util::task::TaskTracker;

pub(crate) use database::LoadDatabase;
pub(crate) use plan::AskedPlan;
use plan::Placed;

use crate::audit::Pending;
use crate::database::DatabaseError;

/// So many finished runs are kept; the oldest goes.
const KEPT: usize = 16;

/// Why a run did not start.
#[derive(Debug)]
pub(crate) enum StartError {
    /// Another run is under way: its id.
    Busy(String),
    /// What is wrong with the plan, by the field's path.
    Plan(String),
    /// What no plan may do here, by the field's path.
    Forbidden(String),
    Target(TargetError),
    /// The database could not be asked what its role may do.
    Database(DatabaseError),
    /// The audit cannot be written.
    Audit(std::io::Error),
    /// The router was shut down.
    Stopped,
}

/// The runs of this process.
#[derive(Debug)]
pub(crate) struct LoadTests {
    targets: Targets,
    database: Option<LoadDatabase>,
    ceilings: Ceilings,
    runs: Mutex<Runs>,
    /// Those who wait for a run's end.
    ends: TaskTracker,
}

#[derive(Debug, Default)]
struct Runs {
    last_id: u64,
    /// The id of one that is being started.
    starting: Option<String>,
    /// With whether all of it is HTTP to this app.
    kept: VecDeque<(Run, bool)>,
    /// Nothing is started any more.
    is_stopped: bool,
}

impl Runs {
    fn none_under_way(&self) -> Result<(), StartError> {
        if self.is_stopped {
            return Err(StartError::Stopped);
        }
        let runs = || self.kept.iter().map(|(run, _)| run);
        let is_running = |run: &&Run| run.state() == RunState::Running;
        let running = runs().find(is_running).map(Run::id);
        match running.or(self.starting.as_deref()) {
            Some(id) => Err(StartError::Busy(id.to_owned())),
            None => Ok(()),
        }
    }
}

/// The place of the one run. Dropped before the run is there, it is free again.
struct Claim<'a> {
    tests: &'a LoadTests,
    id: String,
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.tests.runs().starting = None;
    }
}

impl LoadTests {
    pub(crate) fn new(
        targets: Targets,
        database: Option<LoadDatabase>,
        ceilings: Ceilings,
    ) -> Self {
        Self {
            targets,
            database,
            ceilings,
            runs: Mutex::default(),
            ends: TaskTracker::new(),
        }
    }

    fn runs(&self) -> MutexGuard<'_, Runs> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn claim(&self) -> Result<Claim<'_>, StartError> {
        let mut runs = self.runs();
        runs.none_under_way()?;
        runs.last_id += 1;
        let id = runs.last_id.to_string();
        runs.starting = Some(id.clone());
        Ok(Claim { tests: self, id })
    }

    /// Checks that a run could start. Sends nothing, but asks the database what its role may do.
    pub(crate) async fn check(
        &self,
        asked: &AskedPlan,
        target: Option<&str>,
    ) -> Result<(), StartError> {
        self.place(asked, target).await?;
        self.runs().none_under_way()
    }

    async fn place(&self, asked: &AskedPlan, target: Option<&str>) -> Result<Placed, StartError> {
        let database = self.database.as_ref();
        let placed = asked.place(target, &self.targets, database, &self.ceilings)?;
        if let Some(field) = &placed.database_field
            && let Some(database) = database
            && let Some(reason) = database.refusal().await.map_err(StartError::Database)?
        {
            return Err(StartError::Forbidden(format!(
                "{field}: the role of load tests must be one that cannot write, and {reason}: take that from it, or build the \
                 router with load_database_writes(true)"
            )));
        }
        Ok(placed)
    }

    /// Starts a run. Where some of it goes to this app, `observer` tells of the app meanwhile. `audit` writes down that a run
    /// begins, by its id.
    pub(crate) async fn start(
        &self,
        asked: &AskedPlan,
        target: Option<&str>,
        observer: impl Observer,
        audit: impl FnOnce(&str) -> std::io::Result<Pending>,
    ) -> Result<Run, StartError> {
        let claim = self.claim()?;
        let placed = self.place(asked, target).await?;
        let pending = audit(&claim.id).map_err(StartError::Audit)?;
        let name = RunName::new(claim.id.clone());
        // Known before the first request, so that none is counted as a visitor's.
        let own = placed
            .is_of_app
            .then(|| LoadRun::begin(name.mark()))
            .flatten();
        let started = pitcrew_load::start_plan(name, &placed.plan, &placed.targets).await;
        let run = match started {
            Ok(run) => run,
            Err(error) => {
                pending.end_with("not started");
                return Err(asked.wrong(&error));
            }
        };
        let mut runs = self.runs();
        runs.kept.push_back((run.clone(), placed.is_api_alone));
        if runs.kept.len() > KEPT {
            runs.kept.pop_front();
        }
        if runs.is_stopped {
            run.cancel();
        }
        drop(runs);
        let ending = run.clone();
        self.ends.spawn(async move {
            let outcome = outcome(ending.finished().await);
            drop(own);
            pending.end_with(&outcome);
        });
        if placed.is_of_app
            && let Err(error) = run.observe(observer)
        {
            // The load is the same without them.
            tracing::warn!(%error, "a load test has no figures of the app");
        }
        Ok(run)
    }

    pub(crate) fn find(&self, id: &str) -> Option<Run> {
        let runs = self.runs();
        let mut kept = runs.kept.iter().map(|(run, _)| run);
        kept.find(|run| run.id() == id).cloned()
    }

    /// The newest first.
    pub(crate) fn all(&self) -> Vec<Run> {
        let runs = self.runs();
        runs.kept.iter().rev().map(|(run, _)| run.clone()).collect()
    }

    /// Good answers a second in the last run that says how many this app can give: of HTTP to it alone, in a closed model (an open one
    /// sends what it was told to), to its end, by a tester that was not late.
    pub(crate) fn last_rate_per_s(&self) -> Option<f64> {
        let runs = self.runs();
        let report = runs
            .kept
            .iter()
            .rev()
            .filter(|(_, is_api_alone)| *is_api_alone)
            .filter_map(|(run, _)| run.report())
            .find(|report| {
                let is_whole = !report.cancelled && report.generator_limited.is_none();
                is_whole && report.model == Model::Closed
            })?;
        Some(report.rate_per_s)
    }

    /// Ends a run under way, and waits until its end is written down. None begins any more.
    pub(crate) async fn stop(&self) {
        self.runs().is_stopped = true;
        self.all().iter().for_each(Run::cancel);
        self.ends.close();
        self.ends.wait().await;
    }
}

/// How a run ended, for the audit.
fn outcome(report: &Report) -> String {
    let how = if report.cancelled {
        "cancelled"
    } else {
        "finished"
    };
    let errors: u64 = report.errors.values().sum();
    format!(
        "{how} after {:.1} s: {} good answers, {errors} errors",
        report.elapsed_s, report.ok
    )
}
