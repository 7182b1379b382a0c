//! The admin router over a real database and Redis: its answers come from there, and end when they end.

#![allow(clippy::unwrap_used)]

#[path = "support/router.rs"]
mod router;

use std::time::{Duration, Instant};

use http::{Method, StatusCode};
use pitcrew::{CacheLayer, cache::RedisStore};
use pitcrew_admin::Admin;
use pitcrew_stack::{PostgresOptions, require, testing};
use router::{ASKED, TABLE, TOKEN, ask, ended, workload};
use serde_json::{Value, json};

/// An admin router on one database.
fn admin(url: &str) -> Admin {
    router::admin(url, |builder| builder)
}

#[tokio::test]
async fn suggestions_come_from_the_workload_and_a_job_builds_them() {
    require!(database, extension, statements);
    let database = testing::database();
    let admin = admin(&database.url);
    database.run(&[TABLE, "ANALYZE orders"]);
    let (status, analysis) = ask(&admin, Method::GET, "/database/analysis", None).await;
    assert_eq!(status, StatusCode::OK, "{analysis}");
    assert_eq!(
        analysis["suggestions"],
        json!([]),
        "without a workload there is nothing to suggest"
    );

    for _ in 0..20 {
        database.run(&[ASKED]);
    }
    let (_, analysis) = ask(&admin, Method::GET, "/database/analysis", None).await;
    let suggestion = &analysis["suggestions"][0];
    assert_eq!(suggestion["table_name"], "public.orders", "{analysis}");
    assert_eq!(suggestion["columns"], json!(["customer"]));
    let slow = analysis["slow_queries"].to_string();
    assert!(slow.contains("WHERE customer ="), "{slow}");
    assert!(analysis["tables"].to_string().contains("orders"));

    let body = json!({"kind": "create_index", "target": suggestion["table_name"],
        "options": {"columns": suggestion["columns"], "name": suggestion["index_name"]}});
    let (status, submitted) = ask(&admin, Method::POST, "/database/maintenance", Some(body)).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{submitted}");
    let job = ended(&admin, &submitted["job"]).await;
    assert_eq!(job["state"], "done", "{job}");
    let (_, analysis) = ask(&admin, Method::GET, "/database/analysis", None).await;
    assert_eq!(
        analysis["suggestions"],
        json!([]),
        "what is built is not suggested again"
    );
}

/// One cycle over the database, and what `/status` advises after it.
async fn next_action(admin: &Admin) -> Value {
    ask(admin, Method::GET, "/status", None).await.1["next_action"].clone()
}

#[tokio::test]
async fn what_has_been_done_is_not_advised_again() {
    require!(database, extension, statements);
    let database = testing::database();
    let admin = admin(&database.url);
    workload(&database);
    let steps = json!({"parts": ["database"]});
    let (status, _) = ask(&admin, Method::POST, "/optimize", Some(steps)).await;
    assert_eq!(status, StatusCode::ACCEPTED);
    let begin = Instant::now();
    while next_action(&admin).await.is_null() {
        assert!(begin.elapsed() < Duration::from_secs(30), "no advice");
    }
    let advised = next_action(&admin).await;
    assert_eq!(
        advised["action"]["body"]["kind"], "create_index",
        "{advised}"
    );
    let body = advised["action"]["body"].clone();
    let submit = |body| ask(&admin, Method::POST, "/database/maintenance", Some(body));
    let (status, submitted) = submit(body.clone()).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{submitted}");
    assert_eq!(next_action(&admin).await, Value::Null, "while it is built");
    assert_eq!(ended(&admin, &submitted["job"]).await["state"], "done");
    assert_eq!(next_action(&admin).await, Value::Null, "when it is built");
    let (status, refused) = submit(body).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{refused}");
    assert!(
        refused["detail"]
            .as_str()
            .unwrap()
            .contains("already exists")
    );
}

#[tokio::test]
async fn a_job_that_is_not_there_is_404_and_a_server_that_is_away_is_503() {
    require!(database, extension);
    let server = testing::server();
    let mut postgres = testing::postgres(PostgresOptions::with_extension(server));
    postgres
        .run("postgres", &["CREATE EXTENSION pg_pitcrew"])
        .unwrap();
    let admin = admin(&postgres.url("postgres"));
    for method in [Method::GET, Method::DELETE] {
        let (status, answer) = ask(&admin, method, "/database/jobs/4711", None).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{answer}");
    }
    postgres.kill();
    let begin = Instant::now();
    while ask(&admin, Method::GET, "/database/jobs", None).await.0 == StatusCode::OK {
        assert!(begin.elapsed() < Duration::from_secs(30));
    }
    let (status, answer) = ask(&admin, Method::DELETE, "/database/jobs/4711", None).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{answer}");
    let body = Some(json!({"kind": "vacuum"}));
    let (status, answer) = ask(&admin, Method::POST, "/database/maintenance", body).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{answer}");
}

#[tokio::test]
async fn a19_two_operators_who_press_the_same_button_get_one_job() {
    require!(database, extension);
    let database = testing::database();
    let admin = admin(&database.url);
    database.run(&["CREATE TABLE held (id int)"]);
    // A transaction that is open on the table makes the first job wait for as long as the test needs.
    let (client, connection) = tokio_postgres::connect(&database.url, tokio_postgres::NoTls)
        .await
        .unwrap();
    tokio::spawn(connection);
    client
        .batch_execute("BEGIN; LOCK TABLE held IN ACCESS EXCLUSIVE MODE")
        .await
        .unwrap();
    let body = || Some(json!({"kind": "vacuum", "target": "held"}));
    let first = ask(&admin, Method::POST, "/database/maintenance", body());
    let second = ask(&admin, Method::POST, "/database/maintenance", body());
    let (first, second) = tokio::join!(first, second);
    let mut statuses = [first.0, second.0];
    statuses.sort();
    assert_eq!(
        statuses,
        [StatusCode::ACCEPTED, StatusCode::CONFLICT],
        "{first:?} {second:?}"
    );
    // What states a default is the same button.
    let stated = json!({"kind": "vacuum", "target": "held", "options": {"full": false}});
    let third = ask(&admin, Method::POST, "/database/maintenance", Some(stated)).await;
    assert_eq!(third.0, StatusCode::CONFLICT, "{third:?}");
    client.batch_execute("ROLLBACK").await.unwrap();
    let job = if first.0 == StatusCode::ACCEPTED {
        first.1
    } else {
        second.1
    };
    assert_eq!(ended(&admin, &job["job"]).await["state"], "done");
}

#[tokio::test]
async fn a_dry_run_submits_nothing_and_wrong_requests_say_what_is_wrong() {
    require!(database, extension);
    let database = testing::database();
    let admin = admin(&database.url);
    database.run(&["CREATE TABLE there (id int)"]);
    let post = |body| ask(&admin, Method::POST, "/database/maintenance", Some(body));
    let (status, plan) = post(json!({"kind": "vacuum", "target": "there", "dry_run": true})).await;
    assert_eq!(
        (status, &plan["job"]),
        (StatusCode::OK, &Value::Null),
        "{plan}"
    );
    for wrong in [
        json!({"kind": "vacuum", "target": "not_there"}),
        json!({"kind": "vacuum", "target": "a\"b"}),
        json!({"kind": "drop_everything", "target": "there"}),
        json!({"kind": "vacuum", "target": "there", "options": {"ful": true}}),
    ] {
        let (status, answer) = post(wrong.clone()).await;
        assert_eq!(
            status,
            StatusCode::UNPROCESSABLE_ENTITY,
            "{wrong}: {answer}"
        );
        assert!(answer["detail"].as_str().unwrap().len() > 10);
    }
    let (_, jobs) = ask(&admin, Method::GET, "/database/jobs", None).await;
    assert_eq!(jobs["jobs"], json!([]));
}

#[tokio::test]
async fn without_the_extension_what_the_server_knows_is_still_shown() {
    require!(database);
    let database = testing::database();
    database.run(&["DROP EXTENSION pg_pitcrew", TABLE, "ANALYZE orders"]);
    let admin = admin(&database.url);
    let (status, analysis) = ask(&admin, Method::GET, "/database/analysis", None).await;
    assert_eq!(status, StatusCode::OK, "{analysis}");
    let why = analysis["suggestions"]["unavailable"].as_str().unwrap();
    assert!(why.contains("CREATE EXTENSION pg_pitcrew"), "{why}");
    assert!(
        analysis["tables"].to_string().contains("orders"),
        "{}",
        analysis["tables"]
    );
}

#[tokio::test]
async fn a_database_that_stops_stops_the_answers_and_one_that_comes_back_brings_them_back() {
    require!(database, extension);
    let server = testing::server();
    let mut postgres = testing::postgres(PostgresOptions::with_extension(server));
    let admin = admin(&postgres.url("postgres"));
    let (status, _) = ask(&admin, Method::GET, "/database/analysis", None).await;
    assert_eq!(status, StatusCode::OK);
    postgres.kill();
    let begin = Instant::now();
    while ask(&admin, Method::GET, "/database/analysis", None).await.0 == StatusCode::OK {
        assert!(begin.elapsed() < Duration::from_secs(30));
    }
    let (status, problem) = ask(&admin, Method::GET, "/database/analysis", None).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(!problem.to_string().contains("127.0.0.1"), "{problem}");
    let (_, health) = ask(&admin, Method::GET, "/health", None).await;
    assert_eq!(health["status"], "DEGRADED");
    postgres.start_again().unwrap();
    let begin = Instant::now();
    while ask(&admin, Method::GET, "/database/analysis", None).await.0 != StatusCode::OK {
        assert!(begin.elapsed() < Duration::from_secs(30));
    }
}

#[tokio::test]
async fn health_tells_that_redis_is_away_although_no_request_needs_it() {
    require!(redis);
    let mut redis = testing::redis();
    let store = RedisStore::connect(&redis.url()).unwrap();
    let (_layer, cache) = CacheLayer::builder().redis(store).build();
    let admin = Admin::builder()
        .operator_token(TOKEN)
        .cache(cache)
        .build()
        .unwrap();
    let health = || ask(&admin, Method::GET, "/health", None);
    assert_eq!(health().await.1["status"], "UP");
    redis.kill();
    let begin = Instant::now();
    while health().await.1["status"] != "DEGRADED" {
        assert!(begin.elapsed() < Duration::from_secs(30));
    }
    redis.start_again().unwrap();
    let begin = Instant::now();
    while health().await.1["status"] != "UP" {
        assert!(begin.elapsed() < Duration::from_secs(30));
    }
}

#[tokio::test]
async fn a15_secrets_in_utility_statements_are_not_shown_with_the_extension_and_without() {
    require!(database, extension, statements);
    let database = testing::database();
    let admin = admin(&database.url);
    let role = format!("canary_{}", std::process::id());
    database.run(&[
        &format!("CREATE ROLE {role} PASSWORD 'secret-canary-1'"),
        &format!("ALTER ROLE {role} PASSWORD 'secret-canary-2'"),
        &format!("DROP ROLE {role}"),
        "COPY (SELECT 'secret-canary-3') TO '/dev/null'",
        "DO $$ BEGIN PERFORM 'secret-canary-4'; END $$",
    ]);
    let (status, answer) = ask(&admin, Method::GET, "/database/analysis", None).await;
    assert_eq!(status, StatusCode::OK);
    let text = answer.to_string();
    assert!(
        text.contains("CREATE ROLE ...") && !text.contains("secret-canary"),
        "{text}"
    );
    database.run(&["DROP EXTENSION pg_pitcrew"]);
    let (status, answer) = ask(&admin, Method::GET, "/database/analysis", None).await;
    assert_eq!(status, StatusCode::OK);
    let text = answer["slow_queries"].to_string();
    assert!(
        text.contains("CREATE ROLE ...") && !text.contains("secret-canary"),
        "{text}"
    );
}

#[tokio::test]
async fn a_dry_run_refuses_what_the_job_would_refuse() {
    require!(database, extension);
    let database = testing::database();
    let admin = admin(&database.url);
    database.run(&[
        "CREATE TABLE there (id int)",
        "CREATE INDEX taken ON there (id)",
    ]);
    for (body, wanted) in [
        (
            json!({"kind": "reboot", "target": "there"}),
            "unknown job kind",
        ),
        (
            json!({"kind": "create_index", "target": "there", "options": {"columns": ["nope"]}}),
            "nope",
        ),
        (
            json!({"kind": "create_index", "target": "there", "options": {"columns": ["id"], "name": "taken"}}),
            "already exists",
        ),
        (
            json!({"kind": "vac\u{0}uum", "target": "there"}),
            "cannot be used",
        ),
        (
            json!({"kind": "create_index", "target": "there", "options": {"columns": ["id"], "name": "a\u{0}b"}}),
            "cannot be used",
        ),
    ] {
        for dry_run in [true, false] {
            let mut body = body.clone();
            body["dry_run"] = dry_run.into();
            let (status, answer) = ask(
                &admin,
                Method::POST,
                "/database/maintenance",
                Some(body.clone()),
            )
            .await;
            assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{body}: {answer}");
            assert!(
                answer["detail"].as_str().unwrap().contains(wanted),
                "{answer}"
            );
        }
    }
    let dry = json!({"kind": "create_index", "target": "there", "options": {"columns": ["id"]}, "dry_run": true});
    let (status, plan) = ask(&admin, Method::POST, "/database/maintenance", Some(dry)).await;
    assert_eq!(status, StatusCode::OK, "{plan}");
    let command = plan["command"].as_str().unwrap();
    assert!(command.starts_with("CREATE INDEX CONCURRENTLY"), "{plan}");
    let (_, jobs) = ask(&admin, Method::GET, "/database/jobs", None).await;
    assert_eq!(jobs["jobs"], json!([]));
}

/// A transaction on the table that others wait for, until it is dropped.
async fn holder(url: &str, statement: &str) -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls)
        .await
        .unwrap();
    tokio::spawn(connection);
    client
        .batch_execute(&format!("BEGIN; {statement}"))
        .await
        .unwrap();
    client
}

#[tokio::test]
async fn slow_answers_of_the_routers_own_hold_up_nobodys_health() {
    require!(database, extension);
    let database = testing::database();
    let admin = router::admin(&database.url, |builder| builder.needs_database(true));
    database.run(&[TABLE]);
    let held = holder(&database.url, "LOCK TABLE orders IN ACCESS EXCLUSIVE MODE").await;
    let sizes = || ask(&admin, Method::GET, "/database/tables", None);
    let looks = async {
        let waiting = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pitcrew-admin' \
                       AND datname = current_database() AND wait_event_type = 'Lock'";
        let begin = Instant::now();
        while database.run(&[waiting]) != [[Some("3".to_owned())]] {
            assert!(begin.elapsed() < Duration::from_secs(60), "none waits");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let (status, told) = ask(&admin, Method::GET, "/health/ready", None).await;
        assert_eq!(status, StatusCode::OK, "{told}");
        // A fourth who asks is told why, and that it says nothing of the server.
        let (status, told) = ask(&admin, Method::GET, "/database/tables", None).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{told}");
        assert!(
            told.to_string().contains("all at work on other answers"),
            "{told}"
        );
        drop(held);
    };
    let (one, other, third, ()) = tokio::join!(sizes(), sizes(), sizes(), looks);
    for (status, told) in [one, other, third] {
        assert_eq!(status, StatusCode::OK, "{told}");
    }
}

#[tokio::test]
async fn a19_an_index_is_built_once_however_often_it_is_applied() {
    require!(database, extension, statements);
    let database = testing::database();
    let admin = admin(&database.url);
    workload(&database);
    let (_, told) = ask(&admin, Method::GET, "/database/indexes", None).await;
    let id = told["suggestions"][0]["id"]
        .as_str()
        .unwrap_or_else(|| panic!("{told}"))
        .to_owned();
    let path = format!("/database/indexes/{id}/apply");
    // It waits for who writes, as long as the test needs.
    let held = holder(&database.url, "LOCK TABLE orders IN ROW EXCLUSIVE MODE").await;
    let (status, first) = ask(&admin, Method::POST, &path, Some(json!({}))).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{first}");
    let begin = Instant::now();
    let there = "SELECT count(*) FROM pg_index WHERE indrelid = 'orders'::regclass";
    while database.run(&[there]) == [[Some("0".to_owned())]] {
        assert!(
            begin.elapsed() < Duration::from_secs(60),
            "it does not begin"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // Its name is taken now, so the suggestion has the next one that is free.
    let (status, second) = ask(&admin, Method::POST, &path, Some(json!({}))).await;
    assert_eq!(status, StatusCode::CONFLICT, "{second}");
    drop(held);
    let job = ended(&admin, &first["job"]).await;
    assert_eq!(
        (&job["state"], &job["progress"]),
        (&json!("done"), &Value::Null),
        "{job}"
    );
    assert_eq!(database.run(&[there]), [[Some("1".to_owned())]]);
}
