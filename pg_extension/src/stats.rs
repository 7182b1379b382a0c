//! `pitcrew.slow_queries` and `pitcrew.table_stats`: what the server counts, in the order a DBA reads it.

use pgrx::prelude::*;

use crate::failure::{or_raise, spi};
use crate::names;
use crate::text::{Text, plain};
use crate::workload::shown::shown;
use crate::workload::statements;

/// Rows of the view `pitcrew.slow_queries`. A function, for pg_stat_statements lives in any schema and may be missing.
#[pg_extern(sql = r#"
CREATE FUNCTION pitcrew.slow_query_rows() RETURNS TABLE (
    queryid bigint, query text, calls bigint, total_ms double precision, mean_ms double precision,
    max_ms double precision, rows bigint, hit_percent double precision, share_percent double precision
)
    LANGUAGE c STRICT VOLATILE SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'slow_query_rows_wrapper';
COMMENT ON FUNCTION pitcrew.slow_query_rows() IS 'The rows of pitcrew.slow_queries.';
"#)]
#[allow(clippy::type_complexity)]
fn slow_query_rows() -> TableIterator<
    'static,
    (
        name!(queryid, Option<i64>),
        name!(query, Option<Text>),
        name!(calls, i64),
        name!(total_ms, f64),
        name!(mean_ms, f64),
        name!(max_ms, f64),
        name!(rows, i64),
        name!(hit_percent, Option<f64>),
        name!(share_percent, f64),
    ),
> {
    let view = or_raise(statements::view());
    let query = include_str!("../sql/queries/slow_queries.sql").replace("{view}", &view);
    let query = or_raise(names::c_string(&query));
    let rows: Vec<_> = Spi::connect(|client| {
        let table = spi(
            "pg_stat_statements",
            client.select(query.as_c_str(), None, &[]),
        );
        table
            .map(|row| {
                let read = "pg_stat_statements";
                (
                    spi(read, row.get(1)),
                    plain(spi(read, row.get(2))).map(|text| shown(&text).into()),
                    spi(read, row.get(3)).unwrap_or(0),
                    spi(read, row.get(4)).unwrap_or(0.0),
                    spi(read, row.get(5)).unwrap_or(0.0),
                    spi(read, row.get(6)).unwrap_or(0.0),
                    spi(read, row.get(7)).unwrap_or(0),
                    spi(read, row.get(8)),
                    spi(read, row.get(9)).unwrap_or(0.0),
                )
            })
            .collect()
    });
    TableIterator::new(rows)
}

pgrx::extension_sql_file!(
    "../sql/views.sql",
    name = "views",
    requires = [slow_query_rows]
);
