//! Which indexes there could be: the candidates of all statements, each with its size.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Instant;

use pg_pitcrew_advisor::{Candidate, Method, Of, candidates};
use pgrx::prelude::*;

use super::key;
use super::look::Planned;
use super::model::Index;
use super::shape::Shape;
use crate::names;
use crate::whatif::Trusted;
use crate::whatif::estimate::estimate;
use crate::whatif::guarded::guarded;
use crate::whatif::measured::{Measured, measure};
use crate::whatif::predict::{Names, Predicted, predict};
use crate::whatif::table::{Table, ancestors};
use crate::workload::analysis::Context;
use crate::workload::statements::Statement;

/// Candidates of one call; what comes after is left out.
const MAX_CANDIDATES: usize = 2_000;
/// Of them those for which rows are read one by one.
const MAX_SAMPLED: usize = 50;
/// Their parts, those of partitions counted one by one.
const MAX_PARTS: usize = 20_000;
/// A predicate that more rows than this share meet is worth nothing.
const FEW_ROWS: f64 = 0.5;

/// Tables that were looked at; none where nothing can be built on one.
pub(super) type Tables = BTreeMap<u32, Option<Table>>;

/// The candidates of all statements.
pub(super) struct Gathered {
    /// Each index once, without those that exist already.
    pub(super) indexes: Vec<Index>,
    /// Of each statement those that matter to it.
    pub(super) relevant: Vec<BTreeSet<usize>>,
    /// What would have been among them, had nobody suppressed it.
    pub(super) suppressed: Vec<Index>,
    pub(super) tables: Tables,
}

/// What candidates are gathered by.
pub(super) struct Gathering<'a> {
    pub(super) planned: &'a [(&'a Statement, &'a Planned)],
    /// Tables that get no index.
    pub(super) leave_alone: &'a [pg_sys::Oid],
    /// Keys that nobody wants to see.
    pub(super) suppressed: &'a BTreeSet<String>,
    pub(super) context: &'a Context,
    pub(super) deadline: Option<Instant>,
}

impl Gathering<'_> {
    /// Candidates of all statements, without those whose key is suppressed.
    pub(super) fn gather(&self) -> Gathered {
        let tables = self.tables();
        let measured = self.measured(&tables);
        let nothing = Measured::default();
        let ancestors = ancestors(&tables.keys().copied().collect::<Vec<_>>());
        let mut maker = Maker {
            gathering: self,
            sampled: 0,
            parts: 0,
            indexes: Vec::new(),
            left_out: Vec::new(),
        };
        let mut known: BTreeMap<Candidate, Option<usize>> = BTreeMap::new();
        let mut relevant = vec![BTreeSet::new(); self.planned.len()];
        for (number, (_, planned)) in self.planned.iter().enumerate() {
            for used in &planned.uses {
                pgrx::check_for_interrupts!();
                let oid = used.table.to_u32();
                let Some(Some(table)) = tables.get(&oid) else {
                    continue;
                };
                let measured = measured.get(&oid).unwrap_or(&nothing);
                for candidate in candidates(oid, &used.used, &table.facts) {
                    let position = *known
                        .entry(candidate.clone())
                        .or_insert_with(|| maker.make(candidate, table, measured));
                    relevant[number].extend(position);
                }
            }
        }
        for index in &mut maker.indexes {
            let wholes = ancestors.get(&index.candidate.table).into_iter().flatten();
            index.of_whole = wholes
                .filter_map(|whole| seen_by(&index.candidate, *whole, &tables))
                .collect();
        }
        // An index matters to every statement on its table, also where another statement asked for it; and to those on the
        // partitioned table that its table is a part of, and on the parts of its table.
        for (number, (_, planned)) in self.planned.iter().enumerate() {
            for used in &planned.uses {
                let oid = used.table.to_u32();
                let wholes = ancestors.get(&oid).map_or(&[][..], Vec::as_slice);
                let matters = maker.indexes.iter().enumerate().filter(|(_, index)| {
                    let on = index.candidate.table;
                    let serves = |candidate: &Candidate| {
                        candidate.table == oid && used.used.is_served_by(candidate)
                    };
                    serves(&index.candidate)
                        || index.of_whole.iter().any(serves)
                        || (wholes.contains(&on)
                            && seen_by(&index.candidate, oid, &tables)
                                .is_some_and(|part| serves(&part)))
                });
                relevant[number].extend(matters.map(|(position, _)| position));
            }
        }
        Gathered {
            indexes: maker.indexes,
            relevant,
            suppressed: maker.left_out,
            tables,
        }
    }

    fn tables(&self) -> Tables {
        let mut tables = Tables::new();
        let uses = self.planned.iter().flat_map(|(_, planned)| &planned.uses);
        for used in uses.filter(|used| !self.leave_alone.contains(&used.table)) {
            pgrx::check_for_interrupts!();
            tables
                .entry(used.table.to_u32())
                .or_insert_with(|| guarded(|| Table::load(used.table)).ok().flatten());
        }
        tables
    }

    /// One sample of each table for all that is computed from its columns.
    fn measured(&self, tables: &Tables) -> BTreeMap<u32, Measured> {
        /// Texts of one table, each once.
        type Texts = BTreeSet<Rc<str>>;
        let mut texts: BTreeMap<u32, (Texts, Texts)> = BTreeMap::new();
        for used in self.planned.iter().flat_map(|(_, planned)| &planned.uses) {
            let oid = used.table.to_u32();
            let Some(Some(table)) = tables.get(&oid) else {
                continue;
            };
            for candidate in candidates(oid, &used.used, &table.facts) {
                if candidate.method != Method::Btree || table.is_partitioned() {
                    continue;
                }
                let (expressions, conditions) = texts.entry(oid).or_default();
                for key in &candidate.keys {
                    if let Of::Expression(expression) = &key.of {
                        expressions.insert(Rc::clone(&expression.sql));
                    }
                }
                if let Some(predicate) = &candidate.predicate
                    && table.share(&predicate.sql, &Measured::default()).is_none()
                {
                    conditions.insert(Rc::clone(&predicate.sql));
                }
            }
        }
        let mut measured: BTreeMap<u32, Measured> = BTreeMap::new();
        for (oid, (expressions, conditions)) in texts {
            if self.has_time()
                && let Ok(found) = measure(oid.into(), &expressions, &conditions, self.context)
            {
                measured.insert(oid, found);
            }
        }
        measured
    }

    fn has_time(&self) -> bool {
        pgrx::check_for_interrupts!();
        self.deadline
            .is_none_or(|deadline| Instant::now() < deadline)
    }
}

struct Maker<'a> {
    gathering: &'a Gathering<'a>,
    /// Candidates for which rows were read.
    sampled: usize,
    parts: usize,
    indexes: Vec<Index>,
    left_out: Vec<Index>,
}

impl Maker<'_> {
    /// The number of the index that a candidate is; `None` where it is there already, cannot be built, or is not wanted.
    fn make(&mut self, candidate: Candidate, table: &Table, measured: &Measured) -> Option<usize> {
        if self.indexes.len() >= MAX_CANDIDATES {
            return None;
        }
        let stores_more = !candidate.included.is_empty();
        let index = match candidate.plain_columns() {
            Some(columns) => plain(candidate, &columns, table)?,
            None if table.is_partitioned() => return None,
            None => self.other(candidate, table, measured)?,
        };
        // What stores most of the table is a second table.
        if stores_more && index.size.pages > table.pages / 2 {
            return None;
        }
        if is_suppressed(self.gathering.suppressed, &index.candidate, table) {
            self.left_out.push(index);
            return None;
        }
        if self.parts + index.parts.len() > MAX_PARTS {
            return None;
        }
        self.parts += index.parts.len();
        self.indexes.push(index);
        Some(self.indexes.len() - 1)
    }

    fn other(&mut self, candidate: Candidate, table: &Table, measured: &Measured) -> Option<Index> {
        if let Some(predicate) = &candidate.predicate
            && table.share(&predicate.sql, measured)? > FEW_ROWS
        {
            return None;
        }
        let shape = Shape::of(&candidate, table)?;
        let ddl = names::c_string(&shape.definition()).ok()?;
        let context = self.gathering.context;
        let predicted: Predicted = if candidate.method == Method::Btree {
            estimate(&ddl, &candidate, table, measured, context).ok()?
        } else {
            if self.sampled >= MAX_SAMPLED || !self.gathering.has_time() {
                return None;
            }
            self.sampled += 1;
            predict(&ddl, Names::Qualified, &[], context).ok()?
        };
        let parts = &predicted.definition.parts;
        if parts.iter().any(|part| table.has_like(part)) {
            return None;
        }
        Some(Index {
            parts: predicted.indexes().cloned().collect(),
            size: predicted.size(),
            entries_a_row: predicted.entries_a_row,
            is_rough: table.depends_on_keys(&candidate, measured),
            trusted: Trusted::default(),
            predicted: Some(predicted),
            of_whole: Vec::new(),
            candidate,
        })
    }
}

/// Whether somebody does not want to see an index: its key is among these.
pub(super) fn is_suppressed(keys: &BTreeSet<String>, candidate: &Candidate, table: &Table) -> bool {
    // Names are asked for only where somebody has suppressed something.
    !keys.is_empty()
        && Shape::of(candidate, table)
            .is_some_and(|shape| keys.contains(&key::cache_key(&shape.id)))
}

/// A B-tree over all rows whose keys are these columns; `None` where there is one, or what it stores is most of the table: that is a
/// second table.
pub(super) fn plain(candidate: Candidate, columns: &[i16], table: &Table) -> Option<Index> {
    if candidate.included.is_empty() && table.has_index(columns) {
        return None;
    }
    let (parts, size) = table.plain(columns, &candidate.included)?;
    if !candidate.included.is_empty() && size.pages > table.pages / 2 {
        return None;
    }
    Some(Index {
        is_rough: table.depends_on_keys(&candidate, &Measured::default()),
        trusted: Trusted::default(),
        candidate,
        of_whole: Vec::new(),
        parts,
        size,
        entries_a_row: 1.0,
        predicted: None,
    })
}

/// The same index on another table of its family, whose columns may have other numbers.
pub(super) fn seen_by(candidate: &Candidate, table: u32, tables: &Tables) -> Option<Candidate> {
    let there = tables.get(&table)?.as_ref()?;
    let here = tables.get(&candidate.table)?.as_ref()?;
    candidate.on(table, &|column| there.number(here.column_name(column)?))
}
