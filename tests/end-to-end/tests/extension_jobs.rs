//! Jobs: what they run, as whom, and what happens when something goes away in the middle.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something unexpected happens"
)]

mod support;

use std::fs;

use pitcrew_stack::{require, testing};
use support::{Session, role, server};

const INVALID_INDEXES: &str = "SELECT count(*) FROM pg_index WHERE NOT indisvalid";
const WORKERS: &str = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'pitcrew job'";

/// Makes VACUUM in a database take minutes, so that something can happen in the middle.
fn slow_vacuum(admin: &Session, database: &str) {
    admin.run(&format!(
        "ALTER DATABASE {database} SET vacuum_cost_delay = '100ms'; ALTER DATABASE {database} SET vacuum_cost_limit = 1"
    ));
}

/// A table of some hundred pages with something to vacuum.
fn table(session: &Session, name: &str) {
    session.run(&format!(
        "CREATE TABLE {name} (id int, filler text) WITH (autovacuum_enabled = off); \
         INSERT INTO {name} SELECT g, repeat('x', 500) FROM generate_series(1, 5000) g; DELETE FROM {name} WHERE id % 3 = 0"
    ));
}

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
fn p6_a_job_runs_as_its_submitter_and_nobody_else() {
    require!(extension);
    let database = testing::database();
    let admin = Session::open(&database.url);
    let alice = role(&admin, "alice", Some("operator"));
    let bob = role(&admin, "bob", Some("operator"));
    let (alice_session, bob_session) = (
        Session::open(&database.url_as(&alice)),
        Session::open(&database.url_as(&bob)),
    );
    alice_session.run("CREATE TABLE hers (id int); INSERT INTO hers VALUES (1)");
    let job = alice_session.submit("'create_index', 'hers', '{\"columns\": [\"id\"]}'");
    alice_session.done(&job);

    assert_eq!(
        bob_session
            .failure("SELECT pitcrew.submit_job('vacuum', 'hers')")
            .code,
        "42501"
    );
    // Past the function: the worker checks again, as bob.
    bob_session.run("INSERT INTO pitcrew.jobs (kind, target, command) VALUES ('vacuum', 'hers', 'VACUUM; DROP TABLE hers')");
    let wake = {
        bob_session.run("CREATE TABLE his (id int)");
        bob_session.submit("'vacuum', 'his'")
    };
    bob_session.done(&wake);
    let forged = admin
        .text("SELECT id FROM pitcrew.jobs WHERE target = 'hers'::regclass AND kind = 'vacuum'");
    let ended = admin.ended(&forged);
    assert_eq!((ended.0.as_str(), ended.1.as_str()), ("failed", "42501"));
    assert_eq!(admin.text("SELECT count(*) FROM hers"), "1");

    for statement in [
        format!(
            "INSERT INTO pitcrew.jobs (kind, target, submitter) VALUES ('vacuum', 'hers', '{alice}')"
        ),
        "INSERT INTO pitcrew.jobs (kind, state) VALUES ('vacuum', 'done')".to_owned(),
        "INSERT INTO pitcrew.jobs (kind, origin) VALUES ('vacuum', 'x')".to_owned(),
        format!("UPDATE pitcrew.jobs SET submitter = '{alice}'"),
        "DELETE FROM pitcrew.jobs".to_owned(),
        format!(
            "INSERT INTO pitcrew.job_cancel_requests (job_id, requester) VALUES (1, '{alice}')"
        ),
    ] {
        assert_eq!(bob_session.failure(&statement).code, "42501", "{statement}");
    }
    assert_eq!(
        bob_session
            .failure(&format!("SELECT pitcrew.cancel_job({job})"))
            .code,
        "42501"
    );
}

#[test]
fn p12_after_a_failed_and_a_cancelled_job_the_next_one_runs_as_its_own_submitter() {
    require!(extension);
    let database = testing::database();
    let admin = Session::open(&database.url);
    let bob = role(&admin, "bob", Some("operator"));
    let bob_session = Session::open(&database.url_as(&bob));
    table(&admin, "ours");
    bob_session.run("CREATE TABLE his (id int)");
    // The superuser's jobs: one fails, one is cancelled while it waits for a lock.
    let failed = submitted_before(
        &admin,
        "'create_index', 'ours', '{\"columns\": [\"id\"], \"name\": \"taken\"}'",
        || {
            Session::open(&database.url).run("CREATE INDEX taken ON ours (id)");
        },
    );
    assert_eq!(admin.ended(&failed).1, "42P07");
    let holder = Session::open(&database.url);
    holder.run("BEGIN; LOCK TABLE ours IN ACCESS EXCLUSIVE MODE");
    let waiting = admin.submit("'vacuum', 'ours'");
    admin.until(
        &format!("SELECT state FROM pitcrew.jobs WHERE id = {waiting}"),
        "running",
    );
    admin.until(WORKERS, "1");
    assert_eq!(
        admin.text(&format!("SELECT pitcrew.cancel_job({waiting})")),
        "t"
    );
    assert_eq!(admin.ended(&waiting).0, "cancelled");
    holder.run("ROLLBACK");
    // Had the identity stayed, bob could vacuum what is the superuser's.
    bob_session.run("INSERT INTO pitcrew.jobs (kind, target) VALUES ('vacuum', 'ours')");
    let his = bob_session.submit("'vacuum', 'his'");
    bob_session.done(&his);
    let theirs = admin.text(&format!("SELECT id FROM pitcrew.jobs WHERE submitter = '{bob}'::regrole AND target = 'ours'::regclass"));
    assert_eq!(admin.ended(&theirs).1, "42501");
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

/// Submits a job in a transaction that ends after `then`: so what `then` does is not known when the job is checked.
fn submitted_before(session: &Session, job: &str, then: impl FnOnce()) -> String {
    session.run("BEGIN");
    let id = session.submit(job);
    then();
    session.run("COMMIT");
    id
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
        "running",
    );
    let second = session.submit("'analyze', 'orders'");
    let third = session.submit("'analyze', 'orders'");
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
    assert_eq!(
        session.text(&format!("SELECT state FROM pitcrew.jobs WHERE id = {job}")),
        "running"
    );
    assert_eq!(session.text(WORKERS), "1");
    holder.run("ROLLBACK");
    session.done(&job);
    // Nothing stays connected without work.
    session.until("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND backend_type LIKE 'pitcrew%'", "0");
}

#[test]
fn after_a_killed_worker_its_job_is_lost_the_index_is_cleaned_and_the_queue_goes_on() {
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
    assert_eq!(ended.0, "lost", "{ended:?}");
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
fn after_a_restart_a_running_job_is_lost_and_queued_ones_go_on() {
    require!(extension);
    let mut postgres = server(&[("pitcrew.max_parallel_jobs", "1")]);
    let session = Session::open(&postgres.url("shop"));
    slow_vacuum(&session, "shop");
    table(&session, "orders");
    session.run("CREATE TABLE other (id int)");
    let running = session.submit("'vacuum', 'orders'");
    session.until(WORKERS, "1");
    let queued = session.submit("'analyze', 'other'");
    drop(session);
    postgres.restart().unwrap();
    let session = Session::open(&postgres.url("shop"));
    // The coordinator is ended by the same shutdown: sometimes it still sees its worker go.
    let ended = session.ended(&running);
    let expected = [("lost", ""), ("failed", "57P01")];
    assert!(
        expected.contains(&(ended.0.as_str(), ended.1.as_str())),
        "{ended:?}"
    );
    session.done(&queued);
}

#[test]
fn drop_database_is_not_blocked_by_a_running_job() {
    require!(extension);
    let postgres = server(&[]);
    let session = Session::open(&postgres.url("shop"));
    slow_vacuum(&session, "shop");
    table(&session, "orders");
    session.submit("'vacuum', 'orders'");
    session.until(WORKERS, "1");
    drop(session);
    let admin = Session::open(&postgres.url("postgres"));
    admin.until("SELECT count(*) FROM pg_stat_activity WHERE datname = 'shop' AND backend_type = 'client backend'", "0");
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
    slow_vacuum(&session, "shop");
    table(&session, "orders");
    let job = session.submit("'vacuum', 'orders'");
    session.until(WORKERS, "1");
    drop(session);
    let admin = Session::open(&postgres.url("postgres"));
    admin.until("SELECT count(*) FROM pg_stat_activity WHERE datname = 'shop' AND backend_type = 'client backend'", "0");
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
fn a_role_that_does_not_own_a_database_cannot_send_our_workers_away() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    let mallory = role(&session, "mallory", None);
    slow_vacuum(&session, &database.name);
    table(&session, "orders");
    let job = Session::open(&database.url).submit("'vacuum', 'orders'");
    session.until(WORKERS, "1");
    let worker = session.text("SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'pitcrew job'");
    let outside = database
        .url_as(&mallory)
        .replace(&database.name, "postgres")
        .replace("mallory_postgres", &mallory);
    let other = Session::open(&outside);
    assert_eq!(
        other
            .failure(&format!("DROP DATABASE {}", database.name))
            .code,
        "42501"
    );
    assert_eq!(
        session.text("SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'pitcrew job'"),
        worker
    );
    session.text(&format!("SELECT pitcrew.cancel_job({job})"));
    assert_eq!(session.ended(&job).0, "cancelled");
}

#[test]
fn a_lock_timeout_is_recorded_with_its_sqlstate() {
    require!(extension);
    let postgres = server(&[("pitcrew.job_lock_timeout", "100ms")]);
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
fn settings_of_the_role_do_not_stop_a_job() {
    require!(extension);
    let database = testing::database();
    let admin = Session::open(&database.url);
    let alice = role(&admin, "alice", Some("operator"));
    Session::open(&database.url_as(&alice)).run("CREATE TABLE hers (id int)");
    admin.run(&format!(
        "ALTER ROLE {alice} SET default_transaction_read_only = on; ALTER ROLE {alice} SET search_path = nowhere; \
         ALTER ROLE {alice} SET default_transaction_isolation = 'serializable'"
    ));
    let session = Session::open(&database.url_as(&alice));
    session.run("SET default_transaction_read_only = off");
    let job = session.submit("'create_index', 'public.hers', '{\"columns\": [\"id\"]}'");
    session.done(&job);
}

#[test]
fn a_role_without_login_is_told_what_to_do() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    let group = role(&session, "crew", Some("operator"));
    session.run(&format!(
        "ALTER ROLE {group} NOLOGIN; SET ROLE {group}; CREATE TABLE its (id int)"
    ));
    if session.number("SELECT current_setting('server_version_num')") < 170_000.0 {
        let failure = session.failure("SELECT pitcrew.submit_job('vacuum', 'its')");
        assert_eq!(failure.code, "28000");
        assert!(failure.hint.contains("LOGIN"), "{failure:?}");
    } else {
        let job = session.submit("'vacuum', 'its'");
        session.done(&job);
    }
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
        (
            "'create_index', 'parts', '{\"columns\": [\"id\"]}'",
            "0A000",
        ),
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
fn p6_a_replica_refuses_jobs() {
    require!(extension);
    let mut postgres = server(&[]);
    postgres.stop();
    fs::write(postgres.data_dir().join("standby.signal"), "").unwrap();
    postgres.start_again().unwrap();
    let session = Session::open(&postgres.url("shop"));
    assert_eq!(session.text("SELECT pg_is_in_recovery()"), "t");
    assert_eq!(
        session.failure("SELECT pitcrew.submit_job('vacuum')").code,
        "25006"
    );
    assert_eq!(
        session.failure("SELECT pitcrew.cancel_job(1)").code,
        "25006"
    );
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
    fs::write(postgres.data_dir().join("standby.signal"), "").unwrap();
    postgres.start_again().unwrap();
    let session = Session::open(&postgres.url("shop"));
    session.run("SELECT pg_promote()");
    assert_eq!(session.ended(&job).0, "orphaned");
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
