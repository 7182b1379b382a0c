//! Fills an empty database: tables with primary keys only, as a young service has them.

use std::fmt::Display;
use std::pin::pin;

use bytes::{Bytes, BytesMut};
use futures_util::SinkExt;
use tokio_postgres::{Client, Error};

use super::source::Source;

const SCHEMA: &str = include_str!("../../tpch/schema.sql");
/// Rows are sent in pieces of about this size.
const PIECE_BYTES: usize = 64 * 1024;

/// Creates the tables in an empty database, copies all rows of that scale, lets the server gather its statistics, and
/// answers how many rows there are.
///
/// # Errors
/// What the server refuses: tables of these names that exist, or a lost connection.
pub async fn load(client: &Client, scale: f64) -> Result<u64, Error> {
    client.batch_execute(SCHEMA).await?;
    let source = Source::new(scale);
    let mut rows = 0;
    rows += copy(client, "region", source.regions().iter()).await?;
    rows += copy(client, "nation", source.nations().iter()).await?;
    rows += copy(client, "supplier", source.suppliers().iter()).await?;
    rows += copy(client, "part", source.parts().iter()).await?;
    rows += copy(client, "partsupp", source.part_suppliers().iter()).await?;
    rows += copy(client, "customer", source.customers().iter()).await?;
    rows += copy(client, "orders", source.orders().iter()).await?;
    rows += copy(client, "lineitem", source.lines().iter()).await?;
    // Keys of new orders begin far above the generated ones.
    client
        .batch_execute("CREATE SEQUENCE demo_order_key AS int START 100000000")
        .await?;
    client.batch_execute("VACUUM ANALYZE").await?;
    Ok(rows)
}

/// Copies rows in the classic `.tbl` form: fields parted by `|`, which no TPC-H text contains, and one more at the end.
async fn copy<T: Display>(
    client: &Client,
    table: &str,
    rows: impl Iterator<Item = T>,
) -> Result<u64, Error> {
    let sink = client
        .copy_in::<_, Bytes>(&format!("COPY {table} FROM STDIN WITH (DELIMITER '|')"))
        .await?;
    let mut sink = pin!(sink);
    let mut piece = BytesMut::with_capacity(PIECE_BYTES + 1_024);
    for row in rows {
        let row = row.to_string();
        piece.extend_from_slice(row.strip_suffix('|').unwrap_or(&row).as_bytes());
        piece.extend_from_slice(b"\n");
        if piece.len() >= PIECE_BYTES {
            sink.feed(piece.split().freeze()).await?;
        }
    }
    sink.feed(piece.freeze()).await?;
    sink.finish().await
}
