//! What the search asks: which indexes there could be, and what statements cost with them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use pg_pitcrew_advisor::{Candidate, CostModel, IndexSize, LEAST_BESIDE, Plan};

use super::gather::{Tables, is_suppressed, plain, seen_by};
use super::look::Planned;
use super::writes::{Upkeep, Written, upkeeps};
use crate::whatif::Trusted;
use crate::whatif::hypothetical::{Hypothetical, Supposed};
use crate::whatif::measured::{Counted, Keys, count};
use crate::whatif::plan;
use crate::whatif::predict::Predicted;
use crate::whatif::table::Table;
use crate::workload::analysis::Context;
use crate::workload::statements::Statement;

/// A candidate with what the planner and the answer need of it.
pub(super) struct Index {
    pub(super) candidate: Candidate,
    /// The same on the partitioned tables that its table is a part of: one there does what this one does.
    pub(super) of_whole: Vec<Candidate>,
    /// What the planner sees: one for each partition.
    pub(super) parts: Vec<Hypothetical>,
    pub(super) size: IndexSize,
    /// Entries that a row has in it.
    pub(super) entries_a_row: f64,
    /// Its size depends on how often which keys occur, and no rows were read to tell.
    pub(super) is_rough: bool,
    /// What those that were read say of it.
    pub(super) trusted: Trusted,
    /// What its size rests on; `None` for plain columns, of which the catalogue knows all.
    pub(super) predicted: Option<Predicted>,
}

pub(super) struct Model<'a> {
    pub(super) context: &'a Context,
    pub(super) planned: Vec<(&'a Statement, &'a Planned)>,
    pub(super) relevant: Vec<BTreeSet<usize>>,
    pub(super) indexes: Vec<Index>,
    /// Of each of them.
    pub(super) upkeeps: Vec<Upkeep>,
    pub(super) tables: &'a Tables,
    /// What is written, for candidates that are made while it is searched.
    pub(super) written: &'a Written,
    /// Keys that nobody wants to see.
    pub(super) suppressed: &'a BTreeSet<String>,
    pub(super) deadline: Option<Instant>,
    /// Plans made with supposed indexes.
    pub(super) calls: usize,
}

/// Lists of keys of one table that are counted.
const MAX_LISTS: usize = 100;

impl Model<'_> {
    /// Counts how often the keys of these candidates of one table occur, and gives them the sizes that follow.
    fn count_keys(&mut self, table: &Table, candidates: &[usize]) {
        let keys = |candidate: &usize| {
            let index = &self.indexes[*candidate];
            // Each partition would have to be read for itself.
            let [part] = index.parts.as_slice() else {
                return None;
            };
            let is_its_own = part.table.to_u32() == index.candidate.table;
            let keys = table.keys(&index.candidate, part).filter(|_| is_its_own)?;
            Some((*candidate, keys))
        };
        let (candidates, lists): (Vec<usize>, Vec<Keys>) =
            candidates.iter().filter_map(keys).take(MAX_LISTS).unzip();
        if lists.is_empty() {
            return;
        }
        let Ok(found) = count(table, &lists, self.context) else {
            return;
        };
        for (candidate, Counted { size, trusted }) in candidates.into_iter().zip(found) {
            let index = &mut self.indexes[candidate];
            for part in &mut index.parts {
                part.pages = size.pages;
                part.height = size.height;
            }
            index.size = size;
            index.trusted = trusted;
            index.is_rough = false;
        }
    }

    /// What one execution takes with these candidates where all is in memory; `None` when it cannot be told.
    pub(super) fn in_memory(&self, statement: usize, set: &[usize]) -> Option<f64> {
        let parts = set.iter().flat_map(|index| &self.indexes[*index].parts);
        let supposed = Supposed {
            indexes: parts.cloned().collect(),
            absent: Vec::new(),
        };
        plan::in_memory(&self.planned[statement].1.source, self.context, &supposed)
    }

    /// Cost of one execution under what is supposed; `None` when it cannot be told.
    pub(super) fn cost(&mut self, statement: usize, supposed: &Supposed) -> Option<f64> {
        pgrx::check_for_interrupts!();
        self.calls += 1;
        let source = &self.planned[statement].1.source;
        match plan::plan(source, self.context, supposed) {
            Ok(Ok(plan)) => Some(plan.cost),
            Ok(Err(_)) | Err(_) => None,
        }
    }
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

    fn weigh(&mut self, candidates: &[usize]) {
        let mut rough: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
        for &candidate in candidates {
            let index = &self.indexes[candidate];
            if index.is_rough {
                rough
                    .entry(index.candidate.table)
                    .or_default()
                    .push(candidate);
            }
        }
        let tables = self.tables;
        for (table, candidates) in rough {
            if let Some(Some(table)) = tables.get(&table)
                && self.has_time()
            {
                self.count_keys(table, &candidates);
            }
        }
    }

    fn is_narrower(&self, narrow: usize, wide: usize) -> bool {
        let (narrow, wide) = (&self.indexes[narrow], &self.indexes[wide].candidate);
        let mut of_whole = narrow.of_whole.iter();
        narrow.candidate.is_narrower_than(wide)
            || of_whole.any(|whole| whole == wide || whole.is_narrower_than(wide))
    }

    fn least_beside(&self, one: usize, other: usize) -> Option<f64> {
        let (one, other) = (&self.indexes[one], &self.indexes[other].candidate);
        let of_whole = |whole: &Candidate| {
            if whole == other {
                Some(LEAST_BESIDE)
            } else {
                whole.least_beside(other)
            }
        };
        let by_itself = one.candidate.least_beside(other);
        by_itself.or_else(|| one.of_whole.iter().find_map(of_whole))
    }

    fn merged(&mut self, one: usize, other: usize) -> Option<usize> {
        let (first, second) = (&self.indexes[one], &self.indexes[other]);
        let candidate = first.candidate.merged(&second.candidate)?;
        let mut known = self.indexes.iter();
        if let Some(position) = known.position(|index| index.candidate == candidate) {
            return Some(position);
        }
        let table = self.tables.get(&candidate.table)?.as_ref()?;
        if is_suppressed(self.suppressed, &candidate, table) {
            return None;
        }
        let wholes = first.of_whole.iter().map(|whole| whole.table);
        let of_whole = wholes
            .filter_map(|whole| seen_by(&candidate, whole, self.tables))
            .collect();
        let keys = candidate.plain_columns()?;
        let index = Index {
            of_whole,
            ..plain(candidate, &keys, table)?
        };
        self.upkeeps.extend(upkeeps(
            std::slice::from_ref(&index),
            self.written,
            self.tables,
        ));
        self.indexes.push(index);
        let number = self.indexes.len() - 1;
        for relevant in &mut self.relevant {
            if relevant.contains(&one) || relevant.contains(&other) {
                relevant.insert(number);
            }
        }
        Some(number)
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
        let mut owners = Vec::new();
        let mut indexes = Vec::new();
        for &index in set {
            let parts = &self.indexes[index].parts;
            owners.extend(std::iter::repeat_n(index, parts.len()));
            indexes.extend(parts.iter().cloned());
        }
        let supposed = Supposed {
            indexes,
            absent: Vec::new(),
        };
        self.calls += 1;
        match plan::plan(&planned.source, self.context, &supposed) {
            Ok(Ok(plan)) => {
                let mut used: Vec<usize> = plan.used.into_iter().map(|used| owners[used]).collect();
                used.dedup();
                Some(Plan {
                    cost: plan.cost,
                    used,
                })
            }
            Ok(Err(_)) | Err(_) => None,
        }
    }

    fn has_time(&self) -> bool {
        pgrx::check_for_interrupts!();
        self.deadline
            .is_none_or(|deadline| Instant::now() < deadline)
    }
}
