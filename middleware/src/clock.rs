//! Time that can be replaced in tests: a monotonic clock measures, the wall clock stamps.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// As good as for ever: longer settings are taken for this, a hundred years, so that a time from now can be counted.
#[cfg(feature = "cache")]
pub(crate) const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// Where a layer takes its time from.
///
/// [`Clock::system`] measures by the monotonic clock, so a step of the machine's wall clock neither ages a cached answer nor
/// makes it young again; and it stamps by the wall clock as that stands now, so that what others write and read (a `Date`, an
/// answer in Redis) agrees with their clocks also after a step. [`Clock::manual`] stands still until it is told to move. Clones share the same time.
#[derive(Clone)]
pub struct Clock(Kind);

impl Clock {
    /// Whether its time moves only when it is told to.
    #[cfg(feature = "latency")]
    pub(crate) fn is_manual(&self) -> bool {
        matches!(self.0, Kind::Manual(_))
    }
}

#[derive(Clone)]
enum Kind {
    System { anchor: Instant },
    Manual(Arc<Manual>),
}

struct Manual {
    /// Nanoseconds since the clock was made.
    elapsed: AtomicU64,
    /// Milliseconds since 1970-01-01 UTC at `elapsed` 0.
    wall_ms: AtomicI64,
}

/// 2026-01-01 00:00:00 UTC: where a manual clock's wall time starts, so that dates in tests are readable.
const MANUAL_START_MS: i64 = 1_767_225_600_000;

impl Clock {
    /// The machine's monotonic clock. The default.
    #[must_use]
    pub fn system() -> Self {
        Self(Kind::System {
            anchor: Instant::now(),
        })
    }

    /// A clock that stands at zero (wall time 2026-01-01 00:00:00 UTC) until [`advance`](Self::advance) moves it.
    #[must_use]
    pub fn manual() -> Self {
        Self(Kind::Manual(Arc::new(Manual {
            elapsed: AtomicU64::new(0),
            wall_ms: AtomicI64::new(MANUAL_START_MS),
        })))
    }

    /// Monotonic time since this clock was made.
    #[must_use]
    pub fn now(&self) -> Duration {
        match &self.0 {
            Kind::System { anchor } => anchor.elapsed(),
            Kind::Manual(manual) => Duration::from_nanos(manual.elapsed.load(Ordering::Acquire)),
        }
    }

    /// Wall time in milliseconds since 1970-01-01 UTC.
    #[must_use]
    pub fn unix_ms(&self) -> u64 {
        match &self.0 {
            Kind::System { .. } => millis(
                SystemTime::now()
                    .duration_since(UNIX_EPOCH)
                    .unwrap_or_default(),
            ),
            Kind::Manual(manual) => {
                let elapsed = manual.elapsed.load(Ordering::Acquire) / 1_000_000;
                manual
                    .wall_ms
                    .load(Ordering::Acquire)
                    .saturating_add_unsigned(elapsed)
                    .max(0)
                    .unsigned_abs()
            }
        }
    }

    /// Moves a manual clock forward, wall time included, 584 years from its start at most. Does nothing to the system clock.
    pub fn advance(&self, by: Duration) {
        if let Kind::Manual(manual) = &self.0 {
            let nanos = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
            let forward = |elapsed: u64| Some(elapsed.saturating_add(nanos));
            let _ = manual
                .elapsed
                .fetch_update(Ordering::AcqRel, Ordering::Acquire, forward);
        }
    }

    /// Steps a manual clock's wall time alone, as an administrator or NTP would. Milliseconds, may be negative.
    pub fn step_wall(&self, ms: i64) {
        if let Kind::Manual(manual) = &self.0 {
            manual.wall_ms.fetch_add(ms, Ordering::AcqRel);
        }
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::system()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.0 {
            Kind::System { .. } => "system",
            Kind::Manual(_) => "manual",
        };
        f.debug_struct("Clock")
            .field("kind", &kind)
            .field("now", &self.now())
            .finish()
    }
}

/// Whole milliseconds, saturating.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_only_when_told_and_its_clones_with_it() {
        let clock = Clock::manual();
        let other = clock.clone();
        assert_eq!(clock.now(), Duration::ZERO);
        other.advance(Duration::from_secs(3));
        assert_eq!(clock.now(), Duration::from_secs(3));
        assert_eq!(clock.unix_ms(), MANUAL_START_MS.unsigned_abs() + 3_000);
    }

    #[test]
    fn a_manual_clock_never_goes_back_however_far_it_is_moved() {
        let clock = Clock::manual();
        clock.advance(Duration::from_secs(10));
        clock.advance(Duration::MAX);
        assert_eq!(clock.now(), Duration::from_nanos(u64::MAX));
    }

    #[test]
    fn stepping_the_wall_leaves_monotonic_time_alone() {
        let clock = Clock::manual();
        clock.step_wall(-60_000);
        assert_eq!(clock.now(), Duration::ZERO);
        assert_eq!(clock.unix_ms(), MANUAL_START_MS.unsigned_abs() - 60_000);
    }

    #[test]
    fn the_system_clock_never_goes_back() {
        let clock = Clock::system();
        let first = clock.now();
        assert!(clock.now() >= first);
    }
}
