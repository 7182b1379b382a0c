//! What is answered: suggestions with their evidence, what was looked at, and what was left out and why.

use pgrx::pg_sys;
use serde_json::{Value, json};

use super::key;
use super::proposals::Proposal;
use super::writes::Upkeep;
use crate::advice::Proposed;
use crate::document::Document;
use crate::text::{Text, all};

/// Everything that one call found.
pub(super) struct Answer {
    pub(super) suggestions: Vec<Suggestion>,
    /// Weighted cost of all planned statements as things are.
    pub(super) cost_before: f64,
    /// With all suggestions.
    pub(super) cost_after: f64,
    pub(super) planner_calls: usize,
    pub(super) milliseconds: f64,
    /// Why the search ended before it was through.
    pub(super) stopped_because: Option<String>,
    pub(super) statements: Vec<Seen>,
    /// Candidates that were looked at.
    pub(super) candidates: usize,
    pub(super) rejected: Vec<Rejected>,
    /// Indexes that could go; nothing is looked at where nobody asks for them.
    pub(super) proposals: Vec<Proposal>,
}

/// One index to build.
pub(super) struct Suggestion {
    pub(super) id: String,
    pub(super) index_name: String,
    pub(super) table: String,
    /// Keys: columns, unquoted, and expressions.
    pub(super) columns: Vec<String>,
    /// Columns that are only stored.
    pub(super) included: Vec<String>,
    /// What its rows meet.
    pub(super) predicate: Option<String>,
    pub(super) relation: pg_sys::Oid,
    /// What stands behind the table's name, method included.
    pub(super) definition: String,
    /// A value of an execution may stand in it.
    pub(super) holds_values: bool,
    /// Builds it.
    pub(super) ddl: String,
    /// Arguments of `pitcrew.submit_job`.
    pub(super) job: Value,
    /// Its access method.
    pub(super) kind: &'static str,
    pub(super) bytes: u64,
    /// Weighted cost of the statements that it helps, with the suggestions before it.
    pub(super) cost_before: f64,
    /// With this one too.
    pub(super) cost_after: f64,
    /// What keeping it costs while its table is written.
    pub(super) upkeep: Upkeep,
    pub(super) helped: Vec<Effect>,
    pub(super) at_risk: Vec<Effect>,
    pub(super) confidence: &'static str,
    pub(super) because: Vec<String>,
    pub(super) detail: String,
}

/// What a suggestion does to a statement.
pub(super) struct Effect {
    pub(super) queryid: Option<i64>,
    pub(super) query: Option<String>,
    pub(super) calls: i64,
    pub(super) weight: f64,
    pub(super) cost_before: f64,
    pub(super) cost_after: f64,
    /// Of the whole workload's cost as things are, in percent.
    pub(super) share_percent: f64,
    /// Why it is at risk.
    pub(super) because: Option<String>,
}

/// A statement of the workload.
pub(super) struct Seen {
    pub(super) queryid: Option<i64>,
    pub(super) query: Option<String>,
    pub(super) calls: i64,
    pub(super) weight: f64,
    /// Before and after, or why it was not planned.
    pub(super) costs: Result<(f64, f64), String>,
}

/// A candidate that was not taken.
pub(super) struct Rejected {
    pub(super) table: String,
    pub(super) columns: String,
    pub(super) bytes: u64,
    pub(super) upkeep: Option<Upkeep>,
    pub(super) because: String,
}

impl Suggestion {
    /// Gain, less what writes cost, in percent of the helped statements' cost.
    pub(super) fn gain_percent(&self) -> f64 {
        if self.cost_before > 0.0 {
            100.0 * (self.cost_before - self.cost_after - self.upkeep.cost) / self.cost_before
        } else {
            0.0
        }
    }

    fn effects(effects: &[Effect]) -> Value {
        effects.iter().map(Effect::json).collect()
    }

    fn json(&self, rank: usize) -> Value {
        json!({
            "rank": rank,
            "id": self.id,
            "index_name": self.index_name,
            "table": self.table,
            "columns": self.columns,
            "included": self.included,
            "predicate": self.predicate,
            "ddl": self.ddl,
            "job": self.job,
            "kind": self.kind,
            "estimated_bytes": self.bytes,
            "cost_before": self.cost_before,
            "cost_after": self.cost_after,
            "write_cost": self.upkeep.cost,
            "hot_loss_percent": 100.0 * self.upkeep.hot_loss,
            "write_loss_percent": self.upkeep.write_loss.map(percent),
            "gain_percent": self.gain_percent(),
            "queries_helped": Self::effects(&self.helped),
            "queries_at_risk": Self::effects(&self.at_risk),
            "confidence": self.confidence,
            "because": self.because,
            "detail": self.detail,
            "cache_key": key::cache_key(&self.id),
        })
    }

    /// As it is kept.
    pub(super) fn proposed(&self) -> Proposed {
        Proposed {
            cache_key: key::cache_key(&self.id),
            table_name: self.table.clone(),
            index_name: self.index_name.clone(),
            built_by: (!self.holds_values).then(|| (self.ddl.clone(), self.job.clone())),
            kind: self.kind,
            confidence: self.confidence,
            gain_percent: self.gain_percent(),
            cost_before: self.cost_before,
            cost_after: self.cost_after,
            write_cost: self.upkeep.cost,
            bytes: i64::try_from(self.bytes).unwrap_or(i64::MAX),
            queryids: self.queryids(),
            relation: self.relation,
            definition: self.definition.clone(),
        }
    }

    fn queryids(&self) -> Vec<i64> {
        self.helped
            .iter()
            .filter_map(|effect| effect.queryid)
            .collect()
    }

    /// The row of `pitcrew.suggest_indexes`.
    #[allow(clippy::type_complexity)]
    pub(super) fn row(self, rank: usize) -> Row {
        let gain = self.gain_percent();
        let cache_key = key::cache_key(&self.id);
        let queryids = self.queryids();
        (
            self.id.into(),
            self.index_name.into(),
            self.table.into(),
            all(self.columns),
            self.ddl.into(),
            self.cost_before,
            self.cost_after,
            gain,
            i64::try_from(self.bytes).unwrap_or(i64::MAX),
            queryids,
            self.detail.into(),
            Document(Self::effects(&self.helped)),
            i32::try_from(rank).unwrap_or(i32::MAX),
            self.kind.into(),
            Document(Self::effects(&self.at_risk)),
            self.confidence.into(),
            all(self.because),
            all(self.included),
            self.upkeep.cost,
            100.0 * self.upkeep.hot_loss,
            cache_key.into(),
            self.predicate.map(Text),
            Document(self.job),
            self.upkeep.write_loss.map(percent),
        )
    }
}

/// Columns in the order of the declaration.
pub(super) type Row = (
    Text,
    Text,
    Text,
    Vec<Text>,
    Text,
    f64,
    f64,
    f64,
    i64,
    Vec<i64>,
    Text,
    Document,
    i32,
    Text,
    Document,
    Text,
    Vec<Text>,
    Vec<Text>,
    f64,
    f64,
    Text,
    Option<Text>,
    Document,
    Option<f64>,
);

fn percent(share: f64) -> f64 {
    100.0 * share
}

impl Effect {
    fn json(&self) -> Value {
        let mut value = json!({
            "queryid": self.queryid,
            "query": self.query,
            "calls": self.calls,
            "weight": self.weight,
            "cost_before": self.cost_before,
            "cost_after": self.cost_after,
            "share_percent": self.share_percent,
        });
        if let (Some(because), Some(object)) = (&self.because, value.as_object_mut()) {
            object.insert("because".to_owned(), because.clone().into());
        }
        value
    }
}

impl Seen {
    fn json(&self) -> Value {
        let (before, after, skipped) = match &self.costs {
            Ok((before, after)) => (Some(before), Some(after), None),
            Err(reason) => (None, None, Some(reason)),
        };
        json!({
            "queryid": self.queryid,
            "query": self.query,
            "calls": self.calls,
            "weight": self.weight,
            "cost_before": before,
            "cost_after": after,
            "skipped_because": skipped,
        })
    }
}

impl Answer {
    /// The document of `pitcrew.suggest_indexes_json`.
    pub(super) fn json(&self) -> Value {
        let suggestions: Value = self
            .suggestions
            .iter()
            .enumerate()
            .map(|(position, suggestion)| suggestion.json(position + 1))
            .collect();
        let rejected: Value = self
            .rejected
            .iter()
            .map(|rejected| {
                json!({
                    "table": rejected.table,
                    "columns": rejected.columns,
                    "estimated_bytes": rejected.bytes,
                    "write_cost": rejected.upkeep.map(|upkeep| upkeep.cost),
                    "hot_loss_percent": rejected.upkeep.map(|upkeep| percent(upkeep.hot_loss)),
                    "write_loss_percent": rejected.upkeep.and_then(|upkeep| upkeep.write_loss).map(percent),
                    "because": rejected.because,
                })
            })
            .collect();
        json!({
            "suggestions": suggestions,
            "cost_before": self.cost_before,
            "cost_after": self.cost_after,
            "planner_calls": self.planner_calls,
            "milliseconds": self.milliseconds,
            "stopped_because": self.stopped_because,
            "statements": self.statements.iter().map(Seen::json).collect::<Value>(),
            "candidates": self.candidates,
            "rejected": rejected,
            "proposals": self.proposals.iter().map(Proposal::json).collect::<Value>(),
        })
    }
}
