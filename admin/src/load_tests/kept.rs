//! A run with what it was of, while it goes on and after.

use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use pitcrew_load::{AnyTarget, Plan, Report, Results, Run, RunState, Stopped};

use super::plan::Alone;

/// A run that was started from the router. Clones are handles on the same one.
#[derive(Debug, Clone)]
pub(crate) struct Kept {
    pub(crate) run: Run,
    pub(crate) began: SystemTime,
    /// Of which part of the app alone it was.
    pub(crate) alone: Option<Alone>,
    /// Without its rows.
    plan: Arc<Plan>,
    targets: Arc<[AnyTarget]>,
    /// Set once it is over: the threshold that ended it, if one did.
    end: Arc<OnceLock<Option<Stopped>>>,
}

impl Kept {
    pub(super) fn new(run: Run, plan: Plan, targets: Vec<AnyTarget>, alone: Option<Alone>) -> Self {
        Self {
            run,
            began: SystemTime::now(),
            alone,
            plan: Arc::new(plan.without_rows()),
            targets: targets.into(),
            end: Arc::default(),
        }
    }

    /// Waits for its end, and ends it where a threshold says so.
    pub(super) async fn end(&self) -> &Report {
        let stopped = pitcrew_load::watch(&self.run, &self.plan).await;
        let _ = self.end.set(stopped);
        self.run.finished().await
    }

    pub(crate) fn state(&self) -> RunState {
        if self.end.get().is_some() {
            RunState::Finished
        } else {
            RunState::Running
        }
    }

    /// Where it goes, as reports name it.
    pub(crate) fn target(&self) -> String {
        let mut names: Vec<String> = self.targets.iter().map(AnyTarget::authority).collect();
        names.dedup();
        names.join(", ")
    }

    /// Once it is over.
    pub(crate) fn results(&self) -> Option<Results> {
        let stopped = self.end.get()?;
        let results = Results::of_run(&self.run, &self.plan, &self.targets, self.began)?;
        Some(match stopped {
            Some(stopped) => results.with_stop(stopped.clone()),
            None => results,
        })
    }
}
