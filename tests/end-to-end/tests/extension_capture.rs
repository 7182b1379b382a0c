//! Captured executions: what is kept of those that end, fail or are cancelled, and what is not.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something unexpected happens"
)]

mod support;

use pitcrew_stack::require;
use support::Session;
use support::capture::{captured, fails, server, server_alone, watcher};

const ITEMS: &str = "CREATE TABLE items (id int PRIMARY KEY, name text); \
     INSERT INTO items SELECT g, 'n' || g FROM generate_series(1, 1000) g";

#[test]
fn what_ends_is_captured_with_all_that_is_known_of_it() {
    require!(extension);
    let postgres = server(&[]);
    let watcher = watcher(&postgres);
    let session = Session::open(&postgres.socket_url("postgres", "shop"));
    session.run(ITEMS);
    session.run("SET search_path = pg_catalog, public");
    session.run("SELECT count(*) FROM items WHERE id < 500");
    assert_eq!(
        captured(
            &watcher,
            "count(*) FROM items",
            "ended, rows, toplevel, user_name, search_path, parameters IS NULL, queryid <> 0, plan_shape <> 0, \
             duration_ms > 0, blocks_hit + blocks_read > 0, started_at <= now()"
        ),
        ["ok,1,t,postgres,pg_catalog, public,t,t,t,t,t,t"]
    );
    // Several statements of one message are told apart.
    session.run("SELECT 'first'; SELECT 'second'");
    assert_eq!(captured(&watcher, "''first''", "query"), ["SELECT 'first'"]);
    assert_eq!(
        captured(&watcher, "''second''", "query"),
        ["SELECT 'second'"]
    );
    // The id is the server's own.
    let id = watcher.text("SELECT queryid FROM pitcrew.captured WHERE query = 'SELECT ''first'''");
    let explained = session.run("EXPLAIN (VERBOSE) SELECT 'x'");
    assert!(
        explained
            .iter()
            .any(|line| line[0].as_deref().unwrap().ends_with(&id)),
        "{explained:?}"
    );
}

#[test]
fn what_fails_and_what_is_cancelled_is_captured_too() {
    require!(extension);
    let postgres = server(&[("pitcrew.capture_min_duration", "1h")]);
    let watcher = watcher(&postgres);
    let session = Session::open(&postgres.socket_url("postgres", "shop"));
    session.run(ITEMS);
    session.run("SELECT 'quick'");
    assert_eq!(
        fails(&session, "SELECT 1 / (id - 700) FROM items").code,
        "22012"
    );
    session.run("SET statement_timeout = '20ms'");
    assert_eq!(fails(&session, "SELECT pg_sleep(60), 'late'").code, "57014");
    session.run("RESET statement_timeout");
    let columns =
        "ended, toplevel, rows IS NULL, blocks_hit IS NULL, plan_shape <> 0, duration_ms < 60000";
    assert_eq!(
        captured(&watcher, "id - 700", columns),
        ["failed,t,t,t,t,t"]
    );
    assert_eq!(captured(&watcher, "late", columns), ["cancelled,t,t,t,t,t"]);
    let lasted =
        watcher.number("SELECT duration_ms FROM pitcrew.captured WHERE ended = 'cancelled'");
    assert!(lasted >= 20.0, "{lasted}");
    // What is too quick is not, and what never began to run is no execution.
    assert_eq!(fails(&session, "SELECT * FROM nowhere").code, "42P01");
    assert!(captured(&watcher, "quick", "id").is_empty());
    assert!(captured(&watcher, "nowhere", "id").is_empty());
    // With parameters, in the extended protocol: the plan is a cached one there, and may be gone.
    session.prepared_failure(
        "SELECT 1 / (id - $1) FROM items WHERE name <> $2",
        &[&300_i32, &"x"],
    );
    assert_eq!(
        captured(&watcher, "id - $1", "ended, parameters"),
        [r#"failed,[{"type": "integer", "value": "300"}, {"type": "text", "value": "x"}]"#]
    );
}

#[test]
fn a_session_that_is_terminated_leaves_its_statement() {
    require!(extension);
    let postgres = server(&[("pitcrew.capture_min_duration", "1h")]);
    let watcher = watcher(&postgres);
    let url = postgres.socket_url("postgres", "shop");
    let victim = std::thread::spawn(move || {
        let session = Session::open(&url);
        let _ = session.try_run("SELECT pg_sleep(60), 'to be terminated'");
    });
    let running = "SELECT pid FROM pg_stat_activity WHERE query LIKE '%to be terminated%' AND wait_event = 'PgSleep'";
    watcher.until(&format!("SELECT count(*) FROM ({running}) r"), "1");
    watcher.run(&format!("SELECT pg_terminate_backend(({running}))"));
    watcher.until(
        "SELECT string_agg(ended, ',') FROM pitcrew.captured WHERE query LIKE '%to be terminated%'",
        "cancelled",
    );
    let _ = victim.join();
}

#[test]
fn cursors_count_from_their_beginning_to_their_end() {
    require!(extension);
    let postgres = server(&[]);
    let watcher = watcher(&postgres);
    let session = Session::open(&postgres.socket_url("postgres", "shop"));
    session.run(ITEMS);
    session.run("BEGIN; DECLARE one CURSOR FOR SELECT id AS first_cursor FROM items ORDER BY id");
    session.run("FETCH 10 FROM one");
    session.run("SELECT 'meanwhile'");
    assert!(captured(&watcher, "first_cursor", "id").is_empty());
    assert_eq!(captured(&watcher, "meanwhile", "ended, toplevel"), ["ok,t"]);
    session.run("COMMIT");
    assert_eq!(
        captured(&watcher, "first_cursor", "ended, toplevel"),
        ["ok,t"]
    );

    // One that only waits when its transaction is undone did not fail.
    session.run("BEGIN; DECLARE two CURSOR FOR SELECT id AS second_cursor FROM items ORDER BY id; FETCH 1 FROM two");
    fails(&session, "SELECT 1 / 0");
    session.run("ROLLBACK");
    assert!(captured(&watcher, "second_cursor", "id").is_empty());
    assert_eq!(captured(&watcher, "1 / 0", "ended"), [] as [&str; 0]);

    // One that fails in a savepoint, whose memory is given back before the transaction ends.
    session.run("BEGIN; DECLARE three CURSOR FOR SELECT 1 / (id - 5) AS third_cursor FROM items ORDER BY id; SAVEPOINT s");
    fails(&session, "FETCH 10 FROM three");
    session.run("ROLLBACK TO s; CLOSE three; SELECT repeat('x', 10000)");
    fails(&session, "SELECT id, 1 / (id - 1) AS last_one FROM items");
    session.run("ROLLBACK");
    assert_eq!(captured(&watcher, "third_cursor", "ended"), ["failed"]);
    assert_eq!(captured(&watcher, "last_one", "ended"), ["failed"]);

    // More of them than are remembered: dropped, counted, and nothing breaks.
    let many: String = (0..100)
        .map(|number| {
            format!("DECLARE m{number} CURSOR FOR SELECT id, {number} AS many FROM items;")
        })
        .collect();
    session.run(&format!("BEGIN; {many} COMMIT"));
    let deep = watcher.text("SELECT dropped_deep FROM pitcrew.capture_status()");
    assert_eq!(deep, "36");
    session.run("SELECT 'after many'");
    assert_eq!(captured(&watcher, "after many", "ended"), ["ok"]);
    assert_eq!(
        watcher.text("SELECT panics FROM pitcrew.capture_status()"),
        "0"
    );
}

#[test]
fn what_functions_run_is_told_apart_and_never_taken_for_a_client_s() {
    require!(extension);
    let postgres = server_alone(&[]);
    let watcher = watcher(&postgres);
    let session = Session::open(&postgres.socket_url("postgres", "shop"));
    session.run(ITEMS);
    session.run(
        "CREATE FUNCTION caught(i int) RETURNS int LANGUAGE plpgsql AS $$ DECLARE n int; BEGIN \
             BEGIN SELECT 1 / (x.id - i) INTO n FROM items x WHERE x.id = i; EXCEPTION WHEN division_by_zero THEN n := -1; END; \
             SELECT count(*) INTO n FROM items x WHERE x.id < i; RETURN n; END $$",
    );
    watcher.run("SELECT pitcrew.capture_reset()");
    session.run("SELECT caught(10)");
    assert_eq!(
        captured(&watcher, "count(*)", "toplevel, ended, parameters IS NULL"),
        ["f,ok,t"]
    );
    assert_eq!(
        captured(&watcher, "SELECT caught", "toplevel, ended"),
        ["t,ok"]
    );
    // Of what failed inside nothing is left to keep, but it is counted.
    assert!(captured(&watcher, "x.id - i", "id").is_empty());
    let counts = "SELECT string_agg(concat_ws(',', toplevel, calls, failed, rows), ' ' ORDER BY failed) FROM pitcrew.captured_statements \
         WHERE NOT toplevel";
    assert_eq!(watcher.text(counts), "f,1,0,1 f,1,1,0");
    // Thousands of subtransactions leave nothing open.
    session.run("DO $$ BEGIN FOR i IN 1..3000 LOOP PERFORM caught(i % 7); END LOOP; END $$");
    assert_eq!(
        watcher.text("SELECT dropped_deep || ',' || panics FROM pitcrew.capture_status()"),
        "0,0"
    );
    // A recursion deeper than what is remembered.
    session.run(
        "CREATE FUNCTION deep(n int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN IF n = 0 THEN RETURN 0; END IF; \
             RETURN (SELECT deep(n - 1) + count(*) FROM items WHERE id = n); END $$",
    );
    assert_eq!(session.text("SELECT deep(100)"), "100");
    assert!(watcher.number("SELECT dropped_deep FROM pitcrew.capture_status()") > 0.0);
    assert_eq!(session.text("SELECT deep(1)"), "1");
}

#[test]
fn parameters_of_prepared_statements_are_kept_as_they_were() {
    require!(extension);
    let postgres = server(&[]);
    let watcher = watcher(&postgres);
    let session = Session::open(&postgres.socket_url("postgres", "shop"));
    session.run("CREATE TYPE mood AS ENUM ('sad', 'glad')");
    let long = "x".repeat(20_000);
    let nothing: Option<&str> = None;
    session.prepared(
        "SELECT $1::int2, $2::int8, $3::float8, $4::bool, $5::text, $6::text, $7::bytea, $8::int[], $9::\"char\"",
        &[&-7_i16, &-8_i64, &1.5_f64, &true, &"ä'\\", &nothing, &&b"\x00\xff"[..], &vec![1_i32, -2], &5_i8],
    );
    let values = watcher.text(
        "SELECT string_agg(concat_ws('=', p->>'type', coalesce(p->>'value', 'NULL')), ' ' ORDER BY n) \
         FROM pitcrew.captured c, jsonb_array_elements(c.parameters) WITH ORDINALITY AS x(p, n) WHERE c.query LIKE '%int2%'",
    );
    assert_eq!(
        values,
        "smallint=-7 bigint=-8 double precision=1.5 boolean=t text=ä'\\ text=NULL bytea=\\x00ff integer[]={1,-2} \"char\"=\u{5}"
    );
    // One that is too long, and one whose type has to be looked up, are left out; the statement is not.
    session.prepared("SELECT length($1::text), $2::int", &[&long, &6_i32]);
    assert_eq!(
        captured(&watcher, "length($1", "parameters, ended"),
        [r#"[{"type": "text"}, {"type": "integer", "value": "6"}],ok"#]
    );
    assert!(watcher.number("SELECT without_values FROM pitcrew.capture_status()") >= 1.0);
}

#[test]
fn a_text_that_is_too_long_is_dropped_and_counted() {
    require!(extension);
    let postgres = server(&[]);
    let watcher = watcher(&postgres);
    let session = Session::open(&postgres.socket_url("postgres", "shop"));
    let longest =
        watcher.number("SELECT longest_text_bytes FROM pitcrew.capture_status()") as usize;
    let text = |bytes: usize| {
        let frame = "SELECT '' AS long_one";
        format!("SELECT '{}' AS long_one", "y".repeat(bytes - frame.len()))
    };
    session.run(&text(longest));
    session.run(&text(longest + 1));
    session.run(&text(1_000_000));
    fails(
        &session,
        &format!(
            "SELECT '{}', 1 / (SELECT 0) AS long_one",
            "y".repeat(100_000)
        ),
    );
    assert_eq!(
        captured(&watcher, "long_one", "length(query)"),
        [longest.to_string()]
    );
    assert_eq!(
        watcher.text("SELECT dropped_long FROM pitcrew.capture_status()"),
        "3"
    );
}

#[test]
fn off_is_off_and_a_sample_is_a_sample() {
    require!(extension);
    let postgres = server(&[("pitcrew.capture", "off")]);
    let watcher = watcher(&postgres);
    let session = Session::open(&postgres.socket_url("postgres", "shop"));
    session.run(ITEMS);
    fails(&session, "SELECT 1 / (id - 3) FROM items");
    assert_eq!(
        watcher.text("SELECT concat_ws(',', mode, slots_used, kept) FROM pitcrew.capture_status()"),
        "off,0,0"
    );
    // Switched on in the middle of an execution, and off in the middle of one.
    session.run("SELECT set_config('pitcrew.capture', 'all', false), 'on'");
    session.run("SELECT set_config('pitcrew.capture', 'off', false), 'off again'");
    assert!(captured(&watcher, "set_config", "id").is_empty());
    for (rate, kept) in [("0", "0"), ("1", "200")] {
        session.run(&format!(
            "SET pitcrew.capture = sample; SET pitcrew.capture_sample_rate = {rate}"
        ));
        for _ in 0..200 {
            session.run("SELECT 'sampled'");
        }
        session.run("SET pitcrew.capture = off");
        assert_eq!(
            watcher.text("SELECT kept FROM pitcrew.capture_status()"),
            kept,
            "{rate}"
        );
    }
    // No role but a superuser has others' statements captured.
    session.run("CREATE ROLE plain");
    let failure = fails(&session, "SET ROLE plain; SET pitcrew.capture = 'all'");
    assert_eq!(failure.code, "42501");
}

#[test]
fn without_slots_there_is_no_memory_and_no_hook() {
    require!(extension);
    let postgres = server(&[("pitcrew.capture_slots", "0")]);
    let watcher = watcher(&postgres);
    let session = Session::open(&postgres.socket_url("postgres", "shop"));
    session.run("SELECT 'nothing'");
    assert_eq!(
        watcher
            .text("SELECT concat_ws(',', slots, memory_bytes, kept) FROM pitcrew.capture_status()"),
        "0,0,0"
    );
    let failure = watcher.failure("SELECT * FROM pitcrew.captured");
    assert_eq!(failure.code, "55000");
    assert!(
        failure.hint.contains("pitcrew.capture_slots"),
        "{failure:?}"
    );
    assert_eq!(
        watcher.text("SELECT count(*) FROM pg_shmem_allocations WHERE name = 'pg_pitcrew capture'"),
        "0"
    );
    // The advisor does without.
    watcher.run("SELECT * FROM pitcrew.suggest_indexes(queries => ARRAY['SELECT 1'])");
}

#[test]
fn many_sessions_at_once_lose_nothing_uncounted() {
    require!(extension);
    const SESSIONS: usize = 12;
    const ROUNDS: usize = 150;
    let postgres = server_alone(&[("pitcrew.capture_slots", "16")]);
    let watcher = watcher(&postgres);
    watcher.run(ITEMS);
    watcher.run("SELECT pitcrew.capture_reset()");
    let before = watcher.number(
        "SELECT kept + dropped_busy + dropped_long + dropped_deep FROM pitcrew.capture_status()",
    );
    let counted_before = watcher.number("SELECT uncounted FROM pitcrew.capture_status()");
    std::thread::scope(|scope| {
        for number in 0..SESSIONS {
            let url = postgres.socket_url("postgres", "shop");
            scope.spawn(move || {
                let session = Session::open(&url);
                for round in 0..ROUNDS {
                    session.prepared(
                        "SELECT count(*) FROM items WHERE id < $1",
                        &[&(round as i32)],
                    );
                    session.run(&format!(
                        "SELECT {number} AS n, name FROM items WHERE id = {round}"
                    ));
                    fails(&session, "SELECT 1 / (id - 9) FROM items");
                }
            });
        }
        // Reading and forgetting at the same time, and nobody waits for anybody for long.
        for _ in 0..20 {
            watcher.run("SELECT count(*) FROM pitcrew.captured");
        }
    });
    let after = watcher.number(
        "SELECT kept + dropped_busy + dropped_long + dropped_deep FROM pitcrew.capture_status()",
    );
    assert_eq!(after - before, (SESSIONS * ROUNDS * 3) as f64);
    let uncounted =
        watcher.number("SELECT uncounted FROM pitcrew.capture_status()") - counted_before;
    let calls = watcher.number(
        "SELECT sum(calls) FROM pitcrew.captured_statements WHERE query LIKE '%FROM items%'",
    );
    assert_eq!(calls + uncounted, (SESSIONS * ROUNDS * 3) as f64);
    assert_eq!(
        watcher.text("SELECT panics FROM pitcrew.capture_status()"),
        "0"
    );
}

#[test]
fn forgetting_leaves_nothing_and_a_dropped_database_is_forgotten() {
    require!(extension);
    let postgres = server(&[]);
    let watcher = watcher(&postgres);
    let session = Session::open(&postgres.socket_url("postgres", "shop"));
    session.run("SELECT 'to be forgotten'");
    assert_eq!(captured(&watcher, "to be forgotten", "ended"), ["ok"]);
    assert!(watcher.number("SELECT pitcrew.capture_reset()") > 0.0);
    assert!(captured(&watcher, "", "id").is_empty());
    let status =
        "SELECT concat_ws(',', slots_used, purged_at IS NOT NULL) FROM pitcrew.capture_status()";
    assert_eq!(watcher.text(status), "0,t");

    postgres.create_database("gone").unwrap();
    let other = Session::open(&postgres.socket_url("postgres", "gone"));
    other.run("SELECT 'of a database that goes'");
    drop(other);
    // Another database's statements are not seen from here, but they take room.
    assert!(captured(&watcher, "of a database", "id").is_empty());
    let used = "SELECT slots_used FROM pitcrew.capture_status()";
    assert_eq!(watcher.text(used), "1");
    watcher.until(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = 'gone'",
        "0",
    );
    watcher.run("DROP DATABASE gone");
    assert_eq!(watcher.text(used), "0");
}

#[test]
fn parallel_workers_and_explain_are_no_executions_of_their_own() {
    require!(extension);
    let postgres = server(&[]);
    let watcher = watcher(&postgres);
    let session = Session::open(&postgres.socket_url("postgres", "shop"));
    session.run("CREATE TABLE big AS SELECT g AS id FROM generate_series(1, 50000) g; ANALYZE big");
    session.run(
        "SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0; SET max_parallel_workers_per_gather = 2",
    );
    let plan = session.run("EXPLAIN SELECT count(*) AS parallel FROM big WHERE id % 3 = 1");
    assert!(format!("{plan:?}").contains("Gather"), "{plan:?}");
    assert!(captured(&watcher, "parallel FROM big", "id").is_empty());
    session.run("SELECT count(*) AS parallel FROM big WHERE id % 3 = 1");
    assert_eq!(
        captured(&watcher, "parallel FROM big", "ended, rows"),
        ["ok,1"]
    );
}
