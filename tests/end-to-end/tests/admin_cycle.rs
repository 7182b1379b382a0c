//! The admin router's cycle, its database routes and its pools, over a real database.

#![allow(clippy::unwrap_used)]

#[path = "support/router.rs"]
mod router;

use std::time::{Duration, Instant};

use http::{Method, StatusCode};
use pitcrew_admin::{Policy, Tuning};
use pitcrew_stack::{require, testing};
use router::{PATIENCE, admin, ask, cycle, ended, get, step, workload};
use serde_json::{Value, json};
use tokio_postgres::NoTls;

#[tokio::test]
async fn a_cycle_that_may_tune_builds_what_is_advised_and_writes_it_down() {
    require!(database, extension, statements);
    let database = testing::database();
    workload(&database);
    let admin = admin(&database.url, |builder| {
        builder.policy(Policy::Tune(Tuning::default()))
    });
    let dry = cycle(&admin, json!({"dry_run": true})).await;
    let kinds = |report: &Value| -> Vec<String> {
        let actions = report["actions"].as_array().unwrap();
        actions
            .iter()
            .map(|action| action["kind"].as_str().unwrap().to_owned())
            .collect()
    };
    let wanted = [
        "vacuum_due",
        "analyze_all_stale",
        "repair_invalid_indexes",
        "create_index",
    ];
    assert_eq!(kinds(&dry), wanted, "{dry}");
    assert_eq!(
        get(&admin, "/database/jobs").await["jobs"],
        json!([]),
        "a dry run submits nothing"
    );

    let report = cycle(&admin, json!({})).await;
    assert_eq!(kinds(&report), wanted, "{report}");
    let actions = report["actions"].as_array().unwrap();
    assert!(
        actions.iter().all(|action| action["state"] == "done"),
        "{report}"
    );
    assert_eq!(
        step(&report, "steps", "verify")["state"],
        "done",
        "{report}"
    );
    let indexes = get(&admin, "/database/indexes").await;
    assert_eq!(indexes["suggestions"], json!([]), "it is built");
    let audit = get(&admin, "/audit?who=cycle").await;
    assert_eq!(
        audit["entries"].as_array().unwrap().len(),
        2 * wanted.len(),
        "{audit}"
    );
    assert_eq!(audit["chain"]["is_intact"], true);
}

#[tokio::test]
async fn a_cycle_that_may_only_look_does_nothing_and_a_small_budget_builds_nothing() {
    require!(database, extension, statements);
    let database = testing::database();
    workload(&database);
    let looking = admin(&database.url, |builder| builder);
    let report = cycle(&looking, json!({})).await;
    assert_eq!(
        (&report["policy"], &report["actions"]),
        (&json!("observe"), &json!([]))
    );
    assert_eq!(step(&report, "steps", "act")["state"], "skipped");
    assert!(
        report["advice"].to_string().contains("create_index"),
        "{report}"
    );
    let poor = Tuning::default().budget_bytes(1);
    let poor = admin(&database.url, |builder| builder.policy(Policy::Tune(poor)));
    let report = cycle(&poor, json!({})).await;
    assert!(
        !report["actions"].to_string().contains("create_index"),
        "{report}"
    );
}

#[tokio::test]
async fn one_instance_at_a_time_runs_cycles_on_a_database() {
    require!(database, extension);
    let database = testing::database();
    let admin = admin(&database.url, |builder| builder.policy(Policy::Maintain));
    // Another instance, as far as the server can tell.
    let (other, connection) = tokio_postgres::connect(&database.url, NoTls).await.unwrap();
    let connection = tokio::spawn(connection);
    let key = 0x70_6974_6372_6577_i64;
    other
        .execute("SELECT pg_advisory_lock($1)", &[&key])
        .await
        .unwrap();
    let report = cycle(&admin, json!({})).await;
    let part = step(&report, "parts", "database");
    assert_eq!(part["state"], "skipped", "{report}");
    assert!(
        part["detail"]
            .as_str()
            .unwrap()
            .contains("another instance"),
        "{part}"
    );
    assert_eq!(step(&report, "steps", "act")["state"], "skipped");
    drop(other);
    connection.await.unwrap().unwrap();
    let begin = Instant::now();
    while step(&cycle(&admin, json!({})).await, "parts", "database")["state"] != "done" {
        assert!(begin.elapsed() < PATIENCE);
    }
    // The lock goes with its cycle.
    let held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database = \
                (SELECT oid FROM pg_database WHERE datname = current_database())";
    let (client, connection) = tokio_postgres::connect(&database.url, NoTls).await.unwrap();
    tokio::spawn(connection);
    let begin = Instant::now();
    while client.query_one(held, &[]).await.unwrap().get::<_, i64>(0) != 0 {
        assert!(begin.elapsed() < PATIENCE, "the lock is held for ever");
    }
}

/// Sessions of the admin router that wait for a lock.
const WAITING: &str = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                       AND application_name = 'pitcrew-admin' AND wait_event_type = 'Lock'";

#[tokio::test]
async fn the_apps_stop_ends_a_cycle_under_way_within_a_second() {
    require!(database, extension, statements);
    let database = testing::database();
    workload(&database);
    let stopping = admin(&database.url, |builder| builder.policy(Policy::Maintain));
    // Nobody looks into the table while this transaction is open: the cycle is under way for as long as the test needs.
    let connect = async || {
        let (client, connection) = tokio_postgres::connect(&database.url, NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    };
    // Inside a transaction the server tells of other sessions what it told first.
    let (client, watching) = (connect().await, connect().await);
    let hold = "BEGIN; LOCK TABLE orders IN ACCESS EXCLUSIVE MODE";
    client.batch_execute(hold).await.unwrap();
    let asked = Some(json!({}));
    let (status, started) = ask(&stopping, Method::POST, "/optimize", asked).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{started}");
    let begin = Instant::now();
    while watching
        .query_one(WAITING, &[])
        .await
        .unwrap()
        .get::<_, i64>(0)
        == 0
    {
        assert!(begin.elapsed() < PATIENCE, "the cycle does not wait");
    }
    assert_eq!(get(&stopping, "/cycles").await["is_running"], true);
    // It gives up waiting after this, whatever goes on.
    stopping.shutdown(Duration::from_secs(1)).await;
    let told = get(&stopping, "/cycles").await;
    assert_eq!(
        (&told["is_running"], &told["cycles"]),
        (&json!(false), &json!([])),
        "{told}"
    );
    client.batch_execute("ROLLBACK").await.unwrap();
    // Nor does what it has left behind keep another instance from its own.
    let other = admin(&database.url, |builder| builder);
    let begin = Instant::now();
    while step(&cycle(&other, json!({})).await, "parts", "database")["state"] != "done" {
        assert!(begin.elapsed() < PATIENCE, "the lock of cycles is held");
    }
}

#[tokio::test]
async fn an_advised_index_is_planned_and_then_built_by_its_id() {
    require!(database, extension, statements);
    let database = testing::database();
    let admin = admin(&database.url, |builder| builder);
    workload(&database);
    let suggestions = get(&admin, "/database/indexes").await["suggestions"].clone();
    let id = suggestions[0]["id"].as_str().unwrap();
    let path = format!("/database/indexes/{id}/apply");
    let dry = Some(json!({"dry_run": true}));
    let (status, plan) = ask(&admin, Method::POST, &path, dry).await;
    assert_eq!(status, StatusCode::OK, "{plan}");
    assert!(
        plan["command"]
            .as_str()
            .unwrap()
            .starts_with("CREATE INDEX CONCURRENTLY")
    );
    let (status, submitted) = ask(&admin, Method::POST, &path, Some(json!({}))).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{submitted}");
    assert_eq!(ended(&admin, &submitted["job"]).await["state"], "done");
    let (status, gone) = ask(&admin, Method::POST, &path, Some(json!({}))).await;
    assert_eq!(status, StatusCode::NOT_FOUND, "{gone}");
    let queries = get(&admin, "/database/queries").await;
    assert!(
        queries["queries"].to_string().contains("customer"),
        "{queries}"
    );
    let tables = get(&admin, "/database/tables").await;
    assert_eq!(tables["tables"][0]["table_name"], "orders", "{tables}");
    let pools = get(&admin, "/database/pools").await;
    assert!(
        pools["advice"]["unavailable"].is_string(),
        "too young: {pools}"
    );
}

#[tokio::test]
async fn without_the_extension_the_checks_run_over_the_connection() {
    require!(database);
    let database = testing::database();
    database.run(&[
        "DROP EXTENSION pg_pitcrew",
        "CREATE TABLE twice (id int)",
        "CREATE INDEX one ON twice (id)",
        "CREATE INDEX other ON twice (id)",
    ]);
    let admin = admin(&database.url, |builder| builder.policy(Policy::Maintain));
    let indexes = get(&admin, "/database/indexes").await;
    assert!(
        indexes["suggestions"]["unavailable"].is_string(),
        "{indexes}"
    );
    assert!(indexes["findings"].is_array(), "{indexes}");
    let report = cycle(&admin, json!({})).await;
    assert_eq!(
        step(&report, "steps", "diagnose")["state"],
        "done",
        "{report}"
    );
    let actions = report["actions"].as_array().unwrap();
    assert!(
        actions.iter().all(|action| action["state"] == "refused"),
        "{report}"
    );
    let history = get(
        &admin,
        "/history?step=second&metric=database_connections_percent",
    )
    .await;
    assert!(history["series"][0]["mean"].is_array());
}
