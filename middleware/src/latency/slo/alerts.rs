//! When a burn rate is an alert.
//!
//! Google, The Site Reliability Workbook, chapter 5, "Alerting on SLOs", method 6: an alert has a long window, that says that much of the budget is gone, and
//! one of a twelfth of it, that says that it still goes; both must burn faster than the factor. The burn rate is the share of bad requests over the share
//! that the objective allows; at 1 the budget lasts exactly its period.

use std::time::Duration;

use serde::Serialize;

/// What an alert asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Severity {
    /// Somebody looks at it in working hours.
    #[default]
    Ticket,
    /// Somebody is woken.
    Page,
}

/// One row of the workbook's table.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Rule {
    pub(super) severity: Severity,
    /// The share of the budget that is gone when it fires at its slowest.
    pub(super) budget: f64,
    pub(super) long: Duration,
    pub(super) short: Duration,
}

const fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(60 * minutes)
}

/// Table 5-8, "Recommended parameters for an SLO-based alerting configuration" for 99.9 %; the factors depend on the target only where it is so low that they
/// could not be reached.
pub(super) const RULES: [Rule; 3] = [
    Rule {
        severity: Severity::Page,
        budget: 0.02,
        long: minutes(60),
        short: minutes(5),
    },
    Rule {
        severity: Severity::Page,
        budget: 0.05,
        long: minutes(6 * 60),
        short: minutes(30),
    },
    Rule {
        severity: Severity::Ticket,
        budget: 0.10,
        long: minutes(3 * 24 * 60),
        short: minutes(6 * 60),
    },
];

/// The share of bad requests at which a rule fires at the latest, whatever its factor.
///
/// The workbook, "Extreme Availability Goals": at 90 % a total outage burns 10 times too fast, so that an alert at 14.4 could never fire, and such services
/// have to tune it. Here it fires where nine of ten requests are bad.
const OUTAGE: f64 = 0.9;

impl Rule {
    /// The burn rate that uses up `budget` within the long window; no more than an outage burns of `target`'s budget.
    pub(super) fn factor(&self, period: Duration, target: f64) -> f64 {
        let factor = self.budget * (period.as_secs_f64() / self.long.as_secs_f64());
        factor.min(OUTAGE / (1.0 - target))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::latency::slo::objective::DEFAULT_PERIOD;

    /// The table as it is printed: 2 % of the budget in 1 hour and 5 minutes at 14.4, 5 % in 6 hours and 30 minutes at 6, 10 % in 3 days and 6 hours at 1.
    #[test]
    fn the_table_is_the_workbooks() {
        let rows = RULES.map(|rule| {
            let factor = (rule.factor(DEFAULT_PERIOD, 0.999) * 1e9).round() / 1e9;
            (
                rule.severity,
                rule.long.as_secs() / 60,
                rule.short.as_secs() / 60,
                factor,
            )
        });
        assert_eq!(
            rows,
            [
                (Severity::Page, 60, 5, 14.4),
                (Severity::Page, 360, 30, 6.0),
                (Severity::Ticket, 4_320, 360, 1.0),
            ]
        );
        assert!(RULES.iter().all(|rule| rule.short * 12 == rule.long));
    }
}
