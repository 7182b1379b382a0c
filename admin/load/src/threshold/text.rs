//! Thresholds as text, written and read.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::metric::{self, Metric, Unit};
use super::{COMPARISONS, Threshold};
use crate::plan::MAX_DURATION_S;
use crate::text::seconds;

/// Endings of limits, and what one of it is in the unit that is kept; the largest first.
const TIMES: [(&str, f64); 3] = [("us", 1e-3), ("ms", 1.0), ("s", 1e3)];
const BYTES: [(&str, f64); 4] = [("GB/s", 1e9), ("MB/s", 1e6), ("kB/s", 1e3), ("B/s", 1.0)];

impl Unit {
    /// A limit as it is read.
    fn exact(self, value: f64) -> String {
        let (value, ending) = self.scaled(value);
        format!("{value}{ending}")
    }

    /// A figure with as many digits as matter, and none more.
    pub(super) fn rounded(self, value: f64) -> String {
        let (value, ending) = self.scaled(value);
        let rounded = if value < 100.0 {
            (value * 1e3).round() / 1e3
        } else {
            (value * 10.0).round() / 10.0
        };
        format!("{rounded}{ending}")
    }

    fn scaled(self, value: f64) -> (f64, &'static str) {
        match self {
            Self::Ms => (value, "ms"),
            Self::Percent | Self::PercentOfCore => (value, "%"),
            Self::PerSecond => (value, "/s"),
            Self::Count => (value, ""),
            Self::BytesPerSecond => {
                let fits = BYTES.iter().find(|(_, bytes)| value >= *bytes);
                let (ending, bytes) = fits.unwrap_or(&("B/s", 1.0));
                (value / bytes, ending)
            }
        }
    }

    /// A limit with its unit, which must be there: `p99 < 500` says neither what nor by how much it was mistaken.
    fn read(self, text: &str) -> Option<f64> {
        let number = |text: &str| {
            let number: f64 = text.trim().parse().ok()?;
            (number.is_finite() && number >= 0.0).then_some(number)
        };
        let scaled = |endings: &[(&str, f64)]| {
            let fits = |(ending, one): &(&str, f64)| Some((text.strip_suffix(ending)?, *one));
            let (rest, one) = endings.iter().find_map(fits)?;
            Some(number(rest)? * one)
        };
        match self {
            Self::Ms => scaled(&TIMES),
            Self::BytesPerSecond => scaled(&BYTES),
            Self::Percent => number(text.strip_suffix('%')?).filter(|percent| *percent <= 100.0),
            Self::PercentOfCore => number(text.strip_suffix('%')?),
            Self::PerSecond => number(text.strip_suffix("/s")?),
            Self::Count => number(text),
        }
    }

    /// What a limit has to be.
    const fn wants(self) -> &'static str {
        match self {
            Self::Ms => "a time, as 500ms or 0.5s",
            Self::Percent => "0% to 100%",
            Self::PercentOfCore => "per cent of one core, as 80%",
            Self::PerSecond => "a rate, as 1000/s",
            Self::BytesPerSecond => "bytes a second, as 10MB/s",
            Self::Count => "a number",
        }
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.metric.name())?;
        if let Some(step) = &self.step {
            write!(f, " of {step}")?;
        }
        let comparison = COMPARISONS
            .iter()
            .find(|(_, comparison)| *comparison == self.comparison)
            .map_or("", |(text, _)| text);
        let limit = self.metric.unit().exact(self.limit);
        write!(f, " {comparison} {limit}")?;
        if let Some(seconds) = self.over_s {
            write!(f, " over {seconds}s")?;
        }
        f.write_str(if self.aborts { " abort" } else { "" })
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
        // The last one: a step's name may have such a sign in it, a limit never has.
        let found = COMPARISONS
            .iter()
            .filter_map(|(sign, comparison)| Some((text.rfind(sign)?, *sign, *comparison)))
            .max_by_key(|(at, sign, _)| (*at, sign.len()));
        let Some((at, sign, comparison)) = found else {
            return Err(wrong(
                "it wants a figure, one of < <= > >=, and a limit, as in `p99 < 500ms`".to_owned(),
            ));
        };
        let (figure, limit) = (text[..at].trim(), text[at + sign.len()..].trim());
        let (name, step) = match figure.split_once(" of ") {
            Some((name, step)) => (name.trim(), Some(step.trim())),
            None => (figure, None),
        };
        let Some(metric) = Metric::named(name) else {
            return Err(wrong(format!(
                "there is no figure `{name}`; there are {}",
                metric::names()
            )));
        };
        let (limit, aborts) = match limit.strip_suffix("abort") {
            Some(rest) if rest.ends_with(' ') => (rest.trim_end(), true),
            _ => (limit, false),
        };
        let (limit, over) = match limit.split_once(" over ") {
            Some((limit, over)) => (limit.trim_end(), Some(over)),
            None => (limit, None),
        };
        let is_of_parts = aborts || over.is_some();
        if is_of_parts && !metric.is_of_seconds() {
            return Err(wrong(format!(
                "{name} is known at the end of a run, so neither `over` nor `abort` can be said of it"
            )));
        }
        if step.is_some() && is_of_parts {
            return Err(wrong(
                "a step's figures are known at the end of a run, so neither `over` nor `abort` can be said of them".to_owned(),
            ));
        }
        if step.is_some() && !metric.is_of_steps() {
            return Err(wrong(format!("{name} is of the whole run: leave `of` out")));
        }
        let over_s = over.map(whole_seconds).transpose().map_err(&wrong)?;
        let unit = metric.unit();
        let limit = unit
            .read(limit)
            .ok_or_else(|| wrong(format!("{name} wants {}", unit.wants())))?;
        let threshold = Self {
            metric,
            comparison,
            limit,
            step: step.map(Arc::from),
            over_s,
            aborts,
        };
        if threshold.is_impossible() {
            return Err(wrong("no run can keep it".to_owned()));
        }
        Ok(threshold)
    }
}

/// Of a window: the series of a run goes by the second.
fn whole_seconds(text: &str) -> Result<u16, String> {
    seconds(text)
        .ok()
        .filter(|seconds| seconds.fract() == 0.0 && *seconds <= MAX_DURATION_S)
        .map(|seconds| seconds as u16)
        .ok_or_else(|| format!("`over` wants whole seconds, 1s to {MAX_DURATION_S}s"))
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
