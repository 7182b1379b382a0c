//! What the search asks: which indexes there could be, and what statements cost with them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use pg_pitcrew_advisor::{Candidate, CostModel, IndexSize, Plan, candidates};
use pgrx::prelude::*;

use super::key;
use super::look::Planned;
use super::writes::Upkeep;
use crate::whatif::guarded::guarded;
use crate::whatif::hypothetical::{Hypothetical, Supposed};
use crate::whatif::plan;
use crate::whatif::table::Table;
use crate::workload::analysis::Context;
use crate::workload::statements::Statement;

/// Candidates of one call; what comes after is left out.
const MAX_CANDIDATES: usize = 2_000;

/// A candidate with what the planner and the answer need of it.
pub(super) struct Index {
    pub(super) candidate: Candidate,
    pub(super) hypothetical: Hypothetical,
    pub(super) size: IndexSize,
}

pub(super) struct Model<'a> {
    pub(super) context: &'a Context,
    pub(super) planned: Vec<(&'a Statement, &'a Planned)>,
    pub(super) relevant: Vec<BTreeSet<usize>>,
    pub(super) indexes: Vec<Index>,
    /// Of each of them.
    pub(super) upkeeps: Vec<Upkeep>,
    pub(super) deadline: Option<Instant>,
    /// Plans made with supposed indexes.
    pub(super) calls: usize,
}

impl CostModel for Model<'_> {
    fn statements(&self) -> usize {
        self.planned.len()
    }

    fn weight(&self, statement: usize) -> f64 {
        self.planned[statement].0.weight
    }

    fn candidates(&self) -> usize {
        self.indexes.len()
    }

    fn bytes(&self, candidate: usize) -> u64 {
        self.indexes[candidate].size.bytes()
    }

    fn is_relevant(&self, statement: usize, candidate: usize) -> bool {
        self.relevant[statement].contains(&candidate)
    }

    fn upkeep(&self, candidate: usize) -> f64 {
        self.upkeeps[candidate].cost
    }

    fn is_narrower(&self, narrow: usize, wide: usize) -> bool {
        let of = |index: usize| &self.indexes[index].candidate;
        of(narrow).is_narrower_than(of(wide))
    }

    fn plan(&mut self, statement: usize, set: &[usize]) -> Option<Plan> {
        pgrx::check_for_interrupts!();
        let (_, planned) = self.planned[statement];
        if set.is_empty() {
            return Some(Plan {
                cost: planned.cost,
                used: Vec::new(),
            });
        }
        let supposed = Supposed {
            indexes: set
                .iter()
                .map(|index| self.indexes[*index].hypothetical.clone())
                .collect(),
            absent: Vec::new(),
        };
        self.calls += 1;
        match plan::plan(&planned.source, self.context, &supposed) {
            Ok(Ok(plan)) => Some(Plan {
                cost: plan.cost,
                used: plan.used.into_iter().map(|used| set[used]).collect(),
            }),
            Ok(Err(_)) | Err(_) => None,
        }
    }

    fn has_time(&self) -> bool {
        pgrx::check_for_interrupts!();
        self.deadline
            .is_none_or(|deadline| Instant::now() < deadline)
    }
}

/// The candidates of all statements.
pub(super) struct Gathered {
    /// Each index once, without those that exist already.
    pub(super) indexes: Vec<Index>,
    /// Of each statement those that matter to it.
    pub(super) relevant: Vec<BTreeSet<usize>>,
    /// What would have been among them, had nobody suppressed it.
    pub(super) suppressed: Vec<Index>,
}

/// Candidates of all statements, without those whose key is in `suppressed`.
pub(super) fn gather(
    planned: &[(&Statement, &Planned)],
    tables: &mut BTreeMap<u32, Option<Table>>,
    leave_alone: &[pg_sys::Oid],
    suppressed: &BTreeSet<String>,
) -> Gathered {
    let mut indexes: Vec<Index> = Vec::new();
    let mut left_out: Vec<Index> = Vec::new();
    let mut known: BTreeMap<Candidate, Option<usize>> = BTreeMap::new();
    let mut relevant = vec![BTreeSet::new(); planned.len()];
    for (number, (_, planned)) in planned.iter().enumerate() {
        for used in &planned.uses {
            pgrx::check_for_interrupts!();
            if leave_alone.contains(&used.table) {
                continue;
            }
            let oid = used.table.to_u32();
            let table = tables
                .entry(oid)
                .or_insert_with(|| guarded(|| Table::load(used.table)).ok().flatten());
            let Some(table) = table else { continue };
            for candidate in candidates(oid, &used.columns) {
                let position = *known.entry(candidate.clone()).or_insert_with(|| {
                    let is_there =
                        candidate.included.is_empty() && table.has_index(&candidate.columns);
                    if indexes.len() >= MAX_CANDIDATES || is_there {
                        return None;
                    }
                    let size = table.index_size(&candidate.columns, &candidate.included)?;
                    // What stores most of the table is a second table.
                    if !candidate.included.is_empty() && size.pages > table.pages / 2 {
                        return None;
                    }
                    let stored = [&candidate.columns[..], &candidate.included].concat();
                    let columns = table.keys(&stored)?;
                    let keys = candidate.columns.len();
                    let hypothetical = Hypothetical::plain(table.oid, columns, keys, size);
                    let index = Index {
                        candidate,
                        hypothetical,
                        size,
                    };
                    if is_suppressed(table, &index.candidate, suppressed) {
                        left_out.push(index);
                        return None;
                    }
                    indexes.push(index);
                    Some(indexes.len() - 1)
                });
                relevant[number].extend(position);
            }
        }
    }
    // An index matters to every statement on its table, also where another statement asked for it.
    for (number, (_, planned)) in planned.iter().enumerate() {
        for used in &planned.uses {
            let oid = used.table.to_u32();
            let columns: BTreeSet<i16> = used
                .columns
                .equal
                .iter()
                .chain(&used.columns.range)
                .chain(used.columns.ordered.iter().flatten())
                .copied()
                .collect();
            let matters = indexes.iter().enumerate().filter(|(_, index)| {
                let Candidate {
                    table,
                    columns: keys,
                    included,
                } = &index.candidate;
                *table == oid
                    && (keys.iter().any(|column| columns.contains(column))
                        || used.columns.is_covered_by(&[&keys[..], included].concat()))
            });
            relevant[number].extend(matters.map(|(position, _)| position));
        }
    }
    Gathered {
        indexes,
        relevant,
        suppressed: left_out,
    }
}

fn is_suppressed(table: &Table, candidate: &Candidate, keys: &BTreeSet<String>) -> bool {
    // Names are asked for only where somebody has suppressed something.
    if keys.is_empty() {
        return false;
    }
    let names = |columns: &[i16]| table.column_names(columns);
    let (Some(columns), Some(included)) = (names(&candidate.columns), names(&candidate.included))
    else {
        return false;
    };
    keys.contains(&key::cache_key(&key::id(table, &columns, &included)))
}
