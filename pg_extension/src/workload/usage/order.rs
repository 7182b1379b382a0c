//! Order: what the result is sorted, grouped or made distinct by.

use pg_pitcrew_advisor::Key;
use pgrx::prelude::*;

use super::operators::is_descending;
use super::{Reader, Side};
use crate::lists::pointers;

impl Reader<'_> {
    /// Leading keys of one table in an ORDER BY, GROUP BY or DISTINCT: while they point the same way, and, where they are
    /// sorted by and do not, as they point.
    pub(super) unsafe fn order(
        &mut self,
        query: *mut pg_sys::Query,
        clauses: *mut pg_sys::List,
        is_sorted: bool,
    ) {
        // SAFETY: the lists hold the nodes that Query's definition says.
        unsafe {
            // Where all rows are wanted, sorting them costs little beside computing an expression for each.
            let takes_expressions = is_sorted && !(*query).limitCount.is_null();
            let mut keys: Vec<Key> = Vec::new();
            let mut entry = None;
            for &clause in pointers::<pg_sys::SortGroupClause>(clauses) {
                let target = pointers::<pg_sys::TargetEntry>((*query).targetList)
                    .iter()
                    .find(|entry| (***entry).ressortgroupref == (*clause).tleSortGroupRef);
                let Some(target) = target else { break };
                let node = (**target).expr.cast();
                let side = if takes_expressions {
                    self.side(node)
                } else {
                    self.place(node).map(Side::from)
                };
                let Some(side) = side else { break };
                if *entry.get_or_insert(side.entry) != side.entry {
                    break;
                }
                if keys.iter().any(|key| key.of == side.of) {
                    continue;
                }
                keys.push(Key {
                    descends: is_descending((*clause).sortop, side.type_oid),
                    nulls_first: (*clause).nulls_first,
                    ..Key::new(side.of)
                });
            }
            let Some(entry) = entry else { return };
            let same = |key: &&Key| key.descends == keys[0].descends;
            let alike = keys.iter().take_while(same);
            let plain = alike.map(|key| Key::new(key.of.clone())).collect();
            // A B-tree is read in both directions: with NULLs last where it ascends, first where it descends.
            let is_plain =
                |key: &Key| key.descends == keys[0].descends && key.nulls_first == key.descends;
            if is_sorted && !keys.iter().all(is_plain) {
                self.ordered(entry, keys.clone());
            }
            self.ordered(entry, plain);
        }
    }

    /// `min(column)` and `max(column)` are read off the end of an index.
    pub(super) unsafe fn extreme(&mut self, aggregate: *mut pg_sys::Aggref) {
        // SAFETY: the list holds TargetEntry nodes.
        unsafe {
            let &[argument] = pointers::<pg_sys::TargetEntry>((*aggregate).args) else {
                return;
            };
            let name = crate::names::text(pg_sys::get_func_name((*aggregate).aggfnoid));
            if matches!(name.as_deref(), Some("min" | "max"))
                && let Some(place) = self.place((*argument).expr.cast())
            {
                self.ordered(place.entry, vec![Key::column(place.column)]);
            }
        }
    }

    fn ordered(&mut self, entry: *mut pg_sys::RangeTblEntry, keys: Vec<Key>) {
        if let Some(there) = self.occurrence(entry)
            && !there.used.ordered.contains(&keys)
        {
            there.used.ordered.push(keys);
        }
    }
}
