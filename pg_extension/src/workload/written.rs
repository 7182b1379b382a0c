//! What a statement writes: read off its parsed text, nothing of it is analysed or planned.

use std::ffi::CStr;

use pgrx::prelude::*;

use crate::lists::{oids, pointers};
use crate::names;

// A header that pgrx does not bind.
unsafe extern "C-unwind" {
    fn get_partition_ancestors(partition: pg_sys::Oid) -> *mut pg_sys::List;
}

/// What a statement, or a part of it, does to the rows of one table.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Part {
    pub(crate) table: pg_sys::Oid,
    pub(crate) act: Act,
    /// It stands in WITH: the statement's rows are those of another part.
    pub(crate) is_part: bool,
}

/// Columns are given by their numbers.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Act {
    Insert,
    /// Inserts, or updates these where the row is there.
    Upsert(Vec<i16>),
    Update(Vec<i16>),
    Delete,
}

/// The tables that a statement writes; a partition's are those of its parents too. A MERGE is left out, for its parts cannot be
/// told apart by their rows.
///
/// Call inside `guarded`: a text that does not parse raises an error.
pub(crate) fn written(text: &CStr) -> Vec<Part> {
    let mut found = Vec::new();
    // SAFETY: everything is allocated in the current context; casts follow the nodes' tags.
    unsafe {
        if let &[raw] = pointers::<pg_sys::RawStmt>(pg_sys::pg_parse_query(text.as_ptr())) {
            of_node((*raw).stmt, false, &mut found);
        }
    }
    found
}

unsafe fn of_node(node: *mut pg_sys::Node, is_part: bool, found: &mut Vec<Part>) {
    use pg_sys::NodeTag;
    if node.is_null() {
        return;
    }
    // SAFETY: casts follow the node's tag.
    unsafe {
        let mut add = |relation, act: &dyn Fn(pg_sys::Oid) -> Act| {
            let Some(table) = table(relation) else { return };
            for table in with_parents(table) {
                found.push(Part {
                    table,
                    act: act(table),
                    is_part,
                });
            }
        };
        let with = match (*node).type_ {
            NodeTag::T_InsertStmt => {
                let insert = node.cast::<pg_sys::InsertStmt>();
                let conflict = (*insert).onConflictClause;
                let updates = !conflict.is_null()
                    && (*conflict).action == pg_sys::OnConflictAction::ONCONFLICT_UPDATE;
                add((*insert).relation, &|table| {
                    if updates {
                        Act::Upsert(set((*conflict).targetList, table))
                    } else {
                        Act::Insert
                    }
                });
                (*insert).withClause
            }
            NodeTag::T_DeleteStmt => {
                let delete = node.cast::<pg_sys::DeleteStmt>();
                add((*delete).relation, &|_| Act::Delete);
                (*delete).withClause
            }
            NodeTag::T_UpdateStmt => {
                let update = node.cast::<pg_sys::UpdateStmt>();
                add((*update).relation, &|table| {
                    Act::Update(set((*update).targetList, table))
                });
                (*update).withClause
            }
            NodeTag::T_CopyStmt => {
                let copy = node.cast::<pg_sys::CopyStmt>();
                if (*copy).is_from && !(*copy).relation.is_null() {
                    add((*copy).relation, &|_| Act::Insert);
                }
                return;
            }
            // As pg_stat_statements keeps what EXECUTE runs.
            NodeTag::T_PrepareStmt => {
                of_node((*node.cast::<pg_sys::PrepareStmt>()).query, is_part, found);
                return;
            }
            NodeTag::T_SelectStmt => (*node.cast::<pg_sys::SelectStmt>()).withClause,
            _ => return,
        };
        // Only the outermost WITH may hold what writes.
        if !with.is_null() && !is_part {
            for part in pointers::<pg_sys::CommonTableExpr>((*with).ctes) {
                of_node((**part).ctequery, true, found);
            }
        }
    }
}

/// Numbers of the columns that SET names.
unsafe fn set(targets: *mut pg_sys::List, table: pg_sys::Oid) -> Vec<i16> {
    // SAFETY: a list of targets, each with a name.
    unsafe {
        let targets = pointers::<pg_sys::ResTarget>(targets).iter();
        let numbers = targets.map(|target| pg_sys::get_attnum(table, (**target).name));
        numbers.filter(|number| *number > 0).collect()
    }
}

/// A table and those that it is a partition of: what is written to it is written to them.
fn with_parents(table: pg_sys::Oid) -> Vec<pg_sys::Oid> {
    let mut all = vec![table];
    // SAFETY: catalogue look-ups; the list is one of OIDs.
    unsafe {
        if pg_sys::get_rel_relispartition(table) {
            all.extend(oids(pg_sys::ffi::pg_guard_ffi_boundary(|| {
                get_partition_ancestors(table)
            })));
        }
    }
    all
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
