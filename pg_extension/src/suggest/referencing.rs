//! What foreign keys ask: for each row that is deleted, or whose key is changed, the server looks for rows that refer to it
//! (`ri_triggers.c`). No plan has that in its cost, so it is a statement of its own.

use std::collections::BTreeMap;
use std::time::Instant;

use pgrx::prelude::*;

use crate::failure::spi;
use crate::text::Text;
use crate::workload::analysis::Context;
use crate::workload::statements::{self, Statement};
use crate::workload::written::{self, Act};

/// Foreign keys that are asked for.
const MAX_KEYS: usize = 200;

/// Rows that are deleted, and rows whose columns change, of one table.
#[derive(Default)]
struct Going {
    deleted: f64,
    changed: Vec<(Vec<i16>, f64)>,
}

/// The look-ups that these statements make the server do, each as a statement that weighs as many as there are.
pub(super) fn asked(
    statements: &[Statement],
    context: &Context,
    deadline: Option<Instant>,
) -> Vec<Statement> {
    let going = going(statements, context, deadline);
    if going.is_empty() {
        return Vec::new();
    }
    keys(&going.keys().copied().collect::<Vec<_>>())
        .into_iter()
        .filter_map(|key| {
            let of_table = going.get(&key.referenced.to_u32())?;
            let changed = of_table.changed.iter();
            let changed =
                changed.filter(|(columns, _)| columns.iter().any(|one| key.columns.contains(one)));
            let rows = of_table.deleted + changed.map(|(_, rows)| rows).sum::<f64>();
            (rows > 0.0).then(|| statements::asked_by_server(key.query, rows))
        })
        .collect()
}

fn going(
    statements: &[Statement],
    context: &Context,
    deadline: Option<Instant>,
) -> BTreeMap<u32, Going> {
    let mut going: BTreeMap<u32, Going> = BTreeMap::new();
    for statement in statements {
        pgrx::check_for_interrupts!();
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            break;
        }
        for (part, each) in written::by(statement, context) {
            let rows = statement.weight * each;
            let of_table = going.entry(part.table.to_u32()).or_default();
            match part.act {
                Act::Delete => of_table.deleted += rows,
                Act::Update(columns) => of_table.changed.push((columns, rows)),
                // How many of them it deletes or updates is not told.
                Act::Insert | Act::Upsert(_) | Act::Merge { .. } => {}
            }
        }
    }
    going.retain(|_, of_table| of_table.deleted > 0.0 || !of_table.changed.is_empty());
    going
}

/// A foreign key.
struct Key {
    /// What the server asks for a row that goes.
    query: String,
    referenced: pg_sys::Oid,
    /// The referenced columns.
    columns: Vec<i16>,
}

/// The foreign keys that refer to these tables.
fn keys(tables: &[u32]) -> Vec<Key> {
    let tables: Vec<pg_sys::Oid> = tables.iter().copied().map(pg_sys::Oid::from).collect();
    Spi::connect(|client| {
        let query = include_str!("../../sql/queries/referencing.sql");
        let rows = spi(
            "pg_constraint",
            client.select(query, Some(MAX_KEYS as i64), &[tables.into()]),
        );
        rows.filter_map(|row| {
            let query: Text = spi::<Option<_>>("pg_constraint", row.get(1))?;
            Some(Key {
                query: query.0,
                referenced: spi::<Option<_>>("pg_constraint", row.get(2))?,
                columns: spi::<Option<_>>("pg_constraint", row.get(3))?,
            })
        })
        .collect()
    })
}
