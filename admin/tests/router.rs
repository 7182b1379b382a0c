//! The router as a client sees it, with everything that needs no database.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use http::{Method, Request, StatusCode, header};
use http_body_util::BodyExt;
use pitcrew::clock::Clock;
use pitcrew::latency::{Objective, Target, statement};
use pitcrew::{CacheLayer, LatencyLayer, MemoryLayer};
use pitcrew_admin::{Admin, AdminBuilder, PoolGauges};
use serde_json::{Value, json};
use tower::ServiceExt;

const OPERATOR: &str = "operator-token-of-this-test";
const READER: &str = "reader-token-of-this-test";

/// Every route, with the methods that it takes. A new route is added here, and with it to every test below.
const ROUTES: [(&str, &[Method]); 21] = [
    ("/status", &[Method::GET]),
    ("/optimize", &[Method::GET, Method::POST]),
    ("/cache/stats", &[Method::GET]),
    ("/cache/clear", &[Method::POST]),
    ("/database/analysis", &[Method::GET]),
    ("/database/maintenance", &[Method::POST]),
    ("/database/jobs", &[Method::GET]),
    ("/database/jobs/1", &[Method::GET, Method::DELETE]),
    ("/memory/usage", &[Method::GET]),
    ("/memory/trend", &[Method::GET]),
    ("/memory/leak", &[Method::GET]),
    ("/memory/gc", &[Method::POST]),
    ("/memory/heap-profile", &[Method::POST]),
    ("/response-times", &[Method::GET]),
    ("/response-times/slow", &[Method::GET]),
    ("/response-times/parts", &[Method::GET]),
    ("/response-times/n-plus-one", &[Method::GET]),
    ("/slos", &[Method::GET]),
    ("/load-test", &[Method::GET, Method::POST]),
    ("/load-test/1", &[Method::GET, Method::DELETE]),
    ("/benchmarks", &[Method::GET]),
];

fn builder() -> AdminBuilder {
    Admin::builder()
        .operator_token(OPERATOR)
        .reader_token(READER)
}

/// An app with the three layers and the admin router, as a host would build it.
fn app(configure: impl FnOnce(AdminBuilder) -> AdminBuilder) -> (Router, Admin) {
    let (cache_layer, cache) = CacheLayer::builder().build();
    let (memory_layer, memory) = MemoryLayer::builder().build();
    let (latency_layer, latency) = LatencyLayer::builder().build();
    let admin = configure(builder().cache(cache).memory(memory).latency(latency))
        .build()
        .expect("builds");
    let fresh = [(header::CACHE_CONTROL, "max-age=60")];
    let app = Router::new()
        .route(
            "/items/{id}",
            get(move || async move { (fresh, "an item") }),
        )
        .layer(cache_layer)
        .layer(memory_layer)
        .layer(latency_layer)
        .nest("/performance", admin.router());
    (app, admin)
}

struct Answer {
    status: StatusCode,
    headers: http::HeaderMap,
    text: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }
}

async fn send(app: &Router, request: Request<Body>) -> Answer {
    let response = app
        .clone()
        .oneshot(request)
        .await
        .expect("a router does not fail");
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.expect("a whole body").to_bytes();
    Answer {
        status: parts.status,
        headers: parts.headers,
        text: String::from_utf8_lossy(&bytes).into_owned(),
    }
}

fn request(method: Method, path: &str, token: Option<&str>, body: Option<Value>) -> Request<Body> {
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, "localhost:3000");
    if let Some(token) = token {
        request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    if body.is_some() {
        request = request.header(header::CONTENT_TYPE, "application/json");
    }
    request
        .body(body.map_or_else(Body::empty, |body| Body::from(body.to_string())))
        .expect("a request")
}

async fn ask(app: &Router, method: Method, path: &str, body: Option<Value>) -> Answer {
    send(
        app,
        request(method, &format!("/performance{path}"), Some(OPERATOR), body),
    )
    .await
}

async fn visit(app: &Router, path: &str) {
    assert_eq!(
        send(app, request(Method::GET, path, None, None))
            .await
            .status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn a1_without_the_right_token_every_route_answers_the_same_401() {
    let (app, _admin) = app(|builder| builder);
    let wrong = [
        None,
        Some(String::new()),
        Some("Bearer".to_owned()),
        Some("Bearer ".to_owned()),
        Some(format!("Bearer {OPERATOR}x")),
        Some(format!("Basic {OPERATOR}")),
        Some(OPERATOR.to_owned()),
        Some(format!("Bearer {}", "x".repeat(1 << 20))),
        Some(format!("Bearer {OPERATOR}, Bearer {OPERATOR}")),
    ];
    let mut bodies = Vec::new();
    for value in &wrong {
        let mut request = request(Method::GET, "/performance/status", None, None);
        if let Some(value) = value {
            request.headers_mut().insert(
                header::AUTHORIZATION,
                value.parse().expect("a header value"),
            );
        }
        let answer = send(&app, request).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{value:?}");
        assert!(answer.headers.contains_key(header::WWW_AUTHENTICATE));
        bodies.push(answer.text);
    }
    bodies.dedup();
    assert_eq!(
        bodies.len(),
        1,
        "the body tells nothing about what was wrong"
    );

    let mut two = request(Method::GET, "/performance/status", Some(OPERATOR), None);
    two.headers_mut().append(
        header::AUTHORIZATION,
        "Bearer other".parse().expect("a value"),
    );
    assert_eq!(send(&app, two).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a1_the_scheme_may_be_written_in_any_case() {
    let (app, _admin) = app(|builder| builder);
    let mut lower = request(Method::GET, "/performance/status", None, None);
    lower.headers_mut().insert(
        header::AUTHORIZATION,
        format!("bearer {OPERATOR}").parse().expect("a value"),
    );
    assert_eq!(send(&app, lower).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a1_no_route_but_health_answers_without_a_token() {
    for (path, methods) in ROUTES {
        for method in methods {
            // A fresh app each time: the brake on wrong tokens must not be what answers.
            let (app, _admin) = app(|builder| builder);
            let answer = send(
                &app,
                request(method.clone(), &format!("/performance{path}"), None, None),
            )
            .await;
            assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{method} {path}");
        }
    }
    let (app, _admin) = app(|builder| builder);
    let health = send(
        &app,
        request(Method::GET, "/performance/health", None, None),
    )
    .await;
    assert_eq!(
        (health.status, health.json()),
        (StatusCode::OK, json!({"status": "UP"}))
    );
}

#[tokio::test]
async fn a2_a_reader_may_look_everywhere_and_change_nothing() {
    let (app, _admin) = app(|builder| builder);
    for (path, methods) in ROUTES {
        for method in methods {
            let answer = send(
                &app,
                request(
                    method.clone(),
                    &format!("/performance{path}"),
                    Some(READER),
                    None,
                ),
            )
            .await;
            let is_refused = answer.status == StatusCode::FORBIDDEN;
            assert_eq!(
                is_refused,
                *method != Method::GET,
                "{method} {path}: {}",
                answer.text
            );
        }
    }
}

#[tokio::test]
async fn a3_an_unknown_method_is_405_with_allow_and_no_header_overrides_it() {
    let (app, _admin) = app(|builder| builder);
    for (path, methods) in ROUTES {
        let answer = ask(&app, Method::PUT, path, None).await;
        assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{path}");
        let allow = answer
            .headers
            .get(header::ALLOW)
            .expect("Allow")
            .to_str()
            .expect("text");
        for method in methods {
            assert!(allow.contains(method.as_str()), "{path} allows {allow}");
        }
        assert_eq!(answer.json()["status"], 405);
    }
    let mut overriding = request(Method::GET, "/performance/cache/clear", Some(READER), None);
    overriding
        .headers_mut()
        .insert("x-http-method-override", "POST".parse().expect("a value"));
    assert_eq!(
        send(&app, overriding).await.status,
        StatusCode::METHOD_NOT_ALLOWED
    );
}

#[tokio::test]
async fn a4_asking_twice_changes_nothing() {
    let (app, _admin) = app(|builder| builder);
    visit(&app, "/items/1").await;
    visit(&app, "/items/1").await;
    let figures = |stats: &Value| {
        (
            stats["hits"].clone(),
            stats["misses"].clone(),
            stats["l1"]["entries"].clone(),
        )
    };
    let before = figures(&ask(&app, Method::GET, "/cache/stats", None).await.json());
    for (path, methods) in ROUTES {
        if methods.contains(&Method::GET) {
            ask(&app, Method::GET, path, None).await;
            ask(&app, Method::GET, path, None).await;
        }
    }
    assert_eq!(
        figures(&ask(&app, Method::GET, "/cache/stats", None).await.json()),
        before
    );
    assert_eq!(
        ask(&app, Method::GET, "/optimize", None).await.json()["cycles"],
        json!([])
    );
    assert_eq!(
        ask(&app, Method::GET, "/load-test", None).await.json()["runs"],
        json!([])
    );
    assert_eq!(
        ask(&app, Method::GET, "/response-times", None).await.json()["requests"],
        2
    );
}

#[tokio::test]
async fn a5_pages_of_another_origin_are_refused() {
    let (app, _admin) = app(|builder| builder);
    let post = |name: &'static str, value: &str| {
        let mut request = request(
            Method::POST,
            "/performance/memory/gc",
            Some(OPERATOR),
            Some(json!({"dry_run": true})),
        );
        request
            .headers_mut()
            .insert(name, value.parse().expect("a value"));
        request
    };
    for (name, value) in [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("origin", "null"),
        ("origin", "http://evil.example"),
        ("origin", "http://localhost.evil.example:3000"),
        ("origin", "http://localhost:3001"),
    ] {
        assert_eq!(
            send(&app, post(name, value)).await.status,
            StatusCode::FORBIDDEN,
            "{name}: {value}"
        );
    }
    for (name, value) in [
        ("sec-fetch-site", "same-origin"),
        ("origin", "http://localhost:3000"),
    ] {
        assert_eq!(
            send(&app, post(name, value)).await.status,
            StatusCode::OK,
            "{name}: {value}"
        );
    }
    for kind in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "application/jsonx",
    ] {
        let answer = send(&app, post("content-type", kind)).await;
        assert_eq!(answer.status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{kind}");
    }
}

#[tokio::test]
async fn a6_foreign_host_names_are_misdirected() {
    let (app, _admin) = app(|builder| {
        builder
            .allow_host("admin.example")
            .self_address("http://127.0.0.1:3000")
    });
    let with_host = |host: Option<&str>, uri: &str| {
        let mut request = request(Method::GET, uri, Some(OPERATOR), None);
        request.headers_mut().remove(header::HOST);
        if let Some(host) = host {
            request
                .headers_mut()
                .insert(header::HOST, host.parse().expect("a value"));
        }
        request
    };
    let path = "/performance/status";
    for (host, uri) in [
        (Some("evil.example"), path),
        (Some("localhost.evil.example"), path),
        (Some(""), path),
        (None, path),
        (Some("localhost"), "http://evil.example/performance/status"),
        (None, "http://evil.example/performance/status"),
    ] {
        assert_eq!(
            send(&app, with_host(host, uri)).await.status,
            StatusCode::MISDIRECTED_REQUEST,
            "{host:?} {uri}"
        );
    }
    for (host, uri) in [
        (Some("localhost:9"), path),
        (Some("admin.example"), path),
        (Some("[::1]:3000"), path),
        (None, "http://127.0.0.1:3000/performance/status"),
    ] {
        assert_eq!(
            send(&app, with_host(host, uri)).await.status,
            StatusCode::OK,
            "{host:?} {uri}"
        );
    }
}

#[tokio::test]
async fn a7_path_tricks_do_not_get_past_the_guard() {
    for path in [
        "/health/../status",
        "//status",
        "/health/",
        "/health%2f..%2fstatus",
        "/HEALTH",
        "/health;/status",
        "/",
    ] {
        let (app, _admin) = app(|builder| builder);
        let answer = send(
            &app,
            request(Method::GET, &format!("/performance{path}"), None, None),
        )
        .await;
        assert!(
            matches!(
                answer.status,
                StatusCode::UNAUTHORIZED | StatusCode::NOT_FOUND
            ),
            "{path}: {}",
            answer.status
        );
        assert!(!answer.text.contains("verdict"), "{path}");
    }
}

#[tokio::test]
async fn a8_large_and_deep_bodies_are_refused() {
    let (app, _admin) = app(|builder| builder);
    let post = |body: String| {
        let mut request = request(
            Method::POST,
            "/performance/cache/clear",
            Some(OPERATOR),
            Some(Value::Null),
        );
        *request.body_mut() = Body::from(body);
        request
    };
    assert_eq!(
        send(&app, post("x".repeat(10 << 20))).await.status,
        StatusCode::PAYLOAD_TOO_LARGE
    );
    assert!(
        send(&app, post("[".repeat(10_000)))
            .await
            .status
            .is_client_error()
    );
    assert_eq!(
        send(&app, post("{".to_owned())).await.status,
        StatusCode::BAD_REQUEST
    );
    let unknown = send(&app, post(r#"{"al": true}"#.to_owned())).await;
    assert_eq!(unknown.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(unknown.text.contains("al"), "{}", unknown.text);
}

#[tokio::test]
async fn a9_guessing_is_braked_and_the_right_token_still_passes() {
    let (app, _admin) = app(|builder| builder);
    let mut statuses = Vec::new();
    for _ in 0..30 {
        statuses.push(
            send(
                &app,
                request(
                    Method::GET,
                    "/performance/status",
                    Some("wrong-wrong-wrong-wrong"),
                    None,
                ),
            )
            .await
            .status,
        );
    }
    assert!(
        statuses.contains(&StatusCode::TOO_MANY_REQUESTS),
        "{statuses:?}"
    );
    assert_eq!(
        ask(&app, Method::GET, "/status", None).await.status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn a10_a11_every_answer_is_protected_and_open_to_no_other_origin() {
    let (app, _admin) = app(|builder| builder);
    let mut answers = vec![
        send(
            &app,
            request(Method::GET, "/performance/health", None, None),
        )
        .await,
        send(
            &app,
            request(Method::GET, "/performance/status", None, None),
        )
        .await,
        send(
            &app,
            request(Method::OPTIONS, "/performance/status", None, None),
        )
        .await,
        ask(&app, Method::GET, "/nowhere", None).await,
        ask(&app, Method::PUT, "/status", None).await,
    ];
    for (path, methods) in ROUTES {
        for method in methods {
            answers.push(ask(&app, method.clone(), path, Some(json!({"dry_run": true}))).await);
        }
    }
    for answer in answers {
        assert_eq!(answer.headers[header::CACHE_CONTROL], "no-store");
        assert_eq!(answer.headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
        assert!(answer.headers.contains_key(header::CONTENT_SECURITY_POLICY));
        assert!(
            !answer
                .headers
                .contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN)
        );
        if answer.status.is_client_error() {
            assert_eq!(
                answer.headers[header::CONTENT_TYPE],
                "application/problem+json"
            );
        }
    }
}

#[tokio::test]
async fn response_times_are_those_of_the_app() {
    let (app, _admin) = app(|builder| builder);
    for _ in 0..3 {
        visit(&app, "/items/1").await;
    }
    let times = ask(&app, Method::GET, "/response-times", None).await.json();
    assert_eq!(times["requests"], 3);
    assert_eq!(times["series"][0]["count"], 3);
    assert_eq!(times["series"][0]["status_class"], "2xx");
    assert!(times["total"]["p99_ms"].as_f64().expect("a number") > 0.0);
}

/// A slow route that asks the database again and again and has an objective: each of its faults is an answer's, and the next cycle's advice.
#[tokio::test]
async fn slow_routes_their_parts_and_objectives_are_told_and_become_advice() {
    let clock = Clock::manual();
    let target = Target::new("/orders*", 0.95, Duration::from_millis(50)).expect("a target");
    let objective = Objective::latency("/orders*", Duration::from_millis(50), 0.99);
    let (layer, latency) = LatencyLayer::builder()
        .clock(clock.clone())
        .target(target)
        .objective(Objective::availability("*", 0.999).expect("an objective"))
        .objective(objective.expect("an objective").name("orders are fast"))
        .build();
    let admin = builder().latency(latency).build().expect("builds");
    let orders = move || {
        let clock = clock.clone();
        async move {
            for id in 0..12 {
                let read = async { clock.advance(Duration::from_millis(10)) };
                let line = statement("SELECT part FROM lines WHERE id = $1").parameters(&id);
                line.run(read).await;
            }
        }
    };
    let app = Router::new()
        .route("/orders", get(orders))
        .layer(layer)
        .nest("/performance", admin.router());
    for _ in 0..120 {
        visit(&app, "/orders").await;
    }
    let read = async |path: &str| ask(&app, Method::GET, path, None).await.json();

    let slow = read("/response-times/slow").await;
    assert_eq!(slow["findings"][0]["by"]["kind"], "target", "{slow}");
    assert_eq!(slow["findings"][1]["by"]["kind"], "objective", "{slow}");
    let parts = read("/response-times/parts?window=1h").await;
    let route = &parts["routes"][0];
    assert_eq!(
        (&route["route"], &route["parts"][0]["name"]),
        (&json!("/orders"), &json!("database"))
    );
    assert_eq!(
        (&route["mean_ms"], &route["rest_mean_ms"]),
        (&json!(120.0), &json!(0.0))
    );
    let repeated = read("/response-times/n-plus-one?window=total").await;
    assert_eq!(
        repeated["findings"][0]["statement"],
        "select part from lines where id = ?"
    );
    assert_eq!(repeated["findings"][0]["executions_max"], 12);
    let slos = read("/slos").await;
    assert_eq!(slos["objectives"][0]["name"], "orders are fast");
    assert_eq!(
        (
            &slos["objectives"][0]["state"],
            &slos["objectives"][1]["state"]
        ),
        (&json!("page"), &json!("ok"))
    );

    let steps = json!({"steps": ["response_times"]});
    ask(&app, Method::POST, "/optimize", Some(steps)).await;
    let report = loop {
        if let Some(report) = read("/optimize").await["cycles"].get(0) {
            break report.to_string();
        }
        tokio::task::yield_now().await;
    };
    for id in [
        "over-target:GET /orders",
        "slo:orders are fast",
        "n-plus-one:GET /orders:select part from lines where id = ?",
    ] {
        assert!(report.contains(id), "{id}: {report}");
    }
    for bad in ["?window=2h", "?window=", "?window=1m&window=5m"] {
        let answer = ask(
            &app,
            Method::GET,
            &format!("/response-times/slow{bad}"),
            None,
        )
        .await;
        assert_eq!(
            answer.status,
            StatusCode::BAD_REQUEST,
            "{bad}: {}",
            answer.text
        );
    }
}

#[tokio::test]
async fn response_times_are_of_the_window_that_is_asked_for() {
    let (app, _admin) = app(|builder| builder);
    visit(&app, "/items/1").await;
    for window in ["1m", "5m", "15m", "1h", "total"] {
        let path = format!("/response-times?window={window}");
        let times = ask(&app, Method::GET, &path, None).await.json();
        assert_eq!(times["total"]["window"], window);
        assert_eq!(
            (&times["total"]["count"], &times["series"][0]["count"]),
            (&json!(1), &json!(1)),
            "{window}"
        );
    }
    for wrong in ["window=2m", "window=", "window=1m&window=5m"] {
        let answer = ask(&app, Method::GET, &format!("/response-times?{wrong}"), None).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{wrong}");
        let detail = answer.json()["detail"].to_string();
        assert!(detail.contains("window"), "{detail}");
    }
}

#[tokio::test]
async fn cache_figures_follow_the_app_and_a_purge_empties_what_it_names() {
    let (app, _admin) = app(|builder| builder);
    visit(&app, "/items/1").await;
    visit(&app, "/items/1").await;
    let stats = ask(&app, Method::GET, "/cache/stats", None).await.json();
    assert_eq!((&stats["hits"], &stats["misses"]), (&json!(1), &json!(1)));
    let route = &stats["routes"][0];
    assert_eq!(
        (
            &route["region"],
            &route["hit_kinds"],
            &route["miss_reasons"]
        ),
        (&json!("api"), &json!({"fresh": 1}), &json!({"uri-miss": 1}))
    );
    assert_eq!(stats["truth"], Value::Null);

    let dry = ask(
        &app,
        Method::POST,
        "/cache/clear",
        Some(json!({"path": "/items/1", "dry_run": true})),
    )
    .await;
    assert_eq!(dry.json()["report"], Value::Null);
    visit(&app, "/items/1").await;
    assert_eq!(
        ask(&app, Method::GET, "/cache/stats", None).await.json()["hits"],
        2,
        "a dry run purges nothing"
    );

    let cleared = ask(
        &app,
        Method::POST,
        "/cache/clear",
        Some(json!({"path": "/items/1"})),
    )
    .await
    .json();
    assert_eq!(cleared["report"], json!({"local": "done", "l2": "off"}));
    visit(&app, "/items/1").await;
    assert_eq!(
        ask(&app, Method::GET, "/cache/stats", None).await.json()["misses"],
        2
    );

    let named = [
        json!({"key": "/items/1"}),
        json!({"prefix": "/items/"}),
        json!({"pattern": "/*/1"}),
        json!({"all": true}),
    ];
    for (purge, misses) in named.into_iter().zip(3..) {
        ask(&app, Method::POST, "/cache/clear", Some(purge.clone())).await;
        visit(&app, "/items/1").await;
        let stats = ask(&app, Method::GET, "/cache/stats", None).await.json();
        assert_eq!(stats["misses"], misses, "{purge}");
    }

    for wrong in [
        json!({}),
        json!({"path": "/", "all": true}),
        json!({"key": "/", "prefix": "/"}),
        json!({"region": "apy"}),
        json!({"path": "items/1"}),
        json!({"key": "http://localhost/items/1"}),
        json!({"prefix": "", "dry_run": true}),
        json!({"tag": " "}),
        json!({"all": false}),
    ] {
        let answer = ask(&app, Method::POST, "/cache/clear", Some(wrong.clone())).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{wrong}");
    }
}

#[tokio::test]
async fn memory_figures_are_those_of_this_process() {
    let (app, _admin) = app(|builder| builder);
    let usage = ask(&app, Method::GET, "/memory/usage", None).await.json();
    assert!(usage["process"]["rss_bytes"].as_u64().expect("a number") > 1 << 20);
    let released = ask(&app, Method::POST, "/memory/gc", None).await.json();
    assert!(released["report"]["detail"].is_string());
    let trend = ask(&app, Method::GET, "/memory/trend", None).await.json();
    assert!(trend["seconds"][0]["rss_bytes"].as_u64().expect("a number") > 1 << 20);
    let leak = ask(&app, Method::GET, "/memory/leak", None).await.json();
    assert_eq!(leak["state"], "unknown");
    assert!(
        leak["detail"]
            .as_str()
            .expect("a sentence")
            .contains("114 minutes")
    );
}

#[cfg(not(feature = "jemalloc-pprof"))]
#[tokio::test]
async fn a_heap_profile_that_cannot_be_says_what_to_do() {
    let (app, _admin) = app(|builder| builder);
    let answer = ask(&app, Method::POST, "/memory/heap-profile", None).await;
    assert_eq!(answer.status, StatusCode::NOT_IMPLEMENTED);
    let detail = answer.json()["detail"].to_string();
    assert!(detail.contains("jemalloc-pprof"), "{detail}");
}

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

#[tokio::test]
async fn a15_a16_an_unreachable_database_is_a_problem_that_names_nothing() {
    let url = "postgres://canary-user:canary-password@127.0.0.1:1/canary-database";
    let (app, _admin) = app(|builder| builder.database(url));
    for path in [
        "/database/analysis",
        "/database/jobs",
        "/status",
        "/benchmarks",
    ] {
        let answer = ask(&app, Method::GET, path, None).await;
        assert!(!answer.text.contains("canary"), "{path}: {}", answer.text);
        assert!(
            !answer.text.to_lowercase().contains("select "),
            "{path}: {}",
            answer.text
        );
    }
    assert_eq!(
        ask(&app, Method::GET, "/database/analysis", None)
            .await
            .status,
        StatusCode::SERVICE_UNAVAILABLE
    );
    let health = send(
        &app,
        request(Method::GET, "/performance/health", None, None),
    )
    .await;
    assert_eq!(health.json(), json!({"status": "DEGRADED"}));
    let status = ask(&app, Method::GET, "/status", None).await.json();
    assert!(
        status["verdict"]
            .as_str()
            .expect("a sentence")
            .contains("database")
    );
    assert!(
        !format!("{:?}", _admin).contains("canary-password"),
        "nor does Debug"
    );
}

#[tokio::test]
async fn parts_that_are_not_there_say_which_setter_adds_them() {
    let admin = builder().build().expect("builds");
    let app = Router::new().nest("/performance", admin.router());
    for (path, setter) in [
        ("/cache/stats", ".cache("),
        ("/memory/usage", ".memory("),
        ("/response-times", ".latency("),
        ("/response-times/slow", ".latency("),
        ("/response-times/parts", ".latency("),
        ("/response-times/n-plus-one", ".latency("),
        ("/slos", ".latency("),
        ("/database/analysis", ".database("),
    ] {
        let answer = ask(&app, Method::GET, path, None).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND);
        assert!(answer.text.contains(setter), "{}", answer.text);
    }
    let benchmarks = ask(&app, Method::GET, "/benchmarks", None).await.json();
    let verdicts = benchmarks["benchmarks"].as_array().expect("a list");
    assert!(
        verdicts
            .iter()
            .all(|one| one["verdict"] == "not_measured" && one["value"].is_null()),
        "{benchmarks}"
    );
}

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
async fn a16_a_panic_is_a_problem_that_repeats_nothing_and_the_next_answer_is_well() {
    let (app, _admin) = app(|builder| builder.pool("app", || panic!("canary-secret")));
    let answer = ask(&app, Method::GET, "/status", None).await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(
        answer.headers[header::CONTENT_TYPE],
        "application/problem+json"
    );
    assert_eq!(answer.headers[header::CACHE_CONTROL], "no-store");
    assert!(!answer.text.contains("canary"), "{}", answer.text);
    let next = ask(&app, Method::GET, "/memory/usage", None).await;
    assert_eq!(next.status, StatusCode::OK);
}

#[tokio::test]
async fn without_a_token_one_is_made_that_works_and_two_apps_have_two() {
    let make = || Admin::builder().build().expect("builds");
    let (one, other) = (make(), make());
    let token = one.generated_token().expect("made");
    assert_eq!(token.len(), 64);
    assert_ne!(Some(token), other.generated_token());
    let app = Router::new().nest("/performance", one.router());
    let answer = send(
        &app,
        request(Method::GET, "/performance/status", Some(token), None),
    )
    .await;
    assert_eq!(answer.status, StatusCode::OK);
    let stranger = send(
        &app,
        request(
            Method::GET,
            "/performance/status",
            other.generated_token(),
            None,
        ),
    )
    .await;
    assert_eq!(stranger.status, StatusCode::UNAUTHORIZED);
}

#[test]
fn configurations_that_cannot_work_are_refused_when_building() {
    let error = |builder: AdminBuilder| builder.build().expect_err("refused").to_string();
    assert!(error(Admin::builder().operator_token("short")).contains("16 bytes"));
    assert!(error(Admin::builder().self_address("ftp://localhost")).contains("http://host:port"));
    assert!(error(Admin::builder().cycle_interval(Duration::ZERO)).contains("10 seconds"));
    assert!(error(Admin::builder().database("not a url")).contains("postgres://"));
}
