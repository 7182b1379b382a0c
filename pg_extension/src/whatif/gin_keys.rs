//! The keys that a GIN index would have, by its operator class' own function.

use std::ffi::c_void;
use std::hash::{DefaultHasher, Hash, Hasher};

use pg_pitcrew_advisor::{Frequencies, GinKey, groups};
use pgrx::PgMemoryContexts;
use pgrx::prelude::*;

use super::definition::Part;
use super::sample::{Layout, Sample};
use super::table;

/// Support function 2 of a GIN operator class takes the keys out of a value.
const EXTRACT_VALUE: i16 = 2;

/// The keys of a GIN index and how many rows hold each.
pub(super) fn gin_keys(part: &Part, sample: &Sample, scale: f64) -> Result<Vec<GinKey>, String> {
    let mut seen = Frequencies::default();
    for (position, key) in part.index.columns.iter().enumerate() {
        // SAFETY: the support function takes a value, a count and null flags, and answers an array of keys.
        unsafe {
            let function = pg_sys::get_opfamily_proc(
                key.family,
                key.input_type,
                key.input_type,
                EXTRACT_VALUE,
            );
            if function == pg_sys::InvalidOid {
                return Err("the operator class takes no keys out of a value".to_owned());
            }
            let layout = Layout::of(table::key_type(part.classes[position], key.type_oid));
            let column = &sample.columns[position];
            let mut flinfo = pg_sys::FmgrInfo::default();
            pg_sys::fmgr_info(function, &mut flinfo);
            // Values may be large, and their keys many: no more than one row's is held.
            let mut scratch = PgMemoryContexts::new("pitcrew keys of a row");
            for (value, _) in column
                .values
                .iter()
                .zip(&column.nulls)
                .filter(|(_, null)| !**null)
            {
                pgrx::check_for_interrupts!();
                scratch.switch_to(|_| {
                    let (mut count, mut flags) = (0_i32, std::ptr::null_mut::<bool>());
                    let found = pg_sys::FunctionCall3Coll(
                        &mut flinfo,
                        key.index_collation,
                        *value,
                        pg_sys::Datum::from((&raw mut count).cast::<c_void>()),
                        pg_sys::Datum::from((&raw mut flags).cast::<c_void>()),
                    );
                    let mut of_row = std::collections::BTreeMap::new();
                    for at in 0..usize::try_from(count).unwrap_or(0) {
                        if !flags.is_null() && *flags.add(at) {
                            continue;
                        }
                        let mut hasher = DefaultHasher::new();
                        position.hash(&mut hasher);
                        let key = *found.cast_mut_ptr::<pg_sys::Datum>().add(at);
                        let bytes = layout.bytes(key, &mut hasher).0;
                        of_row.insert(hasher.finish(), bytes);
                    }
                    for (key, bytes) in of_row {
                        seen.add(key, bytes as f64);
                    }
                });
                scratch.reset();
            }
        }
    }
    let all = seen.rows() as f64 * scale;
    let keys = groups(&seen, all).into_iter().map(|group| GinKey {
        values: group.values,
        rows: group.rows,
        bytes: group.tuple,
    });
    Ok(keys.collect())
}
