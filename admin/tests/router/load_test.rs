//! Load tests of this app.

use super::support::*;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

#[tokio::test(flavor = "multi_thread")]
async fn l1_l3_a_load_test_loads_this_app_alone_and_one_at_a_time() {
    static VISITS: AtomicUsize = AtomicUsize::new(0);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("bound");
    let own = format!("http://{}", listener.local_addr().expect("an address"));
    let target = Router::new().route(
        "/",
        get(|| async { VISITS.fetch_add(1, Relaxed).to_string() }),
    );
    tokio::spawn(async move { axum::serve(listener, target).await });

    let (app, admin) = app(|builder| builder.self_address(&own));
    let foreign = ask(
        &app,
        Method::POST,
        "/load-test",
        Some(json!({"target": "http://127.0.0.1:1"})),
    )
    .await;
    assert_eq!(foreign.status, StatusCode::FORBIDDEN);
    let wrong = ask(
        &app,
        Method::POST,
        "/load-test",
        Some(json!({"plan": {"connections": 0}})),
    )
    .await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(wrong.text.contains("plan.connections"), "{}", wrong.text);
    let dry = ask(
        &app,
        Method::POST,
        "/load-test",
        Some(json!({"dry_run": true})),
    )
    .await;
    assert_eq!(
        (dry.status, dry.json()["id"].clone()),
        (StatusCode::OK, Value::Null)
    );
    assert_eq!(VISITS.load(Relaxed), 0, "nothing was sent so far");

    let plan = json!({"plan": {"duration_s": 600.0, "connections": 2}});
    let started = ask(&app, Method::POST, "/load-test", Some(plan.clone())).await;
    assert_eq!(started.status, StatusCode::ACCEPTED);
    let second = ask(&app, Method::POST, "/load-test", Some(plan)).await;
    assert_eq!(second.status, StatusCode::CONFLICT);
    let path = format!(
        "/load-test/{}",
        started.json()["id"].as_str().expect("an id")
    );
    while VISITS.load(Relaxed) == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(
        ask(&app, Method::DELETE, &path, None).await.status,
        StatusCode::OK
    );
    let run = loop {
        let run = ask(&app, Method::GET, &path, None).await.json();
        if run["state"] == "finished" {
            break run;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    assert_eq!(run["report"]["cancelled"], true);
    assert!(run["report"]["ok"].as_u64().expect("a count") > 0);
    admin.shutdown(Duration::from_secs(1)).await;
}
