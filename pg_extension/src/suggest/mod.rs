//! `pitcrew.suggest_indexes`, `pitcrew.suggest_indexes_json`, `pitcrew.workload` (`recorded`) and `pitcrew.compared_columns`
//! (`compared`).
//!
//! Arguments are checked (`arguments`), statements are looked at (`look`, `recurring` for values that all executions have, and
//! `referencing` for what foreign keys ask), candidates are made (`gather`, which leaves out what is suppressed by its `key`), the search of `pg_pitcrew_advisor`
//! asks what statements would cost (`model`) and what keeping an index costs (`writes`, with what the server `counted`), and what it chose is weighed (`risk`)
//! and put into words (`shape`, `advise`, `answer`); what is there already is weighed the same way (`proposals`). What is advised
//! for the recorded workload is written down (`crate::advice`).

mod advise;
mod answer;
mod arguments;
mod compared;
mod counted;
mod gather;
mod heirs;
mod key;
mod look;
mod model;
mod proposals;
mod recorded;
mod recurring;
mod referencing;
mod risk;
mod shape;
mod writes;

use pgrx::prelude::*;

use answer::{Answer, Row};
use arguments::Arguments;

use crate::advice;
use crate::document::Document;
use crate::failure::or_raise;
use crate::text::{Text, plain};

/// Suggests indexes.
#[pg_extern(sql = r#"
CREATE FUNCTION pitcrew.suggest_indexes(
    budget_mb integer DEFAULT 1024,
    max_indexes integer DEFAULT 10,
    min_gain_percent double precision DEFAULT 5,
    queries text[] DEFAULT NULL,
    weights double precision[] DEFAULT NULL,
    leave_alone regclass[] DEFAULT NULL,
    max_regression_percent double precision DEFAULT 10
) RETURNS TABLE (
    id text, index_name text, table_name text, columns text[], ddl text,
    cost_before double precision, cost_after double precision, gain_percent double precision,
    estimated_size_bytes bigint, queryids bigint[], detail text, evidence jsonb,
    rank integer, kind text, queries_at_risk jsonb, confidence text, because text[], included text[],
    write_cost double precision, hot_loss_percent double precision, cache_key text, predicate text, job jsonb,
    write_loss_percent double precision
)
    LANGUAGE c VOLATILE SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'suggest_indexes_wrapper';
COMMENT ON FUNCTION pitcrew.suggest_indexes(integer, integer, double precision, text[], double precision[], regclass[], double precision) IS
    'Indexes worth building for the statements in pg_stat_statements (or for queries, each times its weight), in the order to build them. Costs are the planner''s, of the generic plan, summed over the statements that the index helps, each times its calls; each row assumes the indexes above it. Nothing is executed and nothing is created.';
"#)]
#[allow(clippy::type_complexity, clippy::too_many_arguments)]
fn suggest_indexes(
    budget_mb: Option<i32>,
    max_indexes: Option<i32>,
    min_gain_percent: Option<f64>,
    queries: Option<Vec<Option<Text>>>,
    weights: Option<Vec<Option<f64>>>,
    leave_alone: Option<Vec<Option<pg_sys::Oid>>>,
    max_regression_percent: Option<f64>,
) -> TableIterator<
    'static,
    (
        name!(id, Text),
        name!(index_name, Text),
        name!(table_name, Text),
        name!(columns, Vec<Text>),
        name!(ddl, Text),
        name!(cost_before, f64),
        name!(cost_after, f64),
        name!(gain_percent, f64),
        name!(estimated_size_bytes, i64),
        name!(queryids, Vec<i64>),
        name!(detail, Text),
        name!(evidence, Document),
        name!(rank, i32),
        name!(kind, Text),
        name!(queries_at_risk, Document),
        name!(confidence, Text),
        name!(because, Vec<Text>),
        name!(included, Vec<Text>),
        name!(write_cost, f64),
        name!(hot_loss_percent, f64),
        name!(cache_key, Text),
        name!(predicate, Option<Text>),
        name!(job, Document),
        name!(write_loss_percent, Option<f64>),
    ),
> {
    let arguments = Arguments {
        budget_mb,
        max_indexes,
        min_gain_percent,
        queries: queries.map(|queries| queries.into_iter().map(plain).collect()),
        weights,
        leave_alone,
        max_regression_percent,
    };
    let rows: Vec<Row> = answer(arguments, false)
        .suggestions
        .into_iter()
        .enumerate()
        .map(|(position, suggestion)| suggestion.row(position + 1))
        .collect();
    TableIterator::new(rows)
}

/// Suggests indexes, as one document.
#[pg_extern(sql = r#"
CREATE FUNCTION pitcrew.suggest_indexes_json(
    budget_mb integer DEFAULT 1024,
    max_indexes integer DEFAULT 10,
    min_gain_percent double precision DEFAULT 5,
    queries text[] DEFAULT NULL,
    weights double precision[] DEFAULT NULL,
    leave_alone regclass[] DEFAULT NULL,
    max_regression_percent double precision DEFAULT 10
) RETURNS jsonb
    LANGUAGE c VOLATILE SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'suggest_indexes_json_wrapper';
COMMENT ON FUNCTION pitcrew.suggest_indexes_json(integer, integer, double precision, text[], double precision[], regclass[], double precision) IS
    'What pitcrew.suggest_indexes() answers, with the whole workload''s cost before and after, each statement''s or why it was not planned, what the search took, why it ended early, candidates that were not taken, and indexes that could go (proposals).';
"#)]
#[allow(clippy::too_many_arguments)]
fn suggest_indexes_json(
    budget_mb: Option<i32>,
    max_indexes: Option<i32>,
    min_gain_percent: Option<f64>,
    queries: Option<Vec<Option<Text>>>,
    weights: Option<Vec<Option<f64>>>,
    leave_alone: Option<Vec<Option<pg_sys::Oid>>>,
    max_regression_percent: Option<f64>,
) -> Document {
    let arguments = Arguments {
        budget_mb,
        max_indexes,
        min_gain_percent,
        queries: queries.map(|queries| queries.into_iter().map(plain).collect()),
        weights,
        leave_alone,
        max_regression_percent,
    };
    Document(answer(arguments, true).json())
}

fn answer(arguments: Arguments, weighs_existing: bool) -> Answer {
    let is_recorded = arguments.queries.is_none();
    let answer = advise::advise(or_raise(arguments.check()), weighs_existing);
    // What is asked about given statements is a question, no advice for what runs here.
    if is_recorded {
        let proposed: Vec<_> = answer.suggestions.iter().map(|s| s.proposed()).collect();
        advice::propose(&proposed);
    }
    answer
}

pgrx::extension_sql_file!(
    "../../sql/index_proposals.sql",
    name = "index_proposals",
    requires = [suggest_indexes_json]
);
