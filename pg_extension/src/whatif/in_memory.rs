//! What a plan would take were all that it reads in memory.
//!
//! The planner's costs are those of pages: one that was read before costs nothing when it is read again, and a row that is
//! fetched through an index costs no more than one of a sequential scan. In memory that is what counts: a fetch touches the
//! index's page, the buffer's header, the line pointer and the row, each in another line of the cache. So a plan that saves
//! pages may take longer. This is no second cost model: it only tells plans that save rows from plans that save pages alone.

use std::collections::BTreeSet;

use pgrx::prelude::*;

use super::column::correlation_of;
use super::table::IN_ORDER;
use crate::lists::pointers;

/// A row that is fetched through an index, in rows of a sequential scan.
const FETCH: f64 = 16.0;
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
/// Such conditions that count: most that stand beside one are not independent of it.
const MAX_FILTERS: i32 = 1;

/// A scan that costs less than this a row, in the planner's units, reads pages in order: one for a row would cost `random_page_cost`.
const COST_IN_ORDER: f64 = 0.5;

/// What the plan takes, in rows of a sequential scan; `None` where a subplan runs once a row, whose runs the plan does not tell.
///
/// # Safety
/// A statement that the planner just made, its relations locked.
pub(super) unsafe fn rows(statement: *mut pg_sys::PlannedStmt) -> Option<f64> {
    // SAFETY: the caller's promise.
    unsafe {
        let subplans = pointers::<pg_sys::Plan>((*statement).subplans);
        let mut walk = Walk {
            entries: pointers((*statement).rtable),
            subplans,
            run: BTreeSet::new(),
        };
        let rows = walk.node((*statement).planTree, Times::ONCE);
        let all = subplans.iter().filter(|subplan| !subplan.is_null());
        (walk.run.len() == all.count()).then_some(rows)
    }
}

struct Walk<'a> {
    entries: &'a [*mut pg_sys::RangeTblEntry],
    subplans: &'a [*mut pg_sys::Plan],
    /// Numbers of the subplans that run once, as far as they were met.
    run: BTreeSet<i32>,
}

/// How often a plan runs.
#[derive(Clone, Copy)]
struct Times {
    loops: f64,
    /// What is asked of its rows: less than all under LIMIT.
    part: f64,
}

impl Times {
    const ONCE: Self = Self {
        loops: 1.0,
        part: 1.0,
    };

    /// For a plan whose rows are all asked for before the first one is given on.
    fn whole(self) -> Self {
        Self { part: 1.0, ..self }
    }

    fn part(self, part: f64) -> Self {
        Self {
            part: self.part * part.clamp(0.0, 1.0),
            ..self
        }
    }
}

/// Rows that a plan answers.
unsafe fn of(plan: *mut pg_sys::Plan) -> f64 {
    // SAFETY: null or a plan.
    unsafe {
        if plan.is_null() {
            0.0
        } else {
            (*plan).plan_rows
        }
    }
}

fn sorting(rows: f64, kept: f64) -> f64 {
    HANDLED * rows * kept.max(2.0).log2() / 4.0
}

impl Walk<'_> {
    unsafe fn node(&mut self, plan: *mut pg_sys::Plan, times: Times) -> f64 {
        if plan.is_null() {
            return 0.0;
        }
        // SAFETY: casts follow the node's tag; children are null or plans.
        unsafe {
            use pg_sys::NodeTag;
            pg_sys::check_stack_depth();
            let once = self.subplans_of(plan);
            let (left, right) = ((*plan).lefttree, (*plan).righttree);
            let Times { loops, part } = times;
            let some = loops * part;
            let below = match (*plan).type_ {
                NodeTag::T_SeqScan | NodeTag::T_SampleScan => some * self.table(plan),
                NodeTag::T_IndexScan => {
                    loops * DESCENT + some * self.fetch(plan.cast(), loops) * fetched(plan)
                }
                NodeTag::T_IndexOnlyScan => loops * DESCENT + some * ENTRY * fetched(plan),
                NodeTag::T_BitmapHeapScan => {
                    some * FETCH_IN_ORDER * fetched(plan) + self.node(left, times.whole())
                }
                NodeTag::T_BitmapIndexScan => loops * (DESCENT + ENTRY * of(plan)),
                // What is kept is read again, not run again.
                NodeTag::T_NestLoop if (*right).type_ == NodeTag::T_Material => {
                    self.node(left, times)
                        + self.node((*right).lefttree, times.whole())
                        + some * HANDLED * of(left) * of(right)
                }
                NodeTag::T_NestLoop => {
                    let inner = Times {
                        loops: loops * (part * of(left)).max(1.0),
                        part: 1.0,
                    };
                    self.node(left, times) + self.node(right, inner)
                }
                NodeTag::T_Append => self.all((*plan.cast::<pg_sys::Append>()).appendplans, times),
                NodeTag::T_MergeAppend => {
                    self.all((*plan.cast::<pg_sys::MergeAppend>()).mergeplans, times)
                }
                NodeTag::T_BitmapAnd => {
                    self.all((*plan.cast::<pg_sys::BitmapAnd>()).bitmapplans, times)
                }
                NodeTag::T_BitmapOr => {
                    self.all((*plan.cast::<pg_sys::BitmapOr>()).bitmapplans, times)
                }
                NodeTag::T_SubqueryScan => {
                    self.node((*plan.cast::<pg_sys::SubqueryScan>()).subplan, times)
                }
                NodeTag::T_Limit => {
                    let asked = of(plan) / of(left).max(1.0);
                    if (*left).type_ == NodeTag::T_Sort {
                        // Only the first are kept.
                        let sorted = (*left).lefttree;
                        self.node(sorted, times.whole()) + loops * sorting(of(sorted), of(plan))
                    } else {
                        self.node(left, times.part(asked))
                    }
                }
                NodeTag::T_Sort => {
                    self.node(left, times.whole()) + loops * sorting(of(left), of(left))
                }
                NodeTag::T_Agg
                    if (*plan.cast::<pg_sys::Agg>()).aggstrategy
                        != pg_sys::AggStrategy::AGG_SORTED =>
                {
                    self.node(left, times.whole()) + loops * HANDLED * of(left)
                }
                NodeTag::T_Hash => self.node(left, times.whole()) + loops * HANDLED * of(left),
                _ => {
                    self.node(left, times)
                        + self.node(right, times)
                        + some * HANDLED * (of(left) + of(right))
                }
            };
            below + once + some * HANDLED * of(plan)
        }
    }

    /// The subplans that a plan runs once, before its first row.
    unsafe fn subplans_of(&mut self, plan: *mut pg_sys::Plan) -> f64 {
        // SAFETY: a list of SubPlan nodes, whose numbers begin with 1.
        unsafe {
            let mut all = 0.0;
            for &subplan in pointers::<pg_sys::SubPlan>((*plan).initPlan) {
                let number = (*subplan).plan_id;
                let place = usize::try_from(number).unwrap_or(0).checked_sub(1);
                let found = place.and_then(|place| self.subplans.get(place)).copied();
                if let Some(found) = found
                    && self.run.insert(number)
                {
                    all += self.node(found, Times::ONCE);
                }
            }
            all
        }
    }

    unsafe fn all(&mut self, plans: *mut pg_sys::List, times: Times) -> f64 {
        // SAFETY: a list of plans.
        unsafe {
            let plans = pointers::<pg_sys::Plan>(plans);
            plans.iter().map(|&plan| self.node(plan, times)).sum()
        }
    }

    /// What a row takes that an index scan fetches.
    unsafe fn fetch(&self, scan: *mut pg_sys::IndexScan, loops: f64) -> f64 {
        // SAFETY: a plan of the statement; its conditions are over the table that it scans.
        unsafe {
            let number = (*scan).scan.scanrelid;
            let mut columns = std::ptr::null_mut();
            if let Some(&first) = pointers::<pg_sys::Node>((*scan).indexqualorig).first() {
                pg_sys::pull_varattnos(first, number, &mut columns);
            }
            let first =
                pg_sys::bms_next_member(columns, -1) + pg_sys::FirstLowInvalidHeapAttributeNumber;
            let is_in_order = if columns.is_null() {
                // All of it is read, once: what the planner takes the pages to cost says how they lie.
                let plan = &(*scan).scan.plan;
                loops <= 1.0 && plan.total_cost - plan.startup_cost < COST_IN_ORDER * plan.plan_rows
            } else {
                let entry = self.entry(number);
                let column = i16::try_from(first).unwrap_or(0);
                entry.is_some_and(|entry| correlation_of((*entry).relid, column).abs() >= IN_ORDER)
            };
            if is_in_order { FETCH_IN_ORDER } else { FETCH }
        }
    }

    fn entry(&self, number: u32) -> Option<*mut pg_sys::RangeTblEntry> {
        let place = (number as usize).checked_sub(1)?;
        self.entries.get(place).copied()
    }

    /// Rows of the table that a scan goes through.
    unsafe fn table(&self, plan: *mut pg_sys::Plan) -> f64 {
        // SAFETY: every scan begins with these fields; the planner has locked the relation.
        unsafe {
            let Some(entry) = self.entry((*plan.cast::<pg_sys::Scan>()).scanrelid) else {
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

/// Rows that an index scan looks at, to answer those that the planner expects: no more than its cost could pay for.
unsafe fn fetched(plan: *mut pg_sys::Plan) -> f64 {
    // SAFETY: a plan; its conditions are a list or NIL. Settings of this session.
    unsafe {
        let plan = &*plan;
        let filters = if plan.qual.is_null() {
            0
        } else {
            (*plan.qual).length
        };
        let rows = plan.plan_rows.max(1.0);
        let each = pg_sys::cpu_index_tuple_cost
            + pg_sys::cpu_tuple_cost
            + f64::from(filters) * pg_sys::cpu_operator_cost;
        let paid = (plan.total_cost - plan.startup_cost) / each.max(f64::MIN_POSITIVE);
        (rows * FILTERED.powi(filters.min(MAX_FILTERS))).min(paid.max(rows))
    }
}
