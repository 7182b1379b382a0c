//! Index suggestions: what steers them, what they say of themselves, and that a job builds what was suggested.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something unexpected happens"
)]

mod support;

use pitcrew_stack::sql::literal;
use pitcrew_stack::{require, testing};
use serde_json::Value;
use support::{Session, role};

/// A table whose statistics stay as they are.
fn orders(session: &Session) {
    session.run(
        "CREATE TABLE orders (id int PRIMARY KEY, customer int, created date, status int, amount numeric(12,2), note text) \
             WITH (autovacuum_enabled = off); \
         INSERT INTO orders SELECT g, abs(hashint4(g) % 5000) + 1, date '2020-01-01' + abs(hashint4(g + 1000000) % 1500), g % 5, g, 'note ' || g \
             FROM generate_series(1, 100000) g",
    );
    session.run("VACUUM ANALYZE orders");
}

fn document(session: &Session, arguments: &str) -> Value {
    let text = session.text(&format!(
        "SELECT pitcrew.suggest_indexes_json({arguments})::text"
    ));
    serde_json::from_str(&text).unwrap()
}

const BY_CUSTOMER: &str = "SELECT * FROM orders WHERE customer = 42";
const BY_DAY: &str = "SELECT * FROM orders WHERE created = ''2021-03-01''";

#[test]
fn weights_decide_which_statement_gets_the_only_index() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    orders(&session);
    for (weights, column) in [("1, 1000", "created"), ("1000, 1", "customer")] {
        let columns = session.text(&format!(
            "SELECT string_agg(columns[1], ',') FROM pitcrew.suggest_indexes(max_indexes => 1, \
             queries => ARRAY['{BY_CUSTOMER}', '{BY_DAY}'], weights => ARRAY[{weights}])"
        ));
        assert_eq!(columns, column, "{weights}");
    }
    for (weights, said) in [
        (
            "queries => ARRAY['SELECT 1'], weights => ARRAY[1, 2]",
            "22023",
        ),
        ("weights => ARRAY[1]", "22023"),
        (
            "queries => ARRAY['SELECT 1'], weights => ARRAY[-1]",
            "22023",
        ),
        (
            "queries => ARRAY['SELECT 1'], weights => ARRAY['NaN'::float8]",
            "22023",
        ),
        (
            "queries => ARRAY['SELECT 1'], weights => ARRAY[1e308]",
            "22023",
        ),
    ] {
        let failure = session.failure(&format!("SELECT * FROM pitcrew.suggest_indexes({weights})"));
        assert_eq!(failure.code, said, "{weights}");
    }
}

#[test]
fn a_table_that_is_left_alone_gets_no_index() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    orders(&session);
    session.run("CREATE TABLE other AS SELECT * FROM orders");
    session.run("ANALYZE other");
    let tables = session.text(&format!(
        "SELECT string_agg(DISTINCT table_name, ',') FROM pitcrew.suggest_indexes(leave_alone => ARRAY['orders'::regclass], \
         queries => ARRAY['{BY_CUSTOMER}', 'SELECT * FROM other WHERE customer = 42'])"
    ));
    assert_eq!(tables, "public.other");
}

#[test]
fn an_index_on_what_is_written_all_the_time_has_to_save_more_than_that() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    orders(&session);
    let ask = |reads: f64, update: &str, writes: f64| {
        document(
            &session,
            &format!(
                "queries => ARRAY['{BY_CUSTOMER}', '{update}'], weights => ARRAY[{reads}, {writes}]"
            ),
        )
    };
    let counter = "UPDATE orders SET customer = customer + 1 WHERE id = 7";
    // Few writes: they cost something, and the index is worth it.
    let advice = ask(1000.0, counter, 10.0);
    let first = &advice["suggestions"][0];
    assert_eq!(
        first["columns"],
        serde_json::json!(["customer"]),
        "{advice}"
    );
    let few = first["write_cost"].as_f64().unwrap();
    assert!(first["write_loss_percent"].is_null(), "{first}");
    assert!(few > 0.0, "{first}");
    assert_eq!(first["hot_loss_percent"].as_f64(), Some(100.0), "{first}");
    assert!(
        first["detail"].as_str().unwrap().contains("are HOT now"),
        "{first}"
    );
    // Many: the same index is not.
    let advice = ask(1.0, counter, 1e6);
    assert_eq!(advice["suggestions"], serde_json::json!([]), "{advice}");
    let rejected = advice["rejected"].as_array().unwrap();
    let refused = rejected.iter().find(|of| of["columns"] == "(customer)");
    let refused = refused.unwrap_or_else(|| panic!("{advice}"));
    assert_eq!(refused["because"], "its writes cost more than it saves");
    assert_eq!(refused["hot_loss_percent"].as_f64(), Some(100.0));
    // Nobody measured what given statements take.
    assert!(refused["write_loss_percent"].is_null(), "{refused}");
    // As many to another column: they stay HOT, and cost it nothing.
    let advice = ask(
        1.0,
        "UPDATE orders SET status = status + 1 WHERE id = 7",
        1e6,
    );
    let first = &advice["suggestions"][0];
    assert_eq!(
        first["columns"],
        serde_json::json!(["customer"]),
        "{advice}"
    );
    assert_eq!(first["write_cost"].as_f64(), Some(0.0), "{first}");
    // New rows have an entry in every index.
    let advice = ask(1000.0, "INSERT INTO orders (id) VALUES (0)", 10.0);
    let inserted = advice["suggestions"][0]["write_cost"].as_f64().unwrap();
    assert!(inserted > 0.0 && inserted < few, "{inserted} {few}");
}

/// What keeping an index with these keys costs, in the planner's units, whether it is suggested or not.
fn write_cost(document: &Value, table: &str, keys: &str) -> f64 {
    let suggested = document["suggestions"].as_array().unwrap().iter();
    let rejected = document["rejected"].as_array().unwrap().iter();
    let mut costs = suggested
        .map(|one| {
            let columns = one["columns"].as_array().unwrap();
            let columns: Vec<_> = columns.iter().map(|one| one.as_str().unwrap()).collect();
            (one, format!("({})", columns.join(", ")))
        })
        .chain(rejected.map(|one| (one, one["columns"].as_str().unwrap().to_owned())))
        .filter(|(one, columns)| one["table"] == table && columns == keys)
        .map(|(one, _)| one["write_cost"].as_f64().unwrap());
    costs.next().unwrap_or_else(|| panic!("{document}"))
}

#[test]
fn whatever_writes_a_table_is_weighed() {
    require!(statements);
    let database = testing::database();
    let session = Session::open(&database.url);
    session.run("CREATE EXTENSION IF NOT EXISTS pg_stat_statements");
    orders(&session);
    session.run(
        "CREATE TABLE days (id int, customer int, day date) PARTITION BY RANGE (day); \
         CREATE TABLE days_now PARTITION OF days FOR VALUES FROM ('2024-01-01') TO ('2025-01-01') WITH (autovacuum_enabled = off); \
         INSERT INTO days SELECT g, g % 5000, '2024-01-01' FROM generate_series(1, 50000) g; ANALYZE days; \
         CREATE VIEW some_orders AS SELECT * FROM orders; \
         CREATE FUNCTION replace_orders(first int, last int) RETURNS void LANGUAGE plpgsql AS $$ BEGIN \
             DELETE FROM orders WHERE id BETWEEN first AND last; \
             INSERT INTO orders SELECT g, g % 5000, '2020-01-01', 1, 1, 'n' FROM generate_series(first, last) g; END $$",
    );
    let forget = || {
        session.run("SELECT pg_stat_force_next_flush()");
        session.run("SELECT pg_stat_reset()");
        session.run("SELECT pg_stat_statements_reset(0, (SELECT oid FROM pg_database WHERE datname = current_database()), 0)");
        for customer in 0..40_i32 {
            session.prepared("SELECT * FROM orders WHERE customer = $1", &[&customer]);
            session.prepared("SELECT * FROM days WHERE customer = $1", &[&customer]);
        }
    };
    let cost = |table: &str| {
        session.run("SELECT pg_stat_force_next_flush()");
        write_cost(&document(&session, ""), table, "(customer)")
    };
    forget();
    assert_eq!((cost("public.orders"), cost("public.days")), (0.0, 0.0));
    // Each writes 5,000 entries at least: a page to the table's file and one to the log.
    for (table, script) in [
        ("public.orders", "SELECT replace_orders(1, 5000)"),
        (
            "public.orders",
            "DO $$ BEGIN PERFORM replace_orders(1, 5000); END $$",
        ),
        (
            "public.orders",
            "DELETE FROM some_orders WHERE id <= 5000; INSERT INTO some_orders SELECT g, g FROM generate_series(1, 5000) g",
        ),
        (
            "public.orders",
            "MERGE INTO orders o USING generate_series(1, 5000) g ON o.id = g WHEN MATCHED THEN DELETE; \
             MERGE INTO orders o USING generate_series(1, 5000) g ON o.id = g WHEN NOT MATCHED THEN INSERT (id, customer) VALUES (g, g)",
        ),
        (
            "public.orders",
            "COPY orders (id) FROM PROGRAM 'seq 200001 205000'",
        ),
        (
            "public.orders",
            "WITH new AS (INSERT INTO orders (id) SELECT g FROM generate_series(300001, 305000) g RETURNING id) SELECT * FROM new",
        ),
        (
            "public.orders",
            "PREPARE more(int) AS INSERT INTO orders (id) SELECT g FROM generate_series($1, $1 + 4999) g; EXECUTE more(400001)",
        ),
        (
            "public.days",
            "INSERT INTO days_now SELECT g, g, '2024-02-01' FROM generate_series(1, 5000) g",
        ),
        (
            "public.days",
            "WITH moved AS (DELETE FROM days_now WHERE id <= 5000 RETURNING *) INSERT INTO days SELECT * FROM moved",
        ),
    ] {
        forget();
        session.run(script);
        let cost = cost(table);
        assert!((10_000.0..30_000.0).contains(&cost), "{cost} {script}");
    }
    // And is told.
    forget();
    session.run("SELECT replace_orders(1, 5000); SELECT pg_stat_force_next_flush()");
    let detail = session.text(
        "SELECT string_agg(detail, ' ') FROM pitcrew.suggest_indexes() WHERE table_name = 'public.orders'",
    );
    assert!(
        detail.contains("5000 inserted, 5000 deleted rows are none of these statements'"),
        "{detail}"
    );
    // Through MERGE and a view the same columns change as by UPDATE, and as many updates stop being HOT.
    let reads = |session: &Session| {
        for customer in 0..40_i32 {
            session.prepared(
                "SELECT * FROM orders WHERE status = 1 AND customer = $1",
                &[&customer],
            );
        }
    };
    let mut losses = Vec::new();
    for script in [
        "UPDATE orders SET status = status + 1 WHERE id BETWEEN 20000 AND 21000",
        "UPDATE some_orders SET status = status + 1 WHERE id BETWEEN 20000 AND 21000",
        "MERGE INTO orders o USING generate_series(20000, 21000) g ON o.id = g WHEN MATCHED THEN UPDATE SET status = status + 1",
    ] {
        forget();
        reads(&session);
        session.run(script);
        session.run("SELECT pg_stat_force_next_flush()");
        let advice = document(&session, "");
        losses.push(write_cost(&advice, "public.orders", "(customer, status)"));
    }
    assert!(losses[0] > 1000.0, "{losses:?}");
    assert!(
        losses
            .iter()
            .all(|loss| (loss / losses[0] - 1.0).abs() < 0.1),
        "{losses:?}"
    );
    // What fills a table once is no habit.
    forget();
    session.run("INSERT INTO orders (id) SELECT g FROM generate_series(500001, 550000) g");
    assert_eq!(cost("public.orders"), 0.0);
}

#[test]
fn what_writes_took_says_how_many_fewer_would_get_through() {
    require!(statements);
    let database = testing::database();
    let session = Session::open(&database.url);
    orders(&session);
    session.run("SELECT pg_stat_statements_reset(0, (SELECT oid FROM pg_database WHERE datname = current_database()), 0)");
    for id in 1..=20_i32 {
        session.prepared(
            "UPDATE orders SET customer = customer + 1 WHERE id = $1",
            &[&id],
        );
        session.prepared("SELECT * FROM orders WHERE customer = $1", &[&id]);
        session.prepared(
            "SELECT * FROM orders WHERE created = date '2020-01-01' + $1::int",
            &[&id],
        );
    }
    let loss = |column: &str| {
        session
            .text(&format!("SELECT write_loss_percent FROM pitcrew.suggest_indexes() WHERE columns[1] = '{column}'"))
            .parse::<f64>()
            .unwrap()
    };
    // Its own entry and one more for the key; the other column's stays as HOT as it is.
    assert!(
        (5.0..80.0).contains(&loss("customer")),
        "{}",
        loss("customer")
    );
    assert_eq!(loss("created"), 0.0);
}

#[test]
fn a_covering_index_is_suggested_and_a_job_builds_it() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    orders(&session);
    let query = "SELECT customer, sum(amount) FROM orders WHERE customer BETWEEN 10 AND 900 GROUP BY customer";
    let advice = document(&session, &format!("queries => ARRAY['{query}']"));
    let suggestion = &advice["suggestions"][0];
    assert_eq!(suggestion["columns"], serde_json::json!(["customer"]));
    assert_eq!(suggestion["included"], serde_json::json!(["amount"]));
    let ddl = suggestion["ddl"].as_str().unwrap();
    assert!(ddl.ends_with("(customer) INCLUDE (amount)"), "{ddl}");
    let job = session.text(&format!(
        "SELECT pitcrew.submit_job('create_index', 'orders', '{}')",
        serde_json::json!({"columns": ["customer"], "include": ["amount"], "name": suggestion["index_name"]})
    ));
    session.run(&format!("CALL pitcrew.wait_job({job})"));
    let built =
        session.text("SELECT indexdef FROM pg_indexes WHERE indexname = 'orders_customer_idx'");
    assert!(built.ends_with("(customer) INCLUDE (amount)"), "{built}");
    let plan = session.text(&format!("EXPLAIN (FORMAT JSON) {query}"));
    let plan: Value = serde_json::from_str(&plan).unwrap();
    assert!(plan.to_string().contains("Index Only Scan"), "{plan}");
    let (said, real) = (
        advice["cost_after"].as_f64().unwrap(),
        plan[0]["Plan"]["Total Cost"].as_f64().unwrap(),
    );
    assert!((said / real - 1.0).abs() < 0.02, "{said} {real}");
    let bytes = session.number("SELECT pg_relation_size('orders_customer_idx')");
    let size = suggestion["estimated_bytes"].as_f64().unwrap() / bytes;
    assert!((0.9..1.1).contains(&size), "{size}");
}

#[test]
fn the_document_adds_up_and_says_why_the_rest_was_left() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    orders(&session);
    let advice = document(
        &session,
        &format!(
            "queries => ARRAY['{BY_CUSTOMER}', '{BY_DAY}', 'SELECT nonsense'], max_indexes => 1, weights => ARRAY[1, 3, 1]"
        ),
    );
    let statements = advice["statements"].as_array().unwrap();
    assert_eq!(statements.len(), 3);
    let sum = |name: &str| -> f64 {
        let of =
            |statement: &Value| Some(statement[name].as_f64()? * statement["weight"].as_f64()?);
        statements.iter().filter_map(of).sum()
    };
    for name in ["cost_before", "cost_after"] {
        let (whole, sum) = (advice[name].as_f64().unwrap(), sum(name));
        assert!((whole - sum).abs() < 1e-6 * sum, "{name}: {whole} {sum}");
    }
    assert!(sum("cost_after") < 0.9 * sum("cost_before"));
    let reason = statements[2]["skipped_because"].as_str().unwrap();
    assert!(reason.contains("nonsense"), "{reason}");
    assert_eq!(advice["suggestions"].as_array().unwrap().len(), 1);
    assert!(advice["planner_calls"].as_u64().unwrap() > 0);
    assert!(advice["stopped_because"].is_null());
    // The other statement's index was picked by its plan, and there was place for one.
    let rejected = advice["rejected"].as_array().unwrap();
    let other = rejected
        .iter()
        .find(|rejected| rejected["columns"] == "(customer)")
        .unwrap();
    let because = other["because"].as_str().unwrap();
    assert!(because.contains("others save more"), "{because}");
}

#[test]
fn confidence_says_what_is_missing() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    orders(&session);
    let confidence = |session: &Session, query: &str| {
        let advice = document(session, &format!("queries => ARRAY['{query}']"));
        let first = advice["suggestions"][0].clone();
        (
            first["confidence"].as_str().unwrap().to_owned(),
            first["because"].to_string(),
        )
    };
    assert_eq!(
        confidence(&session, BY_CUSTOMER),
        ("high".into(), "[]".into())
    );
    let (end, because) = confidence(
        &session,
        "SELECT * FROM orders WHERE created > ''2099-01-01''",
    );
    assert_eq!(end, "low", "{because}");
    assert!(because.contains("end of its histogram"), "{because}");
    session.run(
        "CREATE TABLE fresh (id int, customer int) WITH (autovacuum_enabled = off); \
         INSERT INTO fresh SELECT g, g FROM generate_series(1, 100000) g",
    );
    let (fresh, because) = confidence(&session, "SELECT * FROM fresh WHERE customer = 42");
    assert_eq!(fresh, "low", "{because}");
    assert!(because.contains("ANALYZE"), "{because}");
    let reader = role(&session, "blind", Some("reader"));
    let blind = Session::open(&database.url_as(&reader));
    let (said, because) = confidence(&blind, BY_CUSTOMER);
    assert_eq!(said, "low", "{because}");
    assert!(because.contains("may not read"), "{because}");
}

#[test]
fn a_statement_that_gains_little_is_named_as_at_risk() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    orders(&session);
    // The widest range that an index on the customer still helps, a little.
    let range = |end: i32| format!("SELECT * FROM orders WHERE customer < {end}");
    let gain = |end: i32| {
        session.number(&format!(
            "SELECT 1 - cost_after / cost_before FROM pitcrew.explain_with('{}', ARRAY['CREATE INDEX ON orders (customer)'])",
            range(end)
        ))
    };
    let end = (1..100)
        .map(|step| step * 50)
        .find(|end| (0.005..0.15).contains(&gain(*end)))
        .unwrap();
    let advice = document(
        &session,
        &format!(
            "queries => ARRAY['{BY_CUSTOMER}', '{}'], min_gain_percent => 0",
            range(end)
        ),
    );
    let risks: Vec<&Value> = advice["suggestions"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|suggestion| suggestion["queries_at_risk"].as_array().unwrap())
        .collect();
    assert!(!risks.is_empty(), "{advice}");
    for risk in risks {
        assert!(risk["query"].as_str().unwrap().contains('<'), "{risk}");
        let because = risk["because"].as_str().unwrap();
        assert!(
            because.contains("within what costs are off by"),
            "{because}"
        );
    }
}

#[test]
fn a_plan_that_saves_pages_and_hardly_rows_is_named_as_at_risk() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    session.run(
        "CREATE TABLE events (id int, kind int, body text) WITH (autovacuum_enabled = off); \
         INSERT INTO events SELECT g, abs(hashint4(g)) % 100, repeat('x', 60) FROM generate_series(1, 100000) g; \
         CREATE TABLE wanted (kind int, colour int) WITH (autovacuum_enabled = off); \
         INSERT INTO wanted SELECT g, g % 5 FROM generate_series(0, 39) g",
    );
    session.run("VACUUM ANALYZE events");
    session.run("VACUUM ANALYZE wanted");
    // As where pages come from a disk that reads them in order: an index saves their reading, at the price of jumps.
    session.run("SET random_page_cost = 1.1; SET seq_page_cost = 1; SET enable_bitmapscan = off; SET max_parallel_workers_per_gather = 0");
    let at_risk = |query: &str| {
        let answer = document(
            &session,
            &format!("max_indexes => 1, queries => ARRAY[{}]", literal(query)),
        );
        let suggestion = &answer["suggestions"][0];
        assert_eq!(suggestion["columns"][0], "kind", "{answer}");
        suggestion["queries_at_risk"].clone()
    };
    let jumps =
        at_risk("SELECT sum(length(body)) FROM wanted JOIN events USING (kind) WHERE colour = 3");
    assert!(
        jumps[0]["because"]
            .as_str()
            .unwrap()
            .contains("hardly rows"),
        "{jumps}"
    );
    let few = at_risk(
        "SELECT sum(length(body)) FROM wanted JOIN events USING (kind) WHERE wanted.kind = 17",
    );
    assert_eq!(few, serde_json::json!([]));
}

#[test]
fn what_saves_a_sort_the_rest_of_a_limit_or_a_subplan_s_scans_is_no_risk() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    session.run(
        "CREATE TABLE log (id int, at timestamptz, level int, customer int, note text) WITH (autovacuum_enabled = off); \
         INSERT INTO log SELECT g, '2024-01-01'::timestamptz + g * interval '1 second', g % 7, abs(hashint4(g)) % 20000, 'note ' || g \
             FROM generate_series(1, 200000) g; \
         CREATE TABLE customers AS SELECT g AS customer FROM generate_series(1, 2000) g",
    );
    session.run("VACUUM ANALYZE log");
    session.run("VACUUM ANALYZE customers");
    for query in [
        "SELECT * FROM log ORDER BY at DESC LIMIT 20",
        "SELECT * FROM log WHERE customer = 5 ORDER BY at DESC LIMIT 5",
        "SELECT * FROM log ORDER BY at",
        "SELECT c.customer, (SELECT count(*) FROM log l WHERE l.customer = c.customer) FROM customers c",
        "SELECT * FROM customers c WHERE EXISTS (SELECT 1 FROM log l WHERE l.customer = c.customer AND l.level = 3 OFFSET 0)",
    ] {
        let advice = document(&session, &format!("queries => ARRAY[{}]", literal(query)));
        let suggestions = advice["suggestions"].as_array().unwrap();
        assert!(!suggestions.is_empty(), "{query}: {advice}");
        for suggestion in suggestions {
            assert_eq!(
                suggestion["queries_at_risk"],
                serde_json::json!([]),
                "{query}: {suggestion}"
            );
        }
    }
}

#[test]
fn one_row_that_a_primary_key_finds_needs_no_other_index() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    orders(&session);
    for query in [
        "SELECT status FROM orders WHERE id = 7",
        "SELECT status, created FROM orders WHERE id = $1 AND customer = $2",
        "UPDATE orders SET status = 1 WHERE id = $1",
    ] {
        let advice = document(&session, &format!("queries => ARRAY['{query}']"));
        assert_eq!(advice["suggestions"], serde_json::json!([]), "{query}");
    }
    let advice = document(
        &session,
        "queries => ARRAY['SELECT sum(status) FROM orders WHERE id BETWEEN 1 AND 50000']",
    );
    assert_ne!(advice["candidates"], 0);
}

#[test]
fn of_two_that_begin_the_same_way_one_is_suggested() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    orders(&session);
    let indexes = |queries: &str| {
        session.text(&format!(
            "SELECT string_agg(ddl, '; ') FROM pitcrew.suggest_indexes(queries => ARRAY[{queries}])"
        ))
    };
    let one = indexes(
        "'SELECT * FROM orders WHERE customer = 42', 'SELECT * FROM orders WHERE customer = 42 AND created = ''2021-03-01'''",
    );
    assert_eq!(one.matches("CREATE INDEX").count(), 1, "{one}");
    let both = indexes(
        "'SELECT * FROM orders WHERE customer = 42 ORDER BY created LIMIT 3', 'SELECT * FROM orders WHERE customer = 43 ORDER BY created DESC LIMIT 3'",
    );
    assert_eq!(both.matches("CREATE INDEX").count(), 1, "{both}");
}

#[test]
fn what_a_foreign_key_asks_for_each_deleted_row_is_a_statement() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    orders(&session);
    session.run(
        "CREATE TABLE customers (id int PRIMARY KEY, code int UNIQUE, name text); \
         INSERT INTO customers SELECT g, g, 'n' || g FROM generate_series(1, 5000) g; \
         ALTER TABLE orders ADD FOREIGN KEY (customer) REFERENCES customers ON DELETE CASCADE; \
         CREATE TABLE parts (id int, code int REFERENCES customers (code), day date) PARTITION BY RANGE (day); \
         CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM ('2024-01-01') TO ('2025-01-01'); \
         INSERT INTO parts SELECT g, g % 5000 + 1, '2024-02-01' FROM generate_series(1, 50000) g",
    );
    session.run("VACUUM ANALYZE customers");
    session.run("VACUUM ANALYZE parts");
    let suggested = |query: &str| {
        session.text(&format!(
            "SELECT coalesce(string_agg(table_name || ' ' || columns::text, ', ' ORDER BY table_name), 'none') \
             FROM pitcrew.suggest_indexes(queries => ARRAY[{}])",
            literal(query)
        ))
    };
    let both = "public.orders {customer}, public.parts {code}";
    assert_eq!(suggested("DELETE FROM customers WHERE id = $1"), both);
    assert_eq!(
        suggested(
            "WITH gone AS (DELETE FROM customers WHERE id = 7 RETURNING id) SELECT * FROM gone"
        ),
        both
    );
    assert_eq!(
        suggested("UPDATE customers SET code = code + 1 WHERE id = $1"),
        "public.parts {code}"
    );
    assert_eq!(
        suggested("UPDATE customers SET name = 'x' WHERE id = $1"),
        "none"
    );
    let seen = session.text(
        "SELECT evidence->0->>'query' FROM pitcrew.suggest_indexes(queries => ARRAY['DELETE FROM customers WHERE id = $1']) WHERE table_name = 'public.orders'",
    );
    assert_eq!(
        seen,
        "/* a foreign key's: rows that refer to one that goes */ SELECT 1 FROM ONLY public.orders x WHERE x.customer = $1"
    );
}

#[test]
fn a_statement_is_planned_as_its_own_user_means_it() {
    require!(statements);
    let database = testing::database();
    let session = Session::open(&database.url);
    session.run("CREATE EXTENSION IF NOT EXISTS pg_stat_statements");
    let app = role(&session, "app", None);
    session.run(&format!(
        "CREATE SCHEMA {app} AUTHORIZATION {app}; CREATE TABLE public.inventory (k int, v int); CREATE SCHEMA other AUTHORIZATION {app}; \
         ALTER ROLE {app} IN DATABASE {} SET search_path = other",
        session.text("SELECT current_database()")
    ));
    let fill = |table: &str| {
        format!(
            "CREATE TABLE IF NOT EXISTS {table} (k int, v int); \
             INSERT INTO {table} SELECT g % 5000, g FROM generate_series(1, 50000) g; ANALYZE {table}"
        )
    };
    session.run(&fill("public.inventory"));
    session.run(&fill("other.inventory"));
    session.run(&fill(&format!("{app}.own")));
    session.run(&format!(
        "GRANT SELECT ON ALL TABLES IN SCHEMA other, {app} TO {app}"
    ));
    let theirs = Session::open(&database.url_as(&app));
    theirs.run("SELECT * FROM inventory WHERE k = 1");
    theirs.run("SET search_path = DEFAULT");
    let tables = "SELECT string_agg(DISTINCT table_name, ',' ORDER BY table_name) FROM pitcrew.suggest_indexes()";
    assert_eq!(session.text(tables), "other.inventory");
    // What "$user" says is the role's own schema, not the caller's.
    session.run(&format!(
        "ALTER ROLE {app} IN DATABASE {} RESET search_path",
        session.text("SELECT current_database()")
    ));
    let theirs = Session::open(&database.url_as(&app));
    theirs.run("SELECT * FROM own WHERE k = 1");
    assert!(
        session.text(tables).contains(&format!("{app}.own")),
        "{}",
        session.text("SELECT pitcrew.suggest_indexes_json()::text")
    );
}

#[test]
fn what_is_suppressed_is_not_suggested_again_and_the_document_says_so() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    orders(&session);
    let arguments = format!("queries => ARRAY['{BY_CUSTOMER}', '{BY_DAY}']");
    let first = |column: &str| {
        session.text(&format!(
            "SELECT string_agg(columns[1] || ' ' || ({column}), ',' ORDER BY columns[1]) FROM pitcrew.suggest_indexes({arguments})"
        ))
    };
    assert_eq!(first("''"), "created ,customer ");
    let suppress = |until: &str| {
        session.run(&format!(
            "INSERT INTO pitcrew.suppressed_findings (cache_key, reason, until) \
             SELECT cache_key, 'a test', {until} FROM pitcrew.suggest_indexes({arguments}) WHERE columns[1] = 'customer'"
        ));
    };
    // What has run out hides nothing.
    suppress("now() - interval '1 minute'");
    assert_eq!(first("''"), "created ,customer ");
    session.run("DELETE FROM pitcrew.suppressed_findings");
    suppress("NULL");
    assert_eq!(first("''"), "created ");
    let advice = document(&session, &arguments);
    let rejected = advice["rejected"].as_array().unwrap();
    let said = rejected.iter().any(|one| {
        one["columns"] == "(customer)"
            && one["because"]
                .as_str()
                .unwrap()
                .contains("suppressed_findings")
    });
    assert!(said, "{advice}");
    // Who may not read what is suppressed is answered all the same.
    let guest = role(&session, "guest", None);
    session.run(&format!("GRANT USAGE ON SCHEMA pitcrew TO {guest}; GRANT SELECT ON orders TO {guest}; GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA pitcrew TO {guest}"));
    let answered = Session::open(&database.url_as(&guest)).text(&format!(
        "SELECT count(*) FROM pitcrew.suggest_indexes({arguments})"
    ));
    assert_eq!(answered, "2");
}
