//! Indexes that do not exist, and indexes that are not there: what the planner sees while a plan is made with [`with`].

use std::ffi::{CStr, CString};
use std::rc::Rc;

use pg_pitcrew_advisor::IndexSize;
use pgrx::prelude::*;

use super::describe::describe;
use super::statistics::StoredTuple;
use crate::lists::pointers;

/// An index that does not exist.
#[derive(Debug, Clone)]
pub(crate) struct Hypothetical {
    /// Table that it would be on.
    pub(crate) table: pg_sys::Oid,
    /// Name, for a plan that is shown.
    pub(crate) name: CString,
    /// Access method.
    pub(crate) method: pg_sys::Oid,
    /// Key columns in index order, then those that are only stored.
    pub(crate) columns: Vec<Key>,
    /// How many of them are keys.
    pub(crate) keys: usize,
    /// Expressions in index order, as `nodeToString` writes a list; `None` when there is none.
    pub(crate) expressions: Option<CString>,
    /// Predicate, in the same way.
    pub(crate) predicate: Option<CString>,
    /// Equal keys are refused.
    pub(crate) unique: bool,
    /// Pages, the meta page included.
    pub(crate) pages: u32,
    /// Levels above the leaves. The planner charges a descent by it: unset, nested loops look cheap.
    pub(crate) height: u32,
    /// Entries; as many as rows when `None`.
    pub(crate) tuples: Option<f64>,
    /// Statistics of the columns that are expressions.
    pub(crate) statistics: Vec<Option<Rc<StoredTuple>>>,
}

impl Hypothetical {
    /// A B-tree on plain columns, of which the first `keys` are keys and the others are only stored.
    pub(crate) fn plain(
        table: pg_sys::Oid,
        columns: Vec<Key>,
        keys: usize,
        size: IndexSize,
    ) -> Self {
        Self {
            table,
            name: c"hypothetical".to_owned(),
            method: pg_sys::BTREE_AM_OID,
            keys,
            expressions: None,
            predicate: None,
            unique: false,
            pages: size.pages,
            height: size.height,
            tuples: None,
            statistics: Vec::new(),
            columns,
        }
    }
}

/// One column of an index.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Key {
    /// Column number; 0 for an expression.
    pub(crate) number: i16,
    /// Type of the column or expression.
    pub(crate) type_oid: pg_sys::Oid,
    /// Type modifier.
    pub(crate) typmod: i32,
    /// Collation of the column.
    pub(crate) collation: pg_sys::Oid,
    /// Collation that the index sorts by.
    pub(crate) index_collation: pg_sys::Oid,
    /// Operator family of the operator class.
    pub(crate) family: pg_sys::Oid,
    /// Input type of that class.
    pub(crate) input_type: pg_sys::Oid,
    /// Descending.
    pub(crate) reverse: bool,
    /// NULLs come first.
    pub(crate) nulls_first: bool,
}

/// What is supposed while a plan is made.
#[derive(Debug, Default)]
pub(crate) struct Supposed {
    /// Indexes that do not exist.
    pub(crate) indexes: Vec<Hypothetical>,
    /// Indexes that exist and are not looked at.
    pub(crate) absent: Vec<pg_sys::Oid>,
}

/// Of the plan being made; null between plans.
static mut ACTIVE: *const Supposed = std::ptr::null();
static mut PREVIOUS_INFO: pg_sys::get_relation_info_hook_type = None;
static mut PREVIOUS_STATS: pg_sys::get_index_stats_hook_type = None;
static mut PREVIOUS_NAME: pg_sys::explain_get_index_name_hook_type = None;

/// OIDs that catalogues do not reach before four billion objects; only the plan tree carries them.
const FIRST_FAKE_OID: u32 = u32::MAX - 0xffff;

/// Sets the hooks, in front of whoever did so earlier. Called from `_PG_init`, preloaded or not.
pub(crate) fn install() {
    // SAFETY: called once a process tree, on the only thread.
    unsafe {
        PREVIOUS_INFO = pg_sys::get_relation_info_hook;
        pg_sys::get_relation_info_hook = Some(on_relation_info);
        PREVIOUS_STATS = pg_sys::get_index_stats_hook;
        pg_sys::get_index_stats_hook = Some(on_index_stats);
        PREVIOUS_NAME = pg_sys::explain_get_index_name_hook;
        pg_sys::explain_get_index_name_hook = Some(on_index_name);
    }
}

/// Runs `work` while the planner sees what is supposed, also when it ends in an error.
pub(crate) fn with<R>(supposed: &Supposed, work: impl FnOnce() -> R) -> R {
    struct Reset;
    impl Drop for Reset {
        fn drop(&mut self) {
            // SAFETY: single-threaded; errors unwind through here.
            unsafe { ACTIVE = std::ptr::null() };
        }
    }
    let _reset = Reset;
    // SAFETY: single-threaded; the reference outlives `work`.
    unsafe { ACTIVE = supposed };
    work()
}

/// Which of the supposed indexes an OID in a plan stands for.
pub(super) fn position(index: pg_sys::Oid) -> Option<usize> {
    Some(index.to_u32().checked_sub(FIRST_FAKE_OID)? as usize)
}

/// The index behind one of our OIDs in the plan that is being made.
unsafe fn active(index: pg_sys::Oid) -> Option<&'static Hypothetical> {
    // SAFETY: ACTIVE is null or points to what `with` was called with, which outlives the hooks' calls.
    unsafe {
        let active = ACTIVE.as_ref()?;
        active.indexes.get(position(index)?)
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn on_relation_info(
    root: *mut pg_sys::PlannerInfo,
    relation: pg_sys::Oid,
    is_parent: bool,
    info: *mut pg_sys::RelOptInfo,
) {
    // SAFETY: the server passes valid structures; ACTIVE is null or points to a live value.
    unsafe {
        if let Some(previous) = PREVIOUS_INFO {
            pg_sys::ffi::pg_guard_ffi_boundary(|| previous(root, relation, is_parent, info));
        }
        let Some(active) = ACTIVE.as_ref() else {
            return;
        };
        if !active.absent.is_empty() {
            for &index in pointers::<pg_sys::IndexOptInfo>((*info).indexlist)
                .to_vec()
                .iter()
            {
                if active.absent.contains(&(*index).indexoid) {
                    (*info).indexlist = pg_sys::list_delete_ptr((*info).indexlist, index.cast());
                }
            }
        }
        if is_parent {
            return;
        }
        for (number, index) in active.indexes.iter().enumerate() {
            if index.table == relation {
                let oid = pg_sys::Oid::from(FIRST_FAKE_OID.saturating_add(number as u32));
                let described = describe(index, oid, info);
                // In front, where the server puts a newer index: ties in cost then fall the same way.
                (*info).indexlist = pg_sys::lcons(described.cast(), (*info).indexlist);
            }
        }
    }
}

/// Statistics of an expression that no index has yet.
#[pg_guard]
unsafe extern "C-unwind" fn on_index_stats(
    root: *mut pg_sys::PlannerInfo,
    index: pg_sys::Oid,
    column: pg_sys::AttrNumber,
    variable: *mut pg_sys::VariableStatData,
) -> bool {
    // SAFETY: the server passes valid structures.
    unsafe {
        if let Some(index) = active(index) {
            let stored = usize::try_from(column - 1)
                .ok()
                .and_then(|position| index.statistics.get(position)?.as_ref());
            if let Some(stored) = stored {
                (*variable).statsTuple = stored.tuple();
                (*variable).freefunc = Some(free_nothing);
                // The rows that these were made from were read with the current role's rights.
                (*variable).acl_ok = true;
            }
            // The catalogue knows nothing of it.
            return true;
        }
        match PREVIOUS_STATS {
            Some(previous) => {
                pg_sys::ffi::pg_guard_ffi_boundary(|| previous(root, index, column, variable))
            }
            None => false,
        }
    }
}

/// The tuple lives in the planner's memory, which goes as a whole.
unsafe extern "C-unwind" fn free_nothing(_tuple: pg_sys::HeapTuple) {}

#[pg_guard]
unsafe extern "C-unwind" fn on_index_name(index: pg_sys::Oid) -> *const std::ffi::c_char {
    // SAFETY: the name lives as long as the supposition.
    unsafe {
        if let Some(index) = active(index) {
            let name: &CStr = &index.name;
            return name.as_ptr();
        }
        match PREVIOUS_NAME {
            Some(previous) => pg_sys::ffi::pg_guard_ffi_boundary(|| previous(index)),
            None => std::ptr::null(),
        }
    }
}
