//! Health, and a port of its own.

use pitcrew_admin::{Health, ServeError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::support::*;

async fn open(app: &Router, path: &str) -> Answer {
    send(
        app,
        request(Method::GET, &format!("/performance{path}"), None, None),
    )
    .await
}

#[tokio::test]
async fn components_are_told_to_those_who_may_look_and_live_asks_nobody() {
    let hub = std::sync::Arc::new(std::sync::Mutex::new(Health::Up));
    let probed = std::sync::Arc::clone(&hub);
    let (app, admin) = app(|builder| {
        builder
            .database("postgres://app@127.0.0.1:1/app")
            .needs_database(true)
            .probe("hub", move || *probed.lock().expect("free"))
    });
    let health = open(&app, "/health").await.json();
    assert_eq!(health, json!({"status": "DOWN"}), "no component is named");
    let known = read(&app, "/health").await;
    assert_eq!(
        known["components"],
        json!({"database": "DOWN", "cache": "UP", "memory": "UP", "hub": "UP"})
    );
    *hub.lock().expect("free") = Health::Degraded;
    assert_eq!(read(&app, "/health").await["components"]["hub"], "DEGRADED");
    let ready = open(&app, "/health/ready").await;
    assert_eq!(
        (ready.status, ready.json()),
        (StatusCode::SERVICE_UNAVAILABLE, json!({"status": "DOWN"}))
    );
    let live = open(&app, "/health/live").await;
    assert_eq!(
        (live.status, live.json()),
        (StatusCode::OK, json!({"status": "UP"}))
    );
    admin.shutdown(Duration::from_secs(1)).await;
}

#[tokio::test]
async fn who_ends_is_ready_no_longer() {
    let (app, admin) = app(|builder| builder);
    assert_eq!(open(&app, "/health/ready").await.status, StatusCode::OK);
    admin.shutdown(Duration::from_secs(1)).await;
    assert_eq!(
        open(&app, "/health/ready").await.status,
        StatusCode::SERVICE_UNAVAILABLE
    );
}

#[tokio::test]
async fn a_port_of_its_own_is_refused_beyond_loopback_without_a_token_and_ends_with_shutdown() {
    let bare = Admin::builder().build().expect("builds");
    let everywhere = "0.0.0.0:0".parse().expect("an address");
    let refused = bare.serve(everywhere).await.expect_err("refused");
    assert!(matches!(refused, ServeError::NoToken(_)), "{refused}");
    // A port that was free a moment ago.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("bound");
    let address = listener.local_addr().expect("an address");
    let taken = bare.serve(address).await.expect_err("taken");
    assert!(matches!(taken, ServeError::Listen(..)), "{taken}");
    drop(listener);
    let serving = tokio::spawn({
        let bare = bare.clone();
        async move { bare.serve(address).await }
    });
    let mut connection = loop {
        match tokio::net::TcpStream::connect(address).await {
            Ok(connection) => break connection,
            Err(_) => tokio::task::yield_now().await,
        }
    };
    let asked =
        format!("GET /performance/health HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    connection.write_all(asked.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    connection
        .read_to_string(&mut answer)
        .await
        .expect("an answer");
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.ends_with("{\"status\":\"UP\"}"),
        "{answer}"
    );
    bare.shutdown(Duration::from_secs(1)).await;
    serving.await.expect("no panic").expect("served to its end");
}

#[tokio::test]
async fn a15_the_configuration_is_shown_without_a_secret() {
    let (app, _admin) = app(|builder| builder.database("postgres://app:canary@127.0.0.1:1/app"));
    let config = ask(&app, Method::GET, "/config", None).await;
    for secret in ["canary", OPERATOR, READER] {
        assert!(!config.text.contains(secret), "{}", config.text);
    }
    assert_eq!(
        config.json()["access"]["holders"][1],
        json!({"name": "reader-2", "role": "reader"})
    );
}
