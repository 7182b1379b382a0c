//! One cycle: observe, diagnose, advise, act, verify, report. Each step has a time limit; one that fails is written down, and
//! the rest goes on.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;

use super::act::{self, Action};
use super::advice::{self, Found};
use super::policy::Policy;
use super::pools;
use super::report::{CycleReport, Step, StepState, Trigger};
use crate::Inner;
use crate::database::{NamedPool, Runner};
use crate::history::MarkKind;
use crate::targets::Verdict;

/// The steps, in their order. `POST /optimize` may name some of them.
pub(crate) const STEPS: [&str; 6] = ["observe", "diagnose", "advise", "act", "verify", "report"];
/// What is looked at. `POST /optimize` may name some of them.
pub(crate) const PARTS: [&str; 4] = ["response_times", "cache", "memory", "database"];
/// A step that takes longer is recorded as failed, and the next one begins.
const STEP_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a cycle follows the jobs that it has submitted: well within a step's time.
const FOLLOWED: Duration = Duration::from_secs(45);
/// Findings that a report keeps.
const MAX_FINDINGS: usize = 50;

/// What is asked of a cycle.
#[derive(Debug, Clone, Default)]
pub(crate) struct Asked {
    /// All where none is named.
    pub(crate) steps: Vec<String>,
    /// All where none is named.
    pub(crate) parts: Vec<String>,
    /// Looks and advises, and says what it would do.
    pub(crate) dry_run: bool,
}

/// Runs the steps that are asked for.
pub(super) async fn run(
    inner: &Arc<Inner>,
    id: u64,
    trigger: Trigger,
    asked: &Asked,
) -> CycleReport {
    let begin = Instant::now();
    let mut cycle = Cycle {
        inner,
        asked,
        runner: None,
        report: CycleReport {
            id,
            trigger,
            policy: inner.policy.name(),
            dry_run: asked.dry_run,
            started_at: jiff::Timestamp::now().to_string(),
            took_ms: 0.0,
            summary: String::new(),
            steps: Vec::new(),
            parts: Vec::new(),
            findings: Vec::new(),
            advice: Vec::new(),
            actions: Vec::new(),
        },
    };
    for name in STEPS {
        let step_begin = Instant::now();
        let is_wanted = asked.steps.is_empty() || asked.steps.iter().any(|wanted| wanted == name);
        let (state, detail) = if !is_wanted {
            (StepState::Skipped, "not asked for".to_owned())
        } else {
            limited(cycle.step(name)).await
        };
        cycle.report.steps.push(Step {
            name,
            state,
            took_ms: milliseconds(step_begin),
            detail,
        });
    }
    let mut report = cycle.report;
    report.took_ms = milliseconds(begin);
    report
}

fn milliseconds(begin: Instant) -> f64 {
    begin.elapsed().as_secs_f64() * 1e3
}

/// A step within its time, its panics caught.
async fn limited(step: impl Future<Output = (StepState, String)>) -> (StepState, String) {
    let caught = AssertUnwindSafe(step).catch_unwind();
    match tokio::time::timeout(STEP_TIMEOUT, caught).await {
        Ok(Ok(done)) => done,
        Ok(Err(_)) => {
            let detail = "a fault that the app's log tells of".to_owned();
            (StepState::Failed, detail)
        }
        Err(_) => {
            let seconds = STEP_TIMEOUT.as_secs();
            (
                StepState::Failed,
                format!("took longer than {seconds} seconds"),
            )
        }
    }
}

/// A cycle under way.
struct Cycle<'a> {
    inner: &'a Arc<Inner>,
    asked: &'a Asked,
    /// That we are the one who runs cycles on this database now.
    runner: Option<Runner>,
    report: CycleReport,
}

impl Cycle<'_> {
    async fn step(&mut self, name: &str) -> (StepState, String) {
        match name {
            "observe" => self.observe().await,
            "diagnose" => self.diagnose().await,
            "advise" => self.advise(),
            "act" => self.act().await,
            "verify" => self.verify().await,
            _ => self.tell(),
        }
    }

    fn is_wanted(&self, part: &str) -> bool {
        let wanted = &self.asked.parts;
        wanted.is_empty() || wanted.iter().any(|wanted| wanted == part)
    }

    /// Looks at each part; what it sees is advice or nothing yet.
    async fn observe(&mut self) -> (StepState, String) {
        for part in PARTS {
            let begin = Instant::now();
            let found = if self.is_wanted(part) {
                self.look(part).await
            } else {
                Found::Nothing("not asked for".to_owned())
            };
            let (state, detail) = match found {
                Found::Advice(detail, advice) => {
                    self.report.advice.extend(advice);
                    (StepState::Done, detail)
                }
                Found::Nothing(why) => (StepState::Skipped, why),
                Found::Failed(why) => (StepState::Failed, why),
            };
            self.report.parts.push(Step {
                name: part,
                state,
                took_ms: milliseconds(begin),
                detail,
            });
        }
        let looked = self
            .report
            .parts
            .iter()
            .filter(|part| part.has_looked())
            .count();
        let failed = self
            .report
            .parts
            .iter()
            .filter(|part| part.state == StepState::Failed)
            .count();
        let state = if failed > 0 {
            StepState::Failed
        } else {
            StepState::Done
        };
        (state, format!("{looked} parts looked at, {failed} failed"))
    }

    async fn look(&mut self, part: &str) -> Found {
        if part == "database"
            && let Some(database) = &self.inner.database
        {
            match database.become_runner().await {
                Ok(Some(runner)) => self.runner = Some(runner),
                Ok(None) => {
                    let why = "another instance runs a cycle on this database now".to_owned();
                    return Found::Nothing(why);
                }
                Err(error) => return Found::Failed(error.to_string()),
            }
        }
        advice::observe(self.inner, part).await
    }

    /// What is not as it should be: targets, and the checks of the database.
    async fn diagnose(&mut self) -> (StepState, String) {
        let overview = match (&self.inner.database, &self.runner) {
            (Some(database), Some(_)) => Some(database.overview().await),
            _ => None,
        };
        let missed = self
            .inner
            .benchmarks(overview.as_ref(), &self.inner.seen())
            .into_iter();
        let missed = missed.filter(|one| one.verdict == Verdict::Missed);
        self.report.findings = missed
            .filter_map(|one| serde_json::to_value(one).ok())
            .collect();
        let targets = self.report.findings.len();
        let checks = match (&self.inner.database, &self.runner) {
            (Some(database), Some(_)) => match database.findings().await {
                Ok(findings) => findings,
                Err(error) => {
                    return (
                        StepState::Failed,
                        format!("{targets} targets missed; {error}"),
                    );
                }
            },
            _ => Vec::new(),
        };
        let found = checks.len();
        self.report.findings.extend(checks);
        self.report.findings.truncate(MAX_FINDINGS);
        (
            StepState::Done,
            format!("{targets} targets missed, {found} findings in the database"),
        )
    }

    fn advise(&mut self) -> (StepState, String) {
        let advice = &mut self.report.advice;
        advice.sort_by_key(|advice| std::cmp::Reverse(advice.severity));
        let detail = match advice.first() {
            None => "nothing to advise".to_owned(),
            Some(first) => format!(
                "{} pieces of advice, first of all: {}",
                advice.len(),
                first.title
            ),
        };
        (StepState::Done, detail)
    }

    async fn act(&mut self) -> (StepState, String) {
        let Some(database) = &self.inner.database else {
            return (StepState::Skipped, "no database".to_owned());
        };
        if matches!(self.inner.policy, Policy::Observe) {
            let why = "the policy is `observe`: what is advised is an operator's to do";
            return (StepState::Skipped, why.to_owned());
        }
        if self.runner.is_none() {
            return (
                StepState::Skipped,
                "the database was not looked at".to_owned(),
            );
        }
        let now = jiff::Timestamp::now();
        let tuned = self.inner.cycles.tuned_today();
        let mut wanted = act::wanted(&self.inner.policy, &self.report.advice, tuned, now);
        if let Policy::Tune(tuning) = &self.inner.policy
            && tuning.is_open(now)
            && let Ok(overview) = database.fresh_overview().await.value
        {
            let reports: Vec<_> = self.inner.pools.iter().map(NamedPool::report).collect();
            let growing = pools::growing(tuning, &reports, &overview);
            wanted.extend(growing.into_iter().map(Action::grow));
        }
        for mut action in wanted {
            if !self.asked.dry_run {
                action.begin(self.inner, database).await;
            } else if action.detail.is_empty() {
                "it would be submitted".clone_into(&mut action.detail);
            }
            self.report.actions.push(action);
        }
        let actions = &self.report.actions;
        let begun = actions.iter().filter(|action| action.is_begun()).count();
        (
            StepState::Done,
            format!("{} actions wanted, {begun} begun", actions.len()),
        )
    }

    /// Follows what was submitted.
    async fn verify(&mut self) -> (StepState, String) {
        let Some(database) = &self.inner.database else {
            return (StepState::Skipped, "no database".to_owned());
        };
        if !self.report.actions.iter().any(Action::is_begun) {
            return (StepState::Skipped, "nothing was done".to_owned());
        }
        let until = Instant::now() + FOLLOWED;
        for action in &mut self.report.actions {
            action.follow(database, until).await;
        }
        let states = |state: &str| {
            self.report
                .actions
                .iter()
                .filter(|action| action.state == state)
                .count()
        };
        let (done, failed) = (states("done"), states("failed"));
        let state = if failed > 0 {
            StepState::Failed
        } else {
            StepState::Done
        };
        let all = self.report.actions.len();
        (
            state,
            format!("{done} of {all} actions done, {failed} failed"),
        )
    }

    fn tell(&mut self) -> (StepState, String) {
        let report = &mut self.report;
        let failed: Vec<_> = report
            .steps
            .iter()
            .filter(|step| step.state == StepState::Failed)
            .map(|step| step.name)
            .collect();
        let failed = if failed.is_empty() {
            String::new()
        } else {
            format!("; failed: {}", failed.join(", "))
        };
        report.summary = format!(
            "{} findings, {} pieces of advice, {} actions{failed}",
            report.findings.len(),
            report.advice.len(),
            report.actions.len()
        );
        let (id, summary) = (report.id, report.summary.clone());
        tracing::info!(cycle = id, "{summary}");
        let now = self.inner.observed.unix_s();
        self.inner
            .history
            .mark(now, MarkKind::Cycle, &format!("cycle {id}: {summary}"));
        (StepState::Done, summary)
    }
}
