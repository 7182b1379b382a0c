//! How far a cycle may go by itself.

use std::fmt;

/// How far a cycle may go by itself. Nothing is ever dropped by one, whatever the policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Policy {
    /// Looks and advises.
    #[default]
    Observe,
    /// Also runs the extension's jobs that vacuum and analyze what is due and repair invalid indexes.
    Maintain,
    /// Also builds indexes that are advised, and gives pools that are short more connections.
    Tune(Tuning),
}

impl Policy {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Observe => "observe",
            Self::Maintain => "maintain",
            Self::Tune(_) => "tune",
        }
    }
}

/// When indexes are built, how much room they may take, and how far pools may grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tuning {
    /// Minutes since midnight, UTC: the first that belongs to it, and the first that does not.
    window: Option<(u16, u16)>,
    pub(crate) budget_bytes: u64,
    pub(crate) pool_connections: u32,
}

impl Default for Tuning {
    /// At any time, 1 GiB a day, no pool.
    fn default() -> Self {
        Self {
            window: None,
            budget_bytes: 1 << 30,
            pool_connections: 0,
        }
    }
}

impl fmt::Display for Tuning {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = self.budget_bytes >> 20;
        match self.window {
            None => write!(formatter, "at any time, {mib} MiB a day")?,
            Some((from, until)) => write!(
                formatter,
                "{:02}:{:02} to {:02}:{:02} UTC, {mib} MiB a day",
                from / 60,
                from % 60,
                until / 60,
                until % 60
            )?,
        }
        match self.pool_connections {
            0 => Ok(()),
            most => write!(formatter, ", pools of {most} connections"),
        }
    }
}

const DAY: u16 = 24 * 60;

impl Tuning {
    /// Only between these times of the day (hour, minute; UTC): an end that is not later than the begin is on the next day.
    /// Hours beyond 23 and minutes beyond 59 are taken as these.
    #[must_use]
    pub fn between(mut self, from: (u8, u8), until: (u8, u8)) -> Self {
        let minutes =
            |(hour, minute): (u8, u8)| u16::from(hour.min(23)) * 60 + u16::from(minute.min(59));
        self.window = Some((minutes(from), minutes(until)));
        self
    }

    /// So many bytes of new indexes a day (UTC) at most, by the extension's estimates. Default 1 GiB.
    #[must_use]
    pub fn budget_bytes(mut self, bytes: u64) -> Self {
        self.budget_bytes = bytes;
        self
    }

    /// Pools given as [`AdminBuilder::swap_pool`](crate::AdminBuilder::swap_pool) that are short grow to so many connections each at
    /// most: by half a cycle, and never to more than four fifths of the server's connections leave free. Default 0: none grows.
    #[must_use]
    pub fn pool_connections(mut self, most: u32) -> Self {
        self.pool_connections = most;
        self
    }

    pub(crate) fn is_open(&self, now: jiff::Timestamp) -> bool {
        let Some((from, until)) = self.window else {
            return true;
        };
        let minute = now.as_second().rem_euclid(86_400) / 60;
        let minute = u16::try_from(minute).unwrap_or(0) % DAY;
        let length = (until + DAY - from - 1) % DAY + 1;
        (minute + DAY - from) % DAY < length
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_may_go_over_midnight_and_the_same_time_twice_is_a_whole_day() {
        let open = |from, until, at: &str| {
            let at = format!("2026-11-28T{at}:00Z").parse().expect("a time");
            Tuning::default().between(from, until).is_open(at)
        };
        assert!(open((1, 0), (5, 0), "01:00") && open((1, 0), (5, 0), "04:59"));
        assert!(!open((1, 0), (5, 0), "05:00") && !open((1, 0), (5, 0), "00:59"));
        assert!(open((22, 0), (2, 0), "23:00") && open((22, 0), (2, 0), "01:59"));
        assert!(!open((22, 0), (2, 0), "02:00") && !open((22, 0), (2, 0), "21:59"));
        assert!(open((3, 0), (3, 0), "02:59") && open((3, 0), (3, 0), "03:00"));
    }
}
