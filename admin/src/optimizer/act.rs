//! What a cycle does by itself: jobs of the extension, as far as the policy allows.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::json;

use super::advice::Advice;
use super::policy::Policy;
use crate::Inner;
use crate::database::{Database, JobRequest, SubmitError};
use crate::security::identity::{Identity, Role};

/// Jobs that look for themselves what is due, over what the role may maintain.
const MAINTENANCE: [&str; 3] = ["vacuum_due", "analyze_all_stale", "repair_invalid_indexes"];
/// Indexes that one cycle builds at most: so each is measured before many are there.
const INDEXES: usize = 2;
/// The pause between two looks at a job.
const EVERY: Duration = Duration::from_millis(250);

/// A job that a cycle wants.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Action {
    pub(crate) kind: String,
    pub(crate) target: Option<String>,
    #[serde(skip)]
    request: JobRequest,
    /// Bytes that it adds, by the extension's estimate.
    pub(crate) estimated_bytes: u64,
    /// None where it was not submitted.
    pub(crate) job: Option<i64>,
    /// `planned`, `refused`, or the state of the job.
    pub(crate) state: String,
    pub(crate) detail: String,
}

/// What the policy allows of what is advised. `tuned` bytes of indexes were built today.
pub(super) fn wanted(
    policy: &Policy,
    advice: &[Advice],
    tuned: u64,
    now: jiff::Timestamp,
) -> Vec<Action> {
    let mut wanted: Vec<_> = match policy {
        Policy::Observe => Vec::new(),
        Policy::Maintain | Policy::Tune(_) => MAINTENANCE
            .iter()
            .map(|kind| {
                Action::new(JobRequest {
                    kind: (*kind).to_owned(),
                    target: None,
                    options: json!({}),
                    dry_run: false,
                })
            })
            .collect(),
    };
    let Policy::Tune(tuning) = policy else {
        return wanted;
    };
    let mut left = tuning.budget_bytes.saturating_sub(tuned);
    let indexes = advice.iter().filter_map(|advice| {
        let job = advice.action.as_ref()?.as_job()?;
        (job.kind == "create_index")
            .then(|| (job.clone(), advice.estimated_bytes.unwrap_or(u64::MAX)))
    });
    for (job, bytes) in indexes.filter(|_| tuning.is_open(now)).take(INDEXES) {
        if bytes <= left {
            left -= bytes;
            wanted.push(Action {
                estimated_bytes: bytes,
                ..Action::new(job)
            });
        }
    }
    wanted
}

impl Action {
    fn new(request: JobRequest) -> Self {
        Self {
            kind: request.kind.clone(),
            target: request.target.clone(),
            request,
            estimated_bytes: 0,
            job: None,
            state: "planned".to_owned(),
            detail: String::new(),
        }
    }

    /// Submits it, written down before and after as any operator's action.
    pub(super) async fn submit(&mut self, inner: &Arc<Inner>, database: &Database) {
        let who = Identity::new("cycle", Role::Operator);
        let asked = serde_json::to_string(&self.request).ok();
        let Ok(pending) =
            inner
                .audit
                .begin(&who, "cycle job", "/database/maintenance", false, asked)
        else {
            "refused".clone_into(&mut self.state);
            "the audit cannot be written, so nothing is done".clone_into(&mut self.detail);
            return;
        };
        match database.submit(&self.request).await {
            Ok(job) => {
                pending.end(202);
                self.job = Some(job);
                "queued".clone_into(&mut self.state);
                self.detail = format!("job {job}");
                inner.cycles.has_tuned(self.estimated_bytes);
            }
            Err(error) => {
                "refused".clone_into(&mut self.state);
                let status = match error {
                    SubmitError::Same(id) => {
                        self.detail = format!("job {id} does the same and has not ended");
                        409
                    }
                    SubmitError::NoTarget(name) => {
                        self.detail = format!("there is no table `{name}`");
                        422
                    }
                    SubmitError::Database(error) => {
                        self.detail = error.to_string();
                        503
                    }
                };
                pending.end(status);
            }
        }
    }

    /// Looks at the job until it has ended, or no longer than `until`.
    pub(super) async fn follow(&mut self, database: &Database, until: Instant) {
        let Some(id) = self.job else { return };
        loop {
            match database.job(id).await {
                Ok(Some(job)) => {
                    self.state.clone_from(&job.state);
                    if let Some(error) = job.more.get("error").and_then(|error| error.as_str()) {
                        self.detail = format!("job {id}: {error}");
                    }
                }
                Ok(None) => {
                    self.detail = format!("job {id} is no longer there");
                    return;
                }
                Err(error) => {
                    self.detail = format!("job {id}: {error}");
                    return;
                }
            }
            let is_under_way = matches!(
                self.state.as_str(),
                "queued" | "waiting_for_lock" | "running"
            );
            if !is_under_way || Instant::now() >= until {
                return;
            }
            tokio::time::sleep(EVERY).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Tuning;
    use super::*;
    use crate::optimizer::advice;

    fn wants(policy: &Policy, tuned: u64, at: &str) -> Vec<String> {
        let advice = [
            advice::index_for_tests("a", Some(600)),
            advice::index_for_tests("b", Some(500)),
            advice::index_for_tests("c", None),
        ];
        let now = at.parse().expect("a time");
        let wanted = wanted(policy, &advice, tuned, now);
        wanted
            .iter()
            .map(|action| action.target.clone().unwrap_or(action.kind.clone()))
            .collect()
    }

    #[test]
    fn a_policy_goes_so_far_and_no_further() {
        let noon = "2026-11-28T12:00:00Z";
        assert_eq!(wants(&Policy::Observe, 0, noon), Vec::<String>::new());
        assert_eq!(wants(&Policy::Maintain, 0, noon), MAINTENANCE);
        let tuning = Tuning::default()
            .budget_bytes(1_000)
            .between((1, 0), (13, 0));
        let with = |tables: &[&'static str]| [&MAINTENANCE, tables].concat();
        let tune = Policy::Tune(tuning);
        assert_eq!(
            wants(&tune, 0, noon),
            with(&["a"]),
            "the second is over the budget"
        );
        assert_eq!(
            wants(&tune, 500, noon),
            with(&["b"]),
            "what was built today counts"
        );
        assert_eq!(
            wants(&tune, 0, "2026-11-28T13:00:00Z"),
            with(&[]),
            "outside of its window"
        );
        let rich = Policy::Tune(Tuning::default());
        assert_eq!(
            wants(&rich, 0, noon),
            with(&["a", "b"]),
            "one of unknown size is an operator's to build"
        );
    }
}
