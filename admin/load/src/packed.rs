//! A histogram in few bytes: what a report keeps of every second.
//!
//! Each value that was counted is two numbers, how far it lies above the one before and how often it was counted, in
//! LEB128 (seven bits a byte, the eighth says that more follow). A second of 50,000 answers takes about 3 KB so, where the
//! histogram itself takes 184.

use std::fmt;
use std::sync::Arc;

use hdrhistogram::Histogram;

use crate::record;

/// A copy of a histogram of a [`Recorder`](crate::record::Recorder), which can be made into the same one again.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Packed(Arc<[u8]>);

impl fmt::Debug for Packed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Packed({} bytes)", self.0.len())
    }
}

impl Default for Packed {
    fn default() -> Self {
        Self(Arc::from([]))
    }
}

impl Packed {
    pub(crate) fn of(histogram: &Histogram<u64>) -> Self {
        if histogram.is_empty() {
            return Self::default();
        }
        let mut bytes = Vec::new();
        let mut last = 0;
        for at in histogram.iter_recorded() {
            let value = at.value_iterated_to();
            write(&mut bytes, value - last);
            write(&mut bytes, at.count_at_value());
            last = value;
        }
        Self(bytes.into())
    }

    /// The values that were counted, the lowest first, and how often each was.
    pub(crate) fn counts(&self) -> impl Iterator<Item = (u64, u64)> {
        let mut bytes = self.0.iter();
        let mut value = 0;
        std::iter::from_fn(move || {
            value += read(&mut bytes)?;
            Some((value, read(&mut bytes)?))
        })
    }

    pub(crate) fn add_to(&self, histogram: &mut Histogram<u64>) {
        for (value, count) in self.counts() {
            histogram.saturating_record_n(value, count);
        }
    }

    pub(crate) fn unpacked(&self) -> Histogram<u64> {
        let mut histogram = record::histogram();
        self.add_to(&mut histogram);
        histogram
    }
}

fn write(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn read(bytes: &mut std::slice::Iter<'_, u8>) -> Option<u64> {
    let (mut number, mut shift) = (0, 0);
    loop {
        let byte = *bytes.next()?;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(number);
        }
        shift += 7;
    }
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};

    use super::*;

    #[test]
    fn what_is_unpacked_is_what_was_packed() {
        let mut random = StdRng::seed_from_u64(3);
        for size in [0, 1, 2, 10, 1_000] {
            let mut histogram = record::histogram();
            for _ in 0..size {
                let (bits, count_bits) = (random.random_range(0..32), random.random_range(0..40));
                histogram.saturating_record_n(
                    random.random_range(1..=1_u64 << bits),
                    random.random_range(1..=1_u64 << count_bits),
                );
            }
            // Above what it can hold, which counts as the highest.
            histogram.saturating_record(u64::MAX >> 1);
            let packed = Packed::of(&histogram);
            assert_eq!(packed.unpacked(), histogram);
            assert_eq!(Packed::of(&packed.unpacked()), packed);
        }
        assert!(Packed::of(&record::histogram()).unpacked().is_empty());
    }
}
