//! What is sent and where to.

use std::time::SystemTime;

use pitcrew_load::{AnyTarget, Open, Plan, PlanError, Results, Run, start_plan};

/// A plan with the targets of its scenarios.
#[derive(Debug, Clone)]
pub(crate) struct Work {
    pub(crate) plan: Plan,
    pub(crate) targets: Vec<AnyTarget>,
}

/// Runs of the program have one id: nothing else of it runs in this process.
const ID: &str = "command-line";

impl Work {
    /// An unreachable target is known within a second, and with the reason. PostgreSQL's is asked more when it is started.
    pub(crate) async fn reachable(&self) -> Result<(), String> {
        for target in &self.targets {
            let AnyTarget::Http(target) = target else {
                continue;
            };
            target.reach().await.map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    pub(crate) async fn start(&self) -> Result<Run, PlanError> {
        start_plan(ID, &self.plan, &self.targets).await
    }

    /// None while the run goes on.
    pub(crate) fn results(&self, began: SystemTime, run: &Run) -> Option<Results> {
        Results::of_run(run, &self.plan, &self.targets, began)
    }

    /// The same in an open model.
    pub(crate) fn with_open(&self, open: &Open) -> Self {
        Self {
            plan: self.plan.clone().with_open(open),
            targets: self.targets.clone(),
        }
    }
}
