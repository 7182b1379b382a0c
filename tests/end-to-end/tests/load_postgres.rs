//! Load on a real PostgreSQL: each way of sending, what its sessions are, and what it says of errors.

#![allow(clippy::unwrap_used)]

use pitcrew_admin::load::{
    ErrorKind, Load, Open, PostgresMode, PostgresPlan, PostgresTarget, Report, Spacing, Stage,
    start_postgres,
};
use pitcrew_stack::require;
use pitcrew_stack::testing::{self, TestDatabase};

fn target(database: &TestDatabase) -> PostgresTarget {
    PostgresTarget::local(&database.url).unwrap()
}

fn plan(sql: &str, requests: u64) -> PostgresPlan {
    PostgresPlan {
        sql: sql.to_owned(),
        load: Load {
            connections: Some(4),
            requests: Some(requests),
            ..Load::default()
        },
        ..PostgresPlan::default()
    }
}

async fn report(database: &TestDatabase, plan: &PostgresPlan) -> Report {
    let run = start_postgres("7", plan, &target(database)).await.unwrap();
    run.finished().await.clone()
}

/// Executions of a statement that writes are counted by the server itself.
fn count(database: &TestDatabase) -> u64 {
    let rows = database.run(&["SELECT count(*) FROM seen"]);
    rows[0][0].as_deref().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_mode_executes_as_often_as_it_says() {
    require!(database);
    let database = testing::database();
    database.run(&["CREATE TABLE seen (number int, name text)"]);
    let mut executed = 0;
    for mode in [
        PostgresMode::Simple,
        PostgresMode::Prepared,
        PostgresMode::Pipelined,
    ] {
        let is_simple = mode == PostgresMode::Simple;
        let values = if is_simple { "7, NULL" } else { "$1, $2" };
        let plan = PostgresPlan {
            mode,
            // The server reads them as what it wants there.
            parameters: if is_simple {
                Vec::new()
            } else {
                vec![Some("7".to_owned()), None]
            },
            allow_writes: true,
            ..plan(&format!("INSERT INTO seen VALUES ({values})"), 501)
        };
        let report = report(&database, &plan).await;
        assert_eq!((report.ok, report.requests), (501, 501), "{mode:?}");
        // One thread may have sent all before the other began.
        assert!((1..=4).contains(&report.connections.connected), "{mode:?}");
        assert_eq!(report.connections.dropped, 0, "{mode:?}");
        executed += 501;
        assert_eq!(count(&database), executed, "{mode:?}");
    }
    let wrong = "SELECT 1 FROM seen WHERE number <> 7 OR name IS NOT NULL";
    assert!(database.run(&[wrong]).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_model_executes_what_is_due() {
    require!(database);
    let database = testing::database();
    let plan = PostgresPlan {
        load: Load {
            connections: Some(8),
            requests: None,
            open: Some(Open {
                stages: vec![Stage {
                    duration_s: 0.2,
                    rate_per_s: 500.0,
                    to_rate_per_s: None,
                }],
                spacing: Spacing::Even,
                seed: 0,
            }),
            ..plan("SELECT 1", 1).load
        },
        ..plan("SELECT 1", 1)
    };
    let report = report(&database, &plan).await;
    assert_eq!((report.due, report.ok, report.missed), (100, 100, 0));
    assert_eq!(report.lag.count, 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_read_only_unless_the_plan_allows_more() {
    require!(database);
    let database = testing::database();
    database.run(&["CREATE TABLE seen ()"]);
    for mode in [PostgresMode::Simple, PostgresMode::Pipelined] {
        let plan = PostgresPlan {
            mode,
            ..plan("INSERT INTO seen DEFAULT VALUES", 20)
        };
        let report = report(&database, &plan).await;
        assert_eq!(report.errors, [(ErrorKind::Sql, 20)].into());
        let states = [("25006".to_owned(), 20)].into();
        assert_eq!(report.connections.sql_states, states);
        // An error is an answer: the connections are kept.
        assert!((1..=4).contains(&report.connections.connected));
    }
    assert_eq!(count(&database), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_takes_too_long_is_a_timeout_and_is_ended_on_the_server() {
    require!(database);
    let database = testing::database();
    let plan = PostgresPlan {
        load: Load {
            timeout_ms: 50,
            ..plan("SELECT pg_sleep(600)", 8).load
        },
        ..plan("SELECT pg_sleep(600)", 8)
    };
    let report = report(&database, &plan).await;
    assert_eq!(report.errors, [(ErrorKind::Timeout, 8)].into());
    // Whoever gave up first, the statement does not go on.
    let left = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                AND application_name LIKE 'pitcrew-load%'";
    while database.run(&[left])[0][0].as_deref() != Some("0") {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_that_are_terminated_are_resets_and_are_made_anew() {
    require!(database);
    let database = testing::database();
    for mode in [PostgresMode::Prepared, PostgresMode::Pipelined] {
        let plan = PostgresPlan {
            mode,
            depth: (mode == PostgresMode::Pipelined).then_some(3),
            load: Load {
                connections: Some(2),
                ..plan("SELECT pg_terminate_backend(pg_backend_pid())", 20).load
            },
            ..plan("SELECT pg_terminate_backend(pg_backend_pid())", 20)
        };
        let report = report(&database, &plan).await;
        assert_eq!(report.errors, [(ErrorKind::Reset, 20)].into(), "{report:?}");
        let details = &report.connections;
        // At most three statements were under way on each; the last ones may have been made for nothing.
        assert!(details.dropped >= 7, "{report:?}");
        assert!(
            (0..=2).contains(&(details.connected - details.dropped)),
            "{report:?}"
        );
        // Of statements that are under way together the first is told why.
        assert!(report.connections.sql_states["57P01"] > 0, "{report:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_the_server_has_no_room_for_are_counted_with_its_reason() {
    require!(database);
    let database = testing::database();
    let role = format!("narrow_{}", database.name);
    database.run(&[&format!("CREATE ROLE {role} LOGIN CONNECTION LIMIT 1")]);
    let target = PostgresTarget::local(&database.url_as(&role)).unwrap();
    let plan = PostgresPlan {
        keep_alive: false,
        load: Load {
            connections: Some(8),
            ..plan("SELECT pg_sleep(0.02)", 64).load
        },
        ..plan("SELECT pg_sleep(0.02)", 64)
    };
    let run = start_postgres("7", &plan, &target).await.unwrap();
    let report = run.finished().await;
    database.run(&[&format!("DROP ROLE {role}")]);
    let refused = report.errors[&ErrorKind::Connect];
    assert!(refused > 0, "{report:?}");
    assert_eq!(report.ok + refused, 64, "{report:?}");
    assert_eq!(
        report.connections.sql_states,
        [("53300".to_owned(), refused)].into()
    );
    assert_eq!(report.connections.connected, report.ok);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_server_does_not_take_is_refused_before_the_run() {
    require!(database);
    let database = testing::database();
    for (field, part, plan) in [
        ("sql", "42601", plan("SELEC 1", 1)),
        ("sql", "42P01", plan("SELECT 1 FROM nowhere", 1)),
        ("parameters", "wants 1", plan("SELECT $1::int", 1)),
        (
            "parameters",
            "wants 0",
            PostgresPlan {
                parameters: vec![None],
                ..plan("SELECT 1", 1)
            },
        ),
    ] {
        let refused = start_postgres("7", &plan, &target(&database)).await;
        let error = refused.unwrap_err();
        assert_eq!(error.field, field, "{error}");
        assert!(error.wants.contains(part), "{error}");
    }
    let nobody = PostgresTarget::local(&database.url_as("nobody_of_this_name")).unwrap();
    let error = start_postgres("7", &plan("SELECT 1", 1), &nobody)
        .await
        .unwrap_err();
    assert_eq!(error.field, "target", "{error}");
    assert!(error.wants.contains("nobody_of_this_name"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_is_not_of_its_type_is_an_error_of_the_statement() {
    require!(database);
    let database = testing::database();
    let plan = PostgresPlan {
        parameters: vec![Some("seven".to_owned())],
        ..plan("SELECT $1::int", 10)
    };
    let report = report(&database, &plan).await;
    assert_eq!(report.errors, [(ErrorKind::Sql, 10)].into());
    assert_eq!(
        report.connections.sql_states,
        [("22P02".to_owned(), 10)].into()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn l3_a_cancelled_run_ends_although_its_statements_go_on() {
    require!(database);
    let database = testing::database();
    for mode in [PostgresMode::Prepared, PostgresMode::Pipelined] {
        let plan = PostgresPlan {
            mode,
            load: Load {
                requests: None,
                duration_s: Some(600.0),
                timeout_ms: 60_000,
                ..plan("SELECT pg_sleep(600)", 1).load
            },
            ..plan("SELECT pg_sleep(600)", 1)
        };
        let run = start_postgres("7", &plan, &target(&database))
            .await
            .unwrap();
        let busy = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                    AND query LIKE '%pg_sleep(600)' AND state = 'active' AND pid <> pg_backend_pid()";
        while database.run(&[busy])[0][0].as_deref() != Some("4") {
            tokio::task::yield_now().await;
        }
        run.cancel();
        let report = run.finished().await;
        assert!(report.cancelled);
        assert_eq!(report.ok, 0);
        assert!(report.unfinished >= 4, "{report:?}");
        database.run(&[
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity \
             WHERE datname = current_database() AND pid <> pg_backend_pid()",
        ]);
    }
}

/// Visits that write a row and read it again within a transaction.
fn visits(rows: u64, more: &str) -> PostgresPlan {
    let text = r#"{
        "connections": 3, "requests": 40, "allow_writes": true,
        "data": {"n": {"counter": {}}, "who": {"choice": ["O'Hara \"x\""]}},
        "steps": [
            {"sql": "BEGIN"},
            {"name": "write", "sql": "INSERT INTO seen VALUES ($1, $2) RETURNING number, 'a' || number AS code, NULL::text AS gone",
             "parameters": ["{{n}}", "{{who}}"], "capture": {"id": {"column": "number"}, "code": {"column": "code"}}},
            {"name": "read", "sql": "SELECT FROM seen WHERE number = $1 AND name = $2 AND 'a' || number = $3",
             "parameters": ["{{id}}", "{{who}}", "{{code}}"], "expect": {"rows": ROWS}},
            MORE
            {"sql": "COMMIT"}
        ]
    }"#;
    let text = text
        .replace("ROWS", &rows.to_string())
        .replace("MORE", more);
    serde_json::from_str(&text).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_visit_is_a_transaction_with_values_of_its_own_rows() {
    require!(database);
    let database = testing::database();
    database.run(&["CREATE TABLE seen (number int PRIMARY KEY, name text)"]);
    let told = report(&database, &visits(1, "")).await;
    assert_eq!((told.requests, told.ok), (160, 160), "{:?}", told.steps);
    assert_eq!(told.steps[1].name, "write");
    assert_eq!(count(&database), 40);
    assert!((1..=3).contains(&told.connections.connected));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_visit_that_fails_leaves_nothing_and_the_next_goes_on() {
    require!(database);
    let database = testing::database();
    database.run(&["CREATE TABLE seen (number int PRIMARY KEY, name text)"]);
    let told = report(&database, &visits(2, "")).await;
    assert_eq!(told.errors, [(ErrorKind::Check, 40)].into());
    assert_eq!(told.steps[2].unmet, [("rows".to_owned(), 40)].into());
    assert_eq!((told.steps[1].ok, told.steps[3].requests), (40, 0));
    assert_eq!(count(&database), 0);
    let more = r#"{"sql": "SELECT 1 / (count(*) - count(*)) FROM seen"},"#;
    let told = report(&database, &visits(1, more)).await;
    assert_eq!(told.errors, [(ErrorKind::Sql, 40)].into());
    assert_eq!(
        told.connections.sql_states,
        [("22012".to_owned(), 40)].into()
    );
    assert_eq!(count(&database), 0);
    // The connections were kept through all of it.
    assert!((1..=3).contains(&told.connections.connected));
    assert_eq!(told.connections.dropped, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_the_server_does_not_take_is_named() {
    require!(database);
    let database = testing::database();
    for (step, field, wants) in [
        (r#"{"sql": "SELEC"}"#, "steps[0].sql", "is not taken"),
        (
            r#"{"sql": "SELECT $1::int"}"#,
            "steps[0].parameters",
            "wants 1",
        ),
        (
            r#"{"sql": "SELECT 1 AS a", "capture": {"x": {"column": "b"}}}"#,
            "steps[0].capture.x.column",
            "there are a",
        ),
        (
            r#"{"sql": "SELECT 1.5 AS a", "capture": {"x": {"column": "a"}}}"#,
            "steps[0].capture.x.column",
            "cast it to text",
        ),
        (
            r#"{"sql": "SELECT 1", "capture": {"x": {"json": "/a"}}}"#,
            "steps[0].capture.x.json",
            "another protocol",
        ),
    ] {
        let plan: PostgresPlan =
            serde_json::from_str(&format!(r#"{{"steps": [{step}]}}"#)).unwrap();
        let started = start_postgres("7", &plan, &target(&database)).await;
        let error = started.unwrap_err();
        assert_eq!(error.field, field, "{error}");
        assert!(error.wants.contains(wants), "{error}");
    }
}
