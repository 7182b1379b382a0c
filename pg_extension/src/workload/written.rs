//! What a statement writes: read off its parsed text, nothing of it is analysed or planned.

use std::ffi::CStr;

use pg_pitcrew_advisor::Change;
use pgrx::prelude::*;

use crate::lists::pointers;
use crate::names;

/// The table that a statement writes, and what it does to its rows; `None` for what writes none, and for a MERGE, whose
/// parts cannot be told apart by their rows.
///
/// Call inside `guarded`: a text that does not parse raises an error.
pub(crate) fn written(text: &CStr) -> Option<(pg_sys::Oid, Change)> {
    // SAFETY: everything is allocated in the current context; casts follow the nodes' tags.
    unsafe {
        let &[raw] = pointers::<pg_sys::RawStmt>(pg_sys::pg_parse_query(text.as_ptr())) else {
            return None;
        };
        let statement = (*raw).stmt;
        match (*statement).type_ {
            pg_sys::NodeTag::T_InsertStmt => {
                let insert = statement.cast::<pg_sys::InsertStmt>();
                Some((table((*insert).relation)?, Change::Insert))
            }
            pg_sys::NodeTag::T_DeleteStmt => {
                let delete = statement.cast::<pg_sys::DeleteStmt>();
                Some((table((*delete).relation)?, Change::Delete))
            }
            pg_sys::NodeTag::T_UpdateStmt => {
                let update = statement.cast::<pg_sys::UpdateStmt>();
                let table = table((*update).relation)?;
                let set = pointers::<pg_sys::ResTarget>((*update).targetList).iter();
                let numbers = set.filter_map(|target| {
                    let number = pg_sys::get_attnum(table, (**target).name);
                    (number > 0).then_some(number)
                });
                Some((table, Change::Update(numbers.collect())))
            }
            _ => None,
        }
    }
}

unsafe fn table(relation: *mut pg_sys::RangeVar) -> Option<pg_sys::Oid> {
    // SAFETY: no lock is taken, and a table that is gone has no number.
    let oid = unsafe {
        pg_sys::RangeVarGetRelidExtended(
            relation,
            pg_sys::NoLock as pg_sys::LOCKMODE,
            pg_sys::RVROption::RVR_MISSING_OK,
            None,
            std::ptr::null_mut(),
        )
    };
    let is_user_s =
        names::relation(oid).is_some_and(|(schema, _)| !crate::whatif::table::is_system(&schema));
    (oid != pg_sys::InvalidOid && is_user_s).then_some(oid)
}
