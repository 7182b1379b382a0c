//! A captured plan in words.

use pg_pitcrew_capture::{Outline, PlanNode};
use pgrx::prelude::*;

use crate::names;

/// As `EXPLAIN` names nodes, what is below one in parentheses. Of a plan with more than 24 nodes the first.
pub(super) fn shown(plan: &Outline) -> String {
    let mut shown = String::new();
    let mut depth = 0;
    for node in plan.nodes() {
        if node.depth > depth {
            shown.push('(');
        } else {
            for _ in node.depth..depth {
                shown.push(')');
            }
            if !shown.is_empty() {
                shown.push_str(", ");
            }
        }
        depth = node.depth;
        shown.push_str(&named(&node));
    }
    for _ in 0..depth {
        shown.push(')');
    }
    shown
}

/// The tables and indexes that it reads.
pub(super) fn relations(plan: &Outline) -> Vec<pg_sys::Oid> {
    let read = plan.nodes().map(|node| node.relation);
    let mut read: Vec<u32> = read.filter(|relation| *relation != 0).collect();
    read.sort_unstable();
    read.dedup();
    read.into_iter().map(pg_sys::Oid::from).collect()
}

fn named(node: &PlanNode) -> String {
    let name = name(node.tag);
    if node.relation == 0 {
        return name.to_owned();
    }
    let relation = pg_sys::Oid::from(node.relation);
    let Some(of) = names::qualified(relation) else {
        return format!("{name} on what is gone (OID {})", node.relation);
    };
    // SAFETY: a catalogue look-up that answers 0 for a relation that does not exist.
    let is_index = matches!(
        unsafe { pg_sys::get_rel_relkind(relation) } as u8,
        b'i' | b'I'
    );
    let how = if is_index { "using" } else { "on" };
    format!("{name} {how} {of}")
}

fn name(tag: u16) -> &'static str {
    use pg_sys::NodeTag as Tag;
    let names = [
        (Tag::T_Result, "Result"),
        (Tag::T_ProjectSet, "ProjectSet"),
        (Tag::T_ModifyTable, "ModifyTable"),
        (Tag::T_Append, "Append"),
        (Tag::T_MergeAppend, "Merge Append"),
        (Tag::T_RecursiveUnion, "Recursive Union"),
        (Tag::T_BitmapAnd, "BitmapAnd"),
        (Tag::T_BitmapOr, "BitmapOr"),
        (Tag::T_NestLoop, "Nested Loop"),
        (Tag::T_MergeJoin, "Merge Join"),
        (Tag::T_HashJoin, "Hash Join"),
        (Tag::T_SeqScan, "Seq Scan"),
        (Tag::T_SampleScan, "Sample Scan"),
        (Tag::T_Gather, "Gather"),
        (Tag::T_GatherMerge, "Gather Merge"),
        (Tag::T_IndexScan, "Index Scan"),
        (Tag::T_IndexOnlyScan, "Index Only Scan"),
        (Tag::T_BitmapIndexScan, "Bitmap Index Scan"),
        (Tag::T_BitmapHeapScan, "Bitmap Heap Scan"),
        (Tag::T_TidScan, "Tid Scan"),
        (Tag::T_TidRangeScan, "Tid Range Scan"),
        (Tag::T_SubqueryScan, "Subquery Scan"),
        (Tag::T_FunctionScan, "Function Scan"),
        (Tag::T_TableFuncScan, "Table Function Scan"),
        (Tag::T_ValuesScan, "Values Scan"),
        (Tag::T_CteScan, "CTE Scan"),
        (Tag::T_NamedTuplestoreScan, "Named Tuplestore Scan"),
        (Tag::T_WorkTableScan, "WorkTable Scan"),
        (Tag::T_ForeignScan, "Foreign Scan"),
        (Tag::T_CustomScan, "Custom Scan"),
        (Tag::T_Material, "Materialize"),
        (Tag::T_Memoize, "Memoize"),
        (Tag::T_Sort, "Sort"),
        (Tag::T_IncrementalSort, "Incremental Sort"),
        (Tag::T_Group, "Group"),
        (Tag::T_Agg, "Aggregate"),
        (Tag::T_WindowAgg, "WindowAgg"),
        (Tag::T_Unique, "Unique"),
        (Tag::T_SetOp, "SetOp"),
        (Tag::T_LockRows, "LockRows"),
        (Tag::T_Limit, "Limit"),
        (Tag::T_Hash, "Hash"),
    ];
    let found = names.iter().find(|(known, _)| *known as u16 == tag);
    found.map_or("Plan", |(_, name)| name)
}
