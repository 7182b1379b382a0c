//! [`Tracker`]: objectives, fed by what each fold finds.

use std::{collections::HashMap, sync::Arc, time::Duration};

use super::{
    objective::{MAX_OBJECTIVES, Objective},
    report::ObjectiveReport,
    slots::Slots,
};
use crate::latency::difference::Difference;

/// Sees every difference once, in order of time, on the folder's thread.
#[derive(Debug, Default)]
pub(crate) struct Tracker {
    tracked: Vec<Tracked>,
    /// Which objectives a route and method belongs to, one bit each. There are no more than the layer has series.
    known: HashMap<(Arc<str>, &'static str), u64>,
}

#[derive(Debug)]
struct Tracked {
    objective: Objective,
    slots: Slots,
}

// One bit each.
const _: () = assert!(MAX_OBJECTIVES <= u64::BITS as usize);

impl Tracker {
    /// Of more than [`MAX_OBJECTIVES`] the first ones count; the builder refuses more.
    pub(crate) fn new(objectives: impl IntoIterator<Item = Objective>) -> Self {
        let tracked = objectives.into_iter().take(MAX_OBJECTIVES);
        Self {
            tracked: tracked
                .map(|objective| Tracked {
                    slots: Slots::new(objective.period),
                    objective,
                })
                .collect(),
            known: HashMap::new(),
        }
    }

    /// What has ended since the fold before: one difference for each series that has any. `now` is the layer's
    /// monotonic time.
    pub(crate) fn observe(&mut self, now: Duration, differences: &[Difference]) {
        if self.tracked.is_empty() {
            return;
        }
        for difference in differences {
            let mut objectives = self.objectives_of(difference);
            while objectives != 0 {
                let at = objectives.trailing_zeros() as usize;
                objectives &= objectives - 1;
                let tracked = &mut self.tracked[at];
                let tally = tracked.objective.tally(difference);
                if tally.total > 0 {
                    tracked.slots.add(now, tally);
                }
            }
        }
    }

    fn objectives_of(&mut self, difference: &Difference) -> u64 {
        let (route, method) = (&difference.key.route, difference.key.method);
        let tracked = &self.tracked;
        *self
            .known
            .entry((route.clone(), method))
            .or_insert_with(|| {
                let named = |at: &usize| tracked[*at].objective.routes.names(method, route);
                (0..tracked.len())
                    .filter(named)
                    .fold(0, |bits, at| bits | 1 << at)
            })
    }

    /// How all objectives stand, in the order in which they were said. `now` as in [`observe`](Self::observe); the layer began at 0.
    pub(crate) fn reports(&self, now: Duration) -> Vec<ObjectiveReport> {
        let tracked = self.tracked.iter();
        tracked
            .map(|tracked| ObjectiveReport::of(&tracked.objective, &tracked.slots, now, now))
            .collect()
    }
}
