//! Indexes that are there.

use pgrx::prelude::*;

use super::definition::Part;
use crate::failure::spi;
use crate::names::without_parentheses;
use crate::text::{Text, plain};

/// `DESC` and `NULLS FIRST` in `pg_index.indoption`.
const DESCENDS: i16 = 1;
const NULLS_FIRST: i16 = 2;

/// A valid index.
#[derive(Debug, Clone)]
pub(super) struct Existing {
    method: String,
    /// How many of its columns are keys.
    keys: usize,
    /// Each column as SQL.
    columns: Vec<String>,
    /// Numbers of the columns; 0 for an expression.
    numbers: Vec<i16>,
    classes: Vec<pg_sys::Oid>,
    options: Vec<i16>,
    predicate: Option<String>,
    /// At most one row has all its keys.
    is_unique: bool,
    /// Number of leading keys that are columns, where it is a B-tree over all rows.
    plain: usize,
}

/// The valid indexes of a table.
pub(super) fn of(table: pg_sys::Oid) -> Vec<Existing> {
    Spi::connect(|client| {
        let query = include_str!("../../sql/queries/existing_indexes.sql");
        let rows = spi("pg_index", client.select(query, None, &[table.into()]));
        rows.filter_map(|row| {
            let method = plain(spi("pg_index", row.get(1)))?;
            let keys = spi::<Option<i32>>("pg_index", row.get(2))?;
            // A column of an index that was dropped meanwhile is NULL.
            let columns: Vec<Option<Text>> = spi("pg_index", row.get(3))?;
            let numbers: Vec<i16> = spi("pg_index", row.get(4))?;
            let predicate = plain(spi("pg_index", row.get(7)));
            let keys = usize::try_from(keys).ok()?;
            let leading = numbers[..keys.min(numbers.len())].iter();
            // Of another class it is in another order.
            let is_default: Option<bool> = spi("pg_index", row.get(8));
            let is_whole = method == "btree" && predicate.is_none() && is_default == Some(true);
            Some(Existing {
                plain: leading
                    .take_while(|number| is_whole && **number != 0)
                    .count(),
                method,
                keys,
                columns: columns.into_iter().map(plain).collect::<Option<_>>()?,
                numbers,
                classes: spi("pg_index", row.get(5))?,
                options: spi("pg_index", row.get(6))?,
                predicate,
                is_unique: spi::<Option<bool>>("pg_index", row.get(9))?,
            })
        })
        .collect()
    })
}

impl Existing {
    /// Its leading key columns, up to the first expression; none where it does not hold all rows.
    pub(super) fn plain_columns(&self) -> Option<&[i16]> {
        (self.plain > 0).then(|| &self.numbers[..self.plain])
    }

    /// Its keys, where no two rows have the same and all are columns.
    pub(super) fn unique_columns(&self) -> Option<&[i16]> {
        let keys = &self.numbers[..self.keys];
        (self.is_unique && !keys.contains(&0)).then_some(keys)
    }

    /// Whether it does what `part` would: the same keys in front, in the same order, over the same rows or all.
    pub(super) fn does(&self, part: &Part) -> bool {
        let keys = part.index.keys;
        let option = |key: &super::hypothetical::Key| {
            DESCENDS * i16::from(key.reverse) + NULLS_FIRST * i16::from(key.nulls_first)
        };
        let options: Vec<i16> = part.index.columns[..keys].iter().map(option).collect();
        let same = |own: &[String], theirs: &[String]| {
            own.iter()
                .zip(theirs)
                .all(|(own, theirs)| without_parentheses(own) == without_parentheses(theirs))
        };
        let is_over_as_many = match (&self.predicate, &part.predicate) {
            (None, _) => true,
            (Some(own), Some(theirs)) => without_parentheses(own) == without_parentheses(theirs),
            (Some(_), None) => false,
        };
        self.method == part.method_name()
            && is_over_as_many
            && self.keys >= keys
            && same(&self.columns[..keys], &part.columns[..keys])
            && self.classes.starts_with(&part.classes)
            && self.options.starts_with(&options)
            && part.columns[keys..]
                .iter()
                .all(|column| self.columns.contains(column))
    }
}
