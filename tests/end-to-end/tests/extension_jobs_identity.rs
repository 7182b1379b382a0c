//! As whom a job runs: as its submitter, whatever happened before it.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something unexpected happens"
)]

mod support;

use pitcrew_stack::{require, testing};
use support::jobs::{WORKERS, slow_vacuum, submitted_before, table};
use support::{Session, role};

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

    // Options that nobody can read are no options, and stop nobody else.
    bob_session.run("INSERT INTO pitcrew.jobs (kind, target, options) VALUES ('vacuum', 'his', '{\"full\": 1e400}')");
    let wake = bob_session.submit("'analyze', 'his'");
    bob_session.done(&wake);
    let unread = admin.text("SELECT id FROM pitcrew.jobs WHERE options @> '{\"full\": 1e400}'");
    let ended = admin.ended(&unread);
    assert_eq!((ended.0.as_str(), ended.1.as_str()), ("failed", "22023"));
    admin.run("SELECT * FROM pitcrew.dry_run('vacuum', 'his')");

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
        "waiting_for_lock",
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
fn p12_a_job_submitted_under_set_role_runs_as_that_role() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    let bob = role(&session, "bob", Some("operator"));
    table(&session, "ours");
    session.run(&format!("SET ROLE {bob}; CREATE TABLE his (id int)"));
    let build = session.submit("'create_index', 'his', '{\"columns\": [\"id\"]}'");
    session.done(&build);
    // Past the function's own check: were the worker the session's user, a superuser, this would be done.
    session.run("INSERT INTO pitcrew.jobs (kind, target) VALUES ('vacuum', 'ours')");
    let wake = session.submit("'vacuum', 'his'");
    session.done(&wake);
    session.run("RESET ROLE");
    assert_eq!(
        session.text("SELECT pg_get_userbyid(relowner) FROM pg_class WHERE relname = 'his_id_idx'"),
        bob
    );
    let forged = session.text("SELECT id FROM pitcrew.jobs WHERE target = 'ours'::regclass");
    assert_eq!(session.ended(&forged).1, "42501");
}

#[test]
fn p12_a_job_of_a_dropped_role_never_runs() {
    require!(extension);
    let database = testing::database();
    let admin = Session::open(&database.url);
    let bob = role(&admin, "bob", Some("operator"));
    let bob_session = Session::open(&database.url_as(&bob));
    let job = submitted_before(&bob_session, "'analyze'", || {
        admin.run(&format!("DROP OWNED BY {bob}; DROP ROLE {bob}"));
    });
    let ended = admin.ended(&job);
    assert_eq!(
        (ended.0.as_str(), ended.1.as_str()),
        ("failed", "28000"),
        "{ended:?}"
    );
}

#[test]
fn p12_what_was_revoked_after_submission_is_refused() {
    require!(extension);
    let database = testing::database();
    let admin = Session::open(&database.url);
    let bob = role(&admin, "bob", Some("operator"));
    let bob_session = Session::open(&database.url_as(&bob));
    bob_session.run("CREATE TABLE his (id int); CREATE TABLE also (id int)");
    let lost = submitted_before(&bob_session, "'vacuum', 'his'", || {
        admin.run("ALTER TABLE his OWNER TO CURRENT_USER");
    });
    let ended = admin.ended(&lost);
    assert_eq!(
        (ended.0.as_str(), ended.1.as_str()),
        ("failed", "42501"),
        "{ended:?}"
    );
    let closed = submitted_before(&bob_session, "'vacuum', 'also'", || {
        admin.run(&format!(
            "REVOKE CONNECT ON DATABASE {} FROM PUBLIC",
            database.name
        ));
    });
    let ended = admin.ended(&closed);
    assert_eq!(
        (ended.0.as_str(), ended.1.as_str()),
        ("failed", "42501"),
        "{ended:?}"
    );
    assert_eq!(
        admin.text("SELECT bool_and(pg_stat_get_last_vacuum_time(oid) IS NULL) FROM pg_class WHERE relname IN ('his', 'also')"),
        "t"
    );
}

#[test]
fn who_has_maintain_runs_what_an_owner_runs_but_builds_and_drops_no_index() {
    require!(maintain);
    let database = testing::database();
    let admin = Session::open(&database.url);
    let alice = role(&admin, "alice", Some("operator"));
    let bob = role(&admin, "bob", Some("operator"));
    let hers = Session::open(&database.url_as(&alice));
    let his = Session::open(&database.url_as(&bob));
    hers.run(
        "CREATE TABLE orders (id int PRIMARY KEY) WITH (autovacuum_enabled = off); \
         INSERT INTO orders SELECT generate_series(1, 1000); DELETE FROM orders WHERE id > 500; \
         CREATE TABLE other (id int); CREATE MATERIALIZED VIEW seen AS SELECT * FROM orders; \
         CREATE UNIQUE INDEX ON seen (id)",
    );
    let jobs = [
        "'vacuum', 'orders'",
        "'analyze', 'orders'",
        "'reindex', 'orders'",
        "'reindex', 'orders_pkey'",
        "'refresh_matview', 'seen'",
    ];
    for job in jobs {
        let refused = his.failure(&format!("SELECT pitcrew.submit_job({job})"));
        assert_eq!(refused.code, "42501", "{job}");
        assert!(refused.message.contains("MAINTAIN"), "{job}: {refused:?}");
    }
    hers.run(&format!("GRANT MAINTAIN ON orders, seen TO {bob}"));
    for job in jobs {
        let id = his.submit(job);
        his.done(&id);
    }
    let submitters =
        "SELECT string_agg(DISTINCT pg_get_userbyid(submitter::oid), ',') FROM pitcrew.jobs";
    assert_eq!(admin.text(submitters), bob);
    // It goes no further than the privilege does, neither by kind nor by table.
    for job in [
        "'create_index', 'orders', '{\"columns\": [\"id\"]}'",
        "'vacuum', 'other'",
        "'drop_index', 'orders_pkey'",
    ] {
        let refused = his.failure(&format!("SELECT pitcrew.submit_job({job})"));
        assert_eq!(refused.code, "42501", "{job}");
    }
    // A job over many tables takes those that it may.
    hers.run(
        "DELETE FROM orders; INSERT INTO other SELECT generate_series(1, 1000); DELETE FROM other",
    );
    hers.run("ALTER TABLE other SET (autovacuum_enabled = off); SELECT pg_stat_force_next_flush()");
    hers.run("SELECT 1");
    let due = his.submit("'vacuum_due'");
    his.done(&due);
    assert_eq!(
        admin.text(&format!(
            "SELECT command FROM pitcrew.jobs WHERE id = {due}"
        )),
        "VACUUM public.orders"
    );
    hers.run(&format!("REVOKE MAINTAIN ON orders FROM {bob}"));
    assert_eq!(
        his.failure("SELECT pitcrew.submit_job('vacuum', 'orders')")
            .code,
        "42501"
    );
}
