//! Texts of pg_stat_statements: what its `$1` make of them is repaired before they are planned.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something unexpected happens"
)]

mod support;

use pitcrew_stack::sql::literal;
use pitcrew_stack::{checkout, require, testing};
use support::Session;

/// A session that has forgotten the statements of its database.
fn forgetful(session: &Session) {
    session.run("SELECT pg_stat_statements_reset(0, (SELECT oid FROM pg_database WHERE datname = current_database()), 0)");
}

/// Statements of the workload that read one of these tables: their text, and why they were not planned.
fn workload(session: &Session, tables: &[&str]) -> support::Rows {
    let any: Vec<String> = tables
        .iter()
        .map(|table| format!("query ILIKE '%{table}%'"))
        .collect();
    session.run(&format!(
        "SELECT query, skipped_because FROM pitcrew.workload() WHERE ({}) AND query NOT ILIKE 'create%' AND query NOT LIKE '%pitcrew.workload%'",
        any.join(" OR ")
    ))
}

#[test]
fn at_least_21_of_22_statements_of_tpch_plan_from_their_normalised_text() {
    require!(statements);
    let database = testing::database();
    let session = Session::open(&database.url);
    let root = checkout().join("examples/demo/tpch");
    session.run(&std::fs::read_to_string(root.join("schema.sql")).unwrap());
    forgetful(&session);
    let mut files: Vec<_> = std::fs::read_dir(root.join("queries"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert_eq!(files.len(), 22);
    for file in &files {
        session.run(&std::fs::read_to_string(file).unwrap());
    }
    let seen = workload(&session, &["lineitem", "part", "customer", "orders"]);
    let (planned, skipped): (Vec<_>, Vec<_>) = seen.iter().partition(|row| row[1].is_none());
    assert_eq!(planned.len() + skipped.len(), 22, "{seen:?}");
    assert!(planned.len() >= 21, "{skipped:?}");
    assert!(
        planned
            .iter()
            .all(|row| row[0].as_deref().unwrap().contains('$')),
        "{planned:?}"
    );
}

#[test]
fn constants_that_a_parameter_cannot_stand_for_are_repaired() {
    require!(statements);
    let database = testing::database();
    let session = Session::open(&database.url);
    session.run(
        "CREATE TABLE sales (day date, at timestamptz, discount numeric, price numeric, pieces int, kind text) WITH (autovacuum_enabled = off); \
         CREATE INDEX by_pieces ON sales (pieces); \
         INSERT INTO sales SELECT date '2024-01-01' + g % 300, now(), 0.05, g, g, 'kind ' || g % 10 FROM generate_series(1, 20000) g; ANALYZE sales",
    );
    let written = [
        "SELECT sum(price) FROM sales WHERE day <= date '2024-12-01' - interval '90' day",
        "SELECT sum(price) FROM sales WHERE at < timestamp with time zone '2024-12-01 00:00' + interval '3 days'",
        "SELECT extract(year FROM day), sum(price) FROM sales GROUP BY 1",
        "SELECT sum(price * discount) FROM sales WHERE discount BETWEEN 0.06 - 0.01 AND 0.06 + 0.01",
        "SELECT sum(CASE WHEN kind = 'kind 1' THEN 1 ELSE 0 END) FROM sales",
        "SELECT kind FROM sales WHERE pieces = 3 + 4",
        "SELECT kind FROM sales WHERE kind IN ('kind 1', 'kind 2', 'kind 3')",
    ];
    forgetful(&session);
    for query in written {
        session.run(query);
    }
    let seen = workload(&session, &["sales"]);
    assert_eq!(seen.len(), written.len(), "{seen:?}");
    let skipped: Vec<_> = seen.iter().filter(|row| row[1].is_some()).collect();
    assert!(skipped.is_empty(), "{skipped:?}");
    // A parameter gets the type of the column beside it: with another one the index would be out of reach.
    let cost =
        session.number("SELECT cost FROM pitcrew.workload() WHERE query LIKE '%pieces = $1 + $2%'");
    let real = session.number(&format!(
        "SELECT cost_before FROM pitcrew.explain_with({})",
        literal("SELECT kind FROM sales WHERE pieces = $1")
    ));
    assert!((cost / real - 1.0).abs() < 0.01, "{cost} {real}");
}

#[test]
fn what_cannot_be_repaired_is_left_out_with_the_servers_own_words() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    let reason = |query: &str| {
        session.text(&format!(
            "SELECT pitcrew.suggest_indexes_json(queries => ARRAY[{}])->'statements'->0->>'skipped_because'",
            literal(query)
        ))
    };
    assert!(reason("SELECT date date $1").contains("syntax error"));
    assert!(reason("SELECT * FROM gone WHERE id = $1 + $2").contains("gone"));
    assert!(reason("SELECT $1 + $2 || $3 FROM nowhere.at_all").contains("nowhere"));
    assert!(reason("SELECT ($1 + $2) @@@ $3").contains("operator"));
}
