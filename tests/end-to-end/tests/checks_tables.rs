//! Checks of tables and sequences: each builds the sick situation, sees it from both sides, mends it by the fix and sees it healed.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something unexpected happens"
)]

mod checked;
mod support;

use checked::{Sick, mend};
use pitcrew_stack::{require, testing};
use support::Session;

#[test]
fn dead_rows() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    session.run(
        "CREATE TABLE orders (id int PRIMARY KEY) WITH (autovacuum_enabled = off); \
         INSERT INTO orders SELECT generate_series(1, 20000); DELETE FROM orders WHERE id <= 12000; \
         SELECT pg_stat_force_next_flush()",
    );
    session.run("SELECT 1");
    let sick = Sick {
        check: "dead_rows",
        thresholds: "{}",
        object: "public.orders",
        severity: "warn",
        detail: &["12000 of 20000 row versions (60 %)", "last vacuum: never"],
    };
    let finding = sick.seen(&session, &database.url);
    let job = finding.fix_job.clone().unwrap();
    mend(&session, &finding);
    session.until(
        "SELECT n_dead_tup FROM pg_stat_user_tables WHERE relname = 'orders'",
        "0",
    );
    sick.healed(&session, &database.url);
    // The job is one that the queue takes.
    let job: serde_json::Value = serde_json::from_str(&job).unwrap();
    let id = session.submit(&format!(
        "{}, {}, '{}'",
        pitcrew_stack::sql::literal(job["kind"].as_str().unwrap()),
        pitcrew_stack::sql::literal(job["target"].as_str().unwrap()),
        job["options"]
    ));
    session.done(&id);
}

#[test]
fn missing_primary_key() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    session.run(
        "CREATE TABLE \"It's\" (id int NOT NULL, other int); CREATE UNIQUE INDEX \"It's_id\" ON \"It's\" (id); \
         CREATE UNIQUE INDEX nullable ON \"It's\" (other); CREATE TABLE whole (id int PRIMARY KEY); \
         INSERT INTO \"It's\" SELECT generate_series(1, 50); ANALYZE \"It's\"",
    );
    let sick = Sick {
        check: "missing_primary_key",
        thresholds: "{}",
        object: "public.\"It's\"",
        severity: "warn",
        detail: &[
            "50 rows",
            "the unique index public.\"It's_id\" can become it",
        ],
    };
    let finding = sick.seen(&session, &database.url);
    mend(&session, &finding);
    sick.healed(&session, &database.url);
}

#[test]
fn sequence_overflow() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    session.run(
        "CREATE SEQUENCE ids AS integer; SELECT setval('ids', 2000000000); CREATE SEQUENCE fresh AS integer; \
         CREATE SEQUENCE down AS smallint INCREMENT -1 MINVALUE -100 MAXVALUE -1; SELECT setval('down', -80)",
    );
    let sick = Sick {
        check: "sequence_overflow",
        thresholds: "{}",
        object: "public.ids",
        severity: "critical",
        detail: &[
            "2000000000 of 2147483647 values (93 %)",
            "147483647 are left",
        ],
    };
    mend(&session, &sick.seen(&session, &database.url));
    sick.healed(&session, &database.url);
    let down = Sick {
        object: "public.down",
        severity: "warn",
        detail: &["80 of 100 values (80 %)"],
        ..sick
    };
    down.seen(&session, &database.url);
    session.run("SELECT setval('down', -1)");
    down.healed(&session, &database.url);
}

#[test]
fn disabled_trigger() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    session.run(
        "CREATE TABLE customers (id int PRIMARY KEY); CREATE TABLE orders (customer int CONSTRAINT customer REFERENCES customers); \
         ALTER TABLE orders DISABLE TRIGGER ALL",
    );
    let sick = Sick {
        check: "disabled_trigger",
        thresholds: "{}",
        object: "public.orders",
        severity: "critical",
        detail: &[
            "2 triggers are disabled",
            "customer",
            "a foreign key is not checked",
        ],
    };
    mend(&session, &sick.seen(&session, &database.url));
    sick.healed(&session, &database.url);
}

#[test]
fn not_validated_constraint() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    session.run(
        "CREATE TABLE orders (id int CONSTRAINT proven CHECK (id > -9)); INSERT INTO orders VALUES (1); \
         ALTER TABLE orders ADD CONSTRAINT positive CHECK (id > 0) NOT VALID",
    );
    let sick = Sick {
        check: "not_validated_constraint",
        thresholds: "{}",
        object: "public.orders.positive",
        severity: "warn",
        detail: &["not validated", "CHECK constraint"],
    };
    mend(&session, &sick.seen(&session, &database.url));
    sick.healed(&session, &database.url);
}

#[test]
fn unlogged_table() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    session.run(
        "CREATE UNLOGGED TABLE cache AS SELECT generate_series(1, 70) AS id; ANALYZE cache; CREATE TABLE kept (id int)",
    );
    let sick = Sick {
        check: "unlogged_table",
        thresholds: "{}",
        object: "public.cache",
        severity: "info",
        detail: &["its 70 rows are lost in a crash"],
    };
    mend(&session, &sick.seen(&session, &database.url));
    sick.healed(&session, &database.url);
}

#[test]
fn autovacuum_disabled() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    session.run(
        "CREATE TABLE orders (id int) WITH (autovacuum_enabled = off); CREATE TABLE lines (id int) WITH (autovacuum_enabled = on)",
    );
    let sick = Sick {
        check: "autovacuum_disabled",
        thresholds: "{}",
        object: "public.orders",
        severity: "warn",
        detail: &["0 dead rows", "last vacuum: never"],
    };
    mend(&session, &sick.seen(&session, &database.url));
    sick.healed(&session, &database.url);
}
