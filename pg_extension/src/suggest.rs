//! `pitcrew.suggest_indexes` and `pitcrew.workload`.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CString;
use std::time::{Duration, Instant};

use pg_pitcrew_advisor::{
    Candidate, Chosen, CostModel, IndexSize, Limits, candidates, index_name, search, stable_hash,
};
use pgrx::JsonB;
use pgrx::prelude::*;
use serde_json::json;

use crate::failure::{Failure, or_raise, read_one};
use crate::whatif::guarded::guarded;
use crate::whatif::hypothetical::{Hypothetical, Supposed};
use crate::whatif::plan;
use crate::whatif::table::Table;
use crate::workload::analysis::{self, Context};
use crate::workload::shown::shown;
use crate::workload::skip::Skip;
use crate::workload::statements::{self, Statement};
use crate::workload::usage::{self, Use};
use crate::{guc, names};

/// Candidates of one call; what comes after is left out.
const MAX_CANDIDATES: usize = 2_000;

/// A statement of the workload, looked at once.
struct Looked {
    statement: Statement,
    result: Result<Planned, Skip>,
}

struct Planned {
    text: CString,
    cost: f64,
    uses: Vec<Use>,
}

/// Analyses and plans each statement without new indexes.
fn look(statements: Vec<Statement>, context: &Context, deadline: Option<Instant>) -> Vec<Looked> {
    statements
        .into_iter()
        .map(|statement| {
            pgrx::check_for_interrupts!();
            let result = look_at(&statement, context, deadline);
            Looked { statement, result }
        })
        .collect()
}

fn look_at(
    statement: &Statement,
    context: &Context,
    deadline: Option<Instant>,
) -> Result<Planned, Skip> {
    let because = |reason: &str| Skip::Because(reason.to_owned());
    if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
        return Err(because("pitcrew.suggest_timeout was over"));
    }
    let Some(text) = &statement.text else {
        return Err(because(
            "its text is hidden from this role, which is not a member of pg_read_all_stats",
        ));
    };
    let text = CString::new(text.as_str()).map_err(|_| because("the text holds a NUL byte"))?;
    let read = guarded(|| {
        analysis::enter(context);
        let analysed = analysis::analyse(&text, context)?;
        Ok::<_, Skip>((usage::uses(analysed.query), analysed.relations))
    });
    let (uses, relations) = read.map_err(|caught| Skip::Because(caught.message))??;
    context
        .trust()
        .check_relations(&relations)
        .map_err(Skip::Because)?;
    let cost = plan::cost(&text, context, &Supposed::default())
        .map_err(|caught| Skip::Because(caught.message))??;
    Ok(Planned { text, cost, uses })
}

/// A candidate with what the planner and the answer need of it.
struct Index {
    candidate: Candidate,
    hypothetical: Hypothetical,
    size: IndexSize,
}

struct Model<'a> {
    context: &'a Context,
    planned: Vec<(&'a Statement, &'a Planned)>,
    relevant: Vec<BTreeSet<usize>>,
    indexes: Vec<Index>,
    deadline: Option<Instant>,
}

impl CostModel for Model<'_> {
    fn statements(&self) -> usize {
        self.planned.len()
    }

    fn weight(&self, statement: usize) -> f64 {
        self.planned[statement].0.calls as f64
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

    fn cost(&mut self, statement: usize, set: &[usize]) -> Option<f64> {
        pgrx::check_for_interrupts!();
        let (_, planned) = self.planned[statement];
        if set.is_empty() {
            return Some(planned.cost);
        }
        let supposed = Supposed {
            indexes: set
                .iter()
                .map(|index| self.indexes[*index].hypothetical.clone())
                .collect(),
            absent: Vec::new(),
        };
        match plan::cost(&planned.text, self.context, &supposed) {
            Ok(Ok(cost)) => Some(cost),
            Ok(Err(_)) | Err(_) => None,
        }
    }

    fn has_time(&mut self) -> bool {
        self.deadline
            .is_none_or(|deadline| Instant::now() < deadline)
    }
}

/// Candidates of all statements: each index once, without those that exist already, and which statements it matters to.
fn index_candidates(
    planned: &[(&Statement, &Planned)],
    tables: &mut BTreeMap<u32, Option<Table>>,
) -> (Vec<Index>, Vec<BTreeSet<usize>>) {
    let mut indexes: Vec<Index> = Vec::new();
    let mut known: BTreeMap<Candidate, Option<usize>> = BTreeMap::new();
    let mut relevant = vec![BTreeSet::new(); planned.len()];
    for (number, (_, planned)) in planned.iter().enumerate() {
        for used in &planned.uses {
            pgrx::check_for_interrupts!();
            let oid = used.table.to_u32();
            let table = tables
                .entry(oid)
                .or_insert_with(|| guarded(|| Table::load(used.table)).ok().flatten());
            let Some(table) = table else { continue };
            for candidate in candidates(oid, &used.columns) {
                let position = *known.entry(candidate.clone()).or_insert_with(|| {
                    if indexes.len() >= MAX_CANDIDATES || table.has_index(&candidate.columns) {
                        return None;
                    }
                    let size = table.index_size(&candidate.columns)?;
                    let hypothetical =
                        Hypothetical::plain(table.oid, table.keys(&candidate.columns)?, size);
                    indexes.push(Index {
                        candidate,
                        hypothetical,
                        size,
                    });
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
                index.candidate.table == oid
                    && index
                        .candidate
                        .columns
                        .iter()
                        .any(|column| columns.contains(column))
            });
            relevant[number].extend(matters.map(|(position, _)| position));
        }
    }
    (indexes, relevant)
}

type Row = (
    String,
    String,
    String,
    Vec<String>,
    String,
    f64,
    f64,
    f64,
    i64,
    Vec<i64>,
    String,
    JsonB,
);

/// Suggests indexes.
#[pg_extern(sql = r#"
CREATE FUNCTION pitcrew.suggest_indexes(
    budget_mb integer DEFAULT 1024,
    max_indexes integer DEFAULT 10,
    min_gain_percent double precision DEFAULT 5,
    queries text[] DEFAULT NULL
) RETURNS TABLE (
    id text, index_name text, table_name text, columns text[], ddl text,
    cost_before double precision, cost_after double precision, gain_percent double precision,
    estimated_size_bytes bigint, queryids bigint[], detail text, evidence jsonb
)
    LANGUAGE c VOLATILE SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'suggest_indexes_wrapper';
COMMENT ON FUNCTION pitcrew.suggest_indexes(integer, integer, double precision, text[]) IS
    'Indexes worth building for the statements in pg_stat_statements (or for queries), in the order to build them. Costs are the planner''s, of the generic plan, summed over the statements that the index helps, each times its calls; each row assumes the indexes above it. Nothing is executed and nothing is created.';
"#)]
#[allow(clippy::type_complexity)]
fn suggest_indexes(
    budget_mb: Option<i32>,
    max_indexes: Option<i32>,
    min_gain_percent: Option<f64>,
    queries: Option<Vec<Option<String>>>,
) -> TableIterator<
    'static,
    (
        name!(id, String),
        name!(index_name, String),
        name!(table_name, String),
        name!(columns, Vec<String>),
        name!(ddl, String),
        name!(cost_before, f64),
        name!(cost_after, f64),
        name!(gain_percent, f64),
        name!(estimated_size_bytes, i64),
        name!(queryids, Vec<i64>),
        name!(detail, String),
        name!(evidence, JsonB),
    ),
> {
    let limits = or_raise(limits(budget_mb, max_indexes, min_gain_percent));
    let statements = match queries {
        Some(texts) => statements::given(texts),
        None => or_raise(statements::recorded()),
    };
    let timeout = guc::SUGGEST_TIMEOUT_MS.get();
    let deadline = (timeout > 0).then(|| Instant::now() + Duration::from_millis(timeout as u64));
    let context = Context::new();
    let looked = look(statements, &context, deadline);
    let planned: Vec<(&Statement, &Planned)> = looked
        .iter()
        .filter_map(|looked| {
            looked
                .result
                .as_ref()
                .ok()
                .map(|planned| (&looked.statement, planned))
        })
        .collect();
    let mut tables = BTreeMap::new();
    let (indexes, relevant) = index_candidates(&planned, &mut tables);
    let mut model = Model {
        context: &context,
        planned,
        relevant,
        indexes,
        deadline,
    };
    let chosen = search(&mut model, limits);

    let mut taken = BTreeSet::new();
    let rows: Vec<Row> = chosen
        .iter()
        .filter_map(|chosen| row(&model, &tables, chosen, &mut taken))
        .collect();
    TableIterator::new(rows)
}

fn limits(
    budget_mb: Option<i32>,
    max_indexes: Option<i32>,
    min_gain_percent: Option<f64>,
) -> Result<Limits, Failure> {
    let at_least_zero =
        |name: &str, value: Option<i32>, default: i32| match value.unwrap_or(default) {
            value if value < 0 => Err(Failure::argument(format!(
                "{name} must not be negative, got {value}"
            ))),
            value => Ok(value as u64),
        };
    let gain = min_gain_percent.unwrap_or(5.0);
    if !(0.0..=100.0).contains(&gain) {
        return Err(Failure::argument(format!(
            "min_gain_percent must be between 0 and 100, got {gain}"
        )));
    }
    Ok(Limits {
        budget_bytes: at_least_zero("budget_mb", budget_mb, 1024)? * 1024 * 1024,
        max_indexes: at_least_zero("max_indexes", max_indexes, 10)? as usize,
        min_gain_percent: gain,
    })
}

fn row(
    model: &Model<'_>,
    tables: &BTreeMap<u32, Option<Table>>,
    chosen: &Chosen,
    taken: &mut BTreeSet<(String, String)>,
) -> Option<Row> {
    let index = &model.indexes[chosen.candidate];
    let table = tables.get(&index.candidate.table)?.as_ref()?;
    let columns = table.column_names(&index.candidate.columns)?;
    let name = free_name(table, &columns, taken);
    let qualified = table.qualified();
    let list = columns
        .iter()
        .map(|column| names::quote(column))
        .collect::<Vec<_>>()
        .join(", ");
    let ddl = format!(
        "CREATE INDEX CONCURRENTLY {} ON {qualified} ({list})",
        names::quote(&name)
    );

    let mut parts = vec![table.schema.as_str(), table.name.as_str()];
    parts.extend(columns.iter().map(String::as_str));
    let id = format!("{:016x}", stable_hash(&parts));

    let helped = &chosen.helped;
    let queryids: Vec<i64> = helped
        .iter()
        .filter_map(|h| model.planned[h.statement].0.queryid)
        .collect();
    let calls: i64 = helped
        .iter()
        .map(|h| model.planned[h.statement].0.calls)
        .sum();
    let evidence: Vec<serde_json::Value> = helped
        .iter()
        .map(|h| {
            let statement = model.planned[h.statement].0;
            json!({
                "queryid": statement.queryid,
                "query": statement.text,
                "calls": statement.calls,
                "cost_before": h.before,
                "cost_after": h.after,
            })
        })
        .collect();
    let gain = chosen.gain_percent();
    let bytes = index.size.bytes();
    let mut detail = format!(
        "An index on {qualified} ({list}) cuts the planned cost of {} from {:.0} to {:.0} ({gain:.1} % less, weighted by {}) and takes about {:.1} MB.",
        match helped.len() {
            1 => "1 statement".to_owned(),
            count => format!("{count} statements"),
        },
        chosen.cost_before,
        chosen.cost_after,
        if calls == 1 {
            "1 call".to_owned()
        } else {
            format!("{calls} calls")
        },
        bytes as f64 / (1024.0 * 1024.0),
    );
    if let Some(writes) = writes_of(table.oid).filter(|writes| *writes > calls) {
        detail.push_str(&format!(
            " The table is write-heavy: {writes} rows were inserted, updated or deleted since its statistics began, against {calls} executions that this helps, and every such change also maintains the index."
        ));
    }
    Some((
        id,
        name,
        qualified,
        columns,
        ddl,
        chosen.cost_before,
        chosen.cost_after,
        gain,
        i64::try_from(bytes).unwrap_or(i64::MAX),
        queryids,
        detail,
        JsonB(serde_json::Value::Array(evidence)),
    ))
}

/// A name that neither a relation in the schema nor an earlier row has.
fn free_name(table: &Table, columns: &[String], taken: &mut BTreeSet<(String, String)>) -> String {
    let mut name = index_name(&table.name, columns);
    for number in 1..100 {
        let exists: Option<bool> = read_one(
            "pg_class",
            "SELECT EXISTS (SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
                 WHERE n.nspname = $1 AND c.relname = $2)",
            &[table.schema.as_str().into(), name.as_str().into()],
        );
        if exists != Some(true) && !taken.contains(&(table.schema.clone(), name.clone())) {
            break;
        }
        let mut numbered = columns.to_vec();
        numbered.push(number.to_string());
        name = index_name(&table.name, &numbered);
    }
    taken.insert((table.schema.clone(), name.clone()));
    name
}

/// Row changes since the table's statistics began, without the inserts that only filled it.
fn writes_of(table: pg_sys::Oid) -> Option<i64> {
    read_one(
        "pg_stat_all_tables",
        "SELECT (SELECT n_tup_upd + n_tup_del + greatest(n_tup_ins - n_live_tup, 0) \
             FROM pg_stat_all_tables WHERE relid = $1)",
        &[table.into()],
    )
}

/// The statements that suggestions are made from, and why some are not planned.
#[pg_extern(sql = r#"
CREATE FUNCTION pitcrew.workload() RETURNS TABLE (
    queryid bigint, query text, calls bigint, total_ms double precision, mean_ms double precision,
    planned boolean, cost double precision, skipped_because text
)
    LANGUAGE c STRICT VOLATILE SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'workload_wrapper';
COMMENT ON FUNCTION pitcrew.workload() IS
    'The statements of pg_stat_statements that pitcrew.suggest_indexes() looks at, with the planner''s cost, or why a statement is not planned.';
"#)]
#[allow(clippy::type_complexity)]
fn workload() -> TableIterator<
    'static,
    (
        name!(queryid, Option<i64>),
        name!(query, Option<String>),
        name!(calls, i64),
        name!(total_ms, f64),
        name!(mean_ms, f64),
        name!(planned, bool),
        name!(cost, Option<f64>),
        name!(skipped_because, Option<String>),
    ),
> {
    let context = Context::new();
    let looked = look(or_raise(statements::recorded()), &context, None);
    let rows: Vec<_> = looked
        .into_iter()
        .filter_map(|looked| {
            let (cost, because) = match looked.result {
                Ok(planned) => (Some(planned.cost), None),
                Err(Skip::Because(reason)) => (None, Some(reason)),
                Err(Skip::System) => return None,
            };
            let statement = looked.statement;
            Some((
                statement.queryid,
                statement.text.as_deref().map(shown),
                statement.calls,
                statement.total_ms,
                statement.mean_ms,
                cost.is_some(),
                cost,
                because,
            ))
        })
        .collect();
    TableIterator::new(rows)
}
