//! One file a path family. Each declares its operations and has their handlers; a handler asks a part and shapes the answer,
//! and decides nothing about who may ask. Router and OpenAPI document are made of the same declarations.

mod alerts;
mod audit;
mod benchmarks;
mod cache;
mod config;
mod dashboard;
mod database;
mod database_parts;
mod database_sessions;
mod events;
mod health;
mod heat_map;
mod history;
mod load_test;
mod memory;
mod metrics;
mod openapi;
mod operation;
mod optimize;
mod page;
mod plan_schema;
mod response_times;
mod route;
mod session;
mod shape;
mod slowness;
mod status;
mod tagged;

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, Extension, Request, State};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use http::{Method, StatusCode};
use tower_http::catch_panic::CatchPanicLayer;

use self::operation::{Access, Operation};
use crate::security::problem::{self, MAX_REQUEST_BYTES, MaxBody, Problem};
use crate::security::{auth, cross_site, headers, host, limits};
use crate::{Inner, actions, background};

/// State as the handlers see it.
type App = State<Arc<Inner>>;
/// What a handler answers.
type Answer<T> = Result<Json<T>, Problem>;

/// Everything that can be asked for, in the order in which the OpenAPI document shows it.
fn operations() -> Vec<Operation> {
    let families = [
        status::operations(),
        health::operations(),
        optimize::operations(),
        cache::operations(),
        database::operations(),
        database_parts::operations(),
        database_sessions::operations(),
        memory::operations(),
        response_times::operations(),
        slowness::operations(),
        heat_map::operations(),
        route::operations(),
        load_test::operations(),
        benchmarks::operations(),
        alerts::operations(),
        history::operations(),
        audit::operations(),
        config::operations(),
        metrics::operations(),
        events::operations(),
        session::operations(),
        openapi::operations(),
        dashboard::operations(),
    ];
    families.into_iter().flatten().collect()
}

pub(crate) fn router(inner: Arc<Inner>) -> Router {
    let (mut open, mut guarded) = (Router::new(), Router::new());
    for operation in operations() {
        let mut handler = operation.handler.clone();
        if operation.is_tagged {
            handler = handler.route_layer(from_fn(tagged::tag));
        }
        if operation.access == Access::Operator {
            let named = (Arc::clone(&inner), Arc::from(operation.name()));
            handler = handler.route_layer(from_fn_with_state(named, actions::act));
        }
        if let Some(max) = operation.max_body {
            handler = handler
                .route_layer(DefaultBodyLimit::max(max))
                .route_layer(Extension(MaxBody(max)));
        }
        // Which request is for a public route, the router decides, so no path trick can differ.
        let router = match operation.access {
            Access::Public => &mut open,
            Access::Reader | Access::Operator => &mut guarded,
        };
        *router = std::mem::take(router).route(operation.path, handler);
    }
    let guarded = guarded
        .fallback(unknown)
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(MAX_REQUEST_BYTES))
        .layer(from_fn(cross_site::check))
        .layer(from_fn_with_state(Arc::clone(&inner), auth::check));
    open.method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(MAX_REQUEST_BYTES))
        .layer(from_fn(cross_site::check))
        .merge(guarded)
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn_with_state(Arc::clone(&inner), keep_running))
        .layer(from_fn(limits::check))
        .layer(from_fn_with_state(Arc::clone(&inner), host::check))
        .layer(from_fn(problem::uniform))
        .layer(from_fn(headers::protect))
        .with_state(inner)
}

async fn keep_running(State(inner): App, request: Request, next: Next) -> Response {
    background::ensure_running(&inner);
    next.run(request).await
}

/// The app's own closures run here too (pool gauges), so a panic may be anybody's. The answer repeats nothing of it.
fn panicked(_: Box<dyn std::any::Any + Send>) -> Response {
    tracing::error!("a handler of the admin router panicked; the panic's message stands above");
    let detail = "this answer could not be made, by a fault that the app's log tells of";
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, detail).into_response()
}

async fn unknown() -> Problem {
    Problem::not_found("there is no such route: GET /openapi.json lists all of them")
}

/// 405 with the methods that there are; whoever asks for just these (`OPTIONS`) gets them. There is no CORS: a page of
/// another origin learns nothing from it.
async fn wrong_method(method: Method) -> Response {
    if method == Method::OPTIONS {
        return StatusCode::NO_CONTENT.into_response();
    }
    let detail = "this route does not take this method: see the Allow header";
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail).into_response()
}
