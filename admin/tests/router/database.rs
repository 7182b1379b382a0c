//! The database and pools, as far as they need no server.

use super::support::*;
use pitcrew_admin::PoolGauges;

#[tokio::test]
async fn pools_are_shown_as_they_are() {
    let gauges = PoolGauges {
        max_connections: 4,
        direct: 90,
        waited: 10,
        wait_ms: 50.0,
        ..PoolGauges::default()
    };
    let (app, _admin) = app(|builder| builder.pool("app", move || gauges));
    let status = ask(&app, Method::GET, "/status", None).await.json();
    assert_eq!(status["pools"][0]["waited_percent"], 10.0);
    assert!(
        status["pools"][0]["advice"]
            .as_str()
            .expect("text")
            .contains("5.0 ms")
    );
}

#[tokio::test]
async fn pools_are_resized_where_they_can_be() {
    let (app, _admin) = app(|builder| builder.pool("fixed", PoolGauges::default));
    let post = async |path: &str, body: Value| ask(&app, Method::POST, path, Some(body)).await;
    let fixed = post(
        "/database/pools/fixed/resize",
        json!({"max_connections": 8}),
    )
    .await;
    assert_eq!(fixed.status, StatusCode::CONFLICT);
    assert!(fixed.text.contains(".swap_pool("), "{}", fixed.text);
    let none = post("/database/pools/none/resize", json!({"max_connections": 8})).await;
    assert_eq!(none.status, StatusCode::NOT_FOUND);
    let pools = read(&app, "/database/pools").await;
    assert_eq!(pools["pools"][0]["is_resizable"], false);
    let why = pools["advice"]["unavailable"].as_str().expect("why");
    assert!(why.contains(".database("), "{why}");
}
