//! One cycle: observe, then advise. It changes nothing: what it found becomes advice that an operator can act on.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::advice::{self, Advice, Found};
use crate::Inner;

/// The steps, in their order. `POST /optimize` may name some of them.
pub(crate) const STEPS: [&str; 4] = ["response_times", "cache", "memory", "database"];
/// A step that takes longer is recorded as failed, and the next one begins.
const STEP_TIMEOUT: Duration = Duration::from_secs(60);

/// What started a cycle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Trigger {
    Schedule,
    Request,
}

/// What a cycle did and found.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct CycleReport {
    pub(crate) id: u64,
    pub(crate) trigger: Trigger,
    /// RFC 3339, UTC.
    pub(crate) started_at: String,
    pub(crate) took_ms: f64,
    pub(crate) steps: Vec<Step>,
    pub(crate) advice: Vec<Advice>,
}

/// One step of a cycle.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Step {
    pub(crate) name: &'static str,
    pub(crate) state: StepState,
    pub(crate) took_ms: f64,
    pub(crate) detail: String,
}

impl Step {
    /// Whether it knows what there is to advise now.
    pub(super) fn has_looked(&self) -> bool {
        self.state == StepState::Done
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum StepState {
    Done,
    Skipped,
    Failed,
}

/// Runs the named steps, or all of them where none is named.
pub(super) async fn run(
    inner: &Inner,
    id: u64,
    trigger: Trigger,
    only: &[String],
    dry_run: bool,
) -> CycleReport {
    let started_at = jiff::Timestamp::now().to_string();
    let begin = Instant::now();
    let (mut steps, mut found_advice) = (Vec::new(), Vec::new());
    for name in STEPS {
        let step_begin = Instant::now();
        let is_wanted = only.is_empty() || only.iter().any(|wanted| wanted == name);
        let found = if !is_wanted {
            Found::Nothing("not asked for".to_owned())
        } else if dry_run {
            Found::Nothing("dry run: this step would look, and change nothing".to_owned())
        } else {
            let step = advice::observe(inner, name);
            let seconds = STEP_TIMEOUT.as_secs();
            tokio::time::timeout(STEP_TIMEOUT, step)
                .await
                .unwrap_or_else(|_| Found::Failed(format!("took longer than {seconds} seconds")))
        };
        let (state, detail) = match found {
            Found::Advice(detail, advice) => {
                found_advice.extend(advice);
                (StepState::Done, detail)
            }
            Found::Nothing(why) => (StepState::Skipped, why),
            Found::Failed(why) => (StepState::Failed, why),
        };
        steps.push(Step {
            name,
            state,
            took_ms: step_begin.elapsed().as_secs_f64() * 1e3,
            detail,
        });
    }
    found_advice.sort_by_key(|advice| std::cmp::Reverse(advice.severity));
    CycleReport {
        id,
        trigger,
        started_at,
        took_ms: begin.elapsed().as_secs_f64() * 1e3,
        steps,
        advice: found_advice,
    }
}
