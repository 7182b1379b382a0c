//! [`Timeline`]: a series' last two hours, the finer the nearer.

use std::{collections::VecDeque, time::Duration};

use super::{figures::Sums, tally::SumsTally, window::Window};

/// Up to which age slots have which width, in seconds. Each width divides the next, so that slots join without a remainder,
/// and each window's length, so that windows end where slots do.
const LEVELS: [(u64, u64); 5] = [(60, 5), (300, 30), (900, 150), (3_600, 300), (7_200, 900)];

/// The windows that a timeline tells, with the width of the slots at their far end.
const ROLLING: [(Window, u64); 4] = [
    (Window::OneMinute, 5),
    (Window::FiveMinutes, 30),
    (Window::FifteenMinutes, 150),
    (Window::OneHour, 300),
];

/// A stretch of time with what ended in it.
#[derive(Clone, Debug)]
struct Stretch {
    /// Seconds since the layer was built.
    start_s: u64,
    width_s: u64,
    sums: Sums,
}

/// What ended when. Time is in seconds since the layer was built.
#[derive(Clone, Debug, Default)]
pub(crate) struct Timeline {
    /// The oldest first; those without a request are absent.
    stretches: VecDeque<Stretch>,
}

/// Where a window begins, as far as slots go: never longer ago than its length.
fn begin_s(window: Window, width_s: u64, now: Duration) -> u64 {
    let length = window.length().unwrap_or_default();
    let begin = now.saturating_sub(length);
    let whole = begin.as_secs() + u64::from(begin.subsec_nanos() > 0);
    whole.next_multiple_of(width_s)
}

/// Seconds that each window covers.
pub(crate) fn covered_s(now: Duration) -> [f64; Window::ALL.len()] {
    let mut covered = [now.as_secs_f64(); Window::ALL.len()];
    for (window, width_s) in ROLLING {
        covered[window as usize] = now.as_secs_f64() - begin_s(window, width_s, now) as f64;
    }
    covered
}

impl Timeline {
    /// Adds what ended at `at`, which does not go back by more than a slot.
    pub(crate) fn add(&mut self, at: Duration, sums: &Sums) {
        let width_s = LEVELS[0].1;
        let start_s = at.as_secs() / width_s * width_s;
        match self.stretches.back_mut() {
            Some(last) if last.start_s >= start_s => last.sums = last.sums.merge(sums),
            _ => self.stretches.push_back(Stretch {
                start_s,
                width_s,
                sums: sums.clone(),
            }),
        }
    }

    /// Joins and drops what has become old enough.
    pub(crate) fn age(&mut self, now: Duration) {
        let now_s = now.as_secs();
        let width_of = |start_s: u64| {
            let age = now_s.saturating_sub(start_s);
            LEVELS
                .iter()
                .find(|(up_to, _)| age <= *up_to)
                .map(|(_, width)| *width)
        };
        let is_due = |stretch: &Stretch| width_of(stretch.start_s) != Some(stretch.width_s);
        if !self.stretches.iter().any(is_due) {
            return;
        }
        let mut joined: VecDeque<Stretch> = VecDeque::with_capacity(self.stretches.len());
        for mut stretch in self.stretches.drain(..) {
            let Some(width_s) = width_of(stretch.start_s) else {
                continue;
            };
            // A joined one may be younger at its start than its own width asks for.
            stretch.width_s = stretch.width_s.max(width_s);
            stretch.start_s = stretch.start_s / stretch.width_s * stretch.width_s;
            match joined.back_mut() {
                Some(last)
                    if (last.start_s, last.width_s) == (stretch.start_s, stretch.width_s) =>
                {
                    last.sums = last.sums.merge(&stretch.sums);
                }
                _ => joined.push_back(stretch),
            }
        }
        self.stretches = joined;
    }

    /// The sums of the rolling windows, and of the windows before these.
    pub(crate) fn windows(&self, now: Duration, tally: &mut SumsTally) -> ([Sums; 4], [Sums; 4]) {
        let mut rolling: [Sums; 4] = Default::default();
        let mut before: [Sums; 4] = Default::default();
        tally.clear();
        let mut youngest_first = self.stretches.iter().rev().peekable();
        for (window, width_s) in ROLLING {
            let begin_s = begin_s(window, width_s, now);
            while let Some(stretch) = youngest_first.next_if(|one| one.start_s >= begin_s) {
                tally.add(&stretch.sums);
            }
            rolling[window as usize] = tally.to_sums();
        }
        for (window, width_s) in ROLLING {
            let end_s = begin_s(window, width_s, now);
            let length_s = window.length().unwrap_or_default().as_secs();
            let begin_s = end_s.saturating_sub(length_s);
            tally.clear();
            for stretch in &self.stretches {
                // One that reaches in counts whole: where it lies, slots are wide.
                if stretch.start_s < end_s && stretch.start_s + stretch.width_s > begin_s {
                    tally.add(&stretch.sums);
                }
            }
            before[window as usize] = tally.to_sums();
        }
        tally.clear();
        (rolling, before)
    }

    /// Requests of the last minute.
    pub(crate) fn last_minute(&self, now: Duration) -> u64 {
        let (window, width_s) = ROLLING[0];
        let begin_s = begin_s(window, width_s, now);
        let recent = self.stretches.iter().rev();
        recent
            .take_while(|one| one.start_s >= begin_s)
            .map(|one| one.sums.count())
            .sum()
    }

    /// Bytes that it keeps.
    pub(crate) fn bytes(&self) -> usize {
        self.stretches
            .iter()
            .map(|one| size_of::<Stretch>() + one.sums.bytes())
            .sum()
    }

    /// Lets the older half go. How many slots that were.
    pub(crate) fn forget(&mut self) -> u64 {
        let half = self.stretches.len() / 2;
        self.stretches.drain(..half);
        half as u64
    }

    /// Brings all but the last minute to one significant figure. How many slots that made smaller.
    pub(crate) fn coarsen(&mut self) -> u64 {
        let mut coarsened = 0;
        for stretch in &mut self.stretches {
            if stretch.width_s == LEVELS[0].1 {
                continue;
            }
            let before = stretch.sums.bytes();
            stretch.sums.body_end = stretch.sums.body_end.coarser();
            stretch.sums.first_byte = stretch.sums.first_byte.coarser();
            coarsened += u64::from(stretch.sums.bytes() < before);
        }
        coarsened
    }
}

#[cfg(test)]
mod tests {
    use super::super::histogram::Histogram;
    use super::*;

    fn one() -> Sums {
        Sums {
            body_end: Histogram::of([Duration::from_millis(1)]),
            ..Sums::default()
        }
    }

    /// One request a second for three hours: each window holds as many as it covers seconds, at every second.
    #[test]
    fn each_window_holds_what_ended_in_the_time_that_it_covers() {
        let (mut timeline, mut tally) = (Timeline::default(), SumsTally::new());
        for second in 0..3 * 3_600 {
            // In the middle of the second, so that both ends are plain.
            let now = Duration::from_millis(second * 1_000 + 500);
            timeline.add(now, &one());
            timeline.age(now);
            let (rolling, before) = timeline.windows(now, &mut tally);
            let covered = covered_s(now);
            for (window, _) in ROLLING {
                let (count, covered) = (rolling[window as usize].count(), covered[window as usize]);
                assert_eq!(count, covered.ceil() as u64, "{window} at {second}");
                let length = window.length().unwrap().as_secs();
                assert!(covered <= length as f64);
                if second >= length {
                    let widest = if window == Window::OneHour {
                        300
                    } else {
                        length / 6
                    };
                    assert!(count + widest > length, "{window} at {second}: {count}");
                }
                if second >= 2 * length + 900 {
                    let count = before[window as usize].count();
                    let missing = length.abs_diff(count);
                    assert!(
                        missing <= length / 2,
                        "before {window} at {second}: {count}"
                    );
                }
            }
            assert!(
                timeline.stretches.len() <= 45,
                "{}",
                timeline.stretches.len()
            );
        }
        timeline.age(Duration::from_secs(6 * 3_600));
        assert!(timeline.stretches.is_empty());
    }

    #[test]
    fn a_coarser_timeline_counts_the_same() {
        let mut timeline = Timeline::default();
        for second in 0..3_600_u64 {
            let at = Duration::from_secs(second);
            let sums = Sums {
                body_end: Histogram::of((0..20).map(|n| Duration::from_micros(900 + 10 * n))),
                ..Sums::default()
            };
            timeline.add(at, &sums);
            timeline.age(at);
        }
        let now = Duration::from_secs(3_600);
        let mut tally = SumsTally::new();
        let (fine, bytes) = (timeline.windows(now, &mut tally).0, timeline.bytes());
        assert!(timeline.coarsen() > 0);
        let coarse = timeline.windows(now, &mut tally).0;
        assert!(timeline.bytes() < bytes);
        for (fine, coarse) in fine.iter().zip(&coarse) {
            assert_eq!(fine.count(), coarse.count());
            let ratio = coarse.body_end.value_at_quantile(0.5).as_secs_f64()
                / fine.body_end.value_at_quantile(0.5).as_secs_f64();
            assert!((1.0..1.07).contains(&ratio), "{ratio}");
        }
    }
}
