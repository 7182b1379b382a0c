//! Jobs that come again: made, run, skipped, paused, and refused. When something is due is tested in the crate
//! `pg_pitcrew_schedule`, at moments of its choice; here a run is asked for, or due each second.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something unexpected happens"
)]

mod support;

use pitcrew_stack::sql::literal;
use pitcrew_stack::{Postgres, require, testing};
use support::jobs::{WORKERS, as_standby, beside_shop, slow_vacuum, table};
use support::{Session, role, server};

const VACUUM: &str =
    "'{\"kind\": \"vacuum\", \"target\": \"public.orders\", \"options\": {\"analyze\": true}}'";
const NO_TARGET: &str = "'{\"kind\": \"vacuum_due\"}'";
const COORDINATORS: &str = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'pitcrew coordinator'";

/// Waits until a schedule has run so often.
fn until_runs(session: &Session, name: &str, runs: u32) {
    session.until(
        &format!(
            "SELECT runs >= {runs} FROM pitcrew.schedules WHERE name = {}",
            literal(name)
        ),
        "t",
    );
}

/// Has a schedule of `shop` run each second, and waits until it did once.
fn runs_often(postgres: &Postgres) {
    let session = Session::open(&postgres.url("shop"));
    table(&session, "orders");
    session.run(&format!(
        "SELECT pitcrew.schedule('often', '1 second', {VACUUM})"
    ));
    until_runs(&session, "often", 1);
}

fn seen(session: &Session, what: &str) -> Vec<String> {
    let rows = session.run(&format!("SELECT {what} FROM pitcrew.schedules"));
    rows[0]
        .iter()
        .map(|cell| cell.clone().unwrap_or_default())
        .collect()
}

#[test]
fn a_schedule_that_is_due_each_second_runs_again_and_again_as_its_owner() {
    require!(extension);
    let database = testing::database();
    let admin = Session::open(&database.url);
    let alice = role(&admin, "alice", Some("operator"));
    let session = Session::open(&database.url_as(&alice));
    table(&session, "orders");
    let next = session.text(&format!(
        "SELECT pitcrew.schedule('vacuum orders', '1 second', {VACUUM}) > now()"
    ));
    assert_eq!(next, "t");
    until_runs(&session, "vacuum orders", 3);
    session.run("SELECT pitcrew.unschedule('vacuum orders')");
    assert_eq!(session.text("SELECT count(*) FROM pitcrew.schedules"), "0");
    session.until(
        "SELECT count(*) FROM pitcrew.jobs WHERE state IN ('queued', 'waiting_for_lock', 'running')",
        "0",
    );
    let jobs = session.run(
        "SELECT DISTINCT kind, target::text, options::text, state, command, schedule, pg_get_userbyid(submitter::oid)::text FROM pitcrew.jobs",
    );
    let expected = [
        "vacuum",
        "orders",
        "{\"analyze\": true}",
        "done",
        "VACUUM (ANALYZE) public.orders",
        "vacuum orders",
        &alice,
    ];
    assert_eq!(jobs.len(), 1, "{jobs:?}");
    let job: Vec<_> = jobs[0]
        .iter()
        .map(|cell| cell.as_deref().unwrap())
        .collect();
    assert_eq!(job, expected);
    // Nothing stays without a schedule.
    session.until(COORDINATORS, "0");
}

#[test]
fn a_run_that_is_asked_for_runs_at_once_and_nobody_stays_for_the_next() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    table(&session, "orders");
    session.run(&format!(
        "SELECT pitcrew.schedule('yearly', '0 0 1 1 *', {VACUUM}, '{{\"start\": \"03:00\", \"end\": \"03:01\"}}')"
    ));
    session.until(COORDINATORS, "0");
    session.run("SELECT pitcrew.run_schedule('yearly')");
    until_runs(&session, "yearly", 1);
    let job = session.text("SELECT last_jobs[1] FROM pitcrew.schedules");
    session.done(&job);
    session.until(COORDINATORS, "0");
    // Its next run is where the rule and the window have it.
    assert_eq!(
        seen(
            &session,
            "runs, skipped, missed, to_char(next_run_at, 'MM-DD HH24:MI'), run_now"
        ),
        ["1", "0", "0", "01-01 03:00", "f"]
    );
}

#[test]
fn a_run_is_left_out_while_the_last_one_is_not_finished() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    table(&session, "orders");
    let holder = Session::open(&database.url);
    holder.run("BEGIN; LOCK TABLE orders IN ACCESS EXCLUSIVE MODE");
    session.run(&format!(
        "SELECT pitcrew.schedule('often', '1 second', {VACUUM})"
    ));
    session.until("SELECT skipped >= 2 FROM pitcrew.schedules", "t");
    assert_eq!(session.text("SELECT count(*) FROM pitcrew.jobs"), "1");
    session.run("SELECT pitcrew.pause_schedule('often')");
    let skipped = session.number("SELECT skipped FROM pitcrew.schedules");
    holder.run("ROLLBACK");
    session.done("(SELECT max(id) FROM pitcrew.jobs)");
    // Paused: not even on request, and it says why.
    let refused = session.failure("SELECT pitcrew.run_schedule('often')");
    assert_eq!(refused.code, "55000");
    assert!(refused.message.contains("paused by"), "{refused:?}");
    session.run("SELECT pitcrew.resume_schedule('often')");
    until_runs(&session, "often", 2);
    assert!(session.number("SELECT skipped FROM pitcrew.schedules") >= skipped);
}

#[test]
fn a_missed_run_is_made_up_for_once_or_left_out() {
    require!(extension);
    let mut postgres = server(&[]);
    let session = Session::open(&postgres.url("shop"));
    table(&session, "orders");
    for (name, catch_up) in [("made up", "once"), ("left out", "none")] {
        session.run(&format!(
            "SELECT pitcrew.schedule('{name}', '1 hour', {VACUUM}, catch_up => '{catch_up}')"
        ));
    }
    session.until(COORDINATORS, "0");
    // As if the server had been down for three hours.
    session.run("UPDATE pitcrew.schedule_rows SET next_run_at = now() - interval '3 hours', created_at = now() - interval '3 hours'");
    drop(session);
    postgres.restart().unwrap();
    let session = Session::open(&postgres.url("shop"));
    session.until(
        "SELECT bool_and(next_run_at > now()) FROM pitcrew.schedules",
        "t",
    );
    let rows = session.run("SELECT name, runs, missed, next_run_at <= now() + interval '1 hour' FROM pitcrew.schedules ORDER BY name");
    let rows: Vec<Vec<_>> = rows
        .iter()
        .map(|row| row.iter().map(|cell| cell.as_deref().unwrap()).collect())
        .collect();
    assert_eq!(
        rows,
        [["left out", "0", "1", "t"], ["made up", "1", "0", "t"]]
    );
}

#[test]
fn what_is_queued_or_runs_when_the_window_closes_is_cancelled() {
    require!(extension);
    let database = testing::database();
    let admin = Session::open(&database.url);
    slow_vacuum(&admin, &database.name);
    let session = Session::open(&database.url);
    table(&session, "orders");
    session.run("CREATE TABLE small (id int)");
    let window = "'{\"start\": \"00:00\", \"end\": \"00:00\", \"stop_at_end\": true}'";
    session.run(&format!(
        "SELECT pitcrew.schedule('all day', '@yearly', '[{{\"kind\": \"vacuum\", \"target\": \"public.orders\"}}, \
         {{\"kind\": \"vacuum\", \"target\": \"public.orders\", \"options\": {{\"analyze\": true}}}}]', {window})"
    ));
    session.run("SELECT pitcrew.run_schedule('all day')");
    session.until(WORKERS, "1");
    assert_eq!(
        session.text("SELECT count(*) FROM pitcrew.jobs WHERE not_after > now() AND not_after <= now() + interval '26 hours' AND stop_after = not_after"),
        "2"
    );
    // The window's end comes.
    session.run("UPDATE pitcrew.jobs SET not_after = now(), stop_after = now()");
    let running = session.ended("(SELECT min(id) FROM pitcrew.jobs)");
    assert_eq!(
        (running.0.as_str(), running.1.as_str()),
        ("cancelled", "57014")
    );
    let queued = session.ended("(SELECT max(id) FROM pitcrew.jobs)");
    assert_eq!(queued.0, "cancelled");
    assert!(queued.2.contains("window ended before"), "{queued:?}");
    let hint = session.text("SELECT hint FROM pitcrew.jobs ORDER BY id LIMIT 1");
    assert_eq!(hint, "Its maintenance window ended.");
}

#[test]
fn the_nightly_plan_is_five_jobs_in_one_window() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    table(&session, "orders");
    // Counted before the jobs look: what is told later would be added to what they leave.
    session.run("SELECT pg_stat_force_next_flush()");
    session.run("ANALYZE orders");
    let next = session.text(
        "SELECT to_char(pitcrew.schedule_nightly('{\"start\": \"02:30\", \"end\": \"04:00\", \"days\": [\"sat\", \"sun\"]}', 'Asia/Tokyo') AT TIME ZONE 'Asia/Tokyo', 'HH24:MI ID') ~ '^02:30 [67]$'",
    );
    assert_eq!(next, "t");
    session.run("SELECT pitcrew.run_schedule('nightly')");
    until_runs(&session, "nightly", 1);
    session.until(
        "SELECT count(*) FROM pitcrew.jobs WHERE state = 'done' AND schedule = 'nightly'",
        "5",
    );
    let kinds = session.text("SELECT string_agg(kind, ' ' ORDER BY id) FROM pitcrew.jobs");
    assert_eq!(
        kinds,
        "vacuum_due analyze_all_stale freeze_oldest rebuild_bloated_indexes repair_invalid_indexes"
    );
    // What was due was done: a third of the rows were dead.
    assert_eq!(
        session.text("SELECT n_dead_tup FROM pg_stat_user_tables WHERE relname = 'orders'"),
        "0"
    );
    // Called again it changes the one that is there.
    session.run("SELECT pitcrew.schedule_nightly()");
    assert_eq!(
        seen(
            &session,
            "count(*) OVER (), rule, maintenance_window ->> 'start'"
        ),
        ["1", "00 01 * * *", "01:00"]
    );
}

#[test]
fn nonsense_is_refused_with_a_sqlstate_and_what_to_write() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    table(&session, "orders");
    let job = "'{\"kind\": \"vacuum\"}'";
    // What is no name at all: before 16 the server itself says so.
    let no_name = match testing::server().pg_config.major {
        15 => "42602",
        _ => "42P01",
    };
    for (arguments, code) in [
        (format!("NULL, '@daily', {job}"), "22023"),
        (format!("'', '@daily', {job}"), "22023"),
        (format!("repeat('x', 201), '@daily', {job}"), "22023"),
        (format!("'n', NULL, {job}"), "22023"),
        (format!("'n', 'soon', {job}"), "22023"),
        (format!("'n', '61 * * * *', {job}"), "22023"),
        (format!("'n', '0 0 30 2 *', {job}"), "22023"),
        (format!("'n', '0 seconds', {job}"), "22023"),
        (format!("'n', '@daily', {job}, time_zone => 'Mars/Olympus'"), "22023"),
        (format!("'n', '@daily', {job}, time_zone => '../../etc/passwd'"), "22023"),
        (format!("'n', '@daily', {job}, jitter_seconds => 3601"), "22023"),
        (format!("'n', '@daily', {job}, jitter_seconds => -1"), "22023"),
        (format!("'n', '@daily', {job}, catch_up => 'twice'"), "22023"),
        (format!("'n', '@daily', {job}, '{{\"start\": \"22:00\"}}'"), "22023"),
        (format!("'n', '@daily', {job}, '{{\"start\": \"22:00\", \"end\": \"25:00\"}}'"), "22023"),
        ("'n', '@daily', NULL".to_owned(), "22023"),
        ("'n', '@daily', '[]'".to_owned(), "22023"),
        ("'n', '@daily', '\"vacuum\"'".to_owned(), "22023"),
        ("'n', '@daily', '{\"kind\": \"explode\"}'".to_owned(), "22023"),
        ("'n', '@daily', '{\"kind\": \"vacuum\", \"table\": \"x\"}'".to_owned(), "22023"),
        ("'n', '@daily', '{\"kind\": \"vacuum\", \"options\": {\"full\": 1}}'".to_owned(), "22023"),
        ("'n', '@daily', '{\"kind\": \"vacuum\", \"target\": 7}'".to_owned(), "22023"),
        ("'n', '@daily', '{\"kind\": \"vacuum\", \"target\": \"public.gone\"}'".to_owned(), "42P01"),
        ("'n', '@daily', '{\"kind\": \"vacuum\", \"target\": \"orders\"}'".to_owned(), "42P01"),
        ("'n', '@daily', '{\"kind\": \"vacuum\", \"target\": \"public.orders; DROP TABLE orders\"}'".to_owned(), no_name),
        ("'n', '@daily', '{\"kind\": \"create_index\", \"target\": \"public.orders\", \"options\": {\"columns\": [\"id\"]}}'".to_owned(), "22023"),
        (format!("'n', '@daily', (SELECT jsonb_agg({job}::jsonb) FROM generate_series(1, 21))"), "22023"),
    ] {
        let failure = session.failure(&format!("SELECT pitcrew.schedule({arguments})"));
        assert_eq!(failure.code, code, "{arguments}: {failure:?}");
    }
    assert_eq!(session.text("SELECT count(*) FROM pitcrew.schedules"), "0");
    for call in [
        "unschedule('n')",
        "pause_schedule('n')",
        "resume_schedule('n')",
        "run_schedule('n')",
    ] {
        assert_eq!(
            session.failure(&format!("SELECT pitcrew.{call}")).code,
            "P0002",
            "{call}"
        );
    }
    assert_eq!(
        session
            .failure("SELECT pitcrew.schedule_preview('@daily', runs => 1001)")
            .code,
        "22023"
    );
    assert_eq!(
        session
            .failure("SELECT pitcrew.schedule_nightly('{\"start\": \"x\", \"end\": \"y\"}')")
            .code,
        "22023"
    );
    assert_eq!(
        session
            .failure("SELECT pitcrew.schedule_nightly(NULL)")
            .code,
        "22023"
    );
    // A preview shows what it would be, and schedules nothing.
    let runs = session.run("SELECT to_char(run_at AT TIME ZONE 'UTC', 'MM-DD HH24:MI') FROM pitcrew.schedule_preview('30 2 * * *', NULL, 'Europe/Berlin', '2026-03-28 12:00+00', 2)");
    let runs: Vec<_> = runs.iter().map(|row| row[0].as_deref().unwrap()).collect();
    assert_eq!(runs, ["03-29 01:00", "03-30 00:30"]);
}

#[test]
fn a_preview_from_the_ends_of_time_and_in_a_zone_without_a_name() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    for after in ["infinity", "-infinity", "294276-12-31"] {
        let refused = session.failure(&format!(
            "SELECT * FROM pitcrew.schedule_preview('@daily', after => '{after}')"
        ));
        assert_eq!(refused.code, "22023", "{after}: {refused:?}");
        assert!(
            refused.message.contains("before the year 10000"),
            "{refused:?}"
        );
    }
    session.run("SET TIME ZONE 5");
    assert_eq!(
        session.text("SELECT run_at FROM pitcrew.schedule_preview('30 2 * * *', after => '2026-01-10', runs => 1)"),
        "2026-01-10 02:30:00+05"
    );
    session.run(&format!(
        "SELECT pitcrew.schedule('s', '@daily', {NO_TARGET})"
    ));
}

#[test]
fn a_preview_goes_on_after_a_day_that_a_zone_leaves_out() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    // Samoa had no 30 December 2011.
    let runs = session.run("SELECT to_char(run_at AT TIME ZONE 'Pacific/Apia', 'MM-DD HH24:MI') FROM pitcrew.schedule_preview('30 2 * * *', NULL, 'Pacific/Apia', '2011-12-28 23:00+00', 3)");
    let runs: Vec<_> = runs.iter().map(|row| row[0].as_deref().unwrap()).collect();
    assert_eq!(runs, ["12-29 02:30", "12-31 02:30", "01-01 02:30"]);
}

#[test]
fn p1_hostile_names_are_names_and_nothing_else() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    table(&session, "orders");
    for name in [
        "a\"b",
        "'; DROP TABLE orders; --",
        "$1",
        "%s",
        " ",
        "таблица",
        "back\\slash",
    ] {
        let quoted = literal(name);
        session.run(&format!(
            "SELECT pitcrew.schedule({quoted}, '@yearly', {VACUUM}, jitter_seconds => 60)"
        ));
        session.run(&format!("SELECT pitcrew.run_schedule({quoted})"));
        until_runs(&session, name, 1);
        session.until(
            &format!(
                "SELECT count(*) FROM pitcrew.jobs WHERE schedule = {quoted} AND state = 'done'"
            ),
            "1",
        );
        session.run(&format!("SELECT pitcrew.pause_schedule({quoted}); SELECT pitcrew.resume_schedule({quoted}); SELECT pitcrew.unschedule({quoted})"));
    }
    assert_eq!(session.text("SELECT count(*) FROM pitcrew.schedules"), "0");
    assert_eq!(session.text("SELECT count(*) FROM orders"), "3334");
}

#[test]
fn a_schedule_is_its_owners_alone() {
    require!(extension);
    let database = testing::database();
    let admin = Session::open(&database.url);
    let alice = role(&admin, "alice", Some("operator"));
    let bob = role(&admin, "bob", Some("operator"));
    let reader = role(&admin, "reader", Some("reader"));
    let hers = Session::open(&database.url_as(&alice));
    let his = Session::open(&database.url_as(&bob));
    hers.run("CREATE TABLE orders (id int)");
    hers.run(&format!(
        "SELECT pitcrew.schedule('hers', '@yearly', {VACUUM})"
    ));
    for call in [
        format!("pitcrew.schedule('hers', '@daily', {VACUUM})"),
        "pitcrew.schedule('hers', '@daily', '{\"kind\": \"vacuum\"}')".to_owned(),
        "pitcrew.unschedule('hers')".to_owned(),
        "pitcrew.pause_schedule('hers')".to_owned(),
        "pitcrew.resume_schedule('hers')".to_owned(),
        "pitcrew.run_schedule('hers')".to_owned(),
        format!("pitcrew.schedule('his', '@daily', {VACUUM})"),
    ] {
        assert_eq!(
            his.failure(&format!("SELECT {call}")).code,
            "42501",
            "{call}"
        );
    }
    // Past the functions: other rows are not his, and columns that are the coordinator's are nobody's.
    his.run("UPDATE pitcrew.schedule_rows SET rule = '@daily'; DELETE FROM pitcrew.schedule_rows");
    assert_eq!(seen(&hers, "rule"), ["@yearly"]);
    his.run(&format!(
        "SELECT pitcrew.schedule('own', '@yearly', {NO_TARGET})"
    ));
    for statement in [
        format!(
            "INSERT INTO pitcrew.schedule_rows (name, rule, time_zone, kinds, targets, options, owner) VALUES ('x', '@daily', 'UTC', '{{vacuum}}', '{{NULL}}', '[{{}}]', '{alice}'::regrole)"
        ),
        format!("UPDATE pitcrew.schedule_rows SET owner = '{alice}'::regrole"),
        "UPDATE pitcrew.schedule_rows SET runs = 7".to_owned(),
    ] {
        assert_eq!(his.failure(&statement).code, "42501", "{statement}");
    }
    // What was asked for before a pause is done after it.
    his.run("SELECT pitcrew.run_schedule('own'); SELECT pitcrew.pause_schedule('own')");
    his.run("SELECT pitcrew.resume_schedule('own')");
    until_runs(&his, "own", 1);
    his.run("SELECT pitcrew.unschedule('own')");
    let outside = Session::open(&database.url_as(&reader));
    assert_eq!(outside.text("SELECT count(*) FROM pitcrew.schedules"), "1");
    outside.run("SELECT * FROM pitcrew.schedule_preview('@daily')");
    assert_eq!(
        outside.failure("SELECT pitcrew.unschedule('hers')").code,
        "42501"
    );

    // What he writes past pitcrew.schedule() runs with his rights, or is paused and says why.
    his.run(
        "INSERT INTO pitcrew.schedule_rows (name, rule, time_zone, kinds, targets, options) VALUES \
         ('her table', '@yearly', 'UTC', '{vacuum}', ARRAY['orders'::regclass], '[{}]'), \
         ('nonsense', 'soon', 'UTC', '{vacuum}', '{NULL}', '[{}]'), \
         ('no kind', '@yearly', 'UTC', '{explode}', '{NULL}', '[{}]')",
    );
    his.run("SELECT pitcrew.run_schedule('her table'); SELECT pitcrew.run_schedule('no kind')");
    for (name, code) in [("her table", "42501"), ("no kind", "22023")] {
        until_runs(&his, name, 1);
        let ended = his.ended(&format!(
            "(SELECT last_jobs[1] FROM pitcrew.schedules WHERE name = '{name}')"
        ));
        assert_eq!(
            (ended.0.as_str(), ended.1.as_str()),
            ("failed", code),
            "{name}"
        );
    }
    his.until(
        "SELECT sqlstate FROM pitcrew.schedules WHERE name = 'nonsense' AND paused_at IS NOT NULL",
        "22023",
    );
    // Rights that are gone: the schedule stops and says so.
    admin.run(&format!(
        "REVOKE INSERT (kind, target, options, command) ON pitcrew.jobs FROM {alice}"
    ));
    hers.run("SELECT pitcrew.run_schedule('hers')");
    hers.until(
        "SELECT sqlstate FROM pitcrew.schedules WHERE name = 'hers' AND paused_at IS NOT NULL",
        "42501",
    );
    assert_eq!(
        hers.text("SELECT count(*) FROM pitcrew.jobs WHERE schedule = 'hers'"),
        "0"
    );
}

#[test]
fn an_open_transaction_of_an_operator_keeps_one_schedule_waiting_and_no_other() {
    require!(extension);
    let postgres = server(&[]);
    let session = Session::open(&postgres.url("shop"));
    session.run("CREATE TABLE orders (id int); CREATE TABLE parts (id int)");
    for (name, table) in [("held", "orders"), ("free", "parts")] {
        session.run(&format!(
            "SELECT pitcrew.schedule('{name}', '1 second', '{{\"kind\": \"analyze\", \"target\": \"public.{table}\"}}')"
        ));
    }
    until_runs(&session, "held", 1);
    let holder = Session::open(&postgres.url("shop"));
    holder.run("BEGIN");
    holder.run("SELECT pitcrew.pause_schedule('held')");
    let runs = session.number("SELECT runs FROM pitcrew.schedules WHERE name = 'free'") as u32;
    until_runs(&session, "free", runs + 2);
    // Jobs are taken and cancelled meanwhile.
    let job = session.submit("'vacuum', 'orders'");
    session.done(&job);
    holder.run("ROLLBACK");
    let runs = session.number("SELECT runs FROM pitcrew.schedules WHERE name = 'held'") as u32;
    until_runs(&session, "held", runs + 1);
}

#[test]
fn their_number_is_bounded() {
    require!(extension);
    let postgres = server(&[("pitcrew.max_schedules", "3")]);
    let session = Session::open(&postgres.url("shop"));
    let job = "'{\"kind\": \"vacuum_due\"}'";
    for number in 1..=3 {
        session.run(&format!(
            "SELECT pitcrew.schedule('s{number}', '@yearly', {job})"
        ));
    }
    let refused = session.failure(&format!("SELECT pitcrew.schedule('s4', '@yearly', {job})"));
    assert_eq!(refused.code, "53400");
    assert!(
        refused.hint.contains("pitcrew.max_schedules"),
        "{refused:?}"
    );
    // One that is there can still be changed.
    session.run(&format!("SELECT pitcrew.schedule('s3', '@daily', {job})"));
    // Written past the function, the newest is paused.
    session.run("INSERT INTO pitcrew.schedule_rows (name, rule, time_zone, kinds, targets, options) VALUES ('s5', '@daily', 'UTC', '{vacuum_due}', '{NULL}', '[{}]')");
    session.run("SELECT pitcrew.run_schedule('s1')");
    session.until(
        "SELECT sqlstate FROM pitcrew.schedules WHERE name = 's5' AND paused_at IS NOT NULL",
        "53400",
    );
    assert_eq!(
        session.text("SELECT count(*) FROM pitcrew.schedules WHERE paused_at IS NULL"),
        "3"
    );
}

#[test]
fn in_a_clone_schedules_are_paused_and_say_so() {
    require!(extension);
    let postgres = server(&[]);
    runs_often(&postgres);
    let admin = beside_shop(&postgres);
    // A coordinator that waits for the next run stands in nobody's way.
    admin.run("CREATE DATABASE clone TEMPLATE shop");
    let clone = Session::open(&postgres.url("clone"));
    // Whoever looks is told at once, and nothing is run that would say so later.
    let look = "SELECT paused_because, hint LIKE '%resume_schedule(''often'')%', run_now FROM pitcrew.schedules WHERE paused_at IS NOT NULL";
    let wanted = [["made on another server, database or timeline", "t", "f"]
        .map(|cell| Some(cell.to_owned()))];
    assert_eq!(clone.run(look), wanted);
    let refused = clone.failure("SELECT pitcrew.run_schedule('often')");
    assert_eq!(refused.code, "55000", "{refused:?}");
    assert!(
        refused.hint.contains("pitcrew.resume_schedule()"),
        "{refused:?}"
    );
    let job = clone.submit("'analyze', 'orders'");
    clone.done(&job);
    clone.until(
        "SELECT paused_because FROM pitcrew.schedule_rows",
        "made on another server, database or timeline",
    );
    assert_eq!(clone.run(look), wanted);
    let runs = clone.number("SELECT runs FROM pitcrew.schedules");
    clone.run("SELECT pitcrew.resume_schedule('often')");
    until_runs(&clone, "often", runs as u32 + 1);
    // In the original it goes on all the same.
    let session = Session::open(&postgres.url("shop"));
    let runs = session.number("SELECT runs FROM pitcrew.schedules");
    until_runs(&session, "often", runs as u32 + 1);
    drop(session);
    beside_shop(&postgres).run("DROP DATABASE shop");
}

#[test]
fn on_a_promoted_standby_schedules_are_paused_and_on_a_replica_refused() {
    require!(extension);
    let mut postgres = server(&[]);
    runs_often(&postgres);
    postgres.stop();
    let session = as_standby(&mut postgres);
    for call in [
        format!("schedule('x', '@daily', {VACUUM})"),
        "run_schedule('often')".to_owned(),
        "resume_schedule('often')".to_owned(),
    ] {
        assert_eq!(
            session.failure(&format!("SELECT pitcrew.{call}")).code,
            "25006",
            "{call}"
        );
    }
    // They are its primary's, and run there.
    assert_eq!(
        session.text("SELECT count(*) FROM pitcrew.schedules WHERE paused_at IS NOT NULL"),
        "0"
    );
    session.run("SELECT pg_promote()");
    // Whoever looks first is told.
    assert_eq!(
        session.text("SELECT paused_because FROM pitcrew.schedules WHERE paused_at IS NOT NULL"),
        "made on another server, database or timeline"
    );
    session.until(
        "SELECT paused_because FROM pitcrew.schedule_rows",
        "made on another server, database or timeline",
    );
}

#[test]
fn a_schedule_whose_owner_or_whose_dates_are_gone_is_paused_and_says_so() {
    require!(extension);
    let database = testing::database();
    let admin = Session::open(&database.url);
    let alice = role(&admin, "alice", Some("operator"));
    let hers = Session::open(&database.url_as(&alice));
    hers.run("SELECT pitcrew.schedule('hers', '1 second', '{\"kind\": \"vacuum_due\"}')");
    until_runs(&hers, "hers", 1);
    drop(hers);
    admin.run(&format!("DROP OWNED BY {alice}; DROP ROLE {alice}"));
    admin.until(
        "SELECT sqlstate FROM pitcrew.schedules WHERE name = 'hers' AND paused_at IS NOT NULL",
        "42501",
    );
    assert_eq!(
        admin.text("SELECT paused_because FROM pitcrew.schedules WHERE name = 'hers'"),
        "its owner may no longer queue jobs"
    );
    // Whoever may makes it his own.
    assert_eq!(
        admin.failure("SELECT pitcrew.resume_schedule('hers')").code,
        "42704"
    );
    admin.run(&format!("SELECT pitcrew.schedule('hers', '@yearly', {NO_TARGET}); SELECT pitcrew.run_schedule('hers')"));
    until_runs(&admin, "hers", 2);
    assert_eq!(
        admin.text("SELECT owner = current_user FROM pitcrew.schedules WHERE name = 'hers'"),
        "t"
    );
    // A pattern with a year comes to its end. Its last date is past when the row is taken up again.
    let year = admin.text("SELECT extract(year FROM now())::int + 1");
    admin.run(&format!(
        "SELECT pitcrew.schedule('once', '0 0 0 1 1 * {year}', '{{\"kind\": \"vacuum_due\"}}')"
    ));
    admin.run("UPDATE pitcrew.schedule_rows SET rule = '0 0 0 1 1 * 2001', next_run_at = NULL, created_at = '2000-01-01' WHERE name = 'once'");
    admin.run("SELECT pitcrew.schedule('other', '@yearly', '{\"kind\": \"vacuum_due\"}')");
    admin.until(
        "SELECT paused_because FROM pitcrew.schedules WHERE name = 'once'",
        "no date is left that it is due on",
    );
}
