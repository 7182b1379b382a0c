//! How an analysed statement uses its tables: what it compares, joins, orders and groups by, looks into, and asks of every row.

mod arms;
mod comparisons;
mod conditions;
mod local;
mod operators;
mod order;
mod place;

use std::ffi::c_void;

use pg_pitcrew_advisor::{Condition, Key, Of, Used};
use pgrx::prelude::*;

use crate::lists::pointers;
use arms::{Arms, Path};
use local::local;
use operators::Kind;
use place::{Place, ungrouped};

pub(crate) use operators::Trigrams;
pub(crate) use place::resolve;

/// Occurrences of tables that are looked at in one statement.
const MAX_OCCURRENCES: usize = 200;

/// One occurrence of a table.
#[derive(Debug, Clone)]
pub(crate) struct Use {
    /// The table.
    pub(crate) table: pg_sys::Oid,
    /// The tables that inherit from it are read too, if there are any.
    pub(crate) may_have_heirs: bool,
    /// What is done with it.
    pub(crate) used: Used,
    /// Columns that are compared with something that is not of another table, by `=` or by range.
    pub(crate) valued: Vec<i16>,
    /// Conditions with a value in them: one for predicates only where other executions have the same value.
    pub(crate) literals: Vec<Condition>,
}

/// What reading a statement depends on.
pub(crate) struct Reading<'a> {
    /// pg_trgm, where it is installed.
    pub(crate) trigrams: Option<&'a Trigrams>,
    /// The values of its parameters; null where they are not known.
    pub(crate) bound: pg_sys::ParamListInfo,
    /// Its constants may be shown: an index definition could have them.
    pub(crate) shows_constants: bool,
}

/// Reads the uses out of an analysed and rewritten tree.
///
/// Call with a search path of `pg_catalog` alone (`analysis::qualify`).
pub(crate) fn uses(query: *mut pg_sys::Query, reading: Reading<'_>) -> Vec<Use> {
    let mut reader = Reader {
        stack: Vec::new(),
        found: Vec::new(),
        path: Path::default(),
        reading,
    };
    // SAFETY: the tree was just made and is not changed.
    unsafe { reader.query(query) };
    let found = reader.found.into_iter();
    found
        .map(|occurrence| {
            let mut found = occurrence.found;
            found.used.apart = occurrence.arms.apart();
            found
        })
        .collect()
}

struct Reader<'a> {
    /// The query being read, inside those around it: a column may belong to an outer one.
    stack: Vec<*mut pg_sys::Query>,
    found: Vec<Occurrence>,
    /// Under which OR the condition stands that is being read.
    path: Path,
    reading: Reading<'a>,
}

struct Occurrence {
    entry: *mut pg_sys::RangeTblEntry,
    found: Use,
    /// Where its keys stand.
    arms: Arms,
}

/// What something is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum With {
    /// A constant, a parameter, whatever is known before the row is looked for.
    Value,
    /// What another row has: a join.
    Row,
}

/// A column or an expression of one occurrence of a table.
struct Side {
    entry: *mut pg_sys::RangeTblEntry,
    of: Of,
    type_oid: pg_sys::Oid,
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
                (*context.cast::<Reader<'_>>()).query(node.cast());
                false
            }
            pg_sys::NodeTag::T_Var => {
                (*context.cast::<Reader<'_>>()).read(node.cast());
                false
            }
            pg_sys::NodeTag::T_Aggref => {
                (*context.cast::<Reader<'_>>()).extreme(node.cast());
                pg_sys::expression_tree_walker(node, Some(visit), context)
            }
            _ => pg_sys::expression_tree_walker(node, Some(visit), context),
        }
    }
}

impl Reader<'_> {
    unsafe fn query(&mut self, query: *mut pg_sys::Query) {
        // SAFETY: a valid tree; the stack is restored.
        unsafe {
            self.stack.push(query);
            self.joins((*query).jointree.cast());
            self.order(query, (*query).sortClause, true);
            self.order(query, (*query).groupClause, false);
            self.order(query, (*query).distinctClause, false);
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
                    self.condition((*from).quals, true);
                }
                pg_sys::NodeTag::T_JoinExpr => {
                    let join = node.cast::<pg_sys::JoinExpr>();
                    self.joins((*join).larg);
                    self.joins((*join).rarg);
                    self.condition((*join).quals, true);
                }
                _ => {}
            }
        }
    }

    /// Any mention of a column.
    unsafe fn read(&mut self, variable: *mut pg_sys::Var) {
        // SAFETY: a node of the tree.
        unsafe {
            if let Some(place) = self.place(variable.cast()) {
                if let Some(there) = self.occurrence(place.entry)
                    && !there.used.read.contains(&place.column)
                {
                    there.used.read.push(place.column);
                }
            } else if (*variable).varattno <= 0
                && let Some(entry) = self.entry(variable)
                && (*entry).rtekind == pg_sys::RTEKind::RTE_RELATION
                && let Some(there) = self.occurrence(entry)
            {
                there.used.is_read_whole = true;
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

    fn note(&mut self, entry: *mut pg_sys::RangeTblEntry, kind: Kind, key: Key, with: With) {
        let Some(position) = self.position(entry) else {
            return;
        };
        let occurrence = &mut self.found[position];
        occurrence.arms.note(&key.of, &self.path);
        let there = &mut occurrence.found;
        if let (Of::Column(column), With::Value) = (&key.of, with)
            && !there.valued.contains(column)
        {
            there.valued.push(*column);
        }
        let list = match kind {
            Kind::Equal => &mut there.used.equal,
            Kind::Range => &mut there.used.range,
        };
        if !list.contains(&key) {
            list.push(key);
        }
    }

    fn occurrence(&mut self, entry: *mut pg_sys::RangeTblEntry) -> Option<&mut Use> {
        let position = self.position(entry)?;
        Some(&mut self.found[position].found)
    }

    fn position(&mut self, entry: *mut pg_sys::RangeTblEntry) -> Option<usize> {
        let known = self.found.iter().position(|there| there.entry == entry);
        match known {
            Some(position) => Some(position),
            None if self.found.len() >= MAX_OCCURRENCES || self.is_filled(entry) => None,
            None => {
                // SAFETY: the entry is part of the tree being read.
                let (table, inherits) = unsafe { ((*entry).relid, (*entry).inh) };
                // SAFETY: a catalogue look-up.
                let kind = unsafe { pg_sys::get_rel_relkind(table) } as u8;
                let found = Use {
                    table,
                    may_have_heirs: inherits && kind == b'r',
                    used: Used::default(),
                    valued: Vec::new(),
                    literals: Vec::new(),
                };
                self.found.push(Occurrence {
                    entry,
                    found,
                    arms: Arms::default(),
                });
                Some(self.found.len() - 1)
            }
        }
    }

    /// Whether it stands for the rows that an INSERT makes, or that are there already: no index is looked into for its columns.
    fn is_filled(&self, entry: *mut pg_sys::RangeTblEntry) -> bool {
        // SAFETY: queries of the tree being read; numbers are checked against the list.
        self.stack.iter().any(|query| unsafe {
            let query = &**query;
            let is = |number: i32| {
                let entries = pointers::<pg_sys::RangeTblEntry>(query.rtable);
                entries.get((number - 1) as usize) == Some(&entry)
            };
            query.commandType == pg_sys::CmdType::CMD_INSERT
                && (is(query.resultRelation)
                    || !query.onConflict.is_null() && is((*query.onConflict).exclRelIndex))
        })
    }

    unsafe fn place(&self, node: *mut pg_sys::Node) -> Option<Place> {
        // SAFETY: the tree is valid.
        unsafe { resolve(node, &self.stack, 0) }
    }

    /// A column, or an expression that an index could have.
    unsafe fn side(&self, node: *mut pg_sys::Node) -> Option<Side> {
        // SAFETY: the tree is valid.
        unsafe {
            if let Some(place) = self.place(node) {
                return Some(place.into());
            }
            let node = ungrouped(node, &self.stack);
            let found = local(node, &self.stack, self.reading.shows_constants)?;
            Some(Side {
                entry: found.entry,
                of: Of::Expression(found.expression),
                type_oid: found.type_oid,
            })
        }
    }
}

impl From<Place> for Side {
    fn from(place: Place) -> Self {
        Self {
            entry: place.entry,
            of: Of::Column(place.column),
            type_oid: place.type_oid,
        }
    }
}
