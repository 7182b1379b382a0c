//! What each kind of job does to the database.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something unexpected happens"
)]

mod support;

use pitcrew_stack::sql::literal;
use pitcrew_stack::{require, testing};
use support::jobs::{INVALID_INDEXES, table};
use support::{Session, role};

fn command(session: &Session, job: &str) -> String {
    session.text(&format!(
        "SELECT command FROM pitcrew.jobs WHERE id = {job}"
    ))
}

/// A transaction of now, once everything older has ended: a snapshot in this database (the one that looks for the job's end,
/// say) holds back what VACUUM may freeze to the oldest transaction of the whole server.
fn past_older_transactions(session: &Session) -> String {
    let now = session.text("SELECT pg_current_xact_id()");
    session.until(
        &format!("SELECT pg_snapshot_xmin(pg_current_snapshot()) > '{now}'::xid8"),
        "t",
    );
    now
}

#[test]
fn every_option_of_vacuum_reaches_the_server() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    table(&session, "orders");
    // Other tests run on this server, so that an age says nothing: transactions of theirs make it.
    let before = past_older_transactions(&session);
    let job = session.submit(
        "'vacuum', 'orders', '{\"freeze\": true, \"analyze\": true, \"parallel\": 1, \"index_cleanup\": false}'",
    );
    session.done(&job);
    assert_eq!(
        command(&session, &job),
        "VACUUM (FREEZE, ANALYZE, PARALLEL 1, INDEX_CLEANUP OFF) public.orders"
    );
    assert_eq!(
        session.text(&format!(
            "SELECT age(relfrozenxid) <= age('{before}'::xid) FROM pg_class WHERE relname = 'orders'"
        )),
        "t"
    );
}

#[test]
fn before_and_after_tell_what_a_job_changed() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    table(&session, "orders");
    session.run("ANALYZE orders");
    let job = session.submit("'vacuum', 'orders', '{\"full\": true}'");
    session.done(&job);
    assert_eq!(
        session.text(&format!(
            "SELECT (before->>'bytes')::bigint > (after->>'bytes')::bigint AND (before->>'bloat_bytes')::bigint > 0 \
             AND duration = finished_at - started_at AND attempts = 1 FROM pitcrew.jobs WHERE id = {job}"
        )),
        "t"
    );
    table(&session, "more");
    // What the session has not told yet is taken off what ANALYZE tells.
    session.run("SELECT pg_stat_force_next_flush()");
    session.run("ANALYZE more");
    let vacuumed = || {
        let job = session.submit("'vacuum', 'more'");
        session.done(&job);
        session.text(&format!(
            "SELECT (before->>'dead_rows') || ' ' || (after->>'dead_rows') FROM pitcrew.jobs WHERE id = {job}"
        ))
    };
    // While anybody's snapshot may see them, the coordinator's even, they stay.
    let counted = (0..20)
        .map(|_| vacuumed())
        .find(|counted| counted != "1666 1666");
    assert_eq!(counted.as_deref(), Some("1666 0"));
}

#[test]
fn reindex_builds_an_index_or_all_of_a_table_anew() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    table(&session, "orders");
    session.run("CREATE INDEX one ON orders (id); CREATE INDEX two ON orders (filler)");
    let file =
        |name: &str| session.text(&format!("SELECT pg_relation_filenode('{name}'::regclass)"));
    let (one, two) = (file("one"), file("two"));
    let job = session.submit("'reindex', 'one'");
    session.done(&job);
    assert_eq!(
        command(&session, &job),
        "REINDEX INDEX CONCURRENTLY public.one"
    );
    assert_ne!(file("one"), one);
    assert_eq!(file("two"), two);
    let job = session.submit("'reindex', 'orders'");
    session.done(&job);
    assert_ne!(file("two"), two);
    assert_eq!(session.text(INVALID_INDEXES), "0");
}

#[test]
fn p6_a_cancelled_reindex_leaves_the_old_index_and_nothing_invalid() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    table(&session, "orders");
    session.run("CREATE INDEX one ON orders (id); CREATE TABLE other (id int)");
    // Somebody else's left-over of an earlier day: not ours.
    session.run("CREATE INDEX one_ccnew ON orders (filler); UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'one_ccnew'::regclass");
    let old = Session::open(&database.url);
    old.run("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT * FROM other");
    let job = session.submit("'reindex', 'one'");
    session.until(INVALID_INDEXES, "2");
    session.text(&format!("SELECT pitcrew.cancel_job({job})"));
    let ended = session.ended(&job);
    assert_eq!(ended.0, "cancelled", "{ended:?}");
    old.run("ROLLBACK");
    assert_eq!(
        session.run("SELECT x.relname::text, i.indisvalid FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid \
                     WHERE i.indrelid = 'orders'::regclass ORDER BY 1"),
        [
            [Some("one".to_owned()), Some("t".to_owned())],
            [Some("one_ccnew".to_owned()), Some("f".to_owned())]
        ]
    );
}

#[test]
fn an_index_of_a_partitioned_table_is_built_part_by_part() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    session.run(
        "CREATE TABLE parts (id int, day int) PARTITION BY RANGE (id); \
         CREATE TABLE low PARTITION OF parts FOR VALUES FROM (0) TO (100); \
         CREATE TABLE high PARTITION OF parts FOR VALUES FROM (100) TO (200) PARTITION BY RANGE (day); \
         CREATE TABLE high1 PARTITION OF high FOR VALUES FROM (0) TO (10); \
         CREATE TABLE high2 PARTITION OF high FOR VALUES FROM (10) TO (20); \
         INSERT INTO parts SELECT g, g % 20 FROM generate_series(0, 199) g",
    );
    let job = session
        .submit("'create_index', 'parts', '{\"columns\": [\"day\"], \"name\": \"parts_by_day\"}'");
    session.done(&job);
    assert_eq!(session.text(INVALID_INDEXES), "0");
    assert_eq!(
        session.text("SELECT count(*) FROM pg_partition_tree('parts_by_day')"),
        "5"
    );
    assert_eq!(
        session.text(&format!("SELECT index_oid = 'parts_by_day'::regclass AND command LIKE 'ALTER INDEX%' FROM pitcrew.jobs WHERE id = {job}")),
        "t"
    );
}

#[test]
fn an_index_of_any_kind_is_built_from_its_definition_on_partitions_too() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    session.run(
        "CREATE TABLE \"a\"\"b\" (id int, tags text[], mail text); \
         CREATE TABLE parts (id int, mail text) PARTITION BY RANGE (id); \
         CREATE TABLE low PARTITION OF parts FOR VALUES FROM (0) TO (100)",
    );
    let built = |target: &str, definition: &str| {
        let options = serde_json::json!({ "definition": definition }).to_string();
        let job = session.submit(&format!(
            "'create_index', {}, {}",
            literal(target),
            literal(&options)
        ));
        session.done(&job);
        session.text(&format!(
            "SELECT pg_get_indexdef(index_oid) FROM pitcrew.jobs WHERE id = {job}"
        ))
    };
    assert!(
        built(
            "\"a\"\"b\"",
            "USING gin (tags) WHERE id > 0 -- ; that is all"
        )
        .ends_with("USING gin (tags) WHERE (id > 0)")
    );
    assert!(
        built(
            "\"a\"\"b\"",
            "(lower(mail) text_pattern_ops DESC, id) INCLUDE (tags) WITH (fillfactor = 70)"
        )
        .contains("USING btree (lower(mail) text_pattern_ops DESC, id) INCLUDE (tags)")
    );
    built("parts", "(lower(mail)) WHERE mail IS NOT NULL");
    assert_eq!(
        session.text("SELECT pg_get_indexdef(indexrelid) LIKE '%(lower(mail)) WHERE (mail IS NOT NULL)' FROM pg_index WHERE indrelid = 'low'::regclass"),
        "t"
    );
    assert_eq!(session.text(INVALID_INDEXES), "0");
}

#[test]
fn p1_a_definition_is_the_rest_of_one_statement_on_the_target_and_nothing_else() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    session.run("CREATE SCHEMA t; CREATE TABLE t (id int); CREATE TABLE t.x (id int)");
    for (definition, state) in [
        ("(id); DROP TABLE t", "22023"),
        (".x (id)", "22023"),
        ("", "42601"),
        ("(id", "42601"),
        ("(nothing)", "42703"),
        ("((id + random()))", "42P17"),
        ("((count(*)))", "42803"),
        ("USING nothing (id)", "42704"),
    ] {
        let options = serde_json::json!({ "definition": definition }).to_string();
        let arguments = format!("'create_index', 'public.t', {}", literal(&options));
        for function in ["submit_job", "dry_run"] {
            let refused = session.failure(&format!("SELECT pitcrew.{function}({arguments})"));
            assert_eq!(refused.code, state, "{function} {definition}: {refused:?}");
        }
    }
    assert_eq!(session.text("SELECT count(*) FROM pitcrew.jobs"), "0");
}

#[test]
fn p11_reading_a_definition_runs_its_functions_as_the_tables_owner() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    let mallory = role(&session, "mallory", None);
    session.run(&format!(
        "GRANT CREATE ON SCHEMA public TO {mallory}; SET ROLE {mallory}; \
         CREATE FUNCTION boom() RETURNS int LANGUAGE plpgsql AS \
             'BEGIN IF (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN ALTER ROLE {mallory} SUPERUSER; END IF; RETURN 1; END'; \
         CREATE FUNCTION norm(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN PERFORM public.boom(); RETURN $1; END'; \
         CREATE TABLE m (a int); RESET ROLE"
    ));
    for definition in ["((a + public.norm(42)))", "(a) WHERE a > public.norm(42)"] {
        let options = literal(&serde_json::json!({ "definition": definition }).to_string());
        session.run(&format!(
            "SELECT pitcrew.dry_run('create_index', 'm', {options})"
        ));
        let job = session.submit(&format!("'create_index', 'm', {options}"));
        session.done(&job);
    }
    assert_eq!(
        session.text(&format!(
            "SELECT rolsuper FROM pg_roles WHERE rolname = '{mallory}'"
        )),
        "f"
    );
}

#[test]
fn p6_a_partitioned_build_that_fails_leaves_no_part() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    session.run(
        "CREATE TABLE parts (id int) PARTITION BY RANGE (id); \
         CREATE TABLE low PARTITION OF parts FOR VALUES FROM (0) TO (100); \
         CREATE TABLE high PARTITION OF parts FOR VALUES FROM (100) TO (200); CREATE TABLE other (id int)",
    );
    let holder = Session::open(&database.url);
    // The first part is built and attached; the second waits.
    holder.run("BEGIN; LOCK TABLE high IN ROW EXCLUSIVE MODE");
    let job = session.submit("'create_index', 'parts', '{\"columns\": [\"id\"]}'");
    session.until(
        &format!("SELECT state FROM pitcrew.jobs WHERE id = {job} AND progress->>'step' = '4'"),
        "waiting_for_lock",
    );
    session.text(&format!("SELECT pitcrew.cancel_job({job})"));
    // Its worker was told before the lock is free.
    session.until("SELECT count(*) FROM pitcrew.job_cancel_requests", "0");
    holder.run("ROLLBACK");
    let ended = session.ended(&job);
    assert_eq!(ended.0, "cancelled", "{ended:?}");
    assert_eq!(
        session.text("SELECT count(*) FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid WHERE c.relname IN ('parts', 'low', 'high')"),
        "0"
    );
}

#[test]
fn indexes_that_partitions_have_become_parts_of_the_whole_all_or_none() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    session.run(
        "CREATE TABLE parts (id int, day int) PARTITION BY RANGE (id); \
         CREATE TABLE low PARTITION OF parts FOR VALUES FROM (0) TO (100); \
         CREATE TABLE high PARTITION OF parts FOR VALUES FROM (100) TO (200) PARTITION BY RANGE (day); \
         CREATE TABLE high1 PARTITION OF high FOR VALUES FROM (0) TO (10); \
         CREATE TABLE high2 (day int, id int); ALTER TABLE high ATTACH PARTITION high2 FOR VALUES FROM (10) TO (20); \
         CREATE TABLE top PARTITION OF parts FOR VALUES FROM (200) TO (300) PARTITION BY RANGE (day); \
         CREATE TABLE top1 PARTITION OF top FOR VALUES FROM (0) TO (10); \
         INSERT INTO parts SELECT g, g % 10 FROM generate_series(0, 299) g; \
         CREATE INDEX \"low's; $$\" ON low (day) WITH (fillfactor = 70); CREATE INDEX there2 ON high2 (day); CREATE INDEX there_top ON top (day); \
         CREATE INDEX other1 ON high1 (day DESC); CREATE UNIQUE INDEX other2 ON high1 (day, id)",
    );
    let there = "SELECT string_agg(c.relname, ' ' ORDER BY c.relname) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid \
                 WHERE i.indrelid = ANY (ARRAY(SELECT relid FROM pg_partition_tree('parts')))";
    let before = session.text(there);
    let build = "'create_index', 'parts', '{\"columns\": [\"day\"], \"name\": \"parts_by_day\"}'";
    // The last step waits for one of them, and the job is cancelled: theirs are there as they were.
    let holder = Session::open(&database.url);
    holder.run("BEGIN");
    holder.run("SELECT * FROM low WHERE day = 1");
    let job = session.submit(build);
    session.until(
        &format!("SELECT state FROM pitcrew.jobs WHERE id = {job} AND command LIKE 'DO %'"),
        "waiting_for_lock",
    );
    session.text(&format!("SELECT pitcrew.cancel_job({job})"));
    session.until("SELECT count(*) FROM pitcrew.job_cancel_requests", "0");
    holder.run("ROLLBACK");
    let ended = session.ended(&job);
    assert_eq!(ended.0, "cancelled", "{ended:?}");
    assert_eq!(session.text(there), before);
    assert_eq!(session.text("SELECT count(*) FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE c.relname LIKE 'there2' OR c.relname LIKE 'low''s%'"), "0");
    let job = session.submit(build);
    session.done(&job);
    assert_eq!(session.text(INVALID_INDEXES), "0");
    assert_eq!(
        session.text(
            "SELECT string_agg(p.relid::text, ' ' ORDER BY p.relid::text COLLATE \"C\") FROM pg_partition_tree('parts_by_day') p"
        ),
        "\"low's; $$\" high1_day_idx high_day_idx parts_by_day there2 there_top top1_day_idx"
    );
}

#[test]
fn p6_a_job_drops_only_the_index_that_a_finished_job_made() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    table(&session, "orders");
    session.run("CREATE INDEX theirs ON orders (filler)");
    let refused = session.failure("SELECT pitcrew.submit_job('drop_index', 'theirs')");
    assert_eq!(refused.code, "55000", "{refused:?}");
    let build = |name: &str| {
        let job = session.submit(&format!(
            "'create_index', 'orders', '{{\"columns\": [\"id\"], \"name\": \"{name}\"}}'"
        ));
        session.done(&job);
    };
    build("ours");
    let drop = session.submit("'drop_index', 'ours'");
    session.done(&drop);
    assert_eq!(
        command(&session, &drop),
        "DROP INDEX CONCURRENTLY public.ours"
    );
    assert_eq!(session.text("SELECT to_regclass('ours') IS NULL"), "t");
    // One that is needed by now, and one that is not any more what the job made.
    build("identity");
    session.run("ALTER TABLE orders ALTER id SET NOT NULL; DROP INDEX identity; CREATE UNIQUE INDEX identity ON orders (id)");
    let refused = session.failure("SELECT pitcrew.submit_job('drop_index', 'identity')");
    assert_eq!(refused.code, "55000", "{refused:?}");
    build("renamed");
    session.run("ALTER INDEX renamed RENAME TO something_else");
    let refused = session.failure("SELECT pitcrew.submit_job('drop_index', 'something_else')");
    assert!(
        refused.message.contains("not any more what job"),
        "{refused:?}"
    );
}

#[test]
fn a_materialized_view_is_refreshed_concurrently_or_not() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    session.run(
        "CREATE TABLE orders (id int); CREATE MATERIALIZED VIEW totals AS SELECT count(*) AS n FROM orders; \
         INSERT INTO orders VALUES (1)",
    );
    // Without a unique index the server refuses, and says what to do.
    let job = session.submit("'refresh_matview', 'totals'");
    assert_eq!(session.ended(&job).1, "55000");
    assert!(
        session
            .text(&format!("SELECT hint FROM pitcrew.jobs WHERE id = {job}"))
            .contains("unique index")
    );
    let job = session.submit("'refresh_matview', 'totals', '{\"concurrently\": false}'");
    session.done(&job);
    assert_eq!(session.text("SELECT n FROM totals"), "1");
    session.run("CREATE UNIQUE INDEX ON totals (n); INSERT INTO orders VALUES (2)");
    let job = session.submit("'refresh_matview', 'totals'");
    session.done(&job);
    assert_eq!(session.text("SELECT n FROM totals"), "2");
}

#[test]
fn jobs_over_many_choose_what_needs_them_and_what_the_role_may_touch() {
    require!(extension);
    let database = testing::database();
    let admin = Session::open(&database.url);
    let alice = role(&admin, "alice", Some("operator"));
    table(&admin, "theirs");
    let session = Session::open(&database.url_as(&alice));
    table(&session, "hers");
    session.run("CREATE TABLE calm (id int) WITH (autovacuum_enabled = off)");
    // The counts of a session arrive when it is idle, or when it asks for it.
    session.run("SELECT pg_stat_force_next_flush()");
    admin.run("SELECT pg_stat_force_next_flush()");
    for (kind, changed) in [
        ("analyze_all_stale", "last_analyze"),
        ("vacuum_due", "last_vacuum"),
    ] {
        let job = session.submit(&format!("'{kind}'"));
        session.done(&job);
        assert_eq!(
            session.run(&format!(
                "SELECT relname::text FROM pg_stat_user_tables WHERE schemaname = 'public' AND {changed} IS NOT NULL"
            )),
            [[Some("hers".to_owned())]],
            "{kind}"
        );
    }
}

#[test]
fn bloated_indexes_are_rebuilt_and_invalid_ones_repaired() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    table(&session, "orders");
    session.run(
        "CREATE INDEX bloated ON orders (id); CREATE INDEX broken ON orders (filler); \
         UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'broken'::regclass; \
         DELETE FROM orders WHERE id > 100",
    );
    session.run("VACUUM ANALYZE orders");
    let size = "SELECT pg_relation_size('bloated')";
    let before = session.number(size);
    let job =
        session.submit("'rebuild_bloated_indexes', NULL, '{\"min_size_mb\": 0, \"limit\": 5}'");
    session.done(&job);
    assert!(session.number(size) < before);
    let job = session.submit("'repair_invalid_indexes'");
    session.done(&job);
    assert_eq!(session.text(INVALID_INDEXES), "0");
}

#[test]
fn the_oldest_tables_are_frozen() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    table(&session, "orders");
    session.run(&format!(
        "ALTER DATABASE {} SET vacuum_freeze_min_age = 0",
        database.name
    ));
    let before = session.number("SELECT relfrozenxid::text FROM pg_class WHERE relname = 'orders'");
    past_older_transactions(&session);
    let job = session.submit("'freeze_oldest', NULL, '{\"limit\": 1000}'");
    session.done(&job);
    assert!(
        session.number("SELECT relfrozenxid::text FROM pg_class WHERE relname = 'orders'") > before
    );
}

#[test]
fn statistics_are_kept_from_now_on_and_collected_at_once() {
    require!(extension);
    let database = testing::database();
    let admin = Session::open(&database.url);
    let alice = role(&admin, "alice", Some("operator"));
    let session = Session::open(&database.url_as(&alice));
    session.run(
        "CREATE TABLE \"It's\" (city int, zip int, \"Land\" text, spot point); \
         INSERT INTO \"It's\" SELECT g % 100, g % 100, g, point(g, g) FROM generate_series(1, 2000) g",
    );
    let target =
        "'statistics', '\"It''s\"', '{\"columns\": [\"city\", \"Land\"], \"target\": 500}'";
    let together = "'statistics', '\"It''s\"', '{\"columns\": [\"zip\", \"city\"], \"kinds\": [\"dependencies\", \"ndistinct\"]}'";
    let steps = |job: &str| {
        let rows = session.run(&format!(
            "SELECT command FROM pitcrew.dry_run({job}) ORDER BY step"
        ));
        rows.into_iter()
            .map(|mut row| row.remove(0).unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        steps(target),
        [
            "ALTER TABLE public.\"It's\" ALTER COLUMN \"Land\" SET STATISTICS 500, ALTER COLUMN city SET STATISTICS 500",
            "ANALYZE public.\"It's\" (\"Land\", city)"
        ]
    );
    assert_eq!(
        steps(together),
        [
            "CREATE STATISTICS public.\"It's_city_zip_stat\" (ndistinct, dependencies) ON city, zip FROM public.\"It's\"",
            "ANALYZE public.\"It's\" (city, zip)"
        ]
    );
    assert_eq!(
        session.text(&format!("SELECT string_agg(DISTINCT split_part(lock, ':', 1), '|') FROM pitcrew.dry_run({together})")),
        "SHARE UPDATE EXCLUSIVE"
    );
    // Nothing was done by looking.
    let objects = "SELECT count(*) FROM pg_statistic_ext";
    assert_eq!(session.text(objects), "0");
    let job = session.submit(target);
    session.done(&job);
    assert_eq!(
        session.text("SELECT string_agg(attname || ' ' || attstattarget, ',' ORDER BY attname) FROM pg_attribute WHERE attrelid = '\"It''s\"'::regclass AND attnum > 0 AND attstattarget > 0"),
        "Land 500,city 500"
    );
    // Of the columns that it names, and of no others.
    let analyzed =
        "SELECT string_agg(attname, ',' ORDER BY attname) FROM pg_stats WHERE tablename = 'It''s'";
    assert_eq!(session.text(analyzed), "Land,city");
    let job = session.submit(together);
    session.done(&job);
    assert_eq!(session.text(analyzed), "Land,city,zip");
    let collected = "SELECT statistics_name || ' ' || statistics_owner || ' ' || (n_distinct IS NOT NULL) || ' ' || (dependencies IS NOT NULL) FROM pg_stats_ext";
    assert_eq!(
        session.text(collected),
        format!("It's_city_zip_stat {alice} true true")
    );
    // Done again it analyzes and makes no second object, whatever its name and the order of its columns.
    for again in [
        together,
        "'statistics', '\"It''s\"', '{\"columns\": [\"city\", \"zip\"], \"kinds\": [\"ndistinct\"], \"name\": \"other\"}'",
    ] {
        assert_eq!(steps(again), ["ANALYZE public.\"It's\" (city, zip)"]);
        let job = session.submit(again);
        session.done(&job);
        assert_eq!(session.text(objects), "1");
    }
    // Another kind of the same columns is another object, beside it.
    let more = together.replace("[\"dependencies\", \"ndistinct\"]", "[\"mcv\"]");
    let job = session.submit(&more);
    session.done(&job);
    assert_eq!(
        session.text("SELECT string_agg(stxname, ',' ORDER BY stxname) FROM pg_statistic_ext"),
        "It's_city_zip_stat,It's_city_zip_stat1"
    );
    // The default comes back.
    let job =
        session.submit("'statistics', '\"It''s\"', '{\"columns\": [\"city\"], \"target\": -1}'");
    session.done(&job);
    assert_eq!(
        session.text("SELECT coalesce(nullif(attstattarget, -1)::text, 'default') FROM pg_attribute WHERE attrelid = '\"It''s\"'::regclass AND attname = 'city'"),
        "default"
    );
    for (options, code, said) in [
        (
            "{\"columns\": [\"town\"], \"target\": 1}",
            "42703",
            "column town of relation",
        ),
        (
            "{\"columns\": [\"city\", \"spot\"], \"kinds\": [\"mcv\"]}",
            "0A000",
            "spot has a type without an order",
        ),
        (
            "{\"columns\": [\"city\", \"Land\"], \"kinds\": [\"mcv\"], \"name\": \"It''s_city_zip_stat\"}",
            "42710",
            "already exists",
        ),
        (
            "{\"columns\": [\"city\"]}",
            "22023",
            "either \"target\" or \"kinds\"",
        ),
    ] {
        let call = format!("('statistics', '\"It''s\"', '{options}')");
        for function in ["submit_job", "dry_run"] {
            let refused = session.failure(&format!("SELECT pitcrew.{function}{call}"));
            assert_eq!(refused.code, code, "{options}: {refused:?}");
            assert!(refused.message.contains(said), "{options}: {refused:?}");
        }
    }
    // It is the owner's to have.
    let bob = role(&admin, "bob", Some("operator"));
    let his = Session::open(&database.url_as(&bob));
    let refused = his.failure(&format!("SELECT pitcrew.submit_job({target})"));
    assert_eq!(refused.code, "42501", "{refused:?}");
}
