//! Time zones by name, and wall-clock times that a change of the clock skips or repeats.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};

use crate::Problem;

/// Looks a zone up: in the machine's database, else in the one that is built in, else as a POSIX specification, which is what a session
/// has after `SET TIME ZONE 5` (PostgreSQL's manual, "POSIX Time Zone Specifications").
pub(crate) fn named(name: &str) -> Result<TimeZone, Problem> {
    TimeZone::get(name)
        .or_else(|_| TimeZone::posix(name))
        .map_err(|_| Problem::Zone(name.to_owned()))
}

/// Which of two moments a repeated wall-clock time stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeated {
    Earlier,
    Later,
}

/// The moment when clocks in `zone` show `time`; one that is skipped is the moment of the change. `None` past the
/// calendar's end.
pub(crate) fn moment(zone: &TimeZone, time: DateTime, repeated: Repeated) -> Option<Timestamp> {
    let there = zone.to_ambiguous_timestamp(time);
    match there.offset() {
        // Reckoned with the offset from after the change, it lies before it.
        AmbiguousOffset::Gap { .. } => {
            let before = there.earlier().ok()?;
            zone.following(before)
                .next()
                .map(|change| change.timestamp())
        }
        _ if repeated == Repeated::Earlier => there.earlier().ok(),
        _ => there.later().ok(),
    }
}
