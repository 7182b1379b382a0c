//! Checks of replication: a primary with a real standby, and a publisher with a subscriber.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something unexpected happens"
)]

mod checked;
mod support;

use checked::{Case, Sick, mend, statements, walk};
use pitcrew_stack::require;
use support::{Session, server};

#[test]
fn a_standby_and_its_primary() {
    require!(extension);
    let mut primary = server(&[("autovacuum", "off")]);
    let mut standby = primary
        .standby(&[
            ("max_standby_streaming_delay", "0"),
            ("hot_standby_feedback", "off"),
        ])
        .unwrap();
    let (here, there) = (
        primary.socket_url("postgres", "shop"),
        standby.socket_url("postgres", "shop"),
    );
    let (session, replica) = (Session::open(&here), Session::open(&there));
    session.run("CREATE TABLE orders AS SELECT generate_series(1, 20000) AS id");
    replica.until(
        "SELECT count(*) FROM pg_class WHERE relname = 'orders'",
        "1",
    );
    late(&session, &here, &replica, &there);
    conflicts(&session, &replica, &there);
    synchronous(&session, &here);
    let missing = Sick {
        check: "receiver_missing",
        thresholds: "{}",
        object: "WAL receiver",
        severity: "critical",
        detail: &["nothing streams from there"],
    };
    missing.healed(&replica, &there);
    drop(session);
    primary.stop();
    missing.soon(&replica, true);
    missing.seen(&replica, &there);
    primary.start_again().unwrap();
    missing.soon(&replica, false);
    missing.healed(&replica, &there);
    drop(replica);
    standby.stop();
}

fn late(session: &Session, here: &str, replica: &Session, there: &str) {
    let lag = Sick {
        check: "standby_lag",
        thresholds: r#"{"min_bytes": 100000}"#,
        object: "standby walreceiver",
        severity: "warn",
        detail: &[
            "behind in what it shows",
            "it has it and does not replay it",
        ],
    };
    let delay = Sick {
        check: "replay_delay",
        thresholds: r#"{"min_seconds": 0}"#,
        object: "replay",
        severity: "warn",
        detail: &["of received WAL are not replayed; replay is paused"],
    };
    replica.run("SELECT pg_wal_replay_pause()");
    session.run("INSERT INTO orders SELECT generate_series(1, 20000)");
    session.until(
        "SELECT flush_lsn >= pg_current_wal_lsn() FROM pg_stat_replication",
        "t",
    );
    lag.soon(session, true);
    lag.seen(session, here);
    delay.soon(replica, true);
    mend(replica, &delay.seen(replica, there));
    lag.soon(session, false);
    lag.healed(session, here);
    delay.soon(replica, false);
    delay.healed(replica, there);
}

/// A query on the standby keeps rows that the primary's vacuum removes.
fn conflicts(session: &Session, replica: &Session, there: &str) {
    let conflicts = Sick {
        check: "standby_conflicts",
        thresholds: "{}",
        object: "shop",
        severity: "warn",
        detail: &[
            "1 for rows that vacuum removed",
            "hot_standby_feedback would keep those rows",
        ],
    };
    conflicts.healed(replica, there);
    let reader = Session::open(there);
    reader.run("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM orders");
    statements(session, "DELETE FROM orders\nVACUUM orders");
    // A look from here before would be another reader in the way.
    session.until(
        "SELECT replay_lsn >= pg_current_wal_lsn() FROM pg_stat_replication",
        "t",
    );
    conflicts.soon(replica, true);
    mend(replica, &conflicts.seen(replica, there));
    replica.until("SELECT current_setting('hot_standby_feedback')", "on");
    replica.run("SELECT pg_stat_reset()");
    conflicts.soon(replica, false);
    conflicts.healed(replica, there);
}

fn synchronous(session: &Session, here: &str) {
    walk(
        session,
        here,
        &[Case {
            build: "ALTER SYSTEM SET synchronous_standby_names = 'elsewhere'\nSELECT pg_reload_conf()",
            sick: Sick {
                check: "synchronous_standby_missing",
                thresholds: "{}",
                object: "synchronous_standby_names",
                severity: "critical",
                detail: &["'elsewhere'", "every COMMIT waits"],
            },
            heal: Some("ALTER SYSTEM RESET synchronous_standby_names\nSELECT pg_reload_conf()"),
        }],
    );
}

#[test]
fn a_publisher_and_its_subscriber() {
    require!(extension);
    let postgres = server(&[
        ("wal_level", "logical"),
        ("max_replication_slots", "1"),
        ("wal_retrieve_retry_interval", "100"),
    ]);
    let url = postgres.socket_url("postgres", "shop");
    let session = Session::open(&url);
    walk(
        &session,
        &url,
        &[Case {
            build: "CREATE TABLE notes (text text)\nCREATE PUBLICATION everything FOR ALL TABLES",
            sick: Sick {
                check: "replica_identity_missing",
                thresholds: "{}",
                object: "public.notes",
                severity: "warn",
                detail: &["no primary key or replica identity"],
            },
            heal: None,
        }],
    );
    let used = Sick {
        check: "replication_slots_used",
        thresholds: "{}",
        object: "max_replication_slots",
        severity: "warn",
        detail: &["1 of 1 are taken"],
    };
    session.run("SELECT pg_create_logical_replication_slot('copy', 'pgoutput')");
    used.seen(&session, &url);
    postgres.create_database("copy").unwrap();
    postgres
        .run("copy", &["CREATE EXTENSION pg_pitcrew"])
        .unwrap();
    let copy_url = postgres.socket_url("postgres", "copy");
    let copy = Session::open(&copy_url);
    copy.run("CREATE TABLE notes (text text)");
    let source = format!(
        "host={} port={} user=postgres dbname=shop",
        postgres.socket_dir().display(),
        postgres.port()
    );
    copy.run(&format!(
        "CREATE SUBSCRIPTION copy CONNECTION '{source}' PUBLICATION everything WITH (create_slot = false, copy_data = false)"
    ));
    walk(
        &copy,
        &copy_url,
        &[Case {
            build: "ALTER SUBSCRIPTION copy DISABLE",
            sick: Sick {
                check: "subscription_stopped",
                thresholds: "{}",
                object: "subscription copy",
                severity: "warn",
                detail: &["it is disabled", "0 errors while applying"],
            },
            heal: None,
        }],
    );
    statements(
        &copy,
        "ALTER SUBSCRIPTION copy DISABLE\nALTER SUBSCRIPTION copy SET (slot_name = NONE)\nDROP SUBSCRIPTION copy",
    );
    session.until(
        "SELECT count(*) FROM pg_replication_slots WHERE active",
        "0",
    );
    session.run("SELECT pg_drop_replication_slot('copy')");
    used.healed(&session, &url);
}

#[test]
fn what_logical_decoding_spills_and_a_first_copy_that_waits() {
    require!(extension);
    let postgres = server(&[
        ("wal_level", "logical"),
        ("logical_decoding_work_mem", "64kB"),
        ("wal_retrieve_retry_interval", "100"),
    ]);
    let url = postgres.socket_url("postgres", "shop");
    let session = Session::open(&url);
    session.run("CREATE TABLE notes (id int PRIMARY KEY, text text); CREATE PUBLICATION everything FOR TABLE notes");
    session.run("SELECT pg_create_logical_replication_slot('spills', 'pgoutput')");
    session.run("INSERT INTO notes SELECT g, repeat('x', 100) FROM generate_series(1, 10000) g");
    let spills = Sick {
        check: "logical_decoding_spills",
        thresholds: r#"{"min_bytes": 100000}"#,
        object: "slot spills",
        severity: "info",
        detail: &[
            "1 transactions went to disk before they were sent",
            "logical_decoding_work_mem is 64kB",
        ],
    };
    spills.healed(&session, &url);
    session.run("SELECT count(*) FROM pg_logical_slot_get_binary_changes('spills', NULL, NULL, 'proto_version', '1', 'publication_names', 'everything')");
    spills.soon(&session, true);
    mend(&session, &spills.seen(&session, &url));
    session.until("SHOW logical_decoding_work_mem", "256kB");
    session.run("SELECT pg_stat_reset_replication_slot('spills')");
    spills.soon(&session, false);
    spills.healed(&session, &url);
    first_copy(&postgres, &session);
}

fn first_copy(postgres: &pitcrew_stack::Postgres, publisher: &Session) {
    postgres.create_database("copy").unwrap();
    postgres
        .run("copy", &["CREATE EXTENSION pg_pitcrew"])
        .unwrap();
    let url = postgres.socket_url("postgres", "copy");
    let copy = Session::open(&url);
    copy.run("CREATE TABLE notes (id int PRIMARY KEY, text text)");
    publisher.run("SELECT pg_create_logical_replication_slot('copy', 'pgoutput')");
    let source = format!(
        "host={} port={} user=postgres dbname=shop",
        postgres.socket_dir().display(),
        postgres.port()
    );
    walk(
        &copy,
        &url,
        &[Case {
            build: &format!(
                "CREATE SUBSCRIPTION copy CONNECTION '{source}' PUBLICATION everything WITH (create_slot = false, enabled = false)"
            ),
            sick: Sick {
                check: "subscription_not_synchronized",
                thresholds: "{}",
                object: "public.notes of subscription copy",
                severity: "warn",
                detail: &["not finished (state i), and no worker copies it now"],
            },
            heal: None,
        }],
    );
    assert_eq!(copy.text("SELECT count(*) FROM notes"), "10000");
}
