//! What the size of an index and its description for the planner depend on: a table's columns and statistics.

use std::collections::BTreeMap;

use pg_pitcrew_advisor::{Candidate, Expression, Facts, IndexSize, Method, Of, is_covered};
use pgrx::prelude::*;

use super::column::{self, Column, Content};
use super::definition::{Part, family};
use super::existing::{self, Existing};
use super::hypothetical::{Hypothetical, Key};
use super::measured::{Keys, Measured};
use crate::failure::spi;
use crate::names;

/// Partitions of a table that is advised on.
const MAX_LEAVES: usize = 200;
/// From so many pages on a BRIN index tells parts of a table apart: eight ranges of 128.
const MANY_PAGES: u32 = 1_024;
/// Rows lie in the order of a column from this correlation on.
pub(super) const IN_ORDER: f64 = 0.9;
/// A hash index is clearly smaller from this share of the B-tree's bytes on.
const CLEARLY_SMALLER: f64 = 0.7;
/// A column is mostly NULL from this share on.
const MOSTLY_NULL: f64 = 0.5;

/// A table whose indexes are thought about.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    /// Its OID.
    pub(crate) oid: pg_sys::Oid,
    /// Schema, unquoted.
    pub(crate) schema: String,
    /// Name, unquoted.
    pub(crate) name: String,
    rows: f64,
    /// Of its heap, or of those of its partitions.
    pub(crate) pages: u32,
    columns: BTreeMap<i16, Column>,
    existing: Vec<Existing>,
    /// Where it is partitioned, the partitions with rows.
    leaves: Vec<Table>,
    is_partitioned: bool,
    /// What its statistics bring candidates for.
    pub(crate) facts: Facts,
}

impl Table {
    /// Reads a table; `None` when nobody but its session, or nobody at all, can build an index on it: a foreign, temporary or
    /// system table, one of more than 200 partitions, or one that is gone.
    ///
    /// Call inside `guarded`: it takes a lock.
    pub(crate) fn load(oid: pg_sys::Oid) -> Option<Self> {
        let (schema, name) = names::relation(oid)?;
        // SAFETY: the relation is opened with a lock and closed; it exists or try_relation_open says so.
        unsafe {
            let relation = pg_sys::try_relation_open(oid, pg_sys::AccessShareLock as _);
            if relation.is_null() {
                return None;
            }
            let form = (*relation).rd_rel;
            let kind = (*form).relkind as u8;
            let is_fit = matches!(kind, b'r' | b'm' | b'p') && (*form).relpersistence as u8 != b't';
            if !is_fit || is_system(&schema) {
                pg_sys::relation_close(relation, pg_sys::AccessShareLock as _);
                return None;
            }
            let is_partitioned = kind == b'p';
            let (mut pages, mut rows, mut visible) = (0, 0.0, 0.0);
            if !is_partitioned {
                pg_sys::estimate_rel_size(
                    relation,
                    std::ptr::null_mut(),
                    &mut pages,
                    &mut rows,
                    &mut visible,
                );
            }
            let count = (*form).relnatts;
            pg_sys::relation_close(relation, pg_sys::AccessShareLock as _);
            let mut leaves = Vec::new();
            if is_partitioned {
                leaves = load_leaves(oid)?;
                rows = leaves.iter().map(|leaf| leaf.rows).sum();
                pages = leaves.iter().map(|leaf| leaf.pages).sum();
            }
            let columns: BTreeMap<i16, Column> = (1..=count)
                .filter_map(|number| {
                    Some((number, Column::load(oid, number, rows, is_partitioned)?))
                })
                .collect();
            let mut table = Self {
                oid,
                schema,
                name,
                rows,
                pages,
                columns,
                existing: existing::of(oid),
                leaves,
                is_partitioned,
                facts: Facts::default(),
            };
            table.facts = table.facts();
            Some(table)
        }
    }

    fn facts(&self) -> Facts {
        let unique = self.existing.iter().filter_map(Existing::unique_columns);
        let mut facts = Facts {
            unique: unique.map(<[i16]>::to_vec).collect(),
            ..Facts::default()
        };
        for (&number, column) in &self.columns {
            if self.pages >= MANY_PAGES && column.correlation.abs() >= IN_ORDER {
                facts.in_order.push(number);
            }
            if column
                .hash_share(self.rows)
                .is_some_and(|share| share < CLEARLY_SMALLER)
            {
                facts.long.push(number);
            }
            if column.null_share >= MOSTLY_NULL {
                let sql = format!("({} IS NOT NULL)", names::quote(&column.name)).into();
                let columns = vec![number];
                facts
                    .mostly_null
                    .push((number, Expression { sql, columns }));
            }
        }
        facts
    }

    /// `schema.table`, quoted.
    pub(crate) fn qualified(&self) -> String {
        format!(
            "{}.{}",
            names::quote(&self.schema),
            names::quote(&self.name)
        )
    }

    /// Whether it is partitioned: CREATE INDEX CONCURRENTLY is refused then.
    pub(crate) fn is_partitioned(&self) -> bool {
        self.is_partitioned
    }

    /// The name of a column, unquoted.
    pub(crate) fn column_name(&self, number: i16) -> Option<&str> {
        Some(&self.columns.get(&number)?.name)
    }

    /// Its rows, as the planner takes them.
    pub(crate) fn rows(&self) -> f64 {
        self.rows
    }

    /// Whether an index that is there begins with these columns.
    pub(crate) fn has_index(&self, numbers: &[i16]) -> bool {
        let mut plain = self.existing.iter().filter_map(Existing::plain_columns);
        plain.any(|existing| is_covered(numbers, existing))
    }

    /// Whether an index that is there does what `part` would.
    pub(crate) fn has_like(&self, part: &Part) -> bool {
        self.existing.iter().any(|existing| existing.does(part))
    }

    /// The keys of an index that a candidate would be.
    pub(crate) fn keys(&self, candidate: &Candidate, index: &Hypothetical) -> Option<Keys> {
        let text = |of: &Of| match of {
            Of::Column(number) => self.column_name(*number).map(names::quote),
            Of::Expression(expression) => Some(expression.sql.to_string()),
        };
        let keys = candidate.keys.iter().zip(&index.columns);
        keys.map(|(key, column)| Some((text(&key.of)?, *column)))
            .collect()
    }

    /// Whether the size of a candidate depends on how often which keys occur, which statistics of single columns do not say: keys that occur
    /// several times are stored once, and how many rows each has is what counts.
    pub(crate) fn depends_on_keys(&self, candidate: &Candidate, measured: &Measured) -> bool {
        /// A list of so many rows takes hardly more bytes a row than a longer one.
        const LONG_LIST: f64 = 100.0;
        /// Less than the rest counts for nothing.
        const NEARLY_ALL: f64 = 0.9;
        let content = |of: &Of| match of {
            Of::Column(number) => Some(&self.columns.get(number)?.content),
            Of::Expression(expression) => measured.content(&expression.sql),
        };
        let contents = candidate.keys.iter().map(|key| content(&key.of));
        let Some(contents) = contents.collect::<Option<Vec<&Content>>>() else {
            return false;
        };
        let stores_equal_ones_once = candidate.method == Method::Btree
            && candidate.included.is_empty()
            && contents.iter().all(|content| content.is_equal_image);
        let is_nearly_unique = |content: &&Content| column::is_nearly_unique(content, self.rows);
        // How many rows of a part there are is told by its predicate alone.
        if !stores_equal_ones_once
            || candidate.predicate.is_some()
            || contents.iter().any(is_nearly_unique)
        {
            return false;
        }
        match contents.as_slice() {
            [only] => only.known < NEARLY_ALL,
            several => column::distinct(self.rows, several) * LONG_LIST > self.rows,
        }
    }

    /// B-trees over all rows, on plain columns, one for each partition, and the size of all of them.
    pub(crate) fn plain(
        &self,
        keys: &[i16],
        included: &[i16],
    ) -> Option<(Vec<Hypothetical>, IndexSize)> {
        if self.is_partitioned {
            let names = |numbers: &[i16]| -> Option<Vec<&str>> {
                numbers
                    .iter()
                    .map(|number| self.column_name(*number))
                    .collect()
            };
            let (keys, included) = (names(keys)?, names(included)?);
            let (mut all, mut whole) = (
                Vec::new(),
                IndexSize {
                    pages: 0,
                    height: 0,
                },
            );
            for leaf in &self.leaves {
                let (keys, included) = (leaf.numbers(&keys)?, leaf.numbers(&included)?);
                let (index, size) = leaf.plain(&keys, &included)?;
                all.extend(index);
                whole.pages = whole.pages.saturating_add(size.pages);
                whole.height = whole.height.max(size.height);
            }
            return Some((all, whole));
        }
        let of = |numbers: &[i16]| -> Option<Vec<&Column>> {
            let columns = numbers.iter().map(|number| self.columns.get(number));
            columns
                .map(|column| column.filter(|column| column.key.is_some()))
                .collect()
        };
        let (stored, beside) = (of(keys)?, of(included)?);
        if stored.is_empty() {
            return None;
        }
        let content = |columns: &[&Column]| -> Vec<Content> {
            columns
                .iter()
                .map(|column| column.content.clone())
                .collect()
        };
        let (contents, extra) = (content(&stored), content(&beside));
        let size = column::size(
            self.rows,
            &contents.iter().collect::<Vec<_>>(),
            &extra.iter().collect::<Vec<_>>(),
        );
        let columns: Vec<Key> = stored
            .iter()
            .chain(&beside)
            .filter_map(|column| column.key)
            .collect();
        let index = Hypothetical::plain(self.oid, columns, keys.len(), size);
        Some((vec![index], size))
    }

    /// The number of a column.
    pub(crate) fn number(&self, name: &str) -> Option<i16> {
        let mut columns = self.columns.iter();
        columns.find_map(|(number, column)| (column.name == name).then_some(*number))
    }

    fn numbers(&self, names: &[&str]) -> Option<Vec<i16>> {
        names.iter().map(|name| self.number(name)).collect()
    }

    /// The size that a B-tree would have, by statistics and by what was measured of expressions and conditions.
    pub(crate) fn size_of(&self, candidate: &Candidate, measured: &Measured) -> Option<IndexSize> {
        let column = |number: i16| {
            let column = self.columns.get(&number)?;
            column.key.is_some().then_some(&column.content)
        };
        let keys: Vec<&Content> = candidate
            .keys
            .iter()
            .map(|key| match &key.of {
                Of::Column(number) => column(*number),
                Of::Expression(expression) => measured.content(&expression.sql),
            })
            .collect::<Option<_>>()?;
        let included: Vec<&Content> = candidate
            .included
            .iter()
            .map(|number| column(*number))
            .collect::<Option<_>>()?;
        let Some(predicate) = &candidate.predicate else {
            return Some(column::size(self.rows, &keys, &included));
        };
        let share = self.share(&predicate.sql, measured)?;
        let some: Vec<Content> = keys
            .iter()
            .map(|key| key.of_share(share, self.rows))
            .collect();
        let keys: Vec<&Content> = some.iter().collect();
        Some(column::size(share * self.rows, &keys, &included))
    }

    /// Share of the rows that meet a condition.
    pub(crate) fn share(&self, condition: &str, measured: &Measured) -> Option<f64> {
        let listed = self.facts.mostly_null.iter();
        let by_statistics = listed
            .filter(|(_, expression)| &*expression.sql == condition)
            .find_map(|(column, _)| Some(1.0 - self.columns.get(column)?.null_share));
        by_statistics.or_else(|| Some(measured.share(condition)?.share()))
    }
}

/// Of each of these tables the partitioned ones among them that it is a part of.
pub(crate) fn ancestors(tables: &[u32]) -> BTreeMap<u32, Vec<u32>> {
    let oids: Vec<pg_sys::Oid> = tables.iter().copied().map(pg_sys::Oid::from).collect();
    let query = "SELECT t.oid, a.relid::oid FROM unnest($1) t(oid) \
                 CROSS JOIN LATERAL pg_catalog.pg_partition_ancestors(t.oid) a \
                 WHERE a.relid <> t.oid AND a.relid = ANY ($1)";
    let mut found: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    Spi::connect(|client| {
        let what = "the partitioned tables";
        for row in spi(what, client.select(query, None, &[oids.into()])) {
            let of =
                |place| spi::<Option<pg_sys::Oid>>(what, row.get(place)).map(pg_sys::Oid::to_u32);
            if let (Some(part), Some(whole)) = (of(1), of(2)) {
                found.entry(part).or_default().push(whole);
            }
        }
    });
    found
}

fn load_leaves(parent: pg_sys::Oid) -> Option<Vec<Table>> {
    let mut leaves = Vec::new();
    for oid in family(parent) {
        // SAFETY: a catalogue look-up. The server skips foreign partitions too.
        if unsafe { pg_sys::get_rel_relkind(oid) } as u8 != b'r' {
            continue;
        }
        if leaves.len() >= MAX_LEAVES {
            return None;
        }
        leaves.push(Table::load(oid)?);
    }
    Some(leaves)
}

/// Pages and rows of a relation, as the planner takes them; `None` when it is gone.
pub(super) fn measure(oid: pg_sys::Oid) -> Option<(f64, f64)> {
    // SAFETY: the relation is opened with a lock and closed.
    unsafe {
        let relation = pg_sys::try_relation_open(oid, pg_sys::AccessShareLock as _);
        if relation.is_null() {
            return None;
        }
        let (mut pages, mut rows, mut visible) = (0, 0.0, 0.0);
        pg_sys::estimate_rel_size(
            relation,
            std::ptr::null_mut(),
            &mut pages,
            &mut rows,
            &mut visible,
        );
        pg_sys::relation_close(relation, pg_sys::AccessShareLock as _);
        Some((f64::from(pages), rows))
    }
}

/// Whether ANALYZE has looked at a column.
pub(super) fn has_statistics(table: pg_sys::Oid, column: i16) -> bool {
    // SAFETY: a system cache look-up, released.
    unsafe {
        let tuple = pg_sys::SearchSysCache3(
            pg_sys::SysCacheIdentifier::STATRELATTINH as _,
            pg_sys::Datum::from(table),
            pg_sys::Datum::from(column),
            pg_sys::Datum::from(false),
        );
        if tuple.is_null() {
            return false;
        }
        pg_sys::ReleaseSysCache(tuple);
        true
    }
}

/// Whether policies filter what the current role reads of a table.
pub(crate) fn hides_rows(table: pg_sys::Oid) -> bool {
    // SAFETY: a catalogue look-up that raises no error of its own.
    let enabled = unsafe { pg_sys::check_enable_rls(table, pg_sys::InvalidOid, true) };
    enabled == pg_sys::CheckEnableRlsResult::RLS_ENABLED as i32
}

/// The type that an operator class stores for a column of type `column`.
pub(super) fn key_type(class: pg_sys::Oid, column: pg_sys::Oid) -> pg_sys::Oid {
    // SAFETY: system cache look-ups; the tuple is released after its field was copied.
    unsafe {
        let tuple = pg_sys::SearchSysCache1(
            pg_sys::SysCacheIdentifier::CLAOID as _,
            pg_sys::Datum::from(class),
        );
        if tuple.is_null() {
            return column;
        }
        let stored = struct_of::<pg_sys::FormData_pg_opclass>(tuple).opckeytype;
        pg_sys::ReleaseSysCache(tuple);
        if stored == pg_sys::InvalidOid {
            column
        } else if stored == pg_sys::ANYELEMENTOID {
            pg_sys::get_base_element_type(column)
        } else {
            stored
        }
    }
}

/// Schemas whose tables are not advised on.
pub(crate) fn is_system(schema: &str) -> bool {
    matches!(
        schema,
        "pg_catalog" | "information_schema" | "pitcrew" | "pg_toast"
    ) || schema.starts_with("pg_temp_")
        || schema.starts_with("pg_toast_temp_")
}

pub(super) unsafe fn struct_of<'a, T>(tuple: pg_sys::HeapTuple) -> &'a T {
    // SAFETY: GETSTRUCT() of htup_details.h, for a tuple of the catalogue that T describes.
    unsafe {
        let header = (*tuple).t_data;
        &*header
            .cast::<u8>()
            .add(usize::from((*header).t_hoff))
            .cast::<T>()
    }
}
