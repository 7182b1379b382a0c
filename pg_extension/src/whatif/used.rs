//! Which of the supposed indexes a plan uses.

use pgrx::prelude::*;

use super::hypothetical::position;
use crate::lists::pointers;

/// Positions of the supposed indexes that the plan reads, ascending.
///
/// # Safety
/// A statement that the planner just made.
pub(super) unsafe fn used(statement: *mut pg_sys::PlannedStmt) -> Vec<usize> {
    let mut found = Vec::new();
    // SAFETY: casts follow the nodes' tags; children are null or plans.
    unsafe {
        let mut left = vec![(*statement).planTree];
        left.extend(pointers::<pg_sys::Plan>((*statement).subplans));
        while let Some(plan) = left.pop() {
            if plan.is_null() {
                continue;
            }
            left.extend([(*plan).lefttree, (*plan).righttree]);
            let index = match (*plan).type_ {
                pg_sys::NodeTag::T_IndexScan => (*plan.cast::<pg_sys::IndexScan>()).indexid,
                pg_sys::NodeTag::T_IndexOnlyScan => (*plan.cast::<pg_sys::IndexOnlyScan>()).indexid,
                pg_sys::NodeTag::T_BitmapIndexScan => {
                    (*plan.cast::<pg_sys::BitmapIndexScan>()).indexid
                }
                pg_sys::NodeTag::T_SubqueryScan => {
                    left.push((*plan.cast::<pg_sys::SubqueryScan>()).subplan);
                    continue;
                }
                pg_sys::NodeTag::T_Append => {
                    left.extend(pointers((*plan.cast::<pg_sys::Append>()).appendplans));
                    continue;
                }
                pg_sys::NodeTag::T_MergeAppend => {
                    left.extend(pointers((*plan.cast::<pg_sys::MergeAppend>()).mergeplans));
                    continue;
                }
                pg_sys::NodeTag::T_BitmapAnd => {
                    left.extend(pointers((*plan.cast::<pg_sys::BitmapAnd>()).bitmapplans));
                    continue;
                }
                pg_sys::NodeTag::T_BitmapOr => {
                    left.extend(pointers((*plan.cast::<pg_sys::BitmapOr>()).bitmapplans));
                    continue;
                }
                pg_sys::NodeTag::T_CustomScan => {
                    left.extend(pointers((*plan.cast::<pg_sys::CustomScan>()).custom_plans));
                    continue;
                }
                _ => continue,
            };
            found.extend(position(index));
        }
    }
    found.sort_unstable();
    found.dedup();
    found
}
