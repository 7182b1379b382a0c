//! What an index costs where its table is written, in the planner's units.
//!
//! The planner says nothing of it: the cost of INSERT, UPDATE and DELETE has no index in it. Each new entry descends the
//! tree as a look-up does (`btcostestimate` of selfuncs.c), makes a leaf page dirty, which is written once at a checkpoint and
//! once, whole, to the write-ahead log (`full_page_writes`), and is taken out again by a VACUUM that reads the whole index once
//! for each `autovacuum_vacuum_scale_factor` of the rows.

use crate::size::IndexSize;

/// The planner's settings.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prices {
    /// `seq_page_cost`.
    pub page: f64,
    /// `cpu_operator_cost`.
    pub operator: f64,
    /// `cpu_index_tuple_cost`.
    pub index_tuple: f64,
}

/// Pages are weighed as so many operators each (`DEFAULT_PAGE_CPU_MULTIPLIER`).
const PAGE_OPERATORS: f64 = 50.0;
/// A page is written to the table's file and to the log.
const PAGE_WRITES: f64 = 2.0;
/// `autovacuum_vacuum_scale_factor` and `autovacuum_vacuum_threshold`, as they are unless somebody says otherwise.
const VACUUM_SHARE: f64 = 0.2;
const VACUUM_ROWS: f64 = 50.0;

/// Which columns a write changes.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// New rows: an entry in every index.
    Insert,
    /// New versions of rows, in these columns. Where no index has one of them, and the page has room, the version needs no
    /// entry at all (HOT).
    Update(Vec<i16>),
    /// Rows that go: their entries are taken out later.
    Delete,
}

/// One kind of write to a table.
#[derive(Debug, Clone, PartialEq)]
pub struct Write {
    /// What it does.
    pub change: Change,
    /// Rows of all its executions, each as often as it weighs.
    pub rows: f64,
}

/// All that is known of the writes to one table.
#[derive(Debug, Clone, PartialEq)]
pub struct Writes {
    /// Each kind.
    pub writes: Vec<Write>,
    /// Rows of the table.
    pub table_rows: f64,
    /// Of the updates that no index stands in the way of, the share that is HOT: from 0 to 1.
    pub hot_share: f64,
    /// Indexes that are there: their stored columns and sizes.
    pub existing: Vec<(Vec<i16>, IndexSize)>,
}

/// One more index, as writes meet it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Kept<'a> {
    /// What it depends on: keys, what is stored beside them, the columns of expressions and of its predicate.
    pub columns: &'a [i16],
    /// Its size.
    pub size: IndexSize,
    /// Entries that a row has in it: 1 where every row is in it once, less where some are not, more where one has many keys.
    pub entries_a_row: f64,
}

/// Cost of keeping one more index while all of this is written.
pub fn upkeep(kept: Kept<'_>, writes: &Writes, prices: Prices) -> f64 {
    let Kept { columns, size, .. } = kept;
    let entry = kept.entries_a_row * entry(size, writes.table_rows, prices);
    let dead = kept.entries_a_row * dead(size, writes.table_rows, prices);
    let cost = |write: &Write| {
        let a_row = match &write.change {
            Change::Insert => entry,
            Change::Delete => dead,
            Change::Update(changed) => {
                let touches = |stored: &[i16]| changed.iter().any(|column| stored.contains(column));
                let was_hot = writes.existing.iter().all(|(stored, _)| !touches(stored));
                let hot = if was_hot { writes.hot_share } else { 0.0 };
                if touches(columns) {
                    // What was HOT until now is new in every other index too.
                    let others = writes.existing.iter();
                    let others = others.map(|(_, size)| {
                        self::entry(*size, writes.table_rows, prices)
                            + self::dead(*size, writes.table_rows, prices)
                    });
                    entry + dead + hot * others.sum::<f64>()
                } else {
                    (1.0 - hot) * (entry + dead)
                }
            }
        };
        write.rows * a_row
    };
    writes.writes.iter().map(cost).sum()
}

/// Share of the updates that are HOT now and would not be with an index on `columns`.
pub fn hot_loss(columns: &[i16], writes: &Writes) -> f64 {
    let (mut lost, mut all) = (0.0, 0.0);
    for write in &writes.writes {
        let Change::Update(changed) = &write.change else {
            continue;
        };
        let touches = |stored: &[i16]| changed.iter().any(|column| stored.contains(column));
        let was_hot = writes.existing.iter().all(|(stored, _)| !touches(stored));
        all += write.rows;
        if was_hot && touches(columns) {
            lost += write.rows * writes.hot_share;
        }
    }
    if all > 0.0 { lost / all } else { 0.0 }
}

fn entry(size: IndexSize, rows: f64, prices: Prices) -> f64 {
    let descent = rows.max(2.0).log2().ceil() * prices.operator
        + f64::from(size.height + 1) * PAGE_OPERATORS * prices.operator;
    descent + prices.index_tuple + PAGE_WRITES * prices.page
}

fn dead(size: IndexSize, rows: f64, prices: Prices) -> f64 {
    f64::from(size.pages) * prices.page / (VACUUM_SHARE * rows + VACUUM_ROWS) + prices.index_tuple
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PRICES: Prices = Prices {
        page: 1.0,
        operator: 0.0025,
        index_tuple: 0.005,
    };

    fn size(pages: u32) -> IndexSize {
        IndexSize { pages, height: 2 }
    }

    fn kept(columns: &[i16], pages: u32) -> Kept<'_> {
        Kept {
            columns,
            size: size(pages),
            entries_a_row: 1.0,
        }
    }

    fn writes(change: Change, existing: Vec<(Vec<i16>, IndexSize)>) -> Writes {
        Writes {
            writes: vec![Write {
                change,
                rows: 1000.0,
            }],
            table_rows: 100_000.0,
            hot_share: 0.9,
            existing,
        }
    }

    #[test]
    fn an_update_of_other_columns_costs_what_is_not_hot() {
        let of = |change, columns: &[i16]| {
            let writes = writes(change, vec![(vec![1], size(300))]);
            upkeep(kept(columns, 300), &writes, PRICES)
        };
        let touched = of(Change::Update(vec![5]), &[5]);
        let apart = of(Change::Update(vec![5]), &[6]);
        let inserted = of(Change::Insert, &[5]);
        let deleted = of(Change::Delete, &[5]);
        assert!(apart < 0.2 * touched, "{apart} {touched}");
        // Its own entry, and nine tenths of one in the index that is there.
        assert!(touched > 1.8 * inserted, "{touched} {inserted}");
        assert!(deleted < 0.1 * inserted, "{deleted} {inserted}");
    }

    #[test]
    fn what_has_fewer_entries_costs_less() {
        let writes = writes(Change::Insert, Vec::new());
        let cost = |entries_a_row| {
            let kept = Kept {
                entries_a_row,
                ..kept(&[1], 300)
            };
            upkeep(kept, &writes, PRICES)
        };
        assert!((cost(0.1) - 0.1 * cost(1.0)).abs() < 1e-9);
        assert!((cost(7.0) - 7.0 * cost(1.0)).abs() < 1e-6);
    }

    #[test]
    fn what_an_index_already_keeps_from_being_hot_is_not_lost_again() {
        let free = writes(Change::Update(vec![5]), vec![(vec![1], size(300))]);
        let taken = writes(Change::Update(vec![5]), vec![(vec![1, 5], size(300))]);
        assert!((hot_loss(&[5], &free) - 0.9).abs() < 1e-9);
        assert_eq!(hot_loss(&[6], &free), 0.0);
        assert_eq!(hot_loss(&[5], &taken), 0.0);
        let cost = |writes| upkeep(kept(&[5], 300), writes, PRICES);
        assert!(cost(&taken) < cost(&free));
    }

    proptest! {
        #[test]
        fn more_writes_never_cost_less(rows in 0.0..1e9_f64, more in 1.0..10.0_f64, pages in 1_u32..100_000, hot in 0.0..=1.0_f64) {
            for change in [Change::Insert, Change::Update(vec![1]), Change::Update(vec![2]), Change::Delete] {
                let mut writes = writes(change, vec![(vec![3], size(10))]);
                writes.hot_share = hot;
                writes.writes[0].rows = rows;
                let few = upkeep(kept(&[1], pages), &writes, PRICES);
                writes.writes[0].rows = rows * more;
                let many = upkeep(kept(&[1], pages), &writes, PRICES);
                prop_assert!(few >= 0.0 && many >= few && many.is_finite());
            }
        }
    }
}
