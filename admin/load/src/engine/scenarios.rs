//! Scenarios side by side: each is a run of its own, and all of them hand in to a whole as well.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Run;
use super::shared::{Place, Shared};
use super::start::{self, Ready};
use crate::plan::{Plan, PlanError, Protocol, wrong};
use crate::report::Model;
use crate::run_name::RunName;
use crate::targets::Target;

/// A target of any protocol.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum AnyTarget {
    /// Of HTTP and WebSocket.
    Http(Target),
    /// Of PostgreSQL.
    #[cfg(feature = "postgres")]
    Postgres(Box<crate::PostgresTarget>),
}

impl From<Target> for AnyTarget {
    fn from(target: Target) -> Self {
        Self::Http(target)
    }
}

#[cfg(feature = "postgres")]
impl From<crate::PostgresTarget> for AnyTarget {
    fn from(target: crate::PostgresTarget) -> Self {
        Self::Postgres(Box::new(target))
    }
}

impl AnyTarget {
    /// Where it is, as reports name it: `host:port`, of PostgreSQL with `/database`.
    #[must_use]
    pub fn authority(&self) -> String {
        match self {
            Self::Http(target) => target.authority().to_owned(),
            #[cfg(feature = "postgres")]
            Self::Postgres(target) => target.authority(),
        }
    }
}

/// Checks a plan and starts it; `targets` are those of its scenarios, in their order. What a plan's `target` says is for whoever
/// calls this to resolve, by what it allows. Needs a Tokio runtime where a scenario is of PostgreSQL, with I/O and time.
///
/// Of a plan with several scenarios all are checked, and all their servers of PostgreSQL tried, before the first begins; the run
/// is then that of all together, and [`Run::scenarios`] has each one's.
///
/// # Errors
/// [`PlanError`] with the path of the field, such as `scenarios[1].http.connections`: as [`start`](super::start()),
/// `start_postgres` and `start_websocket`, and when a target is of another protocol or there are not as many as scenarios.
pub async fn start_plan(
    name: impl Into<RunName>,
    plan: &Plan,
    targets: &[AnyTarget],
) -> Result<Run, PlanError> {
    let name = name.into();
    plan.check()?;
    let plan = &plan.shared_out();
    let leaves = plan.leaves();
    if leaves.len() != targets.len() {
        return wrong(
            "target",
            format!(
                "there are {} scenarios, and {} targets",
                leaves.len(),
                targets.len()
            ),
        );
    }
    let mut all = Vec::new();
    for ((path, scenario), target) in leaves.iter().zip(targets) {
        let ready = ready(&name, scenario, target).await;
        let ready = ready.map_err(|error| scenario.named(path, error))?;
        all.push((scenario, path, ready));
    }
    if plan.scenarios.is_empty()
        && let Some((_, path, ready)) = all.pop()
    {
        return ready
            .run(name, Place::alone())
            .map_err(|error| plan.named(path, error));
    }
    side_by_side(&name, all)
}

async fn ready(name: &RunName, plan: &Plan, target: &AnyTarget) -> Result<Ready, PlanError> {
    match (plan.protocol()?, target) {
        (Protocol::Http(plan), AnyTarget::Http(target)) => start::of_http(name, plan, target),
        #[cfg(feature = "websocket")]
        (Protocol::WebSocket(plan), AnyTarget::Http(target)) => start::of_websocket(plan, target),
        #[cfg(feature = "postgres")]
        (Protocol::Postgres(plan), AnyTarget::Postgres(target)) => {
            start::of_postgres(name, plan, target).await
        }
        #[cfg(feature = "postgres")]
        _ => wrong("target", "is of another protocol than the plan"),
    }
}

fn side_by_side(name: &RunName, all: Vec<(&&Plan, &String, Ready)>) -> Result<Run, PlanError> {
    let open = all.iter().filter(|(.., ready)| ready.is_open()).count();
    let model = match open {
        0 => Model::Closed,
        open if open == all.len() => Model::Open,
        _ => Model::Mixed,
    };
    let begin = Instant::now();
    let whole = Arc::new(Shared::of_scenarios(name.clone(), model, begin));
    let mut scenarios = Vec::new();
    for (plan, path, ready) in all {
        let place = Place {
            begin: begin + Duration::from_secs_f64(plan.start_s),
            whole: Some(Arc::clone(&whole)),
        };
        match ready.run(name.clone(), place) {
            Ok(run) => scenarios.push((plan.name.clone(), run)),
            Err(error) => {
                whole.cancel.cancel();
                return Err(plan.named(path, error));
            }
        }
    }
    whole.release();
    Ok(Run {
        shared: whole,
        scenarios: scenarios.into(),
    })
}
