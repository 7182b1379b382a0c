//! What the admin router tells of the database's sessions and of indexes that were built, what it lets somebody suppress, and its jobs
//! in pages.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something unexpected happens"
)]

#[path = "support/router.rs"]
mod router;

use http::{Method, StatusCode};
use pitcrew_stack::{require, testing};
use router::{ask, ended, get, until};
use serde_json::{Value, json};
use tokio_postgres::{Client, NoTls};

/// What no page may show: somebody's value.
const VALUE: &str = "987654321";

async fn connect(url: &str) -> (Client, i32) {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    let row = client.query_one("SELECT pg_backend_pid()", &[]).await;
    (client, row.unwrap().get(0))
}

#[tokio::test]
async fn who_waits_for_whom_is_told_without_anybodys_values() {
    require!(database, extension, statements);
    let database = testing::database();
    database.run(&[
        "CREATE TABLE orders (id int)",
        "INSERT INTO orders VALUES (1)",
    ]);
    let admin = router::admin(&database.url, |builder| builder);
    let (holder, holding) = connect(&database.url).await;
    let (waiter, waiting) = connect(&database.url).await;
    holder.batch_execute("BEGIN").await.unwrap();
    holder
        .batch_execute("UPDATE orders SET id = 1 WHERE id = 1")
        .await
        .unwrap();
    let update = format!("UPDATE orders SET id = {VALUE} WHERE id = 1");
    let update = tokio::spawn(async move { waiter.batch_execute(&update).await });
    let waits = |_, told: &Value| told["sessions"][0]["blocks"] == 1;
    let told = until(&admin, "/database/sessions", "nobody waits", waits).await;
    let sessions = told["sessions"].as_array().unwrap();
    let of = |pid: i32| sessions.iter().find(|one| one["pid"] == pid).unwrap();
    assert_eq!(sessions[0]["pid"], holding, "{told}");
    assert_eq!(of(holding)["state"], "idle in transaction", "{told}");
    assert_eq!(of(waiting)["blocked_by"], json!([holding]), "{told}");
    assert_eq!(
        of(waiting)["statement"],
        "UPDATE orders SET id = $1 WHERE id = $2",
        "{told}"
    );
    assert!(!told.to_string().contains(VALUE), "{told}");
    holder.batch_execute("ROLLBACK").await.unwrap();
    update.await.unwrap().unwrap();
    let is_over = |_, told: &Value| {
        let mut sessions = told["sessions"].as_array().unwrap().iter();
        sessions.all(|one| one["blocks"] == 0)
    };
    until(&admin, "/database/sessions", "somebody waits", is_over).await;
}

/// As a part of a path.
fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect()
}

#[tokio::test]
async fn what_somebody_suppresses_is_gone_until_it_is_shown_again() {
    require!(database, extension, statements);
    let database = testing::database();
    router::workload(&database);
    let admin = router::admin(&database.url, |builder| builder);
    let has_one = |_, told: &Value| told["suggestions"][0]["cache_key"].is_string();
    let told = until(&admin, "/database/indexes", "nothing is suggested", has_one).await;
    let key = told["suggestions"][0]["cache_key"].as_str().unwrap();
    let keys = async || {
        let told = get(&admin, "/database/indexes").await;
        let suggestions = told["suggestions"].as_array().unwrap().clone();
        let keys = suggestions.into_iter();
        keys.map(|one| one["cache_key"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let post =
        async |body: Value| ask(&admin, Method::POST, "/database/suppressed", Some(body)).await;
    let (status, planned) = post(json!({"cache_key": key, "dry_run": true})).await;
    assert_eq!(status, StatusCode::OK, "{planned}");
    assert!(
        keys().await.contains(&key.to_owned()),
        "a plan does nothing"
    );
    let body = json!({"cache_key": key, "reason": "it goes next month", "for_s": 3600});
    let (status, done) = post(body.clone()).await;
    assert_eq!(status, StatusCode::OK, "{done}");
    assert!(!keys().await.contains(&key.to_owned()));
    let list = get(&admin, "/database/suppressed").await;
    let row = &list["suppressed"][0];
    assert_eq!(
        (&row["cache_key"], &row["reason"], row["until"].is_string()),
        (&json!(key), &json!("it goes next month"), true)
    );
    let mut planned = body.clone();
    planned["dry_run"] = true.into();
    for again in [body, planned] {
        assert_eq!(post(again).await.0, StatusCode::CONFLICT);
    }
    for wrong in [
        json!({"cache_key": ""}),
        json!({"cache_key": "k".repeat(1_001)}),
        json!({"cache_key": "a\u{0}b"}),
        json!({"cache_key": "k", "reason": "r".repeat(1_001)}),
        json!({"cache_key": "k", "for_s": 0}),
        json!({"cache_key": "k", "for_s": u64::MAX}),
        json!({}),
    ] {
        let (status, told) = post(wrong.clone()).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{wrong}: {told}");
    }

    let path = format!("/database/suppressed/{}", encoded(key));
    let show = async || ask(&admin, Method::DELETE, &path, None).await;
    let (status, shown) = show().await;
    assert_eq!((status, &shown["cache_key"]), (StatusCode::OK, &json!(key)));
    assert!(keys().await.contains(&key.to_owned()));
    assert_eq!(show().await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn who_may_only_look_is_told_what_it_takes_to_suppress() {
    require!(database, extension, statements);
    let database = testing::database();
    let role = format!("looks_on_{}", std::process::id());
    database.run(&[
        &format!("CREATE ROLE {role} LOGIN PASSWORD 'looks-on'"),
        &format!("SELECT pitcrew.grant_access('{role}', 'reader')"),
    ]);
    let (scheme, rest) = database.url.split_once("://").unwrap();
    let (_, place) = rest.split_once('@').unwrap();
    let url = format!("{scheme}://{role}:looks-on@{place}");
    let admin = router::admin(&url, |builder| builder);
    let body = Some(json!({"cache_key": "k"}));
    let (status, told) = ask(&admin, Method::POST, "/database/suppressed", body).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{told}");
    let detail = told["detail"].as_str().unwrap();
    assert!(detail.contains("'operator'"), "{detail}");
    database.run(&[
        &format!("DROP OWNED BY {role}"),
        &format!("DROP ROLE {role}"),
    ]);
}

#[tokio::test]
async fn what_came_of_an_index_is_told_by_its_use_and_by_times_before_and_since() {
    require!(database, extension, statements);
    let database = testing::database();
    router::workload(&database);
    let sample = [
        "SELECT pg_stat_force_next_flush()",
        "SELECT pitcrew.history_sample()",
    ];
    database.run(&sample);
    for _ in 0..20 {
        database.run(&[router::ASKED]);
    }
    database.run(&sample);
    let admin = router::admin(&database.url, |builder| builder);
    let none = get(&admin, "/database/indexes/built").await;
    assert_eq!(none["built"], json!([]), "{none}");
    let has_one = |_, told: &Value| told["suggestions"][0]["id"].is_string();
    let told = until(&admin, "/database/indexes", "nothing is suggested", has_one).await;
    let path = format!(
        "/database/indexes/{}/apply",
        encoded(told["suggestions"][0]["id"].as_str().unwrap())
    );
    let (status, submitted) = ask(&admin, Method::POST, &path, Some(json!({}))).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{submitted}");
    assert_eq!(ended(&admin, &submitted["job"]).await["state"], "done");
    for _ in 0..20 {
        database.run(&[router::ASKED]);
    }
    database.run(&sample);
    let is_known = |_, told: &Value| {
        let one = &told["built"][0];
        one["scans"].as_i64() > Some(0) && one["times"]["since_ms"].is_number()
    };
    let told = until(
        &admin,
        "/database/indexes/built",
        "nothing came of it",
        is_known,
    )
    .await;
    let one = &told["built"][0];
    assert!(one["times"]["before_ms"].is_number(), "{told}");
    assert_eq!(
        (&one["job"], &one["is_there"]),
        (&submitted["job"], &json!(true))
    );
    let index = one["index_name"].as_str().unwrap();
    database.run(&[&format!("DROP INDEX {index}")]);
    let told = get(&admin, "/database/indexes/built").await;
    assert_eq!(
        (
            &told["built"][0]["is_there"],
            &told["built"][0]["index_name"]
        ),
        (&json!(false), &json!(index))
    );
}

#[tokio::test]
async fn jobs_are_read_in_pages_that_what_comes_in_between_does_not_move() {
    require!(database, extension, statements);
    let database = testing::database();
    database.run(&["CREATE TABLE orders (id int)"]);
    let admin = router::admin(&database.url, |builder| builder);
    let submit = async || {
        let body = json!({"kind": "analyze", "target": "public.orders"});
        let (status, told) = ask(&admin, Method::POST, "/database/maintenance", Some(body)).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{told}");
        ended(&admin, &told["job"]).await["id"].as_i64().unwrap()
    };
    let mut submitted = Vec::new();
    for _ in 0..3 {
        submitted.push(submit().await);
    }
    let ids = |page: &Value| -> Vec<i64> {
        let jobs = page["jobs"].as_array().unwrap().iter();
        jobs.map(|job| job["id"].as_i64().unwrap()).collect()
    };
    let first = get(&admin, "/database/jobs?limit=2").await;
    assert_eq!(ids(&first), [submitted[2], submitted[1]]);
    submit().await;
    let cursor = first["next_cursor"].as_str().unwrap();
    let path = format!("/database/jobs?limit=2&cursor={cursor}");
    let second = get(&admin, &path).await;
    assert_eq!(
        (ids(&second), &second["next_cursor"]),
        (vec![submitted[0]], &Value::Null)
    );
    // What it costs the database is told too.
    let cost = get(&admin, "/config").await["cost"].clone();
    assert!(cost["asked_database_total"].as_u64() >= Some(10), "{cost}");
}
