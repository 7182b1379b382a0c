//! The extension in a database that moves: dumped and restored, upgraded to a newer server, and dropped.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something unexpected happens"
)]

mod support;

use pitcrew_stack::{Postgres, PostgresOptions, require, testing};
use support::jobs::table;
use support::{Session, role, server};

/// A database with what there is to lose: a finished and an unfinished job, a schedule, a suppressed finding.
fn furnish(session: &Session) {
    table(session, "orders");
    let done = session.submit("'vacuum', 'orders'");
    session.done(&done);
    session.run(
        "SELECT pitcrew.schedule('often', '1 second', '{\"kind\": \"analyze\", \"target\": \"public.orders\"}'); \
         INSERT INTO pitcrew.suppressed_findings (cache_key, reason) VALUES ('idle_timeout', 'as it should be')",
    );
    session.until("SELECT runs > 0 FROM pitcrew.schedules", "t");
    session.run("SELECT pitcrew.pause_schedule('often')");
    session.until(
        "SELECT count(*) FROM pitcrew.jobs WHERE state IN ('queued', 'waiting_for_lock', 'running')",
        "0",
    );
    session.run("UPDATE pitcrew.schedule_rows SET paused_at = NULL, paused_because = NULL, next_run_at = now() + interval '1 hour'");
}

/// What has to be true wherever the furnished database has come to.
fn check(session: &Session) {
    // Whoever looks first is told, although nobody of ours has been here.
    assert_eq!(
        session.text("SELECT paused_because FROM pitcrew.schedules WHERE name = 'often' AND paused_at IS NOT NULL"),
        "made on another server, database or timeline"
    );
    session.run("SELECT pitcrew.submit_job('analyze', 'orders')");
    session.until(
        "SELECT paused_because FROM pitcrew.schedule_rows WHERE name = 'often'",
        "made on another server, database or timeline",
    );
    assert_eq!(
        session.text("SELECT reason FROM pitcrew.suppressed_findings"),
        "as it should be"
    );
    assert_eq!(
        session.text("SELECT count(*) FROM pitcrew.check('idle_timeout') WHERE severity NOT IN ('ok', 'skipped')"),
        "0"
    );
    // Taken up here it runs here, on the table that it was made for.
    let runs = session.number("SELECT runs FROM pitcrew.schedules");
    session.run("SELECT pitcrew.resume_schedule('often')");
    session.until(&format!("SELECT runs > {runs} FROM pitcrew.schedules"), "t");
    session.run("SELECT pitcrew.pause_schedule('often')");
    session.done("(SELECT max(id) FROM pitcrew.jobs WHERE schedule = 'often')");
    assert_eq!(
        session.text("SELECT DISTINCT command FROM pitcrew.jobs WHERE schedule = 'often'"),
        "ANALYZE public.orders"
    );
}

#[test]
fn p8_a_dump_restores_with_its_schedules_paused_and_its_suppressed_findings() {
    require!(statements);
    let from = server(&[]);
    let session = Session::open(&from.url("shop"));
    furnish(&session);
    let file = from.socket_dir().join("shop.dump");
    let file = file.to_str().unwrap();
    from.program("pg_dump", &["--format=custom", "--file", file, "shop"])
        .unwrap();
    // Into another server, and beside the original.
    let other = testing::another_server();
    let to = Postgres::start(
        &testing::slot(),
        &other,
        PostgresOptions::with_extension(&other),
    )
    .unwrap();
    for postgres in [&to, &from] {
        postgres.create_database("restored").unwrap();
        postgres
            .program(
                "pg_restore",
                &["--exit-on-error", "--dbname", "restored", file],
            )
            .unwrap();
        let restored = Session::open(&postgres.url("restored"));
        check(&restored);
        // Jobs are what was done there: none of them came along.
        assert_eq!(
            restored.text("SELECT count(*) FROM pitcrew.jobs WHERE origin <> pitcrew.job_origin()"),
            "0"
        );
        // Row security came along once, and works.
        assert_eq!(
            restored.text(
                "SELECT count(*) FROM pg_policy WHERE polrelid = 'pitcrew.schedule_rows'::regclass"
            ),
            "4"
        );
    }
    // The original goes on.
    session.run("SELECT pitcrew.run_schedule('often')");
    session.until("SELECT run_now FROM pitcrew.schedules", "f");
    assert_eq!(
        session.text("SELECT paused_at IS NULL FROM pitcrew.schedules"),
        "t"
    );
}

#[test]
fn p8_where_a_dump_is_restored_a_schedule_finds_its_owner_and_its_targets_by_name() {
    require!(extension);
    let from = server(&[]);
    let session = Session::open(&from.url("shop"));
    table(&session, "orders");
    let bob = role(&session, "bob", Some("operator"));
    session.run(
        "CREATE INDEX orders_id ON orders (id); CREATE TABLE gone (id int); CREATE TABLE old_name (id int); \
         SELECT pitcrew.schedule('index', '@yearly', '{\"kind\": \"reindex\", \"target\": \"public.orders_id\"}'); \
         SELECT pitcrew.schedule('gone', '@yearly', '{\"kind\": \"analyze\", \"target\": \"public.gone\"}'); \
         SELECT pitcrew.schedule('renamed', '@yearly', '{\"kind\": \"analyze\", \"target\": \"public.old_name\"}'); \
         DROP TABLE gone; ALTER TABLE old_name RENAME TO new_name",
    );
    Session::open(&from.socket_url(&bob, "shop")).run(
        "SELECT pitcrew.schedule('his', '@yearly', '{\"kind\": \"analyze_all_stale\"}'); SELECT pitcrew.run_schedule('his')",
    );
    // Here a new name is followed, and a dump has it once the schedule ran under it.
    assert_eq!(
        session.text("SELECT targets[1] FROM pitcrew.schedules WHERE name = 'renamed'"),
        "new_name"
    );
    session.run("SELECT pitcrew.run_schedule('renamed')");
    session.until(
        "SELECT sum(runs) FROM pitcrew.schedules WHERE name IN ('renamed', 'his')",
        "2",
    );
    session.done("(SELECT last_jobs[1] FROM pitcrew.schedules WHERE name = 'renamed')");
    let file = from.socket_dir().join("shop.dump");
    let file = file.to_str().unwrap();
    from.program(
        "pg_dump",
        &[
            "--format=custom",
            "--no-privileges",
            "--no-owner",
            "--file",
            file,
            "shop",
        ],
    )
    .unwrap();
    let to = server(&[]);
    let admin = Session::open(&to.url("shop"));
    // OIDs are other things' here: one is a table that is not meant.
    admin
        .run("DROP EXTENSION pg_pitcrew CASCADE; DROP SCHEMA pitcrew; CREATE TABLE other (id int)");
    to.create_database("restored").unwrap();
    to.program(
        "pg_restore",
        &[
            "--exit-on-error",
            "--single-transaction",
            "--no-owner",
            "--dbname",
            "restored",
            file,
        ],
    )
    .unwrap();
    let restored = Session::open(&to.url("restored"));
    let shown = restored.run("SELECT name, targets[1], owner = current_user, paused_at IS NOT NULL FROM pitcrew.schedules ORDER BY name");
    let shown: Vec<Vec<&str>> = shown
        .iter()
        .map(|row| {
            row.iter()
                .map(|cell| cell.as_deref().unwrap_or("-"))
                .collect()
        })
        .collect();
    assert_eq!(
        shown,
        [
            ["gone", "public.gone", "t", "t"],
            ["his", "-", "f", "t"],
            ["index", "public.orders_id", "t", "t"],
            ["renamed", "public.new_name", "t", "t"]
        ]
    );
    for (name, code) in [("gone", "42P01"), ("his", "42704")] {
        let refused = restored.failure(&format!("SELECT pitcrew.resume_schedule('{name}')"));
        assert_eq!(refused.code, code, "{refused:?}");
        assert!(refused.hint.contains("pitcrew.unschedule()"), "{refused:?}");
    }
    // Whoever happens to have the OID that its owner had there does not have it.
    let alice = role(&restored, "alice", Some("operator"));
    restored.run(&format!(
        "UPDATE pitcrew.schedule_rows SET owner = '{alice}'::regrole WHERE name = 'his'"
    ));
    let hers = Session::open(&to.socket_url(&alice, "restored"));
    for call in ["resume_schedule('his')", "unschedule('his')"] {
        assert_eq!(
            hers.failure(&format!("SELECT pitcrew.{call}")).code,
            "42501",
            "{call}"
        );
    }
    hers.run("UPDATE pitcrew.schedule_rows SET origin = pitcrew.job_origin(), paused_at = NULL; DELETE FROM pitcrew.schedule_rows");
    // Once he is here it is his, with his rights.
    restored.run(&format!(
        "CREATE ROLE {bob} LOGIN; SELECT pitcrew.grant_access('{bob}', 'operator')"
    ));
    let his = Session::open(&to.socket_url(&bob, "restored"));
    his.run("SELECT pitcrew.resume_schedule('his'); SELECT pitcrew.run_schedule('his')");
    restored.run("SELECT pitcrew.resume_schedule('index'); SELECT pitcrew.run_schedule('index')");
    let job = |name: &str| format!("(SELECT min(id) FROM pitcrew.jobs WHERE schedule = '{name}')");
    for (name, what, wanted) in [
        ("his", "submitter", bob.as_str()),
        (
            "index",
            "command",
            "REINDEX INDEX CONCURRENTLY public.orders_id",
        ),
    ] {
        let job = job(name);
        restored.until(&format!("SELECT {job} IS NOT NULL"), "t");
        restored.done(&job);
        assert_eq!(
            restored.text(&format!("SELECT {what} FROM pitcrew.jobs WHERE id = {job}")),
            wanted
        );
    }
    restored.run("SELECT pitcrew.unschedule('gone')");
    assert_eq!(restored.text("SELECT count(*) FROM pitcrew.schedules"), "3");
}

#[test]
fn p8_after_pg_upgrade_jobs_are_orphaned_schedules_paused_and_new_jobs_run() {
    require!(statements, older_server);
    let older = testing::older_server().unwrap();
    let mut old = Postgres::start(
        &testing::slot(),
        &older,
        PostgresOptions::with_extension(&older),
    )
    .unwrap();
    old.create_database("shop").unwrap();
    let session = Session::open(&old.url("shop"));
    session.run("CREATE EXTENSION pg_stat_statements; CREATE EXTENSION pg_pitcrew");
    furnish(&session);
    let holder = Session::open(&old.url("shop"));
    holder.run("BEGIN; LOCK TABLE orders IN ACCESS EXCLUSIVE MODE");
    let unfinished = session.submit("'vacuum', 'orders', '{\"full\": true}'");
    session.until(
        &format!("SELECT state FROM pitcrew.jobs WHERE id = {unfinished}"),
        "waiting_for_lock",
    );
    // A crash, so that nobody writes the job's end; the server has to be stopped in order before it is upgraded, and does
    // not get to the job as long as its table is locked.
    session.run("SELECT pitcrew.submit_job('vacuum', 'orders', '{\"freeze\": true}')");
    drop((session, holder));
    let new = old.upgraded(testing::server()).unwrap();
    let session = Session::open(&new.url("shop"));
    let major = testing::server().pg_config.major;
    assert_eq!(
        session.text("SELECT current_setting('server_version_num')::int / 10000"),
        major.to_string()
    );
    check(&session);
    // The finished job is history, and whatever was unfinished is run by nobody.
    session.until(
        "SELECT count(*) FROM pitcrew.jobs WHERE state IN ('queued', 'waiting_for_lock', 'running')",
        "0",
    );
    let states = session.text("SELECT string_agg(DISTINCT state, ',') FROM pitcrew.jobs WHERE origin <> pitcrew.job_origin() AND id > 1 AND schedule IS NULL");
    assert!(states.contains("orphaned"), "{states}");
    assert_eq!(
        session.text("SELECT state FROM pitcrew.jobs WHERE id = 1"),
        "done"
    );
    session.run("SELECT * FROM pitcrew.report(); SELECT * FROM pitcrew.status()");
}

#[test]
fn p8_drop_extension_leaves_nothing() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    // Everything in the catalogues that is no table of the test's.
    let objects = "SELECT count(*) FROM (SELECT oid FROM pg_class UNION ALL SELECT oid FROM pg_proc UNION ALL SELECT oid FROM pg_type \
                   UNION ALL SELECT oid FROM pg_constraint UNION ALL SELECT oid FROM pg_policy UNION ALL SELECT oid FROM pg_attrdef \
                   UNION ALL SELECT oid FROM pg_rewrite UNION ALL SELECT objoid FROM pg_description UNION ALL SELECT objid FROM pg_depend) o";
    session.run("DROP EXTENSION pg_pitcrew; DROP SCHEMA pitcrew");
    let before = session.text(objects);
    session.run("CREATE EXTENSION pg_pitcrew");
    assert_ne!(session.text(objects), before);
    furnish(&session);
    session.run("DROP TABLE orders");
    session.run("DROP EXTENSION pg_pitcrew; DROP SCHEMA pitcrew");
    assert_eq!(session.text(objects), before);
    // A schedule's coordinator does not stay for an extension that is gone.
    session.until("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND backend_type LIKE 'pitcrew%'", "0");
    // Nothing is in the way of a new one.
    session.run("CREATE EXTENSION pg_pitcrew");
    assert_eq!(session.text("SELECT count(*) FROM pitcrew.schedules"), "0");
}
