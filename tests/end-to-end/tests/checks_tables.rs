//! Checks of tables and sequences: each builds the sick situation, sees it from both sides, mends it by the fix and sees it healed.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something unexpected happens"
)]

mod checked;
mod support;

use checked::{Case, Sick, done, mend, statements, walk};
use pitcrew_stack::{require, testing};
use support::Session;
use support::history::sample;

#[test]
fn a_table_that_grows_fast() {
    require!(extension);
    let postgres = support::server(&[("autovacuum", "off")]);
    let url = postgres.socket_url("postgres", "shop");
    let session = Session::open(&url);
    session.run("CREATE TABLE grows (id int, body text); INSERT INTO grows SELECT g, repeat('x', 500) FROM generate_series(1, 2000) g");
    sample(&session);
    // That was two days ago.
    session.run("UPDATE pitcrew.history_ticks SET at = at - interval '2 days', began = began - interval '2 days'");
    session.run("INSERT INTO grows SELECT g, repeat('x', 500) FROM generate_series(1, 8000) g");
    sample(&session);
    let sick = Sick {
        check: "table_growth",
        thresholds: r#"{"min_bytes": 1000000, "warn_days": 0}"#,
        object: "public.grows",
        severity: "info",
        detail: &[
            "grew by",
            "in 2.0 days, from",
            "8000 rows were inserted and 0 deleted",
        ],
    };
    sick.seen(&session, &url);
    // In another week nobody speaks of it.
    session.run("UPDATE pitcrew.history_ticks SET at = at - interval '8 days', began = began - interval '8 days'");
    session.run("UPDATE grows SET id = id WHERE id = 1");
    sample(&session);
    sick.healed(&session, &url);
}

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
    done(&session, &job);
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
    // As wide as the column that it fills by a default: a wider one would end there.
    session.run("CREATE SEQUENCE filling AS int; CREATE TABLE notes (id int DEFAULT nextval('filling')); SELECT setval('filling', 2000000000)");
    let filling = Sick {
        object: "public.filling",
        severity: "critical",
        detail: &["2000000000 of 2147483647 values (93 %)"],
        ..sick
    };
    assert_eq!(filling.seen(&session, &database.url).fix_sql, None);
    // Who may not read one does not say ok.
    let reader = format!("{}_reader", database.name);
    session.run(&format!(
        "CREATE ROLE {reader}; SELECT pitcrew.grant_access('{reader}', 'reader')"
    ));
    for check in ["sequence_overflow", "int_key_overflow"] {
        let told = session.run(&format!(
            "BEGIN; SET LOCAL ROLE {reader}; SELECT severity, detail FROM pitcrew.check('{check}'); COMMIT"
        ));
        assert_eq!(told[0][0].as_deref(), Some("skipped"), "{told:?}");
        assert!(
            told[0][1].as_deref().unwrap().starts_with("4 sequences"),
            "{told:?}"
        );
    }
    session.run(&format!("DROP OWNED BY {reader}; DROP ROLE {reader}"));
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
        detail: &["2 triggers are disabled: customer; a foreign key is not checked"],
    };
    mend(&session, &sick.seen(&session, &database.url));
    sick.healed(&session, &database.url);
    session.run("CREATE TABLE codes (code int CONSTRAINT code UNIQUE DEFERRABLE); ALTER TABLE codes DISABLE TRIGGER ALL");
    let deferrable = Sick {
        object: "public.codes",
        detail: &["1 trigger is disabled: code; a deferrable constraint is not checked"],
        ..sick
    };
    mend(&session, &deferrable.seen(&session, &database.url));
    deferrable.healed(&session, &database.url);
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
fn a_domain_whose_constraint_old_values_may_break() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    session.run(
        "CREATE DOMAIN \"Price\" AS int CONSTRAINT proven CHECK (VALUE > -9); CREATE TABLE parts (price \"Price\"); INSERT INTO parts VALUES (1); \
         ALTER DOMAIN \"Price\" ADD CONSTRAINT positive CHECK (VALUE > 0) NOT VALID",
    );
    let sick = Sick {
        check: "not_validated_constraint",
        thresholds: "{}",
        object: "public.\"Price\".positive",
        severity: "warn",
        detail: &["not validated", "values of the domain"],
    };
    mend(&session, &sick.seen(&session, &database.url));
    sick.healed(&session, &database.url);
}

#[test]
fn a_not_null_that_old_rows_may_break() {
    require!(not_null_constraints);
    let database = testing::database();
    let session = Session::open(&database.url);
    session.run(
        "CREATE TABLE orders (id int, other int NOT NULL); CREATE UNIQUE INDEX orders_id ON orders (id); INSERT INTO orders VALUES (1, 1); \
         ALTER TABLE orders ADD CONSTRAINT filled NOT NULL id NOT VALID",
    );
    let sick = Sick {
        check: "not_validated_constraint",
        thresholds: "{}",
        object: "public.orders.filled",
        severity: "warn",
        detail: &["not validated", "NOT NULL constraint"],
    };
    let finding = sick.seen(&session, &database.url);
    // Until then its column is not NOT NULL to anybody, and no key.
    let mut key = Sick {
        check: "missing_primary_key",
        object: "public.orders",
        detail: &["no unique index that could become it"],
        ..sick
    };
    key.seen(&session, &database.url);
    mend(&session, &finding);
    sick.healed(&session, &database.url);
    key.detail = &["the unique index public.orders_id can become it"];
    mend(&session, &key.seen(&session, &database.url));
    key.healed(&session, &database.url);
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

/// Tables whose counters say what is wrong; autovacuum is off in them, or it might mend them first.
#[test]
fn what_the_counters_of_tables_say() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    let of = |check, thresholds, object, severity, detail| Sick {
        check,
        thresholds,
        object,
        severity,
        detail,
    };
    let cases = [
        Case {
            build: "CREATE TABLE orders (id int PRIMARY KEY, state int, note text) WITH (autovacuum_enabled = off)\n\
                    INSERT INTO orders SELECT g, 1, repeat('x', 100) FROM generate_series(1, 20000) g",
            sick: of(
                "never_analyzed",
                "{}",
                "public.orders",
                "warn",
                &["about 20000 rows"],
            ),
            heal: None,
        },
        Case {
            build: "UPDATE orders SET state = 2",
            sick: of(
                "stale_statistics",
                "{}",
                "public.orders",
                "warn",
                &[
                    "20000 rows changed since the last ANALYZE",
                    "9.8 times what starts it here",
                ],
            ),
            heal: None,
        },
        Case {
            build: "",
            sick: of(
                "autovacuum_due",
                "{}",
                "public.orders",
                "warn",
                &["20000 dead rows, 4.9 times what starts autovacuum here (4050)"],
            ),
            heal: None,
        },
        Case {
            build: "",
            sick: of(
                "few_hot_updates",
                r#"{"max_percent": 99}"#,
                "public.orders",
                "info",
                &["of 20000 updates"],
            ),
            heal: None,
        },
        Case {
            build: "SELECT count(note) FROM orders\nSELECT count(note) FROM orders",
            sick: of(
                "sequential_scans",
                r#"{"min_scans": 3}"#,
                "public.orders",
                "info",
                &["sequential scans read", "20000 rows are in it"],
            ),
            heal: Some("SELECT pg_stat_reset_single_table_counters('orders'::regclass)"),
        },
        Case {
            build: "DELETE FROM orders WHERE id % 10 <> 0\nVACUUM (ANALYZE) orders",
            sick: of(
                "bloated_table",
                r#"{"min_bytes": 1000000}"#,
                "public.orders",
                "info",
                &["hold no rows"],
            ),
            heal: None,
        },
        Case {
            build: "CREATE TABLE letters (id int, body text)\nALTER TABLE letters ALTER body SET STORAGE EXTERNAL\n\
                    INSERT INTO letters SELECT g, repeat('x', 10000) FROM generate_series(1, 100) g\nVACUUM letters",
            sick: of(
                "large_toast",
                r#"{"min_bytes": 100000}"#,
                "public.letters",
                "info",
                &["of long values beside 8192 bytes of rows"],
            ),
            heal: Some("TRUNCATE letters\nVACUUM letters"),
        },
        Case {
            build: "CREATE TABLE days (day int) PARTITION BY RANGE (day)\nCREATE TABLE \"Rest\" PARTITION OF days DEFAULT\n\
                    INSERT INTO days SELECT generate_series(1, 30)\nANALYZE \"Rest\"",
            sick: of(
                "default_partition_rows",
                "{}",
                "public.\"Rest\"",
                "warn",
                &["about 30 rows lie in the default partition of public.days"],
            ),
            heal: Some("TRUNCATE days\nANALYZE \"Rest\""),
        },
        Case {
            build: "CREATE TABLE customers (id bigint PRIMARY KEY)\n\
                    CREATE TABLE visits (customer int CONSTRAINT customer REFERENCES customers)",
            sick: of(
                "foreign_key_type",
                "{}",
                "public.visits.customer",
                "info",
                &["compares customer integer with id bigint"],
            ),
            heal: None,
        },
        Case {
            build: "CREATE SEQUENCE numbers\nCREATE TABLE tickets (id int PRIMARY KEY DEFAULT nextval('numbers'))\n\
                    ALTER SEQUENCE numbers OWNED BY tickets.id\nSELECT setval('numbers', 2000000000)",
            sick: of(
                "int_key_overflow",
                "{}",
                "public.tickets.id",
                "critical",
                &["its type integer ends at 2147483647, and the sequence is at 2000000000 (93 %)"],
            ),
            heal: None,
        },
        Case {
            build: "CREATE SEQUENCE nobodys\nCREATE TABLE notes (id int PRIMARY KEY DEFAULT nextval('nobodys'))\n\
                    SELECT setval('nobodys', 2000000000)",
            sick: of(
                "int_key_overflow",
                "{}",
                "public.notes.id",
                "critical",
                &["its type integer ends at 2147483647, and the sequence is at 2000000000 (93 %)"],
            ),
            heal: None,
        },
    ];
    walk(&session, &database.url, &cases);
}

#[test]
fn statistics_that_are_too_coarse() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    // Each value is as common as its inverse: far more than 100 of them stand out.
    statements(
        &session,
        "CREATE TABLE visits AS SELECT floor(exp(ln(20000) * (g / 60000.0)))::int AS page FROM generate_series(0, 59999) g\n\
         CREATE INDEX by_page ON visits (page)\nANALYZE visits",
    );
    let sick = Sick {
        check: "statistics_target",
        thresholds: r#"{"min_rows": 10000}"#,
        object: "public.visits.page",
        severity: "info",
        detail: &["its list of most common values is full at 100"],
    };
    let finding = sick.seen(&session, &database.url);
    done(&session, &finding.fix_job.unwrap());
    assert_eq!(
        session.text("SELECT attstattarget || ' ' || (cardinality(most_common_freqs) > 100) FROM pg_attribute JOIN pg_stats ON tablename = 'visits' WHERE attrelid = 'visits'::regclass AND pg_attribute.attname = 'page'"),
        "400 true"
    );
    statements(
        &session,
        "ALTER TABLE visits ALTER page SET STATISTICS 1000\nANALYZE visits (page)",
    );
    sick.healed(&session, &database.url);
}
