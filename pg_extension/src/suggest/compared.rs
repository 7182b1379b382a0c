//! `pitcrew.compared_columns`: which columns of one table a statement compares together. The check `plan_flip` asks for it.

use pgrx::prelude::*;

use super::look;
use crate::capture;
use crate::jobs::statistics::has_order;
use crate::workload::analysis::Context;
use crate::workload::repair::repaired;
use crate::workload::source::Source;
use crate::workload::statements;
use crate::workload::usage::Use;

/// A row for each occurrence of a table that the statement compares something of.
#[pg_extern(sql = r#"
CREATE FUNCTION pitcrew.compared_columns(queryid bigint) RETURNS TABLE (relation oid, columns smallint[])
    LANGUAGE c STRICT VOLATILE SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'compared_columns_wrapper';
COMMENT ON FUNCTION pitcrew.compared_columns(bigint) IS
    'Which columns, by number, a captured or recorded statement compares with values in each table that it reads, by equality or by range; those whose type has an order. What only joins tables is left out. No row for a statement whose text is not known or cannot be analysed.';
"#)]
fn compared_columns(
    queryid: i64,
) -> TableIterator<'static, (name!(relation, pg_sys::Oid), name!(columns, Vec<i16>))> {
    let context = Context::new();
    let mut rows: Vec<(pg_sys::Oid, Vec<i16>)> = Vec::new();
    for used in uses(queryid, &context) {
        let row = (used.table, columns(&used));
        if !row.1.is_empty() && !rows.contains(&row) {
            rows.push(row);
        }
    }
    TableIterator::new(rows)
}

/// What the statement does with its tables; nothing where no text of it can be analysed.
fn uses(queryid: i64, context: &Context) -> Vec<Use> {
    let read = |source: &Source| match look::read(source, context) {
        Ok(Ok(read)) => Some(read.uses),
        _ => None,
    };
    let captured = capture::samples().remove(&queryid).unwrap_or_default();
    if let Some(uses) = captured.iter().find_map(read) {
        return uses;
    }
    // Without an execution that stands for itself there may be a normalised text.
    let recorded = statements::recorded().unwrap_or_default();
    let statement = recorded
        .into_iter()
        .find(|statement| statement.queryid == Some(queryid));
    let sources = statement.map(|statement| statement.sources());
    let repaired = sources
        .unwrap_or_default()
        .into_iter()
        .map(|source| match source.ran {
            None => repaired(source, context),
            Some(_) => source,
        });
    repaired
        .into_iter()
        .find_map(|source| read(&source))
        .unwrap_or_default()
}

fn columns(used: &Use) -> Vec<i16> {
    let mut columns = used.valued.clone();
    columns.retain(|column| has_order(used.table, *column));
    columns.sort_unstable();
    columns
}
