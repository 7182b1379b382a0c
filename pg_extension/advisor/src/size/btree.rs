//! A B-tree as its build makes it, with deduplication (`nbtsort.c`, `nbtdedup.c`).

use super::{BLOCK, ITEM_ID, IndexSize, round_up};

/// Page header (24) and B-tree's special space (16).
const PAGE_OVERHEAD: u64 = 40;
/// Index tuple header.
const TUPLE_HEADER: f64 = 8.0;
/// Percent of a leaf that a build fills, unless the definition says otherwise; inner pages are filled to 70.
const FILL_PERCENT: u64 = 90;
const INNER_FREE: u64 = BLOCK * 30 / 100;
/// Largest posting list that a build makes (`_bt_sort_dedup_finish_pending`).
const MAX_POSTING: u64 = (BLOCK * 10 / 100) / 8 * 8 - ITEM_ID;
/// Bytes of one heap pointer in a posting list.
const HEAP_POINTER: f64 = 6.0;
/// Below this many rows a value posting lists save nothing worth modelling.
pub const WORTH_DEDUPLICATING: f64 = 1.5;

/// Width and alignment of one key column.
#[derive(Debug, Clone, PartialEq)]
pub enum ColumnWidth {
    /// A type of fixed length: bytes and alignment.
    Fixed(f64, f64),
    /// A varlena column: (share of rows, bytes in the index with its header) for a sample of its values. Short values
    /// have a one-byte header and no alignment.
    Sampled(Vec<(f64, f64)>),
}

/// What the size depends on.
#[derive(Debug, Clone, PartialEq)]
pub struct IndexShape {
    /// Rows of the table.
    pub rows: f64,
    /// Key columns in index order.
    pub columns: Vec<ColumnWidth>,
    /// Different keys; at least 1.
    pub distinct: f64,
    /// Whether each column's operator class is equal-image, so that the server deduplicates.
    pub deduplicates: bool,
}

/// Keys that occur equally often.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Group {
    /// How many such keys.
    pub values: f64,
    /// Rows of each.
    pub rows: f64,
    /// Bytes of an index tuple with such a key, without its line pointer.
    pub tuple: f64,
}

/// What the size depends on, where a sample says how often keys occur.
#[derive(Debug, Clone, PartialEq)]
pub struct BtreeShape {
    /// All keys.
    pub groups: Vec<Group>,
    /// Whether the server deduplicates: each operator class is equal-image, and the index neither is unique nor has INCLUDE.
    pub deduplicates: bool,
    /// Percent of a leaf that is filled; 90 by default.
    pub fill_percent: Option<u64>,
    /// Mean bytes of a tuple that holds the keys alone; `None` where there is no INCLUDE. Inner pages hold such tuples.
    pub key_tuple: Option<f64>,
}

/// Expected number of different pairs of two independent columns among `rows` rows.
///
/// With D = `first` x `second` possible pairs it is D (1 - e^(-rows/D)); correlated columns have fewer.
pub fn distinct_pairs(first: f64, second: f64, rows: f64) -> f64 {
    let possible = (first.max(1.0) * second.max(1.0)).max(1.0);
    let expected = possible * -(-rows / possible).exp_m1();
    expected.clamp(1.0, rows.max(1.0))
}

/// Estimates the size of a freshly built index from column statistics.
pub fn index_size(shape: &IndexShape) -> IndexSize {
    let rows = shape.rows.max(0.0);
    let values = shape.distinct.max(1.0);
    btree_size(&BtreeShape {
        groups: vec![Group {
            values,
            rows: rows / values,
            tuple: mean_tuple(&shape.columns),
        }],
        deduplicates: shape.deduplicates && rows / values >= WORTH_DEDUPLICATING,
        fill_percent: None,
        key_tuple: None,
    })
}

/// Estimates the size of a freshly built index.
pub fn btree_size(shape: &BtreeShape) -> IndexSize {
    let fill = shape.fill_percent.unwrap_or(FILL_PERCENT).clamp(10, 100);
    let leaf_free = BLOCK * (100 - fill) / 100;
    let usable = (BLOCK - PAGE_OVERHEAD - ITEM_ID - leaf_free) as f64;
    let rows: f64 = shape
        .groups
        .iter()
        .map(|group| group.values * group.rows)
        .sum();
    let sum = |bytes: &dyn Fn(&Group) -> f64| shape.groups.iter().map(bytes).sum::<f64>();
    let tuple = sum(&|group| group.values * group.rows * group.tuple) / rows.max(1e-9);
    let single = rows / (usable / (tuple + ITEM_ID as f64)).floor().max(1.0);
    let leaves = if shape.deduplicates {
        let bytes = sum(&|group| group.values * group_bytes(group.rows, group.tuple));
        // A page's last tuple moves on to the next one, and what stays of it is the high key: without posting lists a page
        // holds a whole number of tuples.
        single.min(bytes / usable)
    } else {
        single
    };
    let inner = (BLOCK - PAGE_OVERHEAD - ITEM_ID - INNER_FREE) as f64;
    // Where equal keys lie on both sides of a page's end, the tuple above needs the row's place too.
    let pivot = shape.key_tuple.unwrap_or(tuple) + 8.0 * share_inside(shape);
    let fan_out = (inner / (pivot + ITEM_ID as f64)).floor();
    let mut level = leaves.ceil().max(1.0);
    let (mut pages, mut height) = (level, 0);
    while level > 1.0 {
        level = (level / fan_out.max(2.0)).ceil();
        pages += level;
        height += 1;
    }
    IndexSize::of(pages + 1.0, height)
}

/// Of the ends of leaves, the share that lies between two tuples of one key.
fn share_inside(shape: &BtreeShape) -> f64 {
    let (mut inside, mut all) = (0.0, 0.0);
    for group in &shape.groups {
        let (tuples, bytes) = if shape.deduplicates {
            let lists = (group.rows / most_in_list(group.tuple)).ceil();
            (lists, group_bytes(group.rows, group.tuple))
        } else {
            (group.rows, group.rows * (group.tuple + ITEM_ID as f64))
        };
        all += group.values * bytes;
        inside += group.values * bytes * (1.0 - 1.0 / tuples.max(1.0));
    }
    inside / all.max(f64::MIN_POSITIVE)
}

/// Mean size of an index tuple: the aligned size is averaged, not the width.
fn mean_tuple(columns: &[ColumnWidth]) -> f64 {
    // (share, offset) of every combination; samples are small and there are at most two columns.
    let mut offsets = vec![(1.0, TUPLE_HEADER)];
    for column in columns {
        offsets = match column {
            ColumnWidth::Fixed(width, align) => offsets
                .iter()
                .map(|(share, at)| (*share, round_up(*at, *align) + width))
                .collect(),
            ColumnWidth::Sampled(values) => offsets
                .iter()
                .flat_map(|(share, at)| {
                    values.iter().map(move |(part, bytes)| {
                        let align = if *bytes > 127.0 { 4.0 } else { 1.0 };
                        (share * part, round_up(*at, align) + bytes)
                    })
                })
                .collect(),
        };
        merge(&mut offsets);
    }
    let total: f64 = offsets.iter().map(|(share, _)| share).sum();
    let sum: f64 = offsets
        .iter()
        .map(|(share, at)| share * round_up(*at, 8.0))
        .sum();
    if total > 0.0 {
        sum / total
    } else {
        TUPLE_HEADER * 2.0
    }
}

/// Makes one of those that end at the same byte: there are as many as bytes then, however many columns there are.
fn merge(offsets: &mut Vec<(f64, f64)>) {
    offsets.sort_by(|a, b| a.1.total_cmp(&b.1));
    offsets.dedup_by(|next, kept| {
        let is_same = next.1 == kept.1;
        if is_same {
            kept.0 += next.0;
        }
        is_same
    });
}

/// Rows that one posting list holds.
fn most_in_list(tuple: f64) -> f64 {
    (((MAX_POSTING / 8 * 8) as f64 - tuple) / HEAP_POINTER)
        .floor()
        .max(2.0)
}

/// Bytes, line pointers included, that one key with `rows` rows takes as posting lists.
fn group_bytes(rows: f64, tuple: f64) -> f64 {
    let most = most_in_list(tuple);
    let list = |pointers: f64| {
        if pointers <= 0.0 {
            0.0
        } else if pointers < 1.5 {
            tuple + ITEM_ID as f64
        } else {
            round_up(tuple + pointers * HEAP_POINTER, 8.0) + ITEM_ID as f64
        }
    };
    let full = (rows / most).floor();
    full * list(most) + list(rows - full * most)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(rows: f64, distinct: f64, width: f64, align: f64) -> IndexShape {
        IndexShape {
            rows,
            columns: vec![ColumnWidth::Fixed(width, align)],
            distinct,
            deduplicates: true,
        }
    }

    /// Measured on PostgreSQL 15: a unique int4 column of 1,000,000 rows takes 2,745 pages and two levels.
    #[test]
    fn a_unique_integer_index() {
        let size = index_size(&shape(1e6, 1e6, 4.0, 4.0));
        assert!(size.pages.abs_diff(2745) <= 3, "{size:?}");
        assert_eq!(size.height, 2);
    }

    /// Measured on PostgreSQL 15: 1,000,000 rows with 100 different int4 values take 852 pages.
    #[test]
    fn duplicates_are_stored_once() {
        let size = index_size(&shape(1e6, 100.0, 4.0, 4.0));
        assert!(size.pages.abs_diff(852) <= 9, "{size:?}");
    }

    #[test]
    fn an_empty_table_has_a_meta_page_and_a_root() {
        assert_eq!(
            index_size(&shape(0.0, 1.0, 4.0, 4.0)),
            IndexSize {
                pages: 2,
                height: 0
            }
        );
    }

    #[test]
    fn mixed_widths_average_the_aligned_size() {
        let mixed = mean_tuple(&[ColumnWidth::Sampled(vec![(0.5, 8.0), (0.5, 9.0)])]);
        assert!((mixed - 20.0).abs() < 1e-9, "{mixed}");
    }

    #[test]
    fn many_columns_of_many_widths_take_no_more_time_than_few() {
        let widths: Vec<(f64, f64)> = (1..=64).map(|bytes| (1.0, f64::from(bytes))).collect();
        let mean = mean_tuple(&vec![ColumnWidth::Sampled(widths); 16]);
        // 16 columns of 32.5 bytes on average, and the header.
        assert!((mean - 528.0).abs() < 8.0, "{mean}");
    }

    proptest::proptest! {
        #[test]
        fn more_rows_never_make_a_smaller_index(
            rows in 1.0..1e8_f64, more in 1.0..4.0_f64, distinct in 1.0..1e6_f64, width in 1.0..64.0_f64
        ) {
            let small = index_size(&shape(rows, distinct.min(rows), width, 4.0));
            let large = index_size(&shape(rows * more, distinct.min(rows), width, 4.0));
            // Where duplicates begin to be stored once, a page more or less is the model's own step.
            let is_step = rows / distinct.min(rows) < WORTH_DEDUPLICATING;
            proptest::prop_assert!(is_step || large.pages >= small.pages, "{:?} {:?}", small, large);
        }

        #[test]
        fn pairs_lie_between_the_larger_column_and_the_rows(
            first in 1.0..1e5_f64, second in 1.0..1e5_f64, rows in 1.0..1e7_f64
        ) {
            let pairs = distinct_pairs(first, second, rows);
            proptest::prop_assert!(pairs >= 1.0 && pairs <= rows.max(1.0));
        }
    }
}
