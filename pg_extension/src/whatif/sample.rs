//! Rows of a table, sampled with the rights of the current role.

use std::hash::{DefaultHasher, Hash};

use pgrx::prelude::*;

use super::hypothetical::Key;
use super::statistics::Values;
use crate::names;
use crate::workload::analysis::{self, Context};
use crate::workload::skip::Skip;
use crate::workload::source::Source;

// A header that pgrx does not bind.
unsafe extern "C-unwind" {
    fn toast_compress_datum(value: pg_sys::Datum, method: std::ffi::c_char) -> pg_sys::Datum;
}

/// Rows that are enough: what ANALYZE takes for 100 buckets.
pub(super) const ROWS: f64 = 30_000.0;
/// A table of up to so many is read whole.
const WHOLE_ROWS: f64 = 1.5 * ROWS;
/// Larger values are compressed in an index tuple, where that makes them smaller (`TOAST_INDEX_TARGET`).
const COMPRESS_OVER: usize = 508;

/// A sample of a table's rows.
pub(super) struct Sample {
    /// Rows that were looked at.
    pub(super) seen: usize,
    /// Whether these are all.
    pub(super) is_whole: bool,
    /// Values of each column, of the rows that meet the predicate.
    pub(super) columns: Vec<Values>,
}

impl Sample {
    /// Rows that meet the predicate.
    pub(super) fn kept(&self) -> usize {
        self.columns.first().map_or(0, |column| column.values.len())
    }
}

/// What a sample is taken of.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) table: pg_sys::Oid,
    /// As SQL.
    pub(super) columns: &'a [String],
    /// Only of rows that meet it.
    pub(super) predicate: Option<&'a str>,
    /// Of the table.
    pub(super) pages: f64,
    /// Of the table.
    pub(super) rows: f64,
    /// About how many rows.
    pub(super) enough: f64,
}

/// Reads a sample of single rows and hands it to `work`, which must not keep a value.
///
/// Whole pages would not do: rows that lie together are alike, and the number of different values comes out far too small.
/// Call inside `guarded`, after `analysis::enter`: the expressions run.
pub(super) fn take<R>(
    wanted: Wanted<'_>,
    context: &Context,
    work: impl FnOnce(Sample) -> R,
) -> Result<R, String> {
    let Wanted {
        table,
        columns,
        predicate,
        pages,
        rows,
        enough,
    } = wanted;
    let is_whole = rows <= WHOLE_ROWS;
    let clause = if is_whole {
        String::new()
    } else if pages <= 2.0 * enough {
        format!(
            " TABLESAMPLE BERNOULLI ({}) REPEATABLE (1)",
            100.0 * enough / rows
        )
    } else {
        // About one row a page, of as many pages as there are rows to be taken.
        let share = enough / pages;
        format!(
            " TABLESAMPLE SYSTEM ({}) REPEATABLE (1) WHERE random() < {}",
            100.0 * share,
            enough / (rows * share)
        )
    };
    let name = names::qualified(table).ok_or("the table is gone")?;
    let text = format!(
        "SELECT {}{} FROM ONLY {name}{clause}",
        predicate.map_or_else(
            || "true".to_owned(),
            |predicate| format!("{predicate} IS TRUE")
        ),
        columns
            .iter()
            .map(|column| format!(", {column}"))
            .collect::<String>(),
    );
    let text = names::c_string(&text).map_err(|failure| failure.message)?;
    // With the policies that the current role is under: their functions run too.
    if let Err(Skip::Because(reason)) = analysis::analyse(&Source::plain(text.clone()), context) {
        return Err(reason);
    }
    // SAFETY: results are read before SPI_finish; an error on the way ends with the subtransaction.
    unsafe {
        pg_sys::SPI_connect();
        let code = pg_sys::SPI_execute(text.as_ptr(), true, 0);
        if code != pg_sys::SPI_OK_SELECT as i32 {
            pg_sys::SPI_finish();
            return Err(format!("a sample could not be read (SPI {code})"));
        }
        let table = &*pg_sys::SPI_tuptable;
        // What is taken for another type's value is read as an address.
        if (*table.tupdesc).natts as usize != columns.len() + 1 {
            pg_sys::SPI_finish();
            return Err("an expression has more than one column".to_owned());
        }
        let seen = table.numvals as usize;
        let mut found: Vec<Values> = columns
            .iter()
            .map(|_| Values {
                values: Vec::with_capacity(seen),
                nulls: Vec::with_capacity(seen),
            })
            .collect();
        let mut is_null = false;
        for row in 0..seen {
            let tuple = *table.vals.add(row);
            let keeps = pg_sys::SPI_getbinval(tuple, table.tupdesc, 1, &mut is_null);
            if keeps.value() & 0xff == 0 {
                continue;
            }
            for (position, column) in found.iter_mut().enumerate() {
                let value =
                    pg_sys::SPI_getbinval(tuple, table.tupdesc, position as i32 + 2, &mut is_null);
                column.values.push(value);
                column.nulls.push(is_null);
            }
        }
        let result = work(Sample {
            seen,
            is_whole,
            columns: found,
        });
        pg_sys::SPI_finish();
        Ok(result)
    }
}

/// How values of a type lie in an index tuple.
pub(super) struct Layout {
    length: i16,
    by_value: bool,
    align: usize,
    is_name: bool,
}

impl Layout {
    pub(super) fn of(type_oid: pg_sys::Oid) -> Self {
        let (mut length, mut by_value, mut align) = (0, false, 0);
        // SAFETY: a catalogue look-up for a type that exists.
        unsafe {
            pg_sys::get_typlenbyvalalign(type_oid, &mut length, &mut by_value, &mut align);
        }
        Self {
            length,
            by_value,
            align: match align as u8 {
                b'd' => 8,
                b'i' => 4,
                b's' => 2,
                _ => 1,
            },
            is_name: type_oid == pg_sys::NAMEOID,
        }
    }

    pub(super) fn of_key(key: &Key) -> Self {
        Self::of(key.type_oid)
    }

    /// Bytes and alignment, where all values of the type have the same.
    pub(super) fn fixed(&self) -> Option<(f64, f64)> {
        let is_fixed = self.length > 0 && !self.is_name;
        is_fixed.then_some((f64::from(self.length), self.align as f64))
    }

    /// Bytes and alignment in an index tuple; the value's own bytes go into `hasher`.
    ///
    /// # Safety
    /// `value` is a valid value of the type, not NULL.
    pub(super) unsafe fn bytes(
        &self,
        value: pg_sys::Datum,
        hasher: &mut DefaultHasher,
    ) -> (usize, usize) {
        // SAFETY: the caller's promise; what is copied is freed.
        unsafe {
            if self.by_value {
                value.value().hash(hasher);
                return (self.length as usize, self.align);
            }
            let pointer = value.cast_mut_ptr::<u8>();
            if self.is_name || self.length == -2 {
                let text = std::ffi::CStr::from_ptr(pointer.cast()).to_bytes_with_nul();
                text.hash(hasher);
                return (text.len(), 1);
            }
            if self.length > 0 {
                std::slice::from_raw_parts(pointer, self.length as usize).hash(hasher);
                return (self.length as usize, self.align);
            }
            let packed = pg_sys::pg_detoast_datum_packed(pointer.cast());
            let payload = pgrx::varsize_any_exhdr(packed);
            std::slice::from_raw_parts(pgrx::vardata_any(packed).cast::<u8>(), payload)
                .hash(hasher);
            // Short values have a header of one byte and no alignment.
            let (mut bytes, mut align) = (payload + 4, self.align);
            if payload <= 126 {
                (bytes, align) = (payload + 1, 1);
            } else if payload > COMPRESS_OVER {
                let whole = pg_sys::pg_detoast_datum(packed);
                let datum = pg_sys::Datum::from(whole.cast::<std::ffi::c_void>());
                let smaller =
                    pg_sys::ffi::pg_guard_ffi_boundary(|| toast_compress_datum(datum, b'p' as _));
                if smaller.value() != 0 {
                    bytes = pgrx::varsize_any(smaller.cast_mut_ptr::<pg_sys::varlena>());
                    pg_sys::pfree(smaller.cast_mut_ptr());
                }
                if whole != packed {
                    pg_sys::pfree(whole.cast());
                }
            }
            // A value that lay outside its row: no more than one is held.
            if packed != pointer.cast() {
                pg_sys::pfree(packed.cast());
            }
            (bytes, align)
        }
    }
}
