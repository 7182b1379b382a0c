//! A column as an index would have it, by its statistics.

use pg_pitcrew_advisor::{
    ColumnWidth, Group, HashShape, IndexShape, IndexSize, WORTH_DEDUPLICATING, distinct_pairs,
    hash_size, index_size,
};
use pgrx::prelude::*;

use super::hypothetical::Key;
use super::table::struct_of;
use crate::names;
use crate::workload::trust::FIRST_USER_OID;

/// Wider columns are no keys of a B-tree: an index tuple must fit a third of a page (`BTMaxItemSize` is 2,704).
const MAX_WIDTH: f64 = 1000.0;
/// Values of a column's statistics that are looked at for their width.
const MAX_SAMPLE: usize = 64;
/// Support function 4 of a B-tree family says whether equal values are the same bytes.
const EQUAL_IMAGE: i16 = 4;

/// What an index would hold of a column or an expression.
#[derive(Debug, Clone)]
pub(crate) struct Content {
    /// Bytes of a value.
    pub(super) width: ColumnWidth,
    /// Different values.
    pub(super) distinct: f64,
    /// Equal values are the same bytes.
    pub(super) is_equal_image: bool,
    /// Share of the rows of whose values it is known how many rows each has.
    pub(super) known: f64,
}

impl Content {
    /// What of it is in a share of the rows, taken at random.
    pub(super) fn of_share(&self, share: f64, rows: f64) -> Self {
        let each = rows / self.distinct.max(1.0);
        let is_in = -(-share * each).exp_m1();
        Self {
            distinct: (self.distinct * is_in).clamp(1.0, (share * rows).max(1.0)),
            ..self.clone()
        }
    }
}

/// A column of a table.
#[derive(Debug, Clone)]
pub(crate) struct Column {
    /// Name, unquoted.
    pub(crate) name: String,
    /// As the key of a B-tree; `None` where it cannot be one.
    pub(super) key: Option<Key>,
    pub(super) content: Content,
    /// Share of NULLs.
    pub(super) null_share: f64,
    /// Between its order and that of the rows, from -1 to 1.
    pub(super) correlation: f64,
    /// There are hash indexes on its type.
    is_hashable: bool,
    mean_width: f64,
}

impl Column {
    /// A column of a table of so many rows; `None` where it was dropped. Statistics `with_children` are those of a parent.
    pub(super) unsafe fn load(
        table: pg_sys::Oid,
        number: i16,
        rows: f64,
        with_children: bool,
    ) -> Option<Self> {
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
            let statistics = Statistics::load(table, number, &form, rows, with_children);
            let mean_width = statistics.mean_width;
            let fits =
                class != pg_sys::InvalidOid && mean_width <= MAX_WIDTH && !statistics.is_too_wide;
            let key = fits.then(|| Key {
                number,
                type_oid: form.atttypid,
                typmod: form.atttypmod,
                collation: form.attcollation,
                index_collation: form.attcollation,
                family: pg_sys::get_opclass_family(class),
                input_type: pg_sys::get_opclass_input_type(class),
                reverse: false,
                nulls_first: false,
            });
            let is_equal_image = key
                .is_some_and(|key| is_equal_image(key.family, key.input_type, form.attcollation));
            let hash = pg_sys::GetDefaultOpClass(form.atttypid, pg_sys::HASH_AM_OID);
            Some(Self {
                name: name?,
                key,
                content: Content {
                    width: statistics.width,
                    distinct: statistics.distinct,
                    is_equal_image,
                    known: statistics.known,
                },
                null_share: statistics.null_share,
                correlation: statistics.correlation,
                is_hashable: hash != pg_sys::InvalidOid,
                mean_width,
            })
        }
    }

    /// Bytes of a hash index on it for each byte of a B-tree; none where there is no hash index, 0 where there is no B-tree.
    pub(super) fn hash_share(&self, rows: f64) -> Option<f64> {
        /// Shorter values take no more room in a B-tree than their hash does.
        const LONGER_THAN: f64 = 20.0;
        if !self.is_hashable {
            return None;
        }
        if self.key.is_none() {
            return Some(0.0);
        }
        if self.mean_width <= LONGER_THAN {
            return None;
        }
        let distinct = self.content.distinct.min(rows).max(1.0);
        let hash = hash_size(&HashShape {
            rows,
            table_rows: rows,
            groups: vec![Group {
                values: distinct,
                rows: rows / distinct,
                tuple: 0.0,
            }],
            fill_percent: None,
        });
        let btree = size(rows, &[&self.content], &[]);
        Some(hash.bytes() as f64 / btree.bytes() as f64)
    }
}

/// Different keys, as if each column's values were spread over those of the others.
pub(super) fn distinct(rows: f64, keys: &[&Content]) -> f64 {
    match keys {
        [] => 1.0,
        [first, rest @ ..] => rest.iter().fold(first.distinct, |distinct, next| {
            distinct_pairs(distinct, next.distinct, rows)
        }),
    }
}

/// Whether hardly any value occurs twice: nothing is stored once for several rows then.
pub(super) fn is_nearly_unique(content: &Content, rows: f64) -> bool {
    content.distinct * WORTH_DEDUPLICATING > rows
}

/// The size of a B-tree on `keys` that stores `included` beside them.
pub(super) fn size(rows: f64, keys: &[&Content], included: &[&Content]) -> IndexSize {
    let distinct = distinct(rows, keys);
    // What is only stored keeps the server from it altogether (`_bt_allequalimage`).
    let deduplicates = included.is_empty() && keys.iter().all(|key| key.is_equal_image);
    let columns = keys.iter().chain(included);
    index_size(&IndexShape {
        rows,
        columns: columns.map(|content| content.width.clone()).collect(),
        distinct,
        deduplicates,
    })
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
        // Of the server's own: somebody else's would be run.
        (1..FIRST_USER_OID).contains(&function.to_u32())
            && pg_sys::OidFunctionCall1Coll(function, collation, pg_sys::Datum::from(input_type))
                .value()
                != 0
    }
}

struct Statistics {
    width: ColumnWidth,
    mean_width: f64,
    distinct: f64,
    null_share: f64,
    /// Share of the rows that are NULL or have one of the most common values.
    known: f64,
    /// Between the values' order and the rows'; 0 where it is not known.
    correlation: f64,
    /// All values were longer than ANALYZE looks at (`WIDTH_THRESHOLD`); its width is then that of what points at them.
    is_too_wide: bool,
}

impl Statistics {
    unsafe fn load(
        table: pg_sys::Oid,
        number: i16,
        form: &pg_sys::FormData_pg_attribute,
        rows: f64,
        with_children: bool,
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
                pg_sys::Datum::from(with_children),
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
                    null_share: 0.0,
                    known: 0.0,
                    correlation: 0.0,
                    is_too_wide: false,
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
            let correlation = numbers(tuple, pg_sys::STATISTIC_KIND_CORRELATION);
            let common = numbers(tuple, pg_sys::STATISTIC_KIND_MCV);
            let common: f64 = common.into_iter().map(f64::from).sum();
            pg_sys::ReleaseSysCache(tuple);
            Self {
                width,
                mean_width: mean,
                distinct: distinct.max(1.0),
                null_share: f64::from(statistics.stanullfrac),
                known: f64::from(statistics.stanullfrac) + common,
                correlation: correlation.first().copied().map_or(0.0, f64::from),
                is_too_wide: form.attlen == -1
                    && statistics.stanullfrac < 1.0
                    && rows > 1.0
                    && statistics.stakind1 == 0,
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

/// The correlation of a column's order with that of the rows; 0 where it is not known.
pub(super) fn correlation_of(table: pg_sys::Oid, number: i16) -> f64 {
    // SAFETY: a system cache look-up, released.
    unsafe {
        let tuple = pg_sys::SearchSysCache3(
            pg_sys::SysCacheIdentifier::STATRELATTINH as _,
            pg_sys::Datum::from(table),
            pg_sys::Datum::from(number),
            pg_sys::Datum::from(false),
        );
        if tuple.is_null() {
            return 0.0;
        }
        let found = numbers(tuple, pg_sys::STATISTIC_KIND_CORRELATION);
        pg_sys::ReleaseSysCache(tuple);
        found.first().copied().map_or(0.0, f64::from)
    }
}

/// The numbers of one kind of a column's statistics.
unsafe fn numbers(tuple: pg_sys::HeapTuple, kind: u32) -> Vec<f32> {
    let mut slot = pg_sys::AttStatsSlot::default();
    // SAFETY: the slot is filled by the server and freed after its numbers were copied.
    unsafe {
        let found = pg_sys::get_attstatsslot(
            &mut slot,
            tuple,
            kind as i32,
            pg_sys::InvalidOid,
            pg_sys::ATTSTATSSLOT_NUMBERS as i32,
        );
        if !found {
            return Vec::new();
        }
        let copied = if slot.numbers.is_null() {
            Vec::new()
        } else {
            std::slice::from_raw_parts(slot.numbers, slot.nnumbers as usize).to_vec()
        };
        pg_sys::free_attstatsslot(&mut slot);
        copied
    }
}
