//! `pitcrew.autovacuum_advice`: settings of single tables, so that autovacuum comes in time.

use pgrx::prelude::*;

use crate::document::Document;
use crate::failure::{Failure, spi};
use crate::text::Text;

/// What to set for which table, most rows first.
#[pg_extern(sql = r#"
CREATE FUNCTION pitcrew.autovacuum_advice(min_rows bigint DEFAULT 1000000) RETURNS TABLE (
    object text, topic text, detail text, evidence jsonb, fix_sql text, confidence text
)
    LANGUAGE c STRICT VOLATILE SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'autovacuum_advice_wrapper';
COMMENT ON FUNCTION pitcrew.autovacuum_advice(bigint) IS
    'What to set for single tables so that autovacuum comes in time. topic: vacuum, insert and analyze (thresholds too high for tables of min_rows rows and more), freeze, slow (it comes and does not keep up), off. fix_sql can be run as it stands. evidence: the rows that start it now and then, and the rows counted since the last reset of the statistics. At most 1,000 rows.';
"#)]
#[allow(clippy::type_complexity)]
fn autovacuum_advice(
    min_rows: i64,
) -> TableIterator<
    'static,
    (
        name!(object, Option<Text>),
        name!(topic, Option<Text>),
        name!(detail, Option<Text>),
        name!(evidence, Option<Document>),
        name!(fix_sql, Option<Text>),
        name!(confidence, Option<Text>),
    ),
> {
    if min_rows < 1 {
        Failure::argument("min_rows is 1 or more")
            .hint("Smaller tables are well served by the server's own settings: the default is 1000000.")
            .raise();
    }
    const READ: &str = "the tables";
    let query = over_relations!("../sql/queries/autovacuum_advice.sql");
    let rows: Vec<_> = Spi::connect(|client| {
        let rows = spi(READ, client.select(query, None, &[min_rows.into()]));
        rows.map(|row| {
            (
                spi(READ, row.get(1)),
                spi(READ, row.get(2)),
                spi(READ, row.get(3)),
                spi(READ, row.get(4)),
                spi(READ, row.get(5)),
                spi(READ, row.get(6)),
            )
        })
        .collect()
    });
    TableIterator::new(rows)
}
