//! Checks of who may see and change what: each builds the sick situation, sees it, mends it and sees it healed.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something unexpected happens"
)]

mod checked;
mod support;

use checked::{Case, Sick, walk};
use pitcrew_stack::{require, testing};
use support::Session;

#[test]
fn who_may_see_and_change_what() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    let role = format!("boss_{}", database.name);
    let cases = [
        Case {
            build: "CREATE TABLE \"Open\" (id int)\nGRANT INSERT, UPDATE, SELECT ON \"Open\" TO PUBLIC",
            sick: Sick {
                check: "public_table_write",
                thresholds: "{}",
                object: "public.\"Open\"",
                severity: "warn",
                detail: &["PUBLIC may INSERT, UPDATE:"],
            },
            heal: None,
        },
        Case {
            build: "CREATE TABLE secrets (id int)\nCREATE POLICY own ON secrets USING (id > 0)",
            sick: Sick {
                check: "policy_without_row_security",
                thresholds: "{}",
                object: "public.secrets",
                severity: "critical",
                detail: &["has 1 policy, and row security is off"],
            },
            heal: None,
        },
        Case {
            build: "CREATE VIEW shown AS SELECT * FROM secrets",
            sick: Sick {
                check: "view_past_row_security",
                thresholds: "{}",
                object: "public.shown",
                severity: "warn",
                detail: &["reads public.secrets with the rights of the view's owner postgres"],
            },
            heal: None,
        },
        Case {
            build: "CREATE TABLE shut (id int)\nALTER TABLE shut ENABLE ROW LEVEL SECURITY",
            sick: Sick {
                check: "row_security_without_policy",
                thresholds: "{}",
                object: "public.shut",
                severity: "warn",
                detail: &["sees no row"],
            },
            heal: Some("CREATE POLICY own ON shut USING (id > 0)"),
        },
        Case {
            build: &format!("CREATE ROLE {role} SUPERUSER LOGIN"),
            sick: Sick {
                check: "superuser_login",
                thresholds: "{}",
                object: &role,
                severity: "info",
                detail: &["is a superuser"],
            },
            heal: None,
        },
    ];
    walk(&session, &database.url, &cases);
    session.run(&format!("DROP ROLE {role}"));
}

#[test]
fn extension_in_public() {
    require!(statements);
    let database = testing::database();
    let session = Session::open(&database.url);
    walk(
        &session,
        &database.url,
        &[Case {
            build: "DROP EXTENSION pg_stat_statements\nCREATE EXTENSION pg_stat_statements SCHEMA public",
            sick: Sick {
                check: "extension_in_public",
                thresholds: "{}",
                object: "pg_stat_statements",
                severity: "info",
                detail: &["in schema public"],
            },
            heal: None,
        }],
    );
}
