//! Indexes that could go. They are proposed, with what speaks for and against it; nothing is ever dropped.

use std::collections::BTreeSet;
use std::ffi::CString;

use pg_pitcrew_advisor::{
    Chosen, CostModel, ForeignKey, Superfluous, There, Why, stable_hash, superfluous,
};
use pgrx::prelude::*;
use serde_json::{Value, json};

use super::key;
use super::model::Model;
use crate::failure::spi;
use crate::names;
use crate::whatif::hypothetical::{Hypothetical, Supposed};
use crate::whatif::predict::{Names, predict};

/// Indexes of a database that are weighed, the largest ones.
const MAX_WEIGHED: i64 = 2_000;
/// Proposals of one call.
const MAX_PROPOSALS: usize = 100;
/// Merged indexes whose size is looked at.
const MAX_MERGED: usize = 20;
/// The planner tells costs apart no finer than this (`STD_FUZZ_FACTOR`): a statement that gets dearer by less gets no dearer.
const FUZZ: f64 = 0.01;
/// Scans are counted long enough from so many days on: what runs once a week was seen.
const ENOUGH_DAYS: f64 = 8.0;

/// An index of the database.
struct Weighed {
    oid: pg_sys::Oid,
    table: pg_sys::Oid,
    /// `schema.name`, quoted.
    name: String,
    /// Its keys are columns, sorted as the server does when nothing is said.
    is_plain: bool,
}

/// An index that could go.
pub(super) struct Proposal {
    id: String,
    index: String,
    table: String,
    kind: &'static str,
    /// The other index that makes it superfluous.
    instead: Option<String>,
    ddl: Vec<String>,
    bytes: u64,
    scans: i64,
    since: Option<String>,
    /// Statements that read its table, and their weighted cost with it and without it.
    statements: usize,
    cost_before: f64,
    cost_after: f64,
    confidence: &'static str,
    because: Vec<String>,
    detail: String,
}

impl Proposal {
    pub(super) fn json(&self) -> Value {
        json!({
            "index_name": self.index,
            "table_name": self.table,
            "kind": self.kind,
            "instead": self.instead,
            "ddl": self.ddl,
            "bytes_freed": self.bytes,
            "scans": self.scans,
            "scans_since": self.since,
            "statements": self.statements,
            "cost_before": self.cost_before,
            "cost_after": self.cost_after,
            "confidence": self.confidence,
            "because": self.because,
            "detail": self.detail,
            "cache_key": key::cache_key(&self.id),
        })
    }
}

/// How scans are counted.
struct Counted {
    since: Option<String>,
    days: f64,
    has_standby: bool,
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
    for (index, one) in read() {
        if !leave_alone.contains(&index.table) {
            weighed.push(index);
            there.push(one);
        }
    }
    there.extend(chosen.iter().filter_map(|chosen| suggested(model, chosen)));
    let counted = counted();
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
        let ddl = CString::new(format!("CREATE INDEX {ddl}")).ok()?;
        let predicted = predict(&ddl, Names::Qualified, self.model.context).ok()?;
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

fn read() -> Vec<(Weighed, There)> {
    Spi::connect(|client| {
        let query = include_str!("../../sql/queries/weighed_indexes.sql");
        let rows = spi(
            "pg_index",
            client.select(query, None, &[MAX_WEIGHED.into()]),
        );
        rows.filter_map(|row| {
            let text = |place: usize| spi::<Option<String>>("pg_index", row.get(place));
            let texts = |place: usize| spi::<Option<Vec<String>>>("pg_index", row.get(place));
            let flag = |place: usize| spi::<Option<bool>>("pg_index", row.get(place));
            let count = |place: usize| spi::<Option<i64>>("pg_index", row.get(place));
            let oid = |place: usize| spi::<Option<pg_sys::Oid>>("pg_index", row.get(place));
            let table = oid(2)?;
            let mut included = texts(7)?;
            included.sort();
            let keys = texts(6)?;
            let mut numbers: Vec<i16> = spi("pg_index", row.get(9))?;
            numbers.truncate(keys.len());
            let weighed = Weighed {
                oid: oid(1)?,
                table,
                name: format!("{}.{}", names::quote(&text(3)?), names::quote(&text(4)?)),
                is_plain: flag(14)?,
            };
            let there = There {
                table: table.to_u32(),
                method: text(5)?,
                keys,
                included,
                predicate: text(8),
                numbers,
                is_unique: flag(10)?,
                may_go: flag(11)?,
                is_suggested: false,
                scans: count(12)?,
                bytes: count(13)?.unsigned_abs(),
            };
            Some((weighed, there))
        })
        .collect()
    })
}

fn foreign_keys() -> Vec<ForeignKey> {
    Spi::connect(|client| {
        let query = include_str!("../../sql/queries/foreign_keys.sql");
        let rows = spi("pg_constraint", client.select(query, None, &[]));
        rows.filter_map(|row| {
            let table: pg_sys::Oid = spi("pg_constraint", row.get(1))?;
            Some(ForeignKey {
                table: table.to_u32(),
                columns: spi("pg_constraint", row.get(2))?,
            })
        })
        .collect()
    })
}

fn counted() -> Counted {
    Spi::connect(|client| {
        let query = include_str!("../../sql/queries/counted_since.sql");
        let rows = spi("pg_stat_database", client.select(query, Some(1), &[])).first();
        Counted {
            since: spi("pg_stat_database", rows.get(1)),
            days: spi::<Option<f64>>("pg_stat_database", rows.get(2)).unwrap_or(0.0),
            has_standby: spi::<Option<bool>>("pg_stat_database", rows.get(3)).unwrap_or(false),
        }
    })
}

/// A suggested index on plain columns, as if it were there.
fn suggested(model: &Model<'_>, chosen: &Chosen) -> Option<There> {
    let index = &model.indexes[chosen.candidate];
    let numbers = index.candidate.plain_columns()?;
    let [part] = index.parts.as_slice() else {
        return None;
    };
    let name = |number: i16| {
        // SAFETY: a catalogue look-up that answers null for a column that is gone.
        let name = unsafe { names::text(pg_sys::get_attname(part.table, number, true)) };
        name.map(|name| names::quote(&name))
    };
    let key = |key: &crate::whatif::hypothetical::Key| {
        // SAFETY: a catalogue look-up.
        let class = unsafe { pg_sys::GetDefaultOpClass(key.type_oid, pg_sys::BTREE_AM_OID) };
        let (class, collation) = (class.to_u32(), key.index_collation.to_u32());
        Some(format!("{} {class} {collation} 0", name(key.number)?))
    };
    let mut included: Vec<String> = index
        .candidate
        .included
        .iter()
        .copied()
        .map(name)
        .collect::<Option<_>>()?;
    included.sort();
    Some(There {
        table: index.candidate.table,
        method: "btree".to_owned(),
        keys: part.columns[..part.keys]
            .iter()
            .map(key)
            .collect::<Option<_>>()?,
        included,
        predicate: None,
        numbers,
        is_unique: false,
        may_go: false,
        is_suggested: true,
        scans: 0,
        bytes: index.size.bytes(),
    })
}

fn worded(
    one: &Superfluous,
    effect: Effect,
    weighed: &[Weighed],
    there: &[There],
    counted: &Counted,
) -> Option<Proposal> {
    let own = &there[one.index];
    let index = &weighed[one.index];
    // A suggested one has no name yet.
    let name = |other: usize| weighed.get(other).map(|other| other.name.clone());
    let mut ddl = Vec::new();
    if let Some(definition) = merged_definition(one, weighed, there) {
        ddl.push(format!("CREATE INDEX CONCURRENTLY {definition}"));
    }
    let drop = |index: usize| format!("DROP INDEX CONCURRENTLY {}", weighed[index].name);
    ddl.extend(one.gone().into_iter().map(drop));
    let (kind, instead, confidence, what) = match &one.why {
        Why::Duplicate { of } => {
            let other = name(*of)?;
            let what = format!("is the same as {other}");
            ("duplicate", Some(other), "high", what)
        }
        Why::Covered { by } => match name(*by) {
            Some(other) => {
                let what = format!("begins as {other} does, which answers the same look-ups");
                ("covered", Some(other), "medium", what)
            }
            None => {
                let what = "begins as a suggested index does: once that is built, it answers the same look-ups".to_owned();
                ("covered", None, "medium", what)
            }
        },
        Why::Merged { with, .. } => {
            let other = name(*with)?;
            let what = format!("and {other} begin the same way: one index could do what both do");
            ("merge", Some(other), "medium", what)
        }
        Why::Unused => {
            let is_sure = counted.days >= ENOUGH_DAYS && !counted.has_standby;
            let confidence = if is_sure { "medium" } else { "low" };
            (
                "unused",
                None,
                confidence,
                "was not read since scans are counted".to_owned(),
            )
        }
    };
    let since = counted.since.as_ref();
    let since = since.map_or_else(String::new, |since| format!(", counted since {since}"));
    let mut because = vec![match own.scans {
        0.. => format!("{} scans in {:.1} days{since}", own.scans, counted.days),
        _ => "scans are not counted (track_counts is off)".to_owned(),
    }];
    if own.is_unique {
        because.push("it is unique, and so is the one that stays".to_owned());
    }
    if !matches!(one.why, Why::Duplicate { .. }) {
        because.push(if counted.has_standby {
            "a standby is fed from here and counts its own scans: look there first".to_owned()
        } else {
            "a standby would count its own scans: look there too".to_owned()
        });
    }
    because.push(match effect.statements {
        0 => "no statement of the workload reads its table".to_owned(),
        count => {
            format!("none of the {count} statements that read its table gets dearer without it")
        }
    });
    // One that is merged comes back as a part of the new one.
    let bytes = own.bytes;
    Some(Proposal {
        id: id(&index.name),
        index: index.name.clone(),
        table: names::qualified(index.table)?,
        kind,
        instead,
        ddl,
        bytes,
        scans: own.scans,
        since: counted.since.clone(),
        statements: effect.statements,
        cost_before: effect.before,
        cost_after: effect.after,
        confidence,
        detail: format!(
            "{} {what}. Dropping it frees {:.1} MB, and what each write of its table spends on it.",
            index.name,
            bytes as f64 / (1024.0 * 1024.0)
        ),
        because,
    })
}
