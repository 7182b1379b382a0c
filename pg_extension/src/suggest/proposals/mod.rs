//! Indexes that could go. They are proposed, with what speaks for and against it; nothing is ever dropped.

mod catalogue;
mod worded;

use std::collections::BTreeSet;

use pg_pitcrew_advisor::{Chosen, CostModel, Superfluous, There, Why, stable_hash, superfluous};
use pgrx::prelude::*;

use super::counted::Since;
use super::key;
use super::model::Model;
use crate::names;
use crate::whatif::guarded::guarded;
use crate::whatif::hypothetical::{Hypothetical, Supposed};
use crate::whatif::predict::{Names, predict};
use catalogue::{foreign_keys, read, suggested};
use worded::worded;

pub(super) use worded::Proposal;

/// Proposals of one call.
const MAX_PROPOSALS: usize = 100;
/// Merged indexes whose size is looked at.
const MAX_MERGED: usize = 20;
/// The planner tells costs apart no finer than this (`STD_FUZZ_FACTOR`): a statement that gets dearer by less gets no dearer.
const FUZZ: f64 = 0.01;

/// An index of the database.
struct Weighed {
    oid: pg_sys::Oid,
    table: pg_sys::Oid,
    /// `schema.name`, quoted.
    name: String,
    /// Its keys are columns, sorted as the server does when nothing is said.
    is_plain: bool,
}

/// What a proposal does to the statements that read its table.
#[derive(Clone, Copy, Default)]
struct Effect {
    statements: usize,
    before: f64,
    after: f64,
}

/// Everything that could go, by what is there, what is suggested and what the statements would cost without it.
pub(super) fn proposals(
    model: &mut Model<'_>,
    chosen: &[Chosen],
    leave_alone: &[pg_sys::Oid],
    suppressed: &BTreeSet<String>,
) -> Vec<Proposal> {
    let (mut weighed, mut there) = (Vec::new(), Vec::new());
    for (index, one) in read_in_peace() {
        if !leave_alone.contains(&index.table) {
            weighed.push(index);
            there.push(one);
        }
    }
    there.extend(chosen.iter().filter_map(|chosen| suggested(model, chosen)));
    let counted = Since::read();
    let mut weighing = Weighing {
        suggested: chosen
            .iter()
            .flat_map(|chosen| model.indexes[chosen.candidate].parts.clone())
            .collect(),
        model,
        weighed: &weighed,
        there: &there,
        merged: Vec::new(),
        tried: 0,
        effects: Vec::new(),
        suppressed,
    };
    let found = superfluous(&there, &foreign_keys(), |one, gone| {
        weighing.may_go(one, gone)
    });
    let effects = std::mem::take(&mut weighing.effects);
    found
        .iter()
        .zip(effects)
        .filter_map(|(one, effect)| worded(one, effect, &weighed, &there, &counted))
        .collect()
}

/// An index that is dropped while it is read makes the server's functions fail, and a table that is locked that moment makes them
/// wait: then all of them are read anew, or none.
fn read_in_peace() -> Vec<(Weighed, There)> {
    const TRIES: usize = 5;
    (0..TRIES)
        .find_map(|_| guarded(read).ok())
        .unwrap_or_default()
}

struct Weighing<'a, 'b> {
    model: &'a mut Model<'b>,
    weighed: &'a [Weighed],
    there: &'a [There],
    /// What the search chose.
    suggested: Vec<Hypothetical>,
    /// Indexes that stand for two by now.
    merged: Vec<Hypothetical>,
    /// Merged indexes that were looked at.
    tried: usize,
    /// Of those that may go, in order.
    effects: Vec<Effect>,
    suppressed: &'a BTreeSet<String>,
}

impl Weighing<'_, '_> {
    /// Whether no statement gets dearer without it.
    fn may_go(&mut self, one: &Superfluous, gone: &[usize]) -> bool {
        let is_full = self.effects.len() >= MAX_PROPOSALS || !self.model.has_time();
        let id = id(&self.weighed[one.index].name);
        if is_full || self.suppressed.contains(&key::cache_key(&id)) {
            return false;
        }
        let mut with = self.merged.clone();
        let mut base = Supposed::default();
        match one.why {
            Why::Merged { .. } => match self.merged(one) {
                Some(merged) => with.push(merged),
                None => return false,
            },
            // Once that is there.
            Why::Covered { by } if self.there[by].is_suggested => {
                with.extend(self.suggested.iter().cloned());
                base.indexes.clone_from(&self.suggested);
            }
            _ => {}
        }
        let without = gone.iter().copied().chain(one.gone());
        let supposed = Supposed {
            absent: without.map(|index| self.weighed[index].oid).collect(),
            indexes: with,
        };
        let Some(effect) = self.effect(self.weighed[one.index].table, &base, &supposed) else {
            return false;
        };
        if let (Why::Merged { .. }, Some(merged)) = (&one.why, supposed.indexes.last()) {
            self.merged.push(merged.clone());
        }
        self.effects.push(effect);
        true
    }

    /// `None` where a statement gets dearer, or it cannot be told.
    fn effect(
        &mut self,
        table: pg_sys::Oid,
        base: &Supposed,
        supposed: &Supposed,
    ) -> Option<Effect> {
        let mut effect = Effect::default();
        for statement in 0..self.model.planned.len() {
            let planned = self.model.planned[statement].1;
            if !planned.relations.contains(&table) {
                continue;
            }
            let before = if base.indexes.is_empty() {
                planned.cost
            } else {
                self.model.cost(statement, base)?
            };
            let after = self.model.cost(statement, supposed)?;
            if after > before * (1.0 + FUZZ) {
                return None;
            }
            let weight = self.model.weight(statement);
            effect.statements += 1;
            effect.before += weight * before;
            effect.after += weight * after;
        }
        Some(effect)
    }

    fn merged(&mut self, one: &Superfluous) -> Option<Hypothetical> {
        let ddl = merged_definition(one, self.weighed, self.there)?;
        self.tried += 1;
        if self.tried > MAX_MERGED {
            return None;
        }
        let ddl = names::c_string(&format!("CREATE INDEX {ddl}")).ok()?;
        let predicted = predict(&ddl, Names::Qualified, &[], self.model.context).ok()?;
        predicted.indexes().next().cloned()
    }
}

/// What stands behind `CREATE INDEX` and a name.
fn merged_definition(one: &Superfluous, weighed: &[Weighed], there: &[There]) -> Option<String> {
    let Why::Merged { with, included } = &one.why else {
        return None;
    };
    let (own, other) = (&weighed[one.index], &weighed[*with]);
    if !own.is_plain || !other.is_plain {
        return None;
    }
    let other = &there[*with];
    // Behind the column stand class, collation and direction.
    let column = |key: &String| key.rsplitn(4, ' ').last().map(str::to_owned);
    let keys: Vec<String> = other.keys.iter().map(column).collect::<Option<_>>()?;
    let mut written = format!("ON {} ({})", names::qualified(own.table)?, keys.join(", "));
    if !included.is_empty() {
        written.push_str(&format!(" INCLUDE ({})", included.join(", ")));
    }
    if let Some(predicate) = &other.predicate {
        written.push_str(&format!(" WHERE {predicate}"));
    }
    Some(written)
}

fn id(name: &str) -> String {
    format!("{:016x}", stable_hash(&["DROP INDEX", name]))
}
