//! Indexes that could go: which are proposed, what is said of them, and which never are.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something unexpected happens"
)]

mod support;

use pitcrew_stack::sql::literal;
use pitcrew_stack::{require, testing};
use serde_json::Value;
use support::{Session, role};

/// Orders whose statistics stay as they are.
fn orders(session: &Session) {
    session.run(
        "CREATE TABLE customers (id int PRIMARY KEY, name text) WITH (autovacuum_enabled = off); \
         INSERT INTO customers SELECT g, 'customer ' || g FROM generate_series(1, 5000) g; \
         CREATE TABLE orders (id int PRIMARY KEY, customer int REFERENCES customers, created date, amount int, note text) \
             WITH (autovacuum_enabled = off); \
         INSERT INTO orders SELECT g, abs(hashint4(g) % 5000) + 1, date '2020-01-01' + abs(hashint4(g + 1000000) % 1500), g, 'note ' || g \
             FROM generate_series(1, 60000) g",
    );
    session.run("VACUUM ANALYZE customers");
    session.run("VACUUM ANALYZE orders");
}

/// Proposals with a workload of these queries; each with the names of what goes.
fn proposals(session: &Session, queries: &[&str]) -> Vec<Value> {
    let texts: Vec<String> = queries.iter().map(|query| literal(query)).collect();
    let text = session.text(&format!(
        "SELECT pitcrew.suggest_indexes_json(queries => ARRAY[{}]::text[])::text",
        texts.join(", ")
    ));
    let document: Value = serde_json::from_str(&text).unwrap();
    document["proposals"].as_array().unwrap().clone()
}

fn names(proposals: &[Value]) -> Vec<String> {
    let name = |one: &Value| {
        format!(
            "{} {}",
            one["kind"].as_str().unwrap(),
            one["index_name"].as_str().unwrap()
        )
    };
    proposals.iter().map(name).collect()
}

/// Makes the index look as if it had been read.
fn read(session: &Session, queries: &[&str]) {
    for query in queries {
        session.run(&format!(
            "SET enable_seqscan = off; {query}; RESET enable_seqscan"
        ));
    }
    // Statistics reach shared memory at the latest when asked for by name.
    session.run("SELECT pg_stat_force_next_flush()");
    session.run("SELECT 1");
}

const BY_CUSTOMER: &str = "SELECT * FROM orders WHERE customer = 42";
const BY_DAY: &str = "SELECT * FROM orders WHERE customer = 42 AND created = '2021-03-01'";

#[test]
fn what_is_there_twice_or_begins_a_longer_one_is_proposed_with_its_cost() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    orders(&session);
    session.run(
        "CREATE INDEX first ON orders (customer, created); CREATE INDEX second ON orders (customer, created); \
         CREATE INDEX short ON orders (customer)",
    );
    read(&session, &[BY_CUSTOMER, BY_DAY]);
    let found = proposals(&session, &[BY_CUSTOMER, BY_DAY]);
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!(found[0]["kind"], "duplicate");
    assert_eq!(found[1]["kind"], "covered");
    assert_eq!(found[1]["index_name"], "public.short");
    let (gone, kept) = (
        found[0]["index_name"].as_str().unwrap(),
        found[0]["instead"].as_str().unwrap(),
    );
    assert_ne!(gone, kept);
    assert_eq!(found[1]["instead"].as_str(), Some(kept), "{found:?}");
    for one in &found {
        let number = |name: &str| one[name].as_f64().unwrap();
        assert!(
            number("cost_after") <= 1.01 * number("cost_before"),
            "{one}"
        );
        assert_eq!(one["statements"], 2);
        let name = one["index_name"].as_str().unwrap();
        assert_eq!(
            number("bytes_freed"),
            session.number(&format!("SELECT pg_relation_size('{name}')"))
        );
        assert_eq!(one["ddl"][0], format!("DROP INDEX CONCURRENTLY {name}"));
    }
    // The costs are those that are then there.
    session.run(&format!("BEGIN; DROP INDEX {gone}; DROP INDEX short"));
    let cost = |query: &str| {
        let text = session.text(&format!("EXPLAIN (FORMAT JSON) {query}"));
        let plan: Value = serde_json::from_str(&text).unwrap();
        plan[0]["Plan"]["Total Cost"].as_f64().unwrap()
    };
    let after = cost(BY_CUSTOMER) + cost(BY_DAY);
    session.run("ROLLBACK");
    assert!(
        (found[1]["cost_after"].as_f64().unwrap() / after - 1.0).abs() < 0.001,
        "{after} {found:?}"
    );
    // As rows, and nothing was dropped.
    let rows = session.run(&format!(
        "SELECT index_name, kind, bytes_freed > 0, ddl[1] FROM pitcrew.index_proposals(ARRAY[{}])",
        literal(BY_CUSTOMER)
    ));
    assert_eq!(rows.len(), 2, "{rows:?}");
    assert_eq!(
        session.text("SELECT count(*) FROM pg_index WHERE indrelid = 'orders'::regclass"),
        "4"
    );
}

#[test]
fn what_nothing_reads_is_proposed_and_what_a_statement_needs_is_not() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    orders(&session);
    session.run("CREATE INDEX by_note ON orders (note); CREATE INDEX by_amount ON orders (amount)");
    let found = proposals(&session, &["SELECT * FROM orders WHERE note = 'note 7'"]);
    assert_eq!(names(&found), ["unused public.by_amount"]);
    let because = found[0]["because"].to_string();
    assert!(
        because.contains("0 scans") && because.contains("standby"),
        "{because}"
    );
    // Counted for less than a week.
    assert_eq!(found[0]["confidence"], "low");
    // Where nothing is counted, nothing is told of it.
    session.run("SET track_counts = off");
    let uncounted = proposals(&session, &["SELECT * FROM orders WHERE note = 'note 7'"]);
    assert!(uncounted.is_empty(), "{uncounted:?}");
    session.run("RESET track_counts");
    // What was read is used by something.
    read(&session, &["SELECT * FROM orders WHERE amount = 7"]);
    let found = proposals(&session, &["SELECT * FROM orders WHERE note = 'note 7'"]);
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn what_two_indexes_store_apart_one_can_store() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    orders(&session);
    session.run(
        "CREATE INDEX with_amount ON orders (customer) INCLUDE (amount); CREATE INDEX by_day ON orders (customer, created)",
    );
    let queries = [
        "SELECT customer, amount FROM orders WHERE customer = 42",
        BY_DAY,
    ];
    read(&session, &queries);
    let found = proposals(&session, &queries);
    assert_eq!(names(&found), ["merge public.with_amount"], "{found:?}");
    let ddl: Vec<&str> = found[0]["ddl"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one.as_str().unwrap())
        .collect();
    assert_eq!(
        ddl,
        [
            "CREATE INDEX CONCURRENTLY ON public.orders (customer, created) INCLUDE (amount)",
            "DROP INDEX CONCURRENTLY public.with_amount",
            "DROP INDEX CONCURRENTLY public.by_day",
        ]
    );
    for statement in ddl {
        session.run(statement);
    }
}

#[test]
fn what_more_than_queries_needs_is_never_proposed() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    orders(&session);
    session.run(
        "CREATE INDEX by_customer ON orders (customer); \
         CREATE UNIQUE INDEX one_note ON orders (note); \
         ALTER TABLE orders ADD CONSTRAINT one_amount UNIQUE (amount); \
         CREATE TABLE changes (a int NOT NULL, b int) WITH (autovacuum_enabled = off); INSERT INTO changes SELECT g, g FROM generate_series(1, 9000) g; \
         CREATE UNIQUE INDEX identity ON changes (a); ALTER TABLE changes REPLICA IDENTITY USING INDEX identity; \
         CREATE INDEX clustered ON changes (b); ALTER TABLE changes CLUSTER ON clustered; \
         CREATE TABLE parts (a int) PARTITION BY RANGE (a); CREATE TABLE part PARTITION OF parts FOR VALUES FROM (0) TO (10); \
         CREATE INDEX of_parts ON parts (a)",
    );
    // Nothing was ever read: a primary key, the help of a foreign key, unique indexes, an identity, a clustering, partitions.
    let found = proposals(&session, &["SELECT 1 FROM changes"]);
    assert!(found.is_empty(), "{found:?}");
    // With another help for the foreign key that one may go, and it is no help that is gone.
    session.run("CREATE INDEX longer ON orders (customer, created)");
    let found = names(&proposals(&session, &["SELECT 1 FROM changes"]));
    assert_eq!(found.len(), 1, "{found:?}");
}

#[test]
fn what_is_suppressed_or_left_alone_is_not_proposed() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    orders(&session);
    session.run("CREATE INDEX by_note ON orders (note)");
    let count = |more: &str| {
        session.text(&format!(
            "SELECT count(*) FROM pitcrew.index_proposals(ARRAY['SELECT 1']{more})"
        ))
    };
    assert_eq!(count(""), "1");
    assert_eq!(count(", leave_alone => ARRAY['orders'::regclass]"), "0");
    session.run(
        "INSERT INTO pitcrew.suppressed_findings (cache_key, reason) \
         SELECT cache_key, 'kept for the audit' FROM pitcrew.index_proposals(ARRAY['SELECT 1'])",
    );
    assert_eq!(count(""), "0");
    // A reader may ask, and others may not.
    let reader = role(&session, "looker", Some("reader"));
    let asked = "SELECT count(*) FROM pitcrew.index_proposals(ARRAY['SELECT 1'])";
    assert_eq!(Session::open(&database.url_as(&reader)).text(asked), "0");
    let guest = role(&session, "stranger", None);
    assert_eq!(
        Session::open(&database.url_as(&guest)).failure(asked).code,
        "42501"
    );
}

#[test]
fn what_a_suggestion_replaces_may_go_once_that_is_built() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    orders(&session);
    session.run("ALTER TABLE orders DROP CONSTRAINT orders_customer_fkey; CREATE INDEX by_customer ON orders (customer)");
    let queries =
        ["SELECT customer, sum(amount) FROM orders WHERE customer < 2500 GROUP BY customer"];
    read(&session, &[BY_CUSTOMER]);
    let found = proposals(&session, &queries);
    assert_eq!(names(&found), ["covered public.by_customer"], "{found:?}");
    let detail = found[0]["detail"].as_str().unwrap();
    assert!(detail.contains("once that is built"), "{detail}");
}
