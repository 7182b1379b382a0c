//! How an analysed statement uses the columns of its tables: what it compares, joins, orders and groups by.

use std::ffi::c_void;

use pg_pitcrew_advisor::Columns;
use pgrx::prelude::*;

use crate::lists::pointers;

/// Occurrences of tables that are looked at in one statement.
const MAX_OCCURRENCES: usize = 200;
/// Subqueries inside subqueries that a column is followed through.
const MAX_DEPTH: usize = 16;

/// One occurrence of a table.
#[derive(Debug, Clone)]
pub(crate) struct Use {
    /// The table.
    pub(crate) table: pg_sys::Oid,
    /// Its columns.
    pub(crate) columns: Columns,
}

/// Reads the uses out of an analysed and rewritten tree.
pub(crate) fn uses(query: *mut pg_sys::Query) -> Vec<Use> {
    let mut reader = Reader {
        stack: Vec::new(),
        found: Vec::new(),
    };
    // SAFETY: the tree was just made and is not changed.
    unsafe { reader.query(query) };
    reader.found.into_iter().map(|(_, found)| found).collect()
}

struct Reader {
    /// The query being read, inside those around it: a column may belong to an outer one.
    stack: Vec<*mut pg_sys::Query>,
    found: Vec<(*mut pg_sys::RangeTblEntry, Use)>,
}

/// A column of one occurrence of a table.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) entry: *mut pg_sys::RangeTblEntry,
    pub(crate) column: i16,
    type_oid: pg_sys::Oid,
}

enum Kind {
    Equal,
    Range,
}

#[pg_guard]
unsafe extern "C-unwind" fn visit(node: *mut pg_sys::Node, context: *mut c_void) -> bool {
    if node.is_null() {
        return false;
    }
    // SAFETY: casts follow the node's tag; the context is a Reader.
    unsafe {
        pg_sys::check_stack_depth();
        match (*node).type_ {
            pg_sys::NodeTag::T_Query => {
                (*context.cast::<Reader>()).query(node.cast());
                false
            }
            pg_sys::NodeTag::T_Var => {
                (*context.cast::<Reader>()).read(node.cast());
                false
            }
            pg_sys::NodeTag::T_Aggref => {
                (*context.cast::<Reader>()).extreme(node.cast());
                pg_sys::expression_tree_walker(node, Some(visit), context)
            }
            _ => pg_sys::expression_tree_walker(node, Some(visit), context),
        }
    }
}

impl Reader {
    unsafe fn query(&mut self, query: *mut pg_sys::Query) {
        // SAFETY: a valid tree; the stack is restored.
        unsafe {
            self.stack.push(query);
            self.joins((*query).jointree.cast());
            for clauses in [
                (*query).sortClause,
                (*query).groupClause,
                (*query).distinctClause,
            ] {
                self.order(query, clauses);
            }
            let context: *mut Self = self;
            pg_sys::query_tree_walker(
                query,
                Some(visit),
                context.cast(),
                pg_sys::QTW_IGNORE_JOINALIASES as i32,
            );
            self.stack.pop();
        }
    }

    unsafe fn joins(&mut self, node: *mut pg_sys::Node) {
        if node.is_null() {
            return;
        }
        // SAFETY: casts follow the node's tag.
        unsafe {
            match (*node).type_ {
                pg_sys::NodeTag::T_FromExpr => {
                    let from = node.cast::<pg_sys::FromExpr>();
                    for &item in pointers::<pg_sys::Node>((*from).fromlist) {
                        self.joins(item);
                    }
                    self.condition((*from).quals);
                }
                pg_sys::NodeTag::T_JoinExpr => {
                    let join = node.cast::<pg_sys::JoinExpr>();
                    self.joins((*join).larg);
                    self.joins((*join).rarg);
                    self.condition((*join).quals);
                }
                _ => {}
            }
        }
    }

    unsafe fn condition(&mut self, node: *mut pg_sys::Node) {
        if node.is_null() {
            return;
        }
        // SAFETY: casts follow the node's tag.
        unsafe {
            pg_sys::check_stack_depth();
            match (*node).type_ {
                pg_sys::NodeTag::T_BoolExpr => {
                    let boolean = node.cast::<pg_sys::BoolExpr>();
                    if (*boolean).boolop != pg_sys::BoolExprType::NOT_EXPR {
                        for &argument in pointers::<pg_sys::Node>((*boolean).args) {
                            self.condition(argument);
                        }
                    }
                }
                pg_sys::NodeTag::T_OpExpr => {
                    let operation = node.cast::<pg_sys::OpExpr>();
                    if let &[left, right] = pointers::<pg_sys::Node>((*operation).args) {
                        self.comparison((*operation).opno, left, right);
                    }
                }
                pg_sys::NodeTag::T_ScalarArrayOpExpr => {
                    let operation = node.cast::<pg_sys::ScalarArrayOpExpr>();
                    if let (true, &[left, _]) = (
                        (*operation).useOr,
                        pointers::<pg_sys::Node>((*operation).args),
                    ) && let Some(place) = self.place(left)
                        && matches!(kind((*operation).opno, place.type_oid), Some(Kind::Equal))
                    {
                        self.note(place, &Kind::Equal);
                    }
                }
                pg_sys::NodeTag::T_NullTest => {
                    let test = node.cast::<pg_sys::NullTest>();
                    if (*test).nulltesttype == pg_sys::NullTestType::IS_NULL
                        && let Some(place) = self.place((*test).arg.cast())
                    {
                        self.note(place, &Kind::Equal);
                    }
                }
                _ => {}
            }
        }
    }

    unsafe fn comparison(
        &mut self,
        operator: pg_sys::Oid,
        left: *mut pg_sys::Node,
        right: *mut pg_sys::Node,
    ) {
        // SAFETY: catalogue look-ups.
        unsafe {
            let (first, second) = (self.place(left), self.place(right));
            // A comparison inside one row cannot be looked up.
            if let (Some(a), Some(b)) = (first, second)
                && a.entry == b.entry
            {
                return;
            }
            if let Some(place) = first
                && let Some(kind) = kind(operator, place.type_oid)
            {
                self.note(place, &kind);
            }
            if let Some(place) = second {
                let commuted = pg_sys::get_commutator(operator);
                if commuted != pg_sys::InvalidOid
                    && let Some(kind) = kind(commuted, place.type_oid)
                {
                    self.note(place, &kind);
                }
            }
        }
    }

    /// Leading columns of one table in an ORDER BY, GROUP BY or DISTINCT, while they point the same way.
    unsafe fn order(&mut self, query: *mut pg_sys::Query, clauses: *mut pg_sys::List) {
        // SAFETY: the lists hold the nodes that Query's definition says.
        unsafe {
            let mut columns: Vec<i16> = Vec::new();
            let mut first: Option<(Place, pg_sys::Oid, bool)> = None;
            for &clause in pointers::<pg_sys::SortGroupClause>(clauses) {
                let target = pointers::<pg_sys::TargetEntry>((*query).targetList)
                    .iter()
                    .find(|entry| (***entry).ressortgroupref == (*clause).tleSortGroupRef);
                let Some(place) = target.and_then(|entry| self.place((**entry).expr.cast())) else {
                    break;
                };
                let descends = is_descending((*clause).sortop, place.type_oid);
                match first {
                    None => first = Some((place, (*clause).sortop, descends)),
                    Some((start, _, direction))
                        if start.entry != place.entry || direction != descends =>
                    {
                        break;
                    }
                    Some(_) => {}
                }
                if !columns.contains(&place.column) {
                    columns.push(place.column);
                }
            }
            if let Some((place, ..)) = first
                && let Some(used) = self.occurrence(place.entry)
                && !used.ordered.contains(&columns)
            {
                used.ordered.push(columns);
            }
        }
    }

    /// `min(column)` and `max(column)` are read off the end of an index.
    unsafe fn extreme(&mut self, aggregate: *mut pg_sys::Aggref) {
        // SAFETY: the list holds TargetEntry nodes.
        unsafe {
            let &[argument] = pointers::<pg_sys::TargetEntry>((*aggregate).args) else {
                return;
            };
            let name = crate::names::text(pg_sys::get_func_name((*aggregate).aggfnoid));
            if matches!(name.as_deref(), Some("min" | "max"))
                && let Some(place) = self.place((*argument).expr.cast())
                && let Some(used) = self.occurrence(place.entry)
            {
                let columns = vec![place.column];
                if !used.ordered.contains(&columns) {
                    used.ordered.push(columns);
                }
            }
        }
    }

    /// Any mention of a column.
    unsafe fn read(&mut self, variable: *mut pg_sys::Var) {
        // SAFETY: a node of the tree.
        unsafe {
            if let Some(place) = self.place(variable.cast()) {
                if let Some(used) = self.occurrence(place.entry)
                    && !used.read.contains(&place.column)
                {
                    used.read.push(place.column);
                }
            } else if (*variable).varattno <= 0
                && let Some(entry) = self.entry(variable)
                && (*entry).rtekind == pg_sys::RTEKind::RTE_RELATION
                && let Some(used) = self.occurrence(entry)
            {
                used.is_read_whole = true;
            }
        }
    }

    /// What a variable belongs to.
    unsafe fn entry(&self, variable: *mut pg_sys::Var) -> Option<*mut pg_sys::RangeTblEntry> {
        // SAFETY: numbers are checked against the lists.
        unsafe {
            let level = self
                .stack
                .len()
                .checked_sub(1 + (*variable).varlevelsup as usize)?;
            let number = usize::try_from((*variable).varno as i64)
                .ok()?
                .checked_sub(1)?;
            pointers((*self.stack[level]).rtable).get(number).copied()
        }
    }

    fn note(&mut self, place: Place, kind: &Kind) {
        let Some(used) = self.occurrence(place.entry) else {
            return;
        };
        let list = match kind {
            Kind::Equal => &mut used.equal,
            Kind::Range => &mut used.range,
        };
        if !list.contains(&place.column) {
            list.push(place.column);
        }
    }

    fn occurrence(&mut self, entry: *mut pg_sys::RangeTblEntry) -> Option<&mut Columns> {
        let known = self.found.iter().position(|(there, _)| *there == entry);
        let position = match known {
            Some(position) => position,
            None if self.found.len() >= MAX_OCCURRENCES => return None,
            None => {
                // SAFETY: the entry is part of the tree being read.
                let table = unsafe { (*entry).relid };
                self.found.push((
                    entry,
                    Use {
                        table,
                        columns: Columns::default(),
                    },
                ));
                self.found.len() - 1
            }
        };
        Some(&mut self.found[position].1.columns)
    }

    unsafe fn place(&self, node: *mut pg_sys::Node) -> Option<Place> {
        // SAFETY: the tree is valid.
        unsafe { resolve(node, &self.stack, 0) }
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

/// What an operator means for a B-tree on a column of this type.
unsafe fn kind(operator: pg_sys::Oid, column: pg_sys::Oid) -> Option<Kind> {
    // SAFETY: catalogue look-ups.
    unsafe {
        match strategy(operator, column)? {
            3 => Some(Kind::Equal),
            1 | 2 | 4 | 5 => Some(Kind::Range),
            _ => None,
        }
    }
}

unsafe fn strategy(operator: pg_sys::Oid, column: pg_sys::Oid) -> Option<i32> {
    // SAFETY: catalogue look-ups that answer 0 for what does not exist.
    unsafe {
        let class = pg_sys::GetDefaultOpClass(column, pg_sys::BTREE_AM_OID);
        if class == pg_sys::InvalidOid || operator == pg_sys::InvalidOid {
            return None;
        }
        let strategy =
            pg_sys::get_op_opfamily_strategy(operator, pg_sys::get_opclass_family(class));
        (strategy != 0).then_some(strategy)
    }
}

unsafe fn is_descending(operator: pg_sys::Oid, column: pg_sys::Oid) -> bool {
    // SAFETY: catalogue look-ups. Strategy 5 is `>`.
    unsafe { strategy(operator, column) == Some(5) }
}
