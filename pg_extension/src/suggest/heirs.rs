//! What is asked of a table that others inherit from is asked of each of those too, and each has indexes of its own.

use pgrx::prelude::*;

use super::look::Planned;
use crate::names;
use crate::whatif::definition::family;
use crate::workload::usage::Use;

/// Tables that inherit from one and are looked at.
const MAX_HEIRS: usize = 100;

/// Adds what a statement asks of the heirs of its tables.
///
/// Call inside `guarded`: it takes the locks of a reader.
pub(super) fn add(planned: &mut Planned) {
    let of_heirs: Vec<Use> = planned
        .uses
        .iter()
        .filter(|used| used.may_have_heirs)
        .flat_map(of_heirs)
        .collect();
    planned.uses.extend(of_heirs);
}

fn of_heirs(used: &Use) -> Vec<Use> {
    let heirs = family(used.table).into_iter();
    heirs
        .filter(|heir| *heir != used.table)
        .take(MAX_HEIRS)
        .filter_map(|heir| on(used, heir))
        .collect()
}

/// An heir has all columns, by the same names, and maybe by other numbers.
fn on(used: &Use, heir: pg_sys::Oid) -> Option<Use> {
    let number = |column: i16| {
        // SAFETY: catalogue look-ups that answer null and 0 for a column that is not there; a name is copied.
        unsafe {
            let name = names::text(pg_sys::get_attname(used.table, column, true))?;
            let name = names::c_string(&name).ok()?;
            let found = pg_sys::get_attnum(heir, name.as_ptr());
            (found > 0).then_some(found)
        }
    };
    Some(Use {
        table: heir,
        may_have_heirs: false,
        used: used.used.on(&number)?,
        valued: used
            .valued
            .iter()
            .copied()
            .map(number)
            .collect::<Option<_>>()?,
        literals: used
            .literals
            .iter()
            .map(|one| one.on(&number))
            .collect::<Option<_>>()?,
    })
}
