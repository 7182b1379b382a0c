//! A GIN index as its build makes it: a tree of keys, each with its rows beside it or in a tree of its own.

use super::{BLOCK, ITEM_ID, IndexSize, PAGE_HEADER};

/// Page header and special space.
const OVERHEAD: f64 = (PAGE_HEADER + 8) as f64;
/// An entry longer than this has its rows in a tree of its own (`GinMaxItemSize`).
const MAX_ENTRY: f64 = 2712.0;
/// Header of a compressed list of rows: the first row and a length.
const LIST_HEADER: f64 = 8.0;
/// Pages of the key tree are split in the middle, also while keys come in order.
const ENTRY_FILL: f64 = 0.5;
/// Leaves of a tree of rows are packed by a build.
const LIST_FILL: f64 = 0.95;

/// Keys that occur equally often.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GinKey {
    /// How many such keys.
    pub values: f64,
    /// Rows that hold one of them.
    pub rows: f64,
    /// Bytes of one.
    pub bytes: f64,
}

/// What the size depends on.
#[derive(Debug, Clone, PartialEq)]
pub struct GinShape {
    /// Pages of the table.
    pub table_pages: f64,
    /// Its keys.
    pub keys: Vec<GinKey>,
}

/// Estimates the size of a freshly built GIN index; keys are taken to lie evenly over the table.
pub fn gin_size(shape: &GinShape) -> IndexSize {
    let (mut entries, mut lists) = (0.0, 0.0);
    for key in &shape.keys {
        let list = list_bytes(key.rows, shape.table_pages.max(1.0));
        let key_bytes = 8.0 + super::round_up(key.bytes, 2.0);
        let entry = super::round_up(key_bytes + LIST_HEADER + list, 8.0);
        if entry > MAX_ENTRY {
            entries += key.values * (super::round_up(key_bytes, 8.0) + ITEM_ID as f64);
            let leaves = (list / ((BLOCK as f64 - OVERHEAD) * LIST_FILL)).ceil();
            // A tree of more than one leaf has a root above them.
            lists += key.values * (leaves + if leaves > 1.0 { 1.0 } else { 0.0 });
        } else {
            entries += key.values * (entry + ITEM_ID as f64);
        }
    }
    let leaves = (entries / ((BLOCK as f64 - OVERHEAD) * ENTRY_FILL)).ceil();
    // One page of pending entries' head is the meta page; the root is a leaf until it splits.
    IndexSize::of(
        1.0 + leaves.max(1.0) + (leaves / 200.0).ceil() * f64::from(u8::from(leaves > 1.0)) + lists,
        0,
    )
}

/// Bytes of a list of `rows` rows over `pages` pages: 7 bits a byte of the distance from one row to the next, of which
/// the page is all but the lowest 11.
fn list_bytes(rows: f64, pages: f64) -> f64 {
    if rows <= 1.0 {
        return 0.0;
    }
    let gap = pages / rows;
    // Rows behind another one on the same page: chance of at least one more on it.
    let same_page = (1.0 - gap * -(-1.0 / gap).exp_m1()).clamp(0.0, 1.0);
    let across = 2.0 + (-8.0 / gap.max(1.0)).exp() + (-1024.0 / gap.max(1.0)).exp();
    (rows - 1.0) * (same_page + (1.0 - same_page) * across)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_in_every_row_takes_a_byte_a_row() {
        let bytes = list_bytes(100_000.0, 1_000.0);
        assert!((100_000.0..110_000.0).contains(&bytes), "{bytes}");
        let sparse = list_bytes(100.0, 100_000.0);
        assert!((280.0..400.0).contains(&sparse), "{sparse}");
    }
}
