//! What the workload writes, table by table, and what that makes an index cost.

use std::collections::BTreeMap;

use pg_pitcrew_advisor::{
    Change, Existing, IndexSize, Kept, Method, Prices, Spent, Write, Writes, hot_loss, upkeep,
    write_loss,
};
use pgrx::prelude::*;

use super::counted::{Counted, LOAD_ROWS, LOAD_SHARE, Since, insert_rates};
use super::gather::Tables;
use super::look::Looked;
use super::model::Index;
use crate::compat;
use crate::failure::spi;
use crate::workload::analysis::Context;
use crate::workload::written::{self, Act};

/// From so many updates on the share of those that were HOT is told by them.
const ENOUGH_UPDATES: f64 = 100.0;
/// By which share the server may count more rows than statements wrote without anybody else having written.
const NOISE: f64 = 0.1;
/// Entries of an inner page, roughly: the height of an index that is there follows from its pages.
const FAN_OUT: f64 = 256.0;

/// What an index costs beside what it saves.
#[derive(Debug, Clone, Copy)]
pub(super) struct Upkeep {
    /// In the planner's units, weighted as statements are.
    pub(super) cost: f64,
    /// Share of the table's updates that are HOT now and would not be with it.
    pub(super) hot_loss: f64,
    /// By which share fewer of the table's writes get through in the same processor time of the server; `None` where that was not measured.
    pub(super) write_loss: Option<f64>,
    /// What of it others than the statements write.
    pub(super) others: Others,
}

impl Upkeep {
    /// Where nothing is written.
    const NONE: Self = Self {
        cost: 0.0,
        hot_loss: 0.0,
        write_loss: Some(0.0),
        others: Others {
            inserted: 0.0,
            updated: 0.0,
            deleted: 0.0,
        },
    };
}

/// What statements are known to write.
struct Known {
    act: Act,
    calls: f64,
    /// Of all executions, each as often as it weighs.
    rows: f64,
    spent: Option<Spent>,
}

/// What is written, table by table.
pub(super) struct Written {
    known: BTreeMap<u32, Vec<Known>>,
    /// What else is written: the server counts every row, whatever wrote it. `None` for given queries, which ran at no time.
    counted: Option<Window>,
}

/// The time in which the workload ran, among that in which rows were counted.
struct Window {
    seconds: f64,
    counted_seconds: f64,
    /// Rows a second.
    insert_rates: BTreeMap<u32, f64>,
}

impl Written {
    /// What statements write that ran in so many seconds.
    pub(super) fn by(looked: &[Looked], seconds: Option<f64>, context: &Context) -> Self {
        let mut known: BTreeMap<u32, Vec<Known>> = BTreeMap::new();
        for looked in looked {
            let statement = &looked.statement;
            for (part, rows) in written::by(statement, context) {
                let pages = statement.pages.filter(|_| !part.is_part);
                // Apart even where the act is the same: what a page took is told by those that did the least beside.
                known.entry(part.table.to_u32()).or_default().push(Known {
                    act: part.act,
                    calls: statement.calls as f64,
                    rows: statement.weight * rows,
                    spent: pages.map(|pages| Spent {
                        calls: statement.calls as f64,
                        ms: statement.total_ms,
                        pages,
                    }),
                });
            }
        }
        let counted = seconds.map(|seconds| Window {
            seconds,
            counted_seconds: Since::read().seconds,
            insert_rates: insert_rates(),
        });
        Self { known, counted }
    }

    /// Of one table; `None` where nothing is.
    fn of(&self, table: u32, rows: f64) -> Option<OfTable> {
        let oid = pg_sys::Oid::from(table);
        let counted = Counted::read(oid)?;
        let nothing = Vec::new();
        let known = self.known.get(&table).unwrap_or(&nothing);
        let mut writes = Vec::new();
        for one in known.iter().filter(|one| !self.is_load(one, rows)) {
            let mut add = |change, share: f64| {
                if share == 0.0 {
                    return;
                }
                writes.push(Write {
                    change,
                    rows: share * one.rows,
                    spent: one.spent.map(|spent| spent.share(share)),
                });
            };
            match &one.act {
                Act::Insert => add(Change::Insert, 1.0),
                Act::Delete => add(Change::Delete, 1.0),
                Act::Update(columns) => add(Change::Update(columns.clone()), 1.0),
                Act::Upsert(columns) => {
                    let [new, old, _] = counted.shares(true, true, false);
                    add(Change::Insert, new);
                    add(Change::Update(columns.clone()), old);
                }
                Act::Merge {
                    inserts,
                    updates,
                    deletes,
                } => {
                    let [new, old, gone] = counted.shares(*inserts, !updates.is_empty(), *deletes);
                    add(Change::Insert, new);
                    add(Change::Update(updates.clone()), old);
                    add(Change::Delete, gone);
                }
            }
        }
        let mut others = Others::default();
        if let Some(window) = &self.counted {
            others = window.others(table, counted, &writes);
            writes.extend(others.writes());
        }
        if writes.is_empty() {
            return None;
        }
        let hot_share = if counted.updated >= ENOUGH_UPDATES {
            counted.hot / counted.updated
        } else {
            // Nothing is known against it.
            1.0
        };
        Some(OfTable {
            others,
            writes: Writes {
                writes,
                table_rows: rows.max(1.0),
                hot_share: hot_share.clamp(0.0, 1.0),
                existing: existing(oid),
            },
        })
    }

    /// Whether it filled the table, once or twice.
    fn is_load(&self, known: &Known, rows: f64) -> bool {
        let each = known.rows / known.calls.max(1.0);
        self.counted.is_some()
            && known.act == Act::Insert
            && known.calls <= 2.0
            && each >= LOAD_ROWS.max(LOAD_SHARE * rows)
    }
}

impl Window {
    /// What the server counted beyond what the statements wrote.
    fn others(&self, table: u32, counted: Counted, known: &[Write]) -> Others {
        let share = (self.seconds / self.counted_seconds.max(f64::MIN_POSITIVE)).min(1.0);
        let inserted = match self.insert_rates.get(&table) {
            Some(rate) => rate * self.seconds,
            None => share * counted.replaced(),
        };
        let beyond = |all: f64, is_it: &dyn Fn(&Change) -> bool| {
            let known = known.iter().filter(|write| is_it(&write.change));
            let known: f64 = known.map(|write| write.rows).sum();
            // What is counted late, or was rolled back, is no other writer.
            if all > known * (1.0 + NOISE) {
                all - known
            } else {
                0.0
            }
        };
        Others {
            inserted: beyond(inserted, &|change| *change == Change::Insert),
            updated: beyond(share * counted.updated, &|change| {
                matches!(change, Change::Update(_))
            }),
            deleted: beyond(share * counted.deleted, &|change| *change == Change::Delete),
        }
    }
}

/// Rows that no statement of the workload is known to have written: functions, triggers, cascades, MERGE, views, and what pg_stat_statements
/// has forgotten did.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Others {
    inserted: f64,
    updated: f64,
    deleted: f64,
}

impl Others {
    fn writes(self) -> impl Iterator<Item = Write> {
        [
            (Change::Insert, self.inserted),
            // Nobody knows which columns: those of no index, as far as they are HOT.
            (Change::Update(Vec::new()), self.updated),
            (Change::Delete, self.deleted),
        ]
        .into_iter()
        .filter(|(_, rows)| *rows > 0.0)
        .map(|(change, rows)| Write {
            change,
            rows,
            spent: None,
        })
    }

    /// In a sentence; `None` where there are none.
    pub(super) fn words(self) -> Option<String> {
        let all = [
            (self.inserted, "inserted"),
            (self.updated, "updated"),
            (self.deleted, "deleted"),
        ];
        let said = all.iter().filter(|(rows, _)| *rows >= 1.0);
        let said: Vec<String> = said.map(|(rows, how)| format!("{rows:.0} {how}")).collect();
        if said.is_empty() {
            return None;
        }
        let columns = if self.updated >= 1.0 {
            "; which columns these updates change is not known"
        } else {
            ""
        };
        Some(format!(
            "Of what is written {} rows are none of these statements' (functions, triggers, MERGE and the like, by the table's counters){columns}.",
            said.join(", ")
        ))
    }
}

struct OfTable {
    writes: Writes,
    others: Others,
}

/// The upkeep of each index.
pub(super) fn upkeeps(indexes: &[Index], written: &Written, tables: &Tables) -> Vec<Upkeep> {
    // SAFETY: settings of this session.
    let prices = unsafe {
        Prices {
            page: pg_sys::seq_page_cost,
            operator: pg_sys::cpu_operator_cost,
            index_tuple: pg_sys::cpu_index_tuple_cost,
        }
    };
    let mut known: BTreeMap<u32, Option<OfTable>> = BTreeMap::new();
    indexes
        .iter()
        .map(|index| {
            let table = index.candidate.table;
            let of_table = known.entry(table).or_insert_with(|| {
                let rows = tables.get(&table)?.as_ref()?.rows();
                written.of(table, rows)
            });
            let Some(OfTable { writes, others }) = of_table else {
                return Upkeep::NONE;
            };
            let mut columns = index.candidate.columns();
            if compat::BRIN_KEEPS_HOT && index.candidate.method == Method::Brin {
                columns.clear();
            }
            let kept = Kept {
                columns: &columns,
                size: index.size,
                entries_a_row: index.entries_a_row,
            };
            Upkeep {
                cost: upkeep(kept, writes, prices),
                hot_loss: hot_loss(&columns, writes),
                write_loss: write_loss(kept, writes),
                others: *others,
            }
        })
        .collect()
}

fn existing(table: pg_sys::Oid) -> Vec<Existing> {
    Spi::connect(|client| {
        let query = include_str!("../../sql/queries/index_columns.sql");
        let rows = spi("pg_index", client.select(query, None, &[table.into()]));
        rows.filter_map(|row| {
            let columns = spi::<Option<Vec<i16>>>("pg_index", row.get(1))?;
            let pages = spi::<Option<i32>>("pg_index", row.get(2))?
                .max(1)
                .unsigned_abs();
            let height = f64::from(pages).log(FAN_OUT).ceil() as u32;
            Some(Existing {
                columns,
                size: IndexSize { pages, height },
                is_unique: spi::<Option<bool>>("pg_index", row.get(3))?,
            })
        })
        .collect()
    })
}
