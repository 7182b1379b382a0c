//! Checks of sessions and of how transactions end, on databases of their own.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something unexpected happens"
)]

mod checked;
mod support;

use checked::{Case, Sick, mend, walk};
use pitcrew_stack::{require, testing};
use support::Session;

#[test]
fn long_running_query() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    let url = database.url.clone();
    let runner = std::thread::spawn(move || {
        Session::open(&url).failure("SET application_name = 'slow'; SELECT pg_sleep(600)")
    });
    let pid = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'slow' AND wait_event = 'PgSleep'";
    session.until(&format!("SELECT count(*) FROM ({pid}) f"), "1");
    let sick = Sick {
        check: "long_running_query",
        thresholds: r#"{"min_seconds": 0}"#,
        object: &format!("pid {}", session.text(pid)),
        severity: "info",
        detail: &[
            "user postgres, application 'slow'",
            "waits for Timeout: PgSleep",
        ],
    };
    mend(&session, &sick.seen(&session, &database.url));
    assert_eq!(runner.join().unwrap().code, "57014");
    sick.soon(&session, false);
    sick.healed(&session, &database.url);
}

#[test]
fn long_transaction() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    let holder = Session::open(&database.url);
    holder.run("SET application_name = 'import'");
    holder.run("BEGIN; SELECT txid_current()");
    let pid = holder.text("SELECT pg_backend_pid()");
    let sick = Sick {
        check: "long_transaction",
        thresholds: r#"{"min_seconds": 0}"#,
        object: &format!("pid {pid}"),
        severity: "warn",
        detail: &[
            "user postgres, application 'import': its transaction is open for",
            "the session is idle in transaction now: VACUUM cannot remove",
        ],
    };
    sick.soon(&session, true);
    mend(&session, &sick.seen(&session, &database.url));
    holder.until_ended();
    sick.soon(&session, false);
    sick.healed(&session, &database.url);
}

#[test]
fn sessions_by_what_they_do() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    let many: Vec<Session> = (0..5).map(|_| Session::open(&database.url)).collect();
    for one in &many {
        one.run("SET application_name = 'lazy'");
    }
    let profile = Sick {
        check: "session_profile",
        thresholds: r#"{"min_sessions": 5}"#,
        object: "postgres/lazy/idle/Client",
        severity: "info",
        detail: &["5 sessions of user postgres, application 'lazy' are idle and wait for Client"],
    };
    let idle = Sick {
        check: "idle_connections",
        thresholds: r#"{"min_sessions": 5, "min_seconds": 0}"#,
        object: "postgres/lazy",
        detail: &["5 connections of user postgres, application 'lazy'"],
        ..profile
    };
    let superuser = Sick {
        check: "superuser_session",
        thresholds: "{}",
        object: "postgres/lazy",
        severity: "warn",
        detail: &["5 sessions of application 'lazy' as superuser postgres"],
    };
    for sick in [&profile, &idle, &superuser] {
        sick.soon(&session, true);
        sick.seen(&session, &database.url);
    }
    drop(many);
    for sick in [&profile, &idle, &superuser] {
        sick.soon(&session, false);
        sick.healed(&session, &database.url);
    }
}

#[test]
fn how_transactions_and_sessions_end() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    session.run("CREATE TABLE one (id int); CREATE TABLE other (id int)");
    deadlock(&session, &database.url);
    for _ in 0..12 {
        let victim = Session::open(&database.url);
        let pid = victim.text("SELECT pg_backend_pid()");
        session.run(&format!("SELECT pg_terminate_backend({pid})"));
        victim.until_ended();
    }
    let name = database.name.clone();
    let reset = Some("SELECT pg_stat_reset()");
    let of = |check, thresholds, severity, detail| Sick {
        check,
        thresholds,
        object: &name,
        severity,
        detail,
    };
    let deadlocks = of(
        "deadlocks",
        "{}",
        "info",
        &["1 deadlock since the statistics began"],
    );
    let ends = of(
        "abnormal_session_ends",
        "{}",
        "info",
        &["12 were terminated"],
    );
    for sick in [&deadlocks, &ends] {
        sick.soon(&session, true);
        sick.seen(&session, &database.url);
    }
    walk(
        &session,
        &database.url,
        &[Case {
            build: &"BEGIN\nROLLBACK\n".repeat(200),
            sick: of(
                "rollback_ratio",
                r#"{"min_transactions": 200}"#,
                "warn",
                &["transactions rolled back"],
            ),
            heal: reset,
        }],
    );
    for sick in [&deadlocks, &ends] {
        sick.healed(&session, &database.url);
    }
}

/// Two sessions that each hold what the other wants; the server ends one of them.
fn deadlock(session: &Session, url: &str) {
    let first = Session::open(url);
    first.run("SET deadlock_timeout = '10ms'");
    first.run("BEGIN; LOCK TABLE one");
    let url = url.to_owned();
    let second = std::thread::spawn(move || {
        let second = Session::open(&url);
        second.run("SET deadlock_timeout = '10ms'");
        second.run("BEGIN; LOCK TABLE other");
        second.try_run("LOCK TABLE one").is_err()
    });
    session.until(
        "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'one'::regclass",
        "1",
    );
    let was_ended = first.try_run("LOCK TABLE other").is_err();
    first.run("ROLLBACK");
    assert!(second.join().unwrap() != was_ended, "one of the two");
}

#[test]
fn sessions_that_wait_for_one_thing() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    session.run("SELECT pg_advisory_lock(1)");
    let waiters: Vec<_> = (0..3)
        .map(|_| {
            let url = database.url.clone();
            std::thread::spawn(move || Session::open(&url).run("SELECT pg_advisory_lock_shared(1)"))
        })
        .collect();
    let sick = Sick {
        check: "waiting_now",
        thresholds: r#"{"min_sessions": 3}"#,
        object: "Lock: advisory",
        severity: "warn",
        detail: &[
            "sessions in a statement wait for advisory (Lock) now",
            "blocked_session says for whom",
        ],
    };
    sick.soon(&session, true);
    sick.seen(&session, &database.url);
    session.run("SELECT pg_advisory_unlock(1)");
    for waiter in waiters {
        waiter.join().unwrap();
    }
    sick.soon(&session, false);
    sick.healed(&session, &database.url);
}
