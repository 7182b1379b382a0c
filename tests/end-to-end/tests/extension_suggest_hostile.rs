//! Workloads that nobody would wish an advisor: too many statements, too long, too wide, without statistics, changing meanwhile.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something unexpected happens"
)]

mod support;

use std::sync::atomic::{AtomicBool, Ordering};

use pitcrew_stack::sql::literal;
use pitcrew_stack::{require, testing};
use serde_json::Value;
use support::Session;

fn orders(session: &Session) {
    session.run(
        "CREATE TABLE orders (id int PRIMARY KEY, customer int, note text) WITH (autovacuum_enabled = off); \
         INSERT INTO orders SELECT g, g % 5000, repeat('x', 50) FROM generate_series(1, 20000) g",
    );
    session.run("VACUUM ANALYZE orders");
}

fn document(session: &Session, arguments: &str) -> Value {
    let text = session.text(&format!(
        "SELECT pitcrew.suggest_indexes_json({arguments})::text"
    ));
    serde_json::from_str(&text).unwrap()
}

#[test]
fn ten_thousand_statements_are_looked_at_as_long_as_there_is_time_and_the_rest_is_named() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    orders(&session);
    // More of them than are ever looked at.
    session.run("SET pitcrew.max_statements = 10000");
    let all = "queries => ARRAY(SELECT 'SELECT id AS a' || g || ' FROM orders WHERE customer = ' || g FROM generate_series(1, 10000) g)";
    let whole = document(&session, &format!("max_indexes => 1, {all}"));
    let statements = whole["statements"].as_array().unwrap();
    assert_eq!(statements.len(), 10_000);
    assert_eq!(
        whole["suggestions"][0]["columns"],
        serde_json::json!(["customer"]),
        "{} {} {}",
        whole["stopped_because"],
        whole["milliseconds"],
        whole["planner_calls"]
    );
    session.run("SET pitcrew.suggest_timeout = 1");
    let cut = document(&session, all);
    assert!(cut["stopped_because"].is_string());
    let left = cut["statements"].as_array().unwrap().iter();
    assert!(
        left.filter(|statement| statement["skipped_because"].is_string())
            .count()
            > 0
    );
    session.run("RESET pitcrew.max_statements; RESET pitcrew.suggest_timeout");
    let failure = session.failure(&format!("SELECT * FROM pitcrew.suggest_indexes({all})"));
    assert_eq!(failure.code, "22023", "{failure:?}");
    assert!(
        failure.message.contains("10000") || failure.hint.contains("max_statements"),
        "{failure:?}"
    );
}

#[test]
fn a_join_of_a_hundred_tables_and_a_text_of_a_megabyte_are_planned_or_left_out_with_the_reason() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    orders(&session);
    let tables: Vec<String> = (0..100)
        .map(|number| format!("CREATE TABLE t{number} (id int, other int)"))
        .collect();
    session.run(&tables.join("; "));
    let joins: Vec<String> = (1..100)
        .map(|number| format!("JOIN t{number} ON t{number}.id = t{}.other", number - 1))
        .collect();
    let wide = format!(
        "SELECT count(*) FROM t0 {} WHERE t0.id = 1",
        joins.join(" ")
    );
    let long = format!(
        "SELECT id FROM orders WHERE customer = 7 AND note <> '{}'",
        "y".repeat(1 << 20)
    );
    let many = format!(
        "SELECT id FROM orders WHERE customer IN ({})",
        (0..50_000)
            .map(|n| n.to_string())
            .collect::<Vec<_>>()
            .join(", ")
    );
    let deep = format!(
        "SELECT id FROM orders WHERE {}customer = 7{}",
        "(".repeat(4_000),
        ")".repeat(4_000)
    );
    let wanted = "SELECT id FROM orders WHERE customer = 7";
    let queries: Vec<String> = [&wide, &long, &many, &deep, wanted]
        .iter()
        .map(|query| literal(query))
        .collect();
    session.run("SET pitcrew.suggest_timeout = '20s'");
    let answer = document(
        &session,
        &format!("queries => ARRAY[{}]", queries.join(", ")),
    );
    let statements = answer["statements"].as_array().unwrap();
    assert_eq!(statements.len(), 5, "{answer}");
    for statement in statements {
        let is_planned = statement["cost_before"].is_number();
        let is_explained = statement["skipped_because"]
            .as_str()
            .is_some_and(|why| !why.is_empty());
        assert!(is_planned != is_explained, "{statement}");
    }
    assert!(
        statements[0]["cost_before"].is_number(),
        "{}",
        statements[0]
    );
    assert!(
        statements[1]["skipped_because"]
            .as_str()
            .unwrap()
            .contains("100000"),
        "{}",
        statements[1]["skipped_because"]
    );
    assert!(statements[4]["cost_before"].is_number());
}

#[test]
fn without_statistics_it_says_so_and_nothing_is_high() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    session.run("CREATE TABLE fresh (id int, kind int) WITH (autovacuum_enabled = off); INSERT INTO fresh SELECT g, g FROM generate_series(1, 50000) g");
    assert_eq!(
        session.text("SELECT reltuples FROM pg_class WHERE relname = 'fresh'"),
        "-1"
    );
    let answer = document(
        &session,
        "queries => ARRAY['SELECT id FROM fresh WHERE kind = 7']",
    );
    let suggestion = &answer["suggestions"][0];
    assert_eq!(suggestion["confidence"], "low", "{answer}");
    assert!(
        suggestion["because"].to_string().contains("run ANALYZE"),
        "{suggestion}"
    );
    session.run("CREATE TABLE empty (id int, kind int) WITH (autovacuum_enabled = off)");
    let none = document(
        &session,
        "queries => ARRAY['SELECT id FROM empty WHERE kind = 7']",
    );
    assert!(none["suggestions"].as_array().unwrap().len() <= 1, "{none}");
}

/// Ends the other thread, whatever becomes of the test.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn tables_that_change_and_go_meanwhile_are_a_reason_and_no_lock_stays() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    orders(&session);
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let changer = scope.spawn(|| {
            let other = Session::open(&database.url);
            // An advisor that held a lock for longer would make these fail.
            other.run("SET lock_timeout = '1s'");
            let mut rounds = 0;
            while !is_over.load(Ordering::Relaxed) {
                other.run("CREATE TABLE passing (id int, kind int, more int) WITH (autovacuum_enabled = off)");
                other.run("INSERT INTO passing SELECT g, g, g FROM generate_series(1, 2000) g; ANALYZE passing");
                other.run("ALTER TABLE passing DROP COLUMN kind");
                other.run("ALTER TABLE passing ADD COLUMN kind text");
                other.run("CREATE INDEX passing_kind ON passing (kind)");
                other.run("DROP INDEX passing_kind; ALTER TABLE orders ALTER note SET DEFAULT 'none'");
                other.run("DROP TABLE passing");
                rounds += 1;
            }
            rounds
        });
        let queries = "queries => ARRAY['SELECT id FROM passing WHERE kind = ''7''', 'SELECT more FROM passing WHERE id = 3 ORDER BY more', \
             'SELECT id FROM orders WHERE customer = 7', 'SELECT o.id FROM orders o JOIN passing p ON p.more = o.customer']";
        let over = Over(&is_over);
        for _ in 0..60 {
            let answer = document(&session, queries);
            let statements = answer["statements"].as_array().unwrap();
            assert_eq!(statements.len(), 4, "{answer}");
            assert!(statements[2]["cost_before"].is_number(), "{answer}");
            session.run("SELECT * FROM pitcrew.index_proposals(queries => ARRAY['SELECT id FROM passing WHERE id = 7'])");
        }
        drop(over);
        assert!(changer.join().unwrap() > 0);
    });
    // Nothing is held while the answer is read in a transaction that stays open.
    session.run("BEGIN");
    document(
        &session,
        "queries => ARRAY['SELECT id FROM orders WHERE customer = 7']",
    );
    assert_eq!(
        session.text("SELECT count(*) FROM pg_locks l WHERE l.pid = pg_backend_pid() AND l.relation = 'orders'::regclass"),
        "0"
    );
    session.run("COMMIT");
}

#[test]
fn a_table_that_somebody_has_to_himself_keeps_nobody_waiting() {
    require!(statements);
    let database = testing::database();
    let session = Session::open(&database.url);
    session.run("CREATE EXTENSION IF NOT EXISTS pg_stat_statements");
    orders(&session);
    for customer in 0..20_i32 {
        session.prepared("SELECT * FROM orders WHERE customer = $1", &[&customer]);
    }
    session.run("SELECT * FROM pitcrew.suggest_indexes()");
    assert_eq!(
        session.text("SELECT count(*) > 0 FROM pitcrew.advice WHERE table_name = 'public.orders'"),
        "t"
    );
    let holder = Session::open(&database.url);
    holder.run("CREATE INDEX by_customer ON orders (customer)");
    holder.run("BEGIN");
    holder.run("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE");
    session.run("SET statement_timeout = '30s'");
    session.run("SELECT pitcrew.suggest_indexes_json(queries => ARRAY['SELECT 1'])");
    session.run("SELECT count(*) FROM pitcrew.index_proposals(queries => ARRAY['SELECT 1'])");
    session.run("SELECT pitcrew.refresh_advice()");
    session.run("SELECT * FROM pitcrew.suggest_indexes()");
    let state = "SELECT string_agg(DISTINCT state, ',') FROM pitcrew.advice WHERE table_name = 'public.orders'";
    assert_eq!(session.text(state), "proposed");
    holder.run("COMMIT");
    session.run("SELECT pitcrew.refresh_advice()");
    assert_eq!(session.text(state), "applied");
}
