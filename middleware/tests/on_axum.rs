//! The three layers on an axum app, as the front page says.

#![allow(clippy::unwrap_used)]

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use axum::{
    Extension, Router,
    body::Body,
    extract::Path,
    http::{Request, StatusCode},
    response::IntoResponse,
    routing::get,
};
use http_body_util::BodyExt;
use pitcrew::{
    CacheLayer, LatencyLayer, MemoryLayer,
    cache::{Purge, Region},
    clock::Clock,
};
use tower::ServiceExt;

async fn ask(app: &Router, path: &str) -> (StatusCode, String, String) {
    let request = Request::builder()
        .uri(path)
        .header("host", "app.example")
        .body(Body::empty())
        .unwrap();
    let response = app.clone().oneshot(request).await.unwrap();
    let cache_status = response
        .headers()
        .get("cache-status")
        .map_or("", |value| value.to_str().unwrap())
        .to_owned();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (
        status,
        cache_status,
        String::from_utf8(body.to_vec()).unwrap(),
    )
}

fn fresh(body: impl IntoResponse) -> impl IntoResponse {
    ([("cache-control", "max-age=60")], body)
}

#[tokio::test]
async fn the_three_layers_on_one_router() {
    let calls = Arc::new(AtomicUsize::new(0));
    let (cache, cached) = CacheLayer::builder().build();
    let (memory, _memory) = MemoryLayer::builder().build();
    let (latency, timed) = LatencyLayer::builder().build();
    let app = Router::new()
        .route(
            "/orders/{id}",
            get(
                |Path(id): Path<u64>, Extension(calls): Extension<Arc<AtomicUsize>>| async move {
                    calls.fetch_add(1, Ordering::SeqCst);
                    fresh(format!("order {id}"))
                },
            ),
        )
        .layer(cache)
        .layer(memory)
        .layer(latency)
        .layer(Extension(calls.clone()));
    assert_eq!(
        ask(&app, "/orders/1").await.1,
        "pitcrew; fwd=uri-miss; stored"
    );
    let (_, status, body) = ask(&app, "/orders/1").await;
    assert!(status.starts_with("pitcrew; hit"), "{status}");
    assert_eq!(body, "order 1");
    assert_eq!(ask(&app, "/orders/2").await.2, "order 2");
    assert_eq!(calls.load(Ordering::SeqCst), 2);
    let snapshot = timed.snapshot();
    let series: Vec<_> = snapshot
        .series
        .iter()
        .map(|s| (s.route.as_str(), s.status_class, s.count))
        .collect();
    assert_eq!(
        series,
        [("/orders/{id}", "2xx", 3)],
        "the template, not the path"
    );
    let routes = cached.stats().routes;
    let routes: Vec<_> = routes
        .iter()
        .map(|row| (row.route.as_str(), row.figures.hits, row.figures.misses))
        .collect();
    assert_eq!(routes, [("/orders/{id}", 1, 2)]);
    cached.purge(Purge::Path("/orders/1".into())).await.unwrap();
    assert_eq!(ask(&app, "/orders/1").await.1, "pitcrew; fwd=stale; stored");
    assert!(ask(&app, "/orders/2").await.1.starts_with("pitcrew; hit"));
}

#[tokio::test]
async fn c17_one_layer_on_two_nested_routers_never_gives_one_the_others_answer() {
    let (cache, handle) = CacheLayer::builder().build();
    let version = |name: &'static str, cache: CacheLayer| {
        Router::new()
            .route("/items", get(move || async move { fresh(name) }))
            .layer(cache)
    };
    let app = Router::new()
        .nest("/v1", version("one", cache.clone()))
        .nest("/v2", version("two", cache));
    for _ in 0..2 {
        assert_eq!(ask(&app, "/v1/items").await.2, "one");
        assert_eq!(ask(&app, "/v2/items").await.2, "two");
    }
    assert!(ask(&app, "/v2/items").await.1.starts_with("pitcrew; hit"));
    // A purge names the path as the client asks for it.
    handle.purge(Purge::Path("/v1/items".into())).await.unwrap();
    assert_eq!(ask(&app, "/v1/items").await.1, "pitcrew; fwd=stale; stored");
    assert!(ask(&app, "/v2/items").await.1.starts_with("pitcrew; hit"));
}

#[tokio::test]
async fn a_path_that_was_rewritten_inside_the_router_is_part_of_the_key() {
    let (cache, _) = CacheLayer::builder().build();
    let calls = Arc::new(AtomicUsize::new(0));
    let tenant = calls.clone();
    let app = Router::new()
        .fallback(|uri: axum::http::Uri| async move { fresh(uri.path().to_owned()) })
        .layer(cache)
        // Each request goes to another tenant, though clients ask for the same path.
        .layer(axum::middleware::map_request(
            move |mut request: Request<Body>| {
                let tenant = tenant.fetch_add(1, Ordering::SeqCst) % 2;
                *request.uri_mut() = format!("/tenant{tenant}/").parse().unwrap();
                async { request }
            },
        ));
    for n in 0..4 {
        assert_eq!(ask(&app, "/").await.2, format!("/tenant{}/", n % 2));
    }
}

#[tokio::test]
async fn layers_go_onto_a_method_router_too() {
    let (cache, handle) = CacheLayer::builder().build();
    let app = Router::new()
        .route("/", get(|| async { fresh("x") }).layer(cache))
        .route("/other", get(|| async { fresh("y") }));
    ask(&app, "/").await;
    assert!(ask(&app, "/").await.1.starts_with("pitcrew; hit"));
    assert_eq!(ask(&app, "/other").await.1, "", "a route without the layer");
    assert_eq!(handle.stats().hits, 1);
}

#[tokio::test]
async fn a_method_that_is_added_after_the_layer_is_not_seen_by_it() {
    for (is_inside, after) in [
        (false, "pitcrew; hit; ttl=60"),
        (true, "pitcrew; fwd=stale; stored"),
    ] {
        let (cache, _) = CacheLayer::builder().clock(Clock::manual()).build();
        let (read, write) = (|| async { fresh("x") }, || async {});
        let route = if is_inside {
            get(read).post(write).layer(cache)
        } else {
            get(read).layer(cache).post(write)
        };
        let app = Router::new().route("/", route);
        ask(&app, "/").await;
        let post = Request::post("/").header("host", "app.example");
        let post = post.body(Body::empty()).unwrap();
        assert_eq!(
            app.clone().oneshot(post).await.unwrap().status(),
            StatusCode::OK
        );
        assert_eq!(ask(&app, "/").await.1, after);
    }
}

#[tokio::test]
async fn in_a_nested_router_a_region_is_chosen_by_the_path_that_is_left() {
    let (cache, handle) = CacheLayer::builder()
        .region(Region::dashboard_data())
        .region_for(|request| (request.uri.path() == "/items").then_some("dashboard_data"))
        .build();
    let nested = Router::new()
        .route("/items", get(|| async { fresh("x") }))
        .layer(cache);
    let app = Router::new().nest("/v1", nested);
    ask(&app, "/v1/items").await;
    let regions = handle.stats().regions;
    let stores = regions
        .iter()
        .map(|row| (row.name.as_str(), row.figures.stores));
    let stores: Vec<_> = stores.filter(|(_, stores)| *stores > 0).collect();
    assert_eq!(stores, [("dashboard_data", 1)]);
}

#[tokio::test]
async fn unknown_paths_are_one_series() {
    let (latency, timed) = LatencyLayer::builder().build();
    let app = Router::new()
        .route("/known", get(|| async {}))
        .layer(latency);
    for n in 0..1_000 {
        assert_eq!(ask(&app, &format!("/{n}")).await.0, StatusCode::NOT_FOUND);
    }
    ask(&app, "/known").await;
    let routes: Vec<_> = timed
        .snapshot()
        .series
        .into_iter()
        .map(|series| (series.route, series.count))
        .collect();
    assert!(
        routes.contains(&("unmatched".into(), 1_000)) && routes.contains(&("/known".into(), 1)),
        "{routes:?}"
    );
    assert_eq!(routes.len(), 2);
}

#[tokio::test]
async fn inside_a_nested_service_the_label_is_where_it_is_nested() {
    let (latency, timed) = LatencyLayer::builder().build();
    let inner = tower::ServiceBuilder::new()
        .layer(latency.clone())
        .service(tower::service_fn(|_: Request<Body>| async {
            Ok::<_, std::convert::Infallible>("inner".into_response())
        }));
    let nested = Router::new()
        .route("/{id}", get(|| async {}))
        .layer(latency.clone());
    let app = Router::new()
        .nest_service("/static", inner)
        .nest("/v1", nested);
    for path in ["/static/a", "/static/b/c", "/v1/7", "/v1/8"] {
        assert_eq!(ask(&app, path).await.0, StatusCode::OK, "{path}");
    }
    let snapshot = timed.snapshot();
    let mut routes: Vec<_> = snapshot
        .series
        .iter()
        .map(|series| (series.route.as_str(), series.count))
        .collect();
    routes.sort_unstable();
    assert_eq!(routes, [("/static/*", 2), ("/v1/{id}", 2)]);
}

#[tokio::test]
async fn a_route_label_of_the_apps_own_goes_before_the_routers() {
    let (latency, timed) = LatencyLayer::builder()
        .route_label(|parts| (parts.uri.path() == "/b").then(|| "mine".to_owned()))
        .build();
    let app = Router::new()
        .route("/{any}", get(|| async {}))
        .layer(latency);
    ask(&app, "/a").await;
    ask(&app, "/b").await;
    let snapshot = timed.snapshot();
    let mut routes: Vec<_> = snapshot
        .series
        .iter()
        .map(|series| series.route.as_str())
        .collect();
    routes.sort_unstable();
    assert_eq!(routes, ["/{any}", "mine"]);
}
