//! Checks of who gets in: pg_hba.conf, TLS, passwords that end, functions that lend rights.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something unexpected happens"
)]

mod checked;
mod support;

use std::fs;

use checked::{Case, Sick, walk};
use pitcrew_stack::{require, testing};
use support::{Session, server};

#[test]
fn lines_of_the_configuration() {
    require!(extension);
    let postgres = server(&[]);
    let url = postgres.socket_url("postgres", "shop");
    let session = Session::open(&url);
    let path = postgres.data_dir().join("pg_hba.conf");
    let before = fs::read_to_string(&path).unwrap();
    let line = before.lines().count() + 1;
    let object = format!("pg_hba.conf line {line}");
    let of = |check, severity, detail| Sick {
        check,
        thresholds: "{}",
        object: &object,
        severity,
        detail,
    };
    let lines: [(&str, Sick<'_>); 4] = [
        (
            "host all all 127.0.0.1/0 trust",
            of(
                "access_without_password",
                "critical",
                &["over host (127.0.0.1/0.0.0.0) is all"],
            ),
        ),
        (
            "host shop all 10.0.0.0/8 trust",
            of(
                "access_without_password",
                "critical",
                &["over host (10.0.0.0/255.0.0.0) is all of database shop without a password"],
            ),
        ),
        (
            "host all boss 0.0.0.0/0 password",
            of(
                "access_without_password",
                "warn",
                &["for boss sends passwords as they are typed"],
            ),
        ),
        (
            "host all all 10.0.0.0/8 magic",
            of(
                "configuration_error",
                "warn",
                &["invalid authentication method \"magic\""],
            ),
        ),
    ];
    for (text, sick) in &lines {
        sick.healed(&session, &url);
        fs::write(&path, format!("{before}{text}\n")).unwrap();
        sick.seen(&session, &url);
        fs::write(&path, &before).unwrap();
        sick.healed(&session, &url);
    }
    // What waits for a restart is right, what means nothing is not.
    session.run("ALTER SYSTEM SET max_connections = 300");
    let setting = Sick {
        object: "work_mem",
        ..of(
            "configuration_error",
            "warn",
            &["setting could not be applied"],
        )
    };
    let none = Sick {
        object: "max_connections",
        ..setting
    };
    none.healed(&session, &url);
    let path = postgres.data_dir().join("postgresql.conf");
    let before = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("{before}work_mem = 'banana'\n")).unwrap();
    setting.seen(&session, &url);
    fs::write(&path, &before).unwrap();
    setting.healed(&session, &url);
}

#[test]
fn who_comes_in_and_until_when() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    let role = format!("guest_{}", database.name);
    session.run(&format!("CREATE ROLE {role} LOGIN PASSWORD 'x'"));
    let lends = format!(
        "SET ROLE {role}\nRESET ROLE\nCREATE FUNCTION lends(a int) RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'"
    );
    let expires = format!("ALTER ROLE {role} VALID UNTIL '2020-01-01 00:00:00+00'");
    let soon = format!("ALTER ROLE {role} VALID UNTIL 'tomorrow'");
    let expiry = |severity, detail| Sick {
        check: "role_expires",
        thresholds: "{}",
        object: role.as_str(),
        severity,
        detail,
    };
    let cases = [
        Case {
            build: &expires,
            sick: expiry("info", &["its password ended at 2020-01-01"]),
            heal: None,
        },
        Case {
            build: &soon,
            sick: expiry("warn", &["in 1 days: no new session after that"]),
            heal: None,
        },
        Case {
            build: &lends,
            sick: Sick {
                check: "definer_function_public",
                thresholds: "{}",
                object: "public.lends(a integer)",
                severity: "warn",
                detail: &["it runs as postgres, a superuser"],
            },
            heal: None,
        },
    ];
    walk(&session, &database.url, &cases);
    session.run(&format!("DROP ROLE {role}"));
}

#[test]
fn a_session_without_tls() {
    require!(extension);
    let postgres = server(&[]);
    let url = postgres.socket_url("postgres", "shop");
    let session = Session::open(&url);
    let sick = Sick {
        check: "unencrypted_session",
        thresholds: r#"{"with_loopback": 1}"#,
        object: "postgres@127.0.0.1",
        severity: "warn",
        detail: &["1 session from 127.0.0.1 as postgres without TLS, and the server offers none"],
    };
    sick.healed(&session, &url);
    let open = Session::open(&postgres.url("shop"));
    sick.seen(&session, &url);
    // By default the machine itself is no network.
    Sick {
        thresholds: "{}",
        ..sick
    }
    .healed(&session, &url);
    drop(open);
    sick.soon(&session, false);
    sick.healed(&session, &url);
}
