//! Checks of the release that runs, and of what stands in the way of the next one.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something unexpected happens"
)]

mod checked;
mod support;

use checked::{Case, Sick, check, thresholds, walk};
use pg_pitcrew_checks::{Facts, find, over_registered};
use pitcrew_stack::{require, testing};
use support::Session;

#[test]
fn columns_that_stop_pg_upgrade() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    session.run(
        "CREATE DOMAIN places AS regnamespace[]; CREATE TYPE pair AS (place places, note text); \
         CREATE TABLE kept (one regclass, two regrole[], three regtype)",
    );
    let column = |object, detail| Sick {
        check: "upgrade_blocking_type",
        thresholds: "{}",
        object,
        severity: "warn",
        detail,
    };
    assert_eq!(
        check(&session, "upgrade_blocking_type", "{}")[0].severity,
        "ok"
    );
    let cases = [
        Case {
            build: "CREATE TABLE calls (id int, \"Handler\" regprocedure)",
            sick: column(
                "public.calls.\"Handler\"",
                &["its type regprocedure holds regprocedure"],
            ),
            heal: None,
        },
        Case {
            build: "ALTER TABLE calls ADD COLUMN places pair",
            sick: column(
                "public.calls.places",
                &["its type public.pair holds regnamespace"],
            ),
            heal: None,
        },
    ];
    walk(&session, &database.url, &cases);
}

/// What the check's own text says of another version on another day: severity, and the object or the reason.
fn as_if(session: &Session, version: u32, day: &str) -> Vec<String> {
    let definition = find("minor_version_old").unwrap();
    let text = over_registered(
        definition,
        &Facts::default(),
        &thresholds(definition, "{}"),
        0,
    );
    let version = format!("'{version}'");
    let text = text
        .replace("current_setting('server_version_num')", &version)
        .replace("current_date", &format!("date '{day}'"));
    let rows = session.run(&text);
    let cells = rows.iter().map(|row| {
        let cell = |place: usize| row[place].as_deref();
        (cell(0).unwrap(), cell(1).or(cell(2)).unwrap())
    });
    cells
        .filter(|(severity, _)| *severity != "ok")
        .map(|(severity, of)| format!("{severity} {of}"))
        .collect()
}

#[test]
fn releases_with_faults_without_support_or_beyond_the_list() {
    require!(database);
    let database = testing::database();
    let session = Session::open(&database.url);
    let of = |version, day| as_if(&session, version, day);
    assert_eq!(of(150_020, "2026-12-01"), [""; 0]);
    assert_eq!(of(160_099, "2026-12-01"), [""; 0]);
    assert_eq!(
        of(140_003, "2026-11-01"),
        [
            "critical faults before 14.14",
            "critical faults before 14.11",
            "critical faults before 14.10",
            "critical faults before 14.4",
            "warn version 14.3",
            "info PostgreSQL 14"
        ]
    );
    assert_eq!(
        of(170_004, "2026-12-01"),
        ["critical faults before 17.5", "warn version 17.4"]
    );
    assert_eq!(of(130_023, "2026-12-01"), ["warn PostgreSQL 13"]);
    for (version, day, reason) in [
        (190_000, "2026-12-01", "knows 13 to 18 and not 19"),
        (120_010, "2026-12-01", "knows 13 to 18 and not 12"),
        (140_003, "2027-06-01", "no longer trusted after 2027-05-31"),
    ] {
        let rows = of(version, day);
        assert_eq!(rows.len(), 1, "{rows:?}");
        assert!(
            rows[0].starts_with("skipped") && rows[0].contains(reason),
            "{rows:?}"
        );
    }
}

#[test]
fn the_end_of_support_of_this_server() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    // Past the time of its list the check says that and no more, as is seen above.
    if check(&session, "minor_version_old", "{}")[0].severity == "skipped" {
        return;
    }
    let major = session.text("SELECT current_setting('server_version_num')::int / 10000");
    let object = format!("PostgreSQL {major}");
    let sick = Sick {
        check: "minor_version_old",
        thresholds: r#"{"min_days": 10000}"#,
        object: &object,
        severity: "info",
        detail: &["has its last release at", "days"],
    };
    sick.seen(&session, &database.url);
    Sick {
        thresholds: r#"{"min_days": 0}"#,
        ..sick
    }
    .healed(&session, &database.url);
}
