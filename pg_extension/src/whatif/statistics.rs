//! Statistics of an expression, as ANALYZE would make them once an index has it (`do_analyze_rel`, `update_attstats`).

use std::rc::Rc;

use pgrx::prelude::*;

use super::hypothetical::Key;

/// A row of `pg_statistic` outside the server's memory: it outlives the subtransaction that it was made in.
#[derive(Debug)]
pub(crate) struct StoredTuple {
    /// Header and data, aligned as the server wants it.
    words: Vec<u64>,
    bytes: u32,
}

impl StoredTuple {
    /// Copies a tuple.
    unsafe fn store(tuple: pg_sys::HeapTuple) -> Self {
        // SAFETY: a valid tuple of t_len bytes.
        unsafe {
            let bytes = (*tuple).t_len;
            let mut words = vec![0_u64; (bytes as usize).div_ceil(8)];
            std::ptr::copy_nonoverlapping(
                (*tuple).t_data.cast::<u8>(),
                words.as_mut_ptr().cast::<u8>(),
                bytes as usize,
            );
            Self { words, bytes }
        }
    }

    /// A tuple in the current memory context that points at this one.
    ///
    /// # Safety
    /// The result is not used after `self` is gone.
    pub(super) unsafe fn tuple(&self) -> pg_sys::HeapTuple {
        // SAFETY: palloc'd and filled.
        unsafe {
            let tuple =
                pg_sys::palloc0(size_of::<pg_sys::HeapTupleData>()).cast::<pg_sys::HeapTupleData>();
            (*tuple).t_len = self.bytes;
            (*tuple).t_data = self.words.as_ptr().cast_mut().cast();
            tuple
        }
    }
}

/// Values of one expression for a sample of rows, in the order in which the rows lie in the table.
pub(super) struct Values {
    /// The values.
    pub(super) values: Vec<pg_sys::Datum>,
    /// Which of them are NULL.
    pub(super) nulls: Vec<bool>,
}

/// What ANALYZE would store for the expression; `None` where its type has nothing to store.
///
/// Call inside `guarded`: the type's own functions run.
pub(super) fn statistics(key: &Key, values: &mut Values, rows: f64) -> Option<Rc<StoredTuple>> {
    // SAFETY: the structure is filled as examine_attribute() fills it for an index expression.
    unsafe {
        let tuple = pg_sys::SearchSysCacheCopy(
            pg_sys::SysCacheIdentifier::TYPEOID as _,
            pg_sys::Datum::from(key.type_oid),
            pg_sys::Datum::from(0),
            pg_sys::Datum::from(0),
            pg_sys::Datum::from(0),
        );
        if tuple.is_null() {
            return None;
        }
        let form = (*tuple)
            .t_data
            .cast::<u8>()
            .add(usize::from((*(*tuple).t_data).t_hoff))
            .cast::<pg_sys::FormData_pg_type>();
        let stats =
            pg_sys::palloc0(size_of::<pg_sys::VacAttrStats>()).cast::<pg_sys::VacAttrStats>();
        let out = &mut *stats;
        crate::compat::set_statistics_target(out);
        out.attrtypid = key.type_oid;
        out.attrtypmod = key.typmod;
        out.attrtype = form;
        out.attrcollid = if key.index_collation == pg_sys::InvalidOid {
            key.collation
        } else {
            key.index_collation
        };
        out.anl_context = pg_sys::CurrentMemoryContext;
        for slot in 0..out.statypid.len() {
            out.statypid[slot] = key.type_oid;
            out.statyplen[slot] = (*form).typlen;
            out.statypbyval[slot] = (*form).typbyval;
            out.statypalign[slot] = (*form).typalign;
        }
        out.exprvals = values.values.as_mut_ptr();
        out.exprnulls = values.nulls.as_mut_ptr();
        out.rowstride = 1;
        let analyze = (*form).typanalyze;
        let fit = if analyze == pg_sys::InvalidOid {
            pg_sys::std_typanalyze(stats)
        } else {
            pg_sys::OidFunctionCall1Coll(
                analyze,
                pg_sys::InvalidOid,
                pg_sys::Datum::from(stats.cast::<std::ffi::c_void>()),
            )
            .value()
                != 0
        };
        let compute = (*stats).compute_stats.filter(|_| fit)?;
        let count = values.values.len() as i32;
        pg_sys::ffi::pg_guard_ffi_boundary(|| compute(stats, Some(fetch), count, rows));
        if !(*stats).stats_valid {
            return None;
        }
        Some(Rc::new(StoredTuple::store(row(stats))))
    }
}

/// `expr_fetch_func` of analyze.c.
#[pg_guard]
unsafe extern "C-unwind" fn fetch(
    stats: pg_sys::VacAttrStatsP,
    row: i32,
    is_null: *mut bool,
) -> pg_sys::Datum {
    // SAFETY: compute_stats asks for rows below the number that it was given.
    unsafe {
        *is_null = *(*stats).exprnulls.add(row as usize);
        *(*stats).exprvals.add(row as usize)
    }
}

/// The row of `pg_statistic`; whose it is, is not told.
unsafe fn row(stats: *const pg_sys::VacAttrStats) -> pg_sys::HeapTuple {
    // SAFETY: the catalogue is open while its descriptor is used; arrays are built in the current context.
    unsafe {
        let stats = &*stats;
        let slots = stats.stakind.len();
        let relation = pg_sys::table_open(
            pg_sys::StatisticRelationId,
            pg_sys::AccessShareLock as pg_sys::LOCKMODE,
        );
        let columns = (*(*relation).rd_att).natts as usize;
        let mut values = vec![pg_sys::Datum::from(0); columns];
        let mut nulls = vec![false; columns];
        let float = |value: f32| value.into_datum().unwrap_or(pg_sys::Datum::from(0));
        values[3] = float(stats.stanullfrac);
        values[4] = pg_sys::Datum::from(stats.stawidth);
        values[5] = float(stats.stadistinct);
        // Behind relation, column, inherit, null fraction, width and distinct: kind, operator, collation, numbers, values.
        for slot in 0..slots {
            values[6 + slot] = pg_sys::Datum::from(stats.stakind[slot]);
            values[6 + slots + slot] = pg_sys::Datum::from(stats.staop[slot]);
            values[6 + 2 * slots + slot] = pg_sys::Datum::from(stats.stacoll[slot]);
            let (numbers, array) = (6 + 3 * slots + slot, 6 + 4 * slots + slot);
            if stats.numnumbers[slot] > 0 {
                let mut datums: Vec<pg_sys::Datum> = (0..stats.numnumbers[slot] as usize)
                    .map(|at| float(*stats.stanumbers[slot].add(at)))
                    .collect();
                let built = pg_sys::construct_array(
                    datums.as_mut_ptr(),
                    stats.numnumbers[slot],
                    pg_sys::FLOAT4OID,
                    4,
                    true,
                    b'i' as _,
                );
                values[numbers] = pg_sys::Datum::from(built.cast::<std::ffi::c_void>());
            } else {
                nulls[numbers] = true;
            }
            if stats.numvalues[slot] > 0 {
                let built = pg_sys::construct_array(
                    stats.stavalues[slot],
                    stats.numvalues[slot],
                    stats.statypid[slot],
                    i32::from(stats.statyplen[slot]),
                    stats.statypbyval[slot],
                    stats.statypalign[slot],
                );
                values[array] = pg_sys::Datum::from(built.cast::<std::ffi::c_void>());
            } else {
                nulls[array] = true;
            }
        }
        let tuple =
            pg_sys::heap_form_tuple((*relation).rd_att, values.as_mut_ptr(), nulls.as_mut_ptr());
        pg_sys::table_close(relation, pg_sys::AccessShareLock as pg_sys::LOCKMODE);
        tuple
    }
}
