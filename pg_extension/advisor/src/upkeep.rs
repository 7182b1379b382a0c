//! What an index costs where its table is written, in the planner's units.
//!
//! The planner says nothing of it: the cost of INSERT, UPDATE and DELETE has no index in it. Each new entry descends the
//! tree as a look-up does (`btcostestimate` of selfuncs.c), makes a leaf page dirty, which is written once at a checkpoint and
//! once, whole, to the write-ahead log (`full_page_writes`), and is taken out again by a VACUUM that reads the whole index once
//! for each `autovacuum_vacuum_scale_factor` of the rows.
//!
//! Time is another matter, for pages that are cached cost no such units: what a write takes follows from the pages that it
//! touches, and what one of them takes on this server from what its writes took so far ([`write_loss`]).

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
/// What an execution takes beside its pages, in pages: its own work inside the executor, and its way there and back (message,
/// parameters, transaction, answer). Of a prepared look-up by key, which touches 4 pages, sent alone: 5.5 us of 16 us of CPU are inside the
/// executor; a thousand such look-ups in one statement take 0.9 us for each page.
const INSIDE_PAGES: f64 = 2.0;
const BESIDE_PAGES: f64 = 12.0;

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
    /// What its executions took; `None` where nobody measured them.
    pub spent: Option<Spent>,
}

/// What executions took, all together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spent {
    /// How many.
    pub calls: f64,
    /// Milliseconds inside the executor.
    pub ms: f64,
    /// Pages touched, each as often as it was.
    pub pages: f64,
}

impl Spent {
    /// What so large a share of them took.
    pub fn share(self, share: f64) -> Self {
        Self {
            calls: share * self.calls,
            ms: share * self.ms,
            pages: share * self.pages,
        }
    }
}

/// An index that is there.
#[derive(Debug, Clone, PartialEq)]
pub struct Existing {
    /// Its stored columns.
    pub columns: Vec<i16>,
    /// Its size.
    pub size: IndexSize,
    /// A new entry looks at the row's older version, to see that it is gone.
    pub is_unique: bool,
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
    /// Indexes that are there.
    pub existing: Vec<Existing>,
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
    let rows = writes.table_rows;
    let dead = kept.entries_a_row * dead(size, rows, prices);
    let cost = |write: &Write| {
        let entries = entries(columns, write, writes);
        let other = |other: &Existing| {
            entry(other.size, rows, prices) + self::dead(other.size, rows, prices)
        };
        let a_row = match &write.change {
            Change::Delete => dead,
            Change::Insert => kept.entries_a_row * entry(size, rows, prices),
            Change::Update(_) => {
                let own = kept.entries_a_row * entry(size, rows, prices) + dead;
                entries.own * own + entries.others * writes.existing.iter().map(other).sum::<f64>()
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
        if matches!(write.change, Change::Update(_)) {
            all += write.rows;
            lost += write.rows * entries(columns, write, writes).others;
        }
    }
    if all > 0.0 { lost / all } else { 0.0 }
}

/// By which share fewer of the table's writes get through in the same processor time of the server, with one more index.
///
/// A new entry touches the pages of a descent, and where the index is unique the row's older version. What a page takes is what it
/// took in those writes that did the least beside; a row takes one page at least. Waiting for disks and VACUUM are not in it: they
/// take other time than the processor's. `None` where a write's time is not known.
pub fn write_loss(kept: Kept<'_>, writes: &Writes) -> Option<f64> {
    let (mut ms, mut calls, mut page_ms, mut pages) = (0.0, 0.0, f64::INFINITY, 0.0);
    let descent = |size: IndexSize| f64::from(size.height + 1);
    let others = writes.existing.iter();
    let others: f64 = others
        .map(|other| descent(other.size) + f64::from(u8::from(other.is_unique)))
        .sum();
    for write in &writes.writes {
        let spent = write.spent?;
        ms += spent.ms;
        calls += spent.calls;
        if spent.pages > 0.0 {
            // COPY writes many rows while it holds a page, and one of them takes as long as where each looks for its own.
            let pages = spent.pages.max(write.rows);
            page_ms = page_ms.min(spent.ms / (pages + INSIDE_PAGES * spent.calls));
        }
        let entries = entries(kept.columns, write, writes);
        let own = entries.own * kept.entries_a_row * descent(kept.size);
        pages += write.rows * (own + entries.others * others);
    }
    if pages == 0.0 {
        return Some(0.0);
    }
    let more_ms = pages * page_ms;
    let now_ms = ms + BESIDE_PAGES * calls * page_ms;
    more_ms.is_finite().then(|| more_ms / (now_ms + more_ms))
}

/// Entries that a written row takes.
struct Entries {
    /// In the new index: 0 or 1, between them where some updates are HOT.
    own: f64,
    /// In each index that is there, because of the new one.
    others: f64,
}

fn entries(columns: &[i16], write: &Write, writes: &Writes) -> Entries {
    let changed = match &write.change {
        Change::Insert => {
            return Entries {
                own: 1.0,
                others: 0.0,
            };
        }
        Change::Delete => {
            return Entries {
                own: 0.0,
                others: 0.0,
            };
        }
        Change::Update(changed) => changed,
    };
    let touches = |stored: &[i16]| changed.iter().any(|column| stored.contains(column));
    let was_hot = !writes.existing.iter().any(|other| touches(&other.columns));
    let hot = if was_hot { writes.hot_share } else { 0.0 };
    if touches(columns) {
        // What was HOT until now is new in every other index too.
        Entries {
            own: 1.0,
            others: hot,
        }
    } else {
        Entries {
            own: 1.0 - hot,
            others: 0.0,
        }
    }
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

    fn there(columns: &[i16], pages: u32) -> Existing {
        Existing {
            columns: columns.to_vec(),
            size: size(pages),
            is_unique: true,
        }
    }

    fn writes(change: Change, existing: Vec<Existing>) -> Writes {
        Writes {
            writes: vec![Write {
                change,
                rows: 1000.0,
                spent: None,
            }],
            table_rows: 100_000.0,
            hot_share: 0.9,
            existing,
        }
    }

    #[test]
    fn an_update_of_other_columns_costs_what_is_not_hot() {
        let of = |change, columns: &[i16]| {
            let writes = writes(change, vec![there(&[1], 300)]);
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
        let free = writes(Change::Update(vec![5]), vec![there(&[1], 300)]);
        let taken = writes(Change::Update(vec![5]), vec![there(&[1, 5], 300)]);
        assert!((hot_loss(&[5], &free) - 0.9).abs() < 1e-9);
        assert_eq!(hot_loss(&[6], &free), 0.0);
        assert_eq!(hot_loss(&[5], &taken), 0.0);
        let cost = |writes| upkeep(kept(&[5], 300), writes, PRICES);
        assert!(cost(&taken) < cost(&free));
    }

    /// A thousand updates of one row each, which touched six pages in as much time as eight take.
    fn measured(change: Change) -> Writes {
        let mut writes = writes(change, vec![there(&[1], 300)]);
        writes.hot_share = 1.0;
        writes.writes[0].spent = Some(Spent {
            calls: 1000.0,
            ms: 8.0,
            pages: 6000.0,
        });
        writes
    }

    #[test]
    fn the_loss_is_told_by_what_a_page_took() {
        let mut writes = measured(Change::Update(vec![5]));
        // Three pages for its own entry, three and the older version for the other index's, at a microsecond each; twelve go by
        // on the way.
        let loss = write_loss(kept(&[5], 300), &writes).unwrap();
        assert!((loss - 7.0 / 27.0).abs() < 1e-9, "{loss}");
        // These stay HOT.
        assert_eq!(write_loss(kept(&[6], 300), &writes), Some(0.0));
        // A scan takes longer for a page, but says nothing of what an entry takes.
        writes.writes.push(Write {
            change: Change::Delete,
            rows: 10.0,
            spent: Some(Spent {
                calls: 1000.0,
                ms: 88.0,
                pages: 1000.0,
            }),
        });
        let loss = write_loss(kept(&[5], 300), &writes).unwrap();
        assert!((loss - 7.0 / 127.0).abs() < 1e-9, "{loss}");
        // Sent together, nothing goes by on the way.
        let spent = Spent {
            calls: 1.0,
            ms: 6.002,
            pages: 6000.0,
        };
        let mut writes = measured(Change::Update(vec![5]));
        writes.writes[0].spent = Some(spent);
        let loss = write_loss(kept(&[5], 300), &writes).unwrap();
        assert!((loss - 7.0 / 13.014).abs() < 1e-9, "{loss}");
    }

    /// 200,000 rows on PostgreSQL 15: 84.4 ms without an index, 322.8 ms with one on random numbers (1,095 pages), 216.0 ms with one on
    /// ascending ones, 492.0 ms with both.
    #[test]
    fn rows_that_copy_writes_page_by_page_take_as_long_as_single_ones() {
        let copied = |ms, pages| {
            let mut writes = writes(Change::Insert, Vec::new());
            writes.writes[0].rows = 200_000.0;
            writes.writes[0].spent = Some(Spent {
                calls: 1.0,
                ms,
                pages,
            });
            write_loss(kept(&[5], 1_095), &writes).unwrap()
        };
        let first = copied(84.4, 3_767.0);
        assert!((first - (1.0 - 84.4 / 322.8)).abs() < 0.1, "{first}");
        let second = copied(216.0, 521_048.0);
        assert!((second - (1.0 - 216.0 / 492.0)).abs() < 0.1, "{second}");
    }

    #[test]
    fn a_loss_that_nobody_measured_is_not_told() {
        let mut writes = measured(Change::Update(vec![5]));
        writes.writes[0].spent = None;
        assert_eq!(write_loss(kept(&[5], 300), &writes), None);
        // Executions that touched no page say nothing either.
        writes.writes[0].spent = Some(Spent {
            calls: 1.0,
            ms: 1.0,
            pages: 0.0,
        });
        assert_eq!(write_loss(kept(&[5], 300), &writes), None);
    }

    proptest! {
        #[test]
        fn a_loss_is_a_share_and_grows_with_the_index(height in 0_u32..6, hot in 0.0..=1.0_f64) {
            for change in [Change::Insert, Change::Update(vec![5]), Change::Update(vec![6]), Change::Delete] {
                let mut writes = measured(change);
                writes.hot_share = hot;
                let of = |height| {
                    let kept = Kept { size: IndexSize { pages: 300, height }, ..kept(&[5], 300) };
                    write_loss(kept, &writes).unwrap()
                };
                prop_assert!((0.0..1.0).contains(&of(height)) && of(height) <= of(height + 1));
            }
        }

        #[test]
        fn more_writes_never_cost_less(rows in 0.0..1e9_f64, more in 1.0..10.0_f64, pages in 1_u32..100_000, hot in 0.0..=1.0_f64) {
            for change in [Change::Insert, Change::Update(vec![1]), Change::Update(vec![2]), Change::Delete] {
                let mut writes = writes(change, vec![there(&[3], 10)]);
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
