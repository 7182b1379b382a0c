//! From a task to an answer.

use std::collections::BTreeSet;
use std::time::Instant;

use pg_pitcrew_advisor::{Chosen, CostModel, Found, Helped, index_name, search};
use pgrx::prelude::*;
use serde_json::{Value, json};

use super::answer::{Answer, Effect, Rejected, Seen, Suggestion};
use super::arguments::Task;
use super::counted::Counted;
use super::gather::{Gathered, Gathering, Tables};
use super::key;
use super::look::{Looked, OUT_OF_TIME, Planned, look};
use super::model::{Index, Model};
use super::proposals::proposals;
use super::referencing;
use super::risk;
use super::shape::Shape;
use super::writes::{self, Upkeep, Written};
use crate::failure::read_one;
use crate::names;
use crate::whatif::table::Table;
use crate::workload::analysis::Context;
use crate::workload::shown::shown;
use crate::workload::skip::Skip;
use crate::workload::statements::Statement;

/// Candidates that were not taken and are named in the answer.
const MAX_REJECTED: usize = 100;

/// Looks, searches, and says what was found; with what could go where `weighs_existing`.
pub(super) fn advise(task: Task, weighs_existing: bool) -> Answer {
    let begin = Instant::now();
    let context = Context::new();
    let mut statements = task.statements;
    statements.extend(referencing::asked(&statements, &context, task.deadline));
    let looked = look(statements, &context, task.deadline);
    let planned: Vec<(&Statement, &Planned)> = looked
        .iter()
        .filter_map(|looked| Some((&looked.statement, looked.result.as_ref().ok()?)))
        .collect();
    let hidden = key::suppressed_keys();
    let Gathered {
        indexes,
        relevant,
        suppressed,
        tables,
    } = Gathering {
        planned: &planned,
        leave_alone: &task.leave_alone,
        suppressed: &hidden,
        context: &context,
        deadline: task.deadline,
    }
    .gather();
    let written = Written::by(&looked, task.seconds, &context);
    let upkeeps = writes::upkeeps(&indexes, &written, &tables);
    let mut model = Model {
        context: &context,
        calls: planned.len(),
        planned,
        relevant,
        indexes,
        upkeeps,
        tables: &tables,
        written: &written,
        suppressed: &hidden,
        deadline: task.deadline,
    };
    let found = search(&mut model, task.limits);
    let after: Vec<f64> = model
        .planned
        .iter()
        .zip(&found.plans)
        .map(|((_, planned), plan)| plan.as_ref().map_or(planned.cost, |plan| plan.cost))
        .collect();
    let weighted = |costs: &mut dyn Iterator<Item = f64>| -> f64 {
        let weights = model.planned.iter().map(|(statement, _)| statement.weight);
        weights.zip(costs).map(|(weight, cost)| weight * cost).sum()
    };
    let cost_before = weighted(&mut model.planned.iter().map(|(_, planned)| planned.cost));
    let cost_after = weighted(&mut after.iter().copied());
    let proposals = if weighs_existing {
        proposals(&mut model, &found.chosen, &task.leave_alone, &hidden)
    } else {
        Vec::new()
    };
    let stopped = !model.has_time();
    let mut words = Words {
        model: &model,
        tables: &tables,
        cost_before,
        is_given: task.seconds.is_none(),
        taken: BTreeSet::new(),
    };
    let suggestions = found
        .chosen
        .iter()
        .filter_map(|chosen| words.suggestion(chosen, &found))
        .collect();
    let rejected = words.rejected(&found, &suppressed);
    Answer {
        suggestions,
        cost_before,
        cost_after,
        planner_calls: model.calls,
        milliseconds: begin.elapsed().as_secs_f64() * 1e3,
        stopped_because: stopped.then(|| OUT_OF_TIME.to_owned()),
        candidates: model.candidates(),
        statements: seen(&looked, &after),
        rejected,
        proposals,
    }
}

/// The statements, those on the system's tables left out; `after` has one cost for each that was planned.
fn seen(looked: &[Looked], after: &[f64]) -> Vec<Seen> {
    let mut after = after.iter();
    let of = |looked: &Looked| {
        let costs = match &looked.result {
            Ok(planned) => Ok((planned.cost, *after.next()?)),
            Err(Skip::Because(reason)) => Err(reason.clone()),
            Err(Skip::System) => return None,
        };
        let statement = &looked.statement;
        Some(Seen {
            queryid: statement.queryid,
            query: statement.text.as_deref().map(shown),
            calls: statement.calls,
            weight: statement.weight,
            costs,
        })
    };
    looked.iter().filter_map(of).collect()
}

/// Puts what the search chose into words.
struct Words<'a> {
    model: &'a Model<'a>,
    tables: &'a Tables,
    cost_before: f64,
    /// The statements were given, and ran at no time.
    is_given: bool,
    /// Names that earlier rows have.
    taken: BTreeSet<(String, String)>,
}

impl Words<'_> {
    fn suggestion(&mut self, chosen: &Chosen, found: &Found) -> Option<Suggestion> {
        let index = &self.model.indexes[chosen.candidate];
        let table = self.tables.get(&index.candidate.table)?.as_ref()?;
        let shape = Shape::of(&index.candidate, table)?;
        let index_name = self.free_name(table, &shape.words);
        let bytes = index.size.bytes();
        let helped: Vec<Effect> = chosen.helped.iter().map(|h| self.effect(h)).collect();
        let upkeep = self.model.upkeeps[chosen.candidate];
        let mut detail = detail(table, &shape.list, chosen, &helped, bytes);
        if self.is_given {
            detail.push_str(&not_weighed(table.oid));
        }
        if chosen.is_together {
            detail.push_str(
                " It does so together with suggestions that come after it, and little before they are there.",
            );
        }
        detail.push_str(&of_writes(upkeep));
        let doubts = risk::doubts(&shape.definition(), chosen, &found.plans, self.model);
        let at_risk = doubts
            .at_risk
            .into_iter()
            .filter_map(|(statement, because)| {
                Some(Effect {
                    because: Some(because),
                    ..self.effect(&Helped {
                        statement,
                        before: self.model.planned[statement].1.cost,
                        after: found.plans[statement].as_ref()?.cost,
                    })
                })
            })
            .collect();
        Some(Suggestion {
            ddl: build(&shape, &index_name, table),
            job: job(&shape, &index_name),
            relation: table.oid,
            definition: shape.with_method(),
            holds_values: shape.may_hold_values(),
            id: shape.id,
            index_name,
            table: shape.table,
            columns: shape.keys,
            included: shape.included,
            predicate: shape.predicate,
            kind: shape.method,
            bytes,
            upkeep,
            cost_before: chosen.cost_before,
            cost_after: chosen.cost_after,
            helped,
            at_risk,
            confidence: doubts.trusted.confidence.as_str(),
            because: doubts.trusted.because,
            detail,
        })
    }

    fn effect(&self, helped: &Helped) -> Effect {
        let statement = self.model.planned[helped.statement].0;
        let share = if self.cost_before > 0.0 {
            let whole = self.model.planned[helped.statement].1.cost;
            100.0 * statement.weight * whole / self.cost_before
        } else {
            0.0
        };
        Effect {
            queryid: statement.queryid,
            query: statement.text.as_deref().map(shown),
            calls: statement.calls,
            weight: statement.weight,
            cost_before: helped.before,
            cost_after: helped.after,
            share_percent: share,
            because: None,
        }
    }

    /// A name that neither a relation in the schema nor an earlier row has.
    fn free_name(&mut self, table: &Table, columns: &[String]) -> String {
        let mut name = index_name(&table.name, columns);
        for number in 1..100 {
            let exists: Option<bool> = read_one(
                "pg_class",
                "SELECT EXISTS (SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
                     WHERE n.nspname = $1 AND c.relname = $2)",
                &[table.schema.as_str().into(), name.as_str().into()],
            );
            let is_taken = self.taken.contains(&(table.schema.clone(), name.clone()));
            if exists != Some(true) && !is_taken {
                break;
            }
            let mut numbered = columns.to_vec();
            numbered.push(number.to_string());
            name = index_name(&table.name, &numbered);
        }
        self.taken.insert((table.schema.clone(), name.clone()));
        name
    }

    fn left_out(&self, index: &Index, upkeep: Option<Upkeep>, because: &str) -> Option<Rejected> {
        let table = self.tables.get(&index.candidate.table)?.as_ref()?;
        let shape = Shape::of(&index.candidate, table)?;
        Some(Rejected {
            table: shape.table,
            columns: shape.list,
            bytes: index.size.bytes(),
            upkeep,
            because: because.to_owned(),
        })
    }

    /// The first candidates that were not taken, those that somebody does not want to see before the others.
    fn rejected(&self, found: &Found, suppressed: &[Index]) -> Vec<Rejected> {
        let is_taken = |position: usize| {
            let mut chosen = found.chosen.iter();
            chosen.any(|chosen| chosen.candidate == position)
        };
        let of = |(position, index): (usize, &Index)| {
            let because = if found.outweighed.contains(&position) {
                "its writes cost more than it saves"
            } else if found.slight.contains(&position) {
                "it saves too little, by itself or beside another one that answers the same"
            } else if found.picked.contains(&position) {
                "others save more for their bytes within the limits"
            } else {
                "no statement's plan would use it beside the other candidates"
            };
            self.left_out(index, Some(self.model.upkeeps[position]), because)
        };
        let suppressed = suppressed
            .iter()
            .filter_map(|index| self.left_out(index, None, "it is in pitcrew.suppressed_findings"));
        let left = self
            .model
            .indexes
            .iter()
            .enumerate()
            .filter(|(position, _)| !is_taken(*position));
        suppressed
            .chain(left.filter_map(of))
            .take(MAX_REJECTED)
            .collect()
    }
}

/// What builds it. A partitioned table refuses CONCURRENTLY: there it is a job.
fn build(shape: &Shape, name: &str, table: &Table) -> String {
    let Shape {
        table: on, list, ..
    } = shape;
    if table.is_partitioned() {
        let options = options(shape, name).to_string();
        return format!(
            "SELECT pitcrew.submit_job('create_index', {}, {})",
            names::literal(on),
            names::literal(&options)
        );
    }
    let name = names::quote(name);
    format!("CREATE INDEX CONCURRENTLY {name} ON {on} {list}")
}

/// Arguments of `pitcrew.submit_job`.
fn job(shape: &Shape, name: &str) -> Value {
    json!({
        "kind": "create_index",
        "target": shape.table,
        "options": options(shape, name),
    })
}

fn options(shape: &Shape, name: &str) -> Value {
    if !shape.is_plain {
        return json!({"definition": shape.list, "name": name});
    }
    let mut options = json!({"columns": shape.keys, "name": name});
    if !shape.included.is_empty() {
        options["include"] = json!(shape.included);
    }
    options
}

/// What writes make of it, in a sentence; nothing where nothing is known to be written.
fn of_writes(upkeep: Upkeep) -> String {
    let mut said = String::new();
    if upkeep.cost > 0.0 {
        said = format!(
            " Keeping it while the table is written costs {:.0} of what it saves.",
            upkeep.cost
        );
    }
    if upkeep.hot_loss > 0.0 {
        said.push_str(&format!(
            " {:.0} % of the updates are HOT now and would not be with it: each then writes an entry into every index.",
            100.0 * upkeep.hot_loss
        ));
    }
    if let Some(loss) = upkeep.write_loss.filter(|loss| *loss > 0.0) {
        said.push_str(&format!(
            " About {:.0} % fewer of the table's writes get through in the same processor time.",
            100.0 * loss
        ));
    }
    if let Some(others) = upkeep.others.words() {
        said.push_str(&format!(" {others}"));
    }
    said
}

fn detail(table: &Table, list: &str, chosen: &Chosen, helped: &[Effect], bytes: u64) -> String {
    let calls: i64 = helped.iter().map(|effect| effect.calls).sum();
    let counted = |count: i64, what: &str| match count {
        1 => format!("1 {what}"),
        count => format!("{count} {what}s"),
    };
    format!(
        "An index on {} {list} cuts the planned cost of {} from {:.0} to {:.0} ({:.1} % less, weighted by {}) and takes about {:.1} MB.",
        table.qualified(),
        counted(helped.len() as i64, "statement"),
        chosen.cost_before,
        chosen.cost_after,
        chosen.gain_percent(),
        counted(calls, "call"),
        bytes as f64 / (1024.0 * 1024.0),
    )
}

/// What given statements leave open: whatever else is written. Inserts that only filled the table are left out.
fn not_weighed(table: pg_sys::Oid) -> String {
    match Counted::read(table).map(|counted| counted.updated + counted.deleted + counted.replaced())
    {
        Some(rows) if rows >= 1.0 => format!(
            " {rows:.0} rows of the table were inserted, updated or deleted since its statistics began: what that would cost is not weighed against given statements."
        ),
        _ => String::new(),
    }
}
