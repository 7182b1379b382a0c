//! The memory layer on an axum app: labels, streamed bodies, and the cache as one that gives back.

#![allow(clippy::unwrap_used)]

use std::alloc::System;

use axum::{
    Router,
    body::Body,
    extract::Path,
    http::{Request, StatusCode},
    routing::{get, post},
};
use http_body_util::BodyExt;
use pitcrew::{CacheLayer, MemoryLayer, memory::CountingAlloc};
use tower::ServiceExt;

#[global_allocator]
static ALLOCATOR: CountingAlloc<System> = CountingAlloc::new(System);

async fn ask(app: &Router, method: &str, path: &str) -> StatusCode {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "app.example")
        .body(Body::empty())
        .unwrap();
    let answer = app.clone().oneshot(request).await.unwrap();
    let status = answer.status();
    answer.into_body().collect().await.unwrap();
    status
}

#[tokio::test]
async fn routes_are_told_by_their_templates() {
    let (memory, handle) = MemoryLayer::builder().build();
    let files = tower::service_fn(|_: Request<Body>| async {
        Ok::<_, std::convert::Infallible>(axum::response::Response::new(Body::from("a file")))
    });
    let app = Router::new()
        .route(
            "/orders/{id}",
            get(|Path(id): Path<u64>| async move { format!("order {id}") }),
        )
        .route("/orders", post(|| async { "made" }))
        .nest_service("/files", tower::Layer::layer(&memory, files))
        .layer(memory);
    for n in 0..20 {
        assert_eq!(
            ask(&app, "GET", &format!("/orders/{n}")).await,
            StatusCode::OK
        );
    }
    ask(&app, "POST", "/orders").await;
    ask(&app, "GET", "/files/a.txt").await;
    for n in 0..100 {
        ask(&app, "GET", &format!("/nowhere/{n}")).await;
    }
    let snapshot = handle.snapshot();
    let mut routes: Vec<_> = snapshot
        .routes
        .iter()
        .map(|row| (row.method.as_str(), row.route.as_str(), row.requests))
        .collect();
    routes.sort_unstable();
    assert_eq!(
        routes,
        [
            ("GET", "/files/*", 1),
            ("GET", "/orders/{id}", 20),
            // What is nested as a service is known inside of it alone: outside that request has no template.
            ("GET", "unmatched", 101),
            ("POST", "/orders", 1),
        ]
    );
    assert_eq!(
        snapshot.requests, 123,
        "the files' request passed the layer twice"
    );
}

#[tokio::test]
async fn a_closure_that_declines_leaves_axums_names_as_they_are() {
    let (memory, handle) = MemoryLayer::builder()
        .route_label(|parts| (parts.uri.path() == "/named").then(|| "by closure".to_owned()))
        .build();
    let files = tower::service_fn(|_: Request<Body>| async {
        Ok::<_, std::convert::Infallible>(axum::response::Response::new(Body::from("a file")))
    });
    let app = Router::new()
        .nest_service("/files", tower::Layer::layer(&memory, files))
        .nest_service("/slash/", tower::Layer::layer(&memory, files))
        .route("/named", get(|| async { "named" }).layer(memory.clone()))
        .route("/plain/{n}", get(|| async { "plain" }).layer(memory));
    for path in ["/files/a", "/slash/a", "/named", "/plain/1"] {
        assert_eq!(ask(&app, "GET", path).await, StatusCode::OK, "{path}");
    }
    let snapshot = handle.snapshot();
    let mut routes: Vec<_> = snapshot.routes.iter().map(|row| &*row.route).collect();
    routes.sort_unstable();
    assert_eq!(routes, ["/files/*", "/plain/{n}", "/slash/*", "by closure"]);
}

#[tokio::test]
async fn the_cache_gives_back_what_the_memory_handle_asks_for() {
    let (cache, cached) = CacheLayer::builder().build();
    let (memory, handle) = MemoryLayer::builder().build();
    let shrunk = cached.clone();
    handle
        .register_shrink("responses", move |share| shrunk.shrink(share))
        .unwrap();
    let app = Router::new()
        .route(
            "/pages/{n}",
            get(|| async { ([("cache-control", "max-age=60")], "x".repeat(10_000)) }),
        )
        .layer(cache)
        .layer(memory);
    for n in 0..50 {
        ask(&app, "GET", &format!("/pages/{n}")).await;
    }
    let before = cached.stats().l1.bytes;
    assert!(before > 500_000, "{before}");
    let reports = handle.shrink(0.5).await;
    let after = cached.stats().l1.bytes;
    assert_eq!(reports[0].bytes, Some(before - after));
    assert!(after <= before / 2, "{before} {after}");
}
