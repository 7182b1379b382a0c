//! The shape of a plan as a number: which nodes over which tables and indexes, joined how. Costs and constants are no part of it.

use pg_pitcrew_capture::mix;
use pgrx::prelude::*;

use crate::lists::pointers;

/// Nodes of a plan that are looked at: what a larger one has beyond them does not count.
const MAX_NODES: u32 = 2_000;
/// Plans in plans; deeper ones do not count.
const MAX_DEPTH: u32 = 200;

/// The shape of a plan; 0 where there is none.
///
/// # Safety
/// `statement` is null or a plan.
pub(super) unsafe fn of(statement: *mut pg_sys::PlannedStmt) -> u64 {
    // SAFETY: the caller's promise.
    unsafe {
        if statement.is_null() {
            return 0;
        }
        let mut walk = Walk {
            entries: pointers((*statement).rtable),
            hash: 1,
            nodes: 0,
        };
        walk.node((*statement).planTree, 0);
        for &plan in pointers::<pg_sys::Plan>((*statement).subplans) {
            walk.node(plan, 0);
        }
        walk.hash | 1
    }
}

struct Walk<'a> {
    entries: &'a [*mut pg_sys::RangeTblEntry],
    hash: u64,
    nodes: u32,
}

impl Walk<'_> {
    fn add(&mut self, number: u32) {
        self.hash = mix(self.hash, u64::from(number));
    }

    unsafe fn node(&mut self, plan: *mut pg_sys::Plan, depth: u32) {
        self.nodes += 1;
        if plan.is_null() || depth > MAX_DEPTH || self.nodes > MAX_NODES {
            // Where a child is missing counts too.
            return self.add(0);
        }
        // SAFETY: casts follow the node's tag.
        unsafe {
            use pg_sys::NodeTag;
            let tag = (*plan).type_;
            self.add(tag as u32);
            match tag {
                NodeTag::T_SeqScan
                | NodeTag::T_SampleScan
                | NodeTag::T_BitmapHeapScan
                | NodeTag::T_TidScan
                | NodeTag::T_TidRangeScan
                | NodeTag::T_ForeignScan => self.scan(plan),
                NodeTag::T_IndexScan => {
                    self.scan(plan);
                    self.add((*plan.cast::<pg_sys::IndexScan>()).indexid.to_u32());
                }
                NodeTag::T_IndexOnlyScan => {
                    self.scan(plan);
                    self.add((*plan.cast::<pg_sys::IndexOnlyScan>()).indexid.to_u32());
                }
                NodeTag::T_BitmapIndexScan => {
                    self.scan(plan);
                    self.add((*plan.cast::<pg_sys::BitmapIndexScan>()).indexid.to_u32());
                }
                NodeTag::T_NestLoop | NodeTag::T_MergeJoin | NodeTag::T_HashJoin => {
                    self.add((*plan.cast::<pg_sys::Join>()).jointype);
                }
                NodeTag::T_Agg => self.add((*plan.cast::<pg_sys::Agg>()).aggstrategy),
                NodeTag::T_SubqueryScan => {
                    self.node((*plan.cast::<pg_sys::SubqueryScan>()).subplan, depth + 1);
                }
                NodeTag::T_Append => {
                    self.list((*plan.cast::<pg_sys::Append>()).appendplans, depth);
                }
                NodeTag::T_MergeAppend => {
                    self.list((*plan.cast::<pg_sys::MergeAppend>()).mergeplans, depth);
                }
                NodeTag::T_BitmapAnd => {
                    self.list((*plan.cast::<pg_sys::BitmapAnd>()).bitmapplans, depth);
                }
                NodeTag::T_BitmapOr => {
                    self.list((*plan.cast::<pg_sys::BitmapOr>()).bitmapplans, depth);
                }
                _ => {}
            }
            if !(*plan).lefttree.is_null() || !(*plan).righttree.is_null() {
                self.node((*plan).lefttree, depth + 1);
                self.node((*plan).righttree, depth + 1);
            }
        }
    }

    unsafe fn list(&mut self, plans: *mut pg_sys::List, depth: u32) {
        // SAFETY: a list of plans.
        for &plan in unsafe { pointers::<pg_sys::Plan>(plans) } {
            // SAFETY: as above.
            unsafe { self.node(plan, depth + 1) };
        }
    }

    unsafe fn scan(&mut self, plan: *mut pg_sys::Plan) {
        // SAFETY: every scan begins with these fields.
        unsafe {
            let number = (*plan.cast::<pg_sys::Scan>()).scanrelid as usize;
            let entry = number
                .checked_sub(1)
                .and_then(|place| self.entries.get(place));
            self.add(entry.map_or(0, |entry| (**entry).relid.to_u32()));
        }
    }
}
