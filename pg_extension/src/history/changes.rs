//! From what differs since the last tick to packed rows: names for what is new, what was counted, and what to compare with
//! next time.

use std::collections::HashMap;

use pg_pitcrew_history::{Block, Layout, counted};
use pgrx::prelude::*;

use super::tick::{MAX_EVENTS, Tick, run};
use crate::failure::{or_raise, spi};
use crate::names;

/// One object whose counters, definition or name is another one than at the last tick.
pub(super) struct Change {
    /// `history_objects.id`; nothing for one that is new.
    pub(super) object: Option<i32>,
    /// Query id, or OID.
    pub(super) key: i64,
    /// Counters at the last tick.
    pub(super) last: Option<Vec<i64>>,
    /// Counters now.
    pub(super) now: Vec<i64>,
    /// What is no counter.
    pub(super) gauges: Vec<i64>,
    /// What happened to it.
    pub(super) event: Option<String>,
}

/// Which objects.
pub(super) enum Kind<'a> {
    /// Statements; the schema of pg_stat_statements, quoted.
    Statements { schema: &'a str },
    /// Tables and indexes.
    Relations,
}

/// Writes what changed; answers how many events were too many. `was_listed`: the tick before listed this kind, so that
/// what it did not name is new.
pub(super) fn write(
    tick: &Tick,
    kind: &Kind<'_>,
    layout: Layout,
    changes: Vec<Change>,
    was_listed: bool,
) -> i64 {
    let named = name(kind, &changes);
    let mut rows = Vec::with_capacity(changes.len());
    let (mut ids, mut counters): (Vec<i32>, Vec<i64>) = Default::default();
    let (mut events, mut told): (Vec<i32>, Vec<String>) = Default::default();
    for change in changes {
        let Some(id) = change.object.or_else(|| named.get(&change.key).copied()) else {
            // Dropped since it was listed.
            continue;
        };
        let delta = counted(tick.before(change.last.as_ref(), was_listed), &change.now);
        ids.push(id);
        counters.extend(&change.now);
        if let Some(event) = change.event {
            events.push(id);
            told.push(event);
        }
        let mut row = delta.values;
        if layout.gauges > 0 || row.iter().any(|&value| value != 0) {
            row.extend(change.gauges);
            rows.push((id, row));
        }
    }
    run(
        include_str!("../../sql/queries/history_note.sql"),
        &[
            ids.into(),
            counters.into(),
            i32::try_from(layout.counters).unwrap_or(i32::MAX).into(),
        ],
    );
    let letter = match kind {
        Kind::Statements { .. } => "s",
        Kind::Relations => "r",
    };
    pack(tick.id, letter, layout, rows);
    if events.is_empty() || !tick.has_before {
        return 0;
    }
    let left_out = (events.len() as i64 - MAX_EVENTS).max(0);
    run(
        include_str!("../../sql/queries/history_relation_events.sql"),
        &[
            tick.began.into(),
            tick.at.into(),
            events.into(),
            told.into(),
            MAX_EVENTS.into(),
        ],
    );
    left_out
}

/// Gives objects to what has none, and their present name and definition to those that changed it.
fn name(kind: &Kind<'_>, changes: &[Change]) -> HashMap<i64, i32> {
    let keys: Vec<i64> = changes
        .iter()
        .filter(|change| change.object.is_none() || change.event.is_some())
        .map(|change| change.key)
        .collect();
    if keys.is_empty() {
        return HashMap::new();
    }
    match kind {
        Kind::Statements { schema } => {
            let query = include_str!("../../sql/queries/history_new_statements.sql");
            ids(&query.replace("{schema}", schema), keys.into(), |row| {
                row.get::<i64>(2)
            })
        }
        Kind::Relations => {
            let oids: Vec<pg_sys::Oid> = keys
                .into_iter()
                .map(|key| pg_sys::Oid::from(key as u32))
                .collect();
            let query = include_str!("../../sql/queries/history_name_relations.sql");
            ids(query, oids.into(), |row| {
                let oid = row.get::<pg_sys::Oid>(2)?;
                Ok(oid.map(|oid| i64::from(oid.to_u32())))
            })
        }
    }
}

fn ids(
    query: &str,
    keys: pgrx::datum::DatumWithOid<'_>,
    key: impl Fn(&pgrx::spi::SpiHeapTupleData<'_>) -> Result<Option<i64>, pgrx::spi::SpiError>,
) -> HashMap<i64, i32> {
    let what = "pitcrew.history_objects";
    // It may name the schema of pg_stat_statements.
    let query = or_raise(names::c_string(query));
    Spi::connect_mut(|client| {
        let rows = spi(what, client.update(query.as_c_str(), None, &[keys]));
        rows.filter_map(|row| Some((spi(what, key(&row))?, spi(what, row.get(1))?)))
            .collect()
    })
}

/// Writes the packed row of one kind, if there is anything in it.
pub(super) fn pack(
    tick: i64,
    kind: &str,
    layout: Layout,
    rows: impl IntoIterator<Item = (i32, Vec<i64>)>,
) {
    let block = Block::pack(layout, rows);
    if block.objects.is_empty() {
        return;
    }
    run(
        "INSERT INTO pitcrew.history_samples (tick, kind, objects, numbers) VALUES ($1, $2::text::\"char\", $3, $4)",
        &[
            tick.into(),
            kind.into(),
            block.objects.into(),
            block.numbers.into(),
        ],
    );
}
