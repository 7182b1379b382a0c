//! Suite `care`: what a report costs where the catalogue is big, also beside rust-pg-extras (`peer`), and what history costs
//! (`history`).
//!
//! 10,000 tables with 40,000 indexes, all of them analyzed; the report of all checks in the extension, and the same over a
//! plain connection. Both are warm: one report goes before the first reading, on the session that is measured.

use std::collections::BTreeSet;
use std::time::Instant;

use pg_pitcrew_checks::{Thresholds, checks, plain};
use pitcrew_stack::bench::{Figure, interval};
use pitcrew_stack::signals::Signals;
use pitcrew_stack::{Error, Options, Postgres, PostgresOptions, Progress, Result, Stack};
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

mod history;
mod peer;

const TABLES: usize = 10_000;
/// Tables of one transaction, within the lock table.
const BATCH: usize = 500;
/// Readings of each figure.
const READINGS: usize = 9;
/// What the figures have to stay within, in milliseconds.
const BARS: [(&str, f64); 2] = [
    ("report_ms_10k_tables", 1_500.0),
    ("report_plain_ms_10k_tables", 6_000.0),
];

pub(super) fn run(signals: &Signals) -> Result<Vec<Figure>> {
    let stack = Stack::start(Options {
        redis: false,
        progress: Progress::Print,
        ..Options::default()
    })?;
    let server = stack
        .postgres()
        .ok_or_else(|| Error::Extension("the stack has no Postgres".into()))?
        .server();
    let mut options = PostgresOptions::with_extension(server);
    let settings = [
        ("autovacuum", "off"),
        ("max_locks_per_transaction", "256"),
        ("max_wal_size", "4GB"),
    ];
    options
        .settings
        .extend(settings.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let postgres = Postgres::start(stack.slot(), server, options)?;
    Progress::Print.step("build 10,000 tables", || build(&postgres, signals))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::Extension(error.to_string()))?;
    let url = postgres.socket_url("postgres", "shop");
    let readings = runtime.block_on(measure(&url, signals))?;
    let mut figures: Vec<Figure> = BARS
        .iter()
        .zip(readings)
        .map(|((figure, bar), readings)| {
            Progress::Print.say(format!("{figure}: the bar is {bar} ms"));
            Figure::own(figure, "ms", interval(&readings))
        })
        .collect();
    figures.extend(peer::run(&url, signals)?);
    figures.extend(history::run(&postgres, signals)?);
    Ok(figures)
}

/// Four indexes a table; every tenth table has one that a longer one replaces, every fourth a foreign key.
fn build(postgres: &Postgres, signals: &Signals) -> Result<()> {
    postgres.create_database("shop")?;
    postgres.run(
        "shop",
        &[
            "CREATE EXTENSION IF NOT EXISTS pg_stat_statements",
            "CREATE EXTENSION pg_pitcrew",
            "CREATE TABLE customers (id int PRIMARY KEY)",
            "INSERT INTO customers SELECT generate_series(1, 20)",
        ],
    )?;
    for first in (1..=TABLES).step_by(BATCH) {
        signals.check()?;
        let last = first + BATCH - 1;
        let tables = format!(
            "DO $$ BEGIN FOR i IN {first}..{last} LOOP \
             EXECUTE format('CREATE TABLE t%s (id bigint PRIMARY KEY, customer int%s, day date, note text)', i, \
                            CASE WHEN i % 4 = 0 THEN ' REFERENCES customers' ELSE '' END); \
             EXECUTE format('INSERT INTO t%s SELECT g, g, date ''2026-01-01'' + g, ''note '' || g FROM generate_series(1, 20) g', i); \
             EXECUTE format('CREATE INDEX ON t%s (customer)', i); \
             EXECUTE format('CREATE INDEX ON t%s (day%s)', i, CASE WHEN i % 10 = 0 THEN '' ELSE ', customer' END); \
             EXECUTE format('CREATE INDEX ON t%s (%s)', i, CASE WHEN i % 10 = 0 THEN 'day, note' ELSE 'note' END); \
             EXECUTE format('ANALYZE t%s', i); \
             END LOOP; END $$"
        );
        postgres.run("shop", &[tables.as_str()])?;
    }
    postgres.run("shop", &["VACUUM (ANALYZE) pg_catalog.pg_class"])?;
    for catalogue in [
        "pg_index",
        "pg_attribute",
        "pg_constraint",
        "pg_depend",
        "pg_statistic",
    ] {
        postgres.run(
            "shop",
            &[&format!("VACUUM (ANALYZE) pg_catalog.{catalogue}")],
        )?;
    }
    Ok(())
}

/// Readings in milliseconds: of the extension, and over the plain connection.
async fn measure(url: &str, signals: &Signals) -> Result<[Vec<f64>; 2]> {
    let fault = |error: tokio_postgres::Error| Error::Sql {
        statement: "the report".into(),
        detail: error.to_string(),
    };
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.map_err(fault)?;
    tokio::spawn(connection);
    let mut readings = [Vec::new(), Vec::new()];
    for round in 0..=READINGS {
        signals.check()?;
        let begin = Instant::now();
        let own = by_extension(&client).await.map_err(fault)?;
        let in_extension = begin.elapsed();
        let begin = Instant::now();
        let found = plain::report(&client, checks(), &Thresholds::default(), &BTreeSet::new())
            .await
            .map_err(fault)?;
        let over_plain = begin.elapsed();
        // A check that failed was fast.
        let failed = own
            .into_iter()
            .chain(found.into_iter().map(|finding| finding.detail))
            .find(|detail| detail.contains("SQLSTATE"));
        if let Some(detail) = failed {
            return Err(Error::Extension(detail));
        }
        if round > 0 {
            readings[0].push(in_extension.as_secs_f64() * 1e3);
            readings[1].push(over_plain.as_secs_f64() * 1e3);
        }
    }
    Ok(readings)
}

/// What the rows of the extension's report say.
async fn by_extension(client: &Client) -> std::result::Result<Vec<String>, tokio_postgres::Error> {
    let messages = client
        .simple_query("SELECT r.detail, r.* FROM pitcrew.report() r")
        .await?;
    let detail = |message| match message {
        SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    };
    Ok(messages.into_iter().filter_map(detail).collect())
}
