//! What a cycle writes down.

use serde::Serialize;
use serde_json::Value;

use super::act::Action;
use super::advice::Advice;

/// What started a cycle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Trigger {
    Schedule,
    Request,
    Alert,
}

/// What a cycle did and found.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct CycleReport {
    pub(crate) id: u64,
    pub(crate) trigger: Trigger,
    pub(crate) policy: &'static str,
    pub(crate) dry_run: bool,
    /// RFC 3339, UTC.
    pub(crate) started_at: String,
    pub(crate) took_ms: f64,
    /// What came of it, in a sentence.
    pub(crate) summary: String,
    pub(crate) steps: Vec<Step>,
    /// What `observe` saw of each part.
    pub(crate) parts: Vec<Step>,
    /// Targets that are missed, and what the checks of the database found.
    pub(crate) findings: Vec<Value>,
    pub(crate) advice: Vec<Advice>,
    /// What was done, or would have been.
    pub(crate) actions: Vec<Action>,
}

/// One step of a cycle, or one part that was looked at.
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
