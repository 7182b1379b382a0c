//! What `get_relation_info` builds for a real index, for one that does not exist.

use std::ffi::CStr;

use pgrx::prelude::*;

use super::hypothetical::{Hypothetical, Key};
use crate::lists::pointers;

/// Describes `index` under the number `oid` for the planner.
///
/// # Safety
/// Called from `get_relation_info_hook` with its own argument.
pub(super) unsafe fn describe(
    index: &Hypothetical,
    oid: pg_sys::Oid,
    info: *mut pg_sys::RelOptInfo,
) -> *mut pg_sys::IndexOptInfo {
    // SAFETY: palloc'd in the planner's context and filled completely.
    unsafe {
        let keys = &index.columns[..index.keys];
        let routine = pg_sys::GetIndexAmRoutineByAmId(index.method, false);
        let node =
            pg_sys::palloc0(size_of::<pg_sys::IndexOptInfo>()).cast::<pg_sys::IndexOptInfo>();
        let out = &mut *node;
        out.type_ = pg_sys::NodeTag::T_IndexOptInfo;
        out.indexoid = oid;
        out.reltablespace = (*info).reltablespace;
        out.rel = info;
        out.pages = index.pages;
        let rows = (*info).tuples;
        out.tuples = index.tuples.map_or(rows, |tuples| tuples.min(rows));
        let is_btree = index.method == pg_sys::BTREE_AM_OID;
        out.tree_height = if is_btree { index.height as i32 } else { -1 };
        out.ncolumns = index.columns.len() as i32;
        out.nkeycolumns = keys.len() as i32;
        out.relam = index.method;

        out.indexkeys = array(&index.columns, |key| i32::from(key.number));
        out.indexcollations = array(keys, |key| key.index_collation);
        out.opfamily = array(keys, |key| key.family);
        out.opcintype = array(keys, |key| key.input_type);
        out.opclassoptions = array(&index.columns, |_| std::ptr::null_mut());
        // Only a B-tree can answer from its own tuples, for every column (`btcanreturn`).
        out.canreturn = array(&index.columns, |_| is_btree);
        if is_btree {
            // B-trees are ordered by their own family.
            out.sortopfamily = array(keys, |key| key.family);
            out.reverse_sort = array(keys, |key| key.reverse);
            out.nulls_first = array(keys, |key| key.nulls_first);
        }

        let relid = (*info).relid as i32;
        out.indexprs = nodes(index.expressions.as_deref(), relid);
        out.indpred = nodes(index.predicate.as_deref(), relid);
        out.indextlist = target_list(index, out.indexprs, relid);
        out.unique = index.unique;
        out.immediate = true;
        out.hypothetical = true;
        out.amcanorderbyop = (*routine).amcanorderbyop;
        out.amoptionalkey = (*routine).amoptionalkey;
        out.amsearcharray = (*routine).amsearcharray;
        out.amsearchnulls = (*routine).amsearchnulls;
        out.amhasgettuple = (*routine).amgettuple.is_some();
        out.amhasgetbitmap = (*routine).amgetbitmap.is_some();
        out.amcanparallel = (*routine).amcanparallel;
        out.amcanmarkpos = (*routine).ammarkpos.is_some();
        // The header declares the field without its arguments before 18; it is the same function.
        #[allow(clippy::missing_transmute_annotations, clippy::useless_transmute)]
        {
            out.amcostestimate = std::mem::transmute((*routine).amcostestimate);
        }
        node
    }
}

/// A list of expressions over the table as it stands in this plan's range table.
unsafe fn nodes(text: Option<&CStr>, relid: i32) -> *mut pg_sys::List {
    let Some(text) = text else {
        return std::ptr::null_mut();
    };
    // SAFETY: the text was written by nodeToString of this server.
    unsafe {
        let list = pg_sys::stringToNode(text.as_ptr());
        if relid != 1 {
            pg_sys::ChangeVarNodes(list.cast(), 1, relid, 0);
        }
        list.cast()
    }
}

/// The columns as target entries (`build_index_tlist`).
unsafe fn target_list(
    index: &Hypothetical,
    expressions: *mut pg_sys::List,
    relid: i32,
) -> *mut pg_sys::List {
    // SAFETY: palloc'd nodes; there are as many expressions as columns with number 0.
    unsafe {
        let mut list = std::ptr::null_mut();
        let mut expressions = pointers::<pg_sys::Expr>(expressions).iter();
        for (position, key) in index.columns.iter().enumerate() {
            let expression: *mut pg_sys::Expr = if key.number == 0 {
                match expressions.next() {
                    Some(expression) => *expression,
                    None => continue,
                }
            } else {
                pg_sys::makeVar(
                    relid as _,
                    key.number,
                    key.type_oid,
                    key.typmod,
                    key.collation,
                    0,
                )
                .cast()
            };
            let entry = pg_sys::makeTargetEntry(
                expression,
                position as i16 + 1,
                std::ptr::null_mut(),
                false,
            );
            list = pg_sys::lappend(list, entry.cast());
        }
        list
    }
}

unsafe fn array<T>(keys: &[Key], value: impl Fn(&Key) -> T) -> *mut T {
    // SAFETY: palloc aborts the statement when there is no memory; every element is written.
    unsafe {
        let out = pg_sys::palloc(size_of::<T>() * keys.len().max(1)).cast::<T>();
        for (position, key) in keys.iter().enumerate() {
            out.add(position).write(value(key));
        }
        out
    }
}
