//! What one route's requests allocated, as counted by the threads of one shard.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use super::allocator::Reading;

/// Buckets of a power of two: a value is told to within 6.25 %.
const SUB_BUCKETS: usize = 8;
const SUB_BITS: u32 = SUB_BUCKETS.trailing_zeros();
/// Values below are told exactly.
const LINEAR: usize = 2 * SUB_BUCKETS;
/// Powers of two that are told apart for bytes; what is larger (128 GiB) counts as that.
const BYTE_BUCKETS: usize = buckets(37);
/// The same for allocations (a thousand million).
const ALLOCATION_BUCKETS: usize = buckets(30);

const fn buckets(powers: u32) -> usize {
    LINEAR + (powers - SUB_BITS - 1) as usize * SUB_BUCKETS
}

/// One request's account at its end.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Account {
    pub(super) spent: Reading,
    pub(super) handed_out: u64,
}

/// On cache lines of its own.
#[repr(align(128))]
pub(super) struct Tally {
    /// The same for all tallies of one (layer, route, method), and for no other.
    pub(super) series: usize,
    requests: AtomicU64,
    bytes: AtomicU64,
    allocations: AtomicU64,
    net: AtomicI64,
    handed_out: AtomicU64,
    by_bytes: Spread<BYTE_BUCKETS>,
    by_allocations: Spread<ALLOCATION_BUCKETS>,
}

impl Tally {
    pub(super) fn new(series: usize) -> Self {
        Self {
            series,
            requests: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            allocations: AtomicU64::new(0),
            net: AtomicI64::new(0),
            handed_out: AtomicU64::new(0),
            by_bytes: Spread::new(),
            by_allocations: Spread::new(),
        }
    }

    /// A request has ended.
    pub(super) fn request(&self, account: &Account) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.by_bytes.record(account.spent.allocated);
        self.by_allocations.record(account.spent.allocations);
        self.handed_out
            .fetch_add(account.handed_out, Ordering::Relaxed);
        self.work(&account.spent);
    }

    /// Net bytes that were not handed to the server either.
    pub(super) fn kept(&self) -> i64 {
        let handed_out = self.handed_out.load(Ordering::Relaxed);
        self.net
            .load(Ordering::Relaxed)
            .wrapping_sub(handed_out.cast_signed())
    }

    /// Work for the route, beside its requests.
    pub(super) fn work(&self, spent: &Reading) {
        self.bytes.fetch_add(spent.allocated, Ordering::Relaxed);
        self.allocations
            .fetch_add(spent.allocations, Ordering::Relaxed);
        self.net.fetch_add(spent.net(), Ordering::Relaxed);
    }
}

/// A log-linear histogram.
struct Spread<const N: usize>([AtomicU64; N]);

impl<const N: usize> Spread<N> {
    const fn new() -> Self {
        Self([const { AtomicU64::new(0) }; N])
    }

    fn record(&self, value: u64) {
        self.0[bucket(value).min(N - 1)].fetch_add(1, Ordering::Relaxed);
    }
}

fn bucket(value: u64) -> usize {
    if value < LINEAR as u64 {
        return value as usize;
    }
    let power = value.ilog2();
    let sub = (value >> (power - SUB_BITS)) as usize & (SUB_BUCKETS - 1);
    LINEAR + (power - SUB_BITS - 1) as usize * SUB_BUCKETS + sub
}

/// The middle of a bucket.
fn middle(bucket: usize) -> u64 {
    if bucket < LINEAR {
        return bucket as u64;
    }
    let (power, sub) = (
        (bucket - LINEAR) / SUB_BUCKETS,
        (bucket - LINEAR) % SUB_BUCKETS,
    );
    // The width of this power's buckets is 2 << power.
    let low = ((SUB_BUCKETS + sub) as u64) << (power + 1);
    low + (1 << power)
}

/// Tallies of one series, added up.
pub(super) struct Sums {
    pub(super) requests: u64,
    pub(super) bytes: u64,
    pub(super) allocations: u64,
    pub(super) net: i64,
    pub(super) handed_out: u64,
    by_bytes: [u64; BYTE_BUCKETS],
    by_allocations: [u64; ALLOCATION_BUCKETS],
}

impl Default for Sums {
    fn default() -> Self {
        Self {
            requests: 0,
            bytes: 0,
            allocations: 0,
            net: 0,
            handed_out: 0,
            by_bytes: [0; BYTE_BUCKETS],
            by_allocations: [0; ALLOCATION_BUCKETS],
        }
    }
}

impl Sums {
    pub(super) fn add(&mut self, tally: &Tally) {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        self.requests += load(&tally.requests);
        self.bytes = self.bytes.wrapping_add(load(&tally.bytes));
        self.allocations = self.allocations.wrapping_add(load(&tally.allocations));
        self.net = self.net.wrapping_add(tally.net.load(Ordering::Relaxed));
        self.handed_out = self.handed_out.wrapping_add(load(&tally.handed_out));
        let sums = self.by_bytes.iter_mut().zip(&tally.by_bytes.0);
        sums.for_each(|(sum, counter)| *sum += load(counter));
        let sums = self.by_allocations.iter_mut().zip(&tally.by_allocations.0);
        sums.for_each(|(sum, counter)| *sum += load(counter));
    }

    /// Bytes of a request at the quantile.
    pub(super) fn bytes_at(&self, quantile: f64) -> u64 {
        at(&self.by_bytes, quantile)
    }

    pub(super) fn allocations_at(&self, quantile: f64) -> u64 {
        at(&self.by_allocations, quantile)
    }
}

fn at(counts: &[u64], quantile: f64) -> u64 {
    let total: u64 = counts.iter().sum();
    let rank = ((total as f64 * quantile).ceil() as u64).max(1);
    let mut seen = 0;
    let found = counts.iter().position(|count| {
        seen += count;
        seen >= rank
    });
    found.map_or(0, middle)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_value_is_told_to_within_a_sixteenth(value in 0_u64..1 << 37) {
            let told = middle(bucket(value));
            let error = told.abs_diff(value) as f64 / value.max(1) as f64;
            prop_assert!(error <= 0.0625, "{value} is told as {told}");
            prop_assert!(bucket(value) < BYTE_BUCKETS);
        }

        #[test]
        fn buckets_stand_in_the_order_of_their_values(a in any::<u64>(), b in any::<u64>()) {
            prop_assert!(bucket(a.min(b)) <= bucket(a.max(b)));
        }

        /// Against the sorted sample itself.
        #[test]
        fn quantiles_are_those_of_the_sample(mut values in proptest::collection::vec(0_u64..1 << 30, 1..200)) {
            let tally = Tally::new(0);
            for value in &values {
                let spent = Reading { allocated: *value, ..Reading::default() };
                tally.request(&Account { spent, handed_out: 0 });
            }
            let mut sums = Sums::default();
            sums.add(&tally);
            values.sort_unstable();
            for quantile in [0.5, 0.99, 1.0] {
                let rank = ((values.len() as f64 * quantile).ceil() as usize).max(1) - 1;
                let (told, truth) = (sums.bytes_at(quantile), values[rank]);
                prop_assert!(told.abs_diff(truth) as f64 <= 0.0625 * truth as f64, "{told} for {truth}");
            }
        }
    }

    #[test]
    fn what_no_program_allocates_counts_as_the_largest() {
        let tally = Tally::new(0);
        let spent = Reading {
            allocated: u64::MAX,
            allocations: u64::MAX,
            freed: 0,
        };
        tally.request(&Account {
            spent,
            handed_out: 0,
        });
        let mut sums = Sums::default();
        sums.add(&tally);
        assert!(sums.bytes_at(0.5) > 1 << 36 && sums.allocations_at(0.5) > 1 << 29);
    }
}
