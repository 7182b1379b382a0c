//! Checks of indexes: each builds the sick situation, sees it from both sides, mends it by the fix and sees it healed.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something unexpected happens"
)]

mod checked;
mod support;

use checked::{Case, Sick, check, mend, walk};
use pitcrew_stack::{require, testing};
use support::Session;

#[test]
fn duplicate_index() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    session.run(
        "CREATE TABLE orders (id int PRIMARY KEY, day date, note text); CREATE INDEX a ON orders (day); CREATE INDEX b ON orders (day); \
         CREATE INDEX descending ON orders (day DESC); CREATE INDEX partly ON orders (day) WHERE day IS NOT NULL; \
         CREATE INDEX same_as_key ON orders (id); CREATE INDEX c_collation ON orders (note COLLATE \"C\"); CREATE INDEX own ON orders (note)",
    );
    let sick = Sick {
        check: "duplicate_index",
        thresholds: "{}",
        object: "public.b",
        severity: "warn",
        detail: &["the same as public.a", "8192 bytes"],
    };
    let key = Sick {
        object: "public.same_as_key",
        detail: &["the same as public.orders_pkey"],
        ..sick
    };
    let found = check(&session, "duplicate_index", "{}");
    assert_eq!(found.len(), 2, "{found:#?}");
    mend(&session, &sick.seen(&session, &database.url));
    mend(&session, &key.seen(&session, &database.url));
    sick.healed(&session, &database.url);
    key.healed(&session, &database.url);
}

#[test]
fn an_index_that_enforces_more_than_its_twin_stays() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    session.run(
        "CREATE TABLE nulls (a int); CREATE UNIQUE INDEX nulls_one ON nulls (a) NULLS NOT DISTINCT; CREATE UNIQUE INDEX nulls_many ON nulls (a); \
         CREATE TABLE late (a int, CONSTRAINT late_unique UNIQUE (a) DEFERRABLE INITIALLY DEFERRED); CREATE UNIQUE INDEX late_now ON late (a); \
         CREATE TABLE known (a int); CREATE UNIQUE INDEX z_known ON known (a); CREATE TABLE refers (a int REFERENCES known (a)); \
         CREATE UNIQUE INDEX a_known ON known (a)",
    );
    let proposed: Vec<String> = check(&session, "duplicate_index", "{}")
        .into_iter()
        .filter_map(|finding| finding.object)
        .collect();
    assert_eq!(proposed, ["public.a_known", "public.nulls_many"]);
    let rows = session.run(
        "SELECT index_name FROM pitcrew.index_proposals(queries => ARRAY['SELECT * FROM nulls WHERE a = 3', \
             'SELECT * FROM late WHERE a = 3', 'SELECT * FROM known WHERE a = 3']) WHERE kind IN ('duplicate', 'covered') ORDER BY 1",
    );
    let rows: Vec<&str> = rows.iter().map(|row| row[0].as_deref().unwrap()).collect();
    assert!(
        !rows.iter().any(|name| name.contains("nulls_one")
            || name.contains("late")
            || name.contains("z_known")),
        "{rows:?}"
    );
}

#[test]
fn unused_index() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    session.run(
        "CREATE TABLE orders (id int PRIMARY KEY, day int, other int); INSERT INTO orders SELECT g, g, g FROM generate_series(1, 60000) g; \
         CREATE INDEX idle ON orders (day); CREATE INDEX busy ON orders (other); ANALYZE orders; SET enable_seqscan = off; \
         SELECT * FROM orders WHERE other = 5; SELECT pg_stat_force_next_flush()",
    );
    session.run("SELECT 1");
    // Statistics of a minute say nothing about use.
    let young = check(&session, "unused_index", "{}");
    assert_eq!(young[0].severity, "skipped", "{young:#?}");
    assert!(young[0].detail.contains("the check needs 7"), "{young:#?}");
    let sick = Sick {
        check: "unused_index",
        thresholds: r#"{"min_statistics_days": 0}"#,
        object: "public.idle",
        severity: "info",
        detail: &["never scanned", "60000 rows"],
    };
    let found = check(&session, sick.check, sick.thresholds);
    assert_eq!(found.len(), 1, "{found:#?}");
    mend(&session, &sick.seen(&session, &database.url));
    sick.healed(&session, &database.url);
}

#[test]
fn invalid_index() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    session.run("CREATE TABLE orders (id int); INSERT INTO orders VALUES (1), (1)");
    session.failure("CREATE UNIQUE INDEX CONCURRENTLY broken ON orders (id)");
    let sick = Sick {
        check: "invalid_index",
        thresholds: "{}",
        object: "public.broken",
        severity: "warn",
        detail: &["invalid"],
    };
    let finding = sick.seen(&session, &database.url);
    session.run("DELETE FROM orders WHERE ctid = '(0,1)'");
    mend(&session, &finding);
    sick.healed(&session, &database.url);
}

#[test]
fn null_heavy_index() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    session.run(
        "CREATE TABLE orders (id int, cancelled int); INSERT INTO orders SELECT g, CASE WHEN g % 20 = 0 THEN g END FROM generate_series(1, 20000) g; \
         CREATE INDEX mostly_null ON orders (cancelled); CREATE INDEX whole ON orders (id); ANALYZE orders",
    );
    let sick = Sick {
        check: "null_heavy_index",
        thresholds: r#"{"min_bytes": 0}"#,
        object: "public.mostly_null",
        severity: "info",
        detail: &["95.0 % of its 20000 entries are null"],
    };
    mend(&session, &sick.seen(&session, &database.url));
    sick.healed(&session, &database.url);
    assert_eq!(
        session.text("SELECT count(*) FROM pg_indexes WHERE tablename = 'orders' AND indexdef LIKE '%IS NOT NULL%'"),
        "1"
    );
}

#[test]
fn unindexed_foreign_key() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    session.run(
        "CREATE TABLE customers (a int, b int, PRIMARY KEY (a, b)); INSERT INTO customers VALUES (1, 1); \
         CREATE TABLE orders (a int, b int, CONSTRAINT customer FOREIGN KEY (a, b) REFERENCES customers); \
         CREATE INDEX half ON orders (a); CREATE INDEX part ON orders (a, b) WHERE a > 5; \
         INSERT INTO orders SELECT 1, 1 FROM generate_series(1, 2000); ANALYZE orders",
    );
    let sick = Sick {
        check: "unindexed_foreign_key",
        thresholds: "{}",
        object: "public.orders.customer",
        severity: "warn",
        detail: &["2000 rows of public.orders", "(a, b)"],
    };
    mend(&session, &sick.seen(&session, &database.url));
    sick.healed(&session, &database.url);
    // Either order of the columns serves.
    session.run("DROP INDEX orders_a_b_idx");
    sick.seen(&session, &database.url);
    session.run("CREATE INDEX turned ON orders (b, a)");
    sick.healed(&session, &database.url);
}

#[test]
fn redundant_index() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    session.run(
        "CREATE TABLE orders (a int, b int, c int); CREATE INDEX short ON orders (a); CREATE INDEX long ON orders (a, b); \
         CREATE INDEX other_order ON orders (c DESC); CREATE INDEX other_long ON orders (c, a); CREATE INDEX included ON orders (b) INCLUDE (c); \
         CREATE UNIQUE INDEX one ON orders (b, c); CREATE INDEX whole ON orders (c, b) INCLUDE (a)",
    );
    let sick = Sick {
        check: "redundant_index",
        thresholds: "{}",
        object: "public.short",
        severity: "info",
        detail: &["the first of public.long"],
    };
    mend(&session, &sick.seen(&session, &database.url));
    sick.healed(&session, &database.url);
    let left = check(&session, "redundant_index", "{}");
    assert_eq!(left[0].severity, "ok", "{left:#?}");
}

#[test]
fn what_the_sizes_of_indexes_say() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    let of = |check, thresholds, object, detail| Sick {
        check,
        thresholds,
        object,
        severity: "info",
        detail,
    };
    let cases = [
        Case {
            build: "CREATE TABLE orders (id int, state int) WITH (autovacuum_enabled = off)\n\
                    INSERT INTO orders SELECT g, g % 3 FROM generate_series(1, 50000) g\nCREATE INDEX by_id ON orders (id)\n\
                    DELETE FROM orders WHERE id % 20 <> 0\nVACUUM (ANALYZE) orders",
            sick: of(
                "bloated_index",
                r#"{"min_bytes": 500000}"#,
                "public.by_id",
                &["of 1112 kB (94 %) hold no entries"],
            ),
            heal: None,
        },
        Case {
            build: "CREATE INDEX by_state ON orders (state)",
            sick: of(
                "low_cardinality_index",
                r#"{"min_rows": 1000}"#,
                "public.by_state",
                &["its column has 3 values in 2500 rows"],
            ),
            heal: Some("DROP INDEX by_state"),
        },
        Case {
            build: "CREATE INDEX a ON orders (state)\nCREATE INDEX b ON orders (id, state)\nCREATE INDEX c ON orders (state, id)",
            sick: of(
                "many_indexes",
                r#"{"min_indexes": 4}"#,
                "public.orders",
                &["4 indexes of"],
            ),
            heal: Some("DROP INDEX a\nDROP INDEX b\nDROP INDEX c"),
        },
        Case {
            build: "INSERT INTO orders SELECT g, 1 FROM generate_series(1, 50000) g\nDELETE FROM orders\nVACUUM orders\n\
                    INSERT INTO orders VALUES (1, 1)\nVACUUM (ANALYZE) orders",
            sick: of(
                "index_larger_than_table",
                r#"{"min_bytes": 100000}"#,
                "public.by_id",
                &["and its table is 8192 bytes"],
            ),
            heal: None,
        },
    ];
    walk(&session, &database.url, &cases);
}

#[test]
fn a_tree_whose_order_nobody_uses() {
    require!(statements);
    let database = testing::database();
    let session = Session::open(&database.url);
    session.run(
        "CREATE TABLE tickets (id int, token text, place text); \
         INSERT INTO tickets SELECT g, md5(g::text), md5((-g)::text) FROM generate_series(1, 20000) g; \
         CREATE INDEX by_token ON tickets (token); CREATE INDEX by_place ON tickets (place); ANALYZE tickets; \
         SET enable_seqscan = off",
    );
    for column in ["token", "place"] {
        session.run(&format!("SELECT id FROM tickets WHERE {column} = 'x'"));
    }
    session.run("SELECT id FROM tickets ORDER BY place LIMIT 1");
    session.run("SELECT pg_stat_force_next_flush()");
    let sick = Sick {
        check: "hash_index",
        thresholds: r#"{"min_bytes": 100000, "min_statistics_days": 0}"#,
        object: "public.by_token",
        severity: "info",
        detail: &["over token, whose values are 33 bytes on average"],
    };
    sick.soon(&session, true);
    let finding = sick.seen(&session, &database.url);
    Sick {
        object: "public.by_place",
        ..sick
    }
    .healed(&session, &database.url);
    mend(&session, &finding);
    sick.healed(&session, &database.url);
    let plan = session.text("EXPLAIN SELECT id FROM tickets WHERE token = 'x'");
    assert!(plan.contains("tickets_token_idx"), "{plan}");
}
