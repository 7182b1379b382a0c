//! [`Hours`]: which hour it is, whatever the wall clock does.

use std::time::Duration;

use crate::clock::millis;

const HOUR_MS: u64 = 3_600_000;

/// Numbers hours by monotonic time from one anchor in wall time, so that no step of the wall clock moves a request into another
/// hour or loses one. What the wall clock says by then is added, in whole hours, when they are told: one that was set right tells
/// all of them right, and one that is wrong for a while loses nothing. A step of less than half an hour leaves them where they are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hours {
    /// Wall time in milliseconds since 1970-01-01 UTC where monotonic time was zero.
    anchor_ms: u64,
}

impl Hours {
    pub(crate) fn anchored(now: Duration, unix_ms: u64) -> Self {
        Self {
            anchor_ms: unix_ms.saturating_sub(millis(now)),
        }
    }

    /// The number of the hour of `at`.
    pub(crate) fn number(&self, at: Duration) -> u64 {
        self.anchor_ms.saturating_add(millis(at)) / HOUR_MS
    }

    /// Whole hours that the wall clock, which says `unix_ms` at `now`, is ahead of the numbers.
    pub(crate) fn ahead(&self, now: Duration, unix_ms: u64) -> i64 {
        let expected = i128::from(self.anchor_ms) + i128::from(millis(now));
        let ahead_ms = i128::from(unix_ms) - expected + i128::from(HOUR_MS / 2);
        i64::try_from(ahead_ms.div_euclid(i128::from(HOUR_MS))).unwrap_or(i64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wall_clock_is_ahead_by_whole_hours_and_by_none_for_less_than_half_a_one() {
        let minute = |minutes: u64| Duration::from_secs(minutes * 60);
        let hours = Hours::anchored(minute(10), 100 * HOUR_MS + 600_000);
        assert_eq!(hours.number(minute(59)), 100);
        assert_eq!(hours.number(minute(60)), 101);
        let expected = 101 * HOUR_MS;
        for (step_minutes, ahead) in [(0, 0), (29, 0), (-29, 0), (31, 1), (-31, -1), (-300, -5)] {
            let said = expected.saturating_add_signed(step_minutes * 60_000);
            assert_eq!(hours.ahead(minute(60), said), ahead, "{step_minutes}");
        }
        assert_eq!(hours.ahead(minute(60), 0), -101);
    }
}
