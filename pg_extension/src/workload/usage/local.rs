//! An expression over one occurrence of a table, as SQL over the table's own columns.

use std::ffi::c_void;

use pg_pitcrew_advisor::Expression;
use pgrx::prelude::*;

use super::place::resolve;
use crate::lists;
use crate::names::{self, without_parentheses};

/// Longer expressions are left out.
const MAX_BYTES: usize = 1_000;

/// An expression, and where it belongs.
pub(super) struct Local {
    pub(super) entry: *mut pg_sys::RangeTblEntry,
    pub(super) expression: Expression,
    pub(super) type_oid: pg_sys::Oid,
}

struct Walk<'a> {
    stack: &'a [*mut pg_sys::Query],
    entry: Option<*mut pg_sys::RangeTblEntry>,
    columns: Vec<i16>,
    has_constant: bool,
}

/// The expression, where an index could have it: it reads columns of one occurrence and nothing else, and always answers the
/// same. One with a constant shows that constant: it is left out unless `shows_constants`.
///
/// Call with a search path of `pg_catalog` alone: names of anything else are qualified then.
pub(super) unsafe fn local(
    node: *mut pg_sys::Node,
    stack: &[*mut pg_sys::Query],
    shows_constants: bool,
) -> Option<Local> {
    // SAFETY: an analysed expression; what is changed is a copy.
    unsafe {
        if node.is_null()
            || pg_sys::contain_mutable_functions(node)
            || pg_sys::expression_returns_set(node)
        {
            return None;
        }
        let copy = pg_sys::copyObjectImpl(node.cast()).cast::<pg_sys::Node>();
        let mut walk = Walk {
            stack,
            entry: None,
            columns: Vec::new(),
            has_constant: false,
        };
        if lists::walk(make_local, copy, &raw mut walk) || (walk.has_constant && !shows_constants) {
            return None;
        }
        let entry = walk.entry?;
        let relation = pg_sys::get_rel_name((*entry).relid);
        if relation.is_null() {
            return None;
        }
        let context = pg_sys::deparse_context_for(relation, (*entry).relid);
        let text = names::text(pg_sys::deparse_expression(copy, context, false, false))?;
        if text.len() > MAX_BYTES {
            return None;
        }
        walk.columns.sort_unstable();
        walk.columns.dedup();
        Some(Local {
            entry,
            expression: Expression {
                sql: in_parentheses(text).into(),
                columns: walk.columns,
            },
            type_oid: pg_sys::exprType(node),
        })
    }
}

fn in_parentheses(text: String) -> String {
    if without_parentheses(&text) == text {
        format!("({text})")
    } else {
        text
    }
}

/// Makes each column one of the first table in a range table. True for what no index can have.
#[pg_guard]
unsafe extern "C-unwind" fn make_local(node: *mut pg_sys::Node, context: *mut c_void) -> bool {
    if node.is_null() {
        return false;
    }
    // SAFETY: casts follow the node's tag; the context is a Walk.
    unsafe {
        pg_sys::check_stack_depth();
        let walk = &mut *context.cast::<Walk<'_>>();
        match (*node).type_ {
            pg_sys::NodeTag::T_Var => {
                let variable = &mut *node.cast::<pg_sys::Var>();
                let Some(place) = resolve(node, walk.stack, 0) else {
                    return true;
                };
                let is_other = walk.entry.is_some_and(|entry| entry != place.entry);
                if is_other || place.type_oid != variable.vartype {
                    return true;
                }
                walk.entry = Some(place.entry);
                walk.columns.push(place.column);
                *variable = *pg_sys::makeVar(
                    1,
                    place.column,
                    variable.vartype,
                    variable.vartypmod,
                    variable.varcollid,
                    0,
                );
                false
            }
            pg_sys::NodeTag::T_Const => {
                walk.has_constant |= !(*node.cast::<pg_sys::Const>()).constisnull;
                false
            }
            pg_sys::NodeTag::T_Param
            | pg_sys::NodeTag::T_SubLink
            | pg_sys::NodeTag::T_Aggref
            | pg_sys::NodeTag::T_GroupingFunc
            | pg_sys::NodeTag::T_WindowFunc
            | pg_sys::NodeTag::T_CurrentOfExpr
            | pg_sys::NodeTag::T_Query => true,
            _ => pg_sys::expression_tree_walker(node, Some(make_local), context),
        }
    }
}
