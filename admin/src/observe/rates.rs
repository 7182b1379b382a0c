//! From counters, which only rise, to what they rose by.

use std::collections::VecDeque;

use super::metrics::METRICS;

/// So many looks are a minute.
const MINUTE: usize = 60;

/// What each counter stood at, a minute back.
#[derive(Debug)]
pub(super) struct Rates {
    seen: [VecDeque<(u64, u64)>; METRICS.len()],
}

impl Default for Rates {
    fn default() -> Self {
        Self {
            seen: std::array::from_fn(|_| VecDeque::new()),
        }
    }
}

impl Rates {
    /// Takes down two counters and tells what they rose by since the last look, and in the last minute.
    fn rise(&mut self, place: usize, part: u64, whole: u64) -> Option<[(u64, u64); 2]> {
        let seen = self.seen.get_mut(place)?;
        seen.push_back((part, whole));
        while seen.len() > MINUTE + 1 {
            seen.pop_front();
        }
        let before = *seen.get(seen.len().checked_sub(2)?)?;
        let first = *seen.front()?;
        // A counter that has fallen began anew.
        let since = |then: (u64, u64)| (part.saturating_sub(then.0), whole.saturating_sub(then.1));
        Some([since(before), since(first)])
    }

    /// By how much a counter rose since the last look.
    pub(super) fn per_tick(&mut self, place: usize, count: u64) -> f32 {
        self.rise(place, count, 0)
            .map_or(f32::NAN, |[last, _]| last.0 as f32)
    }

    /// By how much it rose in the last minute.
    pub(super) fn in_a_minute(&mut self, place: usize, count: u64) -> f32 {
        self.rise(place, count, 0)
            .map_or(0.0, |[_, minute]| minute.0 as f32)
    }

    /// The share of one counter in another over the last minute; not known where that did not rise.
    pub(super) fn percent(&mut self, place: usize, part: u64, whole: u64) -> f32 {
        match self.rise(place, part, whole) {
            Some([_, (part, whole)]) if whole > 0 => part as f32 * 100.0 / whole as f32,
            _ => f32::NAN,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_of_the_last_minute_and_unknown_without_events() {
        let mut rates = Rates::default();
        assert!(rates.percent(0, 5, 10).is_nan(), "one look tells nothing");
        assert_eq!(rates.percent(0, 6, 12), 50.0);
        for _ in 0..MINUTE {
            rates.percent(0, 6, 12);
        }
        assert!(rates.percent(0, 6, 12).is_nan(), "nothing for a minute");
        assert_eq!(rates.percent(0, 9, 16), 75.0);
        assert!(rates.per_tick(1, 3).is_nan());
        assert_eq!(rates.per_tick(1, 7), 4.0);
        assert_eq!(rates.per_tick(1, 2), 0.0, "a counter that began anew");
        assert!(rates.seen.iter().all(|seen| seen.len() <= MINUTE + 1));
    }
}
