//! What holds for every check: one report from both sides, failures as rows, suppression, bounds, bad input, rights.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something unexpected happens"
)]

mod checked;
mod support;

use std::collections::BTreeSet;

use checked::{check, over_plain, report};
use pg_pitcrew_checks::{Thresholds, checks, find};
use pitcrew_stack::{require, testing};
use support::{Session, role};

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
    // Each check is a view as well, and a reader may read it.
    for check in checks() {
        let rows = inside.run(&format!(
            "SELECT \"check\" FROM pitcrew.check_{}",
            check.name
        ));
        assert_eq!(rows[0][0].as_deref(), Some(check.name));
    }
    assert_eq!(
        inside.number("SELECT count(*) FROM pitcrew.checks()"),
        checks().len() as f64
    );
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
