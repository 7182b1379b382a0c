//! What the target tells of itself, beside what it answers.

#![cfg(feature = "reports")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::SystemTime;

use pitcrew_load::{Figures, HttpPlan, Load, Results, Run, Target, merge, start};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

async fn started() -> (Run, HttpPlan) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
                while let Ok(1..) = stream.read(&mut [0; 4_096]).await {
                    let _ = stream.write_all(answer).await;
                }
            });
        }
    });
    let target = Target::resolve(&format!("http://{address}")).expect("resolves");
    let plan = HttpPlan {
        load: Load {
            connections: Some(1),
            duration_s: Some(1.2),
            ..Load::default()
        },
        ..HttpPlan::default()
    };
    (start("7", &plan, &target).expect("starts"), plan)
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_stand_in_each_second_and_in_all_forms() {
    let (run, plan) = started().await;
    let asked = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&asked);
    let observer = move |figures: &mut Figures| {
        count.fetch_add(1, Relaxed);
        figures.set("memory_mb", 7.5);
        figures.set("<b>", 2.0);
        figures.set("ratio", f64::INFINITY);
    };
    run.observe(observer).expect("one");
    let again = run.observe(|_: &mut Figures| {}).expect_err("refused");
    assert_eq!(again.field, "observer");
    let report = run.finished().await.clone();
    let asked = asked.load(Relaxed);
    assert!(asked > 0);
    let first = &report.intervals[0].observed;
    assert_eq!(
        (first["memory_mb"], first["<b>"], first.len()),
        (7.5, 2.0, 2)
    );
    assert!((1..=asked).contains(&report.observed_dropped));
    let results = Results::new("a", &plan, SystemTime::now(), report);
    let read = Results::read(&results.json()).expect("read");
    assert_eq!(read, results);
    assert_eq!(
        merge(&[("a".to_owned(), read)])
            .expect("merged")
            .report
            .intervals,
        results.report.intervals
    );
    let page = results.html();
    assert!(page.contains("The target: memory_mb") && page.contains("The target: &lt;b&gt;"));
    let many: serde_json::Map<_, _> = (0..33).map(|n| (n.to_string(), 1.into())).collect();
    let mut told: serde_json::Value = serde_json::from_str(&results.json()).expect("JSON");
    told["report"]["intervals"][0]["observed"] = many.into();
    let error = Results::read(&told.to_string())
        .expect_err("refused")
        .to_string();
    assert!(error.starts_with("report.intervals[0].observed"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_observer_that_panics_ends_and_the_run_goes_on() {
    let (run, _) = started().await;
    run.observe(|_: &mut Figures| panic!("as asked"))
        .expect("one");
    let report = run.finished().await;
    assert_eq!(report.observed_dropped, 1);
    assert!(report.ok > 0 && report.errors.is_empty());
}
