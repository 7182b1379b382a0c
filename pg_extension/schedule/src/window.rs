//! The hours in which a schedule may start its jobs.
//!
//! A window belongs to the day on which it opens, also when it closes on the next one. Where the clock is set forward
//! over an edge, that edge is the moment of the change; where it is set back, the window is open in both rounds.

use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use serde_json::{Map, Value};

use crate::Problem;
use crate::zone::{self, Repeated};

/// Days looked at for the next opening: a week, one before it, and a week more for a day that a change leaves out.
const LOOKED_AT: i64 = 16;

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// One time that a window is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opening {
    /// The first moment.
    pub start: Timestamp,
    /// The first moment after it.
    pub end: Timestamp,
}

/// Daily hours on some days of the week.
#[derive(Debug, Clone)]
pub(crate) struct Window {
    start: Time,
    end: Time,
    /// From Monday on.
    days: [bool; 7],
    zone: TimeZone,
    /// Jobs that still run when it closes are cancelled.
    pub(crate) stops: bool,
}

impl Window {
    /// Reads `{"start": "22:00", "end": "05:00", "days": [...], "time_zone": text, "stop_at_end": bool}`.
    pub(crate) fn parse(value: &Value, zone: &TimeZone) -> Result<Self, Problem> {
        let Value::Object(map) = value else {
            return Err(Problem::Window("it is not a JSON object".to_owned()));
        };
        let known = ["start", "end", "days", "time_zone", "stop_at_end"];
        if let Some(unknown) = map.keys().find(|key| !known.contains(&key.as_str())) {
            return Err(Problem::Window(format!("\"{unknown}\" is not part of it")));
        }
        let stops = match map.get("stop_at_end") {
            None => false,
            Some(Value::Bool(stops)) => *stops,
            Some(_) => {
                return Err(Problem::Window(
                    "\"stop_at_end\" is not true or false".to_owned(),
                ));
            }
        };
        let zone = match map.get("time_zone") {
            None => zone.clone(),
            Some(Value::String(name)) => zone::named(name)?,
            Some(_) => return Err(Problem::Window("\"time_zone\" is not a name".to_owned())),
        };
        Ok(Self {
            start: time(map, "start")?,
            end: time(map, "end")?,
            days: days(map)?,
            zone,
            stops,
        })
    }

    /// The opening at `at`, or the next one.
    pub(crate) fn at_or_after(&self, at: Timestamp) -> Option<Opening> {
        let today = self.zone.to_datetime(at).date();
        let mut date = today.yesterday().unwrap_or(today);
        for _ in 0..LOOKED_AT {
            if let Some(opening) = self.opening(date).filter(|opening| at < opening.end) {
                return Some(opening);
            }
            date = date.tomorrow().ok()?;
        }
        None
    }

    /// When it is open that began on `date`.
    fn opening(&self, date: Date) -> Option<Opening> {
        let weekday = usize::from(date.weekday().to_monday_zero_offset().unsigned_abs());
        if !self.days[weekday] {
            return None;
        }
        let last = if self.end > self.start {
            date
        } else {
            date.checked_add(1.day()).ok()?
        };
        let start = date.to_datetime(self.start);
        let start = zone::moment(&self.zone, start, Repeated::Earlier)?;
        let end = zone::moment(&self.zone, last.to_datetime(self.end), Repeated::Later)?;
        (start < end).then_some(Opening { start, end })
    }
}

fn time(map: &Map<String, Value>, key: &str) -> Result<Time, Problem> {
    let wrong = || Problem::Window(format!("\"{key}\" is not a time such as \"22:00\""));
    let text = map.get(key).and_then(Value::as_str).ok_or_else(wrong)?;
    let (hour, minute) = text.split_once(':').ok_or_else(wrong)?;
    let part = |part: &str| -> Option<i8> {
        let is_short =
            matches!(part.len(), 1 | 2) && part.bytes().all(|byte| byte.is_ascii_digit());
        part.parse().ok().filter(|_| is_short)
    };
    let (hour, minute) = part(hour).zip(part(minute)).ok_or_else(wrong)?;
    Time::new(hour, minute, 0, 0).map_err(|_| wrong())
}

fn days(map: &Map<String, Value>) -> Result<[bool; 7], Problem> {
    let Some(value) = map.get("days") else {
        return Ok([true; 7]);
    };
    let wrong = || {
        Problem::Window(format!(
            "\"days\" is not a list of some of {}",
            DAYS.join(", ")
        ))
    };
    let mut days = [false; 7];
    for day in value.as_array().ok_or_else(wrong)? {
        let day = day.as_str().ok_or_else(wrong)?;
        let place = DAYS.iter().position(|known| *known == day);
        days[place.ok_or_else(wrong)?] = true;
    }
    if days.contains(&true) {
        Ok(days)
    } else {
        Err(wrong())
    }
}
