//! The routes. Each answer says how long it may be reused, and by which tags it can be purged.

use std::sync::Arc;

use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::{StatusCode, header};
use pitcrew::cache::Purge;
use serde::Deserialize;

use super::Shared;
use super::live;
use super::store::{LIST_LIMIT, NewOrder, StoreError};

type App = State<Arc<Shared>>;

pub(crate) fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/orders/{key}", get(order))
        .route("/orders", get(orders_since).post(add_order))
        .route("/customers/{key}/orders", get(customer_orders))
        .route("/parts/{key}/sales", get(part_sales))
        .route("/search", get(search))
        .route("/dashboard/revenue", get(revenue))
        .route("/dashboard/top-customers", get(top_customers))
        .route("/live", get(listen))
        .with_state(shared)
}

/// An answer that may be reused for `seconds`, until one of its tags is purged.
fn reusable(seconds: u32, tags: &str, body: impl IntoResponse) -> Response {
    let fresh = [(header::CACHE_CONTROL, format!("public, max-age={seconds}"))];
    let tags = (!tags.is_empty()).then(|| [("x-cache-tags", tags.to_owned())]);
    match tags {
        Some(tags) => (fresh, tags, body).into_response(),
        None => (fresh, body).into_response(),
    }
}

async fn order(State(app): App, Path(key): Path<i32>) -> Result<Response, StoreError> {
    Ok(reusable(60, "", Json(app.store.order(key).await?)))
}

async fn customer_orders(State(app): App, Path(key): Path<i32>) -> Result<Response, StoreError> {
    let orders = app.store.customer_orders(key).await?;
    Ok(reusable(60, &format!("customer:{key}"), Json(orders)))
}

async fn part_sales(State(app): App, Path(key): Path<i32>) -> Result<Response, StoreError> {
    let sales = app.store.part_sales(key).await?;
    Ok(reusable(60, &format!("part:{key}"), Json(sales)))
}

#[derive(Deserialize)]
struct Since {
    since: String,
}

async fn orders_since(
    State(app): App,
    Query(Since { since }): Query<Since>,
) -> Result<Response, StoreError> {
    let orders = app.store.orders_since(&since).await?;
    // The earliest orders since a date: a new order changes the list only while it is not full.
    let tags = if orders.len() < LIST_LIMIT {
        "orders:open-ended"
    } else {
        ""
    };
    Ok(reusable(30, tags, Json(orders)))
}

#[derive(Deserialize)]
struct Search {
    q: String,
}

async fn search(
    State(app): App,
    Query(Search { q }): Query<Search>,
) -> Result<Response, StoreError> {
    Ok(reusable(300, "", Json(app.store.search(&q).await?)))
}

/// Dashboards may lag by ten seconds; the WebSocket is live.
async fn revenue(State(app): App) -> Result<Response, StoreError> {
    Ok(reusable(10, "", Json(app.store.revenue().await?)))
}

async fn top_customers(State(app): App) -> Result<Response, StoreError> {
    Ok(reusable(10, "", Json(app.store.top_customers().await?)))
}

/// Adds an order, then purges what it changed before it answers: whoever asks next sees it.
///
/// In a task of its own: a handler's future ends where its visitor hangs up, and an order that was committed without its
/// purges would leave old answers in the cache.
async fn add_order(State(app): App, Json(new): Json<NewOrder>) -> Result<Response, StoreError> {
    let adding = tokio::spawn(async move { added(&app, &new).await });
    match adding.await {
        Ok(answer) => answer,
        Err(ended) => match ended.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(StoreError::Unavailable("the service is ending")),
        },
    }
}

async fn added(app: &Shared, new: &NewOrder) -> Result<Response, StoreError> {
    let order = app.store.add_order(new).await?;
    let tags = [
        format!("customer:{}", new.customer),
        format!("part:{}", new.part),
        "orders:open-ended".to_owned(),
    ];
    for tag in tags {
        let Some(cache) = &app.cache else { break };
        let purged = cache.purge(Purge::Tag(tag)).await;
        purged.map_err(|_| StoreError::Unavailable("a tag of the order names nothing"))?;
    }
    app.live
        .tell(serde_json::to_string(&order).unwrap_or_default());
    Ok((StatusCode::CREATED, Json(order)).into_response())
}

async fn listen(State(app): App, upgrade: WebSocketUpgrade) -> Response {
    // Subscribed before the upgrade is answered: no order after the handshake is missed.
    let orders = app.live.listen();
    upgrade.on_upgrade(|socket| live::serve(socket, orders))
}
