//! The stream of events.

use std::sync::{Arc, Mutex};

use http_body_util::BodyExt;
use pitcrew_admin::{AlertRule, Token};
use tower::ServiceExt;

use super::alerts::{pool, wait};
use super::support::*;

/// The next event of a stream, as it is sent.
async fn next(body: &mut Body) -> Option<String> {
    let frame = body.frame().await?.expect("a frame");
    Some(String::from_utf8_lossy(&frame.into_data().expect("data")).into_owned())
}

fn events(token: Option<&str>) -> Request<Body> {
    request(Method::GET, "/performance/events", token, None)
}

async fn listen(app: &Router, request: Request<Body>) -> Body {
    let response = app.clone().oneshot(request).await.expect("an answer");
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(
        response.headers()[header::CONTENT_TYPE],
        "text/event-stream"
    );
    assert_eq!(response.headers()[header::CACHE_CONTROL], "no-store");
    response.into_body()
}

#[tokio::test(start_paused = true)]
async fn a17_the_stream_tells_figures_and_alerts_and_ends_with_shutdown() {
    let busy = Arc::new(Mutex::new(1));
    let (app, admin) = app(|builder| {
        pool(builder, &busy).alert(AlertRule::above("full", "pool_used_percent", 80.0))
    });
    wait(2).await;
    let mut body = listen(&app, events(Some(READER))).await;
    let first = next(&mut body).await.expect("the last figures at once");
    assert!(first.starts_with("event: figures\ndata: {"), "{first}");
    *busy.lock().expect("free") = 9;
    let mut seen = String::new();
    while !seen.contains("event: alert") {
        seen.push_str(&next(&mut body).await.expect("more"));
    }
    assert!(seen.contains("full fires"), "{seen}");
    admin.shutdown(Duration::from_secs(1)).await;
    while let Some(rest) = next(&mut body).await {
        assert!(rest.starts_with("event: "), "{rest}");
    }
    let late = events(Some(READER));
    assert_eq!(
        send(&app, late).await.status,
        StatusCode::SERVICE_UNAVAILABLE
    );
}

#[tokio::test(start_paused = true)]
async fn a17_clients_are_counted_and_a_slow_one_is_left() {
    let (app, _admin) = app(|builder| builder);
    wait(2).await;
    let mut slow = listen(&app, events(Some(READER))).await;
    let mut others = Vec::new();
    for _ in 0..255 {
        others.push(listen(&app, events(Some(READER))).await);
    }
    let more = events(Some(READER));
    let refused = send(&app, more).await;
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(refused.headers.contains_key(header::RETRY_AFTER));
    drop(others);
    wait(60).await;
    assert!(next(&mut slow).await.is_some(), "what was first");
    assert_eq!(next(&mut slow).await, None, "60 messages behind");
    drop(slow);
    let _ = listen(&app, events(Some(READER))).await;
}

#[tokio::test(start_paused = true)]
async fn a21_a_stream_ends_with_the_session_or_the_token_that_it_was_begun_with() {
    let (app, admin) = app(|builder| builder);
    wait(2).await;
    let login = Some(json!({ "token": READER }));
    let begun = send(
        &app,
        request(Method::POST, "/performance/login", None, login),
    )
    .await;
    let cookie = begun.headers[header::SET_COOKIE].to_str().expect("text");
    let (cookie, _) = cookie.split_once(';').expect("attributes");
    let mut of_session = listen(&app, with(events(None), "cookie", cookie)).await;
    let mut of_token = listen(&app, events(Some(READER))).await;
    for body in [&mut of_session, &mut of_token] {
        assert!(next(body).await.is_some(), "the last figures");
        assert!(next(body).await.is_some(), "those of the next second");
    }
    let logout = request(Method::POST, "/performance/logout", None, None);
    let ended = send(&app, with(logout, "cookie", cookie)).await;
    assert_eq!(ended.status, StatusCode::OK, "{}", ended.text);
    assert_eq!(next(&mut of_session).await, None);
    assert!(next(&mut of_token).await.is_some(), "another's goes on");
    let others = [Token::operator(OPERATOR)];
    admin.set_tokens(others).expect("a good token");
    assert_eq!(next(&mut of_token).await, None);
}

#[tokio::test(start_paused = true)]
async fn an_alert_that_is_tried_comes_to_the_clients_too() {
    let (app, _admin) = app(|builder| builder);
    wait(2).await;
    let mut body = listen(&app, events(Some(READER))).await;
    let tried = ask(&app, Method::POST, "/alerts/cpu/test", Some(json!({}))).await;
    assert_eq!(tried.status, StatusCode::OK, "{}", tried.text);
    let mut seen = String::new();
    for _ in 0..5 {
        seen.push_str(&next(&mut body).await.expect("more"));
    }
    assert!(
        seen.contains("event: alert") && seen.contains("cpu is tried"),
        "{seen}"
    );
}
