//! Who may ask what: tokens, roles, sessions, guessing.

use super::support::*;

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
async fn a1_nothing_but_what_is_public_answers_without_a_token() {
    let (app, _admin) = app(|builder| builder);
    for operation in guarded(&app).await {
        let answer = send(&app, operation.request(None)).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{operation:?}");
    }
    let all = operations(&app).await;
    let public = all.iter().filter(|operation| operation.role() == "anybody");
    let mut paths: Vec<_> = public.map(|operation| operation.path.as_str()).collect();
    paths.dedup();
    assert_eq!(
        paths,
        [
            "",
            "/assets/1",
            "/health",
            "/health/live",
            "/health/ready",
            "/login",
            "/logout"
        ]
    );
    let health = request(Method::GET, "/performance/health", None, None);
    let health = send(&app, health).await;
    assert_eq!(
        (health.status, health.json()),
        (StatusCode::OK, json!({"status": "UP"}))
    );
}

#[tokio::test]
async fn a2_a_reader_may_look_everywhere_and_change_nothing() {
    let (app, _admin) = app(|builder| builder);
    for operation in guarded(&app).await {
        if operation.is_stream() {
            continue;
        }
        let answer = send(&app, operation.request(Some(READER))).await;
        let is_refused = answer.status == StatusCode::FORBIDDEN;
        assert_eq!(
            (is_refused, operation.role()),
            if operation.method == Method::GET {
                (false, "reader")
            } else {
                (true, "operator")
            },
            "{operation:?}: {}",
            answer.text
        );
    }
}

#[tokio::test]
async fn a9_guessing_is_braked_and_the_right_token_still_passes() {
    let (app, _admin) = app(|builder| builder);
    // Also where a wrong token is answered as none is: what is told to those who are known tells a right one.
    for path in ["/performance/status", "/performance/health", "/performance"] {
        let mut statuses = Vec::new();
        for _ in 0..30 {
            let wrong = request(Method::GET, path, Some("wrong-wrong-wrong-wrong"), None);
            statuses.push(send(&app, wrong).await.status);
        }
        assert!(
            statuses.contains(&StatusCode::TOO_MANY_REQUESTS),
            "{path}: {statuses:?}"
        );
    }
    let none = request(Method::GET, "/performance/health", None, None);
    assert_eq!(send(&app, none).await.status, StatusCode::OK);
    assert_eq!(
        ask(&app, Method::GET, "/status", None).await.status,
        StatusCode::OK
    );
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
