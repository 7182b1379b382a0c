//! How large an index would be: pages, height and bytes, by access method.
//!
//! Constants are those of PostgreSQL's sources (8 kB blocks), the same from 13 to 18 where nothing else is said.

mod brin;
mod btree;
mod distinct;
mod gin;
mod hash;

pub use brin::{BrinShape, brin_size};
pub use btree::{
    BtreeShape, ColumnWidth, Group, IndexShape, WORTH_DEDUPLICATING, btree_size, distinct_pairs,
    index_size,
};
pub use distinct::{Frequencies, groups};
pub use gin::{GinKey, GinShape, gin_size};
pub use hash::{HashShape, hash_size};

/// Bytes of a page.
const BLOCK: u64 = 8192;
/// Page header.
const PAGE_HEADER: u64 = 24;
/// One line pointer.
const ITEM_ID: u64 = 4;

/// The answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexSize {
    /// All pages, the meta page included.
    pub pages: u32,
    /// Levels above the leaves; 0 where the access method is no tree.
    pub height: u32,
}

impl IndexSize {
    /// Size on disk in bytes.
    pub fn bytes(self) -> u64 {
        u64::from(self.pages) * BLOCK
    }

    fn of(pages: f64, height: u32) -> Self {
        Self {
            pages: pages.clamp(0.0, f64::from(u32::MAX)) as u32,
            height,
        }
    }
}

/// Size in bytes of one index tuple, line pointer excluded; a column is NULL or (bytes, alignment).
///
/// The rule of `index_form_tuple`: a header of 8 bytes, 16 where a column is NULL, and the whole aligned to 8.
pub fn tuple_bytes(columns: &[Option<(usize, usize)>]) -> usize {
    let header = if columns.iter().any(Option::is_none) {
        16
    } else {
        8
    };
    columns
        .iter()
        .flatten()
        .fold(header, |at: usize, (bytes, align)| {
            at.next_multiple_of((*align).max(1)) + bytes
        })
        .next_multiple_of(8)
}

fn round_up(value: f64, to: f64) -> f64 {
    (value / to).ceil() * to
}

#[cfg(test)]
mod tests {
    use super::tuple_bytes;

    #[test]
    fn tuples_are_aligned_and_nulls_take_a_bitmap() {
        assert_eq!(tuple_bytes(&[Some((4, 4))]), 16);
        assert_eq!(tuple_bytes(&[Some((8, 8))]), 16);
        assert_eq!(tuple_bytes(&[Some((4, 4)), Some((8, 8))]), 24);
        assert_eq!(tuple_bytes(&[Some((9, 1))]), 24);
        assert_eq!(tuple_bytes(&[None]), 16);
        assert_eq!(tuple_bytes(&[None, Some((4, 4))]), 24);
    }
}
