//! An admin router over a database, asked in this process as its operator.

#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "each test binary uses a part; a test ends where something unexpected happens"
)]

use std::time::{Duration, Instant};

use http::{Method, Request, StatusCode, header};
use http_body_util::BodyExt;
use pitcrew_admin::{Admin, AdminBuilder};
use serde_json::Value;
use tower::ServiceExt;

pub(crate) const TOKEN: &str = "operator-token-of-this-test";
/// Longest wait for something that has to happen: a bug, not a slow machine, takes longer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// The pause between two looks at something that has to happen.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A table whose statements have use for an index.
pub(crate) const TABLE: &str = "CREATE TABLE orders AS SELECT n AS id, n % 1000 AS customer, repeat('x', 100) AS note \
                                FROM generate_series(1, 20000) AS n";
pub(crate) const ASKED: &str = "SELECT count(*) FROM orders WHERE customer = 7";

/// An admin router on one database.
pub(crate) fn admin(url: &str, configure: impl FnOnce(AdminBuilder) -> AdminBuilder) -> Admin {
    let builder = Admin::builder().operator_token(TOKEN).database(url);
    configure(builder).build().unwrap()
}

pub(crate) async fn ask(
    admin: &Admin,
    method: Method,
    path: &str,
    body: Option<Value>,
) -> (StatusCode, Value) {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, "localhost")
        .header(header::AUTHORIZATION, format!("Bearer {TOKEN}"))
        .header(header::CONTENT_TYPE, "application/json");
    let body = body.map_or_else(String::new, |body| body.to_string());
    let request = request.body(axum::body::Body::from(body)).unwrap();
    let response = admin.router().oneshot(request).await.unwrap();
    let status = response.status();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    (
        status,
        serde_json::from_slice(&bytes).unwrap_or(Value::Null),
    )
}

/// What a `GET` answers, whatever its status.
pub(crate) async fn get(admin: &Admin, path: &str) -> Value {
    ask(admin, Method::GET, path, None).await.1
}

/// Asks until the answer is what it should be; `what` says what never came.
pub(crate) async fn until(
    admin: &Admin,
    path: &str,
    what: &str,
    is_it: impl Fn(StatusCode, &Value) -> bool,
) -> Value {
    let begin = Instant::now();
    loop {
        let (status, told) = ask(admin, Method::GET, path, None).await;
        if is_it(status, &told) {
            return told;
        }
        assert!(begin.elapsed() < PATIENCE, "{what}: {status} {told}");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Runs a cycle and answers its report.
pub(crate) async fn cycle(admin: &Admin, body: Value) -> Value {
    let (status, started) = ask(admin, Method::POST, "/optimize", Some(body)).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{started}");
    let path = started["follow"].as_str().unwrap().to_owned();
    until(admin, &path, "the cycle does not end", |status, _| {
        status == StatusCode::OK
    })
    .await
}

/// A job once it has ended.
pub(crate) async fn ended(admin: &Admin, job: &Value) -> Value {
    let path = format!("/database/jobs/{job}");
    until(admin, &path, "the job does not end", |_, told| {
        let state = told["state"].as_str();
        !matches!(state, Some("queued" | "waiting_for_lock" | "running"))
    })
    .await
}

/// One of the steps or parts of a cycle's report.
pub(crate) fn step<'a>(report: &'a Value, list: &str, name: &str) -> &'a Value {
    let steps = report[list].as_array().unwrap();
    steps.iter().find(|step| step["name"] == name).unwrap()
}

/// Gives the server a workload that an index would help.
pub(crate) fn workload(database: &pitcrew_stack::testing::TestDatabase) {
    database.run(&[TABLE, "ANALYZE orders"]);
    for _ in 0..20 {
        database.run(&[ASKED]);
    }
}
