//! A proposal in words.

use pg_pitcrew_advisor::{Superfluous, There, Why};
use serde_json::{Value, json};

use super::{Effect, Weighed, id, merged_definition};
use crate::names;
use crate::suggest::counted::Since;
use crate::suggest::key;

/// Scans are counted long enough from so many days on: what runs once a week was seen.
const ENOUGH_DAYS: f64 = 8.0;

/// An index that could go.
pub(crate) struct Proposal {
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
    pub(crate) fn json(&self) -> Value {
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

/// What is said of an index that could go; `None` where its table is gone.
pub(super) fn worded(
    one: &Superfluous,
    effect: Effect,
    weighed: &[Weighed],
    there: &[There],
    counted: &Since,
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
            let is_sure = counted.days() >= ENOUGH_DAYS && !counted.has_standby;
            let confidence = if is_sure { "medium" } else { "low" };
            (
                "unused",
                None,
                confidence,
                "was not read since scans are counted".to_owned(),
            )
        }
    };
    let since = counted.at.as_ref();
    let since = since.map_or_else(String::new, |since| format!(", counted since {since}"));
    let mut because = vec![match own.scans {
        0.. => format!("{} scans in {:.1} days{since}", own.scans, counted.days()),
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
        since: counted.at.clone(),
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
