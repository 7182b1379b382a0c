//! Planning runs user code: IMMUTABLE and STABLE functions, operators, casts and type input functions, those of views
//! and policies included. A statement that somebody else wrote is planned only when each of them belongs to the
//! bootstrap superuser or to the current role, and the latter is no superuser (SECURITY.md, P11).

use std::collections::BTreeSet;
use std::ffi::c_void;

use pgrx::prelude::*;
use pgrx::spi::SpiHeapTupleData;

use super::skip::Skip;
use crate::compat;
use crate::failure::{read_one, spi};
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
    /// Types whose values may run somebody else's code: their own functions, checks and casts, and those of what they are made of.
    foreign: BTreeSet<u32>,
}

/// OIDs below are the server's own (`FirstNormalObjectId`).
pub(crate) const FIRST_USER_OID: u32 = 16_384;
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
        let query = include_str!("../../sql/queries/foreign_types.sql");
        let foreign = Spi::connect(|client| {
            let rows = spi("pg_type", client.select(query, None, &[own.into()]));
            let oid =
                |row: SpiHeapTupleData<'_>| -> Option<pg_sys::Oid> { spi("pg_type", row.get(1)) };
            rows.filter_map(oid).map(|oid| oid.to_u32()).collect()
        });
        Self { own, foreign }
    }

    fn is_trusted_owner(&self, owner: pg_sys::Oid) -> bool {
        owner.to_u32() == BOOTSTRAP_SUPERUSER || Some(owner) == self.own
    }

    fn is_trusted_function(&self, function: pg_sys::Oid, path: Path) -> bool {
        if function.to_u32() < FIRST_USER_OID {
            // SAFETY: a catalogue look-up that answers null for what does not exist.
            let name = unsafe { names::text(pg_sys::get_func_name(function)) };
            // table_to_xml() and its like are STABLE and read whatever view they are given; these two run the input function of
            // whatever type they are given the name of.
            return name
                .is_some_and(|name| !name.contains("_to_xml") && !name.starts_with("pg_input_"));
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
        if self.foreign.is_empty() {
            return Ok(());
        }
        let nothing = std::ptr::null_mut::<c_void>();
        // SAFETY: a tree that the parser just made; the cast follows the node's tag. The server's walker knows no CREATE INDEX.
        let found = unsafe {
            let statement = (*raw).stmt;
            if (*statement).type_ == pg_sys::NodeTag::T_IndexStmt {
                let index = statement.cast::<pg_sys::IndexStmt>();
                let keys = lists::pointers::<pg_sys::IndexElem>((*index).indexParams);
                let keys = keys.iter().map(|key| (**key).expr);
                let mut parts = keys.chain([(*index).whereClause]);
                parts.any(|part| !part.is_null() && lists::walk(has_string_literal, part, nothing))
            } else {
                lists::walk(has_string_literal, statement, nothing)
            }
        };
        if found {
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
            in_call: false,
            found: None,
        };
        // SAFETY: the walker gets the context that it expects.
        unsafe { lists::walk(check_node, query.cast(), &raw mut walk) };
        match walk.found {
            None => Ok(()),
            Some(Found::Function(function)) if is_our_own(function) => Err(Skip::System),
            Some(found) => Err(Skip::Because(format!(
                "planning would run {}",
                found.words()
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
            in_call: false,
            found: None,
        };
        // SAFETY: the walker gets the context that it expects.
        unsafe { lists::walk(check_node, node, &raw mut walk) };
        match walk.found {
            None => Ok(()),
            Some(found) => Err(format!("it would run {}", found.words())),
        }
    }

    /// Checks a function that is run for what it is to an index.
    ///
    /// # Errors
    /// Names it.
    pub(crate) fn check_function(&self, function: pg_sys::Oid) -> Result<(), String> {
        if self.is_trusted_function(function, Path::Own) {
            return Ok(());
        }
        Err(format!("it would run {}()", function_name(function)))
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
    /// Inside what calls functions: what they are given and what they answer is then of types that count.
    in_call: bool,
    found: Option<Found>,
}

/// What somebody else has made.
#[derive(Clone, Copy)]
enum Found {
    Function(pg_sys::Oid),
    Type(pg_sys::Oid),
}

impl Found {
    fn words(self) -> String {
        match self {
            Self::Function(function) => format!("{}()", function_name(function)),
            // SAFETY: a catalogue look-up that answers a new string.
            Self::Type(type_oid) => unsafe {
                let name = names::text(pg_sys::format_type_be_qualified(type_oid));
                format!(
                    "what another role made of the type {}",
                    name.unwrap_or_default()
                )
            },
        }
    }
}

impl Walk<'_> {
    fn is_foreign(&self, type_oid: pg_sys::Oid) -> bool {
        self.trust.foreign.contains(&type_oid.to_u32())
    }
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
        use pg_sys::NodeTag;
        pg_sys::check_stack_depth();
        let node = bare(node);
        let tag = (*node).type_;
        if tag == NodeTag::T_Query {
            let outer = std::mem::replace(&mut (*context.cast::<Walk<'_>>()).in_call, false);
            let found = pg_sys::query_tree_walker(node.cast(), Some(check_node), context, 0);
            (*context.cast::<Walk<'_>>()).in_call = outer;
            return found;
        }
        let walk = &mut *context.cast::<Walk<'_>>();
        let calls = calls_functions(tag);
        if !walk.trust.foreign.is_empty() && (calls || walk.in_call && is_typed(tag)) {
            let type_oid = pg_sys::exprType(node);
            // An input function, called by its name, makes a value of whatever type it is given the number of.
            if walk.is_foreign(type_oid) || type_oid == pg_sys::CSTRINGOID {
                walk.found = Some(Found::Type(type_oid));
                return true;
            }
        }
        if pg_sys::check_functions_in_node(node, Some(check_function), context) {
            return true;
        }
        let outer = walk.in_call;
        walk.in_call |= calls;
        let found = pg_sys::expression_tree_walker(node, Some(check_node), context);
        (*context.cast::<Walk<'_>>()).in_call = outer;
        found
    }
}

/// What calls functions that its node does not name, or that look at the types that they are given.
fn calls_functions(tag: pg_sys::NodeTag) -> bool {
    use pg_sys::NodeTag;
    compat::makes_json(tag)
        || matches!(
            tag,
            NodeTag::T_FuncExpr
                | NodeTag::T_OpExpr
                | NodeTag::T_DistinctExpr
                | NodeTag::T_NullIfExpr
                | NodeTag::T_ScalarArrayOpExpr
                | NodeTag::T_Aggref
                | NodeTag::T_WindowFunc
                | NodeTag::T_RowCompareExpr
                | NodeTag::T_MinMaxExpr
                | NodeTag::T_XmlExpr
                | NodeTag::T_CoerceViaIO
                | NodeTag::T_ArrayCoerceExpr
        )
}

/// Other nodes with a type (`exprType`).
fn is_typed(tag: pg_sys::NodeTag) -> bool {
    use pg_sys::NodeTag;
    matches!(
        tag,
        NodeTag::T_Var
            | NodeTag::T_Const
            | NodeTag::T_Param
            | NodeTag::T_SubscriptingRef
            | NodeTag::T_NamedArgExpr
            | NodeTag::T_FieldSelect
            | NodeTag::T_FieldStore
            | NodeTag::T_RelabelType
            | NodeTag::T_ConvertRowtypeExpr
            | NodeTag::T_CollateExpr
            | NodeTag::T_CaseExpr
            | NodeTag::T_CaseTestExpr
            | NodeTag::T_ArrayExpr
            | NodeTag::T_RowExpr
            | NodeTag::T_CoalesceExpr
            | NodeTag::T_CoerceToDomain
            | NodeTag::T_SubLink
    )
}

/// What is taken out of a column or relabelled: no function sees more of it than that.
unsafe fn bare(mut node: *mut pg_sys::Node) -> *mut pg_sys::Node {
    // SAFETY: casts follow the node's tag.
    unsafe {
        let whole = node;
        loop {
            node = match (*node).type_ {
                pg_sys::NodeTag::T_RelabelType => (*node.cast::<pg_sys::RelabelType>()).arg.cast(),
                pg_sys::NodeTag::T_FieldSelect => (*node.cast::<pg_sys::FieldSelect>()).arg.cast(),
                _ => return node,
            };
            // The column itself is not handed over.
            if (*node).type_ == pg_sys::NodeTag::T_Var {
                let type_oid = pg_sys::exprType(whole);
                return pg_sys::makeNullConst(type_oid, -1, pg_sys::InvalidOid).cast();
            }
        }
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn check_function(function: pg_sys::Oid, context: *mut c_void) -> bool {
    // SAFETY: the context is the Walk that check_tree made.
    let walk = unsafe { &mut *context.cast::<Walk<'_>>() };
    if !is_our_own(function) && walk.trust.is_trusted_function(function, walk.path) {
        return false;
    }
    walk.found = Some(Found::Function(function));
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
