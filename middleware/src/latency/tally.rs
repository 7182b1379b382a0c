//! [`Tally`]: a histogram under construction, all buckets in place.

use super::{buckets::BUCKETS, figures::Sums, histogram::Histogram};

/// Adds up histograms. One is kept for many uses.
#[derive(Debug)]
pub(crate) struct Tally {
    counts: Box<[u64]>,
    /// Where counts may be other than 0.
    low: usize,
    high: usize,
}

impl Tally {
    pub(crate) fn new() -> Self {
        Self {
            counts: vec![0; BUCKETS].into(),
            low: BUCKETS,
            high: 0,
        }
    }

    pub(crate) fn add(&mut self, histogram: &Histogram) {
        for (index, count) in histogram.counts() {
            self.add_bucket(index, count);
        }
    }

    fn add_bucket(&mut self, index: usize, count: u64) {
        self.counts[index] = self.counts[index].saturating_add(count);
        self.low = self.low.min(index);
        self.high = self.high.max(index + 1);
    }

    pub(crate) fn to_histogram(&self) -> Histogram {
        let range = self.low.min(self.high)..self.high;
        Histogram::from_counts(range.map(|index| (index, self.counts[index])))
    }

    pub(crate) fn clear(&mut self) {
        let range = self.low.min(self.high)..self.high;
        self.counts[range].fill(0);
        (self.low, self.high) = (BUCKETS, 0);
    }
}

/// The same for [`Sums`].
#[derive(Debug)]
pub(crate) struct SumsTally {
    body_end: Tally,
    first_byte: Tally,
    /// Without histograms.
    rest: Sums,
    count: u64,
}

impl SumsTally {
    pub(crate) fn new() -> Self {
        Self {
            body_end: Tally::new(),
            first_byte: Tally::new(),
            rest: Sums::default(),
            count: 0,
        }
    }

    pub(crate) fn add(&mut self, sums: &Sums) {
        if sums.count() == 0 {
            return;
        }
        self.body_end.add(&sums.body_end);
        self.first_byte.add(&sums.first_byte);
        self.rest.add_numbers(self.count == 0, sums);
        self.count += sums.count();
    }

    /// Adds a count to one bucket; numbers beside the histograms come by [`set_numbers`](Self::set_numbers).
    pub(crate) fn add_bucket(&mut self, is_body_end: bool, bucket: usize, count: u64) {
        let tally = if is_body_end {
            &mut self.body_end
        } else {
            &mut self.first_byte
        };
        tally.add_bucket(bucket, count);
    }

    pub(crate) fn set_numbers(&mut self, numbers: &Sums) {
        self.rest = Sums {
            body_end: Histogram::new(),
            first_byte: Histogram::new(),
            ..numbers.clone()
        };
    }

    pub(crate) fn to_sums(&self) -> Sums {
        Sums {
            body_end: self.body_end.to_histogram(),
            first_byte: self.first_byte.to_histogram(),
            ..self.rest.clone()
        }
    }

    pub(crate) fn clear(&mut self) {
        self.body_end.clear();
        self.first_byte.clear();
        self.rest = Sums::default();
        self.count = 0;
    }
}
