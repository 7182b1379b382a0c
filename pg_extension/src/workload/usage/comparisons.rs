//! Comparisons: which kind of index answers them.

use pg_pitcrew_advisor::Key;
use pgrx::prelude::*;

use super::operators::{Kind, Prefix, inside, kind, prefix};
use super::{Reader, Side, With};

impl Reader<'_> {
    pub(super) unsafe fn comparison(
        &mut self,
        operator: pg_sys::Oid,
        collation: pg_sys::Oid,
        left: *mut pg_sys::Node,
        right: *mut pg_sys::Node,
    ) {
        // SAFETY: catalogue look-ups.
        unsafe {
            let (first, second) = (self.side(left), self.side(right));
            // A comparison inside one row cannot be looked up.
            if let (Some(a), Some(b)) = (&first, &second)
                && a.entry == b.entry
            {
                return;
            }
            let with = match (&first, &second) {
                (Some(_), Some(_)) => With::Row,
                _ => With::Value,
            };
            if let Some(side) = first {
                self.compared(side, operator, collation, right, with);
            }
            let commuted = pg_sys::get_commutator(operator);
            if let Some(side) = second
                && commuted != pg_sys::InvalidOid
            {
                self.compared(side, commuted, collation, left, with);
            }
        }
    }

    unsafe fn compared(
        &mut self,
        side: Side,
        operator: pg_sys::Oid,
        collation: pg_sys::Oid,
        other: *mut pg_sys::Node,
        with: With,
    ) {
        // SAFETY: catalogue look-ups.
        unsafe {
            if let Some(kind) = kind(operator, side.type_oid) {
                self.note(side.entry, kind, Key::new(side.of), with);
                return;
            }
            let pattern = self
                .constant(other)
                .and_then(|pattern| prefix(operator, side.type_oid, collation, pattern));
            if let Some(prefix) = pattern {
                let class = match prefix {
                    Prefix::Class(class) => Some(class.into()),
                    Prefix::Default => None,
                };
                let key = Key {
                    class,
                    ..Key::new(side.of)
                };
                self.note(side.entry, Kind::Range, key, with);
                return;
            }
            for class in inside(operator, side.type_oid, self.reading.trigrams) {
                let key = Key {
                    class,
                    ..Key::new(side.of.clone())
                };
                if let Some(there) = self.occurrence(side.entry)
                    && !there.used.inside.contains(&key)
                {
                    there.used.inside.push(key);
                }
            }
        }
    }

    /// A constant, or a parameter whose value is known.
    unsafe fn constant(&self, node: *mut pg_sys::Node) -> Option<*const pg_sys::Const> {
        // SAFETY: casts follow the node's tag; the list has as many parameters as it says.
        unsafe {
            if (*node).type_ == pg_sys::NodeTag::T_Const {
                return Some(node.cast());
            }
            if (*node).type_ != pg_sys::NodeTag::T_Param {
                return None;
            }
            let list = self.reading.bound.as_ref()?;
            let place = usize::try_from((*node.cast::<pg_sys::Param>()).paramid - 1).ok()?;
            let is_there = place < list.numParams as usize;
            let value = is_there.then(|| *list.params.as_ptr().add(place))?;
            let is_known = u32::from(value.pflags) & pg_sys::PARAM_FLAG_CONST != 0;
            is_known.then(|| {
                let (type_oid, length) = (value.ptype, -1);
                let made = pg_sys::makeConst(
                    type_oid,
                    -1,
                    pg_sys::InvalidOid,
                    length,
                    value.value,
                    value.isnull,
                    false,
                );
                made.cast_const()
            })
        }
    }
}
