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
