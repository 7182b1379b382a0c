//! What a run has to reach, in one line each: `p99 < 500ms`, `error_rate < 1% over 10s`, `rate >= 1000/s over 5s abort`.

use serde::{Deserialize, Serialize};

use crate::report::Report;

mod text;
mod window;

pub use text::ThresholdError;
pub use window::{Breach, Watch};

/// A figure of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Metric {
    Mean,
    Min,
    Max,
    /// In hundredths of a per cent: 9999 is the 99.99th.
    Percentile(u16),
    ErrorRate,
    Rate,
    /// 99th percentile of the tester's own lag.
    Lag,
    Missed,
}

/// What its number is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Ms,
    Percent,
    PerSecond,
    Count,
}

impl Unit {
    fn as_str(self) -> &'static str {
        match self {
            Self::Ms => "ms",
            Self::Percent => "%",
            Self::PerSecond => "/s",
            Self::Count => "",
        }
    }
}

/// Name, metric, unit, and what it is. The one list of what a threshold may speak of.
const METRICS: [(&str, Metric, Unit); 13] = [
    ("mean", Metric::Mean, Unit::Ms),
    ("min", Metric::Min, Unit::Ms),
    ("max", Metric::Max, Unit::Ms),
    ("p50", Metric::Percentile(5_000), Unit::Ms),
    ("p75", Metric::Percentile(7_500), Unit::Ms),
    ("p90", Metric::Percentile(9_000), Unit::Ms),
    ("p95", Metric::Percentile(9_500), Unit::Ms),
    ("p99", Metric::Percentile(9_900), Unit::Ms),
    ("p999", Metric::Percentile(9_990), Unit::Ms),
    ("p9999", Metric::Percentile(9_999), Unit::Ms),
    ("error_rate", Metric::ErrorRate, Unit::Percent),
    ("rate", Metric::Rate, Unit::PerSecond),
    ("lag_p99", Metric::Lag, Unit::Ms),
];

/// The one metric that is a bare number.
const MISSED: (&str, Metric, Unit) = ("missed", Metric::Missed, Unit::Count);

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

/// A condition on a report. Latencies are response times of good answers; `error_rate` is of all requests; `rate` counts good
/// answers a second; `lag_p99` and `missed` are the tester's own.
///
/// As text: a figure, one of `<`, `<=`, `>` and `>=`, and a limit with its unit. Then, if it should hold in each part of the
/// run, `over` and whole seconds, 1 to [`MAX_DURATION_S`](crate::MAX_DURATION_S): each window of so many seconds on end has to hold, but for those
/// that are not whole at the run's end, and for those without any answer where the figure is of answers. Then, if the run
/// should end when it is broken, `abort`: without `over` all seconds so far count.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "String", into = "String")]
pub struct Threshold {
    metric: Metric,
    comparison: Comparison,
    /// In milliseconds, per cent, a second, or as a count.
    limit: f64,
    /// Seconds of a window; none where the whole run is one.
    over_s: Option<u16>,
    aborts: bool,
}

/// What a threshold came to.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Verdict {
    /// The condition.
    pub threshold: Threshold,
    /// What the run had, in the worst of its windows; none where it had no such figure, as a percentile of no answers. Then
    /// the condition does not hold.
    pub measured: Option<f64>,
    /// Whether it holds.
    pub holds: bool,
}

impl Verdict {
    /// What the run had, with its unit.
    #[must_use]
    pub fn measured_text(&self) -> String {
        let Some(value) = self.measured else {
            return "nothing measured".to_owned();
        };
        // As many figures as matter, and none more.
        let rounded = if value < 100.0 {
            (value * 1e3).round() / 1e3
        } else {
            (value * 10.0).round() / 10.0
        };
        format!("{rounded}{}", self.threshold.name().1.as_str())
    }
}

impl Threshold {
    /// Holds it against a report.
    #[must_use]
    pub fn judge(&self, report: &Report) -> Verdict {
        self.verdict(match self.over_s {
            None => self.measured(report),
            Some(seconds) => window::worst(self, seconds, &report.intervals),
        })
    }

    /// Whether the run should end when it is broken.
    #[must_use]
    pub fn aborts(&self) -> bool {
        self.aborts
    }

    fn verdict(&self, measured: Option<f64>) -> Verdict {
        Verdict {
            threshold: *self,
            measured,
            holds: measured.is_some_and(|value| self.holds(value)),
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

    fn measured(&self, report: &Report) -> Option<f64> {
        let response = &report.response;
        let has_answers = response.count > 0;
        let latency = |value: f64| has_answers.then_some(value);
        match self.metric {
            Metric::Mean => latency(response.mean_ms),
            Metric::Min => latency(response.min_ms),
            Metric::Max => latency(response.max_ms),
            Metric::Percentile(5_000) => latency(response.p50_ms),
            Metric::Percentile(7_500) => latency(response.p75_ms),
            Metric::Percentile(9_000) => latency(response.p90_ms),
            Metric::Percentile(9_500) => latency(response.p95_ms),
            Metric::Percentile(9_900) => latency(response.p99_ms),
            Metric::Percentile(9_990) => latency(response.p999_ms),
            Metric::Percentile(_) => latency(response.p9999_ms),
            Metric::ErrorRate => (report.requests > 0).then_some(report.error_percent),
            Metric::Rate => Some(report.rate_per_s),
            Metric::Lag => (report.lag.count > 0).then_some(report.lag.p99_ms),
            #[expect(clippy::cast_precision_loss, reason = "compared with a limit")]
            Metric::Missed => Some(report.missed as f64),
        }
    }

    fn name(&self) -> (&'static str, Unit) {
        METRICS
            .iter()
            .find(|(_, metric, _)| *metric == self.metric)
            .map_or((MISSED.0, MISSED.2), |(name, _, unit)| (*name, *unit))
    }
}

/// Thresholds of which no run could keep both: the first such pair.
#[must_use]
pub fn contradiction(thresholds: &[Threshold]) -> Option<(Threshold, Threshold)> {
    let is_strict =
        |threshold: &Threshold| matches!(threshold.comparison, Comparison::Less | Comparison::More);
    for upper in thresholds.iter().filter(|threshold| threshold.is_upper()) {
        for lower in thresholds.iter().filter(|threshold| !threshold.is_upper()) {
            let is_empty = upper.limit < lower.limit
                || upper.limit == lower.limit && (is_strict(upper) || is_strict(lower));
            if upper.metric == lower.metric && upper.over_s == lower.over_s && is_empty {
                return Some((*upper, *lower));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests;
