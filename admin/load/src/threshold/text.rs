//! Thresholds as text, written and read.

use std::fmt;
use std::str::FromStr;

use super::{COMPARISONS, METRICS, MISSED, Metric, Threshold, Unit};
use crate::plan::MAX_DURATION_S;
use crate::text::seconds;

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, unit) = self.name();
        let comparison = COMPARISONS
            .iter()
            .find(|(_, comparison)| *comparison == self.comparison)
            .map_or("", |(text, _)| text);
        write!(f, "{name} {comparison} {}{}", self.limit, unit.as_str())?;
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
        let (limit, aborts) = match limit.strip_suffix("abort") {
            Some(rest) if rest.ends_with(' ') => (rest.trim_end(), true),
            _ => (limit, false),
        };
        let (limit, over) = match limit.split_once(" over ") {
            Some((limit, over)) => (limit.trim_end(), Some(over)),
            None => (limit, None),
        };
        if matches!(metric, Metric::Lag | Metric::Missed) && (aborts || over.is_some()) {
            return Err(wrong(format!(
                "{name} is known at the end of a run, so neither `over` nor `abort` can be said of it"
            )));
        }
        let over_s = over.map(whole_seconds).transpose().map_err(&wrong)?;
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
            over_s,
            aborts,
        })
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
