//! [`Pauses`]: how often memory is given back without being asked. Pure.

use std::time::Duration;

/// A pause is doubled so often at most: 64 times the one that was set.
const MAX_DOUBLINGS: u32 = 6;
/// A release that gave less than this part of its threshold was for nothing.
const WORTH_PART: u64 = 8;

/// When memory may be given back again. A release past the threshold that gives next to nothing doubles the pause, until memory has
/// grown: what an allocator calls free need not be resident, and trying again takes its locks for nothing.
#[derive(Debug)]
pub(super) struct Pauses {
    least: Duration,
    last: Option<Duration>,
    doublings: u32,
    /// The resident set size after a release that was for nothing.
    rss_then: Option<u64>,
}

impl Pauses {
    pub(super) fn new(least: Duration) -> Self {
        Self {
            least,
            last: None,
            doublings: 0,
            rss_then: None,
        }
    }

    /// Whether the pause is over for what the guard asks for, which is urgent.
    pub(super) fn is_over(&self, now: Duration) -> bool {
        self.is_past(now, self.least)
    }

    /// Whether it is for a release past `threshold`, with so much resident.
    pub(super) fn is_release_due(
        &mut self,
        now: Duration,
        threshold: u64,
        rss: Option<u64>,
    ) -> bool {
        let grown = rss
            .zip(self.rss_then)
            .is_some_and(|(rss, then)| rss >= then.saturating_add((threshold / WORTH_PART).max(1)));
        if grown {
            self.doublings = 0;
        }
        self.is_past(now, self.least.saturating_mul(1 << self.doublings))
    }

    fn is_past(&self, now: Duration, pause: Duration) -> bool {
        self.last
            .is_none_or(|then| now.saturating_sub(then) >= pause)
    }

    /// A release or a shrink was asked for.
    pub(super) fn begin(&mut self, now: Duration) {
        self.last = Some(now);
    }

    /// What came of a release past `threshold`.
    pub(super) fn gave(&mut self, threshold: u64, released: u64, rss: Option<u64>) {
        if released >= threshold / WORTH_PART {
            self.doublings = 0;
            self.rss_then = None;
        } else {
            self.doublings = (self.doublings + 1).min(MAX_DOUBLINGS);
            self.rss_then = rss;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    /// Releases in so many seconds, a look each second.
    fn releases(pauses: &mut Pauses, seconds: std::ops::Range<u64>, rss: u64, gives: u64) -> u64 {
        let mut count = 0;
        for second in seconds {
            let now = Duration::from_secs(second);
            if pauses.is_release_due(now, 80 * MIB, Some(rss)) {
                pauses.begin(now);
                pauses.gave(80 * MIB, gives, Some(rss));
                count += 1;
            }
        }
        count
    }

    #[test]
    fn releases_for_nothing_become_seldom_until_memory_has_grown() {
        let mut pauses = Pauses::new(Duration::from_secs(1));
        assert_eq!(releases(&mut pauses, 0..1_000, 100 * MIB, MIB), 20);
        // A little more is no reason, as much as is worth it is.
        assert!(!pauses.is_release_due(Duration::from_secs(1_000), 80 * MIB, Some(109 * MIB)));
        assert!(pauses.is_release_due(Duration::from_secs(1_000), 80 * MIB, Some(110 * MIB)));
        assert_eq!(
            releases(&mut pauses, 1_000..1_100, 200 * MIB, 20 * MIB),
            100,
            "what gives goes on"
        );
    }

    #[test]
    fn the_guard_waits_for_the_pause_that_was_set_alone() {
        let mut pauses = Pauses::new(Duration::from_secs(60));
        assert!(pauses.is_over(Duration::ZERO));
        pauses.begin(Duration::ZERO);
        (0..50).for_each(|_| pauses.gave(80 * MIB, 0, None));
        assert!(!pauses.is_over(Duration::from_secs(59)));
        assert!(pauses.is_over(Duration::from_secs(60)));
        assert!(!pauses.is_release_due(Duration::from_secs(60 * 63), 80 * MIB, None));
        assert!(pauses.is_release_due(Duration::from_secs(60 * 64), 80 * MIB, None));
    }
}
