//! Values that are the same in every execution: only those may stand in an index' predicate.
//!
//! `status = 'open'` in one text may be a value that somebody looked for once. Where a statement was captured several times
//! with different texts, what all of them have is part of the statement; so have given texts of one statement, two at least.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CString;

use pg_pitcrew_advisor::Condition;
use pg_pitcrew_capture::hash_without_literals;

use super::look::{Looked, Planned, read};
use crate::workload::analysis::Context;
use crate::workload::source::Source;

/// A value that a table's column is compared with.
type Literals = BTreeSet<(u32, Condition)>;

/// Makes conditions of the values that all of a statement's captured texts have.
pub(super) fn within(planned: &mut Planned, samples: &[Source], context: &Context) {
    if planned.source.ran.is_none() {
        return;
    }
    let mut common = literals(planned);
    // One execution says nothing of the others.
    if samples.len() < 2 {
        common.clear();
    }
    for sample in samples {
        if common.is_empty() {
            break;
        }
        let Ok(Ok(found)) = read(sample, context) else {
            continue;
        };
        let there: Literals = found
            .uses
            .iter()
            .flat_map(|used| {
                used.literals
                    .iter()
                    .map(|one| (used.table.to_u32(), one.clone()))
            })
            .collect();
        common.retain(|literal| there.contains(literal));
    }
    keep(planned, &common);
}

/// Makes conditions of the values that all given texts of one statement have, which are the same but for their literals.
pub(super) fn across(looked: &mut [Looked]) {
    let mut statements: BTreeMap<u64, (BTreeSet<CString>, Literals)> = BTreeMap::new();
    for looked in looked.iter() {
        let Ok(planned) = &looked.result else {
            continue;
        };
        if planned.source.ran.is_some() {
            continue;
        }
        let text = &planned.source.text;
        let found = literals(planned);
        let (texts, common) = statements
            .entry(hash_without_literals(text.to_bytes()))
            .or_insert_with(|| (BTreeSet::new(), found.clone()));
        if texts.insert(text.clone()) {
            common.retain(|literal| found.contains(literal));
        }
    }
    // One text says nothing of the others.
    for (texts, common) in statements.values_mut() {
        if texts.len() < 2 {
            common.clear();
        }
    }
    for looked in looked {
        if let Ok(planned) = &mut looked.result
            && planned.source.ran.is_none()
        {
            let statement = hash_without_literals(planned.source.text.to_bytes());
            let nothing = Literals::new();
            let common = statements.get(&statement).map(|(_, common)| common);
            keep(planned, common.unwrap_or(&nothing));
        }
    }
}

fn literals(planned: &Planned) -> Literals {
    let uses = planned.uses.iter();
    uses.flat_map(|used| {
        used.literals
            .iter()
            .map(|one| (used.table.to_u32(), one.clone()))
    })
    .collect()
}

fn keep(planned: &mut Planned, recurring: &Literals) {
    for used in &mut planned.uses {
        let table = used.table.to_u32();
        let mut kept = std::mem::take(&mut used.literals);
        kept.retain(|one| recurring.contains(&(table, one.clone())));
        used.used.conditions.extend(kept);
    }
}
