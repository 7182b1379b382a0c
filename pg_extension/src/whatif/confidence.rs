//! How far a prediction can be relied on, and why not further.

use std::ffi::c_void;

use pg_pitcrew_advisor::Frequencies;
use pgrx::prelude::*;

use super::hypothetical::Hypothetical;
use super::predict::Predicted;
use crate::lists::{self, pointers};
use crate::names;
use crate::workload::analysis::Analysed;
use crate::workload::usage::resolve;

/// How close a predicted cost is to that of the index once it is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Confidence {
    /// The planner's own facts are missing or known to be wrong: good for a rank alone.
    Low,
    /// From a sample.
    Medium,
    /// From the facts that the planner has once the index is built.
    High,
}

impl Confidence {
    /// Its name in SQL.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

/// A confidence and what it rests on.
#[derive(Debug, Clone)]
pub(crate) struct Trusted {
    /// The lowest of all.
    pub(crate) confidence: Confidence,
    /// Why it is not high.
    pub(crate) because: Vec<String>,
}

/// Reasons that are kept.
const MAX_REASONS: usize = 20;

impl Default for Trusted {
    fn default() -> Self {
        Self {
            confidence: Confidence::High,
            because: Vec::new(),
        }
    }
}

impl Trusted {
    /// Lowers it.
    pub(crate) fn at_most(&mut self, confidence: Confidence, because: String) {
        self.confidence = self.confidence.min(confidence);
        if !self.because.contains(&because) && self.because.len() < MAX_REASONS {
            self.because.push(because);
        }
    }

    /// Takes over what another one rests on.
    pub(crate) fn merge(&mut self, other: Self) {
        for because in other.because {
            self.at_most(other.confidence, because);
        }
        self.confidence = self.confidence.min(other.confidence);
    }
}

/// What the keys of a sample do to the confidence in the size of a B-tree that stores equal ones once.
pub(super) fn of_keys(seen: &Frequencies, is_whole: bool) -> Trusted {
    let mut trusted = Trusted::default();
    if !is_whole && seen.is_uneven() {
        trusted.at_most(
            Confidence::Medium,
            "its keys are unevenly frequent: how many there are is told by the sample, and with them its size"
                .to_owned(),
        );
    }
    trusted
}

/// What a statement's own values do to the confidence in its cost with `indexes`: constants, known parameters, and what is computed
/// from them and from the time.
///
/// Once an index exists the planner looks up the column's least and greatest value in it; until then it goes by the
/// histogram. So a condition that holds for less than the outermost part of the histogram is estimated differently.
///
/// Call inside `guarded`, for what may be planned: STABLE functions run, as they do in the planner.
pub(crate) fn of_query(analysed: &Analysed, indexes: &[&Predicted]) -> Trusted {
    // SAFETY: fresh nodes; the planner's estimates read no more of them than the parameters.
    let root = unsafe {
        let root = pg_sys::palloc0(size_of::<pg_sys::PlannerInfo>()).cast::<pg_sys::PlannerInfo>();
        (*root).type_ = pg_sys::NodeTag::T_PlannerInfo;
        (*root).glob = pg_sys::palloc0(size_of::<pg_sys::PlannerGlobal>()).cast();
        (*(*root).glob).type_ = pg_sys::NodeTag::T_PlannerGlobal;
        (*(*root).glob).boundParams = analysed.bound;
        root
    };
    let mut walk = Walk {
        root,
        stack: Vec::new(),
        indexes,
        trusted: Trusted::default(),
    };
    // SAFETY: the tree was just made; the walker gets the context that it expects.
    unsafe { lists::walk(visit, analysed.query.cast(), &raw mut walk) };
    walk.trusted
}

struct Walk<'a> {
    /// What the server's estimates of values take.
    root: *mut pg_sys::PlannerInfo,
    stack: Vec<*mut pg_sys::Query>,
    indexes: &'a [&'a Predicted],
    trusted: Trusted,
}

#[pg_guard]
unsafe extern "C-unwind" fn visit(node: *mut pg_sys::Node, context: *mut c_void) -> bool {
    if node.is_null() {
        return false;
    }
    // SAFETY: casts follow the node's tag; the context is a Walk.
    unsafe {
        pg_sys::check_stack_depth();
        match (*node).type_ {
            pg_sys::NodeTag::T_Query => {
                (*context.cast::<Walk<'_>>()).stack.push(node.cast());
                pg_sys::query_tree_walker(node.cast(), Some(visit), context, 0);
                (*context.cast::<Walk<'_>>()).stack.pop();
                false
            }
            pg_sys::NodeTag::T_OpExpr => {
                let operation = node.cast::<pg_sys::OpExpr>();
                if let &[left, right] = pointers::<pg_sys::Node>((*operation).args) {
                    let walk = &mut *context.cast::<Walk<'_>>();
                    walk.comparison(left, (*operation).opno, right);
                    walk.comparison(right, pg_sys::get_commutator((*operation).opno), left);
                }
                pg_sys::expression_tree_walker(node, Some(visit), context)
            }
            pg_sys::NodeTag::T_RowCompareExpr => {
                // Of several columns the planner looks at the first (`rowcomparesel`).
                let row = node.cast::<pg_sys::RowCompareExpr>();
                let first = |list| pointers::<pg_sys::Node>(list).first().copied();
                if let (Some(left), Some(right)) = (first((*row).largs), first((*row).rargs))
                    && let Some(&operator) = lists::oids((*row).opnos).first()
                {
                    let walk = &mut *context.cast::<Walk<'_>>();
                    walk.comparison(left, operator, right);
                    walk.comparison(right, pg_sys::get_commutator(operator), left);
                }
                pg_sys::expression_tree_walker(node, Some(visit), context)
            }
            _ => pg_sys::expression_tree_walker(node, Some(visit), context),
        }
    }
}

impl Walk<'_> {
    unsafe fn comparison(
        &mut self,
        side: *mut pg_sys::Node,
        operator: pg_sys::Oid,
        other: *mut pg_sys::Node,
    ) {
        // SAFETY: nodes of the tree; folding works on copies.
        unsafe {
            if operator == pg_sys::InvalidOid
                || lists::walk(has_variable, other, std::ptr::null_mut::<c_void>())
            {
                return;
            }
            // As the planner does for its estimates (`get_restriction_variable`).
            let folded = pg_sys::estimate_expression_value(self.root, other);
            if (*folded).type_ != pg_sys::NodeTag::T_Const
                || (*folded.cast::<pg_sys::Const>()).constisnull
            {
                return;
            }
            let constant = (*folded.cast::<pg_sys::Const>()).constvalue;
            if let Some(place) = resolve(side, &self.stack, 0) {
                self.column((*place.entry).relid, place.column, operator, constant);
            } else {
                self.expression(side, operator, constant);
            }
        }
    }

    /// A column: statistics are in the catalogue.
    unsafe fn column(
        &mut self,
        table: pg_sys::Oid,
        column: i16,
        operator: pg_sys::Oid,
        constant: pg_sys::Datum,
    ) {
        let leads = |predicted: &&&Predicted| {
            predicted.definition.table == table
                && predicted.definition.parts.iter().any(|part| {
                    part.index.columns[..part.index.keys]
                        .iter()
                        .any(|key| key.number == column)
                })
        };
        let Some(predicted) = self.indexes.iter().find(leads) else {
            return;
        };
        // SAFETY: a system cache look-up, released after use.
        unsafe {
            let is_parent = pg_sys::get_rel_relkind(predicted.definition.table) as u8 == b'p';
            let Some(range) = Range::of(operator, &predicted.definition.parts, column) else {
                return;
            };
            let tuple = pg_sys::SearchSysCache3(
                pg_sys::SysCacheIdentifier::STATRELATTINH as _,
                pg_sys::Datum::from(table),
                pg_sys::Datum::from(column),
                pg_sys::Datum::from(is_parent),
            );
            if tuple.is_null() {
                return;
            }
            let outside = is_at_the_end(tuple, operator, range, constant);
            pg_sys::ReleaseSysCache(tuple);
            if outside {
                let name =
                    names::text(pg_sys::get_attname(table, column, true)).unwrap_or_default();
                self.trusted.at_most(
                    Confidence::Low,
                    format!("a condition on {name} lies at the end of its histogram, where the planner looks into the index once there is one"),
                );
            }
        }
    }

    /// An expression: statistics are the sample's.
    unsafe fn expression(
        &mut self,
        side: *mut pg_sys::Node,
        operator: pg_sys::Oid,
        constant: pg_sys::Datum,
    ) {
        // SAFETY: nodes of the tree; changes are made to a copy.
        unsafe {
            let mut found = None;
            lists::walk(first_variable, side, &raw mut found);
            let Some(variable) = found else { return };
            let Some(place) = resolve(variable, &self.stack, 0) else {
                return;
            };
            let varno = (*variable.cast::<pg_sys::Var>()).varno;
            let copy = pg_sys::copyObjectImpl(side.cast()).cast::<pg_sys::Node>();
            pg_sys::ChangeVarNodes(copy, varno, 1, 0);
            let copy = pg_sys::eval_const_expressions(std::ptr::null_mut(), copy);
            for predicted in self.indexes {
                if predicted.definition.table != (*place.entry).relid {
                    continue;
                }
                for part in &predicted.definition.parts {
                    let Some(position) = position_of(copy, &part.index) else {
                        continue;
                    };
                    let Some(stored) = &part.index.statistics[position] else {
                        continue;
                    };
                    let tuple = stored.tuple();
                    let name = &part.columns[position];
                    match Range::of_key(operator, part.index.columns[position].family) {
                        Some(range) if is_at_the_end(tuple, operator, range, constant) => {
                            self.trusted.at_most(
                                Confidence::Low,
                                format!("a condition on {name} holds for too few sampled rows"),
                            );
                        }
                        None if is_rare(tuple, operator, constant) => self.trusted.at_most(
                            Confidence::Low,
                            format!("a value of {name} is rare among values that are not"),
                        ),
                        _ => {}
                    }
                }
            }
        }
    }
}

/// Which end of the histogram a comparison asks for.
#[derive(Clone, Copy)]
enum Range {
    Below,
    Above,
}

impl Range {
    unsafe fn of(
        operator: pg_sys::Oid,
        parts: &[super::definition::Part],
        column: i16,
    ) -> Option<Self> {
        let part = parts.first()?;
        let key = part.index.columns.iter().find(|key| key.number == column)?;
        // Any ordering of the type will do, whatever the index' own operator class.
        // SAFETY: catalogue look-ups.
        unsafe {
            let class = pg_sys::GetDefaultOpClass(key.type_oid, pg_sys::BTREE_AM_OID);
            if class == pg_sys::InvalidOid {
                return None;
            }
            Self::of_key(operator, pg_sys::get_opclass_family(class))
        }
    }

    unsafe fn of_key(operator: pg_sys::Oid, family: pg_sys::Oid) -> Option<Self> {
        // SAFETY: a catalogue look-up that answers 0 for what does not exist.
        match unsafe { pg_sys::get_op_opfamily_strategy(operator, family) } {
            1 | 2 => Some(Self::Below),
            4 | 5 => Some(Self::Above),
            _ => None,
        }
    }
}

/// Frequent values that meet a condition outweigh the outermost part of the histogram from this many times its share on.
const OUTWEIGHS: f64 = 20.0;
/// Values are unevenly frequent where the first is so many times as frequent as those that are not listed.
const UNEVEN: f64 = 3.0;

/// Whether the condition holds for less than one part of the histogram, and for little else.
unsafe fn is_at_the_end(
    tuple: pg_sys::HeapTuple,
    operator: pg_sys::Oid,
    range: Range,
    constant: pg_sys::Datum,
) -> bool {
    // SAFETY: slots are filled by the server and freed; the operator takes the column's type on its left.
    unsafe {
        let Some(histogram) = Slot::of(tuple, pg_sys::STATISTIC_KIND_HISTOGRAM, false) else {
            return false;
        };
        let parts = histogram.values().len().saturating_sub(1).max(1);
        let bound = match range {
            Range::Below => 1.min(histogram.values().len() - 1),
            Range::Above => parts - 1,
        };
        if histogram.holds(operator, histogram.values()[bound], constant) {
            return false;
        }
        let Some(common) = Slot::of(tuple, pg_sys::STATISTIC_KIND_MCV, true) else {
            return true;
        };
        let listed: f64 = common.shares().iter().copied().map(f64::from).sum();
        let met: f64 = common
            .values()
            .iter()
            .zip(common.shares())
            .filter(|(value, _)| common.holds(operator, **value, constant))
            .map(|(_, share)| f64::from(*share))
            .sum();
        met < OUTWEIGHS * (1.0 - listed).max(0.0) / parts as f64
    }
}

/// Whether values are unevenly frequent and this one is not among the frequent ones.
unsafe fn is_rare(
    tuple: pg_sys::HeapTuple,
    operator: pg_sys::Oid,
    constant: pg_sys::Datum,
) -> bool {
    // SAFETY: as above.
    unsafe {
        let Some(common) = Slot::of(tuple, pg_sys::STATISTIC_KIND_MCV, true) else {
            return false;
        };
        let header = (*tuple).t_data;
        let statistics = &*header
            .cast::<u8>()
            .add(usize::from((*header).t_hoff))
            .cast::<pg_sys::FormData_pg_statistic>();
        let listed: f64 = common.shares().iter().copied().map(f64::from).sum();
        // A negative number is a share of the rows, and those are many.
        let others = if statistics.stadistinct > 0.0 {
            f64::from(statistics.stadistinct) - common.values().len() as f64
        } else {
            f64::INFINITY
        };
        let first = common.shares().first().copied().map_or(0.0, f64::from);
        let left = (1.0 - listed - f64::from(statistics.stanullfrac)).max(0.0);
        let is_listed = |value: &pg_sys::Datum| common.holds(operator, *value, constant);
        first > UNEVEN * left / others.max(1.0) && !common.values().iter().any(is_listed)
    }
}

/// One kind of statistics of a column.
struct Slot(pg_sys::AttStatsSlot);

impl Slot {
    unsafe fn of(tuple: pg_sys::HeapTuple, kind: u32, with_shares: bool) -> Option<Self> {
        let shares = if with_shares {
            pg_sys::ATTSTATSSLOT_NUMBERS
        } else {
            0
        };
        let mut slot = pg_sys::AttStatsSlot::default();
        // SAFETY: a valid tuple of pg_statistic.
        let found = unsafe {
            pg_sys::get_attstatsslot(
                &mut slot,
                tuple,
                kind as i32,
                pg_sys::InvalidOid,
                (pg_sys::ATTSTATSSLOT_VALUES | shares) as i32,
            )
        };
        (found && slot.nvalues > 0).then_some(Self(slot))
    }

    fn values(&self) -> &[pg_sys::Datum] {
        // SAFETY: the server filled the array.
        unsafe { std::slice::from_raw_parts(self.0.values, self.0.nvalues as usize) }
    }

    fn shares(&self) -> &[f32] {
        if self.0.numbers.is_null() {
            return &[];
        }
        // SAFETY: the server filled the array.
        unsafe { std::slice::from_raw_parts(self.0.numbers, self.0.nnumbers as usize) }
    }

    unsafe fn holds(
        &self,
        operator: pg_sys::Oid,
        value: pg_sys::Datum,
        constant: pg_sys::Datum,
    ) -> bool {
        // SAFETY: the operator takes such a value on its left and the constant on its right.
        unsafe {
            let function = pg_sys::get_opcode(operator);
            let held = pg_sys::OidFunctionCall2Coll(function, self.0.stacoll, value, constant);
            held.value() & 0xff != 0
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        // SAFETY: filled by get_attstatsslot.
        unsafe { pg_sys::free_attstatsslot(&mut self.0) };
    }
}

/// Which column of the index the expression is.
unsafe fn position_of(expression: *mut pg_sys::Node, index: &Hypothetical) -> Option<usize> {
    // SAFETY: the text was written by nodeToString of this server.
    unsafe {
        let list = pg_sys::stringToNode(index.expressions.as_ref()?.as_ptr());
        let at = pointers::<pg_sys::Node>(list.cast())
            .iter()
            .position(|own| pg_sys::equal((*own).cast(), expression.cast()))?;
        let mut of_expressions = index
            .columns
            .iter()
            .enumerate()
            .filter(|(_, key)| key.number == 0);
        of_expressions.nth(at).map(|(position, _)| position)
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn has_variable(node: *mut pg_sys::Node, context: *mut c_void) -> bool {
    if node.is_null() {
        return false;
    }
    // SAFETY: casts follow the node's tag.
    unsafe {
        matches!(
            (*node).type_,
            pg_sys::NodeTag::T_Var | pg_sys::NodeTag::T_SubLink
        ) || pg_sys::expression_tree_walker(node, Some(has_variable), context)
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn first_variable(node: *mut pg_sys::Node, context: *mut c_void) -> bool {
    if node.is_null() {
        return false;
    }
    // SAFETY: the context is an optional node.
    unsafe {
        if (*node).type_ == pg_sys::NodeTag::T_Var && (*node.cast::<pg_sys::Var>()).varlevelsup == 0
        {
            *context.cast::<Option<*mut pg_sys::Node>>() = Some(node);
            return true;
        }
        pg_sys::expression_tree_walker(node, Some(first_variable), context)
    }
}
