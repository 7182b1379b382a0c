//! The cycle.

use super::support::*;

#[tokio::test]
async fn a_cycle_runs_on_request_and_its_report_can_be_read() {
    let (app, admin) = app(|builder| builder);
    let unknown = ask(
        &app,
        Method::POST,
        "/optimize",
        Some(json!({"steps": ["caches"]})),
    )
    .await;
    assert_eq!(unknown.status, StatusCode::UNPROCESSABLE_ENTITY);
    let started = ask(
        &app,
        Method::POST,
        "/optimize",
        Some(json!({"steps": ["cache", "memory"]})),
    )
    .await;
    assert_eq!(started.status, StatusCode::ACCEPTED);
    let report = loop {
        let reports = ask(&app, Method::GET, "/optimize", None).await.json();
        if let Some(report) = reports["cycles"].get(0) {
            break report.clone();
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(report["id"], started.json()["cycle"]);
    let states: Vec<_> = report["steps"]
        .as_array()
        .expect("steps")
        .iter()
        .map(|step| step["state"].clone())
        .collect();
    assert_eq!(states, ["skipped", "done", "done", "skipped"]);
    admin.shutdown(Duration::from_secs(1)).await;
}

#[tokio::test(start_paused = true)]
async fn the_cycle_runs_by_itself_and_ends_with_shutdown() {
    let (app, admin) = app(|builder| builder.cycle_interval(Duration::from_secs(60)));
    tokio::time::sleep(Duration::from_secs(190)).await;
    let reports = ask(&app, Method::GET, "/optimize", None).await.json();
    let cycles = reports["cycles"].as_array().expect("cycles");
    assert_eq!(cycles.len(), 3);
    assert!(cycles.iter().all(|cycle| cycle["trigger"] == "schedule"));
    admin.shutdown(Duration::from_secs(1)).await;
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(
        ask(&app, Method::GET, "/optimize", None).await.json()["cycles"]
            .as_array()
            .expect("cycles")
            .len(),
        3
    );
}

#[test]
fn a_cycle_goes_on_in_a_new_runtime_when_the_old_one_has_died() {
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .expect("built")
    };
    let first = runtime();
    let (app, _admin) =
        first.block_on(async { app(|builder| builder.cycle_interval(Duration::from_secs(60))) });
    drop(first);
    runtime().block_on(async {
        ask(&app, Method::GET, "/status", None).await;
        tokio::time::sleep(Duration::from_secs(70)).await;
        let reports = ask(&app, Method::GET, "/optimize", None).await.json();
        assert_eq!(reports["cycles"].as_array().expect("cycles").len(), 1);
    });
}
