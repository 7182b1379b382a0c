//! Checks of queries, sessions and safety: each builds the sick situation, sees it from both sides, mends it by the fix and sees it healed.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something unexpected happens"
)]

mod checked;
mod support;

use checked::{Sick, check, mend};
use pitcrew_stack::{require, testing};
use support::Session;
use support::jobs::{slow_vacuum, table};

#[test]
fn idle_in_transaction() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    let holder = Session::open(&database.url);
    holder.run("CREATE TABLE held (id int); SET application_name = 'forgetful'");
    let pid = holder.text("SELECT pg_backend_pid()");
    holder.run("BEGIN; LOCK TABLE held");
    session.until(
        &format!("SELECT state FROM pg_stat_activity WHERE pid = {pid}"),
        "idle in transaction",
    );
    let sick = Sick {
        check: "idle_in_transaction",
        thresholds: r#"{"min_seconds": 0}"#,
        object: &format!("pid {pid}"),
        severity: "warn",
        detail: &[
            "user postgres, application 'forgetful'",
            "locks on 1 relations",
        ],
    };
    mend(&session, &sick.seen(&session, &database.url));
    holder.until_ended();
    session.until(
        &format!("SELECT count(*) FROM pg_stat_activity WHERE pid = {pid}"),
        "0",
    );
    sick.healed(&session, &database.url);
}

#[test]
fn query_total_time() {
    require!(statements);
    let database = testing::database();
    let session = Session::open(&database.url);
    let reset = "SELECT pg_stat_statements_reset(0, (SELECT oid FROM pg_database WHERE datname = current_database()), 0)";
    session.run(reset);
    session.run("SELECT pg_sleep(1)");
    let id = session.text("SELECT queryid FROM pg_stat_statements WHERE query = 'SELECT pg_sleep($1)' AND dbid = (SELECT oid FROM pg_database WHERE datname = current_database())");
    let sick = Sick {
        check: "query_total_time",
        thresholds: r#"{"min_total_ms": 500}"#,
        object: &format!("query {id}"),
        severity: "warn",
        detail: &["1 calls", "SELECT pg_sleep($1)"],
    };
    sick.seen(&session, &database.url);
    session.run(reset);
    sick.healed(&session, &database.url);
    session.run("DROP EXTENSION pg_stat_statements");
    let without = check(&session, sick.check, sick.thresholds);
    assert_eq!(without[0].severity, "skipped");
    assert!(
        without[0]
            .detail
            .contains("CREATE EXTENSION pg_stat_statements")
    );
}

#[test]
fn public_schema_create() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    session.run("CREATE SCHEMA \"Open\"; GRANT CREATE ON SCHEMA \"Open\" TO PUBLIC");
    let sick = Sick {
        check: "public_schema_create",
        thresholds: "{}",
        object: "\"Open\"",
        severity: "warn",
        detail: &["CVE-2018-1058"],
    };
    mend(&session, &sick.seen(&session, &database.url));
    sick.healed(&session, &database.url);
}

#[test]
fn function_search_path() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    session.run(
        "CREATE FUNCTION public.raise(a int DEFAULT 1) RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT a'; \
         CREATE FUNCTION public.safe() RETURNS int LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS 'SELECT 1'",
    );
    let sick = Sick {
        check: "function_search_path",
        thresholds: "{}",
        object: "public.raise(a integer)",
        severity: "critical",
        detail: &["runs as postgres"],
    };
    mend(&session, &sick.seen(&session, &database.url));
    sick.healed(&session, &database.url);
}

#[test]
fn blocked_session() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    let holder = Session::open(&database.url);
    holder.run("CREATE TABLE held (id int); SET application_name = 'holder'");
    let pid = holder.text("SELECT pg_backend_pid()");
    holder.run("BEGIN; LOCK TABLE held");
    let url = database.url.clone();
    let waiter = std::thread::spawn(move || Session::open(&url).run("SELECT count(*) FROM held"));
    session.until(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'",
        "1",
    );
    let sick = Sick {
        check: "blocked_session",
        thresholds: r#"{"min_seconds": 0}"#,
        object: &format!("pid {pid}"),
        severity: "warn",
        detail: &[
            "application 'holder'",
            "idle in transaction",
            "holds up 1 session",
        ],
    };
    mend(&session, &sick.seen(&session, &database.url));
    waiter.join().unwrap();
    sick.healed(&session, &database.url);
}

#[test]
fn long_vacuum() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    slow_vacuum(&session, &database.name);
    table(&session, "orders");
    let url = database.url.clone();
    let vacuum = std::thread::spawn(move || Session::open(&url).failure("VACUUM orders"));
    let pid = "SELECT pid FROM pg_stat_progress_vacuum WHERE datname = current_database()";
    session.until(&format!("SELECT count(*) FROM ({pid}) f"), "1");
    let who = format!("is vacuumed by pid {} of user postgres", session.text(pid));
    let sick = Sick {
        check: "long_vacuum",
        thresholds: r#"{"min_seconds": 0}"#,
        object: "public.orders",
        severity: "info",
        detail: &[&who],
    };
    sick.soon(&session, true);
    sick.seen(&session, &database.url);
    session.run(&format!("SELECT pg_cancel_backend(({pid}))"));
    assert_eq!(vacuum.join().unwrap().code, "57014");
    sick.soon(&session, false);
    sick.healed(&session, &database.url);
}
