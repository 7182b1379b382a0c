//! One file a path family. A handler asks a part and shapes the answer; it decides nothing about who may ask.

mod benchmarks;
mod cache;
mod database;
mod health;
mod load_test;
mod memory;
mod optimize;
mod response_times;
mod slowness;
mod status;

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, Request, State};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::StatusCode;
use tower_http::catch_panic::CatchPanicLayer;

use crate::security::problem::{MAX_REQUEST_BYTES, Problem};
use crate::security::{auth, cross_site, headers, host};
use crate::{Inner, optimizer};

/// State as the handlers see it.
type App = State<Arc<Inner>>;
/// What a handler answers.
type Answer<T> = Result<Json<T>, Problem>;

pub(crate) fn router(inner: Arc<Inner>) -> Router {
    let guarded = Router::new()
        .route("/status", get(status::status))
        .route("/optimize", get(optimize::reports).post(optimize::start))
        .route("/cache/stats", get(cache::stats))
        .route("/cache/clear", post(cache::clear))
        .route("/database/analysis", get(database::analysis))
        .route("/database/maintenance", post(database::submit))
        .route("/database/jobs", get(database::jobs))
        .route(
            "/database/jobs/{id}",
            get(database::job).delete(database::cancel),
        )
        .route("/memory/usage", get(memory::usage))
        .route("/memory/trend", get(memory::trend))
        .route("/memory/leak", get(memory::leak))
        .route("/memory/gc", post(memory::release))
        .route("/memory/heap-profile", post(memory::heap_profile))
        .route("/response-times", get(response_times::response_times))
        .route("/response-times/slow", get(slowness::slow))
        .route("/response-times/parts", get(slowness::parts))
        .route("/response-times/n-plus-one", get(slowness::n_plus_one))
        .route("/slos", get(slowness::objectives))
        .route("/load-test", get(load_test::runs).post(load_test::start))
        .route(
            "/load-test/{id}",
            get(load_test::run).delete(load_test::cancel),
        )
        .route("/benchmarks", get(benchmarks::benchmarks))
        .fallback(unknown)
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(MAX_REQUEST_BYTES))
        .layer(from_fn(cross_site::check))
        .layer(from_fn_with_state(Arc::clone(&inner), auth::check));
    // Health alone stands outside the guard; which request that is, the router decides, so no path trick can differ.
    Router::new()
        .route("/health", get(health::health))
        .method_not_allowed_fallback(wrong_method)
        .merge(guarded)
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn_with_state(Arc::clone(&inner), keep_running))
        .layer(from_fn_with_state(Arc::clone(&inner), host::check))
        .layer(from_fn(headers::protect))
        .with_state(inner)
}

async fn keep_running(State(inner): App, request: Request, next: Next) -> Response {
    optimizer::ensure_running(&inner);
    next.run(request).await
}

/// The app's own closures run here too (pool gauges), so a panic may be anybody's. The answer repeats nothing of it.
fn panicked(_: Box<dyn std::any::Any + Send>) -> Response {
    tracing::error!("a handler of the admin router panicked; the panic's message stands above");
    let detail = "this answer could not be made, by a fault that the app's log tells of";
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, detail).into_response()
}

async fn unknown() -> Problem {
    Problem::not_found("there is no such route: GET /status is a good place to begin")
}

async fn wrong_method() -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "this route does not take this method: see the Allow header",
    )
}
