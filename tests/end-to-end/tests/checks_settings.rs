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
            "log_min_duration",
            "log_min_duration_statement",
            "info",
            &["nobody can read afterwards"],
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

#[test]
fn how_checkpoints_and_autovacuum_are_paced() {
    require!(extension);
    let postgres = server(&[
        ("checkpoint_timeout", "1min"),
        ("checkpoint_completion_target", "0.5"),
        ("autovacuum_max_workers", "1"),
        ("autovacuum_naptime", "1s"),
    ]);
    let url = postgres.socket_url("postgres", "shop");
    let session = Session::open(&url);
    let cases = [
        set(
            "checkpoint_spread",
            "checkpoint_timeout",
            "info",
            &["checkpoint_timeout is 1min"],
            "",
        ),
        set(
            "checkpoint_spread",
            "checkpoint_completion_target",
            "info",
            &["checkpoint_completion_target is 0.5"],
            "",
        ),
        Case {
            // One page costs more than the limit, so that the worker sleeps after each. Others come and go between two
            // looks: the check waits for this one, and no more come once it is gone.
            build: "CREATE TABLE orders (id int) WITH (autovacuum_vacuum_cost_limit = 1, autovacuum_vacuum_cost_delay = 100, \
                    autovacuum_vacuum_threshold = 10, autovacuum_vacuum_scale_factor = 0)\n\
                    INSERT INTO orders SELECT generate_series(1, 200000)\n\
                    DELETE FROM orders WHERE id % 2 = 0\n\
                    SELECT pg_stat_force_next_flush()\n\
                    DO $$ BEGIN WHILE NOT EXISTS (SELECT FROM pg_stat_progress_vacuum WHERE relid = 'orders'::regclass) \
                    AND clock_timestamp() < now() + interval '1 minute' \
                    LOOP PERFORM pg_sleep(0.01), pg_stat_clear_snapshot(); END LOOP; END $$",
            heal: Some(
                "ALTER SYSTEM SET autovacuum_naptime = '1d'\nSELECT pg_reload_conf()\nDROP TABLE orders",
            ),
            ..set(
                "autovacuum_saturated",
                "autovacuum_max_workers",
                "warn",
                &["all 1 workers are at work"],
                "",
            )
        },
    ];
    walk(&session, &url, &cases);
}
