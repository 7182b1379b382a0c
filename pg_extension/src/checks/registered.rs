//! A query's rows as an ephemeral named relation, as triggers have their transition tables: later queries of the same
//! SPI connection read it by its name, and nothing is written to the catalogue or to disk beyond `work_mem`.

use std::ffi::CString;

use pgrx::prelude::*;

use crate::names;
use crate::whatif::guarded::{Caught, guarded};

/// Memory of one collection, in KiB: 40,000 indexes take half of it, more rows go to a temporary file.
const KEPT_KB: i32 = 32 * 1024;

/// A collection that later queries read. Its rows may lie in a temporary file, which only [`end`](Self::end) gives back
/// before the transaction does.
pub(super) struct Registered(*mut pg_sys::Tuplestorestate);

impl Registered {
    /// After the last query that reads it.
    pub(super) fn end(self) {
        // SAFETY: `register` made it, and nobody else ends it.
        unsafe { pg_sys::tuplestore_end(self.0) };
    }
}

/// Runs `query` in a subtransaction and keeps its rows under `name` until the SPI connection ends. `prepare` is called
/// first, inside the subtransaction.
///
/// To be called between SPI's connect and finish.
pub(super) fn register(name: &str, query: &str, prepare: fn()) -> Result<Registered, Caught> {
    let (name, query) = (c_string(name), c_string(query));
    // SAFETY: memory and tuplestore are made in the caller's context and resource owner, so that they outlive the
    // subtransaction, which only puts copies of rows into them; SPI frees the context when the connection ends.
    unsafe {
        let context = pg_sys::CurrentMemoryContext;
        let store = pg_sys::tuplestore_begin_heap(false, false, KEPT_KB);
        let kept = guarded(|| {
            prepare();
            let code = pg_sys::SPI_execute(query.as_ptr(), true, 0);
            assert_eq!(
                code,
                pg_sys::SPI_OK_SELECT as i32,
                "a collection is a SELECT"
            );
            let table = pg_sys::SPI_tuptable;
            let rows = (*table).numvals as usize;
            for row in 0..rows {
                pg_sys::tuplestore_puttuple(store, *(*table).vals.add(row));
            }
            let scratch = pg_sys::MemoryContextSwitchTo(context);
            let descriptor = pg_sys::CreateTupleDescCopy((*table).tupdesc);
            pg_sys::MemoryContextSwitchTo(scratch);
            pg_sys::SPI_freetuptable(table);
            (descriptor, rows)
        });
        let (descriptor, rows) = match kept {
            Ok(kept) => kept,
            Err(caught) => {
                pg_sys::tuplestore_end(store);
                return Err(caught);
            }
        };
        let relation = pg_sys::palloc0(size_of::<pg_sys::EphemeralNamedRelationData>())
            .cast::<pg_sys::EphemeralNamedRelationData>();
        (*relation).md.name = pg_sys::pstrdup(name.as_ptr());
        (*relation).md.reliddesc = pg_sys::InvalidOid;
        (*relation).md.tupdesc = descriptor;
        (*relation).md.enrtype = pg_sys::EphemeralNameRelationType::ENR_NAMED_TUPLESTORE;
        (*relation).md.enrtuples = rows as f64;
        (*relation).reldata = store.cast();
        let code = pg_sys::SPI_register_relation(relation);
        assert_eq!(
            code,
            pg_sys::SPI_OK_REL_REGISTER as i32,
            "each name is registered once"
        );
        Ok(Registered(store))
    }
}

/// Our own texts hold no NUL.
fn c_string(text: &str) -> CString {
    names::c_string(text).unwrap_or_default()
}
