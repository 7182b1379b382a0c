//! Scenarios side by side: each as if it ran alone, and the whole as their sum.

#![cfg(feature = "reports")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Instant, SystemTime};

use pitcrew_load::{
    AnyTarget, ErrorKind, Model, Plan, Results, Run, RunState, Target, merge, start_plan,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// When requests came, by path.
type Seen = Arc<Mutex<BTreeMap<String, Vec<Instant>>>>;

fn note(seen: &Seen, path: String) {
    let mut seen = seen.lock().expect("no panic");
    seen.entry(path).or_default().push(Instant::now());
}

/// Answers all but `/bad` well.
async fn server() -> (String, Seen) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let seen = Seen::default();
    let told = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let seen = Arc::clone(&seen);
            tokio::spawn(async move {
                let mut buffer = [0; 4_096];
                while let Ok(read @ 1..) = stream.read(&mut buffer).await {
                    // A request comes in one piece.
                    let text = String::from_utf8_lossy(&buffer[..read]);
                    let path = text.split(' ').nth(1).unwrap_or_default().to_owned();
                    let status = if path == "/bad" { "503 Busy" } else { "200 OK" };
                    note(&seen, path);
                    let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 2\r\n\r\nok");
                    if stream.write_all(answer.as_bytes()).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    (format!("http://{address}"), told)
}

fn plan(target: &str) -> Plan {
    let text = r#"{
        "thresholds": ["rate > 0/s"],
        "scenarios": [
            {"name": "browse", "target": "TARGET", "thresholds": ["error_rate < 1%"],
             "http": {"path": "/browse", "requests": 61, "connections": 6}},
            {"name": "fail", "target": "TARGET", "start_s": 0.3, "thresholds": ["error_rate < 1%"],
             "http": {"path": "/bad", "connections": 6, "open": {"stages": [{"duration_s": 0.5, "rate_per_s": 100}]}}},
            {"name": "visit", "target": "TARGET",
             "http": {"requests": 10, "connections": 3, "steps": [{"path": "/one"}, {"path": "/two"}]}}
        ]
    }"#;
    serde_json::from_str(&text.replace("TARGET", target)).expect("a plan")
}

fn targets(target: &str) -> Vec<AnyTarget> {
    let target = Target::resolve(target).expect("resolves");
    vec![target.into(); 3]
}

async fn run(plan: &Plan, target: &str) -> (Run, Results) {
    let began = SystemTime::now();
    let run = start_plan("7", plan, &targets(target))
        .await
        .expect("a plan");
    assert!(Results::of_run(&run, plan, &targets(target), began).is_none());
    run.finished().await;
    let results = Results::of_run(&run, plan, &targets(target), began).expect("ended");
    (run, results)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_scenario_is_counted_for_itself_and_all_of_them_together() {
    let (target, seen) = server().await;
    let begin = Instant::now();
    let (run, results) = run(&plan(&target), &target).await;
    let seen = seen.lock().expect("no panic");
    for (path, count) in [("/browse", 61), ("/bad", 50), ("/one", 10), ("/two", 10)] {
        assert_eq!(seen[path].len(), count, "{path}");
    }
    // None of them before its time.
    assert!(seen["/bad"][0] >= begin + std::time::Duration::from_millis(300));
    let [browse, fail, visit] = &results.scenarios[..] else {
        panic!("{}", results.scenarios.len());
    };
    assert_eq!((browse.report.requests, browse.report.ok), (61, 61));
    assert_eq!(browse.report.model, Model::Closed);
    assert_eq!(fail.report.errors, [(ErrorKind::Status, 50)].into());
    assert_eq!((fail.report.model, fail.report.due), (Model::Open, 50));
    assert_eq!((&*fail.name, fail.start_s), ("fail", 0.3));
    let steps: Vec<_> = visit.report.steps.iter().collect();
    assert_eq!((&*steps[1].name, steps[1].requests), ("GET /two", 10));
    let whole = &results.report;
    assert_eq!((whole.requests, whole.ok), (131, 81));
    assert_eq!(
        (whole.model, whole.due, whole.missed),
        (Model::Mixed, 50, 0)
    );
    assert_eq!(whole.errors, [(ErrorKind::Status, 50)].into());
    assert_eq!(whole.statuses, [(200, 81), (503, 50)].into());
    assert_eq!(whole.response.count, 81);
    assert_eq!(whole.service.count, 81);
    assert_eq!(whole.connections.connected, {
        let all = results.scenarios.iter();
        all.map(|one| one.report.connections.connected).sum::<u64>()
    });
    let max_ms = results
        .scenarios
        .iter()
        .map(|one| one.report.response.max_ms);
    assert_eq!(whole.response.max_ms, max_ms.fold(0.0, f64::max));
    let seconds = whole.intervals.iter();
    assert_eq!(seconds.map(|second| second.ok).sum::<u64>(), 81);
    // Thresholds are of each scenario, and of the whole.
    assert!(results.verdicts()[0].holds && browse.verdicts()[0].holds);
    assert!(!fail.verdicts()[0].holds && !results.hold());
    assert_eq!(run.due(), 50);
    assert!(run.set_rate(5.0).is_err() && run.set_users(1).is_err());
    // Every form tells of each.
    assert_eq!(Results::read(&results.json()).expect("read"), results);
    for form in [results.html(), results.markdown()] {
        for name in ["browse", "fail", "visit"] {
            assert!(form.contains(&format!("Scenario {name}")), "{form}");
        }
    }
    let junit = results.junit();
    assert!(
        junit.contains("tests=\"4\" failures=\"1\"") && junit.contains("\"thresholds.fail\""),
        "{junit}"
    );
    assert!(results.hdr_log().contains("Tag=browse,"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_parts_of_a_plan_with_scenarios_are_the_plan() {
    let (target, seen) = server().await;
    let mut parts = Vec::new();
    for part in ["1/3", "2/3", "3/3"] {
        let plan = plan(&target).part(part.parse().expect("a part"));
        let (_, results) = run(&plan, &target).await;
        // Through a file, as parts come.
        let read = Results::read(&results.json()).expect("read");
        assert_eq!(read, results);
        parts.push((part.to_owned(), read));
    }
    let whole = merge(&parts).expect("merged");
    assert_eq!(whole.report.requests, 131);
    assert_eq!(seen.lock().expect("no panic")["/bad"].len(), 50);
    let counts = whole.scenarios.iter().map(|one| one.report.requests);
    let counts: Vec<_> = counts.collect();
    assert_eq!(counts, [61, 50, 20]);
    assert_eq!(whole.scenarios[2].report.steps[0].requests, 10);
    assert_eq!(whole.scenarios[1].report.due, 50);
    assert_eq!(whole.parts.numbers, [1, 2, 3]);
    assert_eq!(Results::read(&whole.json()).expect("read"), whole);
    parts[1].1.scenarios.pop();
    assert!(merge(&parts).is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_ends_all_of_them_also_one_that_has_not_begun() {
    let (target, seen) = server().await;
    let mut plan = plan(&target);
    if let Some(http) = &mut plan.scenarios[0].http {
        http.load.requests = None;
    }
    plan.scenarios[1].start_s = 500.0;
    let run = start_plan("7", &plan, &targets(&target))
        .await
        .expect("a plan");
    // It is under way.
    while run.progress().finished == 0 {
        tokio::task::yield_now().await;
    }
    run.cancel();
    let report = run.finished().await;
    assert!(report.cancelled && report.requests > 0);
    for (name, run) in run.scenarios() {
        assert_eq!(run.state(), RunState::Finished, "{name}");
    }
    let begun = run.scenarios()[1].1.report().expect("ended");
    assert_eq!((begun.requests, begun.elapsed_s), (0, 0.0));
    assert!(!seen.lock().expect("no panic").contains_key("/bad"));
}

#[tokio::test]
async fn what_is_no_file_of_scenarios_is_refused() {
    let (target, _) = server().await;
    let (_, results) = run(&plan(&target), &target).await;
    let mut told: serde_json::Value = serde_json::from_str(&results.json()).expect("JSON");
    let read = |told: &serde_json::Value| {
        Results::read(&told.to_string())
            .expect_err("refused")
            .to_string()
    };
    let mut deep = told.clone();
    deep["scenarios"][0]["scenarios"] = serde_json::json!([told["scenarios"][1]]);
    assert!(read(&deep).contains("scenarios[0].scenarios stand in no scenario"));
    let mut many = told.clone();
    many["scenarios"] = vec![told["scenarios"][1].clone(); 11].into();
    assert!(read(&many).contains("want at most 10"));
    let mut wrong = told.clone();
    wrong["scenarios"][2]["report"]["steps"][0]["errors"] = serde_json::json!({"status": 1});
    assert!(
        read(&wrong).contains("scenarios[2].report.steps[0].errors"),
        "{}",
        read(&wrong)
    );
    told["scenarios"].as_array_mut().expect("a list").pop();
    assert!(read(&told).contains("scenarios count other requests than the whole has"));
}

#[tokio::test]
async fn a_target_of_another_kind_or_number_is_refused() {
    let (target, seen) = server().await;
    let plan = plan(&target);
    let two = &targets(&target)[..2];
    let error = start_plan("7", &plan, two).await.expect_err("refused");
    assert_eq!(error.field, "target");
    #[cfg(feature = "postgres")]
    {
        let database = pitcrew_load::PostgresTarget::anywhere("postgres://a@127.0.0.1/b");
        let mut targets = targets(&target);
        targets[1] = database.expect("a target").into();
        let error = start_plan("7", &plan, &targets).await.expect_err("refused");
        assert_eq!(error.field, "scenarios[1].target");
    }
    assert!(seen.lock().expect("no panic").is_empty());
}
