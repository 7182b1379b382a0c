//! `pitcrew.explain_with` and `pitcrew.predict_index`: what they predict against what is then there, and what they never do.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something unexpected happens"
)]

mod support;

use pitcrew_stack::sql::literal;
use pitcrew_stack::{require, testing};
use support::{Session, role};

/// Visits whose statistics stay as they are.
fn visits(session: &Session) {
    session.run(
        "CREATE TABLE visits WITH (autovacuum_enabled = off) AS SELECT g AS id, abs(hashint4(g) % 5000) AS customer, 'City ' || g % 64 AS city, \
             timestamp '2024-01-01' + g * interval '1 minute' AS created, (g % 1000)::numeric(12,2) AS amount, ARRAY['t' || g % 10, 'u' || g % 700] AS tags, \
             CASE WHEN g % 4 = 0 THEN g END AS parent, ('C' || g % 700)::char(10) AS code, g % 50 = 0 AS flagged FROM generate_series(1, 40000) g; \
         ALTER TABLE visits ADD PRIMARY KEY (id)",
    );
    session.run("VACUUM ANALYZE visits");
}

fn cost(session: &Session, query: &str) -> f64 {
    let text = session.text(&format!("EXPLAIN (FORMAT JSON) {query}"));
    let plan: serde_json::Value = serde_json::from_str(&text).unwrap();
    plan[0]["Plan"]["Total Cost"].as_f64().unwrap()
}

/// The columns of a call, as text.
fn explain(session: &Session, columns: &str, query: &str, ddl: &str) -> Vec<String> {
    let rows = session.run(&format!(
        "SELECT {columns} FROM pitcrew.explain_with({}, ARRAY[{}]::text[])",
        literal(query),
        literal(ddl)
    ));
    rows[0]
        .iter()
        .map(|cell| cell.clone().unwrap_or_default())
        .collect()
}

#[test]
fn each_kind_of_index_costs_and_weighs_what_was_predicted() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    visits(&session);
    for (ddl, query) in [
        (
            "CREATE INDEX ON visits (customer)",
            "SELECT * FROM visits WHERE customer = 42",
        ),
        (
            "CREATE INDEX ON visits (customer, city)",
            "SELECT * FROM visits WHERE customer = 42 AND city = 'City 3'",
        ),
        (
            "CREATE INDEX ON visits (customer) INCLUDE (amount)",
            "SELECT customer, amount FROM visits WHERE customer BETWEEN 1000 AND 1050",
        ),
        (
            "CREATE INDEX ON visits (created DESC NULLS LAST)",
            "SELECT * FROM visits ORDER BY created DESC NULLS LAST LIMIT 10",
        ),
        (
            "CREATE INDEX ON visits (city text_pattern_ops)",
            "SELECT * FROM visits WHERE city LIKE 'City 3%'",
        ),
        (
            "CREATE INDEX ON visits (parent)",
            "SELECT * FROM visits WHERE parent = 8",
        ),
        (
            "CREATE INDEX ON visits (code)",
            "SELECT * FROM visits WHERE code = 'C7'",
        ),
        (
            "CREATE UNIQUE INDEX ON visits (created)",
            "SELECT * FROM visits WHERE created = '2024-01-05'",
        ),
        (
            "CREATE INDEX ON visits USING hash (customer)",
            "SELECT * FROM visits WHERE customer = 42",
        ),
    ] {
        let before = cost(&session, query);
        let found = explain(
            &session,
            "cost_before, cost_after, confidence, indexes_predicted->0->>'bytes', plan_before, plan_after",
            query,
            ddl,
        );
        let number = |at: usize| found[at].parse::<f64>().unwrap();
        assert!(
            (number(0) - before).abs() < 0.01,
            "{ddl}: {before} {found:?}"
        );
        assert_eq!(found[2], "high", "{ddl}: {found:?}");
        assert_ne!(found[4], found[5], "{ddl}");
        session.run("BEGIN");
        session.run(&ddl.replacen("INDEX ON", "INDEX built ON", 1));
        let after = cost(&session, query);
        let bytes = session.number("SELECT pg_relation_size('built')");
        session.run("ROLLBACK");
        assert!(
            (number(1) / after - 1.0).abs() < 0.01,
            "{ddl}: predicted {}, built {after}",
            found[1]
        );
        assert!(
            (number(3) / bytes).log2().abs() < 0.15,
            "{ddl}: predicted {}, built {bytes}",
            found[3]
        );
    }
}

#[test]
fn expressions_and_predicates_are_known_before_the_index_is() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    visits(&session);
    for (ddl, query) in [
        (
            "CREATE INDEX ON visits (lower(city))",
            "SELECT * FROM visits WHERE lower(city) = 'city 3'",
        ),
        (
            "CREATE INDEX ON visits ((amount * 2))",
            "SELECT * FROM visits WHERE amount * 2 BETWEEN 1000 AND 1040",
        ),
        (
            "CREATE INDEX ON visits (created) WHERE flagged",
            "SELECT * FROM visits WHERE flagged AND created BETWEEN '2024-01-05' AND '2024-01-09'",
        ),
    ] {
        let found = explain(
            &session,
            "cost_after, confidence, indexes_predicted->0->>'entries'",
            query,
            ddl,
        );
        session.run("BEGIN");
        session.run(ddl);
        session.run("ANALYZE visits");
        let after = cost(&session, query);
        session.run("ROLLBACK");
        let predicted: f64 = found[0].parse().unwrap();
        assert!(
            (predicted / after - 1.0).abs() < 0.1,
            "{ddl}: predicted {predicted}, built {after}"
        );
        assert_eq!(found[1], "medium", "{ddl}");
        if ddl.contains("flagged") {
            assert_eq!(found[2].parse(), Ok(800.0));
        }
    }
}

#[test]
fn what_cannot_be_known_is_said() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    visits(&session);
    session.run("CREATE TABLE fresh WITH (autovacuum_enabled = off) AS SELECT g AS id FROM generate_series(1, 5000) g");
    for (ddl, query, reason) in [
        (
            "CREATE INDEX ON visits (created)",
            "SELECT * FROM visits WHERE created > '2024-01-28 18:00'",
            "end of its histogram",
        ),
        (
            "CREATE INDEX ON visits ((id * 2))",
            "SELECT * FROM visits WHERE id * 2 > 79990",
            "too few sampled rows",
        ),
        (
            "CREATE INDEX ON visits USING gin (tags)",
            "SELECT * FROM visits WHERE tags @> ARRAY['u5']",
            "GIN",
        ),
        (
            "CREATE INDEX ON visits USING brin (created)",
            "SELECT * FROM visits WHERE created < '2024-01-05'",
            "BRIN",
        ),
        (
            "CREATE INDEX ON fresh (id)",
            "SELECT * FROM fresh WHERE id = 5",
            "run ANALYZE",
        ),
    ] {
        let found = explain(&session, "confidence, because::text", query, ddl);
        assert_eq!(found[0], "low", "{ddl}: {found:?}");
        assert!(found[1].contains(reason), "{ddl}: {found:?}");
    }
    // What is not written as a constant is one when the planner estimates: the time, and what is computed from it; the first of a row.
    for condition in [
        "created > now() - interval '1 hour'",
        "current_date <= created",
        "created > localtimestamp(0)",
        "created >= statement_timestamp()::timestamp",
        "(created, id) > ('2024-01-28 18:00', 5)",
    ] {
        let query = format!("SELECT * FROM visits WHERE {condition}");
        let ddl = "CREATE INDEX ON visits (created)";
        let found = explain(&session, "confidence, because::text", &query, ddl);
        assert_eq!(found[0], "low", "{condition}: {found:?}");
        assert!(found[1].contains("end of its histogram"), "{found:?}");
        let suggested = session.run(&format!(
            "SELECT confidence FROM pitcrew.suggest_indexes(queries => ARRAY[{}])",
            literal(&query)
        ));
        let of_first = suggested.first().and_then(|row| row[0].as_deref());
        assert_eq!(of_first, Some("low"), "{condition}");
    }
    // Which time it is, nobody can tell beforehand.
    let found = explain(
        &session,
        "confidence",
        "SELECT * FROM visits WHERE created > clock_timestamp()",
        "CREATE INDEX ON visits (created)",
    );
    assert_eq!(found[0], "high");
    let found = explain(
        &session,
        "confidence",
        "SELECT * FROM visits WHERE created < now() AND id = 7",
        "CREATE INDEX ON visits (created)",
    );
    assert_eq!(found[0], "high");
    // The other side of the same column is known well.
    let found = explain(
        &session,
        "confidence",
        "SELECT * FROM visits WHERE created < '2024-01-28 18:00'",
        "CREATE INDEX ON visits (created)",
    );
    assert_eq!(found[0], "high");
    // Parameters have no value to look at.
    let found = explain(
        &session,
        "confidence, plan_after",
        "SELECT * FROM visits WHERE customer = $1",
        "CREATE INDEX seen ON visits (customer)",
    );
    assert_eq!(found[0], "high");
    assert!(found[1].contains("seen"), "{found:?}");
}

#[test]
fn an_index_that_is_there_can_be_thought_away() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    visits(&session);
    session.run("CREATE INDEX by_customer ON visits (customer)");
    let query = "SELECT * FROM visits WHERE customer = 42";
    let found = session.run(&format!(
        "SELECT cost_before, cost_after FROM pitcrew.explain_with({}, without => ARRAY['by_customer'::regclass])",
        literal(query)
    ));
    let number = |at: usize| found[0][at].as_deref().unwrap().parse::<f64>().unwrap();
    assert!((number(0) - cost(&session, query)).abs() < 0.01);
    session.run("BEGIN; DROP INDEX by_customer");
    assert!((number(1) - cost(&session, query)).abs() < 0.01);
    session.run("ROLLBACK");
    let failure = session.failure("SELECT * FROM pitcrew.explain_with('SELECT * FROM visits', without => ARRAY['visits'::regclass])");
    assert_eq!(failure.code, "22023");
    assert!(failure.message.contains("not an index"), "{failure:?}");
}

#[test]
fn partitions_are_predicted_one_by_one() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    session.run(
        "CREATE TABLE events (device int, day date) PARTITION BY RANGE (day); \
         CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM ('2024-01-01') TO ('2024-02-01'); \
         CREATE TABLE events_2 (day date, dropped int, device int); ALTER TABLE events_2 DROP COLUMN dropped; \
         ALTER TABLE events ATTACH PARTITION events_2 FOR VALUES FROM ('2024-02-01') TO ('2024-03-01'); \
         INSERT INTO events SELECT abs(hashint4(g) % 3000), date '2024-01-01' + g % 59 FROM generate_series(1, 60000) g",
    );
    session.run("VACUUM ANALYZE events");
    let ddl = "CREATE INDEX built ON events (device)";
    let query = "SELECT * FROM events WHERE device = 77";
    let found = explain(
        &session,
        "cost_after, confidence, indexes_predicted->0->>'bytes'",
        query,
        ddl,
    );
    session.run("BEGIN");
    session.run(ddl);
    let after = cost(&session, query);
    let bytes =
        session.number("SELECT sum(pg_relation_size(relid)) FROM pg_partition_tree('built')");
    session.run("ROLLBACK");
    let number = |at: usize| found[at].parse::<f64>().unwrap();
    assert!((number(0) / after - 1.0).abs() < 0.01, "{found:?} {after}");
    assert!((number(2) / bytes).log2().abs() < 0.15, "{found:?} {bytes}");
    assert_eq!(found[1], "high");
}

#[test]
fn nonsense_is_refused_with_the_reason() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    visits(&session);
    session.run("CREATE VIEW seen AS SELECT * FROM visits");
    let long = format!("CREATE INDEX ON visits ({})", "id,".repeat(5000));
    for (ddl, reason) in [
        ("", "not one CREATE INDEX"),
        ("DROP TABLE visits", "not a CREATE INDEX"),
        (
            "CREATE INDEX ON visits (id); DROP TABLE visits",
            "not one CREATE INDEX",
        ),
        ("CREATE INDEX ON", "syntax error"),
        ("CREATE INDEX ON gone (id)", "does not exist"),
        ("CREATE INDEX ON visits (gone)", "does not exist"),
        ("CREATE INDEX ON visits (ctid)", "does not exist"),
        (
            "CREATE INDEX ON visits (id) INCLUDE (gone)",
            "does not exist",
        ),
        ("CREATE INDEX ON seen (id)", "is a view"),
        (
            "CREATE INDEX ON pg_class (relname)",
            "belongs to the system",
        ),
        ("CREATE INDEX ON visits ((random()))", "IMMUTABLE"),
        (
            "CREATE INDEX ON visits (id) WHERE created < now()",
            "IMMUTABLE",
        ),
        ("CREATE INDEX ON visits USING gist (id)", "gist"),
        (
            "CREATE INDEX ON visits USING nonsense (id)",
            "does not exist",
        ),
        (
            "CREATE INDEX ON visits USING hash (id, customer)",
            "one column",
        ),
        ("CREATE INDEX ON visits USING hash (id DESC)", "no order"),
        ("CREATE INDEX ON visits USING gin (id)", "operator class"),
        ("CREATE INDEX ON visits (id nonsense_ops)", "does not exist"),
        (&long, "longer than"),
    ] {
        for call in [
            format!("SELECT * FROM pitcrew.predict_index({})", literal(ddl)),
            format!(
                "SELECT * FROM pitcrew.explain_with('SELECT * FROM visits', ARRAY[{}])",
                literal(ddl)
            ),
        ] {
            let failure = session.failure(&call);
            assert_eq!(failure.code, "22023", "{ddl}: {failure:?}");
            assert!(failure.message.contains(reason), "{ddl}: {failure:?}");
        }
    }
    session.run("CREATE TABLE wide (note text); INSERT INTO wide SELECT string_agg(md5(g::text), '') FROM generate_series(1, 1000) g; ANALYZE wide");
    let failure =
        session.failure("SELECT * FROM pitcrew.predict_index('CREATE INDEX ON wide (note)')");
    assert!(failure.message.contains("building it fails"), "{failure:?}");
    for query in [
        "",
        "VACUUM",
        "INSERT INTO visits VALUES (1)",
        "SELECT 1; SELECT 2",
        "SELECT * FROM gone",
        "SELECT 1/0",
        "EXPLAIN ANALYZE SELECT 1",
    ] {
        let failure = session.failure(&format!(
            "SELECT * FROM pitcrew.explain_with({})",
            literal(query)
        ));
        assert_eq!(failure.code, "22023", "{query}: {failure:?}");
    }
    assert_eq!(
        session.text("SELECT count(*) FROM pg_stat_activity WHERE pid = pg_backend_pid()"),
        "1"
    );
}

#[test]
fn what_the_server_refuses_to_build_is_not_predicted() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    visits(&session);
    session.run(
        "CREATE TABLE events (device int, day date) PARTITION BY RANGE (day); \
         CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM ('2024-01-01') TO ('2024-02-01')",
    );
    for (ddl, reason) in [
        (
            "CREATE INDEX ON visits (id) WITH (fillfactor = 5)",
            "out of bounds",
        ),
        (
            "CREATE INDEX ON visits USING hash (id) WITH (deduplicate_items = on)",
            "unrecognized parameter",
        ),
        (
            "CREATE INDEX ON visits (id) TABLESPACE gone",
            "does not exist",
        ),
        ("CREATE INDEX ON visits ((ROW(id, city)))", "pseudo-type"),
        (
            "CREATE INDEX ON visits (id COLLATE \"C\")",
            "collations are not supported",
        ),
        (
            "CREATE UNIQUE INDEX ON visits USING hash (id)",
            "cannot be unique",
        ),
        (
            "CREATE INDEX ON visits (id) INCLUDE (customer DESC)",
            "INCLUDE takes columns alone",
        ),
        (
            "CREATE INDEX ON visits (id) TABLESPACE pg_global",
            "pg_global",
        ),
        ("CREATE INDEX ON visits ((ctid))", "system columns"),
        (
            "CREATE INDEX ON visits ((tableoid = 5), id)",
            "system columns",
        ),
        (
            "CREATE UNIQUE INDEX ON visits (customer)",
            "rows have the same key",
        ),
        (
            "CREATE UNIQUE INDEX ON visits (customer) INCLUDE (id)",
            "rows have the same key",
        ),
        (
            "CREATE UNIQUE INDEX ON events (device)",
            "partition key, and lacks day",
        ),
        (
            "CREATE INDEX ON visits (id int4_ops (foo = 1))",
            "int4_ops has no options",
        ),
        (
            "CREATE INDEX ON visits USING gin (tags array_ops (foo = 1))",
            "array_ops has no options",
        ),
        (
            "CREATE INDEX ON visits USING brin (id int4_minmax_multi_ops (foo = 1))",
            "unrecognized parameter \"foo\"",
        ),
        (
            "CREATE INDEX ON visits USING brin (id int4_minmax_multi_ops (values_per_range = 1))",
            "out of bounds",
        ),
        (
            "CREATE INDEX visits_pkey ON visits (customer)",
            "relation \"visits_pkey\" already exists",
        ),
        (
            "CREATE INDEX visits ON visits (customer)",
            "relation \"visits\" already exists",
        ),
        (
            "CREATE INDEX events_1 ON events (device)",
            "relation \"events_1\" already exists",
        ),
    ] {
        session.failure(ddl);
        let failure = session.failure(&format!(
            "SELECT * FROM pitcrew.predict_index({})",
            literal(ddl)
        ));
        assert_eq!(failure.code, "22023", "{ddl}: {failure:?}");
        assert!(failure.message.contains(reason), "{ddl}: {failure:?}");
    }
    // These it builds: one of no partition, and one of whole rows, whose name stands for all columns elsewhere.
    for (ddl, reason) in [
        ("CREATE INDEX ON ONLY events (device)", "ON ONLY"),
        ("CREATE INDEX ON visits ((visits))", "whole rows"),
        (
            "CREATE INDEX ON visits ((visits.*)) WHERE id < 7",
            "whole rows",
        ),
    ] {
        session.run(&format!("BEGIN; {ddl}; ROLLBACK"));
        let failure = session.failure(&format!(
            "SELECT * FROM pitcrew.predict_index({})",
            literal(ddl)
        ));
        assert!(failure.message.contains(reason), "{ddl}: {failure:?}");
    }
    for ddl in [
        "CREATE UNIQUE INDEX ON events (device, day)",
        "CREATE INDEX ON ONLY visits (id)",
        "CREATE UNIQUE INDEX ON visits (parent, id)",
        "CREATE INDEX ON visits (id) WITH (fillfactor = 10) TABLESPACE pg_default",
        "CREATE INDEX ON visits USING brin (id int4_minmax_multi_ops (values_per_range = 16))",
        "CREATE INDEX IF NOT EXISTS visits_pkey ON visits (customer)",
    ] {
        session.run(&format!("BEGIN; {ddl}; ROLLBACK"));
        session.run(&format!(
            "SELECT * FROM pitcrew.predict_index({})",
            literal(ddl)
        ));
    }
    // What is thought away has given up its name.
    session.run(
        "SELECT * FROM pitcrew.explain_with('SELECT * FROM visits WHERE id = 5', \
             ARRAY['CREATE INDEX visits_pkey ON visits (id)'], without => ARRAY['visits_pkey'::regclass])",
    );
}

#[test]
fn what_the_server_remarks_about_a_text_reaches_nobody() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    visits(&session);
    session.run(
        "CREATE FUNCTION loud(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RAISE WARNING 'loud'; RETURN $1; END $$",
    );
    session.notices();
    let (long, huge) = ("a".repeat(100), "a".repeat(2_000_000));
    for query in [
        format!("SELECT id AS {long} FROM visits WHERE customer = 5"),
        format!("SELECT id AS {huge} FROM visits WHERE customer = 5"),
        format!("UPDATE visits SET customer = 7 WHERE city = '{huge}'"),
        "SELECT id FROM visits WHERE customer = loud(5)".to_owned(),
    ] {
        let query = literal(&query);
        session.run(&format!(
            "SELECT * FROM pitcrew.suggest_indexes(queries => ARRAY[{query}])"
        ));
        let _ = session.try_run(&format!("SELECT * FROM pitcrew.explain_with({query})"));
        assert_eq!(session.notices(), [""; 0]);
    }
    for ddl in [
        format!("CREATE INDEX {long} ON visits (id)"),
        format!("CREATE INDEX {huge} ON visits (id)"),
        "CREATE INDEX ON visits (loud(id))".to_owned(),
    ] {
        let _ = session.try_run(&format!(
            "SELECT * FROM pitcrew.predict_index({})",
            literal(&ddl)
        ));
        assert_eq!(session.notices(), [""; 0]);
    }
    // They would be heard.
    session.run("DROP TABLE IF EXISTS gone");
    assert_eq!(session.notices().len(), 1);
}

#[test]
fn keys_that_go_together_are_counted_together() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    sales(&session);
    for (keys, query) in [
        ("city, region", "city = 5 AND region = 7"),
        ("region, city", "region = 5 AND city = 7"),
        ("city, day", "city = 5 AND day = 7"),
        ("customer, region", "customer = 5 AND region = 7"),
        ("customer, city", "customer = 5 AND city = 7"),
        ("customer", "customer = 5"),
        // Neither in their own order, nor as they are, nor by their type's own operator class.
        ("region, city DESC", "true ORDER BY region, city DESC"),
        ("region, (abs(city))", "abs(city) = 5 AND region = 7"),
        (
            "region, place text_pattern_ops",
            "region = 7 AND place LIKE 'place 5%'",
        ),
    ] {
        session.run(&format!("CREATE INDEX built ON sales ({keys})"));
        let built = session.number("SELECT pg_relation_size('built')");
        session.run("DROP INDEX built");
        let query = format!("SELECT id FROM sales WHERE {query}");
        let advice = session.text(&format!(
            "SELECT pitcrew.suggest_indexes_json(queries => ARRAY[{}])::text",
            literal(&query)
        ));
        let advice: serde_json::Value = serde_json::from_str(&advice).unwrap();
        let listed = |name: &str| advice[name].as_array().unwrap().clone();
        let list = format!("({keys})");
        let suggested = listed("suggestions")
            .into_iter()
            .filter(|one| one["ddl"].as_str().unwrap().ends_with(&list));
        let rejected = listed("rejected")
            .into_iter()
            .filter(|one| one["columns"] == list);
        let one = suggested.chain(rejected).next();
        let predicted = one.unwrap_or_else(|| panic!("{keys}: {advice}"))["estimated_bytes"]
            .as_f64()
            .unwrap();
        assert!(
            (predicted / built).log2().abs() < 0.3,
            "{keys}: predicted {predicted}, built {built}"
        );
    }
}

#[test]
fn a_suggestion_is_trusted_as_far_as_a_prediction_of_the_same() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    sales(&session);
    for (keys, query, confidence) in [
        // Which customers there are is known roughly: a few have most of the rows.
        ("customer", "customer = 150000", "medium"),
        ("city", "city = 5", "high"),
        (
            "customer, shelf text_pattern_ops",
            "customer = 150000 AND shelf LIKE 'shelf 15%'",
            "medium",
        ),
        ("region, city", "city = 5 AND region = 7", "high"),
        (
            "customer DESC, shelf",
            "true ORDER BY customer DESC, shelf LIMIT 10",
            "medium",
        ),
    ] {
        let predicted = session.text(&format!(
            "SELECT confidence FROM pitcrew.predict_index('CREATE INDEX ON sales ({keys})')"
        ));
        assert_eq!(predicted, confidence, "{keys}");
        let suggested = session.run(&format!(
            "SELECT ddl, confidence, because::text FROM pitcrew.suggest_indexes(queries => ARRAY[{}])",
            literal(&format!("SELECT * FROM sales WHERE {query}"))
        ));
        let suggested: Vec<&str> = suggested[0].iter().flatten().map(String::as_str).collect();
        // Where either may be first, either is.
        let mut each = keys.split(", ");
        assert!(each.all(|key| suggested[0].contains(key)), "{suggested:?}");
        assert_eq!(suggested[1], confidence, "{keys}: {suggested:?}");
    }
}

/// One region and place a city; a few customers that have most of the rows, and one shelf a customer.
fn sales(session: &Session) {
    session.run(
        "CREATE TABLE sales (id int, city int, region int, customer int, day int, place text, shelf text) WITH (autovacuum_enabled = off); \
         INSERT INTO sales SELECT g, c, c / 20, customer, c % 300, 'place ' || c, 'shelf ' || customer FROM (SELECT g, abs(hashint4(g + 7)) % 40000 AS c, \
             (200000 ^ ((abs(hashint4(g)) % 1000003) / 1000003.0))::int AS customer FROM generate_series(1, 400000) g) rows",
    );
    session.run("VACUUM ANALYZE sales");
}

#[test]
fn p5_nothing_is_created_executed_locked_or_recorded() {
    require!(statements);
    let database = testing::database();
    let session = Session::open(&database.url);
    visits(&session);
    session.run("CREATE SEQUENCE traces");
    let reset = "SELECT pg_stat_statements_reset(0, (SELECT oid FROM pg_database WHERE datname = current_database()), 0)";
    session.run(reset);
    session.run("BEGIN");
    for query in [
        "SELECT * FROM visits WHERE lower(city) = 'city 3'",
        "DELETE FROM visits WHERE customer = 1",
        "UPDATE visits SET customer = nextval('traces') WHERE customer = 1",
        "WITH gone AS (DELETE FROM visits WHERE customer = 1 RETURNING *) SELECT * FROM gone",
        "SELECT nextval('traces') FROM visits",
        "SELECT * FROM visits WHERE id = 5 FOR UPDATE",
    ] {
        let found = explain(
            &session,
            "cost_after, plan_after",
            query,
            "CREATE INDEX ON visits (lower(city))",
        );
        assert!(found[1].contains("cost="), "{query}: {found:?}");
        let locks = "SELECT count(*) FROM pg_locks WHERE relation = 'visits'::regclass";
        assert_eq!(session.text(locks), "0", "{query}");
    }
    session.run("COMMIT");
    assert_eq!(session.text("SELECT count(*) FROM visits"), "40000");
    assert_eq!(session.text("SELECT is_called FROM traces"), "f");
    assert_eq!(
        session.text("SELECT count(*) FROM pg_index WHERE indrelid = 'visits'::regclass"),
        "1"
    );
    let strangers = "SELECT count(*) FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid WHERE d.datname = current_database() \
         AND (s.calls = 0 OR s.query LIKE '%TABLESAMPLE%' OR s.query LIKE '%FROM ONLY%' OR s.query LIKE 'DELETE%') AND s.query NOT LIKE '%pg_stat_statements%'";
    assert_eq!(session.text(strangers), "0");
}

#[test]
fn p9_only_who_may_read_a_table_learns_from_its_rows() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    visits(&session);
    let reader = role(&session, "reader", Some("reader"));
    let reading = Session::open(&database.url_as(&reader));
    let call = "SELECT * FROM pitcrew.predict_index('CREATE INDEX ON public.visits (lower(city))')";
    let failure = reading.failure(call);
    assert!(failure.message.contains("permission denied"), "{failure:?}");
    session.run(&format!("GRANT SELECT ON visits TO {reader}"));
    reading.run(call);
    // A policy hides rows from the sample as from any other query; the index holds them.
    session.run(
        "ALTER TABLE visits ENABLE ROW LEVEL SECURITY; CREATE POLICY few ON visits USING (id <= 100)",
    );
    let found = reading.run("SELECT entries, confidence, because::text FROM pitcrew.predict_index('CREATE INDEX ON public.visits (lower(city))')");
    let cell = |at: usize| found[0][at].clone().unwrap();
    assert_eq!(cell(0), "40000");
    assert_eq!(cell(1), "low");
    assert!(cell(2).contains("row security"), "{found:?}");
}

#[test]
fn p11_no_function_of_another_role_runs() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    visits(&session);
    let mallory = role(&session, "mallory", None);
    let attacker = Session::open(&database.url_as(&mallory));
    attacker.run(&format!(
        "CREATE SEQUENCE public.traces; CREATE FUNCTION public.rise() RETURNS int LANGUAGE plpgsql VOLATILE AS \
         $$ BEGIN PERFORM nextval('public.traces'); ALTER ROLE {mallory} SUPERUSER; RETURN 1; END $$; \
         CREATE FUNCTION public.norm(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM public.rise(); RETURN 1; END $$; \
         CREATE TABLE public.guarded (id int); INSERT INTO public.guarded VALUES (1); \
         ALTER TABLE public.guarded ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY; \
         CREATE POLICY p ON public.guarded USING (public.norm(id) = 1)"
    ));
    for ddl in [
        "CREATE INDEX ON visits (public.norm(customer))",
        "CREATE INDEX ON visits ((public.norm(1) + id))",
        "CREATE INDEX ON visits (id) WHERE public.norm(customer) = 1",
        "CREATE INDEX ON visits (id) INCLUDE (customer) WHERE public.norm(2) = 1",
        "CREATE INDEX ON public.guarded (id)",
    ] {
        let result = session.try_run(&format!(
            "SELECT * FROM pitcrew.predict_index({})",
            literal(ddl)
        ));
        if let Err(failure) = &result {
            assert!(
                failure.message.contains("public.norm"),
                "{ddl}: {failure:?}"
            );
        }
        assert_eq!(
            session.text("SELECT is_called FROM public.traces"),
            "f",
            "{ddl}"
        );
        assert_eq!(
            session.text(&format!(
                "SELECT rolsuper FROM pg_roles WHERE rolname = '{mallory}'"
            )),
            "f",
            "{ddl}"
        );
    }
    // A reader who is no superuser is under the policy, which would run the attacker's function as the reader.
    let reader = role(&session, "reader", Some("reader"));
    attacker.run(&format!("GRANT SELECT ON public.guarded TO {reader}"));
    let reading = Session::open(&database.url_as(&reader));
    let result = reading
        .try_run("SELECT * FROM pitcrew.predict_index('CREATE INDEX ON public.guarded (id)')");
    assert_eq!(
        session.text("SELECT is_called FROM public.traces"),
        "f",
        "{result:?}"
    );
    let failure = result.unwrap_err();
    assert!(failure.message.contains("public.norm"), "{failure:?}");
    // The trap is real; a sequence keeps what a rollback takes back.
    session.run("BEGIN");
    let _ = session.try_run("CREATE INDEX ON visits (public.norm(customer))");
    session.run("ROLLBACK");
    assert_eq!(session.text("SELECT is_called FROM public.traces"), "t");
}

#[test]
fn p7_a_cancel_ends_it() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    visits(&session);
    session.run("SET statement_timeout = '200ms'");
    // Each definition is another one, so that none is predicted once for all rows.
    let call = "SELECT count(*) FROM generate_series(1, 1000) g, \
         LATERAL pitcrew.predict_index('CREATE INDEX ON visits (lower(city), (id + ' || g || '))')";
    assert_eq!(session.failure(call).code, "57014");
    session.run("SET statement_timeout = 0");
    assert_eq!(
        session.text("SELECT method FROM pitcrew.predict_index('CREATE INDEX ON visits (id)')"),
        "btree"
    );
}
