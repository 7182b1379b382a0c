//! The service on its small copy in memory: what visitors are told where something is wrong.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something unexpected happens"
)]

use std::collections::BTreeMap;

use axum::{Router, routing::get};
use demo::{Answer, App, Client, PAST_THE_CACHE, Population, Setup, Store, Visitor};
use http::{Method, StatusCode, header};

/// The scale of the copy in memory.
const SCALE: f64 = 0.01;

async fn start(more: Router) -> App {
    let setup = Setup {
        store: Store::memory(),
        database_url: None,
        redis_url: None,
    };
    App::start_with(&setup, more).await.unwrap()
}

/// The detail of an answer that has to be a problem of that status.
fn detail(answer: &Answer, status: StatusCode) -> String {
    let text = String::from_utf8_lossy(&answer.body);
    assert_eq!(answer.status, status, "{text}");
    assert_eq!(
        answer.headers[header::CONTENT_TYPE],
        "application/problem+json"
    );
    let problem: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(problem["status"], status.as_u16());
    problem["detail"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn values_that_cannot_be_are_422_problems_and_letters_are_counted_not_bytes() {
    let app = start(Router::new()).await;
    let mut client = Client::connect(app.address).await.unwrap();
    let letters = |count: usize| format!("/search?q={}", "%C3%A4".repeat(count));
    for path in [
        "/search?q=snow%00",
        "/search?q=snow%25",
        "/orders?since=1997-02-31",
        "/orders?since=yesterday",
        &letters(2),
        &letters(41),
    ] {
        let answer = client.send(Method::GET, path, &[], None).await.unwrap();
        let detail = detail(&answer, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(detail.contains("wants"), "{path}: {detail}");
    }
    for path in ["/orders?since=1997-02-28", &letters(3), &letters(40)] {
        let answer = client.send(Method::GET, path, &[], None).await.unwrap();
        assert_eq!(answer.status, StatusCode::OK, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_that_panics_affects_only_its_own_request() {
    async fn panics() -> &'static str {
        panic!("on purpose")
    }
    let app = start(Router::new().route("/panics", get(panics))).await;
    let address = app.address;
    let paths = |seed| {
        let mut visitor = Visitor::new(seed, Population::at(SCALE));
        let visits = (0..60).map(move |_| visitor.next_visit());
        visits
            .filter(|visit| visit.body.is_none())
            .map(|visit| visit.path)
    };
    let mut uncached = BTreeMap::new();
    let mut client = Client::connect(address).await.unwrap();
    for path in (0..4).flat_map(paths) {
        let answer = client
            .send(Method::GET, &path, &PAST_THE_CACHE, None)
            .await
            .unwrap();
        assert_eq!(answer.status, StatusCode::OK, "{path}");
        uncached.insert(path, answer.body);
    }

    let unlucky: Vec<_> = (0..4)
        .map(|_| {
            tokio::spawn(async move {
                // One connection for all: a panic does not even end that.
                let mut client = Client::connect(address).await.unwrap();
                for _ in 0..60 {
                    let answer = client.send(Method::GET, "/panics", &[], None).await;
                    let detail = detail(&answer.unwrap(), StatusCode::INTERNAL_SERVER_ERROR);
                    assert!(!detail.contains("on purpose"), "{detail}");
                }
            })
        })
        .collect();
    let others: Vec<_> = (0..4)
        .map(|seed| {
            let uncached = uncached.clone();
            tokio::spawn(async move {
                let mut client = Client::connect(address).await.unwrap();
                for path in paths(seed) {
                    let answer = client.send(Method::GET, &path, &[], None).await.unwrap();
                    assert_eq!(answer.status, StatusCode::OK, "{path}");
                    assert_eq!(answer.body, uncached[&path], "{path}");
                }
            })
        })
        .collect();
    for task in unlucky.into_iter().chain(others) {
        task.await.unwrap();
    }
}
