//! Conditions: what is asked of rows, and which of it every wanted row meets.

use pg_pitcrew_advisor::{Condition, Key};
use pgrx::prelude::*;

use super::local::local;
use super::operators::{Kind, kind};
use super::{Reader, With};
use crate::lists::{oids, pointers};

/// Conditions of one occurrence that are kept.
const MAX_CONDITIONS: usize = 8;

impl Reader<'_> {
    /// A condition; `always` where every wanted row meets it, which it does under AND alone.
    pub(super) unsafe fn condition(&mut self, node: *mut pg_sys::Node, always: bool) {
        if node.is_null() {
            return;
        }
        // SAFETY: casts follow the node's tag.
        unsafe {
            pg_sys::check_stack_depth();
            match (*node).type_ {
                pg_sys::NodeTag::T_BoolExpr => {
                    let boolean = node.cast::<pg_sys::BoolExpr>();
                    let arguments = pointers::<pg_sys::Node>((*boolean).args);
                    let operation = (*boolean).boolop;
                    if operation == pg_sys::BoolExprType::NOT_EXPR {
                        self.flag(arguments[0], node, always);
                        return;
                    }
                    if operation == pg_sys::BoolExprType::AND_EXPR {
                        for &argument in arguments {
                            self.condition(argument, always);
                        }
                        return;
                    }
                    self.path.enter();
                    for &argument in arguments {
                        self.condition(argument, false);
                        self.path.next();
                    }
                    self.path.leave();
                }
                pg_sys::NodeTag::T_Var => self.flag(node, node, always),
                pg_sys::NodeTag::T_OpExpr => {
                    let operation = node.cast::<pg_sys::OpExpr>();
                    if let &[left, right] = pointers::<pg_sys::Node>((*operation).args) {
                        let (operator, collation) = ((*operation).opno, (*operation).inputcollid);
                        self.comparison(operator, collation, left, right);
                        if always {
                            for (column, value) in [(left, right), (right, left)] {
                                self.single((*operation).opno, column, value);
                                self.literal(node, (*operation).opno, column, value);
                            }
                        }
                    }
                }
                pg_sys::NodeTag::T_RowCompareExpr => {
                    // An index begins where the first of them does.
                    let row = node.cast::<pg_sys::RowCompareExpr>();
                    let first = |list| pointers::<pg_sys::Node>(list).first().copied();
                    let oid = |list| oids(list).first().copied();
                    if let (Some(left), Some(right), Some(operator), Some(collation)) = (
                        first((*row).largs),
                        first((*row).rargs),
                        oid((*row).opnos),
                        oid((*row).inputcollids),
                    ) {
                        self.comparison(operator, collation, left, right);
                    }
                }
                pg_sys::NodeTag::T_ScalarArrayOpExpr => {
                    let operation = node.cast::<pg_sys::ScalarArrayOpExpr>();
                    if let (true, &[left, right]) = (
                        (*operation).useOr,
                        pointers::<pg_sys::Node>((*operation).args),
                    ) && let Some(side) = self.side(left)
                        && kind((*operation).opno, side.type_oid) == Some(Kind::Equal)
                    {
                        self.note(side.entry, Kind::Equal, Key::new(side.of), With::Value);
                        if always {
                            self.literal(node, (*operation).opno, left, right);
                        }
                    }
                }
                pg_sys::NodeTag::T_NullTest => {
                    let test = node.cast::<pg_sys::NullTest>();
                    let is_null = (*test).nulltesttype == pg_sys::NullTestType::IS_NULL;
                    let Some(place) = self.place((*test).arg.cast()) else {
                        return;
                    };
                    if is_null {
                        self.note(
                            place.entry,
                            Kind::Equal,
                            Key::column(place.column),
                            With::Value,
                        );
                    }
                    if always {
                        self.meets(node, is_null.then_some(place.column), false);
                    }
                }
                _ => {}
            }
        }
    }

    /// A boolean column alone, or NOT that.
    unsafe fn flag(&mut self, column: *mut pg_sys::Node, whole: *mut pg_sys::Node, always: bool) {
        // SAFETY: nodes of the tree.
        unsafe {
            if let Some(place) = self.place(column)
                && place.type_oid == pg_sys::BOOLOID
            {
                self.note(
                    place.entry,
                    Kind::Equal,
                    Key::column(place.column),
                    With::Value,
                );
                if always {
                    self.meets(whole, Some(place.column), false);
                }
            }
        }
    }

    /// A column that equals one value, known or not.
    unsafe fn single(
        &mut self,
        operator: pg_sys::Oid,
        column: *mut pg_sys::Node,
        value: *mut pg_sys::Node,
    ) {
        // SAFETY: nodes of the tree; the cast follows the tag.
        unsafe {
            let is_value = match (*value).type_ {
                pg_sys::NodeTag::T_Const => true,
                pg_sys::NodeTag::T_Param => {
                    (*value.cast::<pg_sys::Param>()).paramkind == pg_sys::ParamKind::PARAM_EXTERN
                }
                _ => false,
            };
            if is_value
                && let Some(place) = self.place(column)
                && kind(operator, place.type_oid) == Some(Kind::Equal)
                && let Some(there) = self.occurrence(place.entry)
                && !there.used.single.contains(&place.column)
            {
                there.used.single.push(place.column);
            }
        }
    }

    /// A column that equals a constant, or one of several.
    unsafe fn literal(
        &mut self,
        whole: *mut pg_sys::Node,
        operator: pg_sys::Oid,
        column: *mut pg_sys::Node,
        value: *mut pg_sys::Node,
    ) {
        // SAFETY: nodes of the tree.
        unsafe {
            if (*value).type_ != pg_sys::NodeTag::T_Const
                || (*value.cast::<pg_sys::Const>()).constisnull
            {
                return;
            }
            if let Some(place) = self.place(column)
                && kind(operator, place.type_oid) == Some(Kind::Equal)
            {
                // Of one among several values it is a key still.
                let is_one = (*whole).type_ == pg_sys::NodeTag::T_OpExpr;
                self.meets(whole, is_one.then_some(place.column), true);
            }
        }
    }

    /// What all wanted rows meet.
    unsafe fn meets(&mut self, node: *mut pg_sys::Node, pinned: Option<i16>, has_value: bool) {
        // SAFETY: a condition of the tree.
        let found = unsafe { local(node, &self.stack, self.reading.shows_constants) };
        let Some(found) = found else { return };
        let condition = Condition {
            expression: found.expression,
            pinned,
        };
        if let Some(there) = self.occurrence(found.entry) {
            let list = if has_value {
                &mut there.literals
            } else {
                &mut there.used.conditions
            };
            if list.len() < MAX_CONDITIONS && !list.contains(&condition) {
                list.push(condition);
            }
        }
    }
}
