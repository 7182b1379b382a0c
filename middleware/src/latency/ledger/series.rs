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
    hours::Hours,
    rates::{Average, Decay},
};

/// Hours of a series' past, the present one included: so the same hour of yesterday is there.
pub const HOURS: usize = 25;

#[derive(Debug)]
pub(crate) struct Series {
    pub(crate) key: Arc<SeriesKey>,
    /// Since the start; without its histograms, which the codes have.
    pub(crate) total: Sums,
    pub(crate) count: u64,
    pub(crate) timeline: Timeline,
    /// By the numbers of [`Hours`].
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
        hours: &Hours,
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
            self.add_hour(hours.number(ended), &sums.body_end);
            differences.push(Difference {
                key: self.key.clone(),
                sums,
                is_by_head,
            });
        }
        self.timeline.age(now);
    }

    fn add_hour(&mut self, number: u64, body_end: &Histogram) {
        let body_end = body_end.coarser();
        match self.hours.back_mut() {
            Some(last) if last.unix_hour >= number => {
                last.body_end = last.body_end.merge(&body_end);
            }
            _ => self.hours.push_back(Hour {
                unix_hour: number,
                body_end,
            }),
        }
        while self.hours.len() > HOURS {
            self.hours.pop_front();
        }
    }

    /// Its last [`HOURS`] hours as of `now`, by the wall clock that says `unix_ms`.
    pub(crate) fn hours(&self, hours: &Hours, now: Duration, unix_ms: u64) -> Box<[Hour]> {
        let (last, ahead) = (hours.number(now), hours.ahead(now, unix_ms));
        self.hours
            .iter()
            .filter(|hour| hour.unix_hour + HOURS as u64 > last)
            .filter_map(|hour| {
                // None before 1970, where the wall clock says so.
                let unix_hour = hour.unix_hour.checked_add_signed(ahead)?;
                let body_end = hour.body_end.clone();
                Some(Hour {
                    unix_hour,
                    body_end,
                })
            })
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
