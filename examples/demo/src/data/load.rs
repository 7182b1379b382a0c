//! Fills an empty database: tables with primary keys only, as a young service has them.

use std::fmt::Display;
use std::pin::pin;

use bytes::{Bytes, BytesMut};
use futures_util::SinkExt;
use tokio_postgres::{Client, Error};
use tpchgen::generators::{
    CustomerGenerator, LineItemGenerator, NationGenerator, OrderGenerator, PartGenerator,
    PartSuppGenerator, RegionGenerator, SupplierGenerator,
};

use super::SCALE;

const SCHEMA: &str = include_str!("../../tpch/schema.sql");
/// Rows are sent in pieces of about this size.
const PIECE_BYTES: usize = 64 * 1024;

/// Creates the tables, copies all rows and lets the server gather its statistics.
pub(crate) async fn load(client: &Client) -> Result<u64, Error> {
    client.batch_execute(SCHEMA).await?;
    let mut rows = 0;
    rows += copy(client, "region", RegionGenerator::new(SCALE, 1, 1).iter()).await?;
    rows += copy(client, "nation", NationGenerator::new(SCALE, 1, 1).iter()).await?;
    rows += copy(
        client,
        "supplier",
        SupplierGenerator::new(SCALE, 1, 1).iter(),
    )
    .await?;
    rows += copy(client, "part", PartGenerator::new(SCALE, 1, 1).iter()).await?;
    rows += copy(
        client,
        "partsupp",
        PartSuppGenerator::new(SCALE, 1, 1).iter(),
    )
    .await?;
    rows += copy(
        client,
        "customer",
        CustomerGenerator::new(SCALE, 1, 1).iter(),
    )
    .await?;
    rows += copy(client, "orders", OrderGenerator::new(SCALE, 1, 1).iter()).await?;
    rows += copy(
        client,
        "lineitem",
        LineItemGenerator::new(SCALE, 1, 1).iter(),
    )
    .await?;
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
