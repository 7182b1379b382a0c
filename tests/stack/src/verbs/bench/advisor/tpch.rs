//! TPC-H in an empty database: rows by the crate `tpchgen`, the specification's 22 queries, peers' indexes.

use std::fmt::Display;
use std::fs;
use std::path::Path;
use std::pin::pin;

use bytes::{Bytes, BytesMut};
use futures_util::SinkExt;
use pitcrew_stack::{Error, Result};
use tokio_postgres::Client;
use tpchgen::distribution::Distributions;
use tpchgen::generators::{
    CustomerGenerator, LineItemGenerator, NationGenerator, OrderGenerator, PartGenerator,
    PartSuppGenerator, RegionGenerator, SupplierGenerator,
};
use tpchgen::text::TextPool;

/// Rows are sent in pieces of about this size.
const PIECE_BYTES: usize = 64 * 1024;
/// The text that comments are cut from; TPC-H's own has 300 MB, and the rest of a row does not hang on it.
const TEXT_BYTES: i32 = 16 * 1024 * 1024;

/// Fills the tables of `schema.sql` and gathers statistics.
pub(super) async fn load(client: &Client, checkout: &Path, scale: f64) -> Result<()> {
    let schema = read(&checkout.join("examples/demo/tpch/schema.sql"))?;
    super::run(client, &schema).await?;
    let words = Distributions::static_default();
    let text = TextPool::new(TEXT_BYTES, words);
    macro_rules! copy {
        ($($table:literal: $generator:ident),+) => {
            $(copy(
                client,
                $table,
                $generator::new_with_distributions_and_text_pool(scale, 1, 1, words, &text).iter(),
            ).await?;)+
        };
    }
    let regions = RegionGenerator::new_with_distributions_and_text_pool(words, &text);
    copy(client, "region", regions.iter()).await?;
    let nations = NationGenerator::new_with_distributions_and_text_pool(words, &text);
    copy(client, "nation", nations.iter()).await?;
    let offers = PartSuppGenerator::new_with_text_pool(scale, 1, 1, &text);
    copy(client, "partsupp", offers.iter()).await?;
    copy!(
        "supplier": SupplierGenerator, "part": PartGenerator, "customer": CustomerGenerator,
        "orders": OrderGenerator, "lineitem": LineItemGenerator
    );
    super::run(client, "VACUUM ANALYZE").await?;
    Ok(())
}

/// Fields parted by `|`, which no TPC-H text contains, and one more at the end.
async fn copy<T: Display>(
    client: &Client,
    table: &str,
    rows: impl Iterator<Item = T>,
) -> Result<()> {
    let statement = format!("COPY {table} FROM STDIN WITH (DELIMITER '|')");
    let fault = |error: tokio_postgres::Error| Error::Sql {
        statement: statement.clone(),
        detail: error.to_string(),
    };
    let sink = client
        .copy_in::<_, Bytes>(&statement)
        .await
        .map_err(fault)?;
    let mut sink = pin!(sink);
    let mut piece = BytesMut::with_capacity(PIECE_BYTES + 1_024);
    for row in rows {
        let row = row.to_string();
        piece.extend_from_slice(row.strip_suffix('|').unwrap_or(&row).as_bytes());
        piece.extend_from_slice(b"\n");
        if piece.len() >= PIECE_BYTES {
            sink.feed(piece.split().freeze()).await.map_err(fault)?;
        }
    }
    sink.feed(piece.freeze()).await.map_err(fault)?;
    sink.finish().await.map_err(fault)?;
    Ok(())
}

/// The 22 queries with the specification's validation parameters, by name.
pub(super) fn queries(checkout: &Path) -> Result<Vec<(String, String)>> {
    files(&checkout.join("examples/demo/tpch/queries"))
}

/// The indexes that other advisors suggested for them, by the advisor's name.
pub(super) fn peers(checkout: &Path) -> Result<Vec<(String, Vec<String>)>> {
    let sets = files(&checkout.join("tests/peers/tpch"))?;
    let statements = |text: String| {
        let lines: Vec<&str> = text
            .lines()
            .filter(|line| !line.starts_with("--"))
            .collect();
        let text = lines.join("\n");
        let statements = text
            .split(';')
            .map(str::trim)
            .filter(|text| !text.is_empty());
        statements.map(str::to_owned).collect()
    };
    Ok(sets
        .into_iter()
        .map(|(name, text)| (name, statements(text)))
        .collect())
}

/// Names without `.sql`, and contents, by name.
fn files(dir: &Path) -> Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).map_err(io("list", dir))? {
        let path = entry.map_err(io("list", dir))?.path();
        if path.extension().is_some_and(|extension| extension == "sql") {
            let name = path
                .file_stem()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            let text = read(&path)?;
            found.push((name, text.trim().trim_end_matches(';').to_owned()));
        }
    }
    found.sort();
    Ok(found)
}

fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Io {
        action,
        path,
        source,
    }
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(io("read", path))
}
