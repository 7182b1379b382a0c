//! Load tests of this app: one at a time, the last few kept.
//!
//! | file | role |
//! |---|---|
//! | `plan` | what was asked for, and where its parts go |
//! | `database` | the one database that statements may go to |
//! | `kept` | a run with what it was of |
//! | here | the runs |

mod database;
mod kept;
mod plan;

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use pitcrew::latency::LoadRun;
use pitcrew_load::{
    AnyTarget, Ceilings, Model, Observer, Report, Run, RunName, RunState, TargetError, Targets,
};
use tokio_util::task::TaskTracker;

pub(crate) use database::LoadDatabase;
pub(crate) use kept::Kept;
use plan::Placed;
pub(crate) use plan::{Alone, AskedPlan};

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
    /// The target takes no connection.
    Unreachable(TargetError),
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
    kept: VecDeque<Kept>,
    /// Nothing is started any more.
    is_stopped: bool,
}

impl Runs {
    fn none_under_way(&self) -> Result<(), StartError> {
        if self.is_stopped {
            return Err(StartError::Stopped);
        }
        let is_running = |kept: &&Kept| kept.state() == RunState::Running;
        let running = self.kept.iter().find(is_running);
        let running = running.map(|kept| kept.run.id());
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
    /// begins, by its id; `ended` is told its id and how it ended.
    pub(crate) async fn start(
        &self,
        asked: &AskedPlan,
        target: Option<&str>,
        observer: impl Observer,
        audit: impl FnOnce(&str) -> std::io::Result<Pending>,
        ended: impl FnOnce(&str, &str) + Send + 'static,
    ) -> Result<Run, StartError> {
        let claim = self.claim()?;
        let placed = self.place(asked, target).await?;
        for target in &placed.targets {
            if let AnyTarget::Http(target) = target {
                target.reach().await.map_err(StartError::Unreachable)?;
            }
        }
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
        let kept = Kept::new(run.clone(), placed.plan, placed.targets, placed.alone);
        let mut runs = self.runs();
        runs.kept.push_back(kept.clone());
        if runs.kept.len() > KEPT {
            runs.kept.pop_front();
        }
        if runs.is_stopped {
            run.cancel();
        }
        drop(runs);
        self.ends.spawn(async move {
            let outcome = outcome(kept.end().await);
            drop(own);
            pending.end_with(&outcome);
            ended(kept.run.id(), &outcome);
        });
        if placed.is_of_app
            && let Err(error) = run.observe(observer)
        {
            // The load is the same without them.
            tracing::warn!(%error, "a load test has no figures of the app");
        }
        Ok(run)
    }

    pub(crate) fn find(&self, id: &str) -> Option<Kept> {
        let runs = self.runs();
        let mut kept = runs.kept.iter();
        kept.find(|kept| kept.run.id() == id).cloned()
    }

    /// The newest first.
    pub(crate) fn all(&self) -> Vec<Kept> {
        self.runs().kept.iter().rev().cloned().collect()
    }

    /// The last run of that part of the app alone that says something of it: to its end, by a tester that was not late.
    pub(crate) fn last(&self, of: Alone) -> Option<Report> {
        let runs = self.runs();
        let alone = runs.kept.iter().rev().filter(|kept| kept.alone == Some(of));
        let mut whole = alone.filter_map(|kept| kept.run.report());
        whole
            .find(|report| !report.cancelled && report.generator_limited.is_none())
            .cloned()
    }

    /// Good answers a second in the last run that says how many that part can give: in a closed model, for an open one sends what it
    /// was told to.
    pub(crate) fn last_rate_per_s(&self, of: Alone) -> Option<f64> {
        let runs = self.runs();
        let alone = runs.kept.iter().rev().filter(|kept| kept.alone == Some(of));
        let report = alone.filter_map(|kept| kept.run.report()).find(|report| {
            let is_whole = !report.cancelled && report.generator_limited.is_none();
            is_whole && report.model == Model::Closed
        })?;
        Some(report.rate_per_s)
    }

    /// Ends a run under way, and waits until its end is written down. None begins any more.
    pub(crate) async fn stop(&self) {
        self.runs().is_stopped = true;
        self.all().iter().for_each(|kept| kept.run.cancel());
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
