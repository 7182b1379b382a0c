//! [`Series`]: one (route, method, status class), over time.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use super::{
    super::{
        difference::{Difference, SeriesKey},
        figures::Sums,
        histogram::Histogram,
        snapshot::Hour,
        timeline::Timeline,
    },
    rates::{Average, Decay},
};

/// Hours of a series' past, the present one included: so the same hour of yesterday is there.
pub const HOURS: usize = 25;

const HOUR_MS: u64 = 3_600_000;

#[derive(Debug)]
pub(crate) struct Series {
    pub(crate) key: Arc<SeriesKey>,
    /// Since the start; without its histograms, which the codes have.
    pub(crate) total: Sums,
    pub(crate) count: u64,
    pub(crate) timeline: Timeline,
    hours: VecDeque<Hour>,
    pub(crate) average: Average,
    /// Since the last fold was closed: those that objectives judge by their end, and those that they judge by their head.
    open: [Option<(Duration, Sums)>; 2],
}

impl Series {
    pub(crate) fn new(key: SeriesKey) -> Self {
        Self {
            key: Arc::new(key),
            total: Sums::default(),
            count: 0,
            timeline: Timeline::default(),
            hours: VecDeque::new(),
            average: Average::default(),
            open: [None, None],
        }
    }

    /// One of its codes has got more, the last of it at `ended`.
    pub(crate) fn add(&mut self, ended: Duration, sums: &Sums, is_by_head: bool) {
        let open = &mut self.open[usize::from(is_by_head)];
        *open = Some(match open.take() {
            Some((at, known)) => (at.max(ended), known.merge(sums)),
            None => (ended, sums.clone()),
        });
    }

    /// Ends a fold: what all its codes got.
    pub(crate) fn close(
        &mut self,
        now: Duration,
        unix_ms: u64,
        decay: &Decay,
        differences: &mut Vec<Difference>,
    ) {
        let opens = std::mem::take(&mut self.open);
        let counts = opens.iter().flatten().map(|(_, sums)| sums.count());
        self.average.add(counts.sum(), decay);
        for (open, is_by_head) in opens.into_iter().zip([false, true]) {
            let Some((ended, sums)) = open else {
                continue;
            };
            let sums = sums.classed(self.key.class);
            self.total.add_numbers(self.count == 0, &sums);
            self.count = self.count.saturating_add(sums.count());
            self.timeline.add(ended, &sums);
            let ago = u64::try_from((now - ended).as_millis()).unwrap_or(u64::MAX);
            self.add_hour(unix_ms.saturating_sub(ago) / HOUR_MS, &sums.body_end);
            differences.push(Difference {
                key: self.key.clone(),
                sums,
                is_by_head,
            });
        }
        self.timeline.age(now);
    }

    fn add_hour(&mut self, unix_hour: u64, body_end: &Histogram) {
        let body_end = body_end.coarser();
        // A step of the wall clock that was taken back: what it led to lies years ahead, and would swallow all that comes.
        while self
            .hours
            .back()
            .is_some_and(|last| last.unix_hour > unix_hour + 1)
        {
            self.hours.pop_back();
        }
        match self.hours.back_mut() {
            // Also where the wall clock went back by less.
            Some(last) if last.unix_hour >= unix_hour => {
                last.body_end = last.body_end.merge(&body_end);
            }
            _ => self.hours.push_back(Hour {
                unix_hour,
                body_end,
            }),
        }
        // By their number and not by their age, so that a step of the clock takes none away.
        while self.hours.len() > HOURS {
            self.hours.pop_front();
        }
    }

    /// Its last [`HOURS`] hours as seen now.
    pub(crate) fn hours(&self, unix_ms: u64) -> Box<[Hour]> {
        let now = unix_ms / HOUR_MS;
        self.hours
            .iter()
            .filter(|hour| hour.unix_hour + HOURS as u64 > now && hour.unix_hour <= now)
            .cloned()
            .collect()
    }

    pub(crate) fn bytes(&self) -> usize {
        let hours = self.hours.iter();
        size_of::<Self>()
            + self.timeline.bytes()
            + hours
                .map(|hour| size_of::<Hour>() + hour.body_end.bytes())
                .sum::<usize>()
    }

    pub(crate) fn coarsen(&mut self) -> u64 {
        self.timeline.coarsen()
    }

    /// Lets go of the older half of the timeline.
    pub(crate) fn forget(&mut self) -> u64 {
        self.timeline.forget()
    }
}
