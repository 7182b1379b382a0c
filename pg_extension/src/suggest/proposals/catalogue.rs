//! What the catalogue says of the indexes that are there, and what a suggested one would look like among them.

use pg_pitcrew_advisor::{Chosen, ForeignKey, There};
use pgrx::prelude::*;

use super::Weighed;
use crate::failure::spi;
use crate::names;
use crate::suggest::model::Model;
use crate::text::{Text, plain};
use crate::whatif::hypothetical::Key;

/// Indexes of a database that are weighed, the largest ones.
const MAX_WEIGHED: i64 = 2_000;

/// The indexes of the database, the largest first.
pub(super) fn read() -> Vec<(Weighed, There)> {
    Spi::connect(|client| {
        let query = include_str!("../../../sql/queries/weighed_indexes.sql");
        let rows = spi(
            "pg_index",
            client.select(query, None, &[MAX_WEIGHED.into()]),
        );
        rows.filter_map(|row| {
            let text = |place: usize| plain(spi("pg_index", row.get(place)));
            // A part of an index that was dropped meanwhile is NULL.
            let texts = |place: usize| -> Option<Vec<String>> {
                let parts: Vec<Option<Text>> = spi("pg_index", row.get(place))?;
                parts.into_iter().map(plain).collect()
            };
            let flag = |place: usize| spi::<Option<bool>>("pg_index", row.get(place));
            let count = |place: usize| spi::<Option<i64>>("pg_index", row.get(place));
            let oid = |place: usize| spi::<Option<pg_sys::Oid>>("pg_index", row.get(place));
            let table = oid(2)?;
            let mut included = texts(7)?;
            included.sort();
            let keys = texts(6)?;
            let mut numbers: Vec<i16> = spi("pg_index", row.get(9))?;
            numbers.truncate(keys.len());
            let weighed = Weighed {
                oid: oid(1)?,
                table,
                name: format!("{}.{}", names::quote(&text(3)?), names::quote(&text(4)?)),
                is_plain: flag(14)?,
            };
            let there = There {
                table: table.to_u32(),
                method: text(5)?,
                keys,
                included,
                predicate: text(8),
                numbers,
                is_unique: flag(10)?,
                may_go: flag(11)?,
                is_suggested: false,
                scans: count(12)?,
                bytes: count(13)?.unsigned_abs(),
            };
            Some((weighed, there))
        })
        .collect()
    })
}

pub(super) fn foreign_keys() -> Vec<ForeignKey> {
    Spi::connect(|client| {
        let query = include_str!("../../../sql/queries/foreign_keys.sql");
        let rows = spi("pg_constraint", client.select(query, None, &[]));
        rows.filter_map(|row| {
            let table: pg_sys::Oid = spi("pg_constraint", row.get(1))?;
            Some(ForeignKey {
                table: table.to_u32(),
                columns: spi("pg_constraint", row.get(2))?,
            })
        })
        .collect()
    })
}

/// A suggested index on plain columns, as if it were there.
pub(super) fn suggested(model: &Model<'_>, chosen: &Chosen) -> Option<There> {
    let index = &model.indexes[chosen.candidate];
    let numbers = index.candidate.plain_columns()?;
    let [part] = index.parts.as_slice() else {
        return None;
    };
    let name = |number: i16| {
        // SAFETY: a catalogue look-up that answers null for a column that is gone.
        let name = unsafe { names::text(pg_sys::get_attname(part.table, number, true)) };
        name.map(|name| names::quote(&name))
    };
    let key = |key: &Key| {
        // SAFETY: a catalogue look-up.
        let class = unsafe { pg_sys::GetDefaultOpClass(key.type_oid, pg_sys::BTREE_AM_OID) };
        let (class, collation) = (class.to_u32(), key.index_collation.to_u32());
        Some(format!("{} {class} {collation} 0", name(key.number)?))
    };
    let mut included: Vec<String> = index
        .candidate
        .included
        .iter()
        .copied()
        .map(name)
        .collect::<Option<_>>()?;
    included.sort();
    Some(There {
        table: index.candidate.table,
        method: "btree".to_owned(),
        keys: part.columns[..part.keys]
            .iter()
            .map(key)
            .collect::<Option<_>>()?,
        included,
        predicate: None,
        numbers,
        is_unique: false,
        may_go: false,
        is_suggested: true,
        scans: 0,
        bytes: index.size.bytes(),
    })
}
