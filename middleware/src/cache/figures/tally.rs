//! Counters of one series: one cell an outcome, so that a request is one addition.

use std::{
    array,
    sync::atomic::{AtomicU64, Ordering},
};

use crate::cache::outcome::{BypassReason, Miss, Outcome};
use crate::shard::thread_index;

/// Copies of the counters, so that threads on the hit path do not fight for one cache line.
const STRIPES: usize = 8;

/// Kinds of hits, in the order of their cells.
pub(in crate::cache) const HITS: [&str; 7] = [
    "fresh",
    "l2",
    "collapsed",
    "max-stale",
    "stale-while-revalidate",
    "soft-purge",
    "stale-if-error",
];

const FIRST_MISS: usize = HITS.len();
const FIRST_BYPASS: usize = FIRST_MISS + Miss::ALL.len();
const FIRST_AMOUNT: usize = FIRST_BYPASS + BypassReason::ALL.len();
const CELLS: usize = FIRST_AMOUNT + Amount::COUNT;

/// What is counted besides hits, misses and bypasses.
#[derive(Clone, Copy)]
pub(in crate::cache) enum Amount {
    /// Requests that wanted no call of the handler, in vain.
    OnlyIfCached,
    /// Requests whose handler failed without an answer.
    Errors,
    /// Statements that are not cached.
    RefusedQueries,
    Revalidated,
    Stores,
    StoredBytes,
    Deletes,
    SavedUs,
    TruthChecks,
    StaleServed,
    Unstable,
}

impl Amount {
    const COUNT: usize = Self::Unstable as usize + 1;
}

#[derive(Default)]
pub(in crate::cache) struct Tally {
    stripes: [Stripe; STRIPES],
}

#[repr(align(64))]
struct Stripe([AtomicU64; CELLS]);

impl Default for Stripe {
    fn default() -> Self {
        Self(array::from_fn(|_| AtomicU64::new(0)))
    }
}

impl Tally {
    fn stripe(&self) -> &Stripe {
        &self.stripes[thread_index() % STRIPES]
    }

    /// A hit that saved the handler so many microseconds.
    pub(in crate::cache) fn hit(&self, outcome: Outcome, saved_us: u32) {
        let stripe = self.stripe();
        stripe.add(cell(outcome), 1);
        stripe.add(FIRST_AMOUNT + Amount::SavedUs as usize, saved_us.into());
    }

    pub(in crate::cache) fn add(&self, outcome: Outcome) {
        self.stripe().add(cell(outcome), 1);
    }

    pub(in crate::cache) fn amount(&self, amount: Amount, by: u64) {
        self.stripe().add(FIRST_AMOUNT + amount as usize, by);
    }
}

impl Stripe {
    fn add(&self, cell: usize, by: u64) {
        self.0[cell].fetch_add(by, Ordering::Relaxed);
    }
}

const fn cell(outcome: Outcome) -> usize {
    match outcome {
        Outcome::Hit => 0,
        Outcome::L2 => 1,
        Outcome::Collapsed(_) => 2,
        Outcome::Stale => 3,
        Outcome::StaleWhileRevalidate => 4,
        Outcome::PurgedSoftly => 5,
        Outcome::StaleIfError => 6,
        Outcome::Revalidated(miss)
        | Outcome::Stored(miss)
        | Outcome::Streaming(miss)
        | Outcome::Miss(miss) => FIRST_MISS + miss as usize,
        Outcome::Unstorable(_, reason) | Outcome::Bypass(reason) => FIRST_BYPASS + reason as usize,
        Outcome::OnlyIfCached => FIRST_AMOUNT + Amount::OnlyIfCached as usize,
    }
}

/// What tallies come to, added up.
pub(in crate::cache) struct Sums([u64; CELLS]);

impl Default for Sums {
    fn default() -> Self {
        Self([0; CELLS])
    }
}

impl Sums {
    pub(in crate::cache) fn add(&mut self, tally: &Tally) {
        for stripe in &tally.stripes {
            for (sum, count) in self.0.iter_mut().zip(&stripe.0) {
                *sum += count.load(Ordering::Relaxed);
            }
        }
    }

    pub(in crate::cache) fn add_all(&mut self, other: &Self) {
        for (sum, count) in self.0.iter_mut().zip(&other.0) {
            *sum += count;
        }
    }

    pub(in crate::cache) fn hits(&self) -> impl Iterator<Item = (&'static str, u64)> {
        HITS.into_iter().zip(self.0)
    }

    pub(in crate::cache) fn misses(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Miss::ALL
            .into_iter()
            .map(|miss| (miss.label(), self.0[FIRST_MISS + miss as usize]))
    }

    pub(in crate::cache) fn bypasses(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let refused = ("query-refused", self.amount(Amount::RefusedQueries));
        BypassReason::ALL
            .into_iter()
            .map(|reason| (reason.as_str(), self.0[FIRST_BYPASS + reason as usize]))
            .chain([refused])
    }

    pub(in crate::cache) fn of(&self, outcome: Outcome) -> u64 {
        self.0[cell(outcome)]
    }

    pub(in crate::cache) fn amount(&self, amount: Amount) -> u64 {
        self.0[FIRST_AMOUNT + amount as usize]
    }

    /// Requests of every outcome.
    pub(in crate::cache) fn requests(&self) -> u64 {
        let counted = self.0[..FIRST_AMOUNT].iter().sum::<u64>();
        counted + self.amount(Amount::OnlyIfCached) + self.amount(Amount::Errors)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_outcome_has_a_cell_of_its_own_under_its_name() {
        let tally = Tally::default();
        let hits = [
            Outcome::Hit,
            Outcome::L2,
            Outcome::Collapsed(Miss::Uri),
            Outcome::Stale,
            Outcome::StaleWhileRevalidate,
            Outcome::PurgedSoftly,
            Outcome::StaleIfError,
        ];
        let mut expected = Vec::new();
        let mut count = 0;
        let mut add = |outcome: Outcome| {
            count += 1;
            (0..count).for_each(|_| tally.add(outcome));
            count
        };
        for (outcome, name) in hits.into_iter().zip(HITS) {
            expected.push((name, add(outcome)));
        }
        for miss in Miss::ALL {
            expected.push((miss.label(), add(Outcome::Stored(miss))));
        }
        for reason in BypassReason::ALL {
            expected.push((reason.as_str(), add(Outcome::Bypass(reason))));
        }
        tally.amount(Amount::RefusedQueries, 9);
        expected.push(("query-refused", 9));
        let mut sums = Sums::default();
        sums.add(&tally);
        let found: Vec<_> = sums
            .hits()
            .chain(sums.misses())
            .chain(sums.bypasses())
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn what_threads_count_adds_up() {
        let tally = Tally::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..1_000).for_each(|_| tally.hit(Outcome::Hit, 3)));
            }
        });
        let mut sums = Sums::default();
        sums.add(&tally);
        assert_eq!(sums.of(Outcome::Hit), 4_000);
        assert_eq!(sums.amount(Amount::SavedUs), 12_000);
        assert_eq!(sums.requests(), 4_000);
    }
}
