//! Checks of reads, writes and files: a server with a small cache, one with a page that is damaged, and the disk.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something unexpected happens"
)]

mod checked;
mod support;

use std::os::unix::fs::FileExt;

use checked::{Case, Sick, check, mend, statements, walk};
use pitcrew_stack::require;
use support::{Session, server};

#[test]
fn a_small_cache() {
    require!(extension);
    let postgres = server(&[
        ("shared_buffers", "1MB"),
        ("bgwriter_lru_maxpages", "0"),
        ("autovacuum", "off"),
    ]);
    let url = postgres.socket_url("postgres", "shop");
    let session = Session::open(&url);
    session.run("CREATE TABLE orders AS SELECT g AS id, repeat('x', 500) AS note FROM generate_series(1, 40000) g");
    let read = "SELECT count(*) FROM orders\nSELECT pg_stat_force_next_flush()";
    let cases = [
        Case {
            build: read,
            sick: Sick {
                check: "shared_buffers",
                thresholds: r#"{"min_reads": 2000, "max_percent": 99.9}"#,
                object: "shared_buffers",
                severity: "info",
                detail: &["were in shared_buffers (1MB)"],
            },
            heal: Some("SELECT pg_stat_reset()"),
        },
        Case {
            build: read,
            sick: Sick {
                check: "random_page_cost",
                thresholds: r#"{"min_reads": 2000, "max_ms": 1e9}"#,
                object: "random_page_cost",
                severity: "info",
                detail: &["random_page_cost is 4", "ms on average"],
            },
            heal: None,
        },
        Case {
            build: "UPDATE orders SET note = repeat('y', 500)\nSELECT pg_stat_force_next_flush()",
            sick: Sick {
                check: "backend_writes",
                thresholds: r#"{"min_blocks": 500, "min_percent": 5}"#,
                object: "shared_buffers",
                severity: "info",
                detail: &[
                    "sessions wrote",
                    "themselves",
                    "(bgwriter_lru_maxpages = 0)",
                ],
            },
            heal: Some(
                "SELECT pg_stat_reset_shared(CASE WHEN current_setting('server_version_num')::int >= 160000 THEN 'io' ELSE 'bgwriter' END)",
            ),
        },
        Case {
            build: "UPDATE orders SET note = repeat('z', 500)",
            sick: Sick {
                check: "wal_rate",
                thresholds: r#"{"min_bytes_per_day": 20000000}"#,
                object: "WAL",
                severity: "info",
                detail: &["a day;", "wal_compression is off"],
            },
            heal: Some("SELECT pg_stat_reset_shared('wal')"),
        },
    ];
    walk(&session, &url, &cases);
    slow_reads(&session, &url);
}

fn slow_reads(session: &Session, url: &str) {
    let sick = Sick {
        check: "slow_reads",
        // More than the check itself reads of the catalogues, which do not fit this cache either.
        thresholds: r#"{"min_reads": 1500, "min_ms": 0}"#,
        object: "client backend/normal",
        severity: "warn",
        detail: &["a read takes", "ms on average"],
    };
    if session.number("SELECT current_setting('server_version_num')") < 160_000.0 {
        let found = check(session, sick.check, sick.thresholds);
        assert_eq!(found[0].severity, "skipped");
        assert!(found[0].detail.contains("needs PostgreSQL 16"), "{found:?}");
        return;
    }
    statements(
        session,
        "CREATE INDEX by_id ON orders (id)\nSET enable_seqscan = off\nSELECT sum(length(note)) FROM orders WHERE id % 7 = 1 AND id > 0",
    );
    sick.soon(session, true);
    sick.seen(session, url);
    session.run("SELECT pg_stat_reset_shared('io')");
    sick.soon(session, false);
    sick.healed(session, url);
}

#[test]
fn what_fills_the_cache() {
    require!(statements);
    let postgres = server(&[]);
    let url = postgres.socket_url("postgres", "shop");
    let session = Session::open(&url);
    session.run("CREATE EXTENSION pg_buffercache");
    walk(
        &session,
        &url,
        &[Case {
            build: "CREATE TABLE orders AS SELECT g AS id, repeat('x', 500) AS note FROM generate_series(1, 40000) g\nUPDATE orders SET id = id",
            sick: Sick {
                check: "buffer_contents",
                thresholds: "{}",
                object: "public.orders",
                severity: "info",
                detail: &["of it are in shared_buffers"],
            },
            heal: Some("TRUNCATE orders"),
        }],
    );
}

#[test]
fn a_damaged_page() {
    require!(extension);
    let mut postgres = server(&[("ignore_checksum_failure", "off")]);
    let url = postgres.socket_url("postgres", "shop");
    let mut session = Session::open(&url);
    let off = Sick {
        check: "checksums_off",
        thresholds: "{}",
        object: "data_checksums",
        severity: "info",
        detail: &["pg_checksums --enable"],
    };
    if session.text("SELECT current_setting('data_checksums')") == "off" {
        off.seen(&session, &url);
        drop(session);
        postgres.enable_checksums().unwrap();
        session = Session::open(&url);
    }
    off.healed(&session, &url);
    session.run("CREATE TABLE orders AS SELECT generate_series(1, 1000) AS id");
    let path = session.text("SELECT pg_relation_filepath('orders')");
    drop(session);
    postgres.stop();
    let file = std::fs::File::options()
        .write(true)
        .open(postgres.data_dir().join(path))
        .unwrap();
    file.write_all_at(b"damage", 4096).unwrap();
    postgres.start_again().unwrap();
    let session = Session::open(&url);
    assert_eq!(session.failure("SELECT count(*) FROM orders").code, "XX001");
    let sick = Sick {
        check: "checksum_failures",
        thresholds: "{}",
        object: "shop",
        severity: "critical",
        detail: &["1 pages did not have their checksum"],
    };
    sick.soon(&session, true);
    sick.seen(&session, &url);
    statements(&session, "DROP TABLE orders\nSELECT pg_stat_reset()");
    sick.soon(&session, false);
    sick.healed(&session, &url);
}

#[test]
fn the_wal_directory_and_the_disk() {
    require!(extension);
    let postgres = server(&[("max_wal_size", "32MB"), ("min_wal_size", "32MB")]);
    let url = postgres.socket_url("postgres", "shop");
    let session = Session::open(&url);
    session.run(
        "CREATE TABLE filler (id int); SELECT pg_create_physical_replication_slot('old', true)",
    );
    for _ in 0..6 {
        statements(
            &session,
            "INSERT INTO filler VALUES (1)\nSELECT pg_switch_wal()",
        );
    }
    let sick = Sick {
        check: "wal_directory",
        thresholds: "{}",
        object: "pg_wal",
        severity: "warn",
        detail: &["files where max_wal_size is 32 MB"],
    };
    sick.soon(&session, true);
    sick.seen(&session, &url);
    statements(
        &session,
        "SELECT pg_drop_replication_slot('old')\nCHECKPOINT\nCHECKPOINT",
    );
    sick.soon(&session, false);
    sick.healed(&session, &url);
    // Nobody can fill the disk of a test, so here the threshold moves.
    let disk = Sick {
        check: "disk_space",
        thresholds: r#"{"min_percent": 0, "critical_percent": 101}"#,
        object: "data directory, WAL directory",
        severity: "warn",
        detail: &["are free there"],
    };
    let found = disk.seen(&session, &url);
    let evidence: serde_json::Value =
        serde_json::from_str(found.evidence.as_deref().unwrap()).unwrap();
    let total = evidence["total_bytes"].as_u64().unwrap();
    assert!(evidence["free_bytes"].as_u64().unwrap() < total);
    Sick {
        thresholds: r#"{"min_percent": 100}"#,
        ..disk
    }
    .healed(&session, &url);
}

#[test]
fn tables_that_nobody_uses_and_pages_that_were_measured() {
    require!(statements);
    let postgres = server(&[("autovacuum", "off")]);
    let url = postgres.socket_url("postgres", "shop");
    let session = Session::open(&url);
    session.run(
        "CREATE TABLE old AS SELECT generate_series(1, 1000) AS id; CREATE EXTENSION pgstattuple",
    );
    statements(&session, "ANALYZE old\nSELECT pg_stat_reset()");
    let unused = Sick {
        check: "unused_table",
        thresholds: r#"{"min_bytes": 0, "min_statistics_days": 0}"#,
        object: "public.old",
        severity: "info",
        detail: &["no query has read or changed it"],
    };
    unused.soon(&session, true);
    unused.seen(&session, &url);
    session.run("SELECT count(*) FROM old");
    unused.soon(&session, false);
    unused.healed(&session, &url);
    statements(
        &session,
        "CREATE TABLE hollow AS SELECT g AS id, repeat('x', 500) AS note FROM generate_series(1, 30000) g\nDELETE FROM hollow WHERE id % 4 > 0\nVACUUM (ANALYZE) hollow",
    );
    let measured = Sick {
        check: "bloated_table_measured",
        thresholds: "{}",
        object: "public.hollow",
        severity: "warn",
        detail: &["% free", "as pgstattuple_approx measured"],
    };
    mend(&session, &measured.seen(&session, &url));
    measured.healed(&session, &url);
    let report = checked::report(&session, "{}");
    let skipped = report
        .iter()
        .find(|row| row.check == measured.check)
        .unwrap();
    assert_eq!(skipped.severity, "skipped");
    assert!(skipped.detail.contains("runs on request only"));
}
