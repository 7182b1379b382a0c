//! Alerts: rules over the key figures, each pending, firing or resolved; what fired is kept, and told to sinks.

mod kept;
mod rule;
#[cfg(feature = "webhook")]
mod webhook;

use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;

pub(crate) use rule::built_in;
pub use rule::{AlertRule, AlertSeverity};
#[cfg(feature = "webhook")]
pub use webhook::{Webhook, WebhookError, WebhookFigures};

use crate::observe::metrics::{METRICS, Sample, place};
use crate::observe::time;

/// So many alerts that fired, ended or were tried are kept; the oldest goes.
pub(crate) const KEPT: usize = 500;

/// An alert that fires, has ended, or is only tried.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Alert {
    /// Rises by one from alert to alert.
    pub id: u64,
    /// The rule's name.
    pub rule: String,
    /// `firing`, `resolved` or `test`.
    pub state: &'static str,
    /// How much it matters.
    pub severity: AlertSeverity,
    /// When, RFC 3339 in UTC.
    pub at: String,
    /// The key figure.
    pub metric: &'static str,
    /// What it is now; none where a rule is only tried and it is not known.
    pub value: Option<f64>,
    /// What it was to stay within.
    pub threshold: f64,
    /// It all in a sentence.
    pub sentence: String,
    /// Where to look further, under the prefix.
    pub link: &'static str,
}

/// Who is told of alerts. `tell` is called from the task that watches: it must not block, and what it does further it does in
/// a task of its own. A panic is caught and counted.
pub trait AlertSink: Send + Sync + 'static {
    /// An alert fires, has ended, or is tried.
    fn tell(&self, alert: &Alert);
}

impl<F: Fn(&Alert) + Send + Sync + 'static> AlertSink for F {
    fn tell(&self, alert: &Alert) {
        self(alert);
    }
}

/// How a rule stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Quiet,
    Pending { since: i64 },
    Firing { since: i64 },
}

/// A rule, how it stands, and until when nobody is told.
#[derive(Debug, Clone)]
struct Watched {
    rule: AlertRule,
    place: usize,
    state: State,
    value: f32,
    suppressed_until: Option<i64>,
    /// Whether somebody was told that it fires, and not yet that it has ended.
    is_told: bool,
}

/// A rule as it is shown.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Standing {
    #[serde(flatten)]
    rule: AlertRule,
    /// `quiet`, `pending` or `firing`.
    state: &'static str,
    /// Since when it is pending or firing.
    since: Option<String>,
    value: serde_json::Value,
    unit: &'static str,
    /// Nobody is told until then.
    suppressed_until: Option<String>,
}

/// All rules, and what became of them.
pub(crate) struct Alerts {
    watched: Mutex<Vec<Watched>>,
    history: Mutex<VecDeque<Alert>>,
    sinks: Vec<Arc<dyn AlertSink>>,
    last_id: AtomicU64,
    dropped: AtomicU64,
    panics: AtomicU64,
}

impl fmt::Debug for Alerts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Alerts").finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Alerts {
    /// The rules have been checked.
    pub(crate) fn new(rules: Vec<AlertRule>, sinks: Vec<Arc<dyn AlertSink>>) -> Self {
        let watched = rules.into_iter().filter_map(|rule| {
            Some(Watched {
                place: place(&rule.metric)?,
                rule,
                state: State::Quiet,
                value: f32::NAN,
                suppressed_until: None,
                is_told: false,
            })
        });
        Self {
            watched: Mutex::new(watched.collect()),
            history: Mutex::default(),
            sinks,
            last_id: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            panics: AtomicU64::new(0),
        }
    }

    /// Puts a sample to every rule. What there is to tell by it is kept and answered: what fires or has ended, and of a rule that was
    /// suppressed what nobody was told meanwhile and is still so.
    pub(crate) fn look(&self, now: i64, sample: &Sample) -> Vec<Alert> {
        let mut told = Vec::new();
        for watched in lock(&self.watched).iter_mut() {
            watched.value = sample[watched.place];
            watched.look(now);
            if let Some(state) = watched.untold(now) {
                told.push(self.alert(watched, state, now));
            }
        }
        for alert in &told {
            self.keep(alert.clone());
        }
        told
    }

    fn alert(&self, watched: &Watched, state: &'static str, now: i64) -> Alert {
        let Watched {
            rule, place, value, ..
        } = watched;
        let metric = METRICS[*place];
        let side = if rule.is_above { "at most" } else { "at least" };
        let value = crate::observe::number(*value).as_f64();
        let measured = value.map_or("not known".to_owned(), |value| value.to_string());
        let unit = if metric.unit.is_empty() {
            String::new()
        } else {
            format!(" {}", metric.unit)
        };
        let what = match state {
            "resolved" => "is well again",
            "test" => "is tried",
            _ => "fires",
        };
        Alert {
            id: self.last_id.fetch_add(1, Ordering::Relaxed) + 1,
            rule: rule.name.clone(),
            state,
            severity: rule.severity,
            at: time(now),
            metric: metric.name,
            value,
            threshold: rule.threshold,
            sentence: format!(
                "{} {what}: {} is {measured}{unit}, {side} {}{unit} wanted",
                rule.name, metric.name, rule.threshold
            ),
            link: metric.link,
        }
    }

    fn keep(&self, alert: Alert) {
        let mut history = lock(&self.history);
        history.push_back(alert);
        if history.len() > KEPT {
            history.pop_front();
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Tells the log and every sink.
    pub(crate) fn tell(&self, alert: &Alert) {
        match (alert.state, alert.severity) {
            ("firing", AlertSeverity::Critical) => {
                tracing::error!(rule = %alert.rule, "{}", alert.sentence)
            }
            ("firing", AlertSeverity::Warn) => {
                tracing::warn!(rule = %alert.rule, "{}", alert.sentence)
            }
            _ => tracing::info!(rule = %alert.rule, "{}", alert.sentence),
        }
        for sink in &self.sinks {
            if catch_unwind(AssertUnwindSafe(|| sink.tell(alert))).is_err() {
                self.panics.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Tells the sinks of an alert that is none, so that somebody sees whether it comes through. None where there is no such
    /// rule.
    pub(crate) fn test(&self, name: &str, now: i64, dry_run: bool) -> Option<Alert> {
        let watched = lock(&self.watched)
            .iter()
            .find(|one| one.rule.name == name)
            .cloned()?;
        let alert = self.alert(&watched, "test", now);
        if !dry_run {
            self.keep(alert.clone());
            self.tell(&alert);
        }
        Some(alert)
    }

    /// Tells nobody of a rule until then; none ends that. False where there is no such rule.
    pub(crate) fn suppress(&self, name: &str, until: Option<i64>, dry_run: bool) -> bool {
        let mut all = lock(&self.watched);
        let Some(watched) = all.iter_mut().find(|one| one.rule.name == name) else {
            return false;
        };
        if !dry_run {
            watched.suppressed_until = until;
        }
        true
    }

    /// Every rule: firing first, then pending, then by name.
    pub(crate) fn standing(&self, now: i64) -> Vec<Standing> {
        let mut watched = lock(&self.watched).clone();
        let rank = |state| match state {
            State::Firing { .. } => 0,
            State::Pending { .. } => 1,
            State::Quiet => 2,
        };
        watched.sort_by(|a, b| (rank(a.state), &a.rule.name).cmp(&(rank(b.state), &b.rule.name)));
        watched
            .into_iter()
            .map(|watched| {
                let (state, since) = match watched.state {
                    State::Quiet => ("quiet", None),
                    State::Pending { since } => ("pending", Some(since)),
                    State::Firing { since } => ("firing", Some(since)),
                };
                Standing {
                    state,
                    since: since.map(time),
                    value: crate::observe::number(watched.value),
                    unit: METRICS[watched.place].unit,
                    suppressed_until: watched
                        .suppressed_until
                        .filter(|until| now < *until)
                        .map(time),
                    rule: watched.rule,
                }
            })
            .collect()
    }

    /// How many rules fire now.
    pub(crate) fn firing(&self) -> usize {
        let watched = lock(&self.watched);
        watched
            .iter()
            .filter(|one| matches!(one.state, State::Firing { .. }))
            .count()
    }

    /// What fired, ended or was tried before `before`, the newest first, at most `limit`; and whether there is more.
    pub(crate) fn page(&self, before: Option<u64>, limit: usize) -> (Vec<Alert>, bool) {
        let history = lock(&self.history);
        let mut found = history
            .iter()
            .rev()
            .filter(|alert| before.is_none_or(|before| alert.id < before));
        let page = found.by_ref().take(limit).cloned().collect();
        (page, found.next().is_some())
    }

    /// Alerts that were dropped from the history, and panics of sinks.
    pub(crate) fn lost(&self) -> (u64, u64) {
        (
            self.dropped.load(Ordering::Relaxed),
            self.panics.load(Ordering::Relaxed),
        )
    }
}

impl Watched {
    /// The next state. While the figure is not known everything stays as it is.
    fn look(&mut self, now: i64) {
        let value = f64::from(self.value);
        if !value.is_finite() {
            return;
        }
        self.state = match self.state {
            State::Quiet if self.rule.is_past(value) => self.since(now, now),
            State::Pending { since } if self.rule.is_past(value) => self.since(since, now),
            State::Pending { .. } => State::Quiet,
            State::Firing { .. } if self.rule.is_clear(value) => State::Quiet,
            state => state,
        };
    }

    /// Past the threshold since then.
    fn since(&self, since: i64, now: i64) -> State {
        if ((now - since) as f64) < self.rule.lasting_s {
            return State::Pending { since };
        }
        State::Firing { since: now }
    }

    /// What somebody has to be told now; nothing while the rule is suppressed, or its figure is not known.
    fn untold(&mut self, now: i64) -> Option<&'static str> {
        let is_suppressed = self.suppressed_until.is_some_and(|until| now < until);
        let is_firing = matches!(self.state, State::Firing { .. });
        if is_suppressed || !self.value.is_finite() || is_firing == self.is_told {
            return None;
        }
        self.is_told = is_firing;
        Some(if is_firing { "firing" } else { "resolved" })
    }
}

#[cfg(test)]
mod tests;
