//! `pitcrew.advice`: what became of what was suggested.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something unexpected happens"
)]

mod support;

use pitcrew_stack::sql::literal;
use pitcrew_stack::{require, testing};
use support::{Session, role};

const LOOK_UP: &str = "SELECT * FROM orders WHERE customer = $1";
const STATE: &str = "SELECT string_agg(state, ',') FROM pitcrew.advice";

/// A table and forty look-ups in it that an index would help, in pg_stat_statements.
fn looked_up(session: &Session) {
    session.run("CREATE EXTENSION IF NOT EXISTS pg_stat_statements");
    session.run(
        "CREATE TABLE orders (id int PRIMARY KEY, customer int, filler text) WITH (autovacuum_enabled = off); \
         INSERT INTO orders SELECT g, g % 5000, repeat('x', 200) FROM generate_series(1, 50000) g",
    );
    session.run("VACUUM ANALYZE orders");
    // What filled it would be taken for what it is for.
    session.run("SELECT pg_stat_statements_reset(0, (SELECT oid FROM pg_database WHERE datname = current_database()), 0)");
    look_up(session);
}

fn look_up(session: &Session) {
    for customer in 0..40_i32 {
        session.prepared(LOOK_UP, &[&customer]);
    }
}

fn suggested(session: &Session) -> String {
    let rows = session
        .run("SELECT index_name FROM pitcrew.suggest_indexes() WHERE table_name = 'public.orders'");
    assert_eq!(rows.len(), 1, "{rows:?}");
    rows[0][0].clone().unwrap()
}

#[test]
fn advice_is_proposed_applied_verified_and_reverted_as_it_happens() {
    require!(statements);
    let database = testing::database();
    let session = Session::open(&database.url);
    looked_up(&session);
    let name = suggested(&session);
    suggested(&session);
    assert_eq!(
        session.run("SELECT state, index_name, (last_proposed_at < proposed_at + interval '1 second')::text, (applied_at IS NULL)::text FROM pitcrew.advice"),
        [["proposed", name.as_str(), "true", "true"].map(|cell| Some(cell.to_owned()))]
    );
    let job = session
        .run("SELECT job->>'kind', job->>'target', (job->'options')::text FROM pitcrew.advice");
    let arguments: Vec<String> = job[0]
        .iter()
        .map(|cell| literal(cell.as_deref().unwrap()))
        .collect();
    let job = session.submit(&arguments.join(", "));
    session.done(&job);
    assert_eq!(session.text("SELECT pitcrew.refresh_advice()"), "t");
    assert_eq!(
        session.run(&format!(
            "SELECT a.state, (a.applied_at = j.finished_at)::text, (a.saved_percent IS NULL)::text \
             FROM pitcrew.advice a JOIN pitcrew.jobs j ON j.id = a.job_id AND j.id = {job}"
        )),
        [["applied", "true", "true"].map(|cell| Some(cell.to_owned()))]
    );
    // A scan of 50,000 rows against a look-up: no noise comes near.
    look_up(&session);
    assert_eq!(session.text("SELECT pitcrew.refresh_advice()"), "t");
    assert_eq!(
        session.run(
            "SELECT state, (saved_percent BETWEEN 5 AND 100)::text, (verified_at > applied_at)::text, \
                    (effect->0->>'calls_before'), (effect->0->>'calls_after'), \
                    ((effect->0->>'mean_ms_before')::float8 > (effect->0->>'mean_ms_after')::float8)::text FROM pitcrew.advice"
        ),
        [["verified", "true", "true", "40", "40", "true"].map(|cell| Some(cell.to_owned()))]
    );
    // REINDEX CONCURRENTLY makes it another relation, and it is still there.
    session.run(&format!("REINDEX INDEX CONCURRENTLY {name}"));
    session.text("SELECT pitcrew.refresh_advice()");
    assert_eq!(session.text(STATE), "verified");
    session.run(&format!("DROP INDEX {name}"));
    session.text("SELECT pitcrew.refresh_advice()");
    assert_eq!(
        session.text("SELECT state || (reverted_at > verified_at)::text FROM pitcrew.advice"),
        "revertedtrue"
    );
    suggested(&session);
    assert_eq!(session.text(STATE), "proposed");
    // By hand, and under another name.
    session.run("CREATE INDEX mine ON orders USING btree (customer)");
    session.text("SELECT pitcrew.refresh_advice()");
    assert_eq!(
        session.run("SELECT state, job_id::text FROM pitcrew.advice"),
        [[Some("applied".to_owned()), None]]
    );
}

#[test]
fn what_is_suppressed_is_marked_until_its_time() {
    require!(statements);
    let database = testing::database();
    let session = Session::open(&database.url);
    looked_up(&session);
    suggested(&session);
    session.run(
        "INSERT INTO pitcrew.suppressed_findings (cache_key) SELECT cache_key FROM pitcrew.advice",
    );
    session.text("SELECT pitcrew.refresh_advice()");
    assert_eq!(session.text(STATE), "suppressed");
    session.run("UPDATE pitcrew.suppressed_findings SET until = now()");
    session.text("SELECT pitcrew.refresh_advice()");
    assert_eq!(
        session.text("SELECT state || (suppressed_at IS NOT NULL)::text FROM pitcrew.advice"),
        "proposedtrue"
    );
}

#[test]
fn what_is_proposed_for_a_table_leaves_with_it() {
    require!(statements);
    let database = testing::database();
    let session = Session::open(&database.url);
    for suppresses in [false, true] {
        looked_up(&session);
        suggested(&session);
        if suppresses {
            session.run(
                "INSERT INTO pitcrew.suppressed_findings (cache_key) SELECT cache_key FROM pitcrew.advice",
            );
            session.text("SELECT pitcrew.refresh_advice()");
            assert_eq!(session.text(STATE), "suppressed");
        }
        session.run("DROP TABLE orders");
        session.text("SELECT pitcrew.refresh_advice()");
        assert_eq!(session.text("SELECT count(*) FROM pitcrew.advice"), "0");
        session.run("DELETE FROM pitcrew.suppressed_findings");
    }
    // What was built is something that happened.
    looked_up(&session);
    suggested(&session);
    session.run("CREATE INDEX ON orders (customer)");
    session.text("SELECT pitcrew.refresh_advice()");
    assert_eq!(session.text(STATE), "applied");
    session.run("DROP TABLE orders");
    session.text("SELECT pitcrew.refresh_advice()");
    session.text("SELECT pitcrew.refresh_advice()");
    assert_eq!(session.text(STATE), "reverted");
}

#[test]
fn where_nothing_may_be_written_nothing_is_kept_and_nobody_waits() {
    require!(statements);
    let database = testing::database();
    let session = Session::open(&database.url);
    looked_up(&session);
    for begin in [
        "BEGIN TRANSACTION READ ONLY",
        "BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ",
        "BEGIN TRANSACTION ISOLATION LEVEL SERIALIZABLE",
    ] {
        session.run(begin);
        suggested(&session);
        session.run("COMMIT");
    }
    assert_eq!(session.text("SELECT count(*) FROM pitcrew.advice"), "0");
    // Given statements are a question.
    session.run("SELECT * FROM pitcrew.suggest_indexes(queries => ARRAY['SELECT * FROM orders WHERE customer = 1'])");
    assert_eq!(session.text("SELECT count(*) FROM pitcrew.advice"), "0");
    let other = Session::open(&database.url);
    other.run("BEGIN");
    suggested(&other);
    session.run("SET statement_timeout = '60s'");
    suggested(&session);
    assert_eq!(session.text("SELECT pitcrew.refresh_advice()"), "f");
    other.run("COMMIT");
    assert_eq!(session.text(STATE), "proposed");
}

#[test]
fn p2_nobody_writes_advice_but_the_extension_and_nothing_of_a_user_runs_when_it_does() {
    require!(statements);
    let database = testing::database();
    let session = Session::open(&database.url);
    looked_up(&session);
    let (reader, operator) = (
        role(&session, "reader", Some("reader")),
        role(&session, "operator", Some("operator")),
    );
    session.run(&format!(
        "GRANT pg_read_all_stats TO {reader}; GRANT SELECT ON orders TO {reader}"
    ));
    for (who, script) in [
        (&reader, "DELETE FROM pitcrew.advice"),
        (
            &operator,
            "UPDATE pitcrew.advice SET ddl = 'DROP TABLE orders'",
        ),
        (
            &operator,
            "INSERT INTO pitcrew.advice (cache_key) VALUES ('x')",
        ),
        (&reader, "SELECT pitcrew.refresh_advice()"),
    ] {
        session.run(&format!("SET ROLE {who}"));
        assert_eq!(session.failure(script).code, "42501", "{script}");
        session.run("RESET ROLE");
    }
    // Who may not write it has what he is told written down all the same.
    session.run(&format!("SET ROLE {reader}"));
    suggested(&session);
    assert_eq!(
        session.text("SELECT current_user = proposed_by::text FROM pitcrew.advice"),
        "t"
    );
    session.run("RESET ROLE");
    session.run(
        "CREATE FUNCTION spy() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''ran as %'', current_user; END'; \
         CREATE TRIGGER spy BEFORE INSERT OR UPDATE ON pitcrew.advice FOR EACH ROW EXECUTE FUNCTION spy()",
    );
    suggested(&session);
    assert_eq!(
        session.failure("SELECT pitcrew.refresh_advice()").code,
        "55000"
    );
}

#[test]
fn the_last_thousand_are_kept_and_the_rest_is_counted() {
    require!(statements);
    let database = testing::database();
    let session = Session::open(&database.url);
    looked_up(&session);
    suggested(&session);
    session.run(
        "INSERT INTO pitcrew.advice SELECT (r).* FROM (SELECT jsonb_populate_record(a, jsonb_build_object('cache_key', 'old' || g, \
             'index_name', 'i' || g, 'definition_hash', 0, 'last_proposed_at', now() - interval '1 day')) AS r \
             FROM pitcrew.advice a, generate_series(1, 1005) g) rows",
    );
    suggested(&session);
    assert_eq!(
        session.run("SELECT (SELECT count(*) FROM pitcrew.advice)::text, (SELECT forgotten_advice FROM pitcrew.history_state)::text, \
                     (SELECT count(*) FROM pitcrew.advice WHERE cache_key NOT LIKE 'old%')::text"),
        [["1000", "6", "1"].map(|cell| Some(cell.to_owned()))]
    );
}
