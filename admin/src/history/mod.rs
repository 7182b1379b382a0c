//! The key figures over time: seconds of the last hour, minutes of the last day, hours of the last year, in memory and
//! bounded; and marks on the time axis.
//!
//! A point takes four bytes a figure, and of minutes and hours twice that (mean and maximum): about 2.4 MB when all is full.

mod marks;
mod tier;

use std::sync::{Mutex, MutexGuard, PoisonError};

use marks::Marks;
pub(crate) use marks::{MARKS, Mark, MarkKind};
use tier::Tier;
pub(crate) use tier::{Point, STEPS, Step};

use crate::observe::metrics::Sample;

/// What has been seen so far.
#[derive(Debug)]
pub(crate) struct History(Mutex<State>);

#[derive(Debug)]
struct State {
    tiers: [Tier; 3],
    marks: Marks,
    last: i64,
}

impl History {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(State {
            tiers: STEPS.map(Tier::new),
            marks: Marks::default(),
            last: i64::MIN,
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A sample of one second; a second one of the same second is left out.
    pub(crate) fn add(&self, unix_s: i64, sample: &Sample) {
        let mut state = self.state();
        if unix_s <= state.last {
            return;
        }
        state.last = unix_s;
        for tier in &mut state.tiers {
            tier.add(unix_s, sample);
        }
    }

    /// Points of one step from `since` on and before `until`, the oldest first, with the one that is not complete yet.
    pub(crate) fn points(&self, step: &Step, since: i64, until: i64) -> Vec<Point> {
        let state = self.state();
        let tier = state.tiers.iter().find(|tier| tier.step.name == step.name);
        tier.map_or_else(Vec::new, |tier| tier.points(since, until))
    }

    /// Points of a step that have ended and began after that moment, the oldest first.
    pub(crate) fn closed_after(&self, step: &Step, unix_s: i64) -> Vec<Point> {
        let state = self.state();
        let tier = state.tiers.iter().find(|tier| tier.step.name == step.name);
        tier.map_or_else(Vec::new, |tier| tier.closed_after(unix_s))
    }

    /// Puts points of an earlier process before those of this one.
    pub(crate) fn go_on(&self, step: &Step, points: impl Iterator<Item = Point>) {
        let mut state = self.state();
        let mut tiers = state.tiers.iter_mut();
        if let Some(tier) = tiers.find(|tier| tier.step.name == step.name) {
            tier.go_on(points.collect());
        }
    }

    /// Bytes that the points take now.
    pub(crate) fn bytes(&self) -> usize {
        self.state().tiers.iter().map(Tier::bytes).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::metrics::METRICS;

    #[test]
    fn a_year_of_seconds_is_bounded_and_each_step_keeps_its_span() {
        let history = History::new();
        let (begin, day) = (1_800_000_000, 86_400);
        // Two days of seconds, then an hour each up to 400 days.
        let seconds = begin..begin + 2 * day;
        let hours = (begin + 2 * day..begin + 400 * day).step_by(3_600);
        for second in seconds.chain(hours) {
            history.add(second, &[(second % 60) as f32; METRICS.len()]);
        }
        let kept: Vec<_> = STEPS
            .iter()
            .map(|step| history.points(step, i64::MIN, i64::MAX).len())
            .collect();
        assert_eq!(kept, [3_600, 1_440, 8_760]);
        assert!(history.bytes() < 2_600_000, "{}", history.bytes());
    }

    #[test]
    fn a_minute_is_the_mean_and_the_maximum_of_its_known_seconds() {
        let history = History::new();
        let begin = 1_800_000_000;
        for second in 0..120 {
            let value = if second < 30 { f32::NAN } else { second as f32 };
            history.add(begin + second, &[value; METRICS.len()]);
        }
        history.add(begin + 119, &[1e9; METRICS.len()]);
        let minutes = history.points(&STEPS[1], begin, begin + 60);
        assert_eq!(minutes.len(), 1);
        assert_eq!((minutes[0].mean[0], minutes[0].max[0]), (44.5, 59.0));
        let open = history.points(&STEPS[1], begin + 60, i64::MAX);
        assert_eq!(
            (open.len(), open[0].max[0]),
            (1, 119.0),
            "the minute under way is told too"
        );
        let unknown = history.points(&STEPS[0], begin, begin + 1);
        assert!(unknown[0].mean[0].is_nan());
    }

    #[test]
    fn an_earlier_processs_points_come_before_this_ones_and_only_once() {
        let (minute, begin) = (&STEPS[1], 1_800_000_000);
        let of = |from: i64, minutes: i64, value: f32| {
            let history = History::new();
            for second in 0..minutes * 60 + 1 {
                history.add(from + second, &[value; METRICS.len()]);
            }
            history
        };
        let before = of(begin, 3, 1.0).closed_after(minute, i64::MIN);
        assert_eq!(before.len(), 3);
        let history = of(begin + 120, 2, 2.0);
        history.go_on(minute, before.into_iter());
        let points = history.points(minute, i64::MIN, i64::MAX);
        let told: Vec<_> = points
            .iter()
            .map(|point| (point.unix_s - begin, point.mean[0]))
            .collect();
        assert_eq!(
            told,
            [(0, 1.0), (60, 1.0), (120, 2.0), (180, 2.0), (240, 2.0)]
        );
        let closed = history.closed_after(minute, begin + 60);
        assert_eq!(
            closed.len(),
            2,
            "neither what is there already nor the minute under way"
        );
    }
}
