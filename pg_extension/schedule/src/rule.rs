//! A cron pattern or an interval: when a schedule is due.
//!
//! Cron patterns are crate `croner`'s: the daily time that a change of the clock skips is due right after the change,
//! one that is repeated is due once, and patterns with `*` or steps in hour, minute or second follow the clock. It gives up at
//! times that are skipped together with two hours more; `gap` goes on from there.

use std::cmp::Ordering;

use croner::errors::CronError;
use croner::{CivilDate, CivilDateTime, CivilTime, Cron, CronDateTime, Resolution, Weekday};
use jiff::civil::{DateTime, Time};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, Timestamp};

use crate::{Problem, gap};

/// Longest interval.
const MAX_INTERVAL_S: i64 = 366 * 86_400;

/// Longest text of a rule, in bytes.
const MAX_BYTES: usize = 200;

/// When a schedule is due, before window and jitter.
#[derive(Debug, Clone)]
pub(crate) enum Rule {
    /// At wall-clock times.
    Cron(Box<Cron>),
    /// Every so many seconds, reckoned from when the schedule was made.
    Every(i64),
}

impl Rule {
    pub(crate) fn parse(text: &str) -> Result<Self, Problem> {
        let wrong = |reason: String| Problem::Rule {
            text: text.chars().take(MAX_BYTES).collect(),
            reason,
        };
        if text.len() > MAX_BYTES {
            return Err(wrong(format!("it is longer than {MAX_BYTES} bytes")));
        }
        match interval(text) {
            Some(Ok(seconds)) => Ok(Self::Every(seconds)),
            Some(Err(reason)) => Err(wrong(reason)),
            None => text
                .parse()
                .map(|cron| Self::Cron(Box::new(cron)))
                .map_err(|error: CronError| wrong(error.to_string())),
        }
    }

    /// The first time after `after` at which it is due; `None` if never. An interval's times are multiples of it from
    /// `anchor` on.
    pub(crate) fn next(
        &self,
        after: Timestamp,
        zone: &TimeZone,
        anchor: Timestamp,
    ) -> Option<Timestamp> {
        match self {
            Self::Cron(cron) => {
                if let Some(found) = occurrence(cron, after, zone, false) {
                    return Some(found);
                }
                // It never comes again, or it is skipped by more than the search goes over.
                for gap in gap::long(zone, after) {
                    if is_skipped(cron, &gap) {
                        return Some(gap.change);
                    }
                    if let Some(found) = occurrence(cron, gap.change, zone, true) {
                        return Some(found);
                    }
                }
                None
            }
            Self::Every(seconds) => {
                let every = i128::from(*seconds) * 1_000_000;
                let passed =
                    i128::from(after.as_microsecond()) - i128::from(anchor.as_microsecond());
                let times = passed.div_euclid(every) + 1;
                let at = i128::from(anchor.as_microsecond()) + times * every;
                Timestamp::from_microsecond(i64::try_from(at).ok()?).ok()
            }
        }
    }

    /// Seconds between two times, where they are always the same.
    pub(crate) fn interval_s(&self) -> Option<i64> {
        match self {
            Self::Cron(_) => None,
            Self::Every(seconds) => Some(*seconds),
        }
    }
}

fn occurrence(cron: &Cron, from: Timestamp, zone: &TimeZone, inclusive: bool) -> Option<Timestamp> {
    let start = Local {
        at: from,
        zone: zone.clone(),
    };
    let found = cron.find_next_occurrence(&start, inclusive).ok()?;
    // Patterns have whole seconds.
    Timestamp::from_second(found.at.as_second()).ok()
}

/// Whether the clock skips a time of the pattern on the day that it goes on with. A day that it leaves out has none.
fn is_skipped(cron: &Cron, gap: &gap::Gap) -> bool {
    let midnight = gap.end.date().to_datetime(Time::midnight());
    let time = |wall: DateTime| TimeZone::UTC.to_timestamp(wall).ok();
    let Some((from, end)) = time(gap.start.max(midnight)).zip(time(gap.end)) else {
        return false;
    };
    // In a zone that skips nothing the wall clock is all there is.
    occurrence(cron, from, &TimeZone::UTC, true).is_some_and(|found| found < end)
}

/// Reads `15 minutes` or `1 hour 30 minutes`; `None` for what is no interval at all.
fn interval(text: &str) -> Option<Result<i64, String>> {
    let words: Vec<&str> = text.split_ascii_whitespace().collect();
    let pairs = words.chunks_exact(2);
    if words.is_empty() || !pairs.remainder().is_empty() {
        return None;
    }
    let mut total: i64 = 0;
    for pair in pairs {
        let is_number = pair[0].bytes().all(|byte| byte.is_ascii_digit());
        let seconds = unit(pair[1]).filter(|_| is_number)?;
        let number: i64 = pair[0].parse().unwrap_or(i64::MAX);
        total = total.saturating_add(number.saturating_mul(seconds));
    }
    if (1..=MAX_INTERVAL_S).contains(&total) {
        Some(Ok(total))
    } else {
        Some(Err("an interval is 1 second to 366 days".to_owned()))
    }
}

fn unit(word: &str) -> Option<i64> {
    Some(match word.to_ascii_lowercase().as_str() {
        "s" | "sec" | "second" | "seconds" => 1,
        "min" | "minute" | "minutes" => 60,
        "h" | "hour" | "hours" => 3_600,
        "d" | "day" | "days" => 86_400,
        "week" | "weeks" => 7 * 86_400,
        _ => return None,
    })
}

/// A moment in a zone, as `croner` searches over it (its own support is for an older jiff).
#[derive(Debug, Clone)]
struct Local {
    at: Timestamp,
    zone: TimeZone,
}

impl Local {
    fn civil(&self) -> DateTime {
        self.zone.to_datetime(self.at)
    }

    fn at(&self, at: Timestamp) -> Self {
        Self {
            at,
            zone: self.zone.clone(),
        }
    }
}

impl CronDateTime for Local {
    fn to_civil(&self) -> CivilDateTime {
        let there = self.civil();
        let date = CivilDate::from_ymd_opt(
            i32::from(there.year()),
            there.month().unsigned_abs().into(),
            there.day().unsigned_abs().into(),
        );
        let time = CivilTime::from_hms_opt(
            there.hour().unsigned_abs().into(),
            there.minute().unsigned_abs().into(),
            there.second().unsigned_abs().into(),
        );
        CivilDateTime::new(
            date.expect("a date of one calendar is one of the other"),
            time.expect("a time of day is one everywhere"),
        )
    }

    fn civil_weekday(&self) -> Weekday {
        Weekday::from_days_from_sunday(
            self.civil()
                .weekday()
                .to_sunday_zero_offset()
                .unsigned_abs()
                .into(),
        )
    }

    fn resolve_civil(&self, civil: CivilDateTime) -> Result<Resolution<Self>, CronError> {
        let small = |part: u32| i8::try_from(part).map_err(|_| CronError::InvalidDate);
        let time = DateTime::new(
            i16::try_from(civil.year()).map_err(|_| CronError::InvalidDate)?,
            small(civil.month())?,
            small(civil.day())?,
            small(civil.hour())?,
            small(civil.minute())?,
            small(civil.second())?,
            0,
        )
        .map_err(|_| CronError::InvalidDate)?;
        let there = self.zone.to_ambiguous_timestamp(time);
        let wrong = |_| CronError::InvalidTime;
        Ok(match there.offset() {
            AmbiguousOffset::Gap { .. } => Resolution::Gap,
            AmbiguousOffset::Fold { .. } => Resolution::Ambiguous(
                self.at(there.earlier().map_err(wrong)?),
                self.at(there.later().map_err(wrong)?),
            ),
            AmbiguousOffset::Unambiguous { .. } => {
                Resolution::Single(self.at(there.unambiguous().map_err(wrong)?))
            }
        })
    }

    fn checked_add_seconds(&self, seconds: i64) -> Option<Self> {
        let at = self
            .at
            .checked_add(SignedDuration::from_secs(seconds))
            .ok()?;
        Some(self.at(at))
    }

    fn cmp_instant(&self, other: &Self) -> Ordering {
        self.at.cmp(&other.at)
    }
}
