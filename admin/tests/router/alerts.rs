//! History, alerts, and text for Prometheus.

use std::sync::{Arc, Mutex};

use pitcrew_admin::{Alert, AlertRule, PoolGauges};

use super::support::*;

/// A pool of which the test says how full it is.
pub(super) fn pool(builder: AdminBuilder, busy: &Arc<Mutex<u32>>) -> AdminBuilder {
    let busy = Arc::clone(busy);
    builder.pool("app", move || PoolGauges {
        max_connections: 10,
        connections: *busy.lock().expect("free"),
        ..PoolGauges::default()
    })
}

pub(super) async fn wait(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

fn rule<'a>(alerts: &'a Value, name: &str) -> &'a Value {
    let rules = alerts["rules"].as_array().expect("a list");
    rules
        .iter()
        .find(|rule| rule["name"] == name)
        .expect("a rule")
}

#[tokio::test(start_paused = true)]
async fn an_alert_is_pending_fires_starts_a_cycle_and_ends() {
    let busy = Arc::new(Mutex::new(1));
    let told = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&told);
    let (app, _admin) = app(|builder| {
        pool(builder, &busy)
            .without_alert("pool-waiting")
            // This process may well be busy.
            .without_alert("cpu")
            .without_alert("memory-rss")
            .alert(
                AlertRule::above("pool-exhausted", "pool_used_percent", 80.0)
                    .ends_at(50.0)
                    .lasting(Duration::from_secs(30)),
            )
            .alert_sink(move |alert: &Alert| {
                sink.lock()
                    .expect("free")
                    .push((alert.rule.clone(), alert.state));
            })
    });
    wait(5).await;
    let alerts = read(&app, "/alerts").await;
    assert_eq!(rule(&alerts, "pool-exhausted")["state"], "quiet");
    assert_eq!(
        rule(&alerts, "pool-exhausted")["threshold"],
        80.0,
        "the built-in one is replaced"
    );
    assert!(!alerts.to_string().contains("pool-waiting"));
    *busy.lock().expect("free") = 9;
    wait(5).await;
    let alerts = read(&app, "/alerts").await;
    assert_eq!(
        (&alerts["rules"][0]["name"], &alerts["rules"][0]["state"]),
        (&json!("pool-exhausted"), &json!("pending"))
    );
    wait(40).await;
    let alerts = read(&app, "/alerts").await;
    assert_eq!(
        (&alerts["firing"], &alerts["rules"][0]["state"]),
        (&json!(1), &json!("firing"))
    );
    assert_eq!(
        alerts["history"][0]["sentence"],
        "pool-exhausted fires: pool_used_percent is 90 %, at most 80 % wanted"
    );
    let cycles = read(&app, "/cycles").await;
    assert_eq!(cycles["cycles"][0]["trigger"], "alert", "{cycles}");
    *busy.lock().expect("free") = 6;
    wait(5).await;
    assert_eq!(read(&app, "/alerts").await["firing"], 1, "not yet well");
    *busy.lock().expect("free") = 5;
    wait(5).await;
    assert_eq!(read(&app, "/alerts").await["firing"], 0);
    *busy.lock().expect("free") = 9;
    wait(60).await;
    assert_eq!(read(&app, "/alerts").await["firing"], 1);
    let cycles = read(&app, "/cycles").await;
    assert_eq!(
        cycles["cycles"].as_array().expect("a list").len(),
        1,
        "once in five minutes"
    );
    let name = || "pool-exhausted".to_owned();
    assert_eq!(
        *told.lock().expect("free"),
        [(name(), "firing"), (name(), "resolved"), (name(), "firing")]
    );
    let marks = read(&app, "/history?step=second").await["marks"].to_string();
    assert!(marks.contains("pool-exhausted is well again"), "{marks}");
}

#[tokio::test(start_paused = true)]
async fn a_suppressed_rule_is_told_to_nobody_and_a_rule_can_be_tried() {
    let busy = Arc::new(Mutex::new(10));
    let (app, _admin) = app(|builder| pool(builder, &busy).alerts_start_cycles(false));
    let post = async |path: &str, body: Value| ask(&app, Method::POST, path, Some(body)).await;
    let suppressed = post("/alerts/pool-exhausted/suppress", json!({"for_s": 600})).await;
    assert!(
        suppressed.json()["suppressed_until"].is_string(),
        "{}",
        suppressed.text
    );
    wait(120).await;
    let alerts = read(&app, "/alerts").await;
    assert_eq!(
        (&alerts["firing"], &alerts["history"]),
        (&json!(1), &json!([]))
    );
    assert!(rule(&alerts, "pool-exhausted")["suppressed_until"].is_string());
    ask(
        &app,
        Method::DELETE,
        "/alerts/pool-exhausted/suppress",
        None,
    )
    .await;
    wait(2).await;
    let alerts = read(&app, "/alerts").await;
    let first = &alerts["history"][0];
    assert_eq!(
        (&first["rule"], &first["state"]),
        (&json!("pool-exhausted"), &json!("firing")),
        "it fires still, and nobody knows: {alerts}"
    );
    let dry = post("/alerts/cpu/test", json!({"dry_run": true})).await;
    assert_eq!(dry.json()["alert"]["state"], "test");
    let history = read(&app, "/alerts").await["history"].clone();
    assert!(!history.to_string().contains("is tried"), "{history}");
    post("/alerts/cpu/test", json!({})).await;
    let alerts = read(&app, "/alerts").await;
    assert_eq!(
        (
            &alerts["history"][0]["rule"],
            &alerts["history"][0]["state"]
        ),
        (&json!("cpu"), &json!("test"))
    );
    for path in ["/alerts/none/test", "/alerts/none/suppress"] {
        let answer = post(path, json!({"for_s": 1})).await;
        let wanted = if path.ends_with("test") {
            StatusCode::UNPROCESSABLE_ENTITY
        } else {
            StatusCode::NOT_FOUND
        };
        assert_eq!(answer.status, wanted, "{path}");
    }
    assert_eq!(
        post("/alerts/cpu/suppress", json!({"for_s": 0}))
            .await
            .status,
        StatusCode::UNPROCESSABLE_ENTITY
    );
}

#[test]
fn alerts_that_cannot_work_are_refused_when_building() {
    let error = builder()
        .alert(AlertRule::above("a", "nothing", 1.0))
        .build()
        .expect_err("refused");
    assert!(error.to_string().contains("response_p95_ms"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn figures_are_kept_by_the_second_and_by_the_minute() {
    let busy = Arc::new(Mutex::new(2));
    let (app, _admin) = app(|builder| pool(builder, &busy));
    wait(200).await;
    let seconds = read(
        &app,
        "/history?step=second&metric=pool_used_percent,cpu_percent",
    )
    .await;
    let points = seconds["at"].as_array().expect("a list").len();
    assert!((195..=202).contains(&points), "{points}");
    assert_eq!(seconds["series"][0]["metric"], "pool_used_percent");
    let values = seconds["series"][0]["mean"].as_array().expect("a list");
    assert_eq!(values.len(), points);
    assert!(values.iter().all(|value| *value == 20.0), "{values:?}");
    let minutes = read(&app, "/history?metric=pool_used_percent").await;
    assert_eq!(
        (&minutes["step_s"], &minutes["series"][0]["max"][0]),
        (&json!(60), &json!(20.0))
    );
    assert!(minutes["at"].as_array().expect("a list").len() >= 4);
    assert_eq!(minutes["marks"][0]["kind"], "start");
    let all = read(&app, "/history?step=hour").await;
    assert!(all["series"].as_array().expect("a list").len() > 20);
    let late = read(&app, "/history?step=second&since=2100-01-01T00:00:00Z").await;
    assert_eq!(late["at"], json!([]));
    for wrong in ["step=day", "metric=nothing", "since=then", "until="] {
        let answer = ask(&app, Method::GET, &format!("/history?{wrong}"), None).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{wrong}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_gauge_that_panics_is_counted_and_the_looking_goes_on() {
    let (app, _admin) = app(|builder| builder.pool("app", || panic!("canary")));
    wait(10).await;
    let text = ask(&app, Method::GET, "/metrics", None).await.text;
    let panics = text
        .lines()
        .find_map(|line| line.strip_prefix("pitcrew_admin_panics_total "));
    let panics: u64 = panics.expect("a counter").parse().expect("a number");
    assert!(panics >= 9, "{panics}");
}

#[tokio::test(start_paused = true)]
async fn a18_text_for_prometheus_has_each_family_once_and_no_series_from_outside() {
    let (app, _admin) = app(|builder| builder);
    visit(&app, "/items/1").await;
    wait(3).await;
    let accept = |kind: &str| {
        let request = request(Method::GET, "/performance/metrics", Some(READER), None);
        with(request, "accept", kind)
    };
    let series = |text: &str| text.lines().filter(|line| !line.starts_with('#')).count();
    let plain = send(&app, accept("*/*")).await;
    assert_eq!(
        plain.headers[header::CONTENT_TYPE],
        "text/plain; version=0.0.4; charset=utf-8"
    );
    let open = send(
        &app,
        accept("application/openmetrics-text;version=1.0.0,*/*;q=0.1"),
    )
    .await;
    assert!(
        open.headers[header::CONTENT_TYPE]
            .to_str()
            .expect("text")
            .starts_with("application/openmetrics-text")
    );
    assert!(open.text.ends_with("# EOF\n") && open.text.matches("# EOF").count() == 1);
    assert!(!plain.text.contains("# EOF"));
    for answer in [&plain, &open] {
        let mut families: Vec<_> = answer
            .text
            .lines()
            .filter(|line| line.starts_with("# TYPE "))
            .collect();
        let all = families.len();
        families.sort_unstable();
        families.dedup();
        assert_eq!(families.len(), all, "{}", answer.text);
        for wanted in [
            "http_server_request_duration_seconds",
            "pitcrew_memory_rss_mib ",
            "pitcrew_cache_misses_total 1",
        ] {
            assert!(answer.text.contains(wanted), "{wanted}: {}", answer.text);
        }
    }
    let before = series(&plain.text);
    for place in 0..1_000 {
        let odd = format!("/performance/nothing-{place}%22%0a");
        send(&app, request(Method::GET, &odd, Some(READER), None)).await;
    }
    assert_eq!(series(&send(&app, accept("*/*")).await.text), before);
}
