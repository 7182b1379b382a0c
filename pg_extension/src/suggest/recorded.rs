//! `pitcrew.workload`: the statements that suggestions are made from.

use pgrx::prelude::*;

use super::look::look;
use crate::failure::or_raise;
use crate::text::Text;
use crate::workload::analysis::Context;
use crate::workload::shown::shown;
use crate::workload::skip::Skip;
use crate::workload::statements;

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
        name!(query, Option<Text>),
        name!(calls, i64),
        name!(total_ms, f64),
        name!(mean_ms, f64),
        name!(planned, bool),
        name!(cost, Option<f64>),
        name!(skipped_because, Option<Text>),
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
                statement.text.as_deref().map(|text| shown(text).into()),
                statement.calls,
                statement.total_ms,
                statement.mean_ms,
                cost.is_some(),
                cost,
                because.map(Text),
            ))
        })
        .collect();
    TableIterator::new(rows)
}
