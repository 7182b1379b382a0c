//! What is watched, and from when on it is an alert.

use std::time::Duration;

use serde::Serialize;

use crate::BenchmarkTargets;
use crate::observe::metrics;

/// How much an alert matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AlertSeverity {
    /// For working hours.
    Warn,
    /// Somebody should be woken.
    Critical,
}

/// A rule on one key figure of `GET /history`: it is pending once the figure is past its threshold, fires when that has
/// lasted, and ends when the figure is back past another one, so that a figure at the edge does not ring again and again.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AlertRule {
    pub(crate) name: String,
    pub(crate) metric: String,
    pub(crate) is_above: bool,
    pub(crate) threshold: f64,
    pub(crate) clear: f64,
    pub(crate) lasting_s: f64,
    pub(crate) severity: AlertSeverity,
}

impl AlertRule {
    /// Fires while the figure is above `threshold`. Default: at once, with severity `Warn`, ended at the threshold itself.
    pub fn above(name: impl Into<String>, metric: impl Into<String>, threshold: f64) -> Self {
        Self {
            name: name.into(),
            metric: metric.into(),
            is_above: true,
            threshold,
            clear: threshold,
            lasting_s: 0.0,
            severity: AlertSeverity::Warn,
        }
    }

    /// Fires while the figure is below `threshold`.
    pub fn below(name: impl Into<String>, metric: impl Into<String>, threshold: f64) -> Self {
        Self {
            is_above: false,
            ..Self::above(name, metric, threshold)
        }
    }

    /// Only when it has lasted for so long: at most a day.
    #[must_use]
    pub fn lasting(mut self, lasting: Duration) -> Self {
        self.lasting_s = lasting.as_secs_f64();
        self
    }

    /// Ends when the figure is at this one or better: on the good side of the threshold.
    #[must_use]
    pub fn ends_at(mut self, clear: f64) -> Self {
        self.clear = clear;
        self
    }

    /// Somebody should be woken.
    #[must_use]
    pub fn critical(mut self) -> Self {
        self.severity = AlertSeverity::Critical;
        self
    }

    /// Why it cannot work, if so.
    pub(crate) fn fault(&self) -> Option<String> {
        let name = &self.name;
        if name.is_empty()
            || name.len() > 64
            || !name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        {
            return Some(format!(
                "the name `{}` of an alert is not 1 to 64 letters, digits, `-`, `_` and `.`",
                name.escape_debug()
            ));
        }
        if metrics::place(&self.metric).is_none() {
            let known = metrics::METRICS.map(|metric| metric.name).join(", ");
            return Some(format!(
                "the alert `{name}` watches `{}`; there are: {known}",
                self.metric.escape_debug()
            ));
        }
        let is_in_order = if self.is_above {
            self.clear <= self.threshold
        } else {
            self.clear >= self.threshold
        };
        if !self.threshold.is_finite() || !self.clear.is_finite() || !is_in_order {
            return Some(format!(
                "the alert `{name}` has to end on the good side of its threshold"
            ));
        }
        if !(0.0..=86_400.0).contains(&self.lasting_s) {
            return Some(format!(
                "the alert `{name}` lasts longer than a day before it fires"
            ));
        }
        None
    }

    pub(super) fn is_past(&self, value: f64) -> bool {
        if self.is_above {
            value > self.threshold
        } else {
            value < self.threshold
        }
    }

    pub(super) fn is_clear(&self, value: f64) -> bool {
        if self.is_above {
            value <= self.clear
        } else {
            value >= self.clear
        }
    }
}

/// What is watched without being told.
pub(crate) fn built_in(targets: &BenchmarkTargets) -> Vec<AlertRule> {
    let minutes = |minutes: u64| Duration::from_secs(minutes * 60);
    // A figure has to be a tenth better than its target before all is well again.
    let over = |name: &str, metric: &str, target: f64| {
        AlertRule::above(name, metric, target)
            .ends_at(target * 0.9)
            .lasting(minutes(5))
    };
    let is_so = |name: &str, metric: &str| AlertRule::above(name, metric, 0.5);
    vec![
        over("response-p95", "response_p95_ms", targets.api_p95_ms),
        over("response-p99", "response_p99_ms", targets.api_p99_ms),
        over(
            "response-errors",
            "response_errors_percent",
            targets.api_error_percent,
        )
        .critical(),
        AlertRule::above("slo-burn", "slo_urgency", 4.5)
            .ends_at(2.5)
            .critical(),
        AlertRule::above("slo-budget", "slo_urgency", 2.5).ends_at(2.0),
        AlertRule::below(
            "cache-hits",
            "cache_hits_percent",
            targets.cache_hit_percent * 0.7,
        )
        .ends_at(targets.cache_hit_percent * 0.8)
        .lasting(minutes(15)),
        is_so("cache-l2-down", "cache_l2_down").lasting(minutes(1)),
        over("memory-rss", "memory_rss_mib", targets.memory_mib),
        over("cpu", "cpu_percent", targets.cpu_percent),
        is_so("memory-leak", "memory_leaking"),
        AlertRule::above("pool-exhausted", "pool_used_percent", 95.0)
            .ends_at(80.0)
            .lasting(minutes(1))
            .critical(),
        AlertRule::above("pool-waiting", "pool_waited_percent", 5.0)
            .ends_at(2.0)
            .lasting(minutes(5)),
        is_so("database-down", "database_down")
            .lasting(minutes(1))
            .critical(),
        AlertRule::above("database-connections", "database_connections_percent", 85.0)
            .ends_at(75.0),
        over(
            "database-mean",
            "database_mean_ms",
            targets.database_mean_ms,
        ),
        AlertRule::above("database-wraparound", "database_wraparound_percent", 50.0)
            .ends_at(40.0)
            .critical(),
        AlertRule::above("replication-lag", "database_replication_lag_s", 60.0)
            .ends_at(30.0)
            .lasting(minutes(2)),
        is_so("failed-jobs", "database_failed_jobs"),
        AlertRule::above("failed-logins", "admin_failed_logins_per_min", 30.0).ends_at(5.0),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_rules_can_work_and_have_names_of_their_own() {
        let rules = built_in(&BenchmarkTargets::default());
        let mut names: Vec<_> = rules.iter().map(|rule| &rule.name).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), rules.len());
        for rule in &rules {
            assert_eq!(rule.fault(), None);
        }
    }

    #[test]
    fn rules_that_cannot_work_say_why() {
        let fault = |rule: AlertRule| rule.fault().expect("a fault");
        assert!(fault(AlertRule::above("", "cpu_percent", 1.0)).contains("name"));
        assert!(fault(AlertRule::above("a b", "cpu_percent", 1.0)).contains("name"));
        assert!(fault(AlertRule::above("a", "cpu", 1.0)).contains("cpu_percent"));
        assert!(
            fault(AlertRule::above("a", "cpu_percent", 1.0).ends_at(2.0)).contains("good side")
        );
        assert!(fault(AlertRule::below("a", "cpu_percent", f64::NAN)).contains("good side"));
        let long = AlertRule::above("a", "cpu_percent", 1.0).lasting(Duration::from_secs(86_401));
        assert!(fault(long).contains("a day"));
    }
}
