//! How jobs queue: joined, bounded, patient with locks, refused where they would do harm, and told of.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something unexpected happens"
)]

mod support;

use pitcrew_stack::{require, testing};
use support::jobs::table;
use support::{Session, role, server};

#[test]
fn two_identical_jobs_are_one() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    let bob = role(&session, "bob", Some("operator"));
    table(&session, "orders");
    let holder = Session::open(&database.url);
    holder.run("BEGIN; LOCK TABLE orders IN ACCESS EXCLUSIVE MODE");
    let first = session.submit("'vacuum', 'orders', '{\"analyze\": true, \"freeze\": true}'");
    assert_eq!(
        session.submit("'vacuum', 'orders', '{\"freeze\": true, \"analyze\": true}'"),
        first
    );
    session.until(
        &format!("SELECT state FROM pitcrew.jobs WHERE id = {first}"),
        "waiting_for_lock",
    );
    assert_eq!(
        session.submit("'vacuum', 'orders', '{\"analyze\": true, \"freeze\": true}'"),
        first
    );
    assert_eq!(
        session
            .submit("'vacuum', 'orders', '{\"analyze\": true, \"full\": false, \"freeze\": true}'"),
        first
    );
    // Another role's, and one that asks for something else, are others.
    let bobs = Session::open(&database.url_as(&bob)).submit("'analyze'");
    assert_ne!(session.submit("'analyze'"), bobs);
    assert_ne!(session.submit("'vacuum', 'orders'"), first);
    holder.run("ROLLBACK");
    session.done(&first);
    assert_ne!(
        session.submit("'vacuum', 'orders', '{\"analyze\": true, \"freeze\": true}'"),
        first
    );
}

#[test]
fn jobs_whose_options_state_defaults_are_one() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    table(&session, "orders");
    session.run("CREATE MATERIALIZED VIEW totals AS SELECT 1 AS id");
    // None of them is done: their table is locked.
    let holder = Session::open(&database.url);
    holder.run("BEGIN; LOCK TABLE orders IN ACCESS EXCLUSIVE MODE");
    for (kind, target, ways) in [
        (
            "vacuum",
            "'orders'",
            &[
                "'{}'",
                "NULL",
                "'null'",
                "'{\"full\": false}'",
                "'{\"analyze\": false, \"freeze\": false}'",
            ][..],
        ),
        (
            "create_index",
            "'orders'",
            &[
                "'{\"columns\": [\"id\"]}'",
                "'{\"columns\": [\"id\"], \"include\": [], \"name\": null}'",
            ],
        ),
        (
            "statistics",
            "'orders'",
            &[
                "'{\"columns\": [\"id\", \"filler\"], \"kinds\": [\"mcv\", \"ndistinct\"]}'",
                "'{\"columns\": [\"filler\", \"id\"], \"kinds\": [\"ndistinct\", \"mcv\"], \"name\": null}'",
            ],
        ),
    ] {
        let submit = |way: &str| session.submit(&format!("'{kind}', {target}, {way}"));
        let jobs: Vec<String> = ways.iter().map(|way| submit(way)).collect();
        assert!(jobs.iter().all(|job| *job == jobs[0]), "{kind}: {jobs:?}");
    }
    assert_eq!(
        session.text("SELECT string_agg(options::text, ' ' ORDER BY id) FROM pitcrew.jobs"),
        "{} {\"columns\": [\"id\"]} {\"kinds\": [\"ndistinct\", \"mcv\"], \"columns\": [\"filler\", \"id\"]}"
    );
    // A schedule's is the same job too.
    session.run(
        "SELECT pitcrew.schedule('often', '@yearly', '{\"kind\": \"vacuum\", \"target\": \"public.orders\", \"options\": {\"full\": false}}'); \
         SELECT pitcrew.run_schedule('often')",
    );
    session.until("SELECT runs FROM pitcrew.schedules", "1");
    assert_eq!(session.text("SELECT count(*) FROM pitcrew.jobs"), "3");
    // What is no default is another job.
    let all = "SELECT count(*) FROM pitcrew.jobs WHERE kind = 'refresh_matview'";
    session.run("BEGIN");
    for way in [
        "'{}'",
        "'{\"concurrently\": true}'",
        "'{\"concurrently\": false}'",
    ] {
        session.submit(&format!("'refresh_matview', 'totals', {way}"));
    }
    assert_eq!(session.text(all), "2");
    session.run("ROLLBACK");
    holder.run("ROLLBACK");
    session.until(
        "SELECT count(*) FROM pitcrew.jobs WHERE state = 'done'",
        "3",
    );
}

#[test]
fn a_job_that_cannot_get_its_lock_is_started_again_and_then_fails() {
    require!(extension);
    let postgres = server(&[
        ("pitcrew.job_lock_timeout", "100ms"),
        ("pitcrew.job_lock_retries", "2"),
        ("pitcrew.job_lock_backoff", "10ms"),
    ]);
    let session = Session::open(&postgres.url("shop"));
    table(&session, "orders");
    let holder = Session::open(&postgres.url("shop"));
    holder.run("BEGIN; LOCK TABLE orders IN ACCESS EXCLUSIVE MODE");
    let job = session.submit("'vacuum', 'orders', '{\"full\": true}'");
    let ended = session.ended(&job);
    assert_eq!((ended.0.as_str(), ended.1.as_str()), ("failed", "55P03"));
    assert_eq!(
        session.run(&format!(
            "SELECT attempts::text, hint FROM pitcrew.jobs WHERE id = {job} AND hint LIKE '%job_lock_retries%'"
        ))[0][0]
            .as_deref(),
        Some("3")
    );
    // Patience is rewarded.
    let job = session.submit("'vacuum', 'orders', '{\"full\": true}'");
    session.until(
        &format!("SELECT attempts > 0 FROM pitcrew.jobs WHERE id = {job}"),
        "t",
    );
    holder.run("ROLLBACK");
    session.done(&job);
}

#[test]
fn the_queue_is_bounded_and_says_what_to_do() {
    require!(extension);
    let postgres = server(&[("pitcrew.max_parallel_jobs", "1")]);
    let session = Session::open(&postgres.url("shop"));
    table(&session, "orders");
    let holder = Session::open(&postgres.url("shop"));
    holder.run("BEGIN; LOCK TABLE orders IN ACCESS EXCLUSIVE MODE");
    session.submit("'vacuum', 'orders'");
    session.run(
        "SELECT pitcrew.submit_job('vacuum_due', NULL, jsonb_build_object('limit', 1 + g % 1000)) FROM generate_series(1, 1000) g; \
         SELECT pitcrew.submit_job('rebuild_bloated_indexes', NULL, jsonb_build_object('min_size_mb', g)) FROM generate_series(1, 8999) g",
    );
    let refused = session.failure("SELECT pitcrew.submit_job('analyze')");
    assert_eq!(refused.code, "53400", "{refused:?}");
    assert!(refused.hint.contains("pitcrew.max_queued_jobs"));
    assert_eq!(
        session.text("SELECT count(*) FROM pitcrew.jobs WHERE state NOT IN ('done', 'failed')"),
        "10000"
    );
}

#[test]
fn an_old_transaction_that_a_build_would_wait_for_is_named() {
    require!(extension);
    let postgres = server(&[("pitcrew.job_max_transaction_age", "1s")]);
    let session = Session::open(&postgres.url("shop"));
    table(&session, "orders");
    session.run("CREATE TABLE other (id int)");
    let old = Session::open(&postgres.url("shop"));
    old.run("SET application_name = 'forgotten report'; BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT * FROM other");
    session.until(
        "SELECT clock_timestamp() - xact_start > '1.1 s' FROM pg_stat_activity WHERE application_name = 'forgotten report'",
        "t",
    );
    let job = session.submit("'create_index', 'orders', '{\"columns\": [\"id\"]}'");
    let ended = session.ended(&job);
    assert_eq!((ended.0.as_str(), ended.1.as_str()), ("failed", "55006"));
    assert!(ended.2.contains("forgotten report"), "{ended:?}");
    // Others go on beside it.
    let job = session.submit("'vacuum', 'orders'");
    session.done(&job);
    old.run("ROLLBACK");
    let job = session.submit("'create_index', 'orders', '{\"columns\": [\"id\"]}'");
    session.done(&job);
}

#[test]
fn a_full_disk_is_seen_before_the_job_writes() {
    require!(extension);
    let postgres = server(&[("pitcrew.job_min_free_disk", "1000TB")]);
    let session = Session::open(&postgres.url("shop"));
    table(&session, "orders");
    for job in [
        "'vacuum', 'orders', '{\"full\": true}'",
        "'create_index', 'orders', '{\"columns\": [\"id\"]}'",
        "'reindex', 'orders'",
    ] {
        let job = session.submit(job);
        assert_eq!(session.ended(&job).1, "53100");
    }
    let job = session.submit("'vacuum', 'orders'");
    session.done(&job);
}

#[test]
fn waiting_is_a_procedure_that_holds_up_no_build() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    table(&session, "orders");
    let build = session.submit("'create_index', 'orders', '{\"columns\": [\"id\"]}'");
    session.run(&format!("CALL pitcrew.wait_job({build})"));
    assert_eq!(session.ended(&build).0, "done");
    assert_eq!(session.failure("CALL pitcrew.wait_job(4711)").code, "P0002");
    assert_eq!(session.failure("CALL pitcrew.wait_job(NULL)").code, "22023");
    session.run("BEGIN");
    assert_eq!(
        session
            .failure(&format!("CALL pitcrew.wait_job({build})"))
            .code,
        "2D000"
    );
    session.run("ROLLBACK");
    let holder = Session::open(&database.url);
    holder.run("BEGIN; LOCK TABLE orders IN ACCESS EXCLUSIVE MODE");
    let job = session.submit("'vacuum', 'orders'");
    let late = session.failure(&format!("CALL pitcrew.wait_job({job}, 10)"));
    assert_eq!(late.code, "57014");
    assert!(late.message.contains("still"), "{late:?}");
    // Whoever waits holds no snapshot, which a build would have to wait for.
    let waiting = std::thread::spawn({
        let (url, job) = (database.url.clone(), job.clone());
        move || {
            Session::open(&url)
                .failure(&format!("CALL pitcrew.wait_job({job})"))
                .code
        }
    });
    session.until(
        "SELECT bool_and(backend_xmin IS NULL AND wait_event = 'Extension') FROM pg_stat_activity \
         WHERE datname = current_database() AND query LIKE 'CALL%' AND state = 'active'",
        "t",
    );
    holder.run("DROP TABLE orders; COMMIT");
    // The job's own error.
    let failed = session.failure(&format!("CALL pitcrew.wait_job({job})"));
    assert_eq!(failed.code, "42P01", "{failed:?}");
    assert_eq!(waiting.join().unwrap(), "42P01");
}

#[test]
fn a_dry_run_tells_commands_locks_and_history_and_does_nothing() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    table(&session, "orders");
    session.run(
        "CREATE TABLE parts (id int) PARTITION BY RANGE (id); CREATE TABLE low PARTITION OF parts FOR VALUES FROM (0) TO (9); \
         CREATE MATERIALIZED VIEW totals AS SELECT 1 AS n; CREATE INDEX one ON orders (id); \
         SELECT pg_stat_force_next_flush()",
    );
    for (arguments, command, lock) in [
        (
            "'vacuum', 'orders', '{\"full\": true}'",
            "VACUUM (FULL) public.orders",
            "ACCESS EXCLUSIVE",
        ),
        ("'vacuum', 'orders'", "VACUUM public.orders", "SHARE UPDATE"),
        ("'analyze'", "ANALYZE", "SHARE UPDATE"),
        (
            "'reindex', 'one'",
            "REINDEX INDEX CONCURRENTLY public.one",
            "SHARE UPDATE",
        ),
        (
            "'create_index', 'parts', '{\"columns\": [\"id\"]}'",
            "CREATE INDEX parts_id_idx ON ONLY public.parts (id)",
            "SHARE on",
        ),
        (
            "'refresh_matview', 'totals'",
            "REFRESH MATERIALIZED VIEW CONCURRENTLY public.totals",
            "EXCLUSIVE",
        ),
        (
            "'vacuum_due', NULL, '{\"limit\": 1}'",
            "VACUUM public.orders",
            "SHARE UPDATE",
        ),
    ] {
        let rows = session.run(&format!(
            "SELECT command, lock, basis FROM pitcrew.dry_run({arguments}) ORDER BY step"
        ));
        assert_eq!(rows[0][0].as_deref(), Some(command), "{arguments}");
        let told = rows[0][1].as_deref().unwrap();
        assert!(told.starts_with(lock), "{arguments}: {told}");
        assert!(
            rows[0][2].as_deref().unwrap().starts_with("no finished"),
            "{arguments}"
        );
    }
    let refused = session.failure("SELECT pitcrew.dry_run('drop_index', 'one')");
    assert_eq!(refused.code, "55000");
    assert_eq!(
        session.failure("SELECT pitcrew.dry_run('reboot')").code,
        "22023"
    );
    assert_eq!(session.text("SELECT count(*) FROM pitcrew.jobs"), "0");
    let job = session.submit("'vacuum', 'orders'");
    session.done(&job);
    assert_eq!(
        session.text("SELECT estimated_ms > 0 AND basis = 'median of 1 finished vacuum jobs, with what they waited' FROM pitcrew.dry_run('vacuum', 'orders')"),
        "t"
    );
}

#[test]
fn old_jobs_are_forgotten_but_not_who_made_an_index() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    table(&session, "orders");
    let build = session.submit("'create_index', 'orders', '{\"columns\": [\"id\"]}'");
    session.done(&build);
    session.run(
        "INSERT INTO pitcrew.jobs (kind, state) SELECT 'analyze', 'done' FROM generate_series(1, 10500)",
    );
    // Its coordinator leaves when it is done, and the next one tidies.
    session.until("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND backend_type LIKE 'pitcrew%'", "0");
    let job = session.submit("'vacuum', 'orders'");
    session.done(&job);
    assert_eq!(session.text("SELECT count(*) FROM pitcrew.jobs"), "10002");
    let drop = session.submit("'drop_index', 'orders_id_idx'");
    session.done(&drop);
}

#[test]
fn what_is_queued_past_the_bound_fails() {
    require!(extension);
    let postgres = server(&[("pitcrew.max_queued_jobs", "3")]);
    let session = Session::open(&postgres.url("shop"));
    table(&session, "orders");
    let holder = Session::open(&postgres.url("shop"));
    holder.run("BEGIN; LOCK TABLE orders IN ACCESS EXCLUSIVE MODE");
    let first = session.submit("'vacuum', 'orders'");
    session.until(
        &format!("SELECT state FROM pitcrew.jobs WHERE id = {first}"),
        "waiting_for_lock",
    );
    session.run(
        "INSERT INTO pitcrew.jobs (kind, target, options) SELECT 'create_index', 'orders', jsonb_build_object('columns', jsonb_build_array('id'), 'name', 'i' || g) FROM generate_series(1, 5) g",
    );
    session.until(
        "SELECT count(*) FROM pitcrew.jobs WHERE sqlstate = '53400'",
        "2",
    );
    holder.run("ROLLBACK");
    session.done(&first);
}

#[test]
fn each_change_of_state_is_told_to_who_listens() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    table(&session, "orders");
    let listener = support::jobs::Listener::open(&database.url, "pitcrew_jobs");
    let job = session.submit("'vacuum', 'orders'");
    session.done(&job);
    let told = |state: &str| format!("{{\"id\" : {job}, \"state\" : \"{state}\"}}");
    assert_eq!(
        listener.until(&told("done")),
        [told("queued"), told("running"), told("done")]
    );
}

#[test]
fn a_row_that_somebody_holds_keeps_its_own_job_waiting_and_no_other() {
    require!(extension);
    let postgres = server(&[]);
    let session = Session::open(&postgres.url("shop"));
    table(&session, "orders");
    table(&session, "parts");
    let locks = Session::open(&postgres.url("shop"));
    locks.run("BEGIN; LOCK TABLE orders IN ACCESS EXCLUSIVE MODE");
    let held = session.submit("'vacuum', 'orders'");
    session.until(
        &format!("SELECT state FROM pitcrew.jobs WHERE id = {held}"),
        "waiting_for_lock",
    );
    // Behind it on the same table: both rows are held while they are queued.
    let unwanted = session.submit("'vacuum', 'orders', '{\"freeze\": true}'");
    let queued = session.submit("'vacuum', 'orders', '{\"analyze\": true}'");
    let holder = Session::open(&postgres.url("shop"));
    holder.run(&format!(
        "BEGIN; SELECT id FROM pitcrew.jobs WHERE id IN ({held}, {unwanted}, {queued}) FOR UPDATE"
    ));
    locks.run("ROLLBACK");
    session.run(&format!("SELECT pitcrew.cancel_job({unwanted})"));
    // Others are taken, done and cancelled meanwhile.
    let other = session.submit("'vacuum', 'parts'");
    session.done(&other);
    locks.run("BEGIN; LOCK TABLE parts IN ACCESS EXCLUSIVE MODE");
    let other = session.submit("'vacuum', 'parts', '{\"full\": true}'");
    session.until(
        &format!("SELECT state FROM pitcrew.jobs WHERE id = {other}"),
        "waiting_for_lock",
    );
    session.run(&format!("SELECT pitcrew.cancel_job({other})"));
    assert_eq!(session.ended(&other).0, "cancelled");
    assert_eq!(
        session.text(&format!(
            "SELECT count(*) FROM pitcrew.jobs WHERE id IN ({held}, {unwanted}, {queued}) AND state IN ('queued', 'waiting_for_lock', 'running')"
        )),
        "3"
    );
    // What happened to them is written down once their rows are free, and nothing is done twice.
    holder.run("ROLLBACK");
    session.done(&held);
    session.done(&queued);
    assert_eq!(session.ended(&unwanted).0, "cancelled");
    assert_eq!(
        session.text(&format!(
            "SELECT string_agg(attempts::text, ' ' ORDER BY id) FROM pitcrew.jobs WHERE id IN ({held}, {unwanted}, {queued})"
        )),
        "1 0 1"
    );
    // A lock on all of them is waited for in pieces: who stops the server, or drops the database, does not wait for it.
    holder.run("BEGIN; LOCK TABLE pitcrew.jobs IN ACCESS EXCLUSIVE MODE");
    drop((session, locks, holder));
}

#[test]
fn what_is_wanted_at_once_does_not_join_what_ends_with_a_window() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    table(&session, "orders");
    let holder = Session::open(&database.url);
    holder.run("BEGIN; LOCK TABLE orders IN ACCESS EXCLUSIVE MODE");
    session.run(
        "SELECT pitcrew.schedule('nights', '@yearly', '{\"kind\": \"vacuum\", \"target\": \"public.orders\"}', \
             '{\"start\": \"00:00\", \"end\": \"00:00\", \"stop_at_end\": true}'); \
         SELECT pitcrew.run_schedule('nights')",
    );
    session.until("SELECT runs FROM pitcrew.schedules", "1");
    let windowed = session.text("SELECT last_jobs[1] FROM pitcrew.schedules");
    let wanted = session.submit("'vacuum', 'orders'");
    assert_ne!(wanted, windowed);
    assert_eq!(session.submit("'vacuum', 'orders'"), wanted);
    session.run(&format!(
        "UPDATE pitcrew.jobs SET not_after = now(), stop_after = now() WHERE id = {windowed}"
    ));
    assert_eq!(session.ended(&windowed).0, "cancelled");
    holder.run("ROLLBACK");
    session.done(&wanted);
}

#[test]
fn a_run_that_finds_its_job_queued_already_waits_for_that_one() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    table(&session, "orders");
    let holder = Session::open(&database.url);
    holder.run("BEGIN; LOCK TABLE orders IN ACCESS EXCLUSIVE MODE");
    let job = session.submit("'vacuum', 'orders'");
    session.run(
        "SELECT pitcrew.schedule('often', '1 second', '{\"kind\": \"vacuum\", \"target\": \"public.orders\"}')",
    );
    session.until("SELECT runs FROM pitcrew.schedules", "1");
    assert_eq!(
        session.text("SELECT last_jobs FROM pitcrew.schedules"),
        format!("{{{job}}}")
    );
    session.until("SELECT skipped >= 2 FROM pitcrew.schedules", "t");
    assert_eq!(session.text("SELECT runs FROM pitcrew.schedules"), "1");
    assert_eq!(session.text("SELECT count(*) FROM pitcrew.jobs"), "1");
    holder.run("ROLLBACK");
    session.done(&job);
}
