//! What is kept of alerts beyond the process, and how the next one goes on from it.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use serde_json::Value;

use super::{Alert, AlertSeverity, Alerts, KEPT, State, lock};
use crate::observe::metrics::{METRICS, place};

impl Alert {
    /// As it was kept; none where its figure is no longer known.
    pub(crate) fn read(kept: &Value) -> Option<Self> {
        let text = |name: &str| Some(kept[name].as_str()?.to_owned());
        let metric = METRICS[place(kept["metric"].as_str()?)?];
        let states = ["firing", "resolved", "test"];
        Some(Self {
            id: kept["id"].as_u64()?,
            rule: text("rule")?,
            state: states.into_iter().find(|state| kept["state"] == *state)?,
            severity: match kept["severity"].as_str()? {
                "critical" => AlertSeverity::Critical,
                _ => AlertSeverity::Warn,
            },
            at: text("at")?,
            metric: metric.name,
            value: kept["value"].as_f64(),
            threshold: kept["threshold"].as_f64()?,
            sentence: text("sentence")?,
            link: metric.link,
        })
    }
}

impl Alerts {
    /// Rules of which nobody is told now, and until when, in seconds since 1970.
    pub(crate) fn suppressed(&self, now: i64) -> BTreeMap<String, i64> {
        let watched = lock(&self.watched);
        let suppressed = watched.iter().filter_map(|one| {
            let until = one.suppressed_until.filter(|until| now < *until)?;
            Some((one.rule.name.clone(), until))
        });
        suppressed.collect()
    }

    /// What came after that id, the oldest first.
    pub(crate) fn after(&self, id: u64) -> Vec<Alert> {
        let history = lock(&self.history);
        let after = history.iter().filter(|alert| alert.id > id);
        after.cloned().collect()
    }

    /// Goes on from what is kept, of which `last` was the last: the alerts of this process that came after `written` come after those,
    /// and a rule that fired last fires on, of which nobody is told again.
    pub(crate) fn go_on(&self, kept: Vec<Alert>, last: u64, written: u64) {
        let mut watched = lock(&self.watched);
        let mut history = lock(&self.history);
        let mut own: Vec<_> = history
            .drain(..)
            .filter(|alert| alert.id > written)
            .collect();
        for one in watched.iter_mut().filter(|one| one.state == State::Quiet) {
            let told = kept.iter().rev();
            let mut told =
                told.filter(|alert| alert.rule == one.rule.name && alert.state != "test");
            if let Some(fired) = told.next().filter(|alert| alert.state == "firing")
                && !own.iter().any(|alert| alert.rule == fired.rule)
                && let Ok(since) = fired.at.parse::<jiff::Timestamp>()
            {
                let since = since.as_second();
                one.state = State::Firing { since };
                one.is_told = true;
            }
        }
        for (id, alert) in (last + 1..).zip(&mut own) {
            alert.id = id;
        }
        let next = own.last().map_or(last, |alert| alert.id);
        self.last_id.store(next, Ordering::Relaxed);
        history.extend(kept);
        history.extend(own);
        while history.len() > KEPT {
            history.pop_front();
        }
    }
}
