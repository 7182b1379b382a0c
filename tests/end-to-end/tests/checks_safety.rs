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
            build: "CREATE VIEW unseen WITH (security_invoker = yes) AS SELECT * FROM secrets\nCREATE VIEW shown AS SELECT * FROM secrets",
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

#[test]
fn policies_and_what_they_cannot_protect() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    session.run(
        "CREATE TABLE mine (owner text); ALTER TABLE mine ENABLE ROW LEVEL SECURITY; \
         CREATE FUNCTION me() RETURNS text LANGUAGE sql STABLE AS $$ SELECT 'x' $$; \
         CREATE POLICY own ON mine USING (owner = (SELECT current_setting('app.user'))); \
         CREATE FOREIGN DATA WRAPPER nothing; CREATE SERVER away FOREIGN DATA WRAPPER nothing",
    );
    let per_row = |detail| Sick {
        check: "policy_per_row_call",
        thresholds: r#"{"min_rows": 0}"#,
        object: "policy own on public.mine",
        severity: "warn",
        detail,
    };
    let always = |object, detail| Sick {
        check: "policy_always_true",
        thresholds: "{}",
        object,
        severity: "warn",
        detail,
    };
    let bare = |object, severity, detail| Sick {
        check: "relation_without_row_security",
        thresholds: "{}",
        object,
        severity,
        detail,
    };
    per_row(&[]).healed(&session, &database.url);
    let cases = [
        Case {
            build: "ALTER POLICY own ON mine USING (owner = current_setting('app.user'))",
            sick: per_row(&["calls current_setting(...) for each row"]),
            heal: Some(
                "ALTER POLICY own ON mine USING (owner = (SELECT current_setting('app.user')))",
            ),
        },
        // Once in each way is once too often.
        Case {
            build: "ALTER POLICY own ON mine WITH CHECK (owner = me() OR owner = (SELECT me()))",
            sick: per_row(&["calls me() for each row", "written as (SELECT me())"]),
            heal: Some("ALTER POLICY own ON mine WITH CHECK (owner = (SELECT me()))"),
        },
        Case {
            build: "CREATE POLICY \"Any\" ON mine FOR INSERT WITH CHECK (true)",
            sick: always(
                "policy \"Any\" on public.mine",
                &["WITH CHECK is always true for INSERT by PUBLIC"],
            ),
            heal: Some("ALTER POLICY \"Any\" ON mine WITH CHECK (owner <> '')"),
        },
        Case {
            build: "CREATE POLICY loose ON mine TO postgres USING (true)",
            sick: always(
                "policy loose on public.mine",
                &["USING is always true for every command by postgres"],
            ),
            heal: Some(
                "DROP POLICY loose ON mine\nCREATE POLICY loose ON mine FOR SELECT USING (true)",
            ),
        },
        Case {
            build: "CREATE MATERIALIZED VIEW copies AS SELECT * FROM mine\nGRANT SELECT ON copies TO PUBLIC",
            sick: bare(
                "public.copies",
                "warn",
                &["holds rows of public.mine", "PUBLIC may read all of them"],
            ),
            heal: None,
        },
        Case {
            build: "CREATE FOREIGN TABLE far (id int) SERVER away\nGRANT SELECT ON far TO PUBLIC",
            sick: bare(
                "public.far",
                "info",
                &["PUBLIC may read all that the foreign server shows"],
            ),
            heal: None,
        },
    ];
    walk(&session, &database.url, &cases);
}
