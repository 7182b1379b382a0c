//! The objects of one tick and kind, packed into two arrays: their ids, and their numbers one metric after the other,
//! for numbers of one metric resemble each other and compress well.

use std::collections::BTreeMap;

/// What is kept of each object of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Numbers that are added up when ticks are merged. They come first.
    pub counters: usize,
    /// Numbers of which the last one stays.
    pub gauges: usize,
}

impl Layout {
    /// Numbers of one object.
    #[must_use]
    pub fn width(self) -> usize {
        self.counters + self.gauges
    }
}

/// One packed tick of one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Block {
    /// Ids, rising, each once.
    pub objects: Vec<i32>,
    /// The number of metric `m` (from 0) of the object at `i` is at `m * objects.len() + i`.
    pub numbers: Vec<i64>,
}

impl Block {
    /// Packs rows, one an object, in any order; of two rows of one object the later one counts.
    ///
    /// # Panics
    /// Where a row is not as wide as the layout says.
    #[must_use]
    pub fn pack(layout: Layout, rows: impl IntoIterator<Item = (i32, Vec<i64>)>) -> Self {
        let rows: BTreeMap<i32, Vec<i64>> = rows.into_iter().collect();
        assert!(
            rows.values().all(|row| row.len() == layout.width()),
            "each row has {} numbers",
            layout.width()
        );
        let numbers = (0..layout.width())
            .flat_map(|metric| rows.values().map(move |row| row[metric]))
            .collect();
        Self {
            objects: rows.into_keys().collect(),
            numbers,
        }
    }

    /// The rows again. Nothing for a block that is not as long as its objects say.
    pub fn rows(&self, layout: Layout) -> impl Iterator<Item = (i32, Vec<i64>)> + '_ {
        let count = self.objects.len();
        let is_whole = self.numbers.len() == count * layout.width();
        let objects = if is_whole { &self.objects[..] } else { &[] };
        objects.iter().enumerate().map(move |(place, &object)| {
            let numbers = (0..layout.width()).map(|metric| self.numbers[metric * count + place]);
            (object, numbers.collect())
        })
    }
}

/// One block for several, oldest first: counters are added up, the last gauge stays.
#[must_use]
pub fn merge(layout: Layout, blocks: &[Block]) -> Block {
    let mut merged: BTreeMap<i32, Vec<i64>> = BTreeMap::new();
    for (object, row) in blocks.iter().flat_map(|block| block.rows(layout)) {
        let kept = merged
            .entry(object)
            .or_insert_with(|| vec![0; layout.width()]);
        for (metric, number) in row.into_iter().enumerate() {
            kept[metric] = if metric < layout.counters {
                kept[metric].saturating_add(number)
            } else {
                number
            };
        }
    }
    Block::pack(layout, merged)
}
