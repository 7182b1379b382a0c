//! What the size of an index and its description for the planner depend on: a table's columns and statistics.

use std::collections::BTreeMap;

use pg_pitcrew_advisor::{
    ColumnWidth, IndexShape, IndexSize, distinct_pairs, index_size, is_covered,
};
use pgrx::prelude::*;

use super::hypothetical::Key;
use crate::failure::spi;
use crate::names;

/// Wider columns are left out: an index tuple must fit a third of a page (`BTMaxItemSize` is 2,704).
const MAX_WIDTH: f64 = 1000.0;
/// Values of a column's statistics that are looked at for their width.
const MAX_SAMPLE: usize = 64;
/// Support function 4 of a B-tree family says whether equal values are the same bytes.
const EQUAL_IMAGE: i16 = 4;

/// One column that can be a B-tree key.
#[derive(Debug, Clone)]
pub(crate) struct Column {
    /// Name, unquoted.
    pub(crate) name: String,
    key: Key,
    width: ColumnWidth,
    distinct: f64,
    is_equal_image: bool,
}

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
    /// Of its heap.
    pub(crate) pages: u32,
    columns: BTreeMap<i16, Column>,
    existing: Vec<Vec<i16>>,
}

impl Table {
    /// Reads a table; `None` when it cannot have an index built concurrently: a partitioned, foreign, temporary or
    /// system table, or one that is gone.
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
            let is_fit = matches!(kind, b'r' | b'm') && (*form).relpersistence as u8 != b't';
            if !is_fit || is_system(&schema) {
                pg_sys::relation_close(relation, pg_sys::AccessShareLock as _);
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
            let mut columns = BTreeMap::new();
            for number in 1..=(*form).relnatts {
                if let Some(column) = Column::load(oid, number, rows) {
                    columns.insert(number, column);
                }
            }
            pg_sys::relation_close(relation, pg_sys::AccessShareLock as _);
            Some(Self {
                oid,
                schema,
                name,
                rows,
                pages,
                columns,
                existing: existing(oid),
            })
        }
    }

    /// `schema.table`, quoted.
    pub(crate) fn qualified(&self) -> String {
        format!(
            "{}.{}",
            names::quote(&self.schema),
            names::quote(&self.name)
        )
    }

    /// Column names in index order; `None` when one of them cannot be a key.
    pub(crate) fn column_names(&self, numbers: &[i16]) -> Option<Vec<String>> {
        numbers
            .iter()
            .map(|number| self.columns.get(number).map(|column| column.name.clone()))
            .collect()
    }

    /// Key columns as the planner wants them.
    pub(crate) fn keys(&self, numbers: &[i16]) -> Option<Vec<Key>> {
        numbers
            .iter()
            .map(|number| self.columns.get(number).map(|column| column.key))
            .collect()
    }

    /// Its rows, as the planner takes them.
    pub(crate) fn rows(&self) -> f64 {
        self.rows
    }

    /// Whether an index that is there begins with these columns.
    pub(crate) fn has_index(&self, numbers: &[i16]) -> bool {
        self.existing
            .iter()
            .any(|existing| is_covered(numbers, existing))
    }

    /// The size that such an index would have.
    pub(crate) fn index_size(&self, keys: &[i16], included: &[i16]) -> Option<IndexSize> {
        let columns = |numbers: &[i16]| -> Option<Vec<&Column>> {
            numbers
                .iter()
                .map(|number| self.columns.get(number))
                .collect()
        };
        let (mut columns, included) = (columns(keys)?, columns(included)?);
        let distinct = match columns.as_slice() {
            [] => return None,
            [first] => first.distinct,
            [first, rest @ ..] => rest.iter().fold(first.distinct, |distinct, next| {
                distinct_pairs(distinct, next.distinct, self.rows)
            }),
        };
        // What is only stored keeps the server from it altogether (`_bt_allequalimage`).
        let deduplicates =
            included.is_empty() && columns.iter().all(|column| column.is_equal_image);
        columns.extend(included);
        Some(index_size(&IndexShape {
            rows: self.rows,
            columns: columns.iter().map(|column| column.width.clone()).collect(),
            distinct,
            deduplicates,
        }))
    }
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
pub(super) fn hides_rows(table: pg_sys::Oid) -> bool {
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

/// Key columns of the valid, whole-table B-trees of a table, up to the first expression.
fn existing(table: pg_sys::Oid) -> Vec<Vec<i16>> {
    Spi::connect(|client| {
        let query = include_str!("../../sql/queries/existing_indexes.sql");
        let rows = spi("pg_index", client.select(query, None, &[table.into()]));
        rows.filter_map(|row| spi::<Option<Vec<i16>>>("pg_index", row.get(1)))
            .collect()
    })
}

impl Column {
    unsafe fn load(table: pg_sys::Oid, number: i16, rows: f64) -> Option<Self> {
        // SAFETY: system cache look-ups; each tuple is released after what is needed was copied.
        unsafe {
            let tuple = pg_sys::SearchSysCache2(
                pg_sys::SysCacheIdentifier::ATTNUM as _,
                pg_sys::Datum::from(table),
                pg_sys::Datum::from(number),
            );
            if tuple.is_null() {
                return None;
            }
            let form = *struct_of::<pg_sys::FormData_pg_attribute>(tuple);
            let name = names::text(form.attname.data.as_ptr());
            pg_sys::ReleaseSysCache(tuple);
            if form.attisdropped {
                return None;
            }
            let class = pg_sys::GetDefaultOpClass(form.atttypid, pg_sys::BTREE_AM_OID);
            if class == pg_sys::InvalidOid {
                return None;
            }
            let family = pg_sys::get_opclass_family(class);
            let input_type = pg_sys::get_opclass_input_type(class);
            let key = Key {
                number,
                type_oid: form.atttypid,
                typmod: form.atttypmod,
                collation: form.attcollation,
                index_collation: form.attcollation,
                family,
                input_type,
                reverse: false,
                nulls_first: false,
            };
            let statistics = Statistics::load(table, number, &form, rows);
            let mean = statistics.mean_width;
            if mean > MAX_WIDTH {
                return None;
            }
            Some(Self {
                name: name?,
                key,
                width: statistics.width,
                distinct: statistics.distinct,
                is_equal_image: is_equal_image(family, input_type, form.attcollation),
            })
        }
    }
}

/// Whether the server's build would deduplicate this column (`_bt_allequalimage`).
pub(super) fn is_equal_image(
    family: pg_sys::Oid,
    input_type: pg_sys::Oid,
    collation: pg_sys::Oid,
) -> bool {
    // SAFETY: the support function takes the type's OID and answers a boolean.
    unsafe {
        let function = pg_sys::get_opfamily_proc(family, input_type, input_type, EQUAL_IMAGE);
        function != pg_sys::InvalidOid
            && pg_sys::OidFunctionCall1Coll(function, collation, pg_sys::Datum::from(input_type))
                .value()
                != 0
    }
}

struct Statistics {
    width: ColumnWidth,
    mean_width: f64,
    distinct: f64,
}

impl Statistics {
    unsafe fn load(
        table: pg_sys::Oid,
        number: i16,
        form: &pg_sys::FormData_pg_attribute,
        rows: f64,
    ) -> Self {
        let align = match form.attalign as u8 {
            b'd' => 8.0,
            b'i' => 4.0,
            b's' => 2.0,
            _ => 1.0,
        };
        // SAFETY: the statistics tuple is released after its values were looked at.
        unsafe {
            let tuple = pg_sys::SearchSysCache3(
                pg_sys::SysCacheIdentifier::STATRELATTINH as _,
                pg_sys::Datum::from(table),
                pg_sys::Datum::from(number),
                pg_sys::Datum::from(false),
            );
            if tuple.is_null() {
                let width = if form.attlen > 0 {
                    f64::from(form.attlen)
                } else {
                    f64::from(pg_sys::get_typavgwidth(form.atttypid, form.atttypmod))
                };
                let column = if form.attlen > 0 {
                    ColumnWidth::Fixed(width, align)
                } else {
                    ColumnWidth::Sampled(vec![(1.0, width)])
                };
                return Self {
                    width: column,
                    mean_width: width,
                    distinct: rows.max(1.0),
                };
            }
            let statistics = *struct_of::<pg_sys::FormData_pg_statistic>(tuple);
            let declared = f64::from(statistics.stadistinct);
            let distinct = if declared > 0.0 {
                declared
            } else if declared < 0.0 {
                -declared * rows
            } else {
                rows
            };
            let mean = f64::from(statistics.stawidth);
            let width = if form.attlen > 0 {
                ColumnWidth::Fixed(f64::from(form.attlen), align)
            } else {
                sampled_widths(tuple, form, mean)
            };
            pg_sys::ReleaseSysCache(tuple);
            Self {
                width,
                mean_width: mean,
                distinct: distinct.max(1.0),
            }
        }
    }
}

/// Widths of the most common values and of the histogram's bounds; the mean where there are none.
unsafe fn sampled_widths(
    tuple: pg_sys::HeapTuple,
    form: &pg_sys::FormData_pg_attribute,
    mean: f64,
) -> ColumnWidth {
    let mut values: Vec<(f64, f64)> = Vec::new();
    let mut common = 0.0;
    // SAFETY: the slots are filled by the server and freed; array elements are whole varlenas.
    unsafe {
        for kind in [pg_sys::STATISTIC_KIND_MCV, pg_sys::STATISTIC_KIND_HISTOGRAM] {
            let mut slot = pg_sys::AttStatsSlot::default();
            // A histogram has no frequencies, and asking for them is an error.
            let flags = if kind == pg_sys::STATISTIC_KIND_MCV {
                pg_sys::ATTSTATSSLOT_VALUES | pg_sys::ATTSTATSSLOT_NUMBERS
            } else {
                pg_sys::ATTSTATSSLOT_VALUES
            };
            if form.attlen != -1
                || !pg_sys::get_attstatsslot(
                    &mut slot,
                    tuple,
                    kind as i32,
                    pg_sys::InvalidOid,
                    flags as i32,
                )
            {
                continue;
            }
            let count = (slot.nvalues as usize).min(MAX_SAMPLE);
            let step = (slot.nvalues as usize / MAX_SAMPLE).max(1);
            for position in 0..count {
                let datum = *slot.values.add(position * step);
                let payload =
                    pgrx::varsize_any_exhdr(datum.cast_mut_ptr::<pg_sys::varlena>()) as f64;
                // Short values keep a one-byte header in the index.
                let bytes = if payload <= 126.0 {
                    payload + 1.0
                } else {
                    payload + 4.0
                };
                if kind == pg_sys::STATISTIC_KIND_MCV {
                    let share = if position * step < slot.nnumbers as usize {
                        f64::from(*slot.numbers.add(position * step))
                    } else {
                        0.0
                    };
                    common += share;
                    values.push((share, bytes));
                } else {
                    values.push(((1.0 - common).max(0.0) / count as f64, bytes));
                }
            }
            pg_sys::free_attstatsslot(&mut slot);
        }
    }
    if values.iter().map(|(share, _)| share).sum::<f64>() > 0.0 {
        ColumnWidth::Sampled(values)
    } else {
        ColumnWidth::Sampled(vec![(1.0, mean)])
    }
}

unsafe fn struct_of<'a, T>(tuple: pg_sys::HeapTuple) -> &'a T {
    // SAFETY: GETSTRUCT() of htup_details.h, for a tuple of the catalogue that T describes.
    unsafe {
        let header = (*tuple).t_data;
        &*header
            .cast::<u8>()
            .add(usize::from((*header).t_hoff))
            .cast::<T>()
    }
}
