//! The checks: each builds the sick situation, sees it from both sides, mends it by the fix and sees it healed.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something unexpected happens"
)]

mod checked;
mod support;

use std::collections::BTreeSet;

use checked::{Sick, check, mend, over_plain, report};
use pg_pitcrew_checks::{Thresholds, checks, find};
use pitcrew_stack::{require, testing};
use support::{Session, role};

#[test]
fn dead_rows() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    session.run(
        "CREATE TABLE orders (id int PRIMARY KEY) WITH (autovacuum_enabled = off); \
         INSERT INTO orders SELECT generate_series(1, 20000); DELETE FROM orders WHERE id <= 12000; \
         SELECT pg_stat_force_next_flush()",
    );
    session.run("SELECT 1");
    let sick = Sick {
        check: "dead_rows",
        thresholds: "{}",
        object: "public.orders",
        severity: "warn",
        detail: &["12000 of 20000 row versions (60 %)", "last vacuum: never"],
    };
    let finding = sick.seen(&session, &database.url);
    let job = finding.fix_job.clone().unwrap();
    mend(&session, &finding);
    session.until(
        "SELECT n_dead_tup FROM pg_stat_user_tables WHERE relname = 'orders'",
        "0",
    );
    sick.healed(&session, &database.url);
    // The job is one that the queue takes.
    let job: serde_json::Value = serde_json::from_str(&job).unwrap();
    let id = session.submit(&format!(
        "{}, {}, '{}'",
        pitcrew_stack::sql::literal(job["kind"].as_str().unwrap()),
        pitcrew_stack::sql::literal(job["target"].as_str().unwrap()),
        job["options"]
    ));
    session.done(&id);
}

#[test]
fn missing_primary_key() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    session.run(
        "CREATE TABLE \"It's\" (id int NOT NULL, other int); CREATE UNIQUE INDEX \"It's_id\" ON \"It's\" (id); \
         CREATE UNIQUE INDEX nullable ON \"It's\" (other); CREATE TABLE whole (id int PRIMARY KEY); \
         INSERT INTO \"It's\" SELECT generate_series(1, 50); ANALYZE \"It's\"",
    );
    let sick = Sick {
        check: "missing_primary_key",
        thresholds: "{}",
        object: "public.\"It's\"",
        severity: "warn",
        detail: &[
            "50 rows",
            "the unique index public.\"It's_id\" can become it",
        ],
    };
    let finding = sick.seen(&session, &database.url);
    mend(&session, &finding);
    sick.healed(&session, &database.url);
}

#[test]
fn duplicate_index() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    session.run(
        "CREATE TABLE orders (id int PRIMARY KEY, day date, note text); CREATE INDEX a ON orders (day); CREATE INDEX b ON orders (day); \
         CREATE INDEX descending ON orders (day DESC); CREATE INDEX partly ON orders (day) WHERE day IS NOT NULL; \
         CREATE INDEX same_as_key ON orders (id); CREATE INDEX c_collation ON orders (note COLLATE \"C\"); CREATE INDEX own ON orders (note)",
    );
    let sick = Sick {
        check: "duplicate_index",
        thresholds: "{}",
        object: "public.b",
        severity: "warn",
        detail: &["the same as public.a", "8192 bytes"],
    };
    let key = Sick {
        object: "public.same_as_key",
        detail: &["the same as public.orders_pkey"],
        ..sick
    };
    let found = check(&session, "duplicate_index", "{}");
    assert_eq!(found.len(), 2, "{found:#?}");
    mend(&session, &sick.seen(&session, &database.url));
    mend(&session, &key.seen(&session, &database.url));
    sick.healed(&session, &database.url);
    key.healed(&session, &database.url);
}

#[test]
fn unused_index() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    session.run(
        "CREATE TABLE orders (id int PRIMARY KEY, day int, other int); INSERT INTO orders SELECT g, g, g FROM generate_series(1, 60000) g; \
         CREATE INDEX idle ON orders (day); CREATE INDEX busy ON orders (other); ANALYZE orders; SET enable_seqscan = off; \
         SELECT * FROM orders WHERE other = 5; SELECT pg_stat_force_next_flush()",
    );
    session.run("SELECT 1");
    // Statistics of a minute say nothing about use.
    let young = check(&session, "unused_index", "{}");
    assert_eq!(young[0].severity, "skipped", "{young:#?}");
    assert!(young[0].detail.contains("the check needs 7"), "{young:#?}");
    let sick = Sick {
        check: "unused_index",
        thresholds: r#"{"min_statistics_days": 0}"#,
        object: "public.idle",
        severity: "info",
        detail: &["never scanned", "60000 rows"],
    };
    let found = check(&session, sick.check, sick.thresholds);
    assert_eq!(found.len(), 1, "{found:#?}");
    mend(&session, &sick.seen(&session, &database.url));
    sick.healed(&session, &database.url);
}

#[test]
fn invalid_index() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    session.run("CREATE TABLE orders (id int); INSERT INTO orders VALUES (1), (1)");
    session.failure("CREATE UNIQUE INDEX CONCURRENTLY broken ON orders (id)");
    let sick = Sick {
        check: "invalid_index",
        thresholds: "{}",
        object: "public.broken",
        severity: "warn",
        detail: &["invalid"],
    };
    let finding = sick.seen(&session, &database.url);
    session.run("DELETE FROM orders WHERE ctid = '(0,1)'");
    mend(&session, &finding);
    sick.healed(&session, &database.url);
}

#[test]
fn null_heavy_index() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    session.run(
        "CREATE TABLE orders (id int, cancelled int); INSERT INTO orders SELECT g, CASE WHEN g % 20 = 0 THEN g END FROM generate_series(1, 20000) g; \
         CREATE INDEX mostly_null ON orders (cancelled); CREATE INDEX whole ON orders (id); ANALYZE orders",
    );
    let sick = Sick {
        check: "null_heavy_index",
        thresholds: r#"{"min_bytes": 0}"#,
        object: "public.mostly_null",
        severity: "info",
        detail: &["95.0 % of its 20000 entries are null"],
    };
    mend(&session, &sick.seen(&session, &database.url));
    sick.healed(&session, &database.url);
    assert_eq!(
        session.text("SELECT count(*) FROM pg_indexes WHERE tablename = 'orders' AND indexdef LIKE '%IS NOT NULL%'"),
        "1"
    );
}

#[test]
fn unindexed_foreign_key() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    session.run(
        "CREATE TABLE customers (a int, b int, PRIMARY KEY (a, b)); INSERT INTO customers VALUES (1, 1); \
         CREATE TABLE orders (a int, b int, CONSTRAINT customer FOREIGN KEY (a, b) REFERENCES customers); \
         CREATE INDEX half ON orders (a); CREATE INDEX part ON orders (a, b) WHERE a > 5; \
         INSERT INTO orders SELECT 1, 1 FROM generate_series(1, 2000); ANALYZE orders",
    );
    let sick = Sick {
        check: "unindexed_foreign_key",
        thresholds: "{}",
        object: "public.orders.customer",
        severity: "warn",
        detail: &["2000 rows of public.orders", "(a, b)"],
    };
    mend(&session, &sick.seen(&session, &database.url));
    sick.healed(&session, &database.url);
    // Either order of the columns serves.
    session.run("DROP INDEX orders_a_b_idx");
    sick.seen(&session, &database.url);
    session.run("CREATE INDEX turned ON orders (b, a)");
    sick.healed(&session, &database.url);
}

#[test]
fn sequence_overflow() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    session.run(
        "CREATE SEQUENCE ids AS integer; SELECT setval('ids', 2000000000); CREATE SEQUENCE fresh AS integer; \
         CREATE SEQUENCE down AS smallint INCREMENT -1 MINVALUE -100 MAXVALUE -1; SELECT setval('down', -80)",
    );
    let sick = Sick {
        check: "sequence_overflow",
        thresholds: "{}",
        object: "public.ids",
        severity: "critical",
        detail: &[
            "2000000000 of 2147483647 values (93 %)",
            "147483647 are left",
        ],
    };
    mend(&session, &sick.seen(&session, &database.url));
    sick.healed(&session, &database.url);
    let down = Sick {
        object: "public.down",
        severity: "warn",
        detail: &["80 of 100 values (80 %)"],
        ..sick
    };
    down.seen(&session, &database.url);
    session.run("SELECT setval('down', -1)");
    down.healed(&session, &database.url);
}

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
fn a_report_has_a_row_of_every_check_from_both_sides() {
    require!(statements);
    let database = testing::database();
    let session = Session::open(&database.url);
    session.run("CREATE TABLE orders (id int); CREATE INDEX a ON orders (id); CREATE INDEX b ON orders (id)");
    let own = report(&session, "{}");
    let plain = over_plain(&database.url, checks(), &Thresholds::default());
    for found in [&own, &plain] {
        let names: BTreeSet<_> = found.iter().map(|row| row.check.as_str()).collect();
        let all: BTreeSet<_> = checks().iter().map(|check| check.name).collect();
        assert_eq!(names, all);
        assert!(
            !found.iter().any(|row| row.detail.contains("SQLSTATE")),
            "{found:#?}"
        );
    }
    let said = |findings: &[pg_pitcrew_checks::Finding]| -> Vec<_> {
        let rows = findings.iter().filter(|row| row.object.is_some());
        rows.map(|row| (row.check.clone(), row.severity.clone(), row.object.clone()))
            .collect()
    };
    assert_eq!(said(&own), said(&plain));
    assert!(
        own.iter()
            .any(|row| row.object.as_deref() == Some("public.b"))
    );
}

#[test]
fn a_check_that_fails_is_a_row_and_the_others_go_on() {
    require!(statements);
    let database = testing::database();
    let session = Session::open(&database.url);
    // A view of that name that has other columns: the collection fails, and what reads it.
    session.run(
        "DROP EXTENSION pg_stat_statements; CREATE SCHEMA old; CREATE EXTENSION pg_stat_statements SCHEMA old VERSION '1.4'; \
         CREATE TABLE orders (id int)",
    );
    let own = report(&session, "{}");
    let plain = over_plain(&database.url, checks(), &Thresholds::default());
    for found in [&own, &plain] {
        let failed = found
            .iter()
            .find(|row| row.check == "query_total_time")
            .unwrap();
        assert_eq!(failed.severity, "skipped");
        assert!(failed.detail.contains("SQLSTATE 42703"), "{failed:?}");
        assert!(found.iter().any(|row| row.check == "missing_primary_key"
            && row.object.as_deref() == Some("public.orders")));
    }
    assert_eq!(session.text("SELECT count(*) FROM orders"), "0");
}

#[test]
fn suppressed_findings_stay_away_and_the_ok_row_says_so() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    session.run("CREATE TABLE orders (id int); CREATE TABLE lines (id int)");
    let key = "missing_primary_key:public.orders";
    session.run(&format!(
        "INSERT INTO pitcrew.suppressed_findings (cache_key, reason) VALUES ('{key}', 'a log')"
    ));
    let found = check(&session, "missing_primary_key", "{}");
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!(found[0].object.as_deref(), Some("public.lines"));
    session.run("DROP TABLE lines");
    let found = check(&session, "missing_primary_key", "{}");
    assert_eq!(found[0].severity, "ok");
    assert!(
        found[0].detail.contains("beside 1 suppressed row"),
        "{found:#?}"
    );
    session.run("UPDATE pitcrew.suppressed_findings SET until = now() - interval '1 s'");
    let found = check(&session, "missing_primary_key", "{}");
    assert_eq!(found[0].cache_key, key);
    session
        .run("INSERT INTO pitcrew.suppressed_findings (cache_key) VALUES ('missing_primary_key')");
    let found = check(&session, "missing_primary_key", "{}");
    assert_eq!(found[0].severity, "skipped");
    assert!(found[0].detail.contains("suppressed"), "{found:#?}");
}

#[test]
fn more_than_a_hundred_findings_are_counted() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    session.run("DO $$ BEGIN FOR i IN 1..130 LOOP EXECUTE format('CREATE TABLE t%s (id int)', i); END LOOP; END $$");
    session.run("INSERT INTO pitcrew.suppressed_findings (cache_key) VALUES ('missing_primary_key:public.t1')");
    let found = check(&session, "missing_primary_key", "{}");
    assert_eq!(found.len(), 101);
    assert!(
        found
            .iter()
            .any(|row| row.detail.starts_with("29 more rows"))
    );
}

#[test]
fn bad_input_is_refused_with_what_there_is() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    let failure = session.failure("SELECT * FROM pitcrew.check('dead_row')");
    assert_eq!(failure.code, "22023");
    assert!(failure.hint.contains("dead_rows"), "{failure:?}");
    for call in [
        r#"check('dead_rows', '{"rows": 1}')"#,
        r#"check('dead_rows', '{"min_rows": "1; DROP TABLE x"}')"#,
        r#"check('dead_rows', '{"min_rows": -1}')"#,
        r#"check('dead_rows', '[]')"#,
        r#"report('1')"#,
        r#"report('{"dead_rows": 1}')"#,
        r#"report('{"nothing": {}}')"#,
    ] {
        let failure = session.failure(&format!("SELECT * FROM pitcrew.{call}"));
        assert_eq!(failure.code, "22023", "{call}");
    }
}

#[test]
fn a_role_that_may_not_see_is_told_so_and_a_cancel_ends_the_report() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    let reader = role(&session, "reader", Some("reader"));
    session.run("CREATE TABLE orders (id int)");
    let inside = Session::open(&database.url_as(&reader));
    let found = report(&inside, "{}");
    let of = |name: &str| found.iter().find(|row| row.check == name).unwrap();
    assert_eq!(of("idle_in_transaction").severity, "skipped");
    assert!(
        of("idle_in_transaction")
            .detail
            .contains("pg_read_all_stats")
    );
    assert_eq!(of("null_heavy_index").severity, "skipped");
    assert_eq!(of("missing_primary_key").severity, "warn");
    // A monitor sees the rest; what it may not is the columns' statistics.
    session.run(&format!("GRANT pg_monitor TO {reader}"));
    let found = over_plain(&database.url_as(&reader), checks(), &Thresholds::default());
    let of = |name: &str| found.iter().find(|row| row.check == name).unwrap();
    assert_eq!(of("idle_in_transaction").severity, "ok", "{found:#?}");
    assert_eq!(of("null_heavy_index").severity, "skipped");
    session.run(&format!("GRANT pg_read_all_data TO {reader}"));
    let found = over_plain(
        &database.url_as(&reader),
        find("null_heavy_index"),
        &Thresholds::default(),
    );
    assert_eq!(found[0].severity, "ok", "{found:#?}");
    session.run("SET statement_timeout = '1ms'");
    let failure = session.failure("SELECT * FROM pitcrew.report()");
    assert_eq!(failure.code, "57014");
    session.run(&format!(
        "RESET statement_timeout; DROP OWNED BY {reader}; DROP ROLE {reader}"
    ));
}
