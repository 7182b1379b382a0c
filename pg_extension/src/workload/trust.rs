//! Planning runs user code: IMMUTABLE and STABLE functions, operators, casts and type input functions, those of views
//! and policies included. A statement that somebody else wrote is planned only when each of them belongs to the
//! bootstrap superuser or to the current role, and the latter is no superuser (SECURITY.md, P11).

use std::ffi::c_void;

use pgrx::prelude::*;

use super::skip::Skip;
use crate::failure::read_one;
use crate::lists;
use crate::names;

/// Under whose `search_path` a text is planned.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Path {
    /// The current session's.
    Own,
    /// The one that a captured execution had. What a function's body means there is what its user wanted it to mean: only
    /// functions that keep to a path of their own, or look nothing up, are run.
    Captured,
}

/// What the current role may have run on its behalf.
pub(crate) struct Trust {
    /// The current role, when it is no superuser.
    own: Option<pg_sys::Oid>,
    /// A type exists whose input function may run somebody else's code.
    has_foreign_types: bool,
}

/// OIDs below are the server's own (`FirstNormalObjectId`).
const FIRST_USER_OID: u32 = 16_384;
/// Languages `internal` and `c`, whose numbers are fixed (`pg_language.dat`).
const INTERNAL: u32 = 12;
const C: u32 = 13;
/// Owner of everything that initdb and trusted extensions make.
const BOOTSTRAP_SUPERUSER: u32 = 10;

impl Trust {
    /// Reads the current role and what types there are.
    pub(crate) fn new() -> Self {
        // SAFETY: plain reads of the session's state.
        let own = unsafe { (!pg_sys::superuser()).then(|| pg_sys::GetUserId()) };
        let query = include_str!("../../sql/queries/has_foreign_types.sql");
        let has_foreign_types: Option<bool> = read_one("pg_type", query, &[own.into()]);
        Self {
            own,
            has_foreign_types: has_foreign_types.unwrap_or(true),
        }
    }

    fn is_trusted_owner(&self, owner: pg_sys::Oid) -> bool {
        owner.to_u32() == BOOTSTRAP_SUPERUSER || Some(owner) == self.own
    }

    fn is_trusted_function(&self, function: pg_sys::Oid, path: Path) -> bool {
        if function.to_u32() < FIRST_USER_OID {
            // SAFETY: a catalogue look-up that answers null for what does not exist.
            let name = unsafe { names::text(pg_sys::get_func_name(function)) };
            // table_to_xml() and its like are STABLE and read whatever view they are given.
            return name.is_some_and(|name| !name.contains("_to_xml"));
        }
        // SAFETY: the tuple is released after its owner was copied.
        unsafe {
            let tuple = pg_sys::SearchSysCache1(
                pg_sys::SysCacheIdentifier::PROCOID as _,
                pg_sys::Datum::from(function),
            );
            if tuple.is_null() {
                return false;
            }
            let header = (*tuple).t_data;
            let form = header
                .cast::<u8>()
                .add(usize::from((*header).t_hoff))
                .cast::<pg_sys::FormData_pg_proc>();
            let is_trusted = self.is_trusted_owner((*form).proowner)
                && (path == Path::Own || keeps_to_itself(tuple, form));
            pg_sys::ReleaseSysCache(tuple);
            is_trusted
        }
    }

    /// Checks a parsed text before analysis: an untyped literal runs the input function of the type that it meets.
    ///
    /// # Errors
    /// The reason not to analyse it.
    pub(crate) fn check_literals(&self, raw: *mut pg_sys::RawStmt) -> Result<(), String> {
        // SAFETY: a tree that the parser just made.
        if self.has_foreign_types
            && unsafe {
                lists::walk(
                    has_string_literal,
                    (*raw).stmt,
                    std::ptr::null_mut::<c_void>(),
                )
            }
        {
            return Err("planning could run the input function of another role's type".to_owned());
        }
        Ok(())
    }

    /// Checks every function in an analysed and rewritten tree.
    ///
    /// # Errors
    /// Names the function that planning would run.
    pub(super) fn check_tree(&self, query: *mut pg_sys::Query, path: Path) -> Result<(), Skip> {
        let mut walk = Walk {
            trust: self,
            path,
            found: None,
        };
        // SAFETY: the walker gets the context that it expects.
        unsafe { lists::walk(check_node, query.cast(), &raw mut walk) };
        match walk.found {
            None => Ok(()),
            Some(function) if is_our_own(function) => Err(Skip::System),
            Some(function) => Err(Skip::Because(format!(
                "planning would run {}()",
                function_name(function)
            ))),
        }
    }

    /// Checks every function in an analysed expression.
    ///
    /// # Errors
    /// Names the function that would run.
    pub(crate) fn check_expression(&self, node: *mut pg_sys::Node) -> Result<(), String> {
        let mut walk = Walk {
            trust: self,
            path: Path::Own,
            found: None,
        };
        // SAFETY: the walker gets the context that it expects.
        unsafe { lists::walk(check_node, node, &raw mut walk) };
        match walk.found {
            None => Ok(()),
            Some(function) => Err(format!("it would run {}()", function_name(function))),
        }
    }

    /// Checks what hangs on the relations: the planner also folds expressions of their indexes, constraints and
    /// statistics.
    ///
    /// # Errors
    /// Names the function that planning would run.
    pub(crate) fn check_relations(
        &self,
        relations: &[pg_sys::Oid],
        path: Path,
    ) -> Result<(), String> {
        let query = include_str!("../../sql/queries/foreign_functions.sql");
        let relations: Vec<pg_sys::Oid> = relations.to_vec();
        let found: Option<pg_sys::Oid> = read_one(
            "pg_depend",
            query,
            &[
                relations.into(),
                self.own.into(),
                (path == Path::Captured).into(),
            ],
        );
        match found {
            None => Ok(()),
            Some(function) => Err(format!("planning would run {}()", function_name(function))),
        }
    }
}

/// Whether names in a function's body mean the same under every `search_path`: C and internal ones have none, others were
/// parsed when they were made, or set a path of their own. Reads the cache alone: names in a query of ours would be looked up
/// under the path in question.
unsafe fn keeps_to_itself(tuple: pg_sys::HeapTuple, form: *mut pg_sys::FormData_pg_proc) -> bool {
    // SAFETY: the caller holds the tuple of a function.
    unsafe {
        let attribute = |number: u32| {
            let mut is_null = false;
            let cache = pg_sys::SysCacheIdentifier::PROCOID as _;
            let datum = pg_sys::SysCacheGetAttr(cache, tuple, number as _, &mut is_null);
            (!is_null).then_some(datum)
        };
        matches!((*form).prolang.to_u32(), INTERNAL | C)
            || attribute(pg_sys::Anum_pg_proc_prosqlbody).is_some()
            || attribute(pg_sys::Anum_pg_proc_proconfig)
                .and_then(|datum| Vec::<Option<String>>::from_datum(datum, false))
                .is_some_and(|settings| {
                    let mut settings = settings.iter().flatten();
                    settings.any(|setting| setting.starts_with("search_path="))
                })
    }
}

struct Walk<'a> {
    trust: &'a Trust,
    path: Path,
    found: Option<pg_sys::Oid>,
}

/// Calls of this extension's functions are not somebody's workload.
fn is_our_own(function: pg_sys::Oid) -> bool {
    // SAFETY: catalogue look-ups that answer null for what does not exist.
    let schema = unsafe {
        names::text(pg_sys::get_namespace_name(pg_sys::get_func_namespace(
            function,
        )))
    };
    function.to_u32() >= FIRST_USER_OID && schema.as_deref() == Some("pitcrew")
}

fn function_name(function: pg_sys::Oid) -> String {
    // SAFETY: catalogue look-ups that answer null for what does not exist.
    unsafe {
        let name = names::text(pg_sys::get_func_name(function)).unwrap_or_default();
        let schema = names::text(pg_sys::get_namespace_name(pg_sys::get_func_namespace(
            function,
        )));
        format!(
            "{}.{}",
            names::quote(&schema.unwrap_or_default()),
            names::quote(&name)
        )
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn check_node(node: *mut pg_sys::Node, context: *mut c_void) -> bool {
    if node.is_null() {
        return false;
    }
    // SAFETY: casts follow the node's tag; the context is a Walk.
    unsafe {
        pg_sys::check_stack_depth();
        match (*node).type_ {
            pg_sys::NodeTag::T_Query => {
                return pg_sys::query_tree_walker(node.cast(), Some(check_node), context, 0);
            }
            // A cast through text runs the type's input function: that of a composite type may check a domain in it.
            pg_sys::NodeTag::T_CoerceViaIO => {
                let cast = node.cast::<pg_sys::CoerceViaIO>();
                let walk = &mut *context.cast::<Walk<'_>>();
                let is_foreign =
                    (*cast).resulttype.to_u32() >= FIRST_USER_OID || is_array((*cast).resulttype);
                if walk.trust.has_foreign_types && is_foreign {
                    let (mut input, mut parameter) = (pg_sys::InvalidOid, pg_sys::InvalidOid);
                    pg_sys::getTypeInputInfo((*cast).resulttype, &mut input, &mut parameter);
                    walk.found = Some(input);
                    return true;
                }
            }
            _ => {}
        }
        if pg_sys::check_functions_in_node(node, Some(check_function), context) {
            return true;
        }
        pg_sys::expression_tree_walker(node, Some(check_node), context)
    }
}

unsafe fn is_array(type_oid: pg_sys::Oid) -> bool {
    // SAFETY: a catalogue look-up; the element's OID tells whose type it is.
    unsafe { pg_sys::get_element_type(type_oid).to_u32() >= FIRST_USER_OID }
}

#[pg_guard]
unsafe extern "C-unwind" fn check_function(function: pg_sys::Oid, context: *mut c_void) -> bool {
    // SAFETY: the context is the Walk that check_tree made.
    let walk = unsafe { &mut *context.cast::<Walk<'_>>() };
    if !is_our_own(function) && walk.trust.is_trusted_function(function, walk.path) {
        return false;
    }
    walk.found = Some(function);
    true
}

#[pg_guard]
unsafe extern "C-unwind" fn has_string_literal(
    node: *mut pg_sys::Node,
    context: *mut c_void,
) -> bool {
    if node.is_null() {
        return false;
    }
    // SAFETY: casts follow the node's tag.
    unsafe {
        pg_sys::check_stack_depth();
        if (*node).type_ == pg_sys::NodeTag::T_A_Const {
            let constant = node.cast::<pg_sys::A_Const>();
            return !(*constant).isnull && (*constant).val.node.type_ == pg_sys::NodeTag::T_String;
        }
        pg_sys::raw_expression_tree_walker(node, Some(has_string_literal), context)
    }
}

/// Relations of a tree, those of views, subqueries and policies included, without duplicates.
pub(super) fn relations(query: *mut pg_sys::Query) -> Vec<pg_sys::Oid> {
    let mut found: Vec<pg_sys::Oid> = Vec::new();
    // SAFETY: the walker gets the context that it expects.
    unsafe { lists::walk(collect_relations, query.cast(), &raw mut found) };
    found
}

#[pg_guard]
unsafe extern "C-unwind" fn collect_relations(
    node: *mut pg_sys::Node,
    context: *mut c_void,
) -> bool {
    if node.is_null() {
        return false;
    }
    // SAFETY: casts follow the node's tag; the context is a Vec<Oid>.
    unsafe {
        match (*node).type_ {
            pg_sys::NodeTag::T_Query => {
                for &entry in
                    lists::pointers::<pg_sys::RangeTblEntry>((*node.cast::<pg_sys::Query>()).rtable)
                {
                    let found = &mut *context.cast::<Vec<pg_sys::Oid>>();
                    let is_table = (*entry).rtekind == pg_sys::RTEKind::RTE_RELATION;
                    if is_table && !found.contains(&(*entry).relid) {
                        found.push((*entry).relid);
                    }
                }
                pg_sys::query_tree_walker(node.cast(), Some(collect_relations), context, 0)
            }
            _ => pg_sys::expression_tree_walker(node, Some(collect_relations), context),
        }
    }
}
