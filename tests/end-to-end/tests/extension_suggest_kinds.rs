//! Kinds of indexes that are suggested: each is named where it is the best, can be built as it is written, and is then used.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something unexpected happens"
)]

mod support;

use pitcrew_stack::sql::literal;
use pitcrew_stack::{require, testing};
use serde_json::Value;
use support::Session;

/// Tickets whose statistics stay as they are: one in a hundred is open, flagged and not done.
fn tickets(session: &Session) {
    session.run(
        "CREATE TABLE tickets (id int PRIMARY KEY, customer int, status text, flagged boolean, done_at timestamp, parent int, email text, \
             title text, url text, created timestamp, payload jsonb, tags text[], words tsvector) WITH (autovacuum_enabled = off); \
         INSERT INTO tickets SELECT g, abs(hashint4(g) % 2000), CASE WHEN g % 100 = 0 THEN 'open' ELSE 'closed' END, g % 100 = 0, \
             CASE WHEN g % 100 <> 0 THEN timestamp '2024-01-01' + g * interval '1 minute' END, CASE WHEN g % 50 = 0 THEN g END, \
             'User' || g || '@Example.org', 'Title ' || abs(hashint4(g)) || ' of ticket', 'https://example.org/' || repeat(md5(g::text), 4), \
             timestamp '2024-01-01' + g * interval '1 minute', jsonb_build_object('kind', 'k' || g % 3000, 'id', g), \
             ARRAY['t' || g % 1500, 'u' || g % 1700], to_tsvector('simple', 'word' || g % 1500 || ' other' || g % 7) \
             FROM generate_series(1, 60000) g",
    );
    session.run("VACUUM ANALYZE tickets");
}

/// The first suggestion for queries, as the document has it.
fn first(session: &Session, queries: &[&str], more: &str) -> Value {
    let texts: Vec<String> = queries.iter().map(|query| literal(query)).collect();
    let text = session.text(&format!(
        "SELECT pitcrew.suggest_indexes_json({more}queries => ARRAY[{}])::text",
        texts.join(", ")
    ));
    let document: Value = serde_json::from_str(&text).unwrap();
    let first = document["suggestions"][0].clone();
    assert!(first.is_object(), "{queries:?}: {document}");
    first
}

fn plan(session: &Session, query: &str) -> Value {
    let text = session.text(&format!("EXPLAIN (FORMAT JSON) {query}"));
    serde_json::from_str(&text).unwrap()
}

/// Asks for one index for the queries, builds it, sees that all of them use it, and drops it again. `wanted` is what is written
/// behind the table's name.
fn is_suggested_and_used(
    session: &Session,
    queries: &[&str],
    more: &str,
    kind: &str,
    wanted: &str,
) {
    let suggestion = first(session, queries, &format!("max_indexes => 1, {more}"));
    let ddl = suggestion["ddl"].as_str().unwrap();
    assert_eq!(suggestion["kind"], kind, "{suggestion}");
    assert!(ddl.ends_with(wanted), "{ddl}");
    let job = &suggestion["job"];
    let job = session.submit(&format!(
        "{}, {}, {}",
        literal(job["kind"].as_str().unwrap()),
        literal(job["target"].as_str().unwrap()),
        literal(&job["options"].to_string())
    ));
    session.done(&job);
    assert_eq!(
        session.text(&format!(
            "SELECT command FROM pitcrew.jobs WHERE id = {job}"
        )),
        ddl
    );
    // Statistics of an expression begin with it.
    session.run("ANALYZE tickets");
    let name = suggestion["index_name"].as_str().unwrap();
    for query in queries {
        let plan = plan(session, query);
        assert!(plan.to_string().contains(name), "{query}: {plan}");
    }
    let bytes = session.number(&format!("SELECT pg_relation_size('{name}')"));
    let estimated = suggestion["estimated_bytes"].as_f64().unwrap();
    // Of a few pages one more or less is much.
    let off = (estimated / bytes).log2();
    assert!(
        off.abs() < 0.3 || (estimated - bytes).abs() <= 16_384.0,
        "{ddl}: {off}"
    );
    // What is there is not suggested again.
    let texts: Vec<String> = queries.iter().map(|query| literal(query)).collect();
    let again = session.run(&format!(
        "SELECT ddl FROM pitcrew.suggest_indexes({more}queries => ARRAY[{}]) WHERE predicate IS NOT DISTINCT FROM {}",
        texts.join(", "),
        suggestion["predicate"].as_str().map_or_else(|| "NULL".into(), literal)
    ));
    assert!(
        again
            .iter()
            .all(|row| !row[0].as_deref().unwrap().ends_with(wanted)),
        "{again:?}"
    );
    session.run(&format!("DROP INDEX {name}"));
}

#[test]
fn rows_that_are_wanted_alone_get_a_partial_index() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    tickets(&session);
    for (queries, wanted) in [
        (
            &["SELECT * FROM tickets WHERE flagged AND customer = 77"][..],
            "(customer) WHERE (flagged)",
        ),
        (
            &["SELECT * FROM tickets WHERE done_at IS NULL ORDER BY created LIMIT 100"],
            "(created) WHERE (done_at IS NULL)",
        ),
        (
            &["SELECT * FROM tickets WHERE done_at IS NULL"],
            "(done_at) WHERE (done_at IS NULL)",
        ),
        (
            &["SELECT id, email FROM tickets WHERE parent > 4000 AND parent < 5000"],
            "(parent) INCLUDE (id, email) WHERE (parent IS NOT NULL)",
        ),
        (
            &[
                "SELECT * FROM tickets WHERE status = 'open' AND customer = 77",
                "SELECT * FROM tickets WHERE status = 'open' AND customer = 78",
            ],
            "(customer) WHERE (status = 'open'::text)",
        ),
    ] {
        is_suggested_and_used(&session, queries, "", "btree", wanted);
    }
}

#[test]
fn a_value_is_in_a_predicate_only_where_others_have_it_too() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    tickets(&session);
    for queries in [
        &["SELECT * FROM tickets WHERE status = 'open' AND customer = 77"][..],
        &[
            "SELECT * FROM tickets WHERE status = 'open' AND customer = 77",
            "SELECT * FROM tickets WHERE status = 'open' AND customer = 77",
        ],
        &[
            "SELECT * FROM tickets WHERE status = 'open' AND customer = 77",
            "SELECT * FROM tickets WHERE status = 'new' AND customer = 78",
        ],
    ] {
        let suggestion = first(&session, queries, "");
        assert!(suggestion["predicate"].is_null(), "{suggestion}");
    }
}

#[test]
fn what_is_computed_gets_an_index_on_the_expression() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    tickets(&session);
    for (query, wanted) in [
        (
            "SELECT * FROM tickets WHERE lower(email) = 'user77@example.org'",
            "((lower(email)))",
        ),
        (
            "SELECT * FROM tickets WHERE payload ->> 'kind' = 'k7'",
            "((payload ->> 'kind'::text))",
        ),
        (
            "SELECT * FROM tickets ORDER BY lower(title) LIMIT 5",
            "((lower(title)))",
        ),
    ] {
        is_suggested_and_used(&session, &[query], "", "btree", wanted);
    }
}

#[test]
fn the_beginning_of_a_pattern_gets_its_operator_class() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    tickets(&session);
    let query = "SELECT * FROM tickets WHERE title LIKE 'Title 1234%'";
    is_suggested_and_used(&session, &[query], "", "btree", "(title text_pattern_ops)");
    // Where text is sorted by bytes, the default one does it.
    session.run(
        "CREATE TABLE codes (code text COLLATE \"C\") WITH (autovacuum_enabled = off); \
         INSERT INTO codes SELECT md5(g::text) FROM generate_series(1, 50000) g; ANALYZE codes",
    );
    let suggestion = first(
        &session,
        &["SELECT * FROM codes WHERE code LIKE 'abc%'"],
        "",
    );
    let ddl = suggestion["ddl"].as_str().unwrap();
    assert!(ddl.ends_with("(code)"), "{ddl}");
}

#[test]
fn what_is_inside_a_value_gets_a_gin_index() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    tickets(&session);
    for (query, wanted) in [
        (
            "SELECT * FROM tickets WHERE payload @> '{\"kind\": \"k7\"}'",
            "USING gin (payload jsonb_path_ops)",
        ),
        (
            "SELECT * FROM tickets WHERE payload ? 'missing'",
            "USING gin (payload)",
        ),
        (
            "SELECT * FROM tickets WHERE tags && ARRAY['t5', 'u7']",
            "USING gin (tags)",
        ),
        (
            "SELECT * FROM tickets WHERE tags @> ARRAY['t5']",
            "USING gin (tags)",
        ),
        (
            "SELECT * FROM tickets WHERE words @@ to_tsquery('simple', 'word77')",
            "USING gin (words)",
        ),
    ] {
        is_suggested_and_used(&session, &[query], "", "gin", wanted);
    }
}

#[test]
fn what_is_somewhere_in_a_text_gets_trigrams() {
    // pg_trgm comes with contrib.
    require!(statements);
    let database = testing::database();
    let session = Session::open(&database.url);
    tickets(&session);
    let query = "SELECT * FROM tickets WHERE title LIKE '%4711%'";
    let none = session.run(&format!(
        "SELECT ddl FROM pitcrew.suggest_indexes(queries => ARRAY[{}])",
        literal(query)
    ));
    assert!(none.is_empty(), "{none:?}");
    session.run("CREATE SCHEMA elsewhere; CREATE EXTENSION pg_trgm SCHEMA elsewhere");
    is_suggested_and_used(
        &session,
        &[query],
        "",
        "gin",
        "USING gin (title elsewhere.gin_trgm_ops)",
    );
}

#[test]
fn a_large_table_in_order_gets_a_brin_index_where_there_is_no_room() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    tickets(&session);
    let query = "SELECT * FROM tickets WHERE created BETWEEN '2024-01-05' AND '2024-01-06'";
    is_suggested_and_used(
        &session,
        &[query],
        "budget_mb => 1, ",
        "brin",
        "USING brin (created)",
    );
    // With room for it a B-tree finds the rows themselves.
    let suggestion = first(&session, &[query], "");
    assert_eq!(suggestion["kind"], "btree", "{suggestion}");
}

#[test]
fn long_values_get_a_hash_index() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    tickets(&session);
    let query = "SELECT * FROM tickets WHERE url = 'https://example.org/x'";
    is_suggested_and_used(&session, &[query], "", "hash", "USING hash (url)");
    // Too long for a B-tree.
    session.run(
        "CREATE TABLE documents (body text) WITH (autovacuum_enabled = off); \
         INSERT INTO documents SELECT string_agg(md5(g::text || h), '') FROM generate_series(1, 1000) g, generate_series(1, 120) h GROUP BY g; \
         ANALYZE documents",
    );
    let suggestion = first(&session, &["SELECT * FROM documents WHERE body = 'x'"], "");
    assert_eq!(suggestion["kind"], "hash", "{suggestion}");
    session.run(suggestion["ddl"].as_str().unwrap());
}

#[test]
fn mixed_directions_get_an_index_that_has_them() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    tickets(&session);
    for (order, wanted) in [
        ("status, created DESC", "(status, created DESC)"),
        ("created DESC NULLS LAST", "(created DESC NULLS LAST)"),
    ] {
        let query = format!("SELECT * FROM tickets ORDER BY {order} LIMIT 20");
        is_suggested_and_used(&session, &[&query], "", "btree", wanted);
    }
}

#[test]
fn a_partitioned_table_gets_a_job_that_builds_on_each_partition() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    session.run(
        "CREATE TABLE events (device int, day date, note text) PARTITION BY RANGE (day); \
         CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM ('2024-01-01') TO ('2024-02-01'); \
         CREATE TABLE events_2 (note text, dropped int, day date, device int); ALTER TABLE events_2 DROP COLUMN dropped; \
         ALTER TABLE events ATTACH PARTITION events_2 FOR VALUES FROM ('2024-02-01') TO ('2024-03-01'); \
         INSERT INTO events SELECT abs(hashint4(g) % 3000), date '2024-01-01' + g % 59, 'note ' || g FROM generate_series(1, 60000) g",
    );
    session.run("VACUUM ANALYZE events");
    let query = "SELECT * FROM events WHERE device = 77";
    let suggestion = first(&session, &[query], "");
    assert_eq!(suggestion["table"], "public.events");
    assert_eq!(suggestion["job"]["kind"], "create_index");
    let ddl = suggestion["ddl"].as_str().unwrap();
    let job = session.text(ddl);
    session.run(&format!("CALL pitcrew.wait_job({job})"));
    session.done(&job);
    let name = suggestion["index_name"].as_str().unwrap();
    let bytes = session.number(&format!(
        "SELECT sum(pg_relation_size(relid)) FROM pg_partition_tree('{name}')"
    ));
    let off = (suggestion["estimated_bytes"].as_f64().unwrap() / bytes).log2();
    assert!(off.abs() < 0.15, "{off}");
    let plan = plan(&session, query);
    assert_eq!(
        plan.to_string().matches("Bitmap Index Scan").count(),
        2,
        "{plan}"
    );
    let again = session.run(&format!(
        "SELECT ddl FROM pitcrew.suggest_indexes(queries => ARRAY[{}])",
        literal(query)
    ));
    assert!(again.is_empty(), "{again:?}");
}

/// What is suggested for queries: each table with what is written behind its name, in order.
fn suggested(session: &Session, queries: &[&str]) -> Vec<String> {
    let texts: Vec<String> = queries.iter().map(|query| literal(query)).collect();
    let rows = session.run(&format!(
        "SELECT table_name || ' ' || CASE WHEN ddl LIKE 'CREATE%' THEN substring(ddl FROM ' ON [^ ]+ (.*)') ELSE 'by a job' END AS what \
         FROM pitcrew.suggest_indexes(queries => ARRAY[{}]) ORDER BY what",
        texts.join(", ")
    ));
    rows.into_iter()
        .map(|row| row[0].clone().unwrap())
        .collect()
}

#[test]
fn each_arm_of_an_or_gets_its_own_index() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    tickets(&session);
    let query = "SELECT title FROM tickets WHERE customer = 77 OR email = 'User7@Example.org'";
    assert_eq!(
        suggested(&session, &[query]),
        ["public.tickets (customer)", "public.tickets (email)"]
    );
    session.run("CREATE INDEX ON tickets (customer); CREATE INDEX ON tickets (email)");
    let plan = plan(&session, query).to_string();
    assert!(plan.contains("BitmapOr"), "{plan}");
    assert!(suggested(&session, &[query]).is_empty());
}

#[test]
fn of_one_document_one_index_answers_all_operators() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    tickets(&session);
    let contains = r#"SELECT title FROM tickets WHERE payload @> '{"kind": "k7"}'"#;
    let has = "SELECT title FROM tickets WHERE payload ? 'rare'";
    assert_eq!(
        suggested(&session, &[contains]),
        ["public.tickets USING gin (payload jsonb_path_ops)"]
    );
    assert_eq!(
        suggested(&session, &[contains, has]),
        ["public.tickets USING gin (payload)"]
    );
}

#[test]
fn twins_that_store_other_columns_become_one() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    tickets(&session);
    let (first, second) = (
        "SELECT customer, parent FROM tickets WHERE customer BETWEEN 70 AND 90",
        "SELECT customer, created FROM tickets WHERE customer BETWEEN 170 AND 190",
    );
    assert_eq!(
        suggested(&session, &[first]),
        ["public.tickets (customer) INCLUDE (parent)"]
    );
    assert_eq!(
        suggested(&session, &[first, second]),
        ["public.tickets (customer) INCLUDE (parent, created)"]
    );
}

#[test]
fn tables_that_inherit_get_indexes_of_their_own() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    session.run(
        "CREATE TABLE readings (device int, value float, note text); \
         CREATE TABLE old_readings (reason text) INHERITS (readings); \
         CREATE TABLE odd_readings (note text, value float, extra int, device int); ALTER TABLE odd_readings INHERIT readings; \
         INSERT INTO old_readings SELECT abs(hashint4(g) % 3000), g, 'note ' || g, 'old' FROM generate_series(1, 50000) g; \
         INSERT INTO odd_readings SELECT 'note ' || g, g, g, abs(hashint4(g) % 3000) FROM generate_series(1, 50000) g",
    );
    session.run("VACUUM ANALYZE readings, old_readings, odd_readings");
    let all = "SELECT note FROM readings WHERE device = 77";
    assert_eq!(
        suggested(&session, &[all]),
        [
            "public.odd_readings (device)",
            "public.old_readings (device)"
        ]
    );
    assert!(
        suggested(
            &session,
            &["SELECT note FROM ONLY readings WHERE device = 77"]
        )
        .is_empty()
    );
    session.run("CREATE INDEX ON old_readings (device); CREATE INDEX ON odd_readings (device)");
    assert!(suggested(&session, &[all]).is_empty());
    let plan = plan(&session, all).to_string();
    assert_eq!(plan.matches("Bitmap Index Scan").count(), 2, "{plan}");
}

#[test]
fn a_partition_gets_no_index_that_its_whole_gets() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    session.run(
        "CREATE TABLE events (device int, day int, note text) PARTITION BY LIST (day); \
         CREATE TABLE events_1 PARTITION OF events FOR VALUES IN (1); \
         CREATE TABLE events_2 (note text, day int, device int); \
         ALTER TABLE events ATTACH PARTITION events_2 FOR VALUES IN (2); \
         INSERT INTO events SELECT abs(hashint4(g) % 3000), 1 + g % 2, 'note ' || g FROM generate_series(1, 100000) g",
    );
    session.run("VACUUM ANALYZE events");
    let (all, of_part) = (
        "SELECT note FROM events WHERE device = 77",
        "SELECT note FROM events_2 WHERE device = 78",
    );
    assert_eq!(
        suggested(&session, &[of_part]),
        ["public.events_2 (device)"]
    );
    assert_eq!(
        suggested(&session, &[all, of_part]),
        ["public.events by a job"]
    );
    // One that is there becomes a part of it.
    session.run("CREATE INDEX there ON events_2 (device)");
    let suggestion = first(&session, &[all], "");
    let job = session.text(suggestion["ddl"].as_str().unwrap());
    session.done(&job);
    let name = suggestion["index_name"].as_str().unwrap();
    assert_eq!(
        session.text(&format!(
            "SELECT count(*) || ' ' || bool_and(i.indisvalid) || ' ' || bool_or(p.relid = 'there'::regclass) \
             FROM pg_partition_tree('{name}') p JOIN pg_index i ON i.indexrelid = p.relid"
        )),
        "3 true true"
    );
    assert_eq!(
        session.text("SELECT count(*) FROM pg_index WHERE indrelid = 'events_2'::regclass"),
        "1"
    );
    assert!(suggested(&session, &[all, of_part]).is_empty());
}
