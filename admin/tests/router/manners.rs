//! What holds for every route: methods, origins, hosts, sizes, headers, problems.

use super::support::*;

#[tokio::test]
async fn a3_an_unknown_method_is_405_with_allow_and_no_header_overrides_it() {
    let (app, _admin) = app(|builder| builder);
    let all = operations(&app).await;
    for operation in &all {
        let path = &operation.path;
        let answer = ask(&app, Method::PUT, path, None).await;
        assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{path}");
        let options = ask(&app, Method::OPTIONS, path, None).await;
        assert_eq!(options.status, StatusCode::NO_CONTENT, "{path}");
        for headers in [&answer.headers, &options.headers] {
            let allow = headers[header::ALLOW].to_str().expect("text");
            assert!(
                allow.contains(operation.method.as_str()),
                "{path} allows {allow}"
            );
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
    for operation in operations(&app).await {
        if operation.method == Method::GET && !operation.is_stream() {
            let once = ask(&app, Method::GET, &operation.path, None).await;
            let twice = ask(&app, Method::HEAD, &operation.path, None).await;
            assert_eq!(once.status, twice.status, "{operation:?}");
            assert_eq!(twice.text, "", "{operation:?}");
        }
    }
    assert_eq!(
        figures(&ask(&app, Method::GET, "/cache/stats", None).await.json()),
        before
    );
    assert_eq!(
        ask(&app, Method::GET, "/cycles", None).await.json()["cycles"],
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
    for operation in operations(&app).await {
        if !operation.is_stream() {
            let Operation { method, path, .. } = operation.clone();
            answers.push(ask(&app, method, &path, operation.dry()).await);
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

#[test]
fn configurations_that_cannot_work_are_refused_when_building() {
    let error = |builder: AdminBuilder| builder.build().expect_err("refused").to_string();
    assert!(error(Admin::builder().operator_token("short")).contains("16 bytes"));
    assert!(error(Admin::builder().self_address("ftp://localhost")).contains("http://host:port"));
    assert!(error(Admin::builder().cycle_interval(Duration::ZERO)).contains("10 seconds"));
    assert!(error(Admin::builder().database("not a url")).contains("postgres://"));
}

#[tokio::test]
async fn a8_heads_that_are_too_large_are_refused() {
    let (app, _admin) = app(|builder| builder);
    let long = format!("/performance/status?{}", "x".repeat(60_000));
    let answer = send(&app, request(Method::GET, &long, Some(OPERATOR), None)).await;
    assert_eq!(answer.status, StatusCode::URI_TOO_LONG);
    let mut many = request(Method::GET, "/performance/status", Some(OPERATOR), None);
    for _ in 0..1_000 {
        many = with(many, "x-many", "1");
    }
    let answer = send(&app, many).await;
    assert_eq!(answer.status, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    assert_eq!(
        answer.headers[header::CONTENT_TYPE],
        "application/problem+json"
    );
}

#[tokio::test]
async fn errors_of_the_libraries_below_are_problems_too() {
    let (app, _admin) = app(|builder| builder);
    for path in ["/database/jobs/%ff", "/load-test/%ff"] {
        let answer = ask(&app, Method::GET, path, None).await;
        assert_eq!(
            answer.status,
            StatusCode::BAD_REQUEST,
            "{path}: {}",
            answer.text
        );
        assert_eq!(answer.json()["title"], "Bad Request");
    }
}
