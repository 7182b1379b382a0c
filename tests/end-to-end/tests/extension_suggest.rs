//! Index suggestions: what they predict against what is then there, where they come from, and what they never do.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something unexpected happens"
)]

mod support;

use pitcrew_stack::{require, testing};
use support::{Session, role};

/// A small shop whose statistics stay as they are.
fn shop(session: &Session) {
    session.run(
        "CREATE TABLE customers (id int PRIMARY KEY, name text, city text) WITH (autovacuum_enabled = off); \
         CREATE TABLE orders (id int PRIMARY KEY, customer int, created date, status int, amount numeric(12,2), note text) \
             WITH (autovacuum_enabled = off); \
         INSERT INTO customers SELECT g, 'customer ' || g, 'city ' || g % 100 FROM generate_series(1, 5000) g; \
         INSERT INTO orders SELECT g, abs(hashint4(g) % 5000) + 1, date '2020-01-01' + abs(hashint4(g + 1000000) % 1500), g % 5, g, 'note ' || g \
             FROM generate_series(1, 100000) g",
    );
    session.run("VACUUM ANALYZE customers");
    session.run("VACUUM ANALYZE orders");
}

fn cost(session: &Session, statement: &str) -> f64 {
    let text = session.text(&format!("EXPLAIN (FORMAT JSON) {statement}"));
    let plan: serde_json::Value = serde_json::from_str(&text).unwrap();
    plan[0]["Plan"]["Total Cost"].as_f64().unwrap()
}

fn suggestions(session: &Session, statement: &str) -> support::Rows {
    let literal = statement.replace('\'', "''");
    session.run(&format!(
        "SELECT ddl, index_name, estimated_size_bytes, evidence->0->>'cost_before', evidence->0->>'cost_after', \
         cost_before, cost_after, gain_percent FROM pitcrew.suggest_indexes(queries => ARRAY['{literal}'])"
    ))
}

#[test]
fn predicted_cost_and_size_are_those_of_the_index_once_built() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    shop(&session);
    // Every suggestion of every statement is built in turn: each row assumes those before it.
    for statement in [
        "SELECT * FROM orders WHERE customer = 42",
        "SELECT count(*) FROM orders WHERE created BETWEEN '2021-03-01' AND '2021-03-03'",
        "SELECT * FROM orders WHERE customer = 42 AND created > '2022-01-01'",
        "SELECT * FROM orders ORDER BY created, status LIMIT 20",
        "SELECT max(amount) FROM orders",
        "SELECT o.* FROM customers c JOIN orders o ON o.customer = c.id WHERE c.name = 'customer 17'",
        "SELECT * FROM orders WHERE note = 'note 500'",
        "SELECT * FROM orders WHERE customer IN (1, 2, 3)",
        "DELETE FROM orders WHERE note = 'note 501'",
        "UPDATE orders SET status = 1 WHERE customer = 77",
        "SELECT * FROM (SELECT customer AS who, note FROM orders) o WHERE who = 9",
        "SELECT * FROM customers c WHERE EXISTS (SELECT 1 FROM orders o WHERE o.customer = c.id) AND c.city = 'city 1'",
    ] {
        let before = cost(&session, statement);
        let found = suggestions(&session, statement);
        assert!(!found.is_empty(), "{statement}: nothing suggested");
        let mut built = Vec::new();
        for (number, row) in found.iter().enumerate() {
            let cell = |column: usize| row[column].clone().unwrap();
            let number_of = |column: usize| cell(column).parse::<f64>().unwrap();
            if number == 0 {
                assert!(
                    (number_of(3) - before).abs() < 0.01,
                    "{statement}: {before} {row:?}"
                );
            }
            session.run(&cell(0));
            built.push(cell(1));
            let after = cost(&session, statement);
            let error = (number_of(4) / after - 1.0).abs();
            assert!(
                error < 0.01,
                "{statement}: predicted {}, built {after}: {row:?}",
                number_of(4)
            );
            assert!(
                number_of(7) >= 5.0 && number_of(5) > number_of(6),
                "{row:?}"
            );
            let size = session.number(&format!("SELECT pg_relation_size('{}')", cell(1)));
            let off = (number_of(2) / size).log2().abs();
            assert!(
                off < 0.15,
                "{statement}: predicted {} bytes, built {size}",
                number_of(2)
            );
        }
        for index in built {
            session.run(&format!("DROP INDEX {index}"));
        }
    }
}

#[test]
fn the_workload_of_prepared_statements_is_where_suggestions_come_from() {
    require!(statements);
    let database = testing::database();
    let session = Session::open(&database.url);
    shop(&session);
    session.run("SELECT pg_stat_statements_reset(0, (SELECT oid FROM pg_database WHERE datname = current_database()), 0)");
    for customer in 0..5_i32 {
        session.prepared(
            "SELECT id, amount FROM orders WHERE customer = $1 ORDER BY created DESC LIMIT 10",
            &[&customer],
        );
    }
    let found = session.run(
        "SELECT table_name, columns::text, ddl, queryids[1]::text, evidence->0->>'calls', evidence->0->>'query', detail, id \
         FROM pitcrew.suggest_indexes(max_indexes => 1)",
    );
    let cell = |column: usize| found[0][column].clone().unwrap();
    assert_eq!(cell(0), "public.orders");
    assert!(cell(1).starts_with("{customer"), "{found:?}");
    assert_eq!(cell(4), "5");
    assert!(cell(5).contains("$1"), "{found:?}");
    assert!(
        cell(6).contains("public.orders") && cell(6).contains('%') && cell(6).contains("MB"),
        "{found:?}"
    );
    assert_eq!(cell(7).len(), 16);
    let known = session.run(&format!("SELECT calls, planned, cost > 0, skipped_because FROM pitcrew.workload() WHERE queryid = {}", cell(3)));
    assert_eq!(
        known,
        [[Some("5".into()), Some("t".into()), Some("t".into()), None]]
    );
    // The same call names the same suggestion.
    assert_eq!(
        session.text("SELECT id FROM pitcrew.suggest_indexes(max_indexes => 1)"),
        cell(7)
    );
    // Without its source there is nothing to say.
    session.run("SELECT pg_stat_statements_reset(0, (SELECT oid FROM pg_database WHERE datname = current_database()), 0)");
    assert!(
        session
            .run("SELECT * FROM pitcrew.suggest_indexes()")
            .is_empty()
    );
}

#[test]
fn without_pg_stat_statements_the_error_says_what_to_do() {
    require!(statements);
    let database = testing::database();
    let session = Session::open(&database.url);
    session.run("DROP EXTENSION pg_stat_statements");
    for call in [
        "SELECT * FROM pitcrew.suggest_indexes()",
        "SELECT * FROM pitcrew.workload()",
        "SELECT * FROM pitcrew.slow_queries",
    ] {
        let failure = session.failure(call);
        assert_eq!(failure.code, "55000", "{call}");
        assert!(
            failure.hint.contains("CREATE EXTENSION pg_stat_statements"),
            "{failure:?}"
        );
    }
    // Wherever it lives, it is found.
    session.run(
        "CREATE SCHEMA \"Else Where\"; CREATE EXTENSION pg_stat_statements SCHEMA \"Else Where\"",
    );
    session.run("SELECT * FROM pitcrew.slow_queries");
}

#[test]
fn an_index_that_is_there_is_not_suggested_again() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    shop(&session);
    session.run("CREATE INDEX there ON orders (customer, created)");
    for statement in [
        "SELECT * FROM orders WHERE customer = 1",
        "SELECT * FROM orders WHERE id = 5",
    ] {
        assert!(suggestions(&session, statement).is_empty(), "{statement}");
    }
    // A partial or invalid one covers nothing.
    session.run("DROP INDEX there; CREATE INDEX there ON orders (customer) WHERE status = 77");
    let found = suggestions(&session, "SELECT * FROM orders WHERE customer = 1");
    assert!(
        found[0][0].as_deref().unwrap().contains("(customer)"),
        "{found:?}"
    );
}

#[test]
fn names_do_not_collide_with_what_is_there() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    shop(&session);
    session.run("CREATE TABLE orders_customer_idx (id int)");
    let found = suggestions(&session, "SELECT * FROM orders WHERE customer = 1");
    assert_ne!(found[0][1].as_deref().unwrap(), "orders_customer_idx");
    session.run(found[0][0].as_deref().unwrap());
}

#[test]
fn p5_nothing_is_executed_and_nothing_is_left() {
    require!(statements);
    let database = testing::database();
    let session = Session::open(&database.url);
    shop(&session);
    session.run("CREATE TABLE traces (id int)");
    session.run("SELECT pg_stat_statements_reset(0, (SELECT oid FROM pg_database WHERE datname = current_database()), 0)");
    let locks = "SELECT count(*) FROM pg_locks WHERE relation = 'orders'::regclass";
    session.run("BEGIN");
    for statement in [
        "WITH gone AS (DELETE FROM orders WHERE customer = 1 RETURNING *) SELECT * FROM gone",
        "DELETE FROM orders WHERE customer = 1",
        "DROP TABLE orders",
        "SELECT 1; DROP TABLE orders",
        "SELECT * INTO traces2 FROM orders",
        "CREATE TABLE traces3 AS SELECT * FROM orders",
        "INSERT INTO traces VALUES (1)",
        "EXPLAIN ANALYZE DELETE FROM orders",
        "DO $$BEGIN DELETE FROM orders; END$$",
        "COPY orders TO PROGRAM 'touch /tmp/pitcrew_p5'",
        "VACUUM",
        "this is no SQL",
        "",
        ";",
        "SELECT nextval('no_such_sequence')",
        "SELECT pg_terminate_backend(pg_backend_pid())",
    ] {
        let literal = statement.replace('\'', "''");
        session.run(&format!(
            "SELECT * FROM pitcrew.suggest_indexes(queries => ARRAY['{literal}', NULL])"
        ));
        assert_eq!(session.text(locks), "0", "{statement}");
    }
    session.run("COMMIT");
    assert_eq!(session.text("SELECT count(*) FROM orders"), "100000");
    assert_eq!(
        session.text("SELECT count(*) FROM pg_class WHERE relname LIKE 'traces_'"),
        "0"
    );
    let strangers = "SELECT count(*) FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid \
         WHERE d.datname = current_database() AND (s.calls = 0 OR s.query LIKE 'DELETE%' OR s.query LIKE 'WITH gone%')";
    assert_eq!(session.text(strangers), "0");
    // The reasons are rows.
    session.run("CREATE TABLE more (id int); INSERT INTO more VALUES (1)");
    let reasons = session.run(
        "SELECT DISTINCT skipped_because FROM pitcrew.workload() WHERE NOT planned ORDER BY 1",
    );
    let reasons: Vec<_> = reasons.iter().map(|row| row[0].clone().unwrap()).collect();
    assert!(
        reasons.contains(&"not a SELECT, UPDATE, DELETE or INSERT of a query".to_owned()),
        "{reasons:?}"
    );
    assert!(
        reasons.contains(&"an INSERT of values looks nothing up".to_owned()),
        "{reasons:?}"
    );
}

#[test]
fn what_a_statement_reads_to_write_or_to_copy_it_is_planned() {
    require!(statements);
    let database = testing::database();
    let session = Session::open(&database.url);
    shop(&session);
    session.run("CREATE TABLE chosen (id int PRIMARY KEY, customer int, note text)");
    session.run("VACUUM ANALYZE chosen");
    let query = "SELECT id, customer, note FROM orders WHERE customer = 42";
    for statement in [
        format!("INSERT INTO chosen {query}"),
        "INSERT INTO chosen (id, customer) SELECT id, $1 FROM orders WHERE customer = $2"
            .to_owned(),
        format!(
            "INSERT INTO chosen {query} ON CONFLICT (id) DO UPDATE SET note = excluded.note WHERE chosen.customer = 5 RETURNING note"
        ),
        format!("WITH found AS ({query}) INSERT INTO chosen TABLE found"),
        format!("CREATE TABLE traces4 AS {query}"),
        format!("CREATE MATERIALIZED VIEW traces5 AS {query}"),
        format!("COPY ({query}) TO STDOUT"),
        "PREPARE traced (int) AS SELECT * FROM orders WHERE customer = $1".to_owned(),
    ] {
        let found = suggestions(&session, &statement);
        let ddl: Vec<&str> = found.iter().filter_map(|row| row[0].as_deref()).collect();
        assert_eq!(ddl.len(), 1, "{statement}: {ddl:?}");
        assert!(
            ddl[0].contains("ON public.orders (customer)"),
            "{statement}: {ddl:?}"
        );
    }
    assert_eq!(session.text("SELECT count(*) FROM chosen"), "0");
    assert_eq!(
        session.text("SELECT count(*) FROM pg_class WHERE relname LIKE 'traces_'"),
        "0"
    );
    // As they are recorded.
    session.run("SELECT pg_stat_statements_reset(0, (SELECT oid FROM pg_database WHERE datname = current_database()), 0)");
    for id in 1..4 {
        session.run(&format!(
            "INSERT INTO chosen SELECT id, customer, note FROM orders WHERE customer = {id}"
        ));
    }
    session.run(
        "PREPARE traced (int) AS SELECT * FROM orders WHERE customer = $1; EXECUTE traced (5)",
    );
    let planned = session.run(
        "SELECT planned::text, coalesce(skipped_because, '') FROM pitcrew.workload() WHERE query LIKE 'INSERT INTO chosen%' OR query LIKE 'PREPARE%'",
    );
    let planned: Vec<_> = planned.iter().flatten().flatten().collect();
    assert_eq!(planned, ["true", "", "true", ""]);
    let ddl = session.text("SELECT string_agg(ddl, ';') FROM pitcrew.suggest_indexes()");
    assert!(ddl.contains("ON public.orders (customer)"), "{ddl}");
}

#[test]
fn p7_an_error_in_planning_is_a_reason_and_the_transaction_goes_on() {
    require!(statements);
    let database = testing::database();
    let session = Session::open(&database.url);
    shop(&session);
    let pid = session.text("SELECT pg_backend_pid()");
    session.run("CREATE TABLE kept (id int); BEGIN; INSERT INTO kept VALUES (1); SAVEPOINT s; INSERT INTO kept VALUES (2)");
    // Folding the constants raises an error inside the planner.
    for _ in 0..50 {
        session.run(
            "SELECT * FROM pitcrew.suggest_indexes(queries => ARRAY['SELECT * FROM orders WHERE customer = 1/0', \
             'SELECT * FROM orders WHERE customer = 5', 'SELECT * FROM gone', 'SELECT ''x''::int FROM orders'])",
        );
    }
    let ddl = session.text(
        "SELECT ddl FROM pitcrew.suggest_indexes(queries => ARRAY['SELECT * FROM orders WHERE customer = 1/0', \
         'SELECT * FROM orders WHERE customer = 5'])",
    );
    assert!(ddl.contains("(customer)"), "{ddl}");
    session.run("INSERT INTO kept VALUES (3); COMMIT");
    assert_eq!(
        session.text("SELECT string_agg(id::text, ',' ORDER BY id) FROM kept"),
        "1,2,3"
    );
    assert_eq!(session.text("SELECT pg_backend_pid()"), pid);
    assert_eq!(
        session.text("SELECT current_setting('compute_query_id')"),
        "on"
    );
    assert_eq!(
        session.text("SELECT current_setting('search_path')"),
        "\"$user\", public"
    );
}

#[test]
fn p7_a_statement_timeout_interrupts_the_search() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    shop(&session);
    let joins = (0..8)
        .map(|n| format!("orders o{n}"))
        .collect::<Vec<_>>()
        .join(", ");
    let conditions = (1..8)
        .map(|n| {
            format!(
                "o{n}.customer = o{}.status AND o{n}.created = o{}.created",
                n - 1,
                n - 1
            )
        })
        .collect::<Vec<_>>()
        .join(" AND ");
    let statement = format!("SELECT count(*) FROM {joins} WHERE {conditions}");
    session.run("SET pitcrew.suggest_timeout = 0; SET from_collapse_limit = 20; SET geqo = off; SET statement_timeout = '100ms'");
    let call = format!(
        "SELECT count(*) FROM pitcrew.suggest_indexes(queries => array_fill('{statement}'::text, ARRAY[500]))"
    );
    assert_eq!(session.failure(&call).code, "57014");
    session.run("SET statement_timeout = 0; SET pitcrew.suggest_timeout = '50ms'");
    session.run(&call);
    assert_eq!(session.text("SELECT 1"), "1");
}

#[test]
fn p9_other_roles_statements_are_hidden_where_pg_stat_statements_hides_them() {
    require!(statements);
    let database = testing::database();
    let session = Session::open(&database.url);
    shop(&session);
    session.run("SELECT * FROM orders WHERE customer = 1");
    let reader = role(&session, "reader", Some("reader"));
    let reading = Session::open(&database.url_as(&reader));
    assert_eq!(
        reading.text("SELECT count(*) FROM pitcrew.workload() WHERE query LIKE '%orders%'"),
        "0"
    );
    assert!(
        reading
            .run("SELECT * FROM pitcrew.suggest_indexes()")
            .is_empty()
    );
    let reason = reading.run("SELECT skipped_because FROM pitcrew.workload() WHERE query IS NULL");
    assert!(
        reason[0][0]
            .as_deref()
            .unwrap()
            .contains("pg_read_all_stats"),
        "{reason:?}"
    );
    session.run(&format!("GRANT pg_read_all_stats TO {reader}"));
    assert_eq!(
        reading.text("SELECT count(*) > 0 FROM pitcrew.suggest_indexes()"),
        "t"
    );
    // Normalised: no value of a row is in the evidence.
    assert_eq!(reading.text("SELECT count(*) FROM pitcrew.suggest_indexes() WHERE evidence::text LIKE '%customer = 1%'"), "0");
}

#[test]
fn p11_planning_runs_no_function_of_another_role() {
    require!(statements);
    let database = testing::database();
    let session = Session::open(&database.url);
    let mallory = role(&session, "mallory", None);
    let attacker = Session::open(&database.url_as(&mallory));
    // What it does with stolen rights, and a trace that no rollback removes.
    attacker.run(&format!(
        "CREATE SEQUENCE public.traces; CREATE FUNCTION public.rise() RETURNS int LANGUAGE plpgsql VOLATILE AS \
         $$ BEGIN PERFORM nextval('public.traces'); ALTER ROLE {mallory} SUPERUSER; RETURN 1; END $$"
    ));
    let untouched = |what: &str| {
        let rose = format!("SELECT rolsuper FROM pg_roles WHERE rolname = '{mallory}'");
        assert_eq!(session.text(&rose), "f", "{what}");
        assert_eq!(
            session.text("SELECT is_called FROM public.traces"),
            "f",
            "{what}"
        );
    };
    attacker.run(
        "CREATE FUNCTION public.norm(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1'; \
         CREATE TABLE public.numbers (id int, value int); \
         INSERT INTO public.numbers SELECT g, g FROM generate_series(1, 10000) g",
    );
    // A superuser once ran it; then its owner replaced it.
    session.run("SELECT pg_stat_statements_reset(0, (SELECT oid FROM pg_database WHERE datname = current_database()), 0)");
    session.run("SELECT * FROM public.numbers WHERE value = public.norm(42)");
    let body = |result: &str| {
        format!(
            "LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM public.rise(); RETURN {result}; END $$"
        )
    };
    attacker.run(&format!(
        "CREATE OR REPLACE FUNCTION public.norm(int) RETURNS int {}",
        body("1")
    ));
    let reason = session.text(
        "SELECT skipped_because FROM pitcrew.workload() WHERE query LIKE 'SELECT * FROM public.numbers%'",
    );
    assert_eq!(reason, "planning would run public.norm()");
    session.run("SELECT * FROM pitcrew.suggest_indexes()");
    untouched("the recorded statement");

    // Every way by which the planner, or analysis before it, comes to run somebody's code.
    let (yes, one) = (body("true"), body("1"));
    attacker.run(&format!(
        "CREATE FUNCTION public.evil(int) RETURNS boolean {yes}; \
         CREATE FUNCTION public.evil(text) RETURNS boolean {yes}; \
         CREATE FUNCTION public.same(int, int) RETURNS boolean {yes}; \
         CREATE OPERATOR public.=== (LEFTARG = int, RIGHTARG = int, FUNCTION = public.same); \
         CREATE DOMAIN public.odd AS text CHECK (public.evil(VALUE)); \
         CREATE TYPE public.pair AS (first public.odd, second int); \
         CREATE TABLE public.pairs (ends public.pair); \
         CREATE VIEW public.seen AS SELECT id FROM public.numbers WHERE public.evil(1); \
         CREATE TABLE public.guarded (id int); \
         ALTER TABLE public.guarded ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY; \
         CREATE POLICY p ON public.guarded USING (public.evil(2)); \
         CREATE FUNCTION public.quiet(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1'; \
         CREATE FUNCTION public.later() RETURNS int LANGUAGE plpgsql STABLE AS $$ BEGIN PERFORM public.rise(); RETURN 1; END $$; \
         CREATE TABLE public.defaulted (id int, value int DEFAULT public.norm(1)); \
         CREATE TABLE public.worn (id int, note public.odd); \
         CREATE TABLE public.indexed (id int); CREATE INDEX ON public.indexed ((id + public.quiet(1))); \
         CREATE FUNCTION public.agg(int, int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1'; \
         CREATE AGGREGATE public.total (int) (SFUNC = public.agg, STYPE = int)"
    ));
    attacker.run(&format!(
        "CREATE OR REPLACE FUNCTION public.quiet(int) RETURNS int {one}"
    ));
    for statement in [
        "SELECT * FROM numbers WHERE public.evil(5)",
        "SELECT * FROM numbers WHERE 1 OPERATOR(public.===) 2",
        "SELECT * FROM numbers WHERE value = (SELECT public.norm(1))",
        "SELECT * FROM seen",
        "SELECT * FROM indexed WHERE id = 1",
        "SELECT * FROM pairs WHERE ends = '(a,1)'",
        "SELECT * FROM numbers WHERE '(a,1)'::text::public.pair IS NOT NULL",
        "SELECT * FROM numbers WHERE 'x'::public.odd IS NOT NULL",
        "SELECT public.total(value) FROM numbers",
        "SELECT * FROM numbers ORDER BY public.norm(3)",
        "SELECT * FROM numbers LIMIT public.norm(3)",
        "SELECT * FROM generate_series(1, public.norm(3))",
        "SELECT * FROM numbers WHERE table_to_xml('public.seen', true, true, '')::text = 'a'",
        "UPDATE numbers SET value = public.norm(1) WHERE id = 2",
        "WITH w AS (SELECT public.norm(1) AS n) SELECT * FROM w, numbers WHERE id = n",
        "SELECT * FROM numbers WHERE value > public.later()",
        "INSERT INTO numbers SELECT id, public.norm(1) FROM numbers WHERE id = 2",
        "INSERT INTO numbers SELECT id, value FROM numbers WHERE id > public.later()",
        "INSERT INTO defaulted (id) SELECT id FROM numbers WHERE id = 2",
        "INSERT INTO worn SELECT id, chr(97) FROM numbers WHERE id = 2",
        "INSERT INTO guarded SELECT id FROM numbers WHERE id = 2 RETURNING public.norm(4)",
        "CREATE TABLE traces1 AS SELECT public.norm(1) FROM numbers WHERE id = 2",
        "CREATE MATERIALIZED VIEW traces2 AS SELECT * FROM seen",
        "COPY (SELECT * FROM seen) TO STDOUT",
        "COPY (SELECT * FROM pairs WHERE ends = '(a,1)') TO STDOUT",
        "PREPARE traced AS SELECT * FROM numbers WHERE value = public.norm(1)",
    ] {
        let literal = statement.replace('\'', "''");
        session.run(&format!(
            "SELECT * FROM pitcrew.suggest_indexes(queries => ARRAY['{literal}'])"
        ));
        untouched(statement);
    }
    // Without one literal: functions of the server's own that make values of a type, compare them or turn them into JSON.
    let own = Session::open(&database.url_as(&mallory));
    own.run(
        "CREATE FUNCTION public.chk(int) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT true'; \
         CREATE FUNCTION public.diff(int, int) RETURNS float8 LANGUAGE sql IMMUTABLE AS 'SELECT ($1 - $2)::float8'; \
         CREATE DOMAIN public.small AS int CHECK (public.chk(VALUE)); CREATE TYPE public.box1 AS (a public.small); \
         CREATE TYPE public.span AS RANGE (subtype = int, subtype_diff = public.diff); \
         CREATE TYPE public.mood AS ENUM ('ok'); \
         CREATE FUNCTION public.told(public.mood) RETURNS json LANGUAGE sql IMMUTABLE AS 'SELECT NULL::json'; \
         CREATE CAST (public.mood AS json) WITH FUNCTION public.told(public.mood); \
         CREATE TABLE public.spans (r public.span); INSERT INTO public.spans SELECT public.span(g, g + 9) FROM generate_series(1, 1000) g; \
         ANALYZE public.spans; \
         CREATE DOMAIN public.mail AS text CHECK (public.chk(length(VALUE))); \
         CREATE TABLE public.people (mail public.mail, state int); \
         INSERT INTO public.people SELECT 'm' || g, g FROM generate_series(1, 10000) g; ANALYZE public.people",
    );
    own.run(&format!(
        "CREATE OR REPLACE FUNCTION public.chk(int) RETURNS boolean {yes}; \
         CREATE OR REPLACE FUNCTION public.diff(int, int) RETURNS float8 {one}; \
         CREATE OR REPLACE FUNCTION public.told(public.mood) RETURNS json {}",
        body("NULL")
    ));
    let number = session.text("SELECT 'public.box1'::regtype::oid::int");
    // The superuser's own type, and the attacker's function.
    own.run(
        "CREATE FUNCTION public.held(int) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT true'",
    );
    session.run("CREATE DOMAIN public.held AS int CHECK (public.held(VALUE)); CREATE TYPE public.box2 AS (a public.held)");
    own.run(&format!(
        "CREATE OR REPLACE FUNCTION public.held(int) RETURNS boolean {yes}"
    ));
    let view = session.text("SELECT 'public.seen'::regclass::oid");
    for statement in [
        "SELECT * FROM numbers WHERE value = (jsonb_populate_record((ARRAY[]::public.box1[])[1], jsonb_build_object(chr(97), 1))).a".to_owned(),
        "SELECT * FROM numbers WHERE value = (jsonb_populate_record(NULL::public.box1, jsonb_build_object(chr(97), 1))).a".to_owned(),
        "SELECT * FROM numbers WHERE value = length(to_jsonb(enum_first((ARRAY[]::public.mood[])[1]))::text)".to_owned(),
        "SELECT * FROM numbers WHERE value = (jsonb_populate_record(NULL::public.box2, jsonb_build_object(chr(97), 1))).a".to_owned(),
        format!("SELECT * FROM numbers WHERE value = length(table_to_xml({view}::oid::regclass, true, true, chr(97))::text)"),
        "SELECT * FROM spans WHERE r && public.span(3, 9)".to_owned(),
        "SELECT * FROM spans WHERE r = public.span(3, 9)".to_owned(),
        format!("SELECT * FROM numbers WHERE record_in(textout(chr(40) || chr(49) || chr(41)), {number}::oid, -1) IS NOT NULL"),
    ] {
        session.run(&format!(
            "SELECT * FROM pitcrew.suggest_indexes(queries => ARRAY['{statement}'])"
        ));
        untouched(&statement);
    }
    // A superuser's own functions are those of a role that somebody else may be a member of, or become.
    let eve = role(&session, "eve", None);
    session.run(&format!("ALTER ROLE {eve} SUPERUSER"));
    let ruling = Session::open(&database.url_as(&eve));
    ruling.run("CREATE FUNCTION public.ruled(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM public.rise(); RETURN 1; END $$");
    ruling.run("SELECT * FROM pitcrew.suggest_indexes(queries => ARRAY['SELECT * FROM public.numbers WHERE value = public.ruled(1)'])");
    untouched("a superuser's own function");
    // A column of such a type that nothing is made of is planned as ever.
    let found = session.text(
        "SELECT coalesce(string_agg(ddl, ';'), 'none') FROM pitcrew.suggest_indexes(queries => ARRAY['SELECT state FROM public.people WHERE mail = $1'])",
    );
    assert!(found.contains("public.people (mail)"), "{found}");
    let bytes = session.number("SELECT bytes FROM pitcrew.predict_index('CREATE INDEX ON public.people (state) WHERE state > 5')");
    assert!(bytes > 0.0);
    // Policies of another role's table count for whoever is no superuser.
    let reader = role(&session, "reader", Some("reader"));
    session.run(&format!("GRANT SELECT ON public.guarded TO {reader}"));
    Session::open(&database.url_as(&reader)).run(
        "SELECT * FROM pitcrew.suggest_indexes(queries => ARRAY['SELECT * FROM public.guarded WHERE id = 1'])",
    );
    untouched("a policy");

    // A role may have its own functions run, and what is nobody's function is planned as ever.
    let own = Session::open(&database.url_as(&mallory));
    session.run(&format!(
        "SELECT pitcrew.grant_access('{mallory}', 'reader')"
    ));
    own.run("CREATE FUNCTION public.mine(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1'; ANALYZE public.numbers");
    session.run("DROP DOMAIN public.odd CASCADE");
    for statement in [
        "SELECT * FROM public.numbers WHERE value = public.mine(42)",
        "SELECT * FROM public.numbers WHERE value = 42",
    ] {
        let found = own.run(&format!(
            "SELECT ddl FROM pitcrew.suggest_indexes(queries => ARRAY['{statement}'])"
        ));
        assert_eq!(found.len(), 1, "{statement}");
    }
    // The trap is real: the server's own EXPLAIN springs it.
    untouched("until here");
    session.run("EXPLAIN SELECT * FROM public.numbers WHERE public.evil(5)");
    assert_eq!(session.text("SELECT is_called FROM public.traces"), "t");
}

#[test]
fn limits_are_kept_and_nonsense_is_refused() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    shop(&session);
    let queries = "queries => ARRAY['SELECT * FROM orders WHERE customer = 1', 'SELECT * FROM orders WHERE note = ''x''', \
         'SELECT * FROM customers WHERE name = ''y''']";
    let count = |arguments: &str| {
        session.number(&format!(
            "SELECT count(*) FROM pitcrew.suggest_indexes({arguments}{queries})"
        ))
    };
    assert_eq!(count(""), 3.0);
    assert_eq!(count("max_indexes => 2, "), 2.0);
    assert_eq!(count("max_indexes => 0, "), 0.0);
    assert_eq!(count("budget_mb => 0, "), 0.0);
    assert_eq!(count("min_gain_percent => 100, "), 0.0);
    let bytes = session.number(&format!(
        "SELECT coalesce(sum(estimated_size_bytes), 0) FROM pitcrew.suggest_indexes(budget_mb => 2, {queries})"
    ));
    assert!(bytes > 0.0 && bytes <= 2.0 * 1024.0 * 1024.0, "{bytes}");
    for arguments in [
        "budget_mb => -1",
        "max_indexes => -1",
        "min_gain_percent => 101",
        "min_gain_percent => 'NaN'",
    ] {
        let failure = session.failure(&format!(
            "SELECT * FROM pitcrew.suggest_indexes({arguments})"
        ));
        assert_eq!(failure.code, "22023", "{arguments}");
    }
    let long = "x".repeat(200_000);
    session.run(&format!("SELECT * FROM pitcrew.suggest_indexes(queries => ARRAY['SELECT * FROM orders WHERE note = ''{long}'''])"));
    assert!(
        session
            .run("SELECT * FROM pitcrew.suggest_indexes(queries => '{}')")
            .is_empty()
    );
    // System catalogues and pitcrew's own tables are left out.
    assert!(session.run("SELECT * FROM pitcrew.suggest_indexes(queries => ARRAY['SELECT * FROM pg_class WHERE reltuples = 5', \
         'SELECT * FROM pitcrew.jobs WHERE error = ''x'''])").is_empty());
}

#[test]
fn what_else_is_written_is_said_of_given_queries() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    shop(&session);
    session.run("UPDATE orders SET status = 1 WHERE id < 1000");
    // Statistics reach shared memory when a session ends at the latest.
    drop(session);
    let session = Session::open(&database.url);
    session.until(
        "SELECT detail LIKE '%999 rows of the table were inserted, updated or deleted%' FROM pitcrew.suggest_indexes(queries => ARRAY['SELECT * FROM orders WHERE customer = 1'])",
        "t",
    );
    assert_eq!(
        session.text("SELECT detail LIKE '%rows of the table were%' FROM pitcrew.suggest_indexes(queries => ARRAY['SELECT * FROM customers WHERE name = ''x'''])"),
        "f"
    );
}
