//! Counts over time, in slots of bounded number.

use std::{collections::VecDeque, time::Duration};

use super::objective::Tally;

/// How long a slot is and how many there are: minutes for six hours, five minutes for three days, hours for the period.
const MINUTES: Ring = Ring::new(60, 360);
const FIVE_MINUTES: Ring = Ring::new(300, 864);
const HOUR_S: u64 = 3_600;

/// Slots of one length; those without a request are left out.
#[derive(Clone, Debug)]
struct Ring {
    seconds: u64,
    slots: u64,
    /// The oldest first. Takes memory for all of them with the first.
    kept: VecDeque<Slot>,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    /// Since the layer's clock began.
    number: u32,
    total: u32,
    bad: u32,
}

impl Slot {
    fn add(&mut self, tally: Tally) {
        let small = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
        self.total = self.total.saturating_add(small(tally.total));
        self.bad = self.bad.saturating_add(small(tally.bad));
    }
}

impl Ring {
    const fn new(seconds: u64, slots: u64) -> Self {
        Self {
            seconds,
            slots,
            kept: VecDeque::new(),
        }
    }

    fn add(&mut self, now_s: u64, tally: Tally) {
        let number = self.number(now_s);
        let is_old = |slot: &Slot| u64::from(slot.number) + self.slots <= u64::from(number);
        while self.kept.front().is_some_and(is_old) {
            self.kept.pop_front();
        }
        match self.kept.back_mut() {
            // Time never goes back; were it to, the newest slot takes it.
            Some(newest) if newest.number >= number => newest.add(tally),
            _ => {
                if self.kept.capacity() == 0 {
                    self.kept.reserve_exact(self.slots as usize);
                }
                let mut slot = Slot {
                    number,
                    total: 0,
                    bad: 0,
                };
                slot.add(tally);
                self.kept.push_back(slot);
            }
        }
    }

    /// The last `seconds`, the slot under way and as many whole ones as fit with it.
    fn sum(&self, now_s: u64, seconds: u64) -> Tally {
        let newest = u64::from(self.number(now_s));
        let within = self.kept.iter().rev();
        within
            .take_while(|slot| u64::from(slot.number) + seconds / self.seconds > newest)
            .fold(Tally::default(), |mut sum, slot| {
                sum.add(Tally {
                    total: u64::from(slot.total),
                    bad: u64::from(slot.bad),
                });
                sum
            })
    }

    fn number(&self, now_s: u64) -> u32 {
        u32::try_from(now_s / self.seconds).unwrap_or(u32::MAX)
    }
}

/// All that one objective counts.
#[derive(Clone, Debug)]
pub(super) struct Slots {
    minutes: Ring,
    five_minutes: Ring,
    hours: Ring,
}

impl Slots {
    pub(super) fn new(period: Duration) -> Self {
        Self {
            minutes: MINUTES,
            five_minutes: FIVE_MINUTES,
            hours: Ring::new(HOUR_S, period.as_secs().div_ceil(HOUR_S)),
        }
    }

    pub(super) fn add(&mut self, now: Duration, tally: Tally) {
        for ring in [&mut self.minutes, &mut self.five_minutes, &mut self.hours] {
            ring.add(now.as_secs(), tally);
        }
    }

    /// What was counted in a window: of the finest slots that reach as far. So it is up to one slot shorter than it is called.
    pub(super) fn sum(&self, now: Duration, window: Duration) -> Tally {
        let seconds = window.as_secs();
        let rings = [&self.minutes, &self.five_minutes, &self.hours];
        let ring = rings
            .into_iter()
            .find(|ring| ring.seconds * ring.slots >= seconds)
            .unwrap_or(&self.hours);
        ring.sum(now.as_secs(), seconds)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::latency::slo::objective::{DEFAULT_PERIOD, MAX_PERIOD};

    proptest! {
        /// Against all events in a list.
        #[test]
        fn windows_are_those_of_a_list(
            events in prop::collection::vec((0..40_000_u64, 1..9_u64, 0..9_u64), 1..120),
            idle in 0..400_000_u64,
        ) {
            let mut slots = Slots::new(DEFAULT_PERIOD);
            let mut list = Vec::new();
            let mut now = 0;
            for (gap, total, bad) in events {
                now += gap;
                let tally = Tally { total, bad: bad.min(total) };
                slots.add(Duration::from_secs(now), tally);
                list.push((now, tally));
            }
            now += idle;
            for (window, slot) in [
                (300, 60), (1_800, 60), (3_600, 60), (21_600, 60), (259_200, 300), (2_592_000, 3_600),
            ] {
                let mut naive = Tally::default();
                let within = list.iter().filter(|(at, _)| now / slot - at / slot < window / slot);
                within.for_each(|(_, tally)| naive.add(*tally));
                let told = slots.sum(Duration::from_secs(now), Duration::from_secs(window));
                prop_assert_eq!(told, naive, "window {}", window);
            }
        }
    }

    #[test]
    fn a_year_takes_no_more_than_the_bound() {
        let mut slots = Slots::new(MAX_PERIOD);
        let one = Tally { total: 1, bad: 0 };
        for minute in 0..365 * 24 * 60 {
            slots.add(Duration::from_secs(minute * 60), one);
        }
        let kept = [&slots.minutes, &slots.five_minutes, &slots.hours].map(|ring| ring.kept.len());
        assert_eq!(kept, [360, 864, 2_160]);
    }
}
