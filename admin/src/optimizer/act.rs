//! What a cycle does by itself, as far as the policy allows: jobs of the extension, and larger pools.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::json;

use super::advice::Advice;
use super::policy::Policy;
use super::pools::Growth;
use crate::Inner;
use crate::audit::Pending;
use crate::database::{Database, JobRequest, SubmitError};
use crate::history::MarkKind;
use crate::security::identity::{Identity, Role};

/// Jobs that look for themselves what is due, over what the role may maintain.
const MAINTENANCE: [&str; 3] = ["vacuum_due", "analyze_all_stale", "repair_invalid_indexes"];
/// Indexes that one cycle builds at most: so each is measured before many are there.
const INDEXES: usize = 2;
/// The pause between two looks at a job.
const EVERY: Duration = Duration::from_millis(250);

/// What an action does.
#[derive(Debug, Clone)]
enum Work {
    Job(JobRequest),
    Grow(Growth),
}

/// What a cycle wants done.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Action {
    pub(crate) kind: String,
    pub(crate) target: Option<String>,
    #[serde(skip)]
    work: Work,
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
            work: Work::Job(request),
            estimated_bytes: 0,
            job: None,
            state: "planned".to_owned(),
            detail: String::new(),
        }
    }

    /// A pool that is given more connections.
    pub(super) fn grow(growth: Growth) -> Self {
        Self {
            kind: "resize_pool".to_owned(),
            target: Some(growth.pool.clone()),
            detail: growth.says(),
            work: Work::Grow(growth),
            estimated_bytes: 0,
            job: None,
            state: "planned".to_owned(),
        }
    }

    /// Whether something has come of it.
    pub(super) fn is_begun(&self) -> bool {
        !matches!(self.state.as_str(), "planned" | "refused")
    }

    /// Does it, written down before and after as any operator's action.
    pub(super) async fn begin(&mut self, inner: &Arc<Inner>, database: &Database) {
        match self.work.clone() {
            Work::Job(request) => self.submit(inner, database, &request).await,
            Work::Grow(growth) => self.resize(inner, &growth).await,
        }
    }

    /// None where it cannot be written down: then it is not done.
    fn write_down(
        &mut self,
        inner: &Arc<Inner>,
        name: &'static str,
        path: &str,
        asked: Option<String>,
    ) -> Option<Pending> {
        let who = Identity::new("cycle", Role::Operator);
        let pending = inner.audit.begin(&who, name, path, false, asked).ok();
        if pending.is_none() {
            self.refuse("the audit cannot be written, so nothing is done".to_owned());
        }
        pending
    }

    fn refuse(&mut self, why: String) {
        "refused".clone_into(&mut self.state);
        self.detail = why;
    }

    async fn submit(&mut self, inner: &Arc<Inner>, database: &Database, request: &JobRequest) {
        let asked = serde_json::to_string(request).ok();
        let path = "/database/maintenance";
        let Some(pending) = self.write_down(inner, "cycle job", path, asked) else {
            return;
        };
        match database.submit(request).await {
            Ok(job) => {
                pending.end(202);
                self.job = Some(job);
                "queued".clone_into(&mut self.state);
                self.detail = format!("job {job}");
                let target = request.target.as_deref().unwrap_or("what is due");
                let what = format!("{} of {target} by a cycle: job {job}", request.kind);
                let now = inner.observed.unix_s();
                inner.history.mark(now, MarkKind::Job, &what);
                inner.cycles.has_tuned(self.estimated_bytes);
            }
            Err(error) => {
                let (status, why) = match error {
                    SubmitError::Same(id) => {
                        (409, format!("job {id} does the same and has not ended"))
                    }
                    SubmitError::NoTarget(name) => (422, format!("there is no table `{name}`")),
                    SubmitError::Database(error) => (503, error.to_string()),
                };
                pending.end(status);
                self.refuse(why);
            }
        }
    }

    async fn resize(&mut self, inner: &Arc<Inner>, growth: &Growth) {
        let pool = inner.pools.iter().find(|pool| pool.name == growth.pool);
        let Some(resize) = pool.and_then(|pool| pool.resize.as_ref()) else {
            return self.refuse("the pool is no longer there".to_owned());
        };
        let path = format!("/database/pools/{}/resize", growth.pool);
        let asked = json!({"max_connections": growth.to}).to_string();
        let Some(pending) = self.write_down(inner, "cycle resize", &path, Some(asked)) else {
            return;
        };
        match resize(growth.to).await {
            Ok(()) => {
                pending.end(200);
                "done".clone_into(&mut self.state);
            }
            Err(error) => {
                pending.end(422);
                "failed".clone_into(&mut self.state);
                self.detail = error.to_string();
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
