//! Random and hostile SQL against the extension, a few thousand statements of a fixed seed (`./pitcrew bench hostile` sends them for ten minutes),
//! and what it brought to light, one test a fault.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something unexpected happens"
)]

mod support;

use pitcrew_stack::hostile::{Kind, SETTINGS, Verdict, World};
use pitcrew_stack::{PostgresOptions, require, testing};
use support::Session;

/// Of each session.
const STATEMENTS: usize = 700;
const SEED: u64 = 20_260_101;

#[test]
fn p10_hostile_and_random_sql_crashes_no_backend_and_meets_no_internal_error() {
    require!(extension);
    let mut options = PostgresOptions::with_extension(testing::server());
    options
        .settings
        .extend(SETTINGS.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let postgres = testing::postgres(options);
    let world = World::build(&postgres).unwrap();
    let (trace, held) = world.run(SEED, STATEMENTS, || true).unwrap();
    let verdict = Verdict::of(&world, trace, held, 1).unwrap();
    let summary = verdict.summary();
    assert!(
        verdict.crashes.is_empty() && verdict.trace.lost.is_empty(),
        "{summary}"
    );
    assert_eq!(verdict.panics, 0, "{summary}");
    for kind in [Kind::Extension, Kind::Called] {
        assert_eq!(verdict.internal_errors(kind), 0, "{summary}");
    }
    assert!(
        verdict.trace.stuck.is_empty() && verdict.held.is_empty(),
        "{summary}"
    );
    assert!(verdict.missed.is_empty(), "{summary}");
    // Where most statements fail, little of the server was met.
    let count = |code: &str| verdict.trace.codes.get(code).copied().unwrap_or(0);
    assert!(count("00000") * 3 > verdict.trace.statements, "{summary}");
}

#[test]
fn an_error_in_the_depth_of_a_query_leaves_no_transaction_open() {
    require!(extension);
    let postgres = support::server(&[]);
    let session = Session::open(&postgres.socket_url("postgres", "shop"));
    // Deeper than walking the tree takes, and not deeper than parsing and analysing it does.
    let mut deep = 0;
    for terms in (250..6_000).step_by(250) {
        let text = format!(
            "SELECT * FROM pitcrew.explain_with('SELECT ' || repeat('1 + ', {terms}) || '1')"
        );
        if let Err(failure) = session.try_run(&text) {
            assert_eq!(failure.code, "22023", "{terms}: {failure:?}");
            assert!(failure.message.contains("stack depth"), "{failure:?}");
            deep += 1;
        }
        assert_eq!(session.text("SELECT 'still here'"), "still here");
    }
    assert!(deep > 5, "{deep}");
    // Nor does it where a transaction is open, which fails as a whole and no more.
    session.run("BEGIN; SAVEPOINT s");
    session.failure("SELECT * FROM pitcrew.explain_with('SELECT ' || repeat('1 + ', 2500) || '1')");
    session.run("ROLLBACK TO s; COMMIT");
    assert_eq!(session.text("SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'transactionid'"), "0");
}

#[test]
fn json_that_cannot_be_read_is_a_wrong_argument() {
    require!(extension);
    let postgres = support::server(&[]);
    let session = Session::open(&postgres.socket_url("postgres", "shop"));
    let huge = "'{\"a\": 1e400}'::jsonb";
    let deep = "(repeat('{\"a\":', 200) || '1' || repeat('}', 200))::jsonb";
    for json in [huge, deep] {
        for call in [
            format!("report({json})"),
            format!("check('unused_index', {json})"),
            format!("submit_job('analyze_all_stale', NULL, {json})"),
            format!("dry_run('analyze_all_stale', NULL, {json})"),
            format!("schedule('n', '@daily', {json})"),
            format!("schedule_nightly({json})"),
            format!("schedule_preview('@daily', {json})"),
        ] {
            let failure = session.failure(&format!("SELECT * FROM pitcrew.{call}"));
            assert_eq!(failure.code, "22023", "{call}: {failure:?}");
            assert!(
                failure.message.starts_with("the JSON cannot be read"),
                "{call}: {failure:?}"
            );
        }
    }
}

#[test]
fn names_are_converted_from_the_database_s_encoding_and_refused_where_they_have_none() {
    require!(extension);
    let postgres = support::server(&[("autovacuum", "off")]);
    for encoding in ["LATIN1", "SQL_ASCII"] {
        let database = encoding.to_lowercase();
        postgres
            .run(
                "postgres",
                &[&format!(
                    "CREATE DATABASE {database} ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
                )],
            )
            .unwrap();
        let session = Session::open(&postgres.socket_url("postgres", &database));
        // Byte 233 is é in Latin-1, and no UTF-8.
        session.run(
            "CREATE EXTENSION pg_pitcrew; \
             DO $$ BEGIN EXECUTE format('CREATE TABLE %I (id int) WITH (autovacuum_enabled = off)', 'caf' || chr(233)); \
             EXECUTE format('INSERT INTO %I SELECT generate_series(1, 1000)', 'caf' || chr(233)); END $$",
        );
        session.run("SELECT pg_stat_force_next_flush()");
        let advice = session.try_run(
            "SELECT object, fix_sql FROM pitcrew.autovacuum_advice(1) WHERE topic = 'off'",
        );
        match advice {
            Ok(rows) => {
                assert_eq!(encoding, "LATIN1");
                assert_eq!(rows[0][0].as_deref(), Some("public.\"café\""), "{rows:?}");
            }
            Err(failure) => {
                assert_eq!(
                    (encoding, failure.code.as_str()),
                    ("SQL_ASCII", "22021"),
                    "{failure:?}"
                );
            }
        }
    }
}
