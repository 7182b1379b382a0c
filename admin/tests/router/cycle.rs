//! The cycle: its steps, its schedule, its pauses and its end.

use super::support::*;

/// The report of a cycle, once it is there.
async fn report(app: &Router, id: &Value) -> Value {
    loop {
        let answer = ask(app, Method::GET, &format!("/cycles/{id}"), None).await;
        if answer.status == StatusCode::OK {
            return answer.json();
        }
        tokio::task::yield_now().await;
    }
}

fn states(steps: &Value) -> Vec<&str> {
    let steps = steps.as_array().expect("a list").iter();
    steps
        .map(|step| step["state"].as_str().expect("a state"))
        .collect()
}

#[tokio::test]
async fn a_cycle_runs_on_request_and_its_report_can_be_read() {
    let (app, admin) = app(|builder| builder);
    for wrong in [json!({"steps": ["observ"]}), json!({"parts": ["caches"]})] {
        let unknown = ask(&app, Method::POST, "/optimize", Some(wrong)).await;
        assert_eq!(unknown.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(unknown.text.contains("there are: "), "{}", unknown.text);
    }
    let parts = json!({"parts": ["cache", "memory"]});
    let started = ask(&app, Method::POST, "/optimize", Some(parts)).await;
    assert_eq!(started.status, StatusCode::ACCEPTED);
    assert_eq!(started.headers[header::LOCATION], "cycles/1");
    let report = report(&app, &started.json()["cycle"]).await;
    assert_eq!(
        states(&report["parts"]),
        ["skipped", "done", "done", "skipped"]
    );
    assert_eq!(
        states(&report["steps"]),
        ["done", "done", "done", "skipped", "skipped", "done"],
        "{report}"
    );
    let steps = json!({"steps": ["observe"], "dry_run": true});
    let started = ask(&app, Method::POST, "/optimize", Some(steps))
        .await
        .json();
    let second = self::report(&app, &started["cycle"]).await;
    assert_eq!(states(&second["steps"])[1..], ["skipped"; 5]);
    let page = read(&app, "/cycles?limit=1").await;
    assert_eq!(
        (&page["cycles"][0]["id"], &page["next_cursor"]),
        (&json!(2), &json!("2"))
    );
    let rest = read(&app, "/cycles?cursor=2").await;
    assert_eq!(
        (&rest["cycles"][0]["id"], &rest["next_cursor"]),
        (&json!(1), &Value::Null)
    );
    let marks = read(&app, "/history").await["marks"].to_string();
    assert!(marks.contains("cycle 1: "), "{marks}");
    admin.shutdown(Duration::from_secs(1)).await;
    let late = ask(&app, Method::POST, "/optimize", None).await;
    assert_eq!(late.status, StatusCode::CONFLICT, "everything has ended");
}

#[tokio::test(start_paused = true)]
async fn the_cycle_runs_by_itself_waits_while_paused_and_ends_with_shutdown() {
    let (app, admin) = app(|builder| builder.cycle_interval(Duration::from_secs(60)));
    let count = async || {
        read(&app, "/cycles").await["cycles"]
            .as_array()
            .expect("cycles")
            .len()
    };
    tokio::time::sleep(Duration::from_secs(190)).await;
    let reports = read(&app, "/cycles").await;
    let cycles = reports["cycles"].as_array().expect("cycles");
    assert_eq!(cycles.len(), 3);
    assert!(cycles.iter().all(|cycle| cycle["trigger"] == "schedule"));
    let pause = Some(json!({"for_s": 3600}));
    let paused = ask(&app, Method::POST, "/cycles/pause", pause).await;
    assert!(paused.json()["paused_until"].is_string(), "{}", paused.text);
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(count().await, 3);
    ask(&app, Method::DELETE, "/cycles/pause", None).await;
    tokio::time::sleep(Duration::from_secs(130)).await;
    assert!(count().await >= 4);
    admin.shutdown(Duration::from_secs(1)).await;
    let ended = count().await;
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(count().await, ended);
    for wrong in [json!({}), json!({"for_s": 0}), json!({"for_s": 1e9})] {
        let answer = ask(&app, Method::POST, "/cycles/pause", Some(wrong)).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    }
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
        let reports = read(&app, "/cycles").await;
        assert_eq!(reports["cycles"].as_array().expect("cycles").len(), 1);
    });
}
