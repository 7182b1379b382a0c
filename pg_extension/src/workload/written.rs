//! What a statement writes: read off its parsed text, nothing of it is analysed or planned.

use std::collections::BTreeMap;
use std::ffi::CStr;

use pgrx::prelude::*;

use super::analysis::{self, Context};
use super::statements::Statement;
use crate::lists::{oids, pointers};
use crate::names;
use crate::whatif::guarded::guarded;

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
    /// What MERGE does where rows are there and where they are not: how often which the statement's rows do not say.
    Merge {
        inserts: bool,
        /// Empty where it updates none.
        updates: Vec<i16>,
        deletes: bool,
    },
}

/// What a recorded or given statement writes, each part with the rows of one execution.
pub(crate) fn by(statement: &Statement, context: &Context) -> Vec<(Part, f64)> {
    let Some(source) = statement.sources().into_iter().next() else {
        return Vec::new();
    };
    let read = guarded(|| {
        analysis::enter_for(context, &source);
        written(&source.text)
    });
    let with_rows = |part: Part| {
        // What stands in WITH answers its rows, if anything.
        let least = if part.is_part { 1.0 } else { 0.0 };
        (part, statement.rows.max(least))
    };
    read.unwrap_or_default()
        .into_iter()
        .map(with_rows)
        .collect()
}

/// The tables that a statement writes, through a view too; a partition's are those of its parents too.
///
/// Call inside `guarded`: a text that does not parse raises an error.
fn written(text: &CStr) -> Vec<Part> {
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
        let mut add = |relation, act: &dyn Fn(&Columns<'_>) -> Act| {
            let Some(named) = table(relation) else { return };
            let Some((base, names)) = behind(named, 0) else {
                return;
            };
            for table in with_parents(base) {
                found.push(Part {
                    table,
                    act: act(&Columns {
                        table,
                        names: &names,
                    }),
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
                add((*insert).relation, &|columns| {
                    if updates {
                        Act::Upsert(columns.set((*conflict).targetList))
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
                add((*update).relation, &|columns| {
                    Act::Update(columns.set((*update).targetList))
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
            NodeTag::T_MergeStmt => {
                let merge = node.cast::<pg_sys::MergeStmt>();
                let clauses = pointers::<pg_sys::MergeWhenClause>((*merge).mergeWhenClauses);
                let of = |kind| {
                    clauses
                        .iter()
                        .filter(move |one| (***one).commandType == kind)
                };
                add((*merge).relation, &|columns| {
                    let updates = of(pg_sys::CmdType::CMD_UPDATE);
                    let mut updates: Vec<i16> = updates
                        .flat_map(|one| columns.set((**one).targetList))
                        .collect();
                    updates.sort_unstable();
                    updates.dedup();
                    Act::Merge {
                        inserts: of(pg_sys::CmdType::CMD_INSERT).next().is_some(),
                        updates,
                        deletes: of(pg_sys::CmdType::CMD_DELETE).next().is_some(),
                    }
                });
                (*merge).withClause
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

/// Columns of a table, by what a view calls them where one is written to.
struct Columns<'a> {
    table: pg_sys::Oid,
    names: &'a BTreeMap<String, String>,
}

impl Columns<'_> {
    /// Numbers of the columns that SET names.
    unsafe fn set(&self, targets: *mut pg_sys::List) -> Vec<i16> {
        // SAFETY: a list of targets, each with a name.
        unsafe {
            let targets = pointers::<pg_sys::ResTarget>(targets).iter();
            let numbers = targets.filter_map(|target| {
                let name = names::text((**target).name)?;
                let name = names::c_string(self.names.get(&name).unwrap_or(&name)).ok()?;
                Some(pg_sys::get_attnum(self.table, name.as_ptr()))
            });
            numbers.filter(|number| *number > 0).collect()
        }
    }
}

/// The table that is written where a relation is, and what the columns of a view are called there; `None` where that is another
/// one's doing: a trigger's, a rule's.
unsafe fn behind(
    relation: pg_sys::Oid,
    depth: usize,
) -> Option<(pg_sys::Oid, BTreeMap<String, String>)> {
    const MAX_DEPTH: usize = 8;
    // SAFETY: the view's query is looked at while its entry in the cache is held; casts follow the nodes' tags.
    unsafe {
        if pg_sys::get_rel_relkind(relation) as u8 != b'v' {
            return Some((relation, BTreeMap::new()));
        }
        if depth >= MAX_DEPTH {
            return None;
        }
        let view = pg_sys::RelationIdGetRelation(relation);
        if view.is_null() {
            return None;
        }
        let query = pg_sys::get_view_query(view);
        let mut found = None;
        if pg_sys::view_query_is_auto_updatable(query, false).is_null()
            && let Some(&first) =
                pointers::<pg_sys::RangeTblRef>((*(*query).jointree).fromlist).first()
            && let Some(&entry) = pointers::<pg_sys::RangeTblEntry>((*query).rtable)
                .get(((*first).rtindex as usize).wrapping_sub(1))
        {
            let base = (*entry).relid;
            let mut names = BTreeMap::new();
            for &target in pointers::<pg_sys::TargetEntry>((*query).targetList) {
                let expression = (*target).expr.cast::<pg_sys::Node>();
                if (*expression).type_ != pg_sys::NodeTag::T_Var || (*target).resjunk {
                    continue;
                }
                let number = (*expression.cast::<pg_sys::Var>()).varattno;
                let own = names::text((*target).resname);
                if let Some(own) = own
                    && let Some(there) = names::text(pg_sys::get_attname(base, number, true))
                {
                    names.insert(own, there);
                }
            }
            found = Some((base, names));
        }
        pg_sys::RelationClose(view);
        let (base, names) = found?;
        let (table, further) = behind(base, depth + 1)?;
        let through = names.into_iter().map(|(own, there)| {
            let there = further.get(&there).cloned().unwrap_or(there);
            (own, there)
        });
        Some((table, through.collect()))
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
