//! What jobs run, and what is refused.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something unexpected happens"
)]

mod support;

use pitcrew_stack::{require, testing};
use support::jobs::{INVALID_INDEXES, slow_vacuum, submitted_before, table};
use support::{Session, server};

#[test]
fn vacuum_analyze_and_concurrent_index_run_at_top_level() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    table(&session, "orders");
    let vacuum = session.submit("'vacuum', 'orders', '{\"analyze\": true}'");
    session.done(&vacuum);
    let full = session.submit("'vacuum', 'orders', '{\"full\": true}'");
    session.done(&full);
    let analyze = session.submit("'analyze', 'orders'");
    session.done(&analyze);
    let index = session.submit("'create_index', 'orders', '{\"columns\": [\"id\"]}'");
    session.done(&index);
    let everything = session.submit("'vacuum'");
    session.done(&everything);

    let commands = session.run("SELECT command FROM pitcrew.jobs ORDER BY id");
    let commands: Vec<_> = commands
        .iter()
        .map(|row| row[0].as_deref().unwrap())
        .collect();
    assert_eq!(
        commands,
        [
            "VACUUM (ANALYZE) public.orders",
            "VACUUM (FULL) public.orders",
            "ANALYZE public.orders",
            "CREATE INDEX CONCURRENTLY orders_id_idx ON public.orders (id)",
            "VACUUM",
        ]
    );
    assert_eq!(
        session
            .text("SELECT indisvalid FROM pg_index WHERE indexrelid = 'orders_id_idx'::regclass"),
        "t"
    );
    assert_eq!(session.text("SELECT index_oid = 'orders_id_idx'::regclass FROM pitcrew.jobs WHERE kind = 'create_index'"), "t");
    assert_eq!(
        session.text("SELECT reltuples FROM pg_class WHERE relname = 'orders'"),
        "3334"
    );
    assert_eq!(session.text("SELECT bool_and(started_at >= submitted_at AND finished_at >= started_at) FROM pitcrew.jobs"), "t");
}

#[test]
fn a_job_starts_after_commit_and_not_after_rollback() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    let other = Session::open(&database.url);
    table(&session, "orders");
    session.run("BEGIN");
    let job = session.submit("'vacuum', 'orders'");
    assert_eq!(other.text("SELECT count(*) FROM pitcrew.jobs"), "0");
    session.run("COMMIT");
    other.done(&job);
    session.run("BEGIN; SELECT pitcrew.submit_job('vacuum', 'orders'); ROLLBACK");
    assert_eq!(session.text("SELECT count(*) FROM pitcrew.jobs"), "1");
}

#[test]
fn p6_cancelling_a_build_leaves_no_invalid_index() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    table(&session, "orders");
    session.run("CREATE TABLE other (id int)");
    // A concurrent build waits for this snapshot.
    let old = Session::open(&database.url);
    old.run("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT * FROM other");
    let job = session.submit("'create_index', 'orders', '{\"columns\": [\"id\"]}'");
    session.until(
        &format!("SELECT index_oid IS NOT NULL FROM pitcrew.jobs WHERE id = {job}"),
        "t",
    );
    session.until(INVALID_INDEXES, "1");
    assert_eq!(
        session.text(&format!("SELECT pitcrew.cancel_job({job})")),
        "t"
    );
    let ended = session.ended(&job);
    assert_eq!((ended.0.as_str(), ended.1.as_str()), ("cancelled", "57014"));
    assert_eq!(session.text(INVALID_INDEXES), "0");
    assert_eq!(
        session.text(&format!("SELECT pitcrew.cancel_job({job})")),
        "f"
    );
    old.run("ROLLBACK");
}

#[test]
fn a_name_that_is_taken_is_refused_at_submission() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    table(&session, "orders");
    session.run("CREATE INDEX taken ON orders (filler)");
    let refused = session.failure(
        "SELECT pitcrew.submit_job('create_index', 'orders', '{\"columns\": [\"id\"], \"name\": \"taken\"}')",
    );
    assert_eq!(refused.code, "42P07");
    assert_eq!(session.text("SELECT count(*) FROM pitcrew.jobs"), "0");
}

#[test]
fn a_build_that_fails_on_a_taken_name_drops_nothing() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    table(&session, "orders");
    let wanted = "'create_index', 'orders', '{\"columns\": [\"id\"], \"name\": \"taken\"}'";
    let job = submitted_before(&session, wanted, || {
        let other = Session::open(&database.url);
        other.run("CREATE INDEX taken ON orders (filler)");
        other.run("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'taken'::regclass");
    });
    assert_eq!(session.ended(&job).1, "42P07");
    // Somebody else's invalid index of the wanted name is still there.
    assert_eq!(
        session.text("SELECT count(*) FROM pg_class WHERE relname = 'taken'"),
        "1"
    );
}

#[test]
fn a_queued_job_can_be_cancelled_and_jobs_on_one_table_take_turns() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    table(&session, "orders");
    let holder = Session::open(&database.url);
    holder.run("BEGIN; LOCK TABLE orders IN ACCESS EXCLUSIVE MODE");
    let first = session.submit("'vacuum', 'orders'");
    session.until(
        &format!("SELECT state FROM pitcrew.jobs WHERE id = {first}"),
        "waiting_for_lock",
    );
    let second = session.submit("'analyze', 'orders'");
    let third = session.submit("'vacuum', 'orders', '{\"analyze\": true}'");
    assert_eq!(
        session.text(&format!("SELECT pitcrew.cancel_job({second})")),
        "t"
    );
    assert_eq!(session.ended(&second).0, "cancelled");
    assert_eq!(
        session.text(&format!(
            "SELECT state FROM pitcrew.jobs WHERE id = {third}"
        )),
        "queued"
    );
    holder.run("ROLLBACK");
    session.done(&first);
    session.done(&third);
    assert_eq!(
        session.text(&format!(
            "SELECT started_at IS NULL FROM pitcrew.jobs WHERE id = {second}"
        )),
        "t"
    );
}

#[test]
fn a_lock_timeout_is_recorded_with_its_sqlstate() {
    require!(extension);
    let postgres = server(&[
        ("pitcrew.job_lock_timeout", "100ms"),
        ("pitcrew.job_lock_retries", "0"),
    ]);
    let session = Session::open(&postgres.url("shop"));
    table(&session, "orders");
    let holder = Session::open(&postgres.url("shop"));
    holder.run("BEGIN; LOCK TABLE orders IN ACCESS EXCLUSIVE MODE");
    let job = session.submit("'vacuum', 'orders', '{\"full\": true}'");
    let ended = session.ended(&job);
    assert_eq!((ended.0.as_str(), ended.1.as_str()), ("failed", "55P03"));
}

#[test]
fn a_statement_timeout_ends_a_job() {
    require!(extension);
    let postgres = server(&[("pitcrew.job_statement_timeout", "300ms")]);
    let session = Session::open(&postgres.url("shop"));
    slow_vacuum(&session, "shop");
    table(&session, "orders");
    let job = Session::open(&postgres.url("shop")).submit("'vacuum', 'orders'");
    let ended = session.ended(&job);
    assert_eq!(
        (ended.0.as_str(), ended.1.as_str()),
        ("failed", "57014"),
        "{ended:?}"
    );
}

#[test]
fn what_cannot_run_is_refused_with_a_reason() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    session.run(
        "CREATE TABLE plain (id int); CREATE VIEW seen AS SELECT * FROM plain; CREATE SEQUENCE counter; \
         CREATE TABLE parts (id int) PARTITION BY RANGE (id); CREATE TEMP TABLE passing (id int)",
    );
    for (arguments, code) in [
        ("'reboot'", "22023"),
        ("NULL", "22023"),
        ("'VACUUM', 'plain'", "22023"),
        ("'vacuum', 'plain', '{\"ful\": true}'", "22023"),
        ("'vacuum', 'plain', '{\"full\": 1}'", "22023"),
        ("'vacuum', 'plain', '[]'", "22023"),
        ("'vacuum', 'seen'", "42809"),
        ("'vacuum', 'counter'", "42809"),
        ("'vacuum', 'passing'", "42809"),
        ("'create_index'", "22023"),
        ("'create_index', 'plain'", "22023"),
        (
            "'create_index', 'plain', '{\"columns\": [\"nope\"]}'",
            "42703",
        ),
        (
            "'create_index', 'plain', '{\"columns\": [\"ctid\"]}'",
            "42703",
        ),
        ("'vacuum', 'plain', '{\"parallel\": -1}'", "22023"),
        (
            "'vacuum', 'plain', '{\"full\": true, \"parallel\": 2}'",
            "22023",
        ),
        (
            "'vacuum', 'plain', '{\"index_cleanup\": \"maybe\"}'",
            "22023",
        ),
        ("'reindex'", "22023"),
        ("'reindex', 'seen'", "42809"),
        ("'drop_index', 'plain'", "42809"),
        ("'refresh_matview', 'plain'", "42809"),
        ("'vacuum_due', 'plain'", "22023"),
        ("'vacuum_due', NULL, '{\"limit\": 1001}'", "22023"),
        ("'create_index', 'seen', '{\"columns\": [\"id\"]}'", "42809"),
        ("'vacuum', 4294967295::oid::regclass", "42P01"),
        ("'vacuum', 'nowhere'", "42P01"),
    ] {
        let failure = session.failure(&format!("SELECT pitcrew.submit_job({arguments})"));
        assert_eq!(failure.code, code, "{arguments}: {failure:?}");
    }
    assert_eq!(
        session.failure("SELECT pitcrew.cancel_job(4711)").code,
        "P0002"
    );
    assert_eq!(session.text("SELECT count(*) FROM pitcrew.jobs"), "0");
    // A table that vanishes between submission and start.
    session.run("CREATE TABLE brief (id int)");
    session.run("BEGIN; SELECT pitcrew.submit_job('vacuum', 'brief'); DROP TABLE brief; COMMIT");
    let job = session.text("SELECT max(id) FROM pitcrew.jobs");
    assert_eq!(session.ended(&job).1, "42P01");
}

#[test]
fn a_prepared_transaction_cannot_queue_a_job() {
    require!(extension);
    let postgres = server(&[("max_prepared_transactions", "2")]);
    let session = Session::open(&postgres.url("shop"));
    session.run("BEGIN; SELECT pitcrew.submit_job('vacuum')");
    assert_eq!(session.failure("PREPARE TRANSACTION 'p'").code, "0A000");
    session.run("ROLLBACK");
    assert_eq!(session.text("SELECT count(*) FROM pitcrew.jobs"), "0");
}

#[test]
fn without_preloading_jobs_name_the_line_that_is_missing() {
    require!(extension);
    let options = pitcrew_stack::PostgresOptions::default();
    let postgres = testing::postgres(options);
    postgres.create_database("shop").unwrap();
    let session = Session::open(&postgres.url("shop"));
    session.run("CREATE EXTENSION pg_pitcrew; CREATE TABLE orders (id int, customer int)");
    let failure = session.failure("SELECT pitcrew.submit_job('vacuum', 'orders')");
    assert_eq!(failure.code, "55000");
    let line = "shared_preload_libraries = 'pg_stat_statements, pg_pitcrew'";
    assert!(
        failure.hint.contains(line) && failure.hint.contains("restart"),
        "{failure:?}"
    );
    let status =
        session.run("SELECT detail FROM pitcrew.status() WHERE name = 'preloaded' AND NOT ok");
    assert!(status[0][0].as_deref().unwrap().contains(line));
    // Suggestions answer all the same.
    session.run(
        "INSERT INTO orders SELECT g, g % 1000 FROM generate_series(1, 50000) g; ANALYZE orders",
    );
    let found = session.run(
        "SELECT ddl FROM pitcrew.suggest_indexes(queries => ARRAY['SELECT * FROM orders WHERE customer = 7'])",
    );
    assert_eq!(
        found[0][0].as_deref().unwrap(),
        "CREATE INDEX CONCURRENTLY orders_customer_idx ON public.orders (customer)"
    );
}
