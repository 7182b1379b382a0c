//! What a run has to reach, in one line each: `p99 < 500ms`, `error_rate < 1% over 10s`, `p95 of login < 300ms`,
//! `rate >= 1000/s over 5s abort`.
//!
//! | file | role |
//! |---|---|
//! | here | a threshold, and what it came to |
//! | `metric` | what it may speak of |
//! | `view` | a report or a step, as it looks at it |
//! | `text` | written and read |
//! | `window` | over parts of a run, at its end and while it goes on |
//! | `exclusive` | what no run can keep |
//! | `usual` | what has to hold where nobody says otherwise |

mod exclusive;
mod metric;
mod text;
mod usual;
mod view;
mod window;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use self::metric::Metric;
use self::view::View;
use crate::report::Report;

pub use exclusive::contradiction;
pub use text::ThresholdError;
pub use usual::UsualTargets;
pub use window::{Breach, Watch};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Less,
    AtMost,
    More,
    AtLeast,
}

const COMPARISONS: [(&str, Comparison); 4] = [
    // Those that begin alike come longest first.
    ("<=", Comparison::AtMost),
    (">=", Comparison::AtLeast),
    ("<", Comparison::Less),
    (">", Comparison::More),
];

/// A condition on a report.
///
/// As text: a figure, one of `<`, `<=`, `>` and `>=`, and a limit with its unit.
///
/// | figure | of what | unit |
/// |---|---|---|
/// | `mean`, `min`, `max`, `p50`, `p75`, `p90`, `p95`, `p99`, `p999`, `p9999` | response times of good answers; with `service_` before it from the send, with `failed_` of what was no good answer, with `lag_` the tester's own lateness | `us`, `ms`, `s` |
/// | `error_rate`; `connect_rate`, `tls_rate`, `reset_rate`, `timeout_rate`, `status_rate`, `protocol_rate`, `sql_rate`, `check_rate` | requests without a good answer, of all kinds or one, among all | `%` |
/// | `rate` | good answers a second | `/s` |
/// | `throughput` | bytes of response bodies a second | `B/s`, `kB/s`, `MB/s`, `GB/s` |
/// | `requests`, `missed`, `dropped` | requests that ended; those due and never sent; connections that were lost | none |
/// | `cpu` | CPU time of the tester's own threads, of one core | `%` |
///
/// After the figure `of` and a step's name as reports have it makes it that step's. At the end, if it should hold in each part of the
/// run, `over` and whole seconds, 1 to [`MAX_DURATION_S`](crate::MAX_DURATION_S): each window of so many seconds on end has to hold, but for those
/// that are not whole at the run's end, and for those without any answer where the figure is of answers. Then, if the run
/// should end when it is broken, `abort`: without `over` all seconds so far count. These two are of response times, `error_rate`, `rate`,
/// `throughput` and `cpu` of the whole run alone.
///
/// A percentile of the whole run of which too few were counted ([`Estimate::needed`](crate::Estimate::needed)) neither holds nor is broken, unless
/// what was counted decides it all the same. One over a window is that of what was counted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "String", into = "String")]
pub struct Threshold {
    metric: Metric,
    comparison: Comparison,
    /// In milliseconds, per cent, a second, bytes a second, or as a count.
    limit: f64,
    step: Option<Arc<str>>,
    /// Seconds of a window; none where the whole run is one.
    over_s: Option<u16>,
    aborts: bool,
}

/// What a threshold came to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Verdict {
    /// The condition.
    pub threshold: Threshold,
    /// What the run had, in the worst of its windows; none where it had no such figure, as a percentile of no answers. Then
    /// the condition does not hold.
    pub measured: Option<f64>,
    /// Whether it holds.
    pub holds: bool,
    /// Set where it neither holds nor is broken, for the run was too short: how many have to be counted for such a percentile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub needed: Option<u64>,
}

impl Verdict {
    /// Whether it was shown not to hold.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        !self.holds && self.needed.is_none()
    }

    /// What it came to, in a word.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match (self.holds, self.needed) {
            (true, _) => "held",
            (false, None) => "broken",
            (false, Some(_)) => "too short",
        }
    }

    /// What the run had, with its unit.
    #[must_use]
    pub fn measured_text(&self) -> String {
        let unit = self.threshold.metric.unit();
        match (self.measured, self.needed) {
            (None, Some(needed)) => format!("too short: it takes {needed} seconds"),
            (None, None) if self.holds => "none failed".to_owned(),
            (None, None) => "nothing measured".to_owned(),
            (Some(value), None) => unit.rounded(value),
            (Some(value), Some(needed)) => {
                format!(
                    "{} so far, too short: it takes {needed}",
                    unit.rounded(value)
                )
            }
        }
    }
}

impl Threshold {
    /// Holds it against a report.
    #[must_use]
    pub fn judge(&self, report: &Report) -> Verdict {
        if let Some(seconds) = self.over_s {
            let worst = window::worst(self, seconds, &report.intervals);
            // A run that ended before its first window says nothing of one.
            let is_short = worst.is_none() && report.elapsed_s < f64::from(seconds);
            return Verdict {
                needed: is_short.then_some(u64::from(seconds)),
                ..self.verdict(worst)
            };
        }
        let Some(view) = View::of(report, self.step.as_deref()) else {
            return self.verdict(None);
        };
        let measured = self.metric.measured(&view);
        // Where nothing failed, no failure took too long.
        if measured.is_none() && self.is_upper() && self.metric.is_of_failures() {
            return Verdict {
                holds: true,
                ..self.verdict(None)
            };
        }
        match self.metric.too_few(&view) {
            None => self.verdict(measured),
            Some((needed, low)) => {
                // Where even the interval's lower end is past the limit, more of them would not bring it back.
                let is_past = low.is_some_and(|low| {
                    if self.is_upper() {
                        !self.holds(low)
                    } else {
                        self.holds(low)
                    }
                });
                Verdict {
                    threshold: self.clone(),
                    measured,
                    holds: is_past && !self.is_upper(),
                    needed: (!is_past).then_some(needed),
                }
            }
        }
    }

    /// Whether the run should end when it is broken.
    #[must_use]
    pub fn aborts(&self) -> bool {
        self.aborts
    }

    /// The step that it is of.
    #[must_use]
    pub fn step(&self) -> Option<&str> {
        self.step.as_deref()
    }

    /// Whether only an open model has its figure.
    pub(crate) fn is_of_open(&self) -> bool {
        matches!(
            self.metric,
            Metric::Time(view::Series::Lag, _) | Metric::Missed
        )
    }

    /// The requests that the whole run, or its step, has to have.
    pub(crate) fn least_requests(&self) -> Option<f64> {
        (self.metric == Metric::Requests && !self.is_upper()).then_some(self.limit)
    }

    /// Seconds of its windows.
    pub(crate) fn over_s(&self) -> Option<u16> {
        self.over_s
    }

    /// The good answers a second that the whole run, or its step, has to have.
    pub(crate) fn least_rate_per_s(&self) -> Option<f64> {
        (self.metric == Metric::Rate && self.over_s.is_none() && !self.is_upper())
            .then_some(self.limit)
    }

    /// How many have to be counted before it can hold.
    pub(crate) fn needed(&self) -> u64 {
        match self.metric {
            Metric::Time(_, metric::Stat::Percentile(hundredths)) if self.over_s.is_none() => {
                crate::confidence::needed(f64::from(hundredths) / 1e4)
            }
            _ => 0,
        }
    }

    fn verdict(&self, measured: Option<f64>) -> Verdict {
        Verdict {
            threshold: self.clone(),
            measured,
            holds: measured.is_some_and(|value| self.holds(value)),
            needed: None,
        }
    }

    fn holds(&self, value: f64) -> bool {
        match self.comparison {
            Comparison::Less => value < self.limit,
            Comparison::AtMost => value <= self.limit,
            Comparison::More => value > self.limit,
            Comparison::AtLeast => value >= self.limit,
        }
    }

    fn is_upper(&self) -> bool {
        matches!(self.comparison, Comparison::Less | Comparison::AtMost)
    }
}

#[cfg(test)]
mod tests;
