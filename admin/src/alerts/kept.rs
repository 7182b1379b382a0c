//! What is kept of alerts beyond the process, and how the next one goes on from it.

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
    /// What came after that id, the oldest first.
    pub(crate) fn after(&self, id: u64) -> Vec<Alert> {
        let history = lock(&self.history);
        let after = history.iter().filter(|alert| alert.id > id);
        after.cloned().collect()
    }

    /// Goes on from what is kept: the alerts of this process that came after `written` come after those, and a rule that fired last
    /// fires on, of which nobody is told again. Answers the id of the last one that is kept.
    pub(crate) fn go_on(&self, kept: Vec<Alert>, written: u64) -> u64 {
        let mut watched = lock(&self.watched);
        let mut history = lock(&self.history);
        let last = kept.last().map_or(written, |alert| alert.id);
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
        last
    }
}
