//! What happens to a job when its worker, its coordinator, its server or its database goes away.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something unexpected happens"
)]

mod support;

use pitcrew_stack::{require, testing};
use support::jobs::{INVALID_INDEXES, WORKERS, as_standby, beside_shop, running_vacuum, table};
use support::{Session, server};

#[test]
fn a_terminated_worker_fails_its_job_alone_and_leaves_no_index() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    table(&session, "orders");
    session.run("CREATE TABLE other (id int)");
    let old = Session::open(&database.url);
    old.run("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT * FROM other");
    let job = session.submit("'create_index', 'orders', '{\"columns\": [\"id\"]}'");
    session.until(INVALID_INDEXES, "1");
    session.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'pitcrew job'");
    let ended = session.ended(&job);
    assert_eq!((ended.0.as_str(), ended.1.as_str()), ("failed", "57P01"));
    assert_eq!(session.text(INVALID_INDEXES), "0");
    old.run("ROLLBACK");
    let next = session.submit("'vacuum', 'orders'");
    session.done(&next);
}

#[test]
fn a_new_coordinator_adopts_the_job_of_the_old_one() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    table(&session, "orders");
    let holder = Session::open(&database.url);
    holder.run("BEGIN; LOCK TABLE orders IN ACCESS EXCLUSIVE MODE");
    let job = session.submit("'vacuum', 'orders'");
    session.until(WORKERS, "1");
    let coordinator = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'pitcrew coordinator'";
    let old = session.text(coordinator);
    session.run(&format!("SELECT pg_terminate_backend({old})"));
    session.until(
        &format!("SELECT count(*) FROM ({coordinator}) c WHERE pid <> {old}"),
        "1",
    );
    session.until(
        &format!("SELECT state FROM pitcrew.jobs WHERE id = {job}"),
        "waiting_for_lock",
    );
    assert_eq!(session.text(WORKERS), "1");
    holder.run("ROLLBACK");
    session.done(&job);
    // Nothing stays connected without work.
    session.until("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND backend_type LIKE 'pitcrew%'", "0");
}

#[test]
fn after_a_killed_worker_its_job_is_failed_the_index_is_cleaned_and_the_queue_goes_on() {
    require!(extension);
    let postgres = server(&[("pitcrew.max_parallel_jobs", "1")]);
    let session = Session::open(&postgres.url("shop"));
    table(&session, "orders");
    session.run("CREATE TABLE other (id int)");
    let old = Session::open(&postgres.url("shop"));
    old.run("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT * FROM other");
    let build = session.submit("'create_index', 'orders', '{\"columns\": [\"id\"]}'");
    session.until(
        &format!("SELECT index_oid IS NOT NULL FROM pitcrew.jobs WHERE id = {build}"),
        "t",
    );
    let waiting = session.submit("'analyze', 'other'");
    let worker =
        session.text("SELECT pid FROM pg_stat_activity WHERE backend_type = 'pitcrew job'");
    // kill -9: the server ends every session and recovers.
    // The shell's own `kill`: a bare machine has no such program.
    let status = std::process::Command::new("sh")
        .args(["-c", "kill -9 \"$1\"", "kill", &worker])
        .status()
        .unwrap();
    assert!(status.success());
    // Only then does a new connection mean that it has recovered.
    session.until_ended();
    let session = reconnect(&postgres.url("shop"));
    let ended = session.ended(&build);
    assert_eq!(
        (ended.0.as_str(), ended.1.as_str()),
        ("failed", "57P02"),
        "{ended:?}"
    );
    session.done(&waiting);
    assert_eq!(session.text(INVALID_INDEXES), "0");
    assert_eq!(
        session.text("SELECT count(*) FROM pg_class WHERE relname = 'orders_id_idx'"),
        "0"
    );
}

/// Connects once the server has recovered.
fn reconnect(url: &str) -> Session {
    let begin = std::time::Instant::now();
    while let Err(error) = pitcrew_stack::sql::run(url, &["SELECT 1"]) {
        assert!(begin.elapsed().as_secs() < 60, "{error}");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    Session::open(url)
}

#[test]
fn after_a_restart_a_running_job_is_failed_and_queued_ones_go_on() {
    require!(extension);
    let mut postgres = server(&[("pitcrew.max_parallel_jobs", "1")]);
    let session = Session::open(&postgres.url("shop"));
    session.run("CREATE TABLE other (id int)");
    let running = running_vacuum(&session, "shop");
    let queued = session.submit("'analyze', 'other'");
    drop(session);
    postgres.restart().unwrap();
    let session = Session::open(&postgres.url("shop"));
    // The coordinator is ended by the same shutdown: sometimes it still sees its worker go.
    let ended = session.ended(&running);
    let expected = [("failed", "57P02"), ("failed", "57P01")];
    assert!(
        expected.contains(&(ended.0.as_str(), ended.1.as_str())),
        "{ended:?}"
    );
    session.done(&queued);
}

#[test]
fn where_every_worker_s_place_is_taken_it_waits_and_the_server_lives() {
    require!(extension);
    // The server's own launcher and ours take all three.
    let mut postgres = server(&[("max_worker_processes", "3")]);
    for name in ["n1", "n2", "n3", "n4", "n5", "n6"] {
        postgres.create_database(name).unwrap();
    }
    postgres.restart().unwrap();
    let session = Session::open(&postgres.url("shop"));
    session.run("CREATE TABLE other (id int)");
    let job = session.submit("'analyze', 'other'");
    // Both have had their turn.
    session.until(
        "SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'pitcrew%' AND wait_event_type = 'Extension'",
        "2",
    );
    assert_eq!(
        session.text(&format!("SELECT state FROM pitcrew.jobs WHERE id = {job}")),
        "queued"
    );
    let log = std::fs::read_to_string(postgres.log_path()).unwrap();
    assert!(!log.contains("terminated by signal"), "{log}");
    postgres
        .reconfigure(&[("max_worker_processes", "8")])
        .unwrap();
    postgres.restart().unwrap();
    Session::open(&postgres.url("shop")).done(&job);
}

#[test]
fn the_log_names_the_command_of_a_job_that_failed() {
    require!(extension);
    let postgres = server(&[]);
    let session = Session::open(&postgres.url("shop"));
    session.run(
        "CREATE TABLE parts (id int); INSERT INTO parts VALUES (1); \
         CREATE MATERIALIZED VIEW quotients AS SELECT 1 / id AS quotient FROM parts; UPDATE parts SET id = 0",
    );
    let job = session.submit("'refresh_matview', 'quotients', '{\"concurrently\": false}'");
    let ended = session.ended(&job);
    assert_eq!((ended.0.as_str(), ended.1.as_str()), ("failed", "22012"));
    let log = std::fs::read(postgres.log_path()).unwrap();
    let log = String::from_utf8(log).expect("the log is UTF-8");
    assert!(
        log.contains("STATEMENT:  REFRESH MATERIALIZED VIEW public.quotients"),
        "{log}"
    );
}

#[test]
fn drop_database_is_not_blocked_by_a_running_job() {
    require!(extension);
    let postgres = server(&[]);
    let session = Session::open(&postgres.url("shop"));
    running_vacuum(&session, "shop");
    drop(session);
    let admin = beside_shop(&postgres);
    admin.run("DROP DATABASE shop");
    admin.until("SELECT count(*) FROM pg_stat_activity WHERE backend_type IN ('pitcrew job', 'pitcrew coordinator')", "0");
    // The machinery serves the next database.
    admin.run("CREATE DATABASE next");
    let next = Session::open(&postgres.url("next"));
    next.run("CREATE EXTENSION pg_pitcrew; CREATE TABLE t (id int)");
    let job = next.submit("'vacuum', 't'");
    next.done(&job);
}

#[test]
fn cloning_and_renaming_a_database_are_not_blocked_and_the_job_goes_on_in_one_of_them() {
    require!(extension);
    let postgres = server(&[]);
    let session = Session::open(&postgres.url("shop"));
    let job = running_vacuum(&session, "shop");
    drop(session);
    let admin = beside_shop(&postgres);
    admin.run("CREATE DATABASE clone TEMPLATE shop");
    admin.until("SELECT count(*) FROM pg_stat_activity WHERE datname = 'shop' AND backend_type = 'pitcrew job'", "1");
    // Renaming sends it away once more; this time it comes back quick.
    admin.run("ALTER DATABASE shop RESET vacuum_cost_delay");
    admin.run("ALTER DATABASE shop RENAME TO store");
    // In the clone the row is somebody else's.
    let clone = Session::open(&postgres.url("clone"));
    let other = {
        clone.run("CREATE TABLE t (id int)");
        clone.submit("'analyze', 't'")
    };
    clone.done(&other);
    assert_eq!(clone.ended(&job).0, "orphaned");
    // In the original it was queued again.
    Session::open(&postgres.url("store")).done(&job);
}

#[test]
fn p6_a_replica_refuses_jobs() {
    require!(extension);
    let mut postgres = server(&[]);
    postgres.stop();
    let session = as_standby(&mut postgres);
    assert_eq!(session.text("SELECT pg_is_in_recovery()"), "t");
    assert_eq!(
        session.failure("SELECT pitcrew.submit_job('vacuum')").code,
        "25006"
    );
    assert_eq!(
        session.failure("SELECT pitcrew.cancel_job(1)").code,
        "25006"
    );
    for call in [
        "pause_schedule('x')",
        "resume_schedule('x')",
        "unschedule('x')",
        "grant_access('postgres', 'reader')",
        "refresh_advice()",
    ] {
        let failure = session.failure(&format!("SELECT pitcrew.{call}"));
        assert_eq!(failure.code, "25006", "{call}: {failure:?}");
    }
    assert_eq!(
        session.text("SELECT ok FROM pitcrew.status() WHERE name = 'primary'"),
        "f"
    );
}

#[test]
fn after_a_promotion_jobs_of_the_old_timeline_are_orphaned() {
    require!(extension);
    let mut postgres = server(&[]);
    let session = Session::open(&postgres.url("shop"));
    table(&session, "orders");
    let holder = Session::open(&postgres.url("shop"));
    holder.run("BEGIN; LOCK TABLE orders IN ACCESS EXCLUSIVE MODE");
    let job = session.submit("'vacuum', 'orders'");
    session.until(WORKERS, "1");
    // Killed with the lock still held, so that the job neither ends nor has its end written down.
    postgres.kill();
    drop((session, holder));
    let session = as_standby(&mut postgres);
    session.run("SELECT pg_promote()");
    assert_eq!(session.ended(&job).0, "orphaned");
}

#[test]
fn sigterm_stops_a_running_vacuum() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    let job = running_vacuum(&session, &database.name);
    // It works: it waits for nothing but its own delay, for minutes.
    session.until(
        "SELECT count(*) FROM pg_stat_progress_vacuum WHERE relid = 'orders'::regclass AND heap_blks_scanned > 0",
        "1",
    );
    session.run("SELECT pg_terminate_backend(pid) FROM pg_stat_progress_vacuum WHERE relid = 'orders'::regclass");
    let ended = session.ended(&job);
    assert_eq!((ended.0.as_str(), ended.1.as_str()), ("failed", "57P01"));
    assert_eq!(session.text(WORKERS), "0");
}

#[test]
fn after_kill_of_the_whole_server_its_job_is_failed_cleaned_and_the_queue_goes_on_once() {
    require!(extension);
    let mut postgres = server(&[("pitcrew.max_parallel_jobs", "1")]);
    let session = Session::open(&postgres.url("shop"));
    table(&session, "orders");
    session.run("CREATE TABLE other (id int)");
    let old = Session::open(&postgres.url("shop"));
    old.run("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT * FROM other");
    let build = session.submit("'create_index', 'orders', '{\"columns\": [\"id\"]}'");
    session.until(
        &format!("SELECT index_oid IS NOT NULL FROM pitcrew.jobs WHERE id = {build}"),
        "t",
    );
    let queued = session.submit("'create_index', 'other', '{\"columns\": [\"id\"]}'");
    postgres.kill();
    drop((session, old));
    postgres.start_again().unwrap();
    let session = Session::open(&postgres.url("shop"));
    let ended = session.ended(&build);
    assert_eq!(
        (ended.0.as_str(), ended.1.as_str()),
        ("failed", "57P02"),
        "{ended:?}"
    );
    session.done(&queued);
    assert_eq!(session.text(INVALID_INDEXES), "0");
    assert_eq!(
        session.run("SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid IN ('orders'::regclass, 'other'::regclass)"),
        [[Some("other_id_idx".to_owned())]]
    );
}

#[test]
fn rows_of_a_dump_are_orphaned_and_never_run() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    table(&session, "orders");
    // As a restore writes them: every column as it was on the server that was dumped.
    session.run(
        "INSERT INTO pitcrew.jobs (id, kind, target, state, origin) OVERRIDING SYSTEM VALUE VALUES \
         (1001, 'vacuum', 'orders', 'queued', '1/1/1'), (1002, 'analyze', 'orders', 'running', '1/1/1'), \
         (1003, 'reindex', 'orders', 'waiting_for_lock', '1/1/1'), (1004, 'vacuum', 'orders', 'done', '1/1/1')",
    );
    let own = session.submit("'analyze', 'orders'");
    session.done(&own);
    for job in ["1001", "1002", "1003"] {
        assert_eq!(session.ended(job).0, "orphaned", "{job}");
    }
    assert_eq!(session.ended("1004").0, "done");
    assert_eq!(
        session
            .text("SELECT last_vacuum IS NULL FROM pg_stat_user_tables WHERE relname = 'orders'"),
        "t"
    );
}

#[test]
fn drop_extension_ends_the_job_and_leaves_nothing() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    running_vacuum(&session, &database.name);
    session.run("DROP EXTENSION pg_pitcrew");
    session.until("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND backend_type LIKE 'pitcrew%'", "0");
    assert_eq!(
        session
            .text("SELECT count(*) FROM pg_class WHERE relnamespace = to_regnamespace('pitcrew')"),
        "0"
    );
    session.run("CREATE EXTENSION pg_pitcrew; ALTER TABLE orders SET (autovacuum_enabled = off)");
    assert_eq!(session.text("SELECT count(*) FROM pitcrew.jobs"), "0");
}

#[test]
fn a_complete_index_of_a_job_that_was_lost_stays_and_the_ledger_says_so() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    table(&session, "orders");
    session.run("CREATE INDEX orders_id_idx ON orders (id)");
    // As a crash leaves it between the build's last commit and the worker's report.
    session.run(
        "INSERT INTO pitcrew.jobs (kind, target, options, state, started_at, attempts, index_oid, touched) \
         SELECT 'create_index', 'orders', '{\"columns\": [\"id\"]}', 'running', now(), 1, i.oid, ARRAY[i.oid] \
         FROM pg_class i WHERE i.relname = 'orders_id_idx'",
    );
    let wake = session.submit("'analyze', 'orders'");
    session.done(&wake);
    let ended = session.ended("(SELECT min(id) FROM pitcrew.jobs)");
    assert_eq!((ended.0.as_str(), ended.1.as_str()), ("failed", "57P02"));
    let hint = session.text("SELECT hint FROM pitcrew.jobs ORDER BY id LIMIT 1");
    assert!(
        hint.contains("Its index public.orders_id_idx is complete and stays"),
        "{hint}"
    );
    assert_eq!(
        session.text("SELECT count(*) FROM pg_class WHERE relname = 'orders_id_idx'"),
        "1"
    );
}
