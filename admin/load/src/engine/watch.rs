//! Ends a run that breaks a threshold which says so.

use std::time::Duration;

use super::Run;
use crate::plan::Plan;
use crate::threshold::{Breach, Watch};

/// How often a run is looked at while it goes on.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Why a run ended before its plan did.
#[derive(Debug, Clone, PartialEq)]
pub struct Stopped {
    /// Whose threshold it was: a scenario by its number from 0, else the whole.
    pub scenario: Option<usize>,
    /// What was broken.
    pub breach: Breach,
}

/// Waits for the end of a plan's run, and ends it when it breaks a threshold with `abort`; that one then. Needs a Tokio runtime
/// with time.
pub async fn watch(run: &Run, plan: &Plan) -> Option<Stopped> {
    let mut watches = vec![(None, run, Watch::new(&plan.all_thresholds()))];
    let scenarios = plan.scenarios.iter().zip(run.scenarios()).enumerate();
    watches.extend(
        scenarios.map(|(number, (plan, (_, run)))| {
            (Some(number), run, Watch::new(&plan.all_thresholds()))
        }),
    );
    let mut stopped = None;
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    loop {
        tokio::select! {
            _ = run.finished() => return stopped,
            _ = ticks.tick(), if stopped.is_none() => {
                let broken = watches.iter_mut().find_map(|(scenario, own, watch)| {
                    let breach = watch.look(&own.intervals())?;
                    Some(Stopped { scenario: *scenario, breach })
                });
                if broken.is_some() {
                    stopped = broken;
                    run.cancel();
                }
            }
        }
    }
}
