//! A BRIN index as its build makes it: a meta page, the range map, and one summary a range.

use super::{BLOCK, ITEM_ID, IndexSize, PAGE_HEADER};

/// Ranges that one page of the range map points at (`REVMAP_PAGE_MAXITEMS`).
const RANGES_A_MAP_PAGE: f64 = 1360.0;
/// Pages of the table in a range.
const PAGES_A_RANGE: f64 = 128.0;
/// Header of a summary.
const SUMMARY_HEADER: f64 = 5.0;

/// What the size depends on.
#[derive(Debug, Clone, PartialEq)]
pub struct BrinShape {
    /// Pages of the table.
    pub table_pages: f64,
    /// Pages of the table in one range; 128 by default.
    pub pages_a_range: Option<f64>,
    /// Mean bytes of each column's values; a summary holds the least and the greatest.
    pub widths: Vec<f64>,
}

/// Estimates the size of a freshly built BRIN index with minmax summaries.
pub fn brin_size(shape: &BrinShape) -> IndexSize {
    let ranges = (shape.table_pages / shape.pages_a_range.unwrap_or(PAGES_A_RANGE).max(1.0))
        .ceil()
        .max(1.0);
    let values: f64 = shape.widths.iter().map(|width| 2.0 * width).sum();
    let summary = super::round_up(super::round_up(SUMMARY_HEADER, 8.0) + values, 8.0);
    let a_page = ((BLOCK - PAGE_HEADER - 8) as f64 / (summary + ITEM_ID as f64))
        .floor()
        .max(1.0);
    IndexSize::of(
        1.0 + (ranges / RANGES_A_MAP_PAGE).ceil() + (ranges / a_page).ceil(),
        0,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_table_takes_three_pages() {
        let size = brin_size(&BrinShape {
            table_pages: 1000.0,
            pages_a_range: None,
            widths: vec![8.0],
        });
        assert_eq!(size.pages, 3);
    }
}
