//! Settings of single tables: each advice on a table that needs it, gone when its fix has run.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something unexpected happens"
)]

mod support;

use pitcrew_stack::sql::{identifier, literal};
use pitcrew_stack::{require, testing};
use support::{Session, role};

/// Topic and fix of what is said of one table.
fn advice(session: &Session, object: &str) -> Vec<(String, String)> {
    let rows = session.run(&format!(
        "SELECT topic, fix_sql FROM pitcrew.autovacuum_advice(1000) WHERE object = {} ORDER BY topic",
        literal(object)
    ));
    rows.iter()
        .map(|row| (row[0].clone().unwrap(), row[1].clone().unwrap()))
        .collect()
}

fn topics(session: &Session, object: &str) -> Vec<String> {
    advice(session, object)
        .into_iter()
        .map(|(topic, _)| topic)
        .collect()
}

/// Makes sure that the server has counted what the session did.
fn counted(session: &Session) {
    session.run("SELECT pg_stat_force_next_flush()");
    session.run("SELECT 1");
}

/// As large as a real one would be, for the planner and for autovacuum.
fn grown(session: &Session, table: &str, rows: &str) {
    session.run(&format!(
        "UPDATE pg_class SET reltuples = {rows} WHERE oid = {}::regclass",
        literal(table)
    ));
}

#[test]
fn a_large_table_that_changes_gets_thresholds_that_do_not_grow_with_it() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    // Names that have to be quoted come back quoted.
    let table = format!("public.{}", identifier("big \"Orders\"; --"));
    session.run(&format!(
        "CREATE TABLE {table} (id int); INSERT INTO {table} SELECT generate_series(1, 3000); DELETE FROM {table} WHERE id % 2 = 0"
    ));
    counted(&session);
    grown(&session, &table, "100000");
    let found = advice(&session, &table);
    assert_eq!(
        found,
        [
            (
                "analyze".to_owned(),
                format!(
                    "ALTER TABLE {table} SET (autovacuum_analyze_threshold = 0, autovacuum_analyze_scale_factor = 0.01000)"
                )
            ),
            (
                "vacuum".to_owned(),
                format!(
                    "ALTER TABLE {table} SET (autovacuum_vacuum_threshold = 0, autovacuum_vacuum_scale_factor = 0.02000)"
                )
            ),
        ]
    );
    // 0.2 of 100,000 and the 50 beside it; the root of 1,000 times 100,000 instead.
    let row = session.run(&format!(
        "SELECT detail, evidence FROM pitcrew.autovacuum_advice(1000) WHERE topic = 'vacuum' AND object = {}",
        literal(&table)
    ));
    let detail = row[0][0].as_deref().unwrap();
    assert!(
        detail.contains("20050 of 100000") && detail.contains("2000 on"),
        "{detail}"
    );
    let evidence: serde_json::Value = serde_json::from_str(row[0][1].as_deref().unwrap()).unwrap();
    assert_eq!(
        evidence,
        serde_json::json!({"due_now": 20050, "due_then": 2000, "rows_counted": 1500})
    );
    for (_, fix) in found {
        session.run(&fix);
    }
    assert_eq!(advice(&session, &table), []);
    // The default leaves a table of this size alone.
    assert_eq!(
        session.text("SELECT count(*) FROM pitcrew.autovacuum_advice()"),
        "0"
    );
}

#[test]
fn a_table_that_only_grows_is_vacuumed_for_its_inserts_and_frozen_at_once() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    session.run("CREATE TABLE events (id int); INSERT INTO events SELECT generate_series(1, 3000)");
    counted(&session);
    grown(&session, "events", "100000");
    let found = advice(&session, "public.events");
    let topics: Vec<&str> = found.iter().map(|(topic, _)| topic.as_str()).collect();
    assert_eq!(topics, ["analyze", "freeze", "insert"]);
    for (_, fix) in found {
        session.run(&fix);
    }
    assert_eq!(advice(&session, "public.events"), []);
}

#[test]
fn a_table_that_is_left_out_or_left_behind_is_named() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    session.run(
        "CREATE TABLE off (id int) WITH (autovacuum_enabled = off); INSERT INTO off SELECT generate_series(1, 3000); \
         CREATE TABLE quiet (id int); INSERT INTO quiet SELECT generate_series(1, 100); \
         CREATE MATERIALIZED VIEW sums AS SELECT 1 AS n",
    );
    counted(&session);
    let found = advice(&session, "public.off");
    assert_eq!(
        found,
        [(
            "off".to_owned(),
            "ALTER TABLE public.off SET (autovacuum_enabled = true)".to_owned()
        )]
    );
    session.run(&found[0].1);
    assert!(!topics(&session, "public.off").contains(&"off".to_owned()));
    assert_eq!(topics(&session, "public.quiet"), Vec::<String>::new());
    assert_eq!(topics(&session, "public.sums"), Vec::<String>::new());
    let failure = session.failure("SELECT * FROM pitcrew.autovacuum_advice(0)");
    assert_eq!(failure.code, "22023");
    // A reader may ask; others may not.
    let reader = role(&session, "reader", Some("reader"));
    let nobody = role(&session, "nobody", None);
    Session::open(&database.url_as(&reader)).run("SELECT * FROM pitcrew.autovacuum_advice()");
    let refused = Session::open(&database.url_as(&nobody))
        .failure("SELECT * FROM pitcrew.autovacuum_advice()");
    assert_eq!(refused.code, "42501");
}
