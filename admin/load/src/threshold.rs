//! What a run has to reach, in one line each: `p99 < 500ms`, `error_rate < 1%`, `rate >= 1000/s`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::report::Report;

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
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Threshold {
    metric: Metric,
    comparison: Comparison,
    /// In milliseconds, per cent, a second, or as a count.
    limit: f64,
}

/// What a threshold came to.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Verdict {
    /// The condition.
    pub threshold: Threshold,
    /// What the run had; none where it had no such figure, as a percentile of no answers. Then the condition does not hold.
    pub measured: Option<f64>,
    /// Whether it holds.
    pub holds: bool,
}

impl Threshold {
    /// Holds it against a report.
    #[must_use]
    pub fn judge(&self, report: &Report) -> Verdict {
        let measured = self.measured(report);
        let holds = measured.is_some_and(|value| match self.comparison {
            Comparison::Less => value < self.limit,
            Comparison::AtMost => value <= self.limit,
            Comparison::More => value > self.limit,
            Comparison::AtLeast => value >= self.limit,
        });
        Verdict {
            threshold: *self,
            measured,
            holds,
        }
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

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, unit) = self.name();
        let comparison = COMPARISONS
            .iter()
            .find(|(_, comparison)| *comparison == self.comparison)
            .map_or("", |(text, _)| text);
        let unit = match unit {
            Unit::Ms => "ms",
            Unit::Percent => "%",
            Unit::PerSecond => "/s",
            Unit::Count => "",
        };
        write!(f, "{name} {comparison} {}{unit}", self.limit)
    }
}

/// Why a threshold cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no threshold: {wants}")]
pub struct ThresholdError {
    text: String,
    wants: String,
}

impl FromStr for Threshold {
    type Err = ThresholdError;

    fn from_str(text: &str) -> Result<Self, ThresholdError> {
        let wrong = |wants: String| ThresholdError {
            text: text.to_owned(),
            wants,
        };
        let found = COMPARISONS
            .iter()
            .filter_map(|(sign, comparison)| Some((text.find(sign)?, *sign, *comparison)))
            .min_by_key(|(at, sign, _)| (*at, std::cmp::Reverse(sign.len())));
        let Some((at, sign, comparison)) = found else {
            return Err(wrong(
                "it wants a figure, one of < <= > >=, and a limit, as in `p99 < 500ms`".to_owned(),
            ));
        };
        let (name, limit) = (text[..at].trim(), text[at + sign.len()..].trim());
        let known = METRICS.iter().chain([&MISSED]);
        let Some((_, metric, unit)) = known.clone().find(|(known, ..)| *known == name) else {
            let names: Vec<_> = known.map(|(name, ..)| *name).collect();
            return Err(wrong(format!(
                "there is no figure `{name}`; there are {}",
                names.join(", ")
            )));
        };
        let limit = read(limit, *unit).ok_or_else(|| {
            wrong(match unit {
                Unit::Ms => format!("{name} wants a time, as 500ms or 0.5s"),
                Unit::Percent => format!("{name} wants 0% to 100%"),
                Unit::PerSecond => format!("{name} wants a rate, as 1000/s"),
                Unit::Count => format!("{name} wants a number"),
            })
        })?;
        Ok(Self {
            metric: *metric,
            comparison,
            limit,
        })
    }
}

/// A limit with its unit, which must be there: `p99 < 500` says neither what nor by how much it was mistaken.
fn read(text: &str, unit: Unit) -> Option<f64> {
    let number = |text: &str| {
        let number: f64 = text.trim().parse().ok()?;
        (number.is_finite() && number >= 0.0).then_some(number)
    };
    match unit {
        Unit::Ms => {
            for (ending, ms) in [("us", 1e-3), ("ms", 1.0), ("s", 1e3)] {
                if let Some(value) = text.strip_suffix(ending) {
                    return Some(number(value)? * ms);
                }
            }
            None
        }
        Unit::Percent => number(text.strip_suffix('%')?).filter(|percent| *percent <= 100.0),
        Unit::PerSecond => number(text.strip_suffix("/s")?),
        Unit::Count => number(text),
    }
}

impl TryFrom<String> for Threshold {
    type Error = ThresholdError;

    fn try_from(text: String) -> Result<Self, ThresholdError> {
        text.parse()
    }
}

impl From<Threshold> for String {
    fn from(threshold: Threshold) -> Self {
        threshold.to_string()
    }
}

/// Thresholds of which no run could keep both: the first such pair.
#[must_use]
pub fn contradiction(thresholds: &[Threshold]) -> Option<(Threshold, Threshold)> {
    let is_upper = |threshold: &Threshold| {
        matches!(threshold.comparison, Comparison::Less | Comparison::AtMost)
    };
    let is_strict =
        |threshold: &Threshold| matches!(threshold.comparison, Comparison::Less | Comparison::More);
    for upper in thresholds.iter().filter(|threshold| is_upper(threshold)) {
        for lower in thresholds.iter().filter(|threshold| !is_upper(threshold)) {
            let is_empty = upper.limit < lower.limit
                || upper.limit == lower.limit && (is_strict(upper) || is_strict(lower));
            if upper.metric == lower.metric && is_empty {
                return Some((*upper, *lower));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn threshold(text: &str) -> Threshold {
        text.parse().unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn what_is_read_is_written_the_same() {
        for (text, written) in [
            ("p99 < 500ms", "p99 < 500ms"),
            ("p99.9<1s", ""),
            ("p999<=1s", "p999 <= 1000ms"),
            ("mean < 1500us", "mean < 1.5ms"),
            (" error_rate < 1% ", "error_rate < 1%"),
            ("rate >= 1000/s", "rate >= 1000/s"),
            ("missed <= 0", "missed <= 0"),
            ("lag_p99 < 1ms", "lag_p99 < 1ms"),
        ] {
            if written.is_empty() {
                assert!(text.parse::<Threshold>().is_err(), "{text}");
                continue;
            }
            assert_eq!(threshold(text).to_string(), written);
            assert_eq!(threshold(written), threshold(text));
        }
    }

    #[test]
    fn what_cannot_be_read_says_what_it_wants() {
        for (text, wants) in [
            ("", "a figure, one of"),
            ("p99", "a figure, one of"),
            ("p98 < 1ms", "there is no figure `p98`; there are mean"),
            ("p99 < 500", "p99 wants a time"),
            ("p99 < -1ms", "p99 wants a time"),
            ("p99 < infms", "p99 wants a time"),
            ("p99 < NaNms", "p99 wants a time"),
            ("error_rate < 101%", "0% to 100%"),
            ("error_rate < 0.01", "0% to 100%"),
            ("rate >= 1000", "as 1000/s"),
            ("missed <= some", "wants a number"),
            ("p99 << 5ms", "p99 wants a time"),
        ] {
            let error = text.parse::<Threshold>().expect_err(text).to_string();
            assert!(error.contains(wants), "{error}");
        }
    }

    #[test]
    fn two_that_exclude_each_other_are_found() {
        let of = |texts: &[&str]| {
            let all: Vec<_> = texts.iter().map(|text| threshold(text)).collect();
            contradiction(&all)
        };
        assert!(of(&["p99 < 500ms", "p99 > 500ms"]).is_some());
        assert!(of(&["p99 <= 500ms", "p99 >= 500ms"]).is_none());
        assert!(of(&["rate >= 1000/s", "p99 < 1ms", "rate < 900/s"]).is_some());
        assert!(of(&["rate >= 1000/s", "p99 < 1ms", "rate < 1100/s"]).is_none());
    }

    #[test]
    fn a_report_is_held_against_each() {
        use std::time::{Duration, Instant};

        use crate::record::{Answer, Recorder, Sample};
        use crate::report::Ended;
        let mut recorder = Recorder::new();
        let begin = Instant::now();
        for ms in 1..=100 {
            let answer = Answer {
                status: Some(if ms > 98 { 500 } else { 200 }),
                body_bytes: 1,
            };
            let sample = Sample {
                intended: begin,
                lag: Duration::ZERO,
                sent: begin,
                ended: begin + Duration::from_millis(ms),
                outcome: Ok(answer),
            };
            recorder.record(&sample, true);
        }
        let ended = |due| Ended {
            is_open: true,
            is_cancelled: false,
            elapsed: Duration::from_secs(2),
            due,
            unfinished: 0,
            cpu: Duration::ZERO,
            intervals: Vec::new(),
        };
        let report = Report::new(&recorder, &ended(103));
        for (text, holds) in [
            ("error_rate <= 2%", true),
            ("error_rate < 2%", false),
            ("rate >= 49/s", true),
            ("rate > 49/s", false),
            ("p50 < 50ms", true),
            ("p50 < 49ms", false),
            ("max < 99ms", true),
            ("missed <= 3", true),
            ("missed < 3", false),
            ("lag_p99 < 1ms", true),
        ] {
            assert_eq!(threshold(text).judge(&report).holds, holds, "{text}");
        }
        // Of no answers there is no percentile, and what was not measured does not hold.
        let empty = Report::new(&Recorder::new(), &ended(0));
        for text in ["p99 < 1ms", "p99 > 1ms", "error_rate < 1%", "lag_p99 < 1ms"] {
            let verdict = threshold(text).judge(&empty);
            assert_eq!((verdict.holds, verdict.measured), (false, None), "{text}");
        }
    }

    #[test]
    fn in_json_it_is_its_text() {
        let text = serde_json::to_string(&threshold("p95 < 200ms")).expect("text");
        assert_eq!(text, r#""p95 < 200ms""#);
        assert!(serde_json::from_str::<Threshold>(r#""p95 < soon""#).is_err());
    }
}
