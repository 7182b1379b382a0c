//! Ticks are kept as they are for a day and merged into clock hours after; the oldest go when there is no room.

/// Seconds for which ticks are kept as they were taken.
pub const FINE_S: i64 = 86_400;
/// Seconds of a merged tick.
pub const HOUR_S: i64 = 3_600;

/// One tick that is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tick {
    /// `history_ticks.id`.
    pub id: i64,
    /// When it was taken, in seconds since 1970.
    pub at_s: i64,
    /// Bytes that it takes.
    pub bytes: i64,
}

/// Groups of ticks to merge, each oldest first; the last one of a group takes the others in. `ticks` are oldest first.
///
/// An hour is merged once, when all of it is old enough.
#[must_use]
pub fn merges(ticks: &[Tick], now_s: i64) -> Vec<Vec<i64>> {
    ticks
        .chunk_by(|one, next| one.at_s.div_euclid(HOUR_S) == next.at_s.div_euclid(HOUR_S))
        .filter(|hour| {
            let end_s = (hour[0].at_s.div_euclid(HOUR_S) + 1) * HOUR_S;
            hour.len() > 1 && end_s <= now_s - FINE_S
        })
        .map(|hour| hour.iter().map(|tick| tick.id).collect())
        .collect()
}

/// The oldest ticks that have to go so that the rest takes no more than `room` bytes. The newest one stays: without
/// it nothing could be compared. `ticks` are oldest first.
#[must_use]
pub fn forgotten(ticks: &[Tick], room: i64) -> Vec<i64> {
    let mut bytes: i64 = ticks.iter().map(|tick| tick.bytes).sum();
    let mut gone = Vec::new();
    for tick in ticks.iter().take(ticks.len().saturating_sub(1)) {
        if bytes <= room {
            break;
        }
        bytes -= tick.bytes;
        gone.push(tick.id);
    }
    gone
}
