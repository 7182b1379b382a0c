//! Columns, followed to the table that they come from.

use pgrx::prelude::*;

use crate::compat;
use crate::lists::pointers;

/// Subqueries inside subqueries that a column is followed through.
const MAX_DEPTH: usize = 16;

/// A column of one occurrence of a table.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// The occurrence.
    pub(crate) entry: *mut pg_sys::RangeTblEntry,
    /// Number of the column.
    pub(crate) column: i16,
    /// Its type.
    pub(super) type_oid: pg_sys::Oid,
}

/// What a query is grouped by, where the node is a column of its groups; else the node.
pub(super) unsafe fn ungrouped(
    node: *mut pg_sys::Node,
    stack: &[*mut pg_sys::Query],
) -> *mut pg_sys::Node {
    // SAFETY: casts follow the node's tag; numbers are checked against the lists.
    unsafe {
        if node.is_null() || (*node).type_ != pg_sys::NodeTag::T_Var {
            return node;
        }
        let variable = node.cast::<pg_sys::Var>();
        let place = |number: i64| usize::try_from(number).ok()?.checked_sub(1);
        let found = || {
            let query = *stack.last().filter(|_| (*variable).varlevelsup == 0)?;
            let number = place((*variable).varno as i64)?;
            let entry = *pointers::<pg_sys::RangeTblEntry>((*query).rtable).get(number)?;
            Some(compat::grouped(entry, place((*variable).varattno.into())?))
        };
        found().filter(|found| !found.is_null()).unwrap_or(node)
    }
}

/// Follows a column through joins, views and subqueries to the table that it comes from.
pub(crate) unsafe fn resolve(
    node: *mut pg_sys::Node,
    stack: &[*mut pg_sys::Query],
    depth: usize,
) -> Option<Place> {
    if node.is_null() || depth > MAX_DEPTH {
        return None;
    }
    // SAFETY: casts follow the node's tag; numbers are checked against the lists.
    unsafe {
        if (*node).type_ == pg_sys::NodeTag::T_RelabelType {
            return resolve(
                (*node.cast::<pg_sys::RelabelType>()).arg.cast(),
                stack,
                depth + 1,
            );
        }
        if (*node).type_ != pg_sys::NodeTag::T_Var {
            return None;
        }
        let variable = node.cast::<pg_sys::Var>();
        let level = stack
            .len()
            .checked_sub(1 + (*variable).varlevelsup as usize)?;
        let query = stack[level];
        let number = usize::try_from((*variable).varno as i64)
            .ok()?
            .checked_sub(1)?;
        let entry = *pointers::<pg_sys::RangeTblEntry>((*query).rtable).get(number)?;
        let column = (*variable).varattno;
        let position = usize::try_from(column).ok()?.checked_sub(1)?;
        let grouped = compat::grouped(entry, position);
        if !grouped.is_null() {
            return resolve(grouped, &stack[..=level], depth + 1);
        }
        match (*entry).rtekind {
            pg_sys::RTEKind::RTE_RELATION => Some(Place {
                entry,
                column,
                type_oid: (*variable).vartype,
            }),
            pg_sys::RTEKind::RTE_JOIN => {
                let source = *pointers::<pg_sys::Node>((*entry).joinaliasvars).get(position)?;
                resolve(source, &stack[..=level], depth + 1)
            }
            pg_sys::RTEKind::RTE_SUBQUERY => {
                let inner = (*entry).subquery;
                let source = *pointers::<pg_sys::TargetEntry>((*inner).targetList).get(position)?;
                let mut inside = stack[..=level].to_vec();
                inside.push(inner);
                resolve((*source).expr.cast(), &inside, depth + 1)
            }
            _ => None,
        }
    }
}
