//! Checks of cache, temporary files and WAL, on one server that is restarted to empty its cache.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something unexpected happens"
)]

mod checked;
mod support;

use checked::{Case, Sick, statements, walk};
use pitcrew_stack::require;
use support::{Session, server};

#[test]
fn cache_and_files_of_one_server() {
    require!(extension);
    let mut postgres = server(&[
        ("autovacuum", "off"),
        ("wal_buffers", "32kB"),
        ("archive_mode", "on"),
        ("archive_command", "false"),
    ]);
    let url = postgres.socket_url("postgres", "shop");
    let session = Session::open(&url);
    session.run(
        "CREATE TABLE orders (id int, note text); INSERT INTO orders SELECT g, repeat('x', 100) FROM generate_series(1, 20000) g; \
         CREATE INDEX by_id ON orders (id)",
    );
    statements(&session, "VACUUM (ANALYZE) orders");
    drop(session);
    postgres.restart().unwrap();
    let session = Session::open(&url);
    // What made the table counts as found in the cache.
    session.run("SELECT pg_stat_reset()");
    let thresholds = r#"{"min_blocks": 20}"#;
    let cold = |check, object, detail| Sick {
        check,
        thresholds,
        object,
        severity: "info",
        detail,
    };
    session.run("SELECT count(note) FROM orders");
    session.run("SET enable_seqscan = off; SET enable_bitmapscan = off; SELECT count(*) FROM orders WHERE id > 0");
    let table = cold(
        "cache_hit_table",
        "public.orders",
        &["blocks were not in shared_buffers"][..],
    );
    let index = cold("cache_hit_index", "public.by_id", &["the index is 456 kB"]);
    let whole = cold(
        "cache_hit_database",
        "shop",
        &["were in shared_buffers (128MB)"],
    );
    // A report reads the catalogue from outside the cache as well, so what is looked for is there at once or soon.
    for sick in [&table, &index] {
        sick.soon(&session, true);
        sick.seen(&session, &url);
    }
    let whole = Sick {
        thresholds: r#"{"min_blocks": 20, "max_percent": 100}"#,
        ..whole
    };
    whole.soon(&session, true);
    whole.seen(&session, &url);
    session.run("SELECT pg_stat_reset()");
    for sick in [&table, &index, &whole] {
        sick.soon(&session, false);
        sick.healed(&session, &url);
    }
    let cases = [
        Case {
            build: "SET work_mem = '64kB'\nSELECT count(*) FROM (SELECT g FROM generate_series(1, 200000) g ORDER BY g DESC) f",
            sick: Sick {
                check: "temp_files",
                thresholds: r#"{"min_bytes": 100000}"#,
                object: "shop",
                severity: "info",
                detail: &[
                    "temporary files since the statistics began",
                    "with work_mem = 4096 kB",
                ],
            },
            heal: Some("RESET work_mem\nSELECT pg_stat_reset()"),
        },
        Case {
            build: "INSERT INTO orders SELECT g, repeat('y', 100) FROM generate_series(1, 50000) g",
            sick: Sick {
                check: "wal_buffers_full",
                thresholds: r#"{"min_count": 10}"#,
                object: "wal_buffers",
                severity: "info",
                detail: &["wal_buffers (32kB) were full"],
            },
            heal: Some("SELECT pg_stat_reset_shared('wal')"),
        },
        Case {
            build: "INSERT INTO orders SELECT g, repeat('z', 100) FROM generate_series(1, 50000) g",
            sick: Sick {
                check: "checkpoint_old",
                thresholds: r#"{"min_seconds": 0, "min_bytes": 1000000}"#,
                object: "checkpoint",
                severity: "warn",
                detail: &["the last checkpoint began", "of WAL were written since"],
            },
            heal: None,
        },
    ];
    walk(&session, &url, &cases);
    archiver(&session, &url);
}

fn archiver(session: &Session, url: &str) {
    let sick = Sick {
        check: "archiver_failing",
        thresholds: "{}",
        object: "archive_command",
        severity: "critical",
        detail: &["last file archived: never", "WAL piles up"],
    };
    session.run("SELECT pg_switch_wal()");
    sick.soon(session, true);
    sick.seen(session, url);
    session.run("CREATE TABLE more (id int)");
    session.run("SELECT pg_switch_wal()");
    let backlog = Sick {
        check: "archive_backlog",
        thresholds: r#"{"min_files": 2}"#,
        object: "pg_wal/archive_status",
        severity: "warn",
        detail: &[
            "wait to be archived, the oldest for",
            "Last archived: nothing",
        ],
    };
    backlog.soon(session, true);
    backlog.seen(session, url);
    statements(
        session,
        "ALTER SYSTEM SET archive_command = 'true'\nSELECT pg_reload_conf()",
    );
    // While it still tries the old command, a failure may come after the reset.
    session.until(
        "SELECT last_archived_time > last_failed_time FROM pg_stat_archiver",
        "t",
    );
    backlog.soon(session, false);
    backlog.healed(session, url);
    session.run("SELECT pg_stat_reset_shared('archiver')");
    sick.soon(session, false);
    sick.healed(session, url);
}
