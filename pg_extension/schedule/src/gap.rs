//! Stretches of the wall clock that a zone skips and that are longer than a search by seconds goes over: an offset that changes
//! by some hours, and days that islands left out when they changed sides of the date line.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// Crate `croner` goes over gaps of this length.
const SHORT: SignedDuration = SignedDuration::from_hours(2);

/// Changes of the clock that are looked at. A zone has some hundred; beyond them two a year, by a rule, of an hour at most.
const LOOKED_AT: usize = 1_000;

/// One of them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Gap {
    /// The first wall-clock time that is skipped.
    pub(crate) start: DateTime,
    /// The first one after it.
    pub(crate) end: DateTime,
    /// When the clock is set forward.
    pub(crate) change: Timestamp,
}

/// The long gaps of a zone that come after a moment, in order.
pub(crate) fn long(zone: &TimeZone, after: Timestamp) -> impl Iterator<Item = Gap> + '_ {
    zone.following(after)
        .take(LOOKED_AT)
        .filter_map(|transition| {
            let change = transition.timestamp();
            let before = change.checked_sub(SignedDuration::from_secs(1)).ok()?;
            let offset = zone.to_offset(before);
            let start = offset.to_datetime(change);
            let end = transition.offset().to_datetime(change);
            let skipped = end.duration_since(start);
            (skipped > SHORT).then_some(Gap { start, end, change })
        })
}
