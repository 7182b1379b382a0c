//! What a plan would take were all that it reads in memory.
//!
//! The planner's costs are those of pages: one that was read before costs nothing when it is read again, and a row that is
//! fetched through an index costs no more than one of a sequential scan. In memory that is what counts: a fetch touches the
//! index's page, the buffer's header, the line pointer and the row, each in another line of the cache. So a plan that saves
//! pages may take longer. This is no second cost model: it only tells plans that save rows from plans that save pages alone.

use pgrx::prelude::*;

use crate::lists::pointers;

/// A row that is fetched through an index, in rows of a sequential scan.
const FETCH: f64 = 12.0;
/// The same where rows are fetched in the order of their pages.
const FETCH_IN_ORDER: f64 = 4.0;
/// An entry of an index that is read without its row.
const ENTRY: f64 = 1.0;
/// From an index's root to a leaf.
const DESCENT: f64 = 8.0;
/// A row that goes through a hash table, a join, a sort's comparison or an aggregate.
const HANDLED: f64 = 1.0;
/// What a condition that the index does not answer leaves over, where nothing else is known (`DEFAULT_INEQ_SEL`).
const FILTERED: f64 = 3.0;
/// Such conditions that count.
const MAX_FILTERS: i32 = 2;

/// What the plan takes, in rows of a sequential scan. What runs once a row (a subplan) is not counted.
///
/// # Safety
/// A statement that the planner just made, its relations locked.
pub(super) unsafe fn rows(statement: *mut pg_sys::PlannedStmt) -> f64 {
    // SAFETY: the caller's promise.
    unsafe {
        let walk = Walk {
            entries: pointers((*statement).rtable),
        };
        walk.node((*statement).planTree, 1.0)
    }
}

struct Walk<'a> {
    entries: &'a [*mut pg_sys::RangeTblEntry],
}

impl Walk<'_> {
    /// A plan that is run so many times.
    unsafe fn node(&self, plan: *mut pg_sys::Plan, loops: f64) -> f64 {
        if plan.is_null() {
            return 0.0;
        }
        // SAFETY: casts follow the node's tag; children are null or plans.
        unsafe {
            use pg_sys::NodeTag;
            pg_sys::check_stack_depth();
            let (left, right) = ((*plan).lefttree, (*plan).righttree);
            let of = |plan: *mut pg_sys::Plan| {
                if plan.is_null() {
                    0.0
                } else {
                    (*plan).plan_rows
                }
            };
            let below = match (*plan).type_ {
                NodeTag::T_SeqScan | NodeTag::T_SampleScan => loops * self.table(plan),
                NodeTag::T_IndexScan => loops * (DESCENT + FETCH * fetched(plan)),
                NodeTag::T_IndexOnlyScan => loops * (DESCENT + ENTRY * fetched(plan)),
                NodeTag::T_BitmapHeapScan => {
                    loops * FETCH_IN_ORDER * fetched(plan) + self.node(left, loops)
                }
                NodeTag::T_BitmapIndexScan => loops * (DESCENT + ENTRY * of(plan)),
                // What is kept is read again, not run again.
                NodeTag::T_NestLoop if (*right).type_ == NodeTag::T_Material => {
                    self.node(left, loops)
                        + self.node((*right).lefttree, loops)
                        + loops * HANDLED * of(left) * of(right)
                }
                NodeTag::T_NestLoop => {
                    self.node(left, loops) + self.node(right, loops * of(left).max(1.0))
                }
                NodeTag::T_Append => self.all((*plan.cast::<pg_sys::Append>()).appendplans, loops),
                NodeTag::T_MergeAppend => {
                    self.all((*plan.cast::<pg_sys::MergeAppend>()).mergeplans, loops)
                }
                NodeTag::T_BitmapAnd => {
                    self.all((*plan.cast::<pg_sys::BitmapAnd>()).bitmapplans, loops)
                }
                NodeTag::T_BitmapOr => {
                    self.all((*plan.cast::<pg_sys::BitmapOr>()).bitmapplans, loops)
                }
                NodeTag::T_SubqueryScan => {
                    self.node((*plan.cast::<pg_sys::SubqueryScan>()).subplan, loops)
                }
                NodeTag::T_Sort => {
                    let rows = of(left).max(2.0);
                    self.node(left, loops) + loops * HANDLED * rows * rows.log2() / 4.0
                }
                _ => {
                    self.node(left, loops)
                        + self.node(right, loops)
                        + loops * HANDLED * (of(left) + of(right))
                }
            };
            below + loops * HANDLED * of(plan)
        }
    }

    unsafe fn all(&self, plans: *mut pg_sys::List, loops: f64) -> f64 {
        // SAFETY: a list of plans.
        let plans = unsafe { pointers::<pg_sys::Plan>(plans) };
        // SAFETY: as above.
        plans
            .iter()
            .map(|&plan| unsafe { self.node(plan, loops) })
            .sum()
    }

    /// Rows of the table that a scan goes through.
    unsafe fn table(&self, plan: *mut pg_sys::Plan) -> f64 {
        // SAFETY: every scan begins with these fields; the planner has locked the relation.
        unsafe {
            let number = (*plan.cast::<pg_sys::Scan>()).scanrelid as usize;
            let entry = number
                .checked_sub(1)
                .and_then(|place| self.entries.get(place));
            let Some(&entry) = entry else {
                return (*plan).plan_rows;
            };
            let relation = pg_sys::RelationIdGetRelation((*entry).relid);
            if relation.is_null() {
                return (*plan).plan_rows;
            }
            let rows = f64::from((*(*relation).rd_rel).reltuples);
            pg_sys::RelationClose(relation);
            rows.max((*plan).plan_rows)
        }
    }
}

/// Rows that an index scan looks at, to answer those that the planner expects.
unsafe fn fetched(plan: *mut pg_sys::Plan) -> f64 {
    // SAFETY: a plan; its conditions are a list or NIL.
    unsafe {
        let filters = if (*plan).qual.is_null() {
            0
        } else {
            (*(*plan).qual).length
        };
        (*plan).plan_rows.max(1.0) * FILTERED.powi(filters.min(MAX_FILTERS))
    }
}
