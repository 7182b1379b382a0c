//! Checks of limits, prepared transactions and replication slots, on one server with low limits.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something unexpected happens"
)]

mod checked;
mod support;

use checked::{Case, Sick, mend, statements, walk};
use pitcrew_stack::require;
use support::jobs::table;
use support::{Session, server};

/// Uses up that many transaction numbers, one a subtransaction that writes.
fn burn(session: &Session, transactions: usize) {
    session.run(&format!(
        "DO $$ BEGIN FOR i IN 1..{transactions} LOOP BEGIN INSERT INTO burnt VALUES (i); \
         EXCEPTION WHEN division_by_zero THEN NULL; END; END LOOP; END $$; DELETE FROM burnt"
    ));
}

#[test]
fn limits_of_one_server() {
    require!(extension);
    let postgres = server(&[
        ("max_connections", "20"),
        ("max_locks_per_transaction", "10"),
        ("max_prepared_transactions", "10"),
        ("autovacuum", "off"),
    ]);
    let url = postgres.socket_url("postgres", "shop");
    let session = Session::open(&url);
    session.run(
        "CREATE TABLE burnt (id int); CREATE TABLE held (id int); INSERT INTO held VALUES (1)",
    );
    wraparound(&session, &url);
    xmin_holders(&session, &url);
    connections(&session, &url);
    locks(&session, &url);
    walk(&session, &url, &prepared_and_slots());
}

fn wraparound(session: &Session, url: &str) {
    burn(session, 5_000);
    let xids = Sick {
        check: "transaction_wraparound",
        thresholds: r#"{"min_percent": 0.0002}"#,
        object: "shop",
        severity: "warn",
        detail: &["transactions old", "transactions a day"],
    };
    let freeze = xids.seen(session, url);
    assert_eq!(
        freeze.fix_job.as_deref(),
        Some(r#"{"kind": "freeze_oldest"}"#)
    );
    let table = Sick {
        check: "freeze_overdue",
        thresholds: r#"{"min_percent": 0.002}"#,
        object: "public.held",
        severity: "warn",
        detail: &["autovacuum_freeze_max_age = 200000000"],
    };
    mend(session, &table.seen(session, url));
    table.healed(session, url);
    // Two sessions that lock one row make a multixact each time.
    let (one, other) = (Session::open(url), Session::open(url));
    for _ in 0..3 {
        one.run("BEGIN; SELECT * FROM held FOR SHARE");
        other.run("BEGIN; SELECT * FROM held FOR SHARE");
        statements(&one, "COMMIT");
        statements(&other, "COMMIT");
    }
    let multixacts = Sick {
        check: "multixact_wraparound",
        thresholds: r#"{"min_percent": 0.0000001}"#,
        detail: &["3 multixacts old"],
        ..xids
    };
    multixacts.seen(session, url);
    mend(session, &freeze);
    xids.healed(session, url);
    multixacts.healed(session, url);
}

fn xmin_holders(session: &Session, url: &str) {
    let holder = Session::open(url);
    holder.run("SET application_name = 'report'; BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT * FROM held");
    session.run("BEGIN; INSERT INTO held VALUES (2); PREPARE TRANSACTION 'half'");
    let pid = holder.text("SELECT pg_backend_pid()");
    burn(session, 1_000);
    let held = Sick {
        check: "xmin_holder",
        thresholds: r#"{"min_transactions": 1000}"#,
        object: &format!("pid {pid}"),
        severity: "warn",
        detail: &["user postgres, application 'report', idle in transaction"],
    };
    let prepared = Sick {
        object: "prepared transaction 'half'",
        detail: &["by postgres"],
        ..held
    };
    let finding = prepared.seen(session, url);
    mend(session, &held.seen(session, url));
    holder.until_ended();
    mend(session, &finding);
    held.soon(session, false);
    held.healed(session, url);
    prepared.healed(session, url);
    // A VACUUM that takes its time holds nothing back.
    session.run("INSERT INTO held SELECT generate_series(1, 200000)");
    let vacuum = Session::open(url);
    let pid = vacuum.text("SELECT pg_backend_pid()");
    let working = std::thread::spawn(move || {
        vacuum.run("SET vacuum_cost_delay = 100; SET vacuum_cost_limit = 1");
        vacuum.try_run("VACUUM (FREEZE, DISABLE_PAGE_SKIPPING) held")
    });
    session.until(
        &format!("SELECT count(*) FROM pg_stat_progress_vacuum WHERE pid = {pid}"),
        "1",
    );
    burn(session, 1_000);
    let accused = |check: &str, thresholds: &str| {
        session.text(&format!(
            "SELECT count(*) FROM pitcrew.check('{check}', '{thresholds}') WHERE object = 'pid {pid}'"
        ))
    };
    let told = [
        accused("xmin_holder", r#"{"min_transactions": 1000}"#),
        accused("long_transaction", r#"{"min_seconds": 0}"#),
        session.text(&format!(
            "SELECT count(*) FROM pg_stat_progress_vacuum WHERE pid = {pid}"
        )),
    ];
    session.run(&format!("SELECT pg_terminate_backend({pid})"));
    assert!(working.join().unwrap().is_err());
    assert_eq!(told, ["0", "0", "1"]);
}

fn connections(session: &Session, url: &str) {
    let sick = Sick {
        check: "connections_used",
        thresholds: r#"{"min_percent": 45}"#,
        object: "max_connections",
        severity: "warn",
        detail: &["of 17 connections are taken", "3 more are reserved"],
    };
    let many: Vec<Session> = (0..8).map(|_| Session::open(url)).collect();
    sick.seen(session, url);
    drop(many);
    sick.soon(session, false);
    sick.healed(session, url);
}

fn locks(session: &Session, url: &str) {
    let holder = Session::open(url);
    holder.run("BEGIN; DO $$ BEGIN FOR i IN 1..100 LOOP EXECUTE format('CREATE TABLE locked%s (id int)', i); END LOOP; END $$");
    let pid = holder.text("SELECT pg_backend_pid()");
    let sick = Sick {
        check: "lock_table_used",
        thresholds: r#"{"min_percent": 30, "critical_percent": 1000}"#,
        object: "max_locks_per_transaction",
        severity: "warn",
        detail: &["where 300 are sure to fit", &format!("pid {pid} holds ")],
    };
    sick.seen(session, url);
    holder.run("ROLLBACK");
    sick.healed(session, url);
}

fn prepared_and_slots() -> [Case<'static>; 3] {
    [
        Case {
            build: "BEGIN\nINSERT INTO held VALUES (3)\nPREPARE TRANSACTION 'it''s'",
            sick: Sick {
                check: "prepared_transaction",
                thresholds: r#"{"min_seconds": 0}"#,
                object: "'it''s'",
                severity: "warn",
                detail: &["prepared by postgres in database shop"],
            },
            heal: None,
        },
        Case {
            build: "SELECT pg_create_physical_replication_slot('old', true)\nCREATE TABLE filler AS SELECT generate_series(1, 50000) AS id",
            sick: Sick {
                check: "slot_retains_wal",
                thresholds: r#"{"min_bytes": 1000000}"#,
                object: "slot old",
                severity: "warn",
                detail: &[
                    "a physical slot, not in use",
                    "max_slot_wal_keep_size sets no end",
                ],
            },
            heal: None,
        },
        Case {
            build: "SELECT pg_create_physical_replication_slot('gone')",
            sick: Sick {
                check: "inactive_slot",
                thresholds: "{}",
                object: "slot gone",
                severity: "warn",
                detail: &["a physical slot that is not in use"],
            },
            heal: None,
        },
    ]
}

#[test]
fn workers_and_temporary_tables() {
    require!(extension);
    let postgres = server(&[("max_worker_processes", "8"), ("autovacuum", "off")]);
    let url = postgres.socket_url("postgres", "shop");
    let session = Session::open(&url);
    // One for replication's launcher, two of ours; each job takes one more.
    let workers = Sick {
        check: "worker_slots_used",
        thresholds: r#"{"min_percent": 50}"#,
        object: "max_worker_processes",
        severity: "warn",
        detail: &["of 8 are taken"],
    };
    let holder = Session::open(&url);
    for name in ["first", "second"] {
        table(&session, name);
    }
    workers.soon(&session, false);
    holder.run("BEGIN; LOCK TABLE first; LOCK TABLE second");
    let jobs: Vec<_> = ["first", "second"]
        .map(|name| session.submit(&format!("'vacuum', '{name}'")))
        .into();
    workers.soon(&session, true);
    workers.seen(&session, &url);
    holder.run("COMMIT");
    for job in &jobs {
        session.done(job);
    }
    workers.soon(&session, false);
    workers.healed(&session, &url);
    session.run("CREATE TABLE burnt (id int)");
    let owner = Session::open(&url);
    owner.run("CREATE TEMPORARY TABLE scratch (id int)");
    let object = owner.text("SELECT pg_my_temp_schema()::regnamespace || '.scratch'");
    burn(&session, 1_000);
    let old = Sick {
        check: "old_temporary_table",
        thresholds: r#"{"min_transactions": 1000}"#,
        object: &object,
        severity: "warn",
        detail: &["transactions old, and only its own session can vacuum it"],
    };
    mend(&session, &old.seen(&session, &url));
    old.healed(&session, &url);
}

#[test]
fn limits_of_a_role_a_database_and_the_queue_of_notify() {
    require!(extension);
    let postgres = server(&[]);
    let url = postgres.socket_url("postgres", "shop");
    let session = Session::open(&url);
    session.run("CREATE ROLE guest LOGIN CONNECTION LIMIT 5");
    let guests: Vec<Session> = (0..4)
        .map(|_| Session::open(&postgres.socket_url("guest", "shop")))
        .collect();
    session.run("ALTER DATABASE shop CONNECTION LIMIT 6");
    let role = Sick {
        check: "connection_limit_used",
        thresholds: "{}",
        object: "role guest",
        severity: "warn",
        detail: &[
            "4 of its 5 connections are taken",
            "the next but 1 is refused",
        ],
    };
    let database = Sick {
        object: "database shop",
        detail: &["of its 6 connections are taken"],
        ..role
    };
    for sick in [&role, &database] {
        sick.soon(&session, true);
        mend(&session, &sick.seen(&session, &url));
        sick.healed(&session, &url);
    }
    drop(guests);
    let ear = Session::open(&url);
    ear.run("SET application_name = 'ear'; LISTEN news");
    ear.run("BEGIN; SELECT 1");
    // A page of 8 KiB each, of the million that there are.
    session.run("SELECT pg_notify('news', repeat('x', 7000) || g) FROM generate_series(1, 200) g");
    let queue = Sick {
        check: "notification_queue_used",
        thresholds: r#"{"min_percent": 0.01}"#,
        object: "NOTIFY",
        severity: "warn",
        detail: &["of the queue wait", "user postgres, application 'ear'"],
    };
    mend(&session, &queue.seen(&session, &url));
    ear.until_ended();
    queue.soon(&session, false);
    queue.healed(&session, &url);
}
