//! [`Histogram`]: counts by bucket, immutable, small, cheap to clone.

use std::{fmt, sync::Arc, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use super::buckets::{self, BUCKETS};

/// How many requests took how long.
///
/// An immutable HDR histogram of two significant figures from 100 ns to 1 h: a time is known to 1/128 of its size. It
/// keeps only the buckets that were met, two to three bytes each, and clones by reference. [`merge`](Self::merge) loses nothing.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Histogram {
    count: u64,
    /// For each bucket that was met, in order: how many buckets were skipped before it, and its count; both as LEB128.
    packed: Option<Arc<[u8]>>,
}

/// One bucket of a [`Histogram`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Bucket {
    /// The shortest time that falls in it.
    pub low: Duration,
    /// The longest time that falls in it.
    pub high: Duration,
    /// How many did; never 0.
    pub count: u64,
}

impl Histogram {
    /// Nothing counted.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            count: 0,
            packed: None,
        }
    }

    /// Counts each of `times` once; for tests and for what is measured elsewhere.
    #[must_use]
    pub fn of(times: impl IntoIterator<Item = Duration>) -> Self {
        let mut counts = vec![0_u64; BUCKETS];
        for time in times {
            counts[buckets::index_of(nanos(time))] += 1;
        }
        Self::from_counts(counts.into_iter().enumerate())
    }

    /// From (bucket, count), the buckets in ascending order; counts of 0 are left out.
    pub(crate) fn from_counts(counts: impl IntoIterator<Item = (usize, u64)>) -> Self {
        let mut packed = Vec::new();
        let (mut total, mut next) = (0_u64, 0);
        for (index, count) in counts {
            debug_assert!(index >= next && index < BUCKETS, "ascending, in range");
            if count == 0 {
                continue;
            }
            push(&mut packed, (index - next) as u64);
            push(&mut packed, count);
            total = total.saturating_add(count);
            next = index + 1;
        }
        Self {
            count: total,
            packed: (!packed.is_empty()).then(|| packed.into()),
        }
    }

    /// How many were counted.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// Whether nothing was counted.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The time that a share of `quantile` (0 to 1; what is outside counts as the nearer end) did not exceed: the upper
    /// edge of its bucket, so never less than the truth and at most 1/128 more. Zero where nothing was counted.
    #[must_use]
    pub fn value_at_quantile(&self, quantile: f64) -> Duration {
        let quantile = if quantile.is_nan() {
            0.0
        } else {
            quantile.clamp(0.0, 1.0)
        };
        let rank = ((quantile * self.count as f64).ceil() as u64).clamp(1, self.count.max(1));
        let mut seen = 0_u64;
        for (index, count) in self.counts() {
            seen = seen.saturating_add(count);
            if seen >= rank {
                return buckets::high(index);
            }
        }
        Duration::ZERO
    }

    /// How many took `time` or less, true to the width of the bucket that `time` falls in, which counts whole.
    #[must_use]
    pub fn count_at_or_below(&self, time: Duration) -> u64 {
        let last = buckets::index_of(nanos(time));
        self.counts()
            .take_while(|(index, _)| *index <= last)
            .fold(0, |sum, (_, count)| sum.saturating_add(count))
    }

    /// Both together.
    #[must_use]
    pub fn merge(&self, other: &Self) -> Self {
        if other.is_empty() {
            return self.clone();
        }
        if self.is_empty() {
            return other.clone();
        }
        let (mut ours, mut theirs) = (self.counts().peekable(), other.counts().peekable());
        Self::from_counts(std::iter::from_fn(|| {
            match (ours.peek().copied(), theirs.peek().copied()) {
                (Some(a), Some(b)) if a.0 == b.0 => {
                    ours.next();
                    theirs.next();
                    Some((a.0, a.1.saturating_add(b.1)))
                }
                (Some(a), Some(b)) if a.0 > b.0 => theirs.next(),
                (Some(_), _) => ours.next(),
                (None, _) => theirs.next(),
            }
        }))
    }

    /// The same with one significant figure: eight buckets become one, at its upper edge.
    pub(crate) fn coarser(&self) -> Self {
        let mut counts = self
            .counts()
            .map(|(index, count)| (coarse(index), count))
            .peekable();
        Self::from_counts(std::iter::from_fn(|| {
            let (index, mut sum) = counts.next()?;
            while let Some((_, count)) = counts.next_if(|(next, _)| *next == index) {
                sum = sum.saturating_add(count);
            }
            Some((index, sum))
        }))
    }

    /// The buckets that were met, the shortest times first.
    pub fn iter(&self) -> impl Iterator<Item = Bucket> + '_ {
        self.counts().map(|(index, count)| Bucket {
            low: buckets::low(index),
            high: buckets::high(index),
            count,
        })
    }

    /// (bucket, count) in ascending order.
    pub(crate) fn counts(&self) -> Counts<'_> {
        Counts {
            rest: self.packed.as_deref().unwrap_or_default(),
            next: 0,
        }
    }

    /// Bytes that it keeps, itself not counted.
    pub(crate) fn bytes(&self) -> usize {
        self.packed.as_ref().map_or(0, |packed| packed.len() + 16)
    }
}

/// As `[[bucket, count], ...]`, ascending.
impl Serialize for Histogram {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.counts())
    }
}

impl<'de> Deserialize<'de> for Histogram {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let counts = Vec::<(usize, u64)>::deserialize(deserializer)?;
        let (mut next, mut total) = (0, 0_u64);
        for (index, count) in &counts {
            if *index < next || *index >= BUCKETS {
                let what = format!("bucket {index} is out of order, or not below {BUCKETS}");
                return Err(D::Error::custom(what));
            }
            let sum = total.checked_add(*count).filter(|_| *count > 0);
            total = sum.ok_or_else(|| D::Error::custom("a count is 0, or all are too many"))?;
            next = index + 1;
        }
        Ok(Self::from_counts(counts))
    }
}

impl fmt::Debug for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Histogram")
            .field("count", &self.count)
            .field("p50", &self.value_at_quantile(0.5))
            .field("p99", &self.value_at_quantile(0.99))
            .finish()
    }
}

/// The buckets of a [`Histogram`].
#[derive(Clone, Debug)]
pub(crate) struct Counts<'a> {
    rest: &'a [u8],
    next: usize,
}

impl Iterator for Counts<'_> {
    type Item = (usize, u64);

    fn next(&mut self) -> Option<(usize, u64)> {
        if self.rest.is_empty() {
            return None;
        }
        let index = self.next + pull(&mut self.rest) as usize;
        self.next = index + 1;
        Some((index, pull(&mut self.rest)))
    }
}

/// The last bucket of a group of eight. Where a bucket is a unit they stay apart.
const fn coarse(index: usize) -> usize {
    if index < 2 * buckets::OCTAVE {
        return index;
    }
    let last = index | 7;
    if last < BUCKETS { last } else { BUCKETS - 1 }
}

fn push(packed: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        packed.push(value as u8 | 0x80);
        value >>= 7;
    }
    packed.push(value as u8);
}

fn pull(rest: &mut &[u8]) -> u64 {
    let (mut value, mut shift) = (0_u64, 0);
    while let Some((byte, tail)) = rest.split_first() {
        *rest = tail;
        value |= u64::from(byte & 0x7F) << shift;
        if byte & 0x80 == 0 || shift > 56 {
            break;
        }
        shift += 7;
    }
    value
}

pub(crate) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_goes_in_comes_out(counts in proptest::collection::btree_map(0..BUCKETS, any::<u64>(), 0..200)) {
            let histogram = Histogram::from_counts(counts.clone());
            let kept: Vec<_> = counts.into_iter().filter(|(_, count)| *count > 0).collect();
            prop_assert_eq!(histogram.counts().collect::<Vec<_>>(), kept);
        }

        #[test]
        fn a_merge_is_the_histogram_of_both(a in proptest::collection::vec(any::<u64>(), 0..100), b in proptest::collection::vec(any::<u64>(), 0..100)) {
            let times = |nanos: &[u64]| nanos.iter().map(|nanos| Duration::from_nanos(*nanos)).collect::<Vec<_>>();
            let (a, b) = (times(&a), times(&b));
            let both = Histogram::of(a.iter().chain(&b).copied());
            prop_assert_eq!(Histogram::of(a).merge(&Histogram::of(b)), both);
        }
    }

    #[test]
    fn quantiles_and_counts_are_those_of_the_samples() {
        let histogram = Histogram::of((1..=1_000).map(Duration::from_millis));
        for (quantile, ms) in [(0.0, 1), (0.5, 500), (0.9, 900), (0.99, 990), (1.0, 1_000)] {
            let (told, truth) = (
                histogram.value_at_quantile(quantile),
                Duration::from_millis(ms),
            );
            assert!(
                told >= truth && told <= truth + truth / 100,
                "{quantile}: {told:?}"
            );
        }
        assert_eq!(histogram.count_at_or_below(Duration::ZERO), 0);
        assert_eq!(histogram.count_at_or_below(Duration::from_secs(9)), 1_000);
        let half = histogram.count_at_or_below(Duration::from_millis(500));
        assert!((500..=504).contains(&half), "{half}");
    }

    #[test]
    fn of_nothing_every_figure_is_zero() {
        let empty = Histogram::new();
        assert_eq!(
            (empty.count(), empty.value_at_quantile(0.5)),
            (0, Duration::ZERO)
        );
        assert_eq!(Histogram::of([]).merge(&empty), empty);
    }
}
