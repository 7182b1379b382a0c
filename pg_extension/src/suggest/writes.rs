//! What the workload writes, table by table, and what that makes an index cost.

use std::collections::BTreeMap;

use pg_pitcrew_advisor::{
    Existing, IndexSize, Kept, Method, Prices, Spent, Write, Writes, hot_loss, upkeep, write_loss,
};
use pgrx::prelude::*;

use super::gather::Tables;
use super::look::Looked;
use super::model::Index;
use crate::compat;
use crate::failure::{read_one, spi};
use crate::whatif::guarded::guarded;
use crate::workload::analysis::{self, Context};
use crate::workload::written::written;

/// From so many updates on the share of those that were HOT is told by them.
const ENOUGH_UPDATES: i64 = 100;
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
}

impl Upkeep {
    /// Where nothing is written.
    const NONE: Self = Self {
        cost: 0.0,
        hot_loss: 0.0,
        write_loss: Some(0.0),
    };
}

/// Kinds of writes of each table.
pub(super) fn by_table(looked: &[Looked], context: &Context) -> BTreeMap<u32, Vec<Write>> {
    let mut found: BTreeMap<u32, Vec<Write>> = BTreeMap::new();
    for looked in looked {
        let statement = &looked.statement;
        let Some(source) = statement.sources().into_iter().next() else {
            continue;
        };
        let read = guarded(|| {
            analysis::enter_for(context, &source);
            written(&source.text)
        });
        let Ok(Some((table, change))) = read else {
            continue;
        };
        // Apart even where the change is the same: what a page took is told by those that did the least beside.
        found.entry(table.to_u32()).or_default().push(Write {
            change,
            rows: statement.weight * statement.rows,
            spent: statement.pages.map(|pages| Spent {
                calls: statement.calls as f64,
                ms: statement.total_ms,
                pages,
            }),
        });
    }
    found
}

/// The upkeep of each index.
pub(super) fn upkeeps(
    indexes: &[Index],
    mut writes: BTreeMap<u32, Vec<Write>>,
    tables: &Tables,
) -> Vec<Upkeep> {
    // SAFETY: settings of this session.
    let prices = unsafe {
        Prices {
            page: pg_sys::seq_page_cost,
            operator: pg_sys::cpu_operator_cost,
            index_tuple: pg_sys::cpu_index_tuple_cost,
        }
    };
    let mut known: BTreeMap<u32, Option<Writes>> = BTreeMap::new();
    indexes
        .iter()
        .map(|index| {
            let table = index.candidate.table;
            let of_table = known.entry(table).or_insert_with(|| {
                let rows = tables.get(&table)?.as_ref()?.rows();
                Some(of_table(table, writes.remove(&table)?, rows))
            });
            let Some(writes) = of_table else {
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
            }
        })
        .collect()
}

fn of_table(table: u32, writes: Vec<Write>, rows: f64) -> Writes {
    let oid = pg_sys::Oid::from(table);
    let updates: Option<Vec<i64>> = read_one(
        "pg_stat_all_tables",
        include_str!("../../sql/queries/updates.sql"),
        &[oid.into()],
    );
    let hot_share = match updates.as_deref() {
        Some([all, hot]) if *all >= ENOUGH_UPDATES => *hot as f64 / *all as f64,
        // Nothing is known against it.
        _ => 1.0,
    };
    Writes {
        writes,
        table_rows: rows.max(1.0),
        hot_share: hot_share.clamp(0.0, 1.0),
        existing: existing(oid),
    }
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
