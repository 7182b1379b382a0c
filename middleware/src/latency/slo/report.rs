//! What is told of objectives.

use serde::Serialize;

use super::{
    alerts::{RULES, Rule, Severity},
    objective::{Objective, Tally, percent},
    slots::Slots,
};
use crate::latency::slow::grouped;
use std::time::Duration;

/// Bad requests in the long window below which an alert is held back: one alone is no trend.
pub(super) const MIN_BAD: u64 = 3;

/// How an objective stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ObjectiveState {
    /// Nothing was counted in the period.
    #[default]
    NoRequests,
    /// The budget lasts.
    Ok,
    /// It burns too fast, but so few requests were counted that it may be chance.
    FewRequests,
    /// The budget will not last: for working hours.
    Ticket,
    /// None of the budget is left. Its alerts may be quiet, since it does not burn now.
    Exhausted,
    /// The budget goes fast: somebody should be woken.
    Page,
}

impl ObjectiveState {
    /// How much it matters: the more, the larger.
    #[must_use]
    pub const fn urgency(self) -> u8 {
        match self {
            Self::NoRequests => 0,
            Self::Ok => 1,
            Self::FewRequests => 2,
            Self::Ticket => 3,
            Self::Exhausted => 4,
            Self::Page => 5,
        }
    }
}

/// How one objective stands.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct ObjectiveReport {
    /// What it is called.
    pub name: String,
    /// Its routes, as they were said.
    pub routes: String,
    /// The share of requests that has to be good.
    pub target: f64,
    /// What good is, of a latency objective.
    pub threshold_ms: Option<f64>,
    /// What requests are held against: the upper edge of the threshold's bucket.
    pub effective_threshold_ms: Option<f64>,
    /// The period of the budget, in seconds.
    pub period_s: u64,
    /// How much of it was counted: less while the process is younger.
    pub covered_s: u64,
    /// Requests that counted in it.
    pub requests: u64,
    /// Of these, the bad ones.
    pub bad: u64,
    /// `1 - bad / requests`; 1 where nothing was counted.
    pub compliance: f64,
    /// The share of the period's error budget that is left; below 0 where more than all is gone. While the process is younger than the period, the time
    /// before its start counts as one with as many requests and none of them bad.
    pub budget_left: f64,
    /// Its alerts, the fastest first.
    pub alerts: Vec<BurnAlert>,
    /// How it stands.
    pub state: ObjectiveState,
    /// The same in a sentence.
    pub verdict: String,
}

/// One alert of an objective.
#[derive(Clone, Copy, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct BurnAlert {
    /// What it asks for.
    pub severity: Severity,
    /// The burn rate that both windows must be above: the workbook's, or what nine bad requests of ten burn where that is less.
    pub factor: f64,
    /// The long window, in seconds.
    pub long_s: u64,
    /// Requests in it.
    pub long_requests: u64,
    /// Bad ones.
    pub long_bad: u64,
    /// Its burn rate.
    pub long_burn: f64,
    /// The short window, in seconds.
    pub short_s: u64,
    /// Requests in it.
    pub short_requests: u64,
    /// Bad ones.
    pub short_bad: u64,
    /// Its burn rate.
    pub short_burn: f64,
    /// Both are above the factor, and there are enough requests.
    pub fires: bool,
    /// Both are above the factor, and it is held back: too few requests.
    pub held_back: bool,
}

/// The burn rate: 0 where nothing was counted.
pub(super) fn burn(tally: Tally, target: f64) -> f64 {
    if tally.total == 0 {
        return 0.0;
    }
    (tally.bad as f64 / tally.total as f64) / (1.0 - target)
}

impl BurnAlert {
    fn of(objective: &Objective, slots: &Slots, rule: &Rule, now: Duration) -> Self {
        let long = slots.sum(now, rule.long);
        let short = slots.sum(now, rule.short);
        let factor = rule.factor(objective.period, objective.target);
        let (long_burn, short_burn) = (burn(long, objective.target), burn(short, objective.target));
        let burns = long_burn > factor && short_burn > factor;
        let enough = long.total >= objective.min_requests && long.bad >= MIN_BAD;
        Self {
            severity: rule.severity,
            factor,
            long_s: rule.long.as_secs(),
            long_requests: long.total,
            long_bad: long.bad,
            long_burn,
            short_s: rule.short.as_secs(),
            short_requests: short.total,
            short_bad: short.bad,
            short_burn,
            fires: burns && enough,
            held_back: burns && !enough,
        }
    }
}

impl ObjectiveReport {
    /// `age` is how long the layer has been counting.
    pub(super) fn of(objective: &Objective, slots: &Slots, now: Duration, age: Duration) -> Self {
        let counted = slots.sum(now, objective.period);
        let covered = age.min(objective.period);
        let share = covered.as_secs_f64() / objective.period.as_secs_f64();
        let spent = burn(counted, objective.target) * share;
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        let mut report = Self {
            name: objective.label(),
            routes: objective.routes.as_str().to_owned(),
            target: objective.target,
            threshold_ms: objective.threshold.map(ms),
            effective_threshold_ms: objective.effective_threshold().map(ms),
            period_s: objective.period.as_secs(),
            covered_s: covered.as_secs(),
            requests: counted.total,
            bad: counted.bad,
            compliance: 1.0 - counted.bad as f64 / counted.total.max(1) as f64,
            budget_left: 1.0 - spent,
            alerts: RULES
                .iter()
                .map(|rule| BurnAlert::of(objective, slots, rule, now))
                .collect(),
            ..Self::default()
        };
        report.state = report.stands(objective);
        report.verdict = report.sentence(objective);
        report
    }

    fn stands(&self, objective: &Objective) -> ObjectiveState {
        let fires = self.alerts.iter().filter(|alert| alert.fires);
        let worst = fires.map(|alert| alert.severity).max();
        let enough = self.requests >= objective.min_requests && self.bad >= MIN_BAD;
        if self.requests == 0 {
            ObjectiveState::NoRequests
        } else if worst == Some(Severity::Page) {
            ObjectiveState::Page
        } else if self.budget_left <= 0.0 && enough {
            ObjectiveState::Exhausted
        } else if worst == Some(Severity::Ticket) {
            ObjectiveState::Ticket
        } else if self.budget_left <= 0.0 || self.alerts.iter().any(|alert| alert.held_back) {
            ObjectiveState::FewRequests
        } else {
            ObjectiveState::Ok
        }
    }

    fn sentence(&self, objective: &Objective) -> String {
        let name = &self.name;
        let bad = if self.threshold_ms.is_some() {
            "slow"
        } else {
            "failed"
        };
        let since = if self.covered_s < self.period_s {
            format!("since the start {} ago", span(self.covered_s))
        } else {
            format!("in {}", span(self.period_s))
        };
        let left = format!(
            "{} of the error budget of {} is left{} ({} of {} requests {bad} {since})",
            percent((self.budget_left * 1e4).round() / 1e4),
            span(self.period_s),
            if self.covered_s < self.period_s {
                " if none was spent before"
            } else {
                ""
            },
            grouped(self.bad),
            grouped(self.requests),
        );
        match self.state {
            ObjectiveState::NoRequests => format!("{name}: no request has counted {since}"),
            ObjectiveState::Ok => format!("{name}: holds; {left}"),
            ObjectiveState::Exhausted => format!(
                "{name}: more than its error budget is gone: {} of {} requests {bad} {since}, {} of them may be",
                grouped(self.bad),
                grouped(self.requests),
                percent(1.0 - objective.target)
            ),
            ObjectiveState::FewRequests => format!(
                "{name}: too few requests to tell; {left}; alerts want {} requests and {MIN_BAD} of them {bad} in their long window",
                grouped(objective.min_requests)
            ),
            ObjectiveState::Page | ObjectiveState::Ticket => {
                let fires = self.alerts.iter().find(|alert| alert.fires);
                let alert = fires.copied().unwrap_or_default();
                format!(
                    "{name}: burns its error budget {:.1} times too fast over {} ({} of {} requests {bad}) and {:.1} times over {}, {:.1} is the limit; {}; {left}",
                    alert.long_burn,
                    span(alert.long_s),
                    grouped(alert.long_bad),
                    grouped(alert.long_requests),
                    alert.short_burn,
                    span(alert.short_s),
                    alert.factor,
                    self.lasts(alert.long_burn),
                )
            }
        }
    }

    /// How long the rest of the budget lasts.
    fn lasts(&self, burn: f64) -> String {
        if self.budget_left <= 0.0 {
            return "nothing of it is left".to_owned();
        }
        let seconds = self.period_s as f64 * self.budget_left / burn.max(f64::MIN_POSITIVE);
        format!("at this rate the rest lasts {}", span(seconds as u64))
    }
}

/// `5 min`, `6 h`, `30 d`.
fn span(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        3_600 => "1 h".to_owned(),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}
