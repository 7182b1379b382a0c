//! `pitcrew.slow_queries`, `pitcrew.table_stats` and `pitcrew.status()`.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something unexpected happens"
)]

mod support;

use pitcrew_stack::{require, testing};
use support::Session;

const RESET: &str = "SELECT pg_stat_statements_reset(0, (SELECT oid FROM pg_database WHERE datname = current_database()), 0)";

#[test]
fn slow_queries_come_worst_first_with_their_share() {
    require!(statements);
    let database = testing::database();
    let session = Session::open(&database.url);
    session.run(RESET);
    session.run("SELECT pg_sleep(0.15)");
    for _ in 0..3 {
        session.run("SELECT 7 + 4");
    }
    let rows = session.run("SELECT query, calls, total_ms >= 150, mean_ms >= 150, max_ms >= 150, rows, share_percent FROM pitcrew.slow_queries");
    assert_eq!(rows[0][0].as_deref(), Some("SELECT pg_sleep($1)"));
    let first: Vec<_> = rows[0][1..6]
        .iter()
        .map(|cell| cell.as_deref().unwrap())
        .collect();
    assert_eq!(first, ["1", "t", "t", "t", "1"]);
    let shares: f64 = rows
        .iter()
        .map(|row| row[6].as_deref().unwrap().parse::<f64>().unwrap())
        .sum();
    assert!((shares - 100.0).abs() < 1e-6, "{shares}");
    assert_eq!(
        session.text("SELECT calls FROM pitcrew.slow_queries WHERE query = 'SELECT $1 + $2'"),
        "3"
    );
    // When the source is stopped, so is the answer.
    session.run(RESET);
    assert_eq!(
        session.text("SELECT count(*) FROM pitcrew.slow_queries WHERE query LIKE '%pg_sleep($1)%'"),
        "0"
    );
}

#[test]
fn slow_queries_are_of_this_database_alone() {
    require!(statements);
    let (database, other) = (testing::database(), testing::database());
    let session = Session::open(&database.url);
    Session::open(&other.url).run("SELECT 'only over there' AS somewhere");
    assert_eq!(
        session.text("SELECT count(*) FROM pitcrew.slow_queries WHERE query LIKE '%AS somewhere%'"),
        "0"
    );
}

#[test]
fn table_stats_follow_what_happens_to_a_table() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    session.run(
        "CREATE TABLE orders (id int PRIMARY KEY) WITH (autovacuum_enabled = off); \
         INSERT INTO orders SELECT generate_series(1, 10000); DELETE FROM orders WHERE id <= 2500; SELECT count(*) FROM orders",
    );
    drop(session);
    let session = Session::open(&database.url);
    session.until(
        "SELECT live_rows || ' ' || dead_rows FROM pitcrew.table_stats WHERE table_name = 'orders'",
        "7500 2500",
    );
    let row = session.run(
        "SELECT schema_name, dead_percent, seq_scans > 0, seq_rows_read > 0, total_bytes = table_bytes + index_bytes, \
         total_bytes = pg_total_relation_size('orders'), last_vacuum IS NULL, index_scans > 0 FROM pitcrew.table_stats WHERE table_name = 'orders'",
    );
    let row: Vec<_> = row[0].iter().map(|cell| cell.as_deref().unwrap()).collect();
    assert_eq!(row, ["public", "25", "t", "t", "t", "t", "t", "t"]);
    session.run("VACUUM ANALYZE orders");
    session.until(
        "SELECT dead_rows = 0 AND last_vacuum IS NOT NULL AND last_analyze IS NOT NULL FROM pitcrew.table_stats WHERE table_name = 'orders'",
        "t",
    );
    assert_eq!(
        session.text("SELECT count(*) FROM pitcrew.table_stats WHERE schema_name = 'pitcrew'"),
        "0"
    );
}

#[test]
fn status_is_all_well_on_a_preloaded_server() {
    require!(statements);
    let database = testing::database();
    let session = Session::open(&database.url);
    let wrong = session.run("SELECT name, detail FROM pitcrew.status() WHERE NOT ok");
    assert!(wrong.is_empty(), "{wrong:?}");
    assert_eq!(session.text("SELECT count(*) FROM pitcrew.status()"), "4");
    session.run("DROP EXTENSION pg_stat_statements");
    let wrong = session.run("SELECT name, detail FROM pitcrew.status() WHERE NOT ok");
    assert_eq!(wrong[0][0].as_deref(), Some("pg_stat_statements"));
    assert!(
        wrong[0][1]
            .as_deref()
            .unwrap()
            .contains("CREATE EXTENSION pg_stat_statements")
    );
}
