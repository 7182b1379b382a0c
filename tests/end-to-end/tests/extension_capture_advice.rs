//! What of captured executions is shown to whom, and what the advisor makes of them.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something unexpected happens"
)]

mod support;

use pitcrew_stack::{Postgres, checkout, require};
use support::Session;
use support::capture::{captured, fails, server, server_alone, watcher};

/// A role of the server that may log in, with a session of it.
fn role(postgres: &Postgres, watcher: &Session, name: &str, level: Option<&str>) -> Session {
    watcher.run(&format!(
        "CREATE ROLE {name} LOGIN; GRANT CREATE, USAGE ON SCHEMA public TO {name}"
    ));
    if let Some(level) = level {
        watcher.run(&format!("SELECT pitcrew.grant_access('{name}', '{level}')"));
    }
    Session::open(&postgres.socket_url(name, "shop"))
}

fn plan(watcher: &Session, part: &str) -> (bool, String) {
    let row = watcher.run(&format!(
        "SELECT planned, coalesce(cost::text, skipped_because) FROM pitcrew.workload() WHERE query LIKE '%{part}%'"
    ));
    assert_eq!(row.len(), 1, "{part}: {row:?}");
    (
        row[0][0].as_deref() == Some("t"),
        row[0][1].clone().unwrap(),
    )
}

#[test]
fn p9_values_and_literals_are_shown_to_their_own_user_alone() {
    require!(extension);
    let postgres = server(&[]);
    let watcher = watcher(&postgres);
    let alice = role(&postgres, &watcher, "alice", Some("reader"));
    let bob = role(&postgres, &watcher, "bob", Some("reader"));
    let eve = role(&postgres, &watcher, "eve", Some("reader"));
    let nobody = role(&postgres, &watcher, "nobody", None);
    watcher.run("GRANT pg_read_all_stats TO eve");
    alice.run("CREATE TABLE letters (id int, body text)");
    alice.run("SELECT id AS by_text FROM letters WHERE body = 'topsecret' /* a remark */");
    alice.prepared(
        "SELECT id AS by_value FROM letters WHERE body = $1",
        &[&"topsecret"],
    );
    fails(
        &alice,
        "SELECT count(*) AS by_error, 'topsecret' AS said FROM letters HAVING 1 / count(*) = 1",
    );
    let all = |session: &Session| {
        let rows = session
            // Spelled so that this question, which is captured too, is not among its own answers.
            .run("SELECT c::text FROM pitcrew.captured c WHERE query LIKE '%FROM lett' || 'ers%' ORDER BY id");
        rows.into_iter()
            .map(|row| row[0].clone().unwrap())
            .collect::<Vec<_>>()
    };
    let secrets = |rows: &[String]| rows.iter().filter(|row| row.contains("topsecret")).count();
    let own = all(&alice);
    assert_eq!((own.len(), secrets(&own)), (3, 3), "{own:?}");
    assert!(all(&bob).is_empty());
    assert_eq!(
        nobody.failure("SELECT * FROM pitcrew.captured").code,
        "42501"
    );
    assert_eq!(
        nobody.failure("SELECT pitcrew.capture_reset()").code,
        "42501"
    );
    assert_eq!(eve.failure("SELECT pitcrew.capture_reset()").code, "42501");
    for session in [&eve, &watcher] {
        let seen = all(session);
        assert_eq!((seen.len(), secrets(&seen)), (3, 0), "{seen:?}");
        assert!(!format!("{seen:?}").contains("remark"), "{seen:?}");
    }
    assert_eq!(
        captured(&eve, "by_text", "query, parameters IS NULL, user_name"),
        ["SELECT id AS by_text FROM letters WHERE body = ?,t,alice"]
    );
    // No other way in: advice, its evidence, its reasons, flips.
    watcher.run("ALTER TABLE letters RENAME COLUMN body TO text");
    for query in [
        "SELECT w::text FROM pitcrew.workload() w",
        "SELECT pitcrew.suggest_indexes_json()::text",
        "SELECT s::text FROM pitcrew.captured_statements s",
        "SELECT f::text FROM pitcrew.plan_flips f",
        "SELECT s::text FROM pitcrew.slow_queries s WHERE query LIKE '%letters%'",
    ] {
        for session in [&eve, &watcher] {
            let Ok(rows) = session.try_run(query) else {
                continue;
            };
            assert!(
                !format!("{rows:?}").contains("topsecret"),
                "{query}: {rows:?}"
            );
        }
    }
    // Only who may set it shows others' values, and only to who sees others' statements.
    assert_eq!(eve.failure("SET pitcrew.show_values = on").code, "42501");
    // One by one: ALTER SYSTEM runs in no transaction block.
    watcher.run("ALTER SYSTEM SET pitcrew.show_values = on");
    watcher.run("SELECT pg_reload_conf()");
    eve.until("SHOW pitcrew.show_values", "on");
    assert_eq!(secrets(&all(&eve)), 3);
    assert!(all(&bob).is_empty());
}

#[test]
fn values_are_kept_out_altogether_where_that_is_asked_for() {
    require!(extension);
    let postgres = server(&[
        ("pitcrew.capture_values", "off"),
        ("pitcrew.show_values", "on"),
    ]);
    let watcher = watcher(&postgres);
    let session = Session::open(&postgres.socket_url("postgres", "shop"));
    session.run("CREATE TABLE letters (id int, body text)");
    session.run("SELECT id FROM letters WHERE body = 'topsecret' AND id = 12345 -- topsecret");
    session.prepared("SELECT id FROM letters WHERE body = $1", &[&"topsecret"]);
    fails(
        &session,
        "SELECT 1 / (id - id), 'topsecret' FROM letters, generate_series(1, 1) HAVING 1 / (SELECT 0) = 1",
    );
    let seen = watcher.run(
        "SELECT query, parameters FROM pitcrew.captured WHERE query LIKE '%letters%' ORDER BY id",
    );
    let texts: Vec<_> = seen.iter().map(|row| row[0].as_deref().unwrap()).collect();
    assert_eq!(texts[0], "SELECT id FROM letters WHERE body = ? AND id = ?");
    assert_eq!(texts[1], "SELECT id FROM letters WHERE body = $1");
    assert!(seen.iter().all(|row| row[1].is_none()), "{seen:?}");
}

#[test]
fn p9_a_captured_value_is_in_no_definition_that_others_see() {
    require!(statements);
    let postgres = server(&[]);
    let watcher = watcher(&postgres);
    let ann = role(&postgres, &watcher, "ann", Some("reader"));
    let ben = role(&postgres, &watcher, "ben", Some("reader"));
    ann.run(
        "CREATE TABLE files (id int, state text, body text) WITH (autovacuum_enabled = off); \
         INSERT INTO files SELECT g, CASE WHEN g % 200 = 0 THEN 'secret state' ELSE 'other' END, 'body ' || g FROM generate_series(1, 40000) g; \
         ANALYZE files; GRANT SELECT ON files TO ben",
    );
    // Filling it is no part of the workload.
    watcher.run("GRANT pg_read_all_stats TO ben; SELECT pg_stat_statements_reset(), pitcrew.capture_reset()");
    for id in [20_000, 25_000, 30_000] {
        ann.run(&format!(
            "SELECT body FROM files WHERE state = 'secret state' AND id < {id}"
        ));
    }
    let asked = "SELECT coalesce(string_agg(ddl, ';'), 'nothing') FROM pitcrew.suggest_indexes()";
    let own = ann.text(asked);
    assert!(
        own.contains("WHERE (state = 'secret state'::text)"),
        "{own}"
    );
    // It is written down without: not even a superuser meets the value there.
    let kept = "SELECT string_agg(a::text, ';') FROM pitcrew.advice a WHERE a.ddl IS NULL AND a.job IS NULL";
    let without = watcher.text(kept);
    assert!(
        without.contains("files") && !without.contains("secret"),
        "{without}"
    );
    assert_eq!(
        watcher.text("SELECT string_agg(a::text, ';') LIKE '%secret%' FROM pitcrew.advice a"),
        "f"
    );
    let others = ben.text(asked);
    assert!(
        others.contains("files") && !others.contains("secret"),
        "{others}"
    );
    // What was built is known by its definition all the same.
    let built = own
        .split(';')
        .find(|ddl| ddl.contains("secret"))
        .unwrap()
        .replace("CONCURRENTLY ", "");
    ann.run(&built);
    watcher.run("SELECT pitcrew.refresh_advice()");
    assert_eq!(
        watcher.text(
            "SELECT string_agg(state, ',') FROM pitcrew.advice WHERE ddl IS NULL AND proposed_by = 'ann'::regrole"
        ),
        "applied"
    );
    // Of one execution nobody knows what the next one asks.
    watcher.run("SELECT pitcrew.capture_reset()");
    let name = ann
        .text("SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid = 'files'::regclass");
    ann.run(&format!("DROP INDEX {name}"));
    ann.run("SELECT body FROM files WHERE state = 'secret state' AND id < 20000");
    let own = ann.text(asked);
    assert!(!own.contains("secret"), "{own}");
}

#[test]
fn all_statements_of_tpch_plan_with_captured_values() {
    require!(statements);
    let postgres = server(&[]);
    let watcher = watcher(&postgres);
    let root = checkout().join("examples/demo/tpch");
    watcher.run(&std::fs::read_to_string(root.join("schema.sql")).unwrap());
    watcher.run("SELECT pg_stat_statements_reset()");
    let session = Session::open(&postgres.socket_url("postgres", "shop"));
    let mut files: Vec<_> = std::fs::read_dir(root.join("queries"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert_eq!(files.len(), 22);
    for file in &files {
        session.run(&std::fs::read_to_string(file).unwrap());
    }
    let left = watcher.run(
        "SELECT query, skipped_because FROM pitcrew.workload() WHERE query ILIKE '%lineitem%' OR query ILIKE '%part%' OR query ILIKE '%customer%' OR query ILIKE '%orders%'",
    );
    let (planned, skipped): (Vec<_>, Vec<_>) = left.iter().partition(|row| row[1].is_none());
    assert_eq!((planned.len(), skipped.len()), (22, 0), "{skipped:?}");
}

#[test]
fn capture_alone_is_a_workload() {
    require!(extension);
    let postgres = server_alone(&[]);
    let watcher = watcher(&postgres);
    let session = Session::open(&postgres.socket_url("postgres", "shop"));
    session.run(
        "SET pitcrew.capture = off; CREATE TABLE orders (id int PRIMARY KEY, customer int, note text) WITH (autovacuum_enabled = off); \
         INSERT INTO orders SELECT g, g % 5000, 'note ' || g FROM generate_series(1, 100000) g",
    );
    session.run("ANALYZE orders");
    session.run("RESET pitcrew.capture");
    watcher.run("SELECT pitcrew.capture_reset()");
    assert_eq!(
        watcher.failure("SELECT * FROM pitcrew.workload()").code,
        "55000"
    );
    for customer in 0..30 {
        session.run(&format!(
            "SELECT note FROM orders WHERE customer = {customer}"
        ));
    }
    let row = watcher.run(
        "SELECT query, calls, planned, total_ms > 0, round((mean_ms * calls - total_ms)::numeric, 6) = 0 FROM pitcrew.workload() \
         WHERE query LIKE '%customer%'",
    );
    let cells: Vec<_> = row[0].iter().map(|cell| cell.as_deref().unwrap()).collect();
    assert_eq!(
        cells,
        [
            "SELECT note FROM orders WHERE customer = ?",
            "30",
            "t",
            "t",
            "t"
        ]
    );
    let counts = watcher.run(
        "SELECT calls, failed, rows, blocks_hit + blocks_read > 0 FROM pitcrew.captured_statements WHERE query LIKE 'SELECT note%'",
    );
    let cells: Vec<_> = counts[0]
        .iter()
        .map(|cell| cell.as_deref().unwrap())
        .collect();
    assert_eq!(cells, ["30", "0", "600", "t"]);
    let advice = watcher.run(
        "SELECT columns::text, queryids IS NOT NULL, evidence::text FROM pitcrew.suggest_indexes()",
    );
    assert_eq!(advice[0][0].as_deref(), Some("{customer}"), "{advice:?}");
    assert!(
        advice[0][2].as_deref().unwrap().contains("customer = ?"),
        "{advice:?}"
    );
    // Other databases' statements are no part of it.
    assert!(watcher.number("SELECT count(*) FROM pitcrew.workload()") < 10.0);
}

#[test]
fn a_captured_text_is_planned_as_it_ran() {
    require!(statements);
    let postgres = server(&[]);
    let watcher = watcher(&postgres);
    let app = role(&postgres, &watcher, "app", None);
    watcher.run(
        "CREATE SCHEMA first; CREATE SCHEMA second; GRANT USAGE ON SCHEMA first, second TO app; \
         CREATE TABLE first.items (id int, kind int) WITH (autovacuum_enabled = off); \
         CREATE TABLE second.items (LIKE first.items) WITH (autovacuum_enabled = off); \
         INSERT INTO first.items SELECT g, CASE WHEN g <= 5 THEN g ELSE 100 END FROM generate_series(1, 50000) g; \
         CREATE INDEX ON first.items (kind); GRANT SELECT ON first.items, second.items TO app",
    );
    watcher.run("ANALYZE first.items");
    app.run("SET search_path = first");
    let explained = |kind: i32| {
        watcher.run("SET search_path = first");
        let plan = watcher.text(&format!(
            "EXPLAIN (FORMAT JSON) SELECT id FROM items WHERE kind = {kind}"
        ));
        watcher.run("RESET search_path");
        let plan: serde_json::Value = serde_json::from_str(&plan).unwrap();
        plan[0]["Plan"]["Total Cost"].as_f64().unwrap()
    };
    // The same statement costs what its values make of it, in the schema where it ran.
    for kind in [3, 100] {
        watcher.run("SELECT pitcrew.capture_reset()");
        app.prepared("SELECT id FROM items WHERE kind = $1", &[&kind]);
        let (planned, cost) = plan(&watcher, "kind = $1");
        assert!(planned, "{cost}");
        let cost: f64 = cost.parse().unwrap();
        assert!(
            (cost / explained(kind) - 1.0).abs() < 0.001,
            "{kind}: {cost}"
        );
    }
    assert!(explained(100) > 10.0 * explained(3));
    // "$user" is the user that ran it, and its settings for the planner hold.
    watcher.run("CREATE SCHEMA app AUTHORIZATION app; CREATE TABLE app.mine AS SELECT g AS id FROM generate_series(1, 10) g; GRANT SELECT ON app.mine TO app");
    watcher.run(
        "ALTER ROLE app SET enable_seqscan = off; ALTER ROLE app SET statement_timeout = '1h'",
    );
    app.run("SET search_path = \"$user\"");
    app.run("SELECT id AS from_mine FROM mine WHERE id = 4");
    let (planned, cost) = plan(&watcher, "from_mine");
    assert!(planned, "{cost}");
    // A disabled scan is as dear as that up to 17, and marked from 18 on.
    let cost: f64 = cost.parse().unwrap();
    let version = watcher.number("SELECT current_setting('server_version_num')::int / 10000");
    assert!(cost > 1e9 || version >= 18.0, "{cost}");
    assert_eq!(watcher.text("SHOW enable_seqscan"), "on");
    // Where no execution was captured the text is planned under what its user's sessions begin with.
    watcher.run("SELECT pitcrew.capture_reset()");
    let (planned, cost) = plan(&watcher, "from_mine");
    assert!(planned, "{cost}");
    watcher.run("ALTER ROLE app SET search_path = nowhere");
    let (planned, reason) = plan(&watcher, "from_mine");
    assert!(!planned && reason.contains("mine"), "{reason}");
}

#[test]
fn p11_a_captured_text_runs_nobody_s_code() {
    require!(statements);
    let postgres = server(&[]);
    let watcher = watcher(&postgres);
    let mallory = role(&postgres, &watcher, "mallory", None);
    watcher.run("CREATE SCHEMA lair AUTHORIZATION mallory");
    mallory.run(
        "CREATE SEQUENCE lair.traces; \
         CREATE FUNCTION lair.rise() RETURNS boolean LANGUAGE plpgsql VOLATILE AS \
         $$ BEGIN PERFORM nextval('lair.traces'); IF current_setting('is_superuser') = 'on' THEN ALTER ROLE mallory SUPERUSER; END IF; RETURN true; END $$; \
         CREATE FUNCTION lair.same(int, int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN lair.rise(); END $$; \
         CREATE OPERATOR lair.= (LEFTARG = int, RIGHTARG = int, FUNCTION = lair.same); \
         CREATE TABLE lair.numbers (id int); INSERT INTO lair.numbers SELECT generate_series(1, 100)",
    );
    // Innocent by its text; its own search path makes `=` another operator.
    mallory.run("SET search_path = lair, pg_catalog");
    mallory.run("SELECT id FROM numbers WHERE 1 = 2");
    mallory.prepared("SELECT id AS prepared FROM numbers WHERE 1 = $1", &[&2_i32]);
    mallory.run("ALTER SEQUENCE lair.traces RESTART");
    for part in ["SELECT id FROM numbers", "AS prepared"] {
        let (planned, reason) = plan(&watcher, part);
        assert!(!planned, "{part}");
        assert!(
            reason.contains("lair.same()") || reason.contains("numbers"),
            "{part}: {reason}"
        );
    }
    watcher.run("SELECT * FROM pitcrew.suggest_indexes(); SELECT * FROM pitcrew.captured");
    assert_eq!(
        watcher.text("SELECT rolsuper FROM pg_roles WHERE rolname = 'mallory'"),
        "f"
    );
    assert_eq!(watcher.text("SELECT is_called FROM lair.traces"), "f");
    assert_eq!(watcher.text("SHOW search_path"), "\"$user\", public");
}

#[test]
fn p11_a_trusted_function_that_looks_names_up_is_not_run_under_a_captured_path() {
    require!(statements);
    let postgres = server(&[]);
    let watcher = watcher(&postgres);
    watcher.run(
        "CREATE TABLE points (x int); INSERT INTO points SELECT generate_series(1, 100); GRANT SELECT ON points TO public; \
         CREATE FUNCTION public.helper(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1'; \
         CREATE FUNCTION public.looks(a int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN helper(a); END'; \
         CREATE FUNCTION public.keeps(a int) RETURNS int LANGUAGE plpgsql IMMUTABLE SET search_path = public, pg_temp AS 'BEGIN RETURN helper(a); END'; \
         CREATE SEQUENCE public.ran; GRANT ALL ON SEQUENCE public.ran TO public",
    );
    let mallory = role(&postgres, &watcher, "mallory", None);
    watcher.run("CREATE SCHEMA evil AUTHORIZATION mallory");
    mallory.run(
        "CREATE FUNCTION evil.helper(int) RETURNS int LANGUAGE plpgsql VOLATILE AS \
             'BEGIN IF current_user <> ''mallory'' THEN PERFORM nextval(''public.ran''); END IF; RETURN 5; END'",
    );
    mallory.run("SET search_path = evil, public");
    mallory.run("SELECT x AS looked FROM public.points WHERE x = public.looks(7)");
    mallory.run("SELECT x AS kept FROM public.points WHERE x = public.keeps(7)");
    watcher.run("SELECT * FROM pitcrew.suggest_indexes()");
    watcher.run("SELECT * FROM pitcrew.workload()");
    assert_eq!(watcher.text("SELECT is_called FROM public.ran"), "f");
    assert!(plan(&watcher, "AS kept").0);
}

#[test]
fn a_plan_that_flips_is_seen() {
    require!(extension);
    let postgres = server(&[]);
    let watcher = watcher(&postgres);
    let session = Session::open(&postgres.socket_url("postgres", "shop"));
    session.run(
        "CREATE TABLE items (id int, kind int) WITH (autovacuum_enabled = off); \
         INSERT INTO items SELECT g, g FROM generate_series(1, 100000) g; CREATE INDEX items_kind ON items (kind)",
    );
    session.run("ANALYZE items");
    session.run("SELECT id FROM items WHERE kind = 3");
    session.run("SELECT id FROM items WHERE kind = 4");
    let seen = "SELECT plan FROM pitcrew.seen_plans WHERE user_name = 'postgres' AND plan LIKE '%items%' ORDER BY first_at";
    assert_eq!(
        watcher.run(seen).last().unwrap()[0].as_deref(),
        Some("Index Scan using public.items_kind")
    );
    assert!(watcher.run("SELECT * FROM pitcrew.plan_flips").is_empty());
    let gone = session.text("SELECT 'items_kind'::regclass::oid");
    session.run("DROP INDEX items_kind");
    session.run("SELECT id FROM items WHERE kind = 5");
    let flips = watcher.run(
        "SELECT shapes, executions, round(times_slower::numeric, 3) > 1, user_name FROM pitcrew.plan_flips ORDER BY mean_ms DESC",
    );
    let flips: Vec<Vec<&str>> = flips
        .iter()
        .map(|row| row.iter().map(|cell| cell.as_deref().unwrap()).collect())
        .collect();
    assert_eq!(
        flips,
        [["2", "1", "t", "postgres"], ["2", "2", "f", "postgres"]]
    );
    assert_eq!(
        watcher
            .text("SELECT string_agg(plan, ' | ' ORDER BY mean_ms DESC) FROM pitcrew.plan_flips"),
        "Seq Scan on public.items | Index Scan on what is gone (OID 0)"
            .replace("OID 0", &format!("OID {gone}"))
    );
    watcher.text("SELECT pitcrew.capture_reset()");
    assert!(watcher.run(seen).is_empty());
}

#[test]
fn which_partitions_are_read_is_no_other_plan() {
    require!(extension);
    let postgres = server(&[]);
    let watcher = watcher(&postgres);
    let session = Session::open(&postgres.socket_url("postgres", "shop"));
    session.run(
        "CREATE TABLE days (day int, kind int) PARTITION BY RANGE (day); \
         CREATE TABLE one PARTITION OF days FOR VALUES FROM (0) TO (10); \
         CREATE TABLE two PARTITION OF days FOR VALUES FROM (10) TO (20); \
         CREATE TABLE three PARTITION OF days FOR VALUES FROM (20) TO (30); \
         INSERT INTO days SELECT g % 30, g FROM generate_series(1, 30000) g; CREATE INDEX days_kind ON days (kind)",
    );
    session.run("ANALYZE days");
    for upto in [5, 15, 25] {
        session.run(&format!(
            "SELECT count(*) FROM days WHERE day < {upto} AND kind = 77"
        ));
    }
    assert_eq!(
        watcher.run("SELECT plan, executions::text FROM pitcrew.seen_plans WHERE plan LIKE 'Aggregate%days%'"),
        [["Aggregate(Index Scan on public.days)", "3"].map(|cell| Some(cell.to_owned()))]
    );
}

#[test]
fn how_fast_statements_run_is_seen_without_their_values() {
    require!(extension);
    let postgres = server(&[("pitcrew.capture_min_duration", "1h")]);
    let watcher = watcher(&postgres);
    let session = Session::open(&postgres.socket_url("postgres", "shop"));
    session.run("CREATE TABLE items (id int PRIMARY KEY)");
    for id in 0..5 {
        session.run(&format!("SELECT id FROM items WHERE id = {id}"));
    }
    // One of them: the others came within ten seconds.
    assert_eq!(
        watcher.run("SELECT executions::text, query FROM pitcrew.seen_plans WHERE plan LIKE '%items_pkey' OR plan LIKE '%(Bitmap%'"),
        [[Some("1".to_owned()), None]]
    );
    assert!(watcher.run("SELECT * FROM pitcrew.captured").is_empty());
}
