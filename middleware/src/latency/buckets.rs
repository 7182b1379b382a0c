//! The buckets of every histogram here: those of an HDR histogram of two significant figures, with 100 ns as its unit.
//!
//! Below 256 units each unit has a bucket of its own; each doubling after that is 128 buckets wide. So a bucket is at most
//! 1/128 of its values wide, and the layout is that of `hdrhistogram` with `low = 1` and two figures, number for number.

use std::time::Duration;

/// What one unit is: 100 ns, so that answers out of a cache still have a percentile.
pub const UNIT_NANOS: u64 = 100;

/// The longest time that keeps its size in a histogram: one hour. What is longer counts as this.
pub const LONGEST: Duration = Duration::from_secs(3_600);

/// Significant decimal figures of a value.
pub const SIGNIFICANT_FIGURES: u8 = 2;

/// [`LONGEST`] in units.
pub(crate) const LONGEST_UNITS: u64 = 3_600 * 1_000_000_000 / UNIT_NANOS;

/// Buckets of one doubling.
pub(crate) const OCTAVE: usize = 1 << OCTAVE_BITS;
const OCTAVE_BITS: u32 = 7;

/// How many buckets there are.
pub(crate) const BUCKETS: usize = index_of_units(LONGEST_UNITS) + 1;

/// The bucket of a number of units.
pub(crate) const fn index_of_units(units: u64) -> usize {
    let units = if units > LONGEST_UNITS {
        LONGEST_UNITS
    } else {
        units
    };
    // How often to halve until one of 128..256 is left; 0 for what is below that.
    let shift = (units | OCTAVE as u64).ilog2() - OCTAVE_BITS;
    ((shift as usize) << OCTAVE_BITS) + (units >> shift) as usize
}

/// The bucket of a time in nanoseconds.
pub(crate) const fn index_of(nanos: u64) -> usize {
    index_of_units(nanos / UNIT_NANOS)
}

/// The smallest number of units in a bucket.
pub(crate) const fn low_units(index: usize) -> u64 {
    let shift = shift_of(index);
    ((index - (shift << OCTAVE_BITS)) as u64) << shift
}

/// The largest number of units in a bucket.
pub(crate) const fn high_units(index: usize) -> u64 {
    low_units(index) + (1 << shift_of(index)) - 1
}

/// The shortest time in a bucket.
pub(crate) const fn low(index: usize) -> Duration {
    Duration::from_nanos(low_units(index) * UNIT_NANOS)
}

/// The longest time in a bucket, to the nanosecond.
pub(crate) const fn high(index: usize) -> Duration {
    Duration::from_nanos((high_units(index) + 1) * UNIT_NANOS - 1)
}

const fn shift_of(index: usize) -> usize {
    (index >> OCTAVE_BITS).saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use hdrhistogram::Histogram;

    use super::*;

    #[test]
    fn every_bucket_follows_the_one_before_it() {
        assert_eq!(low_units(0), 0);
        for index in 1..BUCKETS {
            assert_eq!(low_units(index), high_units(index - 1) + 1, "{index}");
        }
        for index in 0..BUCKETS - 1 {
            assert_eq!(index_of_units(low_units(index)), index);
            assert_eq!(index_of_units(high_units(index)), index);
            assert!((high_units(index) - low_units(index)) * 128 <= low_units(index));
        }
        assert_eq!(index_of_units(LONGEST_UNITS), BUCKETS - 1);
        assert_eq!(index_of(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn the_buckets_are_those_of_hdrhistogram() {
        let theirs =
            Histogram::<u64>::new_with_bounds(1, LONGEST_UNITS, SIGNIFICANT_FIGURES).unwrap();
        for index in 0..BUCKETS {
            let low = low_units(index);
            assert_eq!(theirs.lowest_equivalent(low), low);
            assert_eq!(theirs.highest_equivalent(low), high_units(index));
        }
    }
}
