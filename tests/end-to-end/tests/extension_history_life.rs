//! What history is after restarts, resets, promotions and crashes, what it leaves alone, and how it stays within its size.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something unexpected happens"
)]

mod support;

use pitcrew_stack::{require, testing};
use support::history::{NEGATIVE, calls, gaps, queryid, sample};
use support::jobs::{as_standby, slow_vacuum};
use support::{Session, server};

fn run(session: &Session, times: usize) {
    for number in 0..times {
        session.run(&format!("SELECT 'x' || {number}"));
    }
}

#[test]
fn a_restart_is_marked_and_counting_goes_on() {
    require!(statements);
    let mut postgres = server(&[]);
    let session = Session::open(&postgres.url("shop"));
    run(&session, 4);
    sample(&session);
    run(&session, 3);
    drop(session);
    postgres.restart().unwrap();
    let session = Session::open(&postgres.url("shop"));
    run(&session, 2);
    let tick = sample(&session);
    assert_eq!(gaps(&session, tick), "restart");
    let id = queryid(&session, "SELECT $1 || $2");
    // A restart forgets nothing.
    assert_eq!(calls(&session, &id, tick), 5);
    assert_eq!(
        session.text(&format!("SELECT calls_per_second IS NULL FROM pitcrew.query_trend({id}) ORDER BY at DESC LIMIT 1")),
        "t"
    );
    run(&session, 1);
    let next = sample(&session);
    assert_eq!(gaps(&session, next), "");
    assert_eq!(session.text(NEGATIVE), "0");
}

#[test]
fn resets_are_marked_and_nothing_is_negative_or_invented() {
    require!(statements);
    let postgres = server(&[]);
    let session = Session::open(&postgres.url("shop"));
    session.run("CREATE TABLE t (id int); INSERT INTO t SELECT generate_series(1, 500)");
    run(&session, 6);
    sample(&session);
    let id = queryid(&session, "SELECT $1 || $2");
    run(&session, 1);
    session.run("SELECT pg_stat_statements_reset(); SELECT pg_stat_reset()");
    run(&session, 2);
    session.run("INSERT INTO t SELECT generate_series(1, 20)");
    let tick = sample(&session);
    assert_eq!(gaps(&session, tick), "statistics reset, statements reset");
    // What the server forgot is lost; what came after is there.
    assert_eq!(calls(&session, &id, tick), 2);
    assert_eq!(
        session.text("SELECT inserted FROM pitcrew.table_growth() WHERE object = 'public.t'"),
        "20"
    );
    assert_eq!(session.text(NEGATIVE), "0");
}

#[test]
fn a_tick_whose_statements_cannot_be_read_is_a_tick_and_says_so() {
    require!(statements);
    let postgres = server(&[("pg_stat_statements.track", "all")]);
    let session = Session::open(&postgres.url("shop"));
    session.run("CREATE TABLE t (id int)");
    run(&session, 1);
    sample(&session);
    // A byte that is a letter there, and nothing here.
    session.run(
        "CREATE DATABASE bytes ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0",
    );
    Session::open(&postgres.url("bytes"))
        .run("DO $$ BEGIN EXECUTE 'SELECT 1 AS \"' || chr(233) || '\"'; END $$");
    assert_eq!(
        session.failure("SELECT * FROM pg_stat_statements").code,
        "22021"
    );
    run(&session, 2);
    session.run("INSERT INTO t SELECT generate_series(1, 20)");
    let tick = sample(&session);
    assert_eq!(gaps(&session, tick), "statements not read");
    assert_eq!(
        session.text("SELECT inserted FROM pitcrew.table_growth() WHERE object = 'public.t'"),
        "20"
    );
    // The next that can be read has what was counted meanwhile, and no rate of it.
    session.run("DROP DATABASE bytes");
    session.run("SELECT count(*) FROM (SELECT pg_stat_statements_reset(s.userid, s.dbid, s.queryid) FROM pg_stat_statements(false) s WHERE s.dbid NOT IN (SELECT oid FROM pg_database)) r");
    run(&session, 4);
    let tick = sample(&session);
    assert_eq!(gaps(&session, tick), "statements not read before");
    let id = queryid(&session, "SELECT $1 || $2");
    assert_eq!(calls(&session, &id, tick), 6);
    run(&session, 1);
    let next = sample(&session);
    assert_eq!(gaps(&session, next), "");
    assert_eq!(calls(&session, &id, next), 1);
}

#[test]
fn a_crash_loses_counters_and_no_history() {
    require!(statements);
    let mut postgres = server(&[]);
    let session = Session::open(&postgres.url("shop"));
    session.run("CREATE TABLE t (id int); INSERT INTO t SELECT generate_series(1, 500)");
    run(&session, 6);
    let before = sample(&session);
    // The tick is on disk when its WAL is.
    session.run("CHECKPOINT");
    postgres.kill();
    drop(session);
    postgres.start_again().unwrap();
    let session = Session::open(&postgres.url("shop"));
    session.run("INSERT INTO t SELECT generate_series(1, 20)");
    let tick = sample(&session);
    assert!(gaps(&session, tick).starts_with("restart"));
    assert_eq!(
        session.text(&format!(
            "SELECT count(*) FROM pitcrew.history_ticks WHERE id IN ({before}, {tick})"
        )),
        "2"
    );
    assert_eq!(
        session.text("SELECT inserted FROM pitcrew.table_growth() WHERE object = 'public.t'"),
        "20"
    );
    assert_eq!(session.text(NEGATIVE), "0");
}

#[test]
fn a_replica_refuses_and_after_its_promotion_another_server_s_counters_are_not_continued() {
    require!(statements);
    let mut postgres = server(&[]);
    let session = Session::open(&postgres.url("shop"));
    run(&session, 6);
    sample(&session);
    session.run("CHECKPOINT");
    postgres.stop();
    drop(session);
    let session = as_standby(&mut postgres);
    let failure = session.failure("SELECT pitcrew.history_sample()");
    assert_eq!(failure.code, "25006");
    // Reading goes on.
    assert_eq!(
        session.text("SELECT detail FROM pitcrew.history_status()"),
        "this server is a replica: its primary samples"
    );
    run(&session, 5);
    session.run("SELECT pg_promote()");
    let tick = sample(&session);
    assert_eq!(gaps(&session, tick), "other server");
    let id = queryid(&session, "SELECT $1 || $2");
    assert_eq!(calls(&session, &id, tick), 0);
    run(&session, 2);
    let next = sample(&session);
    assert_eq!(calls(&session, &id, next), 2);
    assert_eq!(session.text(NEGATIVE), "0");
    assert_eq!(
        session.text("SELECT count(*) FROM pitcrew.history_events"),
        "0"
    );
}

#[test]
fn a_clone_knows_that_it_is_one() {
    require!(extension);
    let postgres = server(&[]);
    let session = Session::open(&postgres.url("shop"));
    sample(&session);
    drop(session);
    let admin = Session::open(&postgres.url("postgres"));
    admin.until(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = 'shop'",
        "0",
    );
    admin.run("CREATE DATABASE clone TEMPLATE shop");
    let clone = Session::open(&postgres.url("clone"));
    let tick = sample(&clone);
    assert_eq!(gaps(&clone, tick), "other server");
}

const INSIDE: &str =
    "FROM pg_stat_activity WHERE backend_type = 'pitcrew history' AND query LIKE 'VACUUM%'";

#[test]
fn databases_are_dropped_cloned_and_renamed_as_if_nobody_sampled() {
    require!(extension);
    let postgres = server(&[]);
    let admin = Session::open(&postgres.url("postgres"));
    // What a tick does is over too soon to be caught; its VACUUM is made to take a minute.
    slow_vacuum(&admin, "shop");
    for (name, command) in [
        ("shop", "CREATE DATABASE clone TEMPLATE shop"),
        ("shop", "ALTER DATABASE shop RENAME TO store"),
        ("store", "DROP DATABASE store"),
    ] {
        let asking = Session::open(&postgres.url(name));
        past(&asking, 48, "50 hours", 400);
        let asker = std::thread::spawn(move || asking.try_run("SELECT pitcrew.history_sample()"));
        admin.until(&format!("SELECT count(*) {INSIDE}"), "1");
        let clients = format!(
            "FROM pg_stat_activity WHERE datname = '{name}' AND backend_type = 'client backend'"
        );
        admin.run(&format!("SELECT pg_terminate_backend(pid) {clients}"));
        admin.until(&format!("SELECT count(*) {clients}"), "0");
        assert!(asker.join().unwrap().is_err());
        assert_eq!(admin.text(&format!("SELECT count(*) {INSIDE}")), "1");
        admin.run(command);
    }
    // The sampler serves the others.
    let clone = Session::open(&postgres.url("clone"));
    sample(&clone);
}

#[test]
fn a_database_without_the_extension_and_a_switched_off_sampler_are_explained() {
    require!(extension);
    let postgres = server(&[]);
    let session = Session::open(&postgres.url("shop"));
    session.run("ALTER SYSTEM SET pitcrew.history = off");
    session.run("SELECT pg_reload_conf()");
    session.until("SHOW pitcrew.history", "off");
    let failure = session.failure("SELECT pitcrew.history_sample()");
    assert_eq!(failure.code, "55000");
    assert!(failure.hint.contains("pitcrew.history = on"));
    for nonsense in [
        "history_interval = '9s'",
        "history_interval = '2h'",
        "history_max_size = 0",
    ] {
        let failure = session.failure(&format!("ALTER SYSTEM SET pitcrew.{nonsense}"));
        assert_eq!(failure.code, "22023", "{nonsense}");
    }
    session.run("ALTER SYSTEM RESET pitcrew.history");
    session.run("SELECT pg_reload_conf()");
    session.until("SHOW pitcrew.history", "on");
    sample(&session);
    // Nobody stays.
    session.until(
        "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'pitcrew history'",
        "0",
    );
    session.run("DROP EXTENSION pg_pitcrew");
    assert_eq!(
        session.text("SELECT count(*) FROM pg_class WHERE relnamespace = 'pitcrew'::regnamespace"),
        "0"
    );
}

/// Ticks as the sampler writes them, every five minutes up to `ago` before now, each with one object more.
fn past(session: &Session, count: usize, ago: &str, numbers: usize) {
    session.run(&format!(
        "INSERT INTO pitcrew.history_objects (kind, key, changed_at) SELECT 's', 'past ' || n, now() FROM generate_series(1, {numbers}) n \
         ON CONFLICT DO NOTHING; \
         WITH t AS (INSERT INTO pitcrew.history_ticks (began, at, gaps, server, boot, statistics_reset, statements_reset, samples, bytes) \
             SELECT date_trunc('hour', now()) - interval '{ago}' + g * interval '300 s' - interval '300 s', \
                    date_trunc('hour', now()) - interval '{ago}' + g * interval '300 s', \
                    CASE WHEN g = 3 THEN '{{restart}}'::text[] ELSE '{{}}' END, pitcrew.job_origin(), 'b', '', '', 300, 100 * {numbers} \
             FROM generate_series(0, {count} - 1) g RETURNING id) \
         INSERT INTO pitcrew.history_samples SELECT t.id, 's', \
             (SELECT array_agg(o.id ORDER BY o.id) FROM pitcrew.history_objects o WHERE o.kind = 's' AND o.key LIKE 'past %'), \
             (SELECT array_agg((random() * 1e12)::bigint) FROM generate_series(1, 8 * {numbers}) WHERE t.id > 0) FROM t"
    ));
}

#[test]
fn ticks_older_than_a_day_are_merged_into_hours_and_lose_nothing() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    past(&session, 36, "50 hours", 5);
    past(&session, 12, "3 hours", 5);
    let total = "SELECT sum(n) FROM pitcrew.history_samples s, unnest(s.numbers) n WHERE s.tick <= 48 AND s.kind = 's'";
    let before = session.text(total);
    sample(&session);
    assert_eq!(session.text(total), before);
    let kept = session.run(
        "SELECT merged, count(*), min(at - began), max(samples), bool_or('restart' = ANY (gaps)) FROM pitcrew.history_ticks WHERE id <= 48 GROUP BY merged ORDER BY merged",
    );
    let kept: Vec<Vec<_>> = kept
        .iter()
        .map(|row| row.iter().map(|cell| cell.as_deref().unwrap()).collect())
        .collect();
    assert_eq!(
        kept,
        [
            ["1", "12", "00:05:00", "300", "t"],
            ["12", "3", "01:00:00", "3600", "t"]
        ]
    );
    assert_eq!(
        session.text("SELECT sum(t.merged) FROM pitcrew.history_ticks t WHERE t.id <= 48"),
        "48"
    );
    // Once is enough.
    sample(&session);
    assert_eq!(session.text(total), before);
}

#[test]
fn history_stays_within_its_size_and_says_what_it_forgot() {
    require!(extension);
    // Nobody else vacuums.
    let postgres = server(&[("pitcrew.history_max_size", "1MB"), ("autovacuum", "off")]);
    let session = Session::open(&postgres.url("shop"));
    let mut largest = 0.0_f64;
    for round in 0..60 {
        // About 20 kB a tick, all of it young.
        past(&session, 1, "3 hours", 250);
        sample(&session);
        let status =
            session.run("SELECT bytes, max_bytes, forgotten_ticks FROM pitcrew.history_status()");
        let numbers: Vec<f64> = status[0]
            .iter()
            .map(|cell| cell.as_deref().unwrap().parse().unwrap())
            .collect();
        largest = largest.max(numbers[0]);
        assert!(numbers[0] <= numbers[1], "round {round}: {numbers:?}");
    }
    // It was full, and what is left is the newest.
    assert!(largest > 700_000.0, "{largest}");
    let row = &session.run(
        "SELECT s.forgotten_ticks > 30, s.forgotten_before IS NOT NULL, s.detail LIKE '%pitcrew.history_max_size = 1MB', \
                (SELECT max(t.id) - min(t.id) + 1 = count(*) FROM pitcrew.history_ticks t), \
                s.forgotten_ticks + s.ticks = 120, \
                (SELECT count(*) FROM pitcrew.history_samples p WHERE NOT EXISTS (SELECT 1 FROM pitcrew.history_ticks t WHERE t.id = p.tick)) \
         FROM pitcrew.history_status() s",
    )[0];
    let row: Vec<_> = row.iter().map(|cell| cell.as_deref().unwrap()).collect();
    assert_eq!(row, ["t", "t", "t", "t", "t", "0"]);
}

#[test]
fn names_that_are_not_wanted_any_more_give_their_room_back() {
    require!(extension);
    let postgres = server(&[("pitcrew.history_max_size", "2MB"), ("autovacuum", "off")]);
    let session = Session::open(&postgres.url("shop"));
    sample(&session);
    // As an application leaves them whose statements are all different, long ago.
    session.run(
        "INSERT INTO pitcrew.history_objects (kind, key, label, changed_at) \
         SELECT 's', 'past ' || n, repeat(md5(n::text), 10), now() - interval '9 days' FROM generate_series(1, 20000) n",
    );
    let bytes = "SELECT bytes FROM pitcrew.history_status()";
    assert!(session.number(bytes) > 6e6);
    sample(&session);
    // Whoever waits for a tick still sees what it deleted; another hour's gives the room back.
    let shrunk = "UPDATE pitcrew.history_state SET shrunk_at = shrunk_at - interval '1 hour' WHERE shrunk_at IS NOT NULL RETURNING 1";
    assert_eq!(session.text(shrunk), "1");
    sample(&session);
    assert!(session.number(bytes) < 2e6);
    assert_eq!(
        session.text("SELECT count(*) FROM pitcrew.history_objects WHERE key LIKE 'past %'"),
        "0"
    );
    // Those that are there stayed.
    assert_ne!(
        session.text("SELECT count(*) FROM pitcrew.history_objects WHERE kind = 'g'"),
        "0"
    );
}

#[test]
fn the_last_tick_s_error_is_shown_until_a_tick_succeeds_and_kept_after() {
    require!(extension);
    let (database, other) = (testing::database(), testing::database());
    let session = Session::open(&database.url);
    let status = |session: &Session| -> Vec<String> {
        let rows = session.run(
            "SELECT last_error_sqlstate, last_error, last_error_at > now() - interval '5 minutes', detail FROM pitcrew.history_status()",
        );
        let cells = rows[0].iter();
        cells.map(|cell| cell.clone().unwrap_or_default()).collect()
    };
    sample(&session);
    assert_eq!(status(&session)[..3], ["", "", ""]);
    session.run(
        "CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$; \
         CREATE TRIGGER nothing BEFORE INSERT ON pitcrew.history_ticks FOR EACH ROW EXECUTE FUNCTION nothing()",
    );
    let failure = session.failure("SELECT pitcrew.history_sample()");
    let seen = status(&session);
    assert_eq!((seen[0].as_str(), seen[2].as_str()), ("55000", "t"));
    assert!(failure.message.ends_with(&seen[1]), "{failure:?}");
    assert!(
        seen[1].contains("has a trigger")
            && seen[3].starts_with("the last tick failed at")
            && seen[3].contains("with SQLSTATE 55000: a table of pitcrew's history"),
        "{seen:?}"
    );
    assert_eq!(status(&Session::open(&other.url))[..3], ["", "", ""]);
    session.run("DROP TRIGGER nothing ON pitcrew.history_ticks");
    sample(&session);
    let after = status(&session);
    assert_eq!(after[..3], seen[..3]);
    assert!(after[3].starts_with("everything since"), "{after:?}");
}
