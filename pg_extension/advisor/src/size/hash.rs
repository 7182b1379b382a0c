//! A hash index as its build makes it (`_hash_init`, `_hash_spareindex`).

use super::{BLOCK, Group, ITEM_ID, IndexSize, PAGE_HEADER};

/// Index tuple with a 4-byte hash code, aligned, and its line pointer.
const TUPLE: u64 = 16 + ITEM_ID;
/// Page header and special space.
const OVERHEAD: u64 = PAGE_HEADER + 16;
/// A bucket is filled to this share of a page before there is another one.
const FILL_PERCENT: u64 = 75;
/// From here on a doubling happens in four steps.
const ONE_STEP_GROUPS: u32 = 10;

/// What the size depends on.
#[derive(Debug, Clone, PartialEq)]
pub struct HashShape {
    /// Rows whose key is in the index: not NULL, and met by the predicate.
    pub rows: f64,
    /// Rows of the table: as many buckets are made as they would need.
    pub table_rows: f64,
    /// Its keys by how often they occur; only frequent ones matter.
    pub groups: Vec<Group>,
    /// Percent of a page to which a bucket is filled; 75 unless the definition says otherwise.
    pub fill_percent: Option<u64>,
}

/// Estimates the size of a freshly built hash index: its buckets, and overflow pages for keys that fill more than one.
pub fn hash_size(shape: &HashShape) -> IndexSize {
    let rows = shape.rows.max(0.0);
    let fill = BLOCK * shape.fill_percent.unwrap_or(FILL_PERCENT).clamp(10, 100) / 100;
    let wanted = shape.table_rows / (fill / TUPLE).max(10) as f64;
    let buckets = buckets(wanted);
    let capacity = ((BLOCK - OVERHEAD) / TUPLE) as f64;
    let overflow = overflow(&shape.groups, rows, buckets, capacity);
    // Meta page and one bitmap page for each 32,768 overflow pages.
    IndexSize::of(2.0 + (overflow / 32_768.0).floor() + buckets + overflow, 0)
}

/// Overflow pages, with the keys of many rows put into buckets at random (the same way each time).
fn overflow(groups: &[Group], rows: f64, buckets: f64, capacity: f64) -> f64 {
    let mut filled = vec![0.0; buckets as usize];
    // Between two doublings the buckets that are not split yet take what two will take (`_hash_hashkey2bucket`).
    let whole = filled.len().next_power_of_two();
    let bucket_of = |share: usize| {
        if share < filled.len() {
            share
        } else {
            share - whole / 2
        }
    };
    let shares: Vec<usize> = (0..whole).map(bucket_of).collect();
    let (mut state, mut placed) = (0x9e37_79b9_7f4a_7c15_u64, 0.0);
    // Keys of fewer rows lie evenly, near enough.
    for group in groups.iter().filter(|group| group.rows > capacity / 40.0) {
        for _ in 0..group.values.round() as usize {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            filled[shares[state as usize % whole]] += group.rows;
            placed += group.rows;
        }
    }
    let others = (rows - placed).max(0.0) / whole as f64;
    for bucket in shares {
        filled[bucket] += others;
    }
    filled
        .iter()
        .map(|rows| ((rows / capacity).ceil() - 1.0).max(0.0))
        .sum()
}

/// Buckets of an index that is made for `wanted` of them.
fn buckets(wanted: f64) -> f64 {
    if wanted <= 2.0 {
        return 2.0;
    }
    let wanted = wanted.min(f64::from(1_u32 << 30));
    let group = wanted.log2().ceil() as u32;
    let whole = f64::from(1_u32 << group);
    if group < ONE_STEP_GROUPS {
        return whole;
    }
    let half = whole / 2.0;
    let step = half / 4.0;
    half + ((wanted - half) / step).ceil() * step
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_double_and_then_grow_by_quarters() {
        assert_eq!(buckets(1.0), 2.0);
        assert_eq!(buckets(3.0), 4.0);
        assert_eq!(buckets(325.0), 512.0);
        assert_eq!(buckets(1025.0), 1280.0);
        assert_eq!(buckets(3257.0), 3584.0);
    }

    /// Measured on PostgreSQL 15: a million unique int4 take 4,098 pages, half of them in unsplit buckets' overflow.
    #[test]
    fn buckets_that_are_not_split_yet_take_twice_as_much() {
        let size = hash_size(&HashShape {
            rows: 1e6,
            table_rows: 1e6,
            groups: vec![],
            fill_percent: None,
        });
        assert!(size.pages.abs_diff(4098) <= 3, "{size:?}");
    }

    #[test]
    fn a_frequent_key_takes_overflow_pages() {
        let shape = |groups| HashShape {
            rows: 100_000.0,
            table_rows: 100_000.0,
            groups,
            fill_percent: None,
        };
        let plain = hash_size(&shape(vec![]));
        assert_eq!(plain.pages, 514);
        let heavy = hash_size(&shape(vec![Group {
            values: 1.0,
            rows: 50_000.0,
            tuple: 16.0,
        }]));
        assert!(heavy.pages > plain.pages + 100, "{heavy:?}");
    }
}
