//! What a tick keeps, and what is read out of it.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something unexpected happens"
)]

mod support;

use pitcrew_stack::{require, testing};
use support::history::{NEGATIVE, calls, gaps, queryid, sample};
use support::{Session, role, server};

#[test]
fn a_statement_s_trend_has_its_calls_tick_by_tick() {
    require!(statements);
    let database = testing::database();
    let session = Session::open(&database.url);
    let run = |times: usize| {
        for number in 0..times {
            session.run(&format!("SELECT 'trend' || {number}"));
        }
    };
    run(2);
    let first = sample(&session);
    assert_eq!(gaps(&session, first), "first");
    run(3);
    let second = sample(&session);
    let idle = sample(&session);
    run(5);
    let third = sample(&session);
    let id = queryid(&session, "SELECT $1 || $2");
    // What was counted before the first tick may be years old.
    let counted = [first, second, idle, third].map(|tick| calls(&session, &id, tick));
    assert_eq!(counted, [0, 3, 0, 5]);
    let row = &session.run(&format!(
        "SELECT calls_per_second > 0, mean_ms > 0, rows, gaps = '{{}}', began < at FROM pitcrew.query_trend({id}) ORDER BY at DESC LIMIT 1"
    ))[0];
    let row: Vec<_> = row.iter().map(|cell| cell.as_deref().unwrap()).collect();
    assert_eq!(row, ["t", "t", "5", "t", "t"]);
    // A statement that was not there before counts from its first call.
    session.run("SELECT 'new', 'statement'");
    let fourth = sample(&session);
    let new = queryid(&session, "SELECT $1, $2");
    assert_eq!(calls(&session, &new, fourth), 1);
    assert_eq!(session.text(NEGATIVE), "0");
    // The sampler's own statements are no workload.
    assert_eq!(
        session.text("SELECT count(*) FROM pg_stat_statements WHERE query LIKE '%pitcrew.history_objects o ON%'"),
        "0"
    );
    assert!(
        session
            .run("SELECT * FROM pitcrew.query_trend(1)")
            .is_empty()
    );
}

#[test]
fn tables_and_indexes_grow_and_hostile_names_are_only_names() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    let names = [
        "a\"b",
        "Select",
        "a;drop table x",
        "tab.le",
        "50%",
        "'quoted'",
        "größe",
        &"n".repeat(63),
    ];
    let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    session.run("CREATE SCHEMA \"s.\"\"x\"");
    for name in names {
        session.run(&format!(
            "CREATE TABLE \"s.\"\"x\".{0} (id int, filler text) WITH (autovacuum_enabled = off); CREATE INDEX ON \"s.\"\"x\".{0} (id)",
            quoted(name)
        ));
    }
    sample(&session);
    for name in names {
        session.run(&format!(
            "INSERT INTO \"s.\"\"x\".{} SELECT g, repeat('x', 500) FROM generate_series(1, 1000) g",
            quoted(name)
        ));
    }
    sample(&session);
    for name in names {
        let row = &session.run(&format!(
            "SELECT grown_bytes >= 500000, grown_bytes = bytes - bytes_before, inserted, live_rows, bytes_per_day IS NULL FROM pitcrew.table_growth() \
             WHERE object = quote_ident('s.\"x') || '.' || quote_ident($n${name}$n$) AND kind = 'table'"
        ))[0];
        let row: Vec<_> = row.iter().map(|cell| cell.as_deref().unwrap()).collect();
        assert_eq!(row, ["t", "t", "1000", "1000", "t"], "{name}");
    }
    assert_eq!(
        session.number(
            "SELECT count(*) FROM pitcrew.table_growth() WHERE kind = 'index' AND grown_bytes > 0"
        ),
        names.len() as f64
    );
    // What is dropped leaves the list and is told; an index that nobody can use any more too.
    session.run("UPDATE pg_index SET indisvalid = false WHERE indexrelid = '\"s.\"\"x\".\"Select_id_idx\"'::regclass");
    session.run(&format!(
        "DROP INDEX \"s.\"\"x\".{}; ALTER TABLE \"s.\"\"x\".{} RENAME TO after",
        quoted("a\"b_id_idx"),
        quoted("50%")
    ));
    let last = sample(&session);
    let told = session.run(
        "SELECT event, object, parent, new FROM pitcrew.history_events WHERE event NOT LIKE '%created' ORDER BY event",
    );
    let told: Vec<Vec<_>> = told
        .iter()
        .map(|row| row.iter().map(|cell| cell.as_deref()).collect())
        .collect();
    assert_eq!(
        told,
        [
            [
                Some("index dropped"),
                Some("\"s.\"\"x\".\"a\"\"b_id_idx\""),
                Some("\"s.\"\"x\".\"a\"\"b\""),
                None
            ],
            [
                Some("index invalid"),
                Some("\"s.\"\"x\".\"Select_id_idx\""),
                Some("\"s.\"\"x\".\"Select\""),
                Some("CREATE INDEX \"Select_id_idx\" ON \"s.\"\"x\".\"Select\" USING btree (id)")
            ],
            [
                Some("table renamed"),
                Some("\"s.\"\"x\".\"50%\""),
                None,
                Some("\"s.\"\"x\".after")
            ]
        ]
    );
    // What it counted under its old name is not counted again.
    assert_eq!(
        session.text(&format!(
            "SELECT coalesce(sum(s.numbers[3 * cardinality(s.objects) + array_position(s.objects, o.id)]), 0) \
             FROM pitcrew.history_samples s, pitcrew.history_objects o WHERE s.tick = {last} AND s.kind = 'r' AND o.key LIKE '%.after'"
        )),
        "0"
    );
}

#[test]
fn a_table_that_took_another_s_name_begins_anew() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    let fill = |name: &str, rows: u32| {
        session.run(&format!(
            "INSERT INTO {name} SELECT g, repeat('x', 500) FROM generate_series(1, {rows}) g"
        ));
    };
    session.run("CREATE TABLE made (id int, filler text); CREATE TABLE swapped (id int, filler text); CREATE TABLE swapped_new (id int, filler text)");
    for name in ["made", "swapped"] {
        fill(name, 4000);
    }
    sample(&session);
    session.run(
        "DROP TABLE made; CREATE TABLE made (id int, filler text); \
         ALTER TABLE swapped RENAME TO swapped_old; ALTER TABLE swapped_new RENAME TO swapped",
    );
    for _ in 0..3 {
        for name in ["made", "swapped"] {
            fill(name, 1000);
        }
        sample(&session);
    }
    // What the others took is no size of theirs. The tick of the change tells of the renamed one what it did under its old name.
    let grown = session.run(
        "SELECT object, grown_bytes BETWEEN 400000 AND 1200000 AND bytes < 2000000, inserted FROM pitcrew.table_growth() \
         WHERE object IN ('public.made', 'public.swapped') ORDER BY object",
    );
    let grown: Vec<Vec<_>> = grown
        .iter()
        .map(|row| row.iter().map(|cell| cell.as_deref().unwrap()).collect())
        .collect();
    assert_eq!(
        grown,
        [
            ["public.made", "t", "3000"],
            ["public.swapped", "t", "2000"]
        ]
    );
    // Of no time at all, or of all, no rate is made up.
    session.run("SELECT * FROM pitcrew.table_growth('-infinity')");
    assert_eq!(
        session.text("SELECT count(*) FROM pitcrew.table_growth('infinity')"),
        "0"
    );
}

#[test]
fn a_table_under_an_exclusive_lock_stops_no_tick() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    session.run("CREATE TABLE held (id int)");
    let holder = Session::open(&database.url);
    holder.run("BEGIN; LOCK TABLE held IN ACCESS EXCLUSIVE MODE");
    sample(&session);
    holder.run("ROLLBACK");
    // Its size was not taken, so it is not there yet.
    let growth = "SELECT count(*) FROM pitcrew.table_growth() WHERE object = 'public.held'";
    assert_eq!(session.text(growth), "0");
    session.run("INSERT INTO held VALUES (1)");
    sample(&session);
    assert_eq!(session.text(growth), "1");
}

#[test]
fn settings_that_changed_are_told_and_secrets_are_not() {
    require!(extension);
    let postgres = server(&[]);
    let session = Session::open(&postgres.url("shop"));
    session.run("CREATE ROLE app; CREATE ROLE other");
    sample(&session);
    assert_eq!(
        session.text("SELECT count(*) FROM pitcrew.settings_changes()"),
        "0"
    );
    session.run("ALTER SYSTEM SET work_mem = '12MB'");
    session.run("ALTER SYSTEM SET primary_conninfo = 'host=x password=hunter2'");
    session.run("ALTER DATABASE shop SET random_page_cost = 1.5");
    session.run(
        "ALTER ROLE app SET statement_timeout = '5s'; ALTER ROLE other SET my.token = 'hunter2'",
    );
    session.run("SELECT pg_reload_conf()");
    session.until("SHOW work_mem", "12MB");
    // What a session says for itself is no change.
    session.run("SET work_mem = '99MB'");
    sample(&session);
    let changes = |session: &Session| -> Vec<Vec<String>> {
        session
            .run("SELECT setting, coalesce(old_value, '-'), coalesce(new_value, '-') FROM pitcrew.settings_changes() ORDER BY at, setting")
            .into_iter()
            .map(|row| row.into_iter().map(Option::unwrap).collect())
            .collect()
    };
    let expected = [
        ["random_page_cost in this database", "-", "1.5"],
        ["statement_timeout for role app", "-", "5s"],
        ["work_mem", "4MB", "12MB"],
    ];
    assert_eq!(changes(&session), expected);
    session.run("ALTER ROLE app RESET statement_timeout");
    sample(&session);
    assert_eq!(
        changes(&session)[3..],
        [["statement_timeout for role app", "5s", "-"]]
    );
    for table in ["history_events", "history_objects"] {
        assert_eq!(
            session.text(&format!(
                "SELECT count(*) FROM pitcrew.{table} h WHERE h::text LIKE '%hunter2%'"
            )),
            "0"
        );
    }
}

#[test]
fn what_sessions_wait_for_is_sampled_without_a_database() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    session.run("CREATE TABLE held (id int)");
    let holder = Session::open(&database.url);
    holder.run("BEGIN; LOCK TABLE held IN ACCESS EXCLUSIVE MODE");
    let pid = holder.text("SELECT pg_backend_pid()");
    let url = database.url.clone();
    let waiter = std::thread::spawn(move || Session::open(&url).try_run("SELECT * FROM held"));
    let profile = |column: &str, condition: &str| {
        format!(
            "SELECT pitcrew.history_sample(); SELECT {column} FROM pitcrew.wait_profile() WHERE {condition}"
        )
    };
    let waits = "state = 'active' AND wait_event_type = 'Lock' AND wait_event = 'relation'";
    session.until(&profile("count(*)", waits), "1");
    session.until(
        &profile(
            "count(*)",
            "state = 'idle in transaction' AND wait_event = 'ClientRead'",
        ),
        "1",
    );
    assert_eq!(
        session.text(&format!("SELECT sessions > 0 AND sessions <= 1 AND samples > 0 FROM pitcrew.wait_profile() WHERE {waits}")),
        "t"
    );
    assert_eq!(
        session.text("SELECT round(sum(share_percent)) FROM pitcrew.wait_profile()"),
        "100"
    );
    assert_eq!(
        session.text("SELECT dropped_samples FROM pitcrew.history_status()"),
        "0"
    );
    session.run(&format!("SELECT pg_terminate_backend({pid})"));
    waiter.join().unwrap().unwrap();
}

#[test]
fn a_dropped_index_is_named_beside_the_statement_that_it_made_slow() {
    require!(statements);
    let postgres = server(&[("autovacuum", "off")]);
    let session = Session::open(&postgres.url("shop"));
    session.run(
        "CREATE TABLE orders (id int, customer int, note text); CREATE TABLE others (id int PRIMARY KEY); \
         INSERT INTO orders SELECT g, g, repeat('x', 100) FROM generate_series(1, 50000) g; \
         CREATE INDEX orders_customer ON orders (customer); CREATE INDEX others_idx ON others (id); ANALYZE",
    );
    let slow = |session: &Session| {
        for customer in 1..=10 {
            session.run(&format!(
                "SELECT note FROM orders WHERE customer = {customer}"
            ));
            session.run(&format!("SELECT id FROM others WHERE id = {customer}"));
        }
    };
    let mut last_good = 0;
    for _ in 0..9 {
        slow(&session);
        last_good = sample(&session);
    }
    let since = format!(
        "clock_timestamp() - (SELECT at FROM pitcrew.history_ticks WHERE id = {last_good})"
    );
    let found = |session: &Session, min_calls: u32| {
        session.run(&format!(
            "SELECT r.query, r.detail, r.changes -> 0 ->> 'event', r.changes -> 0 ->> 'object', r.changes -> 0 ->> 'old', \
                    r.ratio >= 5 AND r.score > 3.5 AND r.extra_ms > 0, r.recent_calls, \
                    r.at = (SELECT t.at FROM pitcrew.history_ticks t WHERE t.id = {last_good} + 1) \
             FROM pitcrew.regressions({since}, '1 hour', {min_calls}, 5) r"
        ))
    };
    assert!(found(&session, 10).is_empty());
    session.run("DROP INDEX orders_customer; DROP INDEX others_idx");
    slow(&session);
    sample(&session);
    let rows = found(&session, 10);
    assert_eq!(rows.len(), 1, "{rows:?}");
    let row: Vec<_> = rows[0]
        .iter()
        .map(|cell| cell.as_deref().unwrap())
        .collect();
    assert_eq!(row[0], "SELECT note FROM orders WHERE customer = $1");
    assert!(
        row[1].contains("index public.orders_customer on public.orders was dropped")
            && row[1].contains("ms a call instead of")
            && !row[1].contains("others_idx"),
        "{row:?}"
    );
    assert_eq!(row[2..4], ["index dropped", "public.orders_customer"]);
    assert!(
        row[4].starts_with("CREATE INDEX orders_customer ON public.orders"),
        "{row:?}"
    );
    assert_eq!(row[5..], ["t", "10", "t"]);
    assert!(found(&session, 1_000).is_empty());
    for nonsense in ["min_ratio => 0.5", "recent => '-1 hour'", "baseline => '0'"] {
        let refused = session.failure(&format!("SELECT * FROM pitcrew.regressions({nonsense})"));
        assert_eq!(refused.code, "22023", "{nonsense}");
    }
}

#[test]
fn of_what_others_run_nothing_is_shown_without_pg_read_all_stats() {
    require!(statements);
    let database = testing::database();
    let session = Session::open(&database.url);
    session.run("SELECT 'somebody''s'");
    sample(&session);
    let reader = role(&session, "reader", Some("reader"));
    let nobody = role(&session, "nobody", None);
    let inside = Session::open(&database.url_as(&reader));
    let outside = Session::open(&database.url_as(&nobody));
    let of_statements = [
        "SELECT * FROM pitcrew.query_trend(1)",
        "SELECT * FROM pitcrew.wait_profile()",
        "SELECT * FROM pitcrew.regressions()",
    ];
    let of_the_rest = [
        "SELECT * FROM pitcrew.history_status()",
        "SELECT * FROM pitcrew.table_growth()",
        "SELECT * FROM pitcrew.settings_changes()",
    ];
    for call in of_statements {
        let failure = inside.failure(call);
        assert_eq!(failure.code, "42501", "{call}");
        assert!(failure.hint.contains("pg_read_all_stats"), "{failure:?}");
    }
    for call in of_the_rest {
        inside.run(call);
    }
    let texts = "SELECT count(*) FROM pitcrew.history_objects WHERE kind IN ('s', 'w')";
    assert_eq!(inside.text(texts), "0");
    assert_ne!(session.text(texts), "0");
    for call in of_statements.iter().chain(&of_the_rest) {
        assert_eq!(outside.failure(call).code, "42501", "{call}");
    }
    for call in [
        "SELECT pitcrew.history_sample()",
        "DELETE FROM pitcrew.history_ticks",
        "UPDATE pitcrew.history_state SET forgotten_ticks = 0",
    ] {
        assert_eq!(inside.failure(call).code, "42501", "{call}");
    }
    session.run(&format!("GRANT pg_read_all_stats TO {reader}"));
    for call in of_statements {
        inside.run(call);
    }
    assert_ne!(inside.text(texts), "0");
    session.run(&format!(
        "SELECT pitcrew.grant_access('{reader}', 'operator')"
    ));
    inside.run("SELECT pitcrew.history_sample()");
}

#[test]
fn nothing_of_a_user_s_runs_in_the_sampler() {
    require!(extension);
    let database = testing::database();
    let session = Session::open(&database.url);
    sample(&session);
    session.run(
        "CREATE TABLE ran (as_whom text); CREATE FUNCTION hostile() RETURNS trigger LANGUAGE plpgsql AS \
         $$ BEGIN INSERT INTO public.ran VALUES (current_user); RETURN NEW; END $$; \
         CREATE TRIGGER hostile BEFORE INSERT ON pitcrew.history_ticks FOR EACH ROW EXECUTE FUNCTION hostile()",
    );
    let failure = session.failure("SELECT pitcrew.history_sample()");
    assert!(failure.message.contains("trigger"), "{failure:?}");
    assert_eq!(session.text("SELECT count(*) FROM ran"), "0");
    session.run("DROP TRIGGER hostile ON pitcrew.history_ticks");
    sample(&session);
    // A table that was given away could have anything on it.
    let mallory = role(&session, "mallory", None);
    session.run(&format!(
        "GRANT CREATE ON SCHEMA pitcrew TO {mallory}; ALTER TABLE pitcrew.history_events OWNER TO {mallory}"
    ));
    let failure = session.failure("SELECT pitcrew.history_sample()");
    assert!(failure.message.contains("owner"), "{failure:?}");
    session.run(&format!(
        "ALTER TABLE pitcrew.history_events OWNER TO CURRENT_USER; REVOKE ALL ON SCHEMA pitcrew FROM {mallory}"
    ));
    // Functions and operators of the same names in public are others.
    session.run(
        "CREATE FUNCTION public.quote_ident(name) RETURNS text LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.ran VALUES ('x'); RETURN $1; END $$; \
         CREATE FUNCTION public.pg_stat_statements(text) RETURNS SETOF record LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.ran VALUES ('y'); END $$",
    );
    sample(&session);
    assert_eq!(session.text("SELECT count(*) FROM ran"), "0");
}
