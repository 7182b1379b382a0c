//! Checks of statements: each runs one that is sick in its way, sees it, resets the statistics and sees it gone.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something unexpected happens"
)]

mod checked;
mod support;

use checked::{Case, Sick, arguments, check, mend, statements, walk};
use pitcrew_stack::{require, testing};
use support::history::{queryid, sample};
use support::{Session, server};

const RESET: &str = "SELECT pg_stat_statements_reset(0, (SELECT oid FROM pg_database WHERE datname = current_database()), 0)";

/// Check, thresholds, statements of which the last is sick, how its normalised text begins, what the detail says.
type Row<'a> = (&'a str, &'a str, &'a str, &'a str, &'a [&'a str]);

#[test]
fn statements_that_are_sick_in_their_way() {
    require!(statements);
    let calls = "SELECT 42 AS answer\n".repeat(50);
    // More often than a report over a plain connection plans its own.
    let planned =
        "SELECT a.id FROM written a JOIN written b USING (id) WHERE a.id = 7\n".repeat(20);
    let steady = "SELECT pg_sleep(0.0)\n".repeat(9) + "SELECT pg_sleep(0.3)";
    let rows: [Row<'_>; 8] = [
        (
            "query_mean_time",
            r#"{"min_calls": 1, "min_mean_ms": 100}"#,
            "SELECT pg_sleep(0.2)",
            "SELECT pg_sleep",
            &["ms a call, 1 calls, 1 rows a call"],
        ),
        (
            "query_calls",
            r#"{"min_calls": 40, "min_percent": 5}"#,
            &calls,
            "SELECT $1 AS answer",
            &["50 calls"],
        ),
        (
            "query_temp_files",
            r#"{"min_blocks": 10}"#,
            "SET work_mem = '64kB'\nSELECT count(*) FROM (SELECT g FROM generate_series(1, 100000) g ORDER BY g DESC) f\nRESET work_mem",
            "SELECT count(*) FROM (SELECT g",
            &["to temporary files", "with work_mem = 4096 kB"],
        ),
        (
            "query_wal",
            r#"{"min_bytes": 100000, "min_percent": 5}"#,
            "CREATE TABLE written (id int)\nINSERT INTO written SELECT generate_series(1, 20000)",
            "INSERT INTO written",
            &["of WAL"],
        ),
        // More than the ring of buffers through which such a table is made, so that its beginning is not in the cache.
        (
            "query_reads",
            r#"{"min_blocks": 1000, "min_percent": 5}"#,
            "CREATE TABLE large AS SELECT g, repeat('x', 1000) AS note FROM generate_series(1, 50000) g\nSELECT count(*) FROM large",
            "SELECT count(*) FROM large",
            &["blocks that were not in shared_buffers"],
        ),
        (
            "query_planning",
            r#"{"min_plans": 15, "min_ratio": 0}"#,
            &planned,
            "SELECT a.id FROM written",
            &["ms to plan and", "prepared statement"],
        ),
        (
            "query_rows",
            r#"{"min_rows": 1000, "min_calls": 1}"#,
            "SELECT g FROM generate_series(1, 5000) g",
            "SELECT g FROM generate_series",
            &["5000 rows a call over 1 calls"],
        ),
        (
            "query_unsteady",
            r#"{"min_calls": 10, "min_ratio": 2, "min_ms": 50}"#,
            &steady,
            "SELECT pg_sleep",
            &["ms of standard deviation over 10 calls"],
        ),
    ];
    let database = testing::database();
    Session::open(&database.url).run(&format!(
        "ALTER DATABASE {} SET pg_stat_statements.track_planning = on",
        database.name
    ));
    // Sessions take such settings when they begin.
    let session = Session::open(&database.url);
    for (check, thresholds, build, text, detail) in rows {
        session.run(RESET);
        statements(&session, build);
        let id = session.text(&format!(
            "SELECT queryid FROM pg_stat_statements WHERE starts_with(query, '{text}') \
             AND dbid = (SELECT oid FROM pg_database WHERE datname = current_database())"
        ));
        let sick = Sick {
            check,
            thresholds,
            object: &format!("query {id}"),
            severity: "info",
            detail,
        };
        sick.seen(&session, &database.url);
        session.run(RESET);
        sick.healed(&session, &database.url);
    }
}

#[test]
fn more_statements_than_there_is_room_for() {
    require!(statements);
    let postgres = server(&[("pg_stat_statements.max", "100")]);
    let url = postgres.socket_url("postgres", "shop");
    let session = Session::open(&url);
    let many: Vec<_> = (0..200)
        .map(|columns| format!("SELECT 1{}", ", 1".repeat(columns)))
        .collect();
    walk(
        &session,
        &url,
        &[Case {
            build: &many.join("\n"),
            sick: Sick {
                check: "statements_evicted",
                thresholds: r#"{"min_count": 1}"#,
                object: "pg_stat_statements.max",
                severity: "info",
                detail: &["(pg_stat_statements.max = 100)"],
            },
            heal: Some("SELECT pg_stat_statements_reset()"),
        }],
    );
}

#[test]
fn a_statement_that_got_slower() {
    require!(statements);
    let postgres = server(&[("autovacuum", "off")]);
    let url = postgres.socket_url("postgres", "shop");
    let session = Session::open(&url);
    session.run(
        "CREATE TABLE orders (id int, customer int, note text); \
         INSERT INTO orders SELECT g, g, repeat('x', 100) FROM generate_series(1, 50000) g; \
         CREATE INDEX orders_customer ON orders (customer); ANALYZE",
    );
    let skipped = |reason: &str| {
        let found = check(&session, "query_regression", "{}");
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].severity, "skipped");
        assert!(found[0].detail.contains(reason), "{found:?}");
    };
    skipped("the history has 0 ticks before the last hour");
    let tick = || {
        for customer in 1..=20 {
            session.run(&format!(
                "SELECT note FROM orders WHERE customer = {customer}"
            ));
        }
        sample(&session);
    };
    (0..8).for_each(|_| tick());
    // Those were two hours ago.
    session.run("UPDATE pitcrew.history_ticks SET at = at - interval '2 hours', began = began - interval '2 hours'");
    skipped("the history has 8 ticks before the last hour and 0 in it");
    session.run("DROP INDEX orders_customer");
    tick();
    let id = queryid(&session, "SELECT note FROM orders WHERE customer = $1");
    let object = format!("query {id}");
    let sick = Sick {
        check: "query_regression",
        thresholds: "{}",
        object: &object,
        severity: "warn",
        detail: &[
            "ms a call instead of",
            "index public.orders_customer on public.orders was dropped",
            "SELECT note FROM orders WHERE customer = $1",
        ],
    };
    sick.seen(&session, &url);
    // It does not run for an hour after it got its index back.
    session.run("CREATE INDEX orders_customer ON orders (customer)");
    session.run("UPDATE pitcrew.history_ticks SET at = at - interval '2 hours', began = began - interval '2 hours'");
    sample(&session);
    sick.healed(&session, &url);
    session.run("ALTER SYSTEM SET pitcrew.history = off");
    session.run("SELECT pg_reload_conf()");
    session.until("SHOW pitcrew.history", "off");
    skipped("needs the setting pitcrew.history, which is off");
}

#[test]
fn a_statement_whose_plan_flipped() {
    require!(statements);
    let postgres = server(&[("autovacuum", "off")]);
    let url = postgres.socket_url("postgres", "shop");
    let session = Session::open(&url);
    let skipped = check(&session, "plan_flip", "{}");
    assert_eq!(skipped[0].severity, "skipped", "{skipped:?}");
    session.run(
        "CREATE TABLE orders (id int, customer int, note text); \
         INSERT INTO orders SELECT g, g, repeat('x', 100) FROM generate_series(1, 50000) g; \
         CREATE INDEX \"by Customer\" ON orders (customer) WHERE id > 0; ANALYZE",
    );
    sample(&session);
    let app = Session::open(&url);
    app.run("SET pitcrew.capture = 'all'; SET pitcrew.capture_min_duration = 0");
    let look_up = || {
        for customer in 1..=3 {
            app.run(&format!(
                "SELECT note FROM orders WHERE customer = {customer} AND id > 0"
            ));
        }
    };
    look_up();
    sample(&session);
    let id = queryid(
        &session,
        "SELECT note FROM orders WHERE customer = $1 AND id > $2",
    );
    let object = format!("query {id}");
    session.run("DROP INDEX \"by Customer\"");
    look_up();
    let sick = Sick {
        check: "plan_flip",
        thresholds: "{\"warn_ratio\": 2}",
        object: &object,
        severity: "warn",
        detail: &[
            "since it runs as Seq Scan on public.orders (3 executions seen since",
            "index public.\"by Customer\" is not there any more",
            "SELECT note FROM orders WHERE customer = ",
        ],
    };
    sick.seen(&session, &url);
    // Its fix builds the index again, and then the fast plan is the last one.
    let fix = session.run("SELECT fix_job->>'kind', fix_job->>'target', (fix_job->'options')::text FROM pitcrew.check('plan_flip')");
    let fix: Vec<String> = fix[0]
        .iter()
        .map(|cell| pitcrew_stack::sql::literal(cell.as_deref().unwrap()))
        .collect();
    let job = session.submit(&fix.join(", "));
    session.done(&job);
    look_up();
    sick.healed(&session, &url);
    // Where the statistics are behind they are what is to be mended.
    session.run(
        "CREATE TABLE mails (id int, kind int, body text); CREATE INDEX mails_kind ON mails (kind); \
         INSERT INTO mails SELECT g, g, repeat('x', 100) FROM generate_series(1, 50000) g; ANALYZE mails",
    );
    let read = || {
        (0..3).for_each(|_| drop(app.run("SELECT sum(length(body)) FROM mails WHERE kind < 20")))
    };
    read();
    session.run("UPDATE mails SET kind = 1; SELECT pg_stat_force_next_flush()");
    app.run("SET enable_indexscan = off; SET enable_bitmapscan = off");
    read();
    let found = check(&session, "plan_flip", "{\"min_ms\": 0}");
    assert!(
        found
            .iter()
            .any(|row| row.detail.contains("rows of public.mails changed since")),
        "{found:?}"
    );
}

#[test]
fn a_plan_that_flipped_for_want_of_statistics() {
    require!(statements);
    let postgres = server(&[("autovacuum", "off")]);
    let url = postgres.socket_url("postgres", "shop");
    let session = Session::open(&url);
    session.run(
        "CREATE TABLE stops (city int, \"Zip\" int, note text); \
         INSERT INTO stops SELECT g % 500, g % 500, repeat('x', 100) FROM generate_series(1, 50000) g; \
         CREATE INDEX stops_city ON stops (city)",
    );
    // What the session has not told yet would make fresh statistics look old.
    session.run("SELECT pg_stat_force_next_flush()");
    session.run("ANALYZE stops");
    let app = Session::open(&url);
    app.run("SET pitcrew.capture = 'all'; SET pitcrew.capture_min_duration = 0");
    let flip = |query: &str| {
        app.run("RESET enable_indexscan; RESET enable_bitmapscan");
        (0..3).for_each(|_| drop(app.run(query)));
        app.run("SET enable_indexscan = off; SET enable_bitmapscan = off");
        (0..3).for_each(|_| drop(app.run(query)));
        sample(&session);
    };
    let found_in = |object: &str, table: &str| {
        let scan = format!("Seq Scan on public.{table}");
        let sick = Sick {
            check: "plan_flip",
            thresholds: "{\"min_ms\": 0, \"min_ratio\": 1}",
            object,
            severity: "info",
            detail: &[&scan],
        };
        let finding = sick
            .both(&session, &url)
            .into_iter()
            .find(|finding| finding.object.as_deref() == Some(object));
        finding.unwrap_or_else(|| panic!("{:?}", check(&session, "plan_flip", sick.thresholds)))
    };
    let found = |object: &str| found_in(object, "stops");
    // Dry-runs the job that is offered, and has it done.
    let run = |job: &str| {
        let arguments = arguments(job);
        let command = session.text(&format!(
            "SELECT string_agg(command, E'\\n' ORDER BY step) FROM pitcrew.dry_run({arguments})"
        ));
        session.done(&session.submit(&arguments));
        command
    };
    // Columns that are compared together.
    flip("SELECT sum(length(note)) FROM stops WHERE \"Zip\" = 7 AND city = 7");
    let both = queryid(
        &session,
        "SELECT sum(length(note)) FROM stops WHERE \"Zip\" = $1 AND city = $2",
    );
    let object = format!("query {both}");
    let finding = found(&object);
    assert!(
        finding.detail.contains(
            "it compares \"Zip\", city of public.stops together with values: extended statistics"
        ),
        "{finding:?}"
    );
    assert_eq!(finding.confidence.as_deref(), Some("low"));
    assert_eq!(
        finding.fix_sql.as_deref(),
        Some(
            "CREATE STATISTICS public.\"stops_Zip_city_stat\" (ndistinct, dependencies, mcv) ON \"Zip\", city FROM public.stops;\n\
             ANALYZE public.stops (\"Zip\", city)"
        )
    );
    let ran = run(&finding.fix_job.unwrap());
    assert_eq!(ran, finding.fix_sql.unwrap().replace(";\n", "\n"));
    assert_eq!(
        session.text("SELECT attnames::text FROM pg_stats_ext"),
        "{city,Zip}"
    );
    // Where these are there, more of each.
    let finding = found(&object);
    assert!(
        finding.detail.contains("a statistics target above 100"),
        "{finding:?}"
    );
    let ran = run(&finding.fix_job.unwrap());
    assert_eq!(
        ran,
        "ALTER TABLE public.stops ALTER COLUMN \"Zip\" SET STATISTICS 400, ALTER COLUMN city SET STATISTICS 400\n\
         ANALYZE public.stops (\"Zip\", city)"
    );
    assert_eq!(ran, finding.fix_sql.unwrap().replace(";\n", "\n"));
    run(&found(&object).fix_job.unwrap());
    // And where there cannot be more, another sample.
    let finding = found(&object);
    assert_eq!(finding.fix_sql.as_deref(), Some("ANALYZE public.stops"));
    assert_eq!(run(&finding.fix_job.unwrap()), "ANALYZE public.stops");
    // One column alone.
    session.run("ALTER TABLE stops ALTER city SET STATISTICS -1");
    flip("SELECT sum(length(note)) FROM stops WHERE city = 9");
    let one = queryid(
        &session,
        "SELECT sum(length(note)) FROM stops WHERE city = $1",
    );
    let finding = found(&format!("query {one}"));
    assert!(
        finding
            .detail
            .contains("it compares city of public.stops: a statistics target above 100"),
        "{finding:?}"
    );
    assert!(
        run(&finding.fix_job.unwrap())
            .starts_with("ALTER TABLE public.stops ALTER COLUMN city SET STATISTICS 400\n")
    );
    // One that keeps no statistics at all begins with the server's own target.
    session.run("ALTER TABLE stops ALTER city SET STATISTICS 0");
    assert!(
        run(&found(&format!("query {one}")).fix_job.unwrap())
            .starts_with("ALTER TABLE public.stops ALTER COLUMN city SET STATISTICS 100\n")
    );
    // What only joins is not compared with a value, and a name that is taken is not given again.
    session.run(
        "CREATE TABLE towns (id int, size int, kind int); INSERT INTO towns SELECT g, g % 10, g % 10 FROM generate_series(0, 499) g; \
         CREATE INDEX ON towns (size); CREATE STATISTICS towns_kind_size_stat ON id, size FROM towns; SELECT pg_stat_force_next_flush()",
    );
    session.run("ANALYZE towns");
    let join = "SELECT count(*) FROM towns t JOIN stops s ON s.city = t.id WHERE t.size = 3 AND t.kind = 3";
    flip(join);
    let joined = queryid(
        &session,
        "SELECT count(*) FROM towns t JOIN stops s ON s.city = t.id WHERE t.size = $1 AND t.kind = $2",
    );
    let object = format!("query {joined}");
    let found = found_in(&object, "towns");
    let fix = found.fix_sql.unwrap();
    assert_eq!(
        fix,
        "CREATE STATISTICS public.towns_stat1 (ndistinct, dependencies, mcv) ON kind, size FROM public.towns;\n\
         ANALYZE public.towns (kind, size)"
    );
    session.run(&fix);
}

#[test]
fn a_statement_that_is_compiled_for_long() {
    require!(statements);
    let database = testing::database();
    let session = Session::open(&database.url);
    session.run(RESET);
    session.run("SET jit = on; SET jit_above_cost = 0");
    session.run("SELECT sum(g + 1) FROM generate_series(1, 10) g");
    session.run("RESET jit_above_cost");
    let id = session.text("SELECT queryid FROM pg_stat_statements WHERE query LIKE 'SELECT sum(g + $1)%' AND dbid = (SELECT oid FROM pg_database WHERE datname = current_database())");
    let object = format!("query {id}");
    let sick = Sick {
        check: "query_jit",
        thresholds: r#"{"min_jit_ms": 0}"#,
        object: &object,
        severity: "info",
        detail: &["%) went into compiling it", "at jit_above_cost = 100000"],
    };
    // Not every server is built with a compiler.
    if session.text("SELECT pg_jit_available()") == "t" {
        mend(&session, &sick.seen(&session, &database.url));
    }
    session.run(RESET);
    sick.healed(&session, &database.url);
}
