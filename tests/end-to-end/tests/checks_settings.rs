//! Checks of settings: each is set wrong on one server, seen, mended by the fix and seen mended.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something unexpected happens"
)]

mod checked;
mod support;

use checked::{Case, Sick, walk};
use pitcrew_stack::require;
use support::{Session, server};

const RELOAD: &str = "SELECT pg_reload_conf()";

/// A check of one setting that somebody set so.
fn set<'a>(
    check: &'a str,
    object: &'a str,
    severity: &'a str,
    detail: &'a [&'a str],
    build: &'a str,
) -> Case<'a> {
    Case {
        build,
        sick: Sick {
            check,
            thresholds: "{}",
            object,
            severity,
            detail,
        },
        heal: None,
    }
}

#[test]
fn settings_of_one_server() {
    require!(statements);
    let postgres = server(&[("log_lock_waits", "off")]);
    let url = postgres.socket_url("postgres", "shop");
    let session = Session::open(&url);
    let system = |name: &str, value: &str| format!("ALTER SYSTEM SET {name} = {value}\n{RELOAD}");
    let builds = [
        system("autovacuum", "off"),
        system("track_activities", "off"),
        system("effective_cache_size", "'1MB'"),
        system("password_encryption", "md5"),
        system("max_connections", "300"),
    ];
    let cases = [
        set(
            "durability_off",
            "fsync",
            "critical",
            &["fsync is off", "unusable"],
            "",
        ),
        set(
            "log_settings",
            "log_lock_waits",
            "info",
            &["waits for a lock"],
            "",
        ),
        set(
            "idle_timeout",
            "idle_in_transaction_session_timeout",
            "info",
            &["is 0"],
            "",
        ),
        set(
            "autovacuum_off",
            "autovacuum",
            "critical",
            &["autovacuum is off"],
            &builds[0],
        ),
        set(
            "tracking_off",
            "track_activities",
            "warn",
            &["nobody can see what sessions do"],
            &builds[1],
        ),
        set(
            "effective_cache_size",
            "effective_cache_size",
            "warn",
            &["1MB is less than shared_buffers (128MB)"],
            &builds[2],
        ),
        set(
            "password_encryption",
            "password_encryption",
            "warn",
            &["is md5"],
            &builds[3],
        ),
        set(
            "extension_outdated",
            "pg_stat_statements",
            "info",
            &["version 1.9 is in use"],
            "DROP EXTENSION pg_stat_statements\nCREATE EXTENSION pg_stat_statements VERSION '1.9'",
        ),
    ];
    walk(&session, &url, &cases);
    let rest = [
        Case {
            heal: Some(&format!("ALTER SYSTEM RESET max_connections\n{RELOAD}")),
            ..set(
                "pending_restart",
                "max_connections",
                "warn",
                &["in force is still 200"],
                &builds[4],
            )
        },
        Case {
            build: &"CHECKPOINT\n".repeat(12),
            sick: Sick {
                check: "checkpoints_requested",
                thresholds: r#"{"min_count": 5}"#,
                object: "max_wal_size",
                severity: "warn",
                detail: &["were requested", "max_wal_size (1GB)"],
            },
            heal: Some(
                "SELECT pg_stat_reset_shared(CASE WHEN current_setting('server_version_num')::int >= 170000 THEN 'checkpointer' ELSE 'bgwriter' END)",
            ),
        },
    ];
    walk(&session, &url, &rest);
}
