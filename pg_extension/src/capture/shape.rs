//! What is kept of a plan: a number for its shape (which nodes over which tables and indexes, joined how) and its first nodes.
//! Costs and constants are no part of it, nor which and how many partitions of a table are read: those depend on the constants.

use pg_pitcrew_capture::{Outline, PlanNode, mix};
use pgrx::prelude::*;

use crate::lists::pointers;

/// Nodes of a plan that are looked at: what a larger one has beyond them does not count.
const MAX_NODES: u32 = 2_000;
/// Plans in plans; deeper ones do not count.
const MAX_DEPTH: u16 = 200;
/// Children of one Append that are told apart.
const MAX_ALIKE: usize = 16;
/// Partitions in partitions.
const MAX_LEVELS: usize = 16;

/// What is kept of a plan.
///
/// # Safety
/// `statement` is null or a plan.
pub(super) unsafe fn of(statement: *mut pg_sys::PlannedStmt) -> Outline {
    // SAFETY: the caller's promise.
    unsafe {
        if statement.is_null() {
            return Outline::default();
        }
        let mut walk = Walk {
            entries: pointers((*statement).rtable),
            parents: pointers((*statement).appendRelations),
            outline: Outline::default(),
            nodes: 0,
        };
        let mut shape = walk.node((*statement).planTree, 0);
        for &plan in pointers::<pg_sys::Plan>((*statement).subplans) {
            shape = mix(shape, walk.node(plan, 0));
        }
        walk.outline.shape = shape | 1;
        walk.outline
    }
}

struct Walk<'a> {
    entries: &'a [*mut pg_sys::RangeTblEntry],
    /// Which entry is a part of which.
    parents: &'a [*mut pg_sys::AppendRelInfo],
    outline: Outline,
    nodes: u32,
}

/// What a scan reads.
struct Read {
    /// The table; the whole one of a partition.
    table: u32,
    /// The index; none of a partition, whose index is its own.
    index: u32,
}

impl Walk<'_> {
    /// A number for a plan and what is below it.
    unsafe fn node(&mut self, plan: *mut pg_sys::Plan, depth: u16) -> u64 {
        self.nodes += 1;
        if plan.is_null() || depth > MAX_DEPTH || self.nodes > MAX_NODES {
            return 0;
        }
        // SAFETY: casts follow the node's tag.
        unsafe {
            use pg_sys::NodeTag;
            let tag = (*plan).type_;
            let read = self.read(plan);
            self.outline.add(PlanNode {
                depth,
                tag: tag as u16,
                relation: read.as_ref().map_or(0, |read| {
                    if read.index == 0 {
                        read.table
                    } else {
                        read.index
                    }
                }),
            });
            let mut shape = mix(1, tag as u64);
            if let Some(read) = read {
                shape = mix(mix(shape, read.table.into()), read.index.into());
            }
            match tag {
                NodeTag::T_NestLoop | NodeTag::T_MergeJoin | NodeTag::T_HashJoin => {
                    shape = mix(shape, (*plan.cast::<pg_sys::Join>()).jointype.into());
                }
                NodeTag::T_Agg => {
                    shape = mix(shape, (*plan.cast::<pg_sys::Agg>()).aggstrategy.into());
                }
                NodeTag::T_SubqueryScan => {
                    let below = (*plan.cast::<pg_sys::SubqueryScan>()).subplan;
                    shape = mix(shape, self.node(below, depth + 1));
                }
                NodeTag::T_Append => {
                    return self.alike(shape, (*plan.cast::<pg_sys::Append>()).appendplans, depth);
                }
                NodeTag::T_MergeAppend => {
                    return self.alike(
                        shape,
                        (*plan.cast::<pg_sys::MergeAppend>()).mergeplans,
                        depth,
                    );
                }
                NodeTag::T_BitmapAnd => {
                    shape = self.all(
                        shape,
                        (*plan.cast::<pg_sys::BitmapAnd>()).bitmapplans,
                        depth,
                    );
                }
                NodeTag::T_BitmapOr => {
                    shape = self.all(shape, (*plan.cast::<pg_sys::BitmapOr>()).bitmapplans, depth);
                }
                _ => {}
            }
            for below in [(*plan).lefttree, (*plan).righttree] {
                if !below.is_null() {
                    shape = mix(shape, self.node(below, depth + 1));
                } else {
                    // Where a child is missing counts too.
                    shape = mix(shape, 0);
                }
            }
            shape
        }
    }

    unsafe fn all(&mut self, mut shape: u64, plans: *mut pg_sys::List, depth: u16) -> u64 {
        // SAFETY: a list of plans.
        for &plan in unsafe { pointers::<pg_sys::Plan>(plans) } {
            // SAFETY: as above.
            shape = mix(shape, unsafe { self.node(plan, depth + 1) });
        }
        shape
    }

    /// Plans one after the other, each kind of them once; the one plan where all are alike, for then it stands alone where
    /// there is a single one.
    unsafe fn alike(&mut self, mut shape: u64, plans: *mut pg_sys::List, depth: u16) -> u64 {
        let mut seen = [0; MAX_ALIKE];
        let mut count = 0;
        // SAFETY: a list of plans.
        for &plan in unsafe { pointers::<pg_sys::Plan>(plans) } {
            let before = self.outline.len();
            // SAFETY: as above.
            let child = unsafe { self.node(plan, depth + 1) };
            if seen[..count].contains(&child) {
                self.outline.truncate(before);
            } else if let Some(place) = seen.get_mut(count) {
                *place = child;
                count += 1;
            }
        }
        let kinds = &mut seen[..count];
        if let [only] = kinds {
            return *only;
        }
        kinds.sort_unstable();
        for kind in kinds {
            shape = mix(shape, *kind);
        }
        shape
    }

    /// What a node reads itself.
    unsafe fn read(&self, plan: *mut pg_sys::Plan) -> Option<Read> {
        // SAFETY: casts follow the node's tag; every scan begins with the same fields.
        unsafe {
            use pg_sys::NodeTag;
            let index = match (*plan).type_ {
                NodeTag::T_SeqScan
                | NodeTag::T_SampleScan
                | NodeTag::T_BitmapHeapScan
                | NodeTag::T_TidScan
                | NodeTag::T_TidRangeScan
                | NodeTag::T_ForeignScan => pg_sys::InvalidOid,
                NodeTag::T_IndexScan => (*plan.cast::<pg_sys::IndexScan>()).indexid,
                NodeTag::T_IndexOnlyScan => (*plan.cast::<pg_sys::IndexOnlyScan>()).indexid,
                NodeTag::T_BitmapIndexScan => (*plan.cast::<pg_sys::BitmapIndexScan>()).indexid,
                _ => return None,
            };
            let number = (*plan.cast::<pg_sys::Scan>()).scanrelid;
            let (whole, is_part) = self.whole(number);
            let place = usize::try_from(whole).ok()?.checked_sub(1);
            let entry = place.and_then(|place| self.entries.get(place));
            Some(Read {
                table: entry.map_or(0, |entry| (**entry).relid.to_u32()),
                index: if is_part { 0 } else { index.to_u32() },
            })
        }
    }

    /// The entry that a part belongs to, and whether it is one.
    unsafe fn whole(&self, number: pg_sys::Index) -> (pg_sys::Index, bool) {
        let mut whole = number;
        for _ in 0..MAX_LEVELS {
            // SAFETY: a list of AppendRelInfo.
            let parent = self
                .parents
                .iter()
                .find(|one| unsafe { (***one).child_relid == whole });
            // SAFETY: as above. Parts of a UNION have no table above them.
            match parent.map(|one| unsafe { ((**one).parent_relid, (**one).parent_reloid) }) {
                Some((parent, table)) if table != pg_sys::InvalidOid => whole = parent,
                _ => break,
            }
        }
        (whole, whole != number)
    }
}
