//! Load tests of this app.

use super::support::*;
use pitcrew_admin::{Health, load::Ceilings};
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
        Some(json!({"target": "http://127.0.0.1:1", "plan": {}})),
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
        Some(json!({"plan": {}, "dry_run": true})),
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
    // What would be done is not asked of DELETE, and what looks like it is refused before it is done.
    let dry = ask(&app, Method::DELETE, &path, Some(json!({"dry_run": true}))).await;
    assert_eq!(dry.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", dry.text);
    assert_eq!(read(&app, &path).await["state"], "running");
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

/// An app that answers `pong`, and a router for which it is this app.
async fn tested() -> (Router, Admin, String) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("bound");
    let own = format!("http://{}", listener.local_addr().expect("an address"));
    let target = Router::new().route("/", get(|| async { "pong" }));
    tokio::spawn(async move { axum::serve(listener, target).await });
    let (app, admin) = app(|builder| builder.self_address(&own));
    (app, admin, own)
}

async fn post(app: &Router, body: Value) -> Answer {
    ask(app, Method::POST, "/load-test", Some(body)).await
}

/// The end of a run that was started.
async fn ended(app: &Router, started: &Answer) -> Value {
    assert_eq!(started.status, StatusCode::ACCEPTED, "{}", started.text);
    let id = started.json()["id"].as_str().expect("an id").to_owned();
    loop {
        let run = read(app, &format!("/load-test/{id}")).await;
        if run["state"] == "finished" {
            return run["report"].clone();
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn scenarios_run_side_by_side_and_the_app_tells_of_itself_meanwhile() {
    let (app, admin, own) = tested().await;
    let one = json!({"connections": 1, "requests": 5});
    let started = post(
        &app,
        json!({"plan": {"scenarios": [
            {"name": "here", "http": one},
            {"name": "there", "target": own, "http": {"connections": 1, "duration_s": 3.0}},
        ]}}),
    )
    .await;
    let report = ended(&app, &started).await;
    assert!(report["ok"].as_u64().expect("a count") > 5, "{report}");
    let intervals = report["intervals"].as_array().expect("seconds");
    let told = intervals
        .iter()
        .any(|second| second["observed"]["memory_rss_mib"].as_f64() > Some(0.0));
    assert!(told, "{report}");
    assert_eq!(report.get("observed_dropped"), None);
    admin.shutdown(Duration::from_secs(1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_plan_goes_to_this_app_and_says_what_it_met() {
    let (app, admin, _) = tested().await;
    let started = post(
        &app,
        json!({"plan": {"websocket": {"connections": 1, "requests": 1, "duration_s": 10}}}),
    )
    .await;
    let report = ended(&app, &started).await;
    // It answers, and speaks no WebSocket.
    assert_eq!(report["ok"], 0, "{report}");
    assert!(report["errors"]["protocol"].as_u64() > Some(0), "{report}");
    admin.shutdown(Duration::from_secs(1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn l1_no_part_of_a_plan_goes_beyond_the_list_and_none_to_a_database() {
    let (app, admin, _) = tested().await;
    let foreign = "127.0.0.1:1";
    let http = json!({"connections": 1, "requests": 1});
    for (plan, status, says) in [
        (
            json!({"target": format!("http://{foreign}"), "http": http}),
            StatusCode::FORBIDDEN,
            "not an allowed target",
        ),
        (
            json!({"target": format!("ws://{foreign}"), "websocket": {}}),
            StatusCode::FORBIDDEN,
            "not an allowed target",
        ),
        (
            json!({"scenarios": [
                {"name": "a", "http": http},
                {"name": "b", "target": format!("http://{foreign}"), "http": http},
            ]}),
            StatusCode::FORBIDDEN,
            "not an allowed target",
        ),
        (
            json!({"target": "postgres://u:secret@127.0.0.1/db", "postgres": {}}),
            StatusCode::FORBIDDEN,
            "plan.postgres",
        ),
        (
            json!({"scenarios": [{"name": "a", "postgres": {"sql": "COMMIT; DELETE FROM t"}}]}),
            StatusCode::FORBIDDEN,
            "plan.scenarios[0].postgres",
        ),
        (
            json!({"http": http, "websocket": {}}),
            StatusCode::UNPROCESSABLE_ENTITY,
            "plan.websocket",
        ),
        (
            json!({"scenarios": [{"name": "a", "http": {"connections": 0}}]}),
            StatusCode::UNPROCESSABLE_ENTITY,
            "plan.scenarios[0].http.connections",
        ),
        (
            json!({"http": http, "thresholds": ["p98 < 500ms"]}),
            StatusCode::UNPROCESSABLE_ENTITY,
            "plan.thresholds[0]: `p98 < 500ms` is no threshold",
        ),
        (
            json!({"http": {"duration_s": 1}, "thresholds": ["p99 < 1s over 2s"]}),
            StatusCode::UNPROCESSABLE_ENTITY,
            "plan.thresholds[0]: wants 2 s on end",
        ),
        (
            json!({"http": http, "colour": "red"}),
            StatusCode::UNPROCESSABLE_ENTITY,
            "colour",
        ),
    ] {
        let refused = post(&app, json!({"plan": plan})).await;
        assert_eq!(refused.status, status, "{plan}: {}", refused.text);
        assert!(refused.text.contains(says), "{plan}: {}", refused.text);
        assert!(!refused.text.contains("secret"), "{}", refused.text);
    }
    assert_eq!(read(&app, "/load-test").await["runs"], json!([]));
    admin.shutdown(Duration::from_secs(1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn l3_no_scenario_asks_for_more_than_the_ceilings() {
    let low = Ceilings::default()
        .connections(8)
        .rate_per_s(50.0)
        .seconds(5.0);
    let (app, admin) = app(|builder| {
        builder
            .self_address("http://127.0.0.1:1")
            .load_ceilings(low)
    });
    let stage = |rate: f64| json!({"stages": [{"duration_s": 1, "rate_per_s": rate}]});
    let low = json!({"connections": 1, "duration_s": 1});
    for (plan, field, ceiling) in [
        (json!({"connections": 9}), "plan.connections", "8"),
        (json!({"duration_s": 6}), "plan.duration_s", "5"),
        (
            json!({"open": stage(51.0)}),
            "plan.open.stages[0].rate_per_s",
            "50",
        ),
        (
            json!({"http": {"connections": 9}}),
            "plan.http.connections",
            "8",
        ),
        (
            json!({"websocket": {"open": stage(51.0)}}),
            "plan.websocket.open.stages[0].rate_per_s",
            "50",
        ),
        (
            json!({"websocket": {"connections": 1, "idle": 8}}),
            "plan.websocket.idle",
            "8",
        ),
        (
            json!({"scenarios": [{"name": "a", "http": low}, {"name": "b", "websocket": {"duration_s": 6}}]}),
            "plan.scenarios[1].websocket.duration_s",
            "5",
        ),
        (
            json!({"scenarios": [{"name": "a", "http": {"connections": 5}}, {"name": "b", "http": {"connections": 4}}]}),
            "plan.scenarios",
            "8",
        ),
    ] {
        let refused = post(&app, json!({"plan": plan, "dry_run": true})).await;
        assert_eq!(
            refused.status,
            StatusCode::UNPROCESSABLE_ENTITY,
            "{plan}: {}",
            refused.text
        );
        let says = refused.json()["detail"]
            .as_str()
            .expect("a detail")
            .to_owned();
        let wanted = format!("at most {ceiling} ");
        assert!(
            says.starts_with(&format!("{field}: ")) && says.contains(&wanted),
            "{plan}: {says}"
        );
    }
    for plan in [
        json!({}),
        json!({"open": stage(50.0)}),
        json!({"scenarios": [{"name": "a", "http": low}, {"name": "b", "websocket": {"open": stage(50.0)}}]}),
    ] {
        let taken = post(&app, json!({"plan": plan, "dry_run": true})).await;
        assert_eq!(taken.status, StatusCode::OK, "{plan}: {}", taken.text);
    }
    admin.shutdown(Duration::from_secs(1)).await;
    let refused = builder()
        .load_ceilings(Ceilings::default().seconds(601.0))
        .build();
    let says = refused.expect_err("refused").to_string();
    assert!(
        says.contains("seconds: wants more than 0 and at most 600"),
        "{says}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_that_is_down_is_not_loaded() {
    let health = std::sync::Arc::new(std::sync::Mutex::new(Health::Down));
    let probed = std::sync::Arc::clone(&health);
    let (app, admin) = app(|builder| {
        builder
            .self_address("http://127.0.0.1:1")
            .probe("hub", move || *probed.lock().expect("free"))
    });
    let refused = post(&app, json!({"plan": {}, "dry_run": true})).await;
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(refused.text.contains("DOWN"), "{}", refused.text);
    *health.lock().expect("free") = Health::Degraded;
    let taken = post(&app, json!({"plan": {}, "dry_run": true})).await;
    assert_eq!(taken.status, StatusCode::OK, "{}", taken.text);
    admin.shutdown(Duration::from_secs(1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_left_out_of_the_response_times_and_its_secret_is_shown_nowhere() {
    use pitcrew::LatencyLayer;
    use pitcrew::latency::LOAD_RUN_HEADER;
    use std::sync::Mutex;

    assert_eq!(LOAD_RUN_HEADER, pitcrew_admin::load::RUN_HEADER);
    static MARK: Mutex<Option<String>> = Mutex::new(None);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("bound");
    let own = format!("http://{}", listener.local_addr().expect("an address"));
    let (layer, latency) = LatencyLayer::builder().leave_out_load_tests(true).build();
    let (counting, all) = LatencyLayer::builder().build();
    let remember = |headers: http::HeaderMap| async move {
        if let Some(mark) = headers.get(LOAD_RUN_HEADER) {
            let text = mark.to_str().expect("text").to_owned();
            *MARK.lock().expect("free") = Some(text);
        }
        "pong"
    };
    let target = Router::new()
        .route("/", get(remember))
        .layer(layer)
        .layer(counting);
    let served = target.clone();
    tokio::spawn(async move { axum::serve(listener, served).await });

    let (app, admin) = app(|builder| builder.self_address(&own));
    let plan = json!({"plan": {"connections": 2, "requests": 50}});
    let started = post(&app, plan).await;
    let report = ended(&app, &started).await;
    assert_eq!(report["ok"], 50, "{report}");
    admin.shutdown(Duration::from_secs(5)).await;
    assert_eq!(all.snapshot().requests, 50);
    assert_eq!(latency.snapshot().requests, 0);

    // Once the run is over, its secret is worth nothing.
    let mark = MARK.lock().expect("free").clone().expect("sent");
    let request = Request::get("/").header(LOAD_RUN_HEADER, &mark);
    let late = send(&target, request.body(Body::empty()).expect("a request")).await;
    assert_eq!(late.text, "pong");
    assert_eq!(latency.snapshot().requests, 1);

    let (id, secret) = mark.split_once('.').expect("an id and a secret");
    assert_eq!((id, secret.len()), ("1", 32));
    for path in [
        "/load-test",
        "/load-test/1",
        "/load-test/1/report",
        "/audit",
    ] {
        let told = read(&app, path).await.to_string();
        assert!(!told.contains(secret), "{path}: {told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_of_another_type_is_named_by_its_path_and_none_begins_after_the_end() {
    let (app, admin, _) = tested().await;
    for (plan, says) in [
        (
            json!({"connections": "x"}),
            "plan.connections: invalid type",
        ),
        (
            json!({"scenarios": [{"name": "a", "http": {"colour": 1}}]}),
            "plan.scenarios[0].http",
        ),
    ] {
        let refused = post(&app, json!({"plan": plan})).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(refused.text.contains(says), "{}", refused.text);
    }
    // Nobody starts a load by saying nothing.
    for nothing in [None, Some(json!({})), Some(json!({"dry_run": true}))] {
        let refused = ask(&app, Method::POST, "/load-test", nothing).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(
            refused.text.contains("missing field `plan`"),
            "{}",
            refused.text
        );
    }
    let listed = post(&app, json!(["http://127.0.0.1:1", {}, true])).await;
    assert!(listed.text.contains("a JSON object"), "{}", listed.text);
    admin.shutdown(Duration::from_secs(5)).await;
    let late = post(&app, json!({"plan": {"connections": 1, "requests": 1}})).await;
    assert_eq!(
        late.status,
        StatusCode::SERVICE_UNAVAILABLE,
        "{}",
        late.text
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn thresholds_are_judged_and_one_that_aborts_ends_the_run() {
    let (app, admin, _) = tested().await;
    let plan = json!({"http": {"connections": 1, "requests": 500, "duration_s": 60},
        "thresholds": ["max < 60s", "rate > 1000000/s"]});
    let started = post(&app, json!({"plan": plan})).await;
    ended(&app, &started).await;
    // Its end is on the time axis too.
    let marks = loop {
        let marks = read(&app, "/history").await["marks"].to_string();
        if marks.contains("load test 1 finished after") {
            break marks;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    assert!(marks.contains("load_test"), "{marks}");
    let told = read(&app, "/load-test/1").await;
    let verdicts: Vec<_> = ["/thresholds/0/holds", "/thresholds/1/holds", "/holds"]
        .map(|at| told.pointer(at).cloned())
        .into();
    assert_eq!(
        verdicts,
        [Some(json!(true)), Some(json!(false)), Some(json!(false))],
        "{told}"
    );

    let plan = json!({"http": {"connections": 1, "duration_s": 600}, "thresholds": ["rate > 1000000/s abort"]});
    let started = post(&app, json!({"plan": plan})).await;
    let report = ended(&app, &started).await;
    assert_eq!(report["cancelled"], true, "{report}");
    let report = read(&app, "/load-test/2/report").await;
    assert_eq!(
        report["stopped_by"]["threshold"], "rate > 1000000/s abort",
        "{report}"
    );
    admin.shutdown(Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_is_written_in_each_form_and_compared_with_an_earlier_one() {
    let (app, admin, _) = tested().await;
    let plan = json!({"plan": {"http": {"connections": 1, "requests": 50, "headers": {"authorization": "Bearer hunter2"}}}});
    for _ in 0..2 {
        let started = post(&app, plan.clone()).await;
        ended(&app, &started).await;
    }
    for (form, kind, says) in [
        ("json", "application/json", "\"schema\": \"pitcrew-load/1\""),
        (
            "html",
            "text/html; charset=utf-8",
            "<h1>Load test of 127.0.0.1:",
        ),
        (
            "markdown",
            "text/markdown; charset=utf-8",
            "# Load test of 127.0.0.1:",
        ),
        ("junit", "application/xml", "<testsuites"),
        ("hdr", "text/plain; charset=utf-8", "#[Histogram log format"),
    ] {
        let path = format!("/load-test/2/report?format={form}");
        let answer = ask(&app, Method::GET, &path, None).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        assert_eq!(answer.headers["content-type"], kind);
        assert!(answer.text.contains(says), "{form}: {}", answer.text);
        assert!(!answer.text.contains("hunter2"), "{form}: {}", answer.text);
        let is_saved = answer.headers.get("content-disposition");
        assert_eq!(is_saved.is_some(), form != "json", "{form}");
    }
    let wrong = ask(&app, Method::GET, "/load-test/2/report?format=pdf", None).await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);

    let told = read(&app, "/load-test/2/compare?with=1").await;
    assert_eq!(
        (&told["before"], &told["after"]),
        (&json!("1"), &json!("2"))
    );
    assert_eq!(told["plans_are_the_same"], true);
    // Fifty requests take no twenty seconds.
    assert_eq!(told["changes"][0]["movement"], "too_short", "{told}");
    for (path, status) in [
        ("/load-test/2/compare?with=9", StatusCode::NOT_FOUND),
        ("/load-test/9/compare?with=1", StatusCode::NOT_FOUND),
        ("/load-test/2/compare", StatusCode::BAD_REQUEST),
    ] {
        assert_eq!(
            ask(&app, Method::GET, path, None).await.status,
            status,
            "{path}"
        );
    }
    admin.shutdown(Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_under_way_tells_its_seconds_and_has_no_report_yet() {
    let (app, admin, _) = tested().await;
    let plan = json!({"plan": {"connections": 2, "duration_s": 600}});
    let started = post(&app, plan).await;
    assert_eq!(started.status, StatusCode::ACCEPTED);
    let told = loop {
        let told = read(&app, "/load-test/1").await;
        if told["seconds"]
            .as_array()
            .is_some_and(|seconds| !seconds.is_empty())
        {
            break told;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    let second = &told["seconds"][0];
    for name in ["ok", "p99_ms", "in_flight", "body_bytes", "cpu_s"] {
        assert!(second[name].is_number(), "{name}: {second}");
    }
    assert!(told["progress"]["body_bytes"].as_u64() > Some(0), "{told}");
    assert_eq!(
        (&told["report"], &told["holds"]),
        (&Value::Null, &Value::Null)
    );
    for path in ["/load-test/1/report", "/load-test/1/compare?with=1"] {
        assert_eq!(
            ask(&app, Method::GET, path, None).await.status,
            StatusCode::CONFLICT
        );
    }
    admin.shutdown(Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn l1_another_target_has_to_be_configured_and_one_that_is_away_is_known_before() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("bound");
    let other = format!("http://{}", listener.local_addr().expect("an address"));
    let target = Router::new().route("/", get(|| async { "pong" }));
    tokio::spawn(async move { axum::serve(listener, target).await });
    // Nobody listens there: the port is taken, and not as a listener.
    let taken = tokio::net::TcpSocket::new_v4().expect("a socket");
    taken
        .bind("127.0.0.1:0".parse().expect("an address"))
        .expect("bound");
    let own = format!("http://{}", taken.local_addr().expect("an address"));

    let (app, admin) = app(|builder| builder.self_address(&own).load_target(&other));
    let http = json!({"connections": 1, "requests": 5});
    let away = post(&app, json!({"plan": {"http": http}})).await;
    assert_eq!(
        away.status,
        StatusCode::SERVICE_UNAVAILABLE,
        "{}",
        away.text
    );
    assert!(away.text.contains("cannot connect to"), "{}", away.text);
    let started = post(&app, json!({"plan": {"target": other, "http": http}})).await;
    let report = ended(&app, &started).await;
    assert_eq!(report["ok"], 5, "{report}");
    // What another target can take is no figure of this app.
    let benchmarks = read(&app, "/benchmarks").await["benchmarks"].clone();
    let rate = benchmarks.as_array().expect("a list").iter();
    let mut rate = rate.filter(|one| one["name"] == "api_rate");
    assert_eq!(rate.next().expect("there")["verdict"], "not_measured");
    let foreign = post(
        &app,
        json!({"plan": {"target": "http://127.0.0.1:1", "http": http}}),
    )
    .await;
    assert_eq!(foreign.status, StatusCode::FORBIDDEN);
    admin.shutdown(Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_may_be_large_and_not_larger() {
    let (app, admin, _) = tested().await;
    let plan = |bytes: usize| json!({"plan": {"http": {"method": "POST", "body": "x".repeat(bytes)}}, "dry_run": true});
    let taken = post(&app, plan(1 << 20)).await;
    assert_eq!(taken.status, StatusCode::OK, "{}", taken.text);
    let wrong = post(&app, plan((1 << 20) + 1)).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(
        wrong
            .text
            .contains("plan.http.body: wants at most 1048576 bytes"),
        "{}",
        wrong.text
    );
    let refused = post(&app, plan(10 << 20)).await;
    assert_eq!(refused.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert!(
        refused.text.contains("over 2097152 bytes"),
        "{}",
        refused.text
    );
    admin.shutdown(Duration::from_secs(5)).await;
}
