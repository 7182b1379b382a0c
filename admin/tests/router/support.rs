//! An app with the router on it, and a client.

pub(crate) use std::time::Duration;

pub(crate) use axum::Router;
pub(crate) use axum::body::Body;
pub(crate) use axum::routing::get;
pub(crate) use http::{Method, Request, StatusCode, header};
use http_body_util::BodyExt;
use pitcrew::{CacheLayer, LatencyLayer, MemoryLayer};
pub(crate) use pitcrew_admin::{Admin, AdminBuilder};
pub(crate) use serde_json::{Value, json};
use tower::ServiceExt;

pub(crate) const OPERATOR: &str = "operator-token-of-this-test";
pub(crate) const READER: &str = "reader-token-of-this-test";

pub(crate) fn builder() -> AdminBuilder {
    Admin::builder()
        .operator_token(OPERATOR)
        .reader_token(READER)
}

/// An app with the three layers and the admin router, as a host would build it.
pub(crate) fn app(configure: impl FnOnce(AdminBuilder) -> AdminBuilder) -> (Router, Admin) {
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
        .nest_service("/performance", admin.router());
    (app, admin)
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: http::HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }
}

pub(crate) async fn send(app: &Router, request: Request<Body>) -> Answer {
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

pub(crate) fn request(
    method: Method,
    path: &str,
    token: Option<&str>,
    body: Option<Value>,
) -> Request<Body> {
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

/// The same request with one more field.
pub(crate) fn with(mut request: Request<Body>, name: &'static str, value: &str) -> Request<Body> {
    request
        .headers_mut()
        .append(name, value.parse().expect("a value"));
    request
}

pub(crate) async fn ask(app: &Router, method: Method, path: &str, body: Option<Value>) -> Answer {
    send(
        app,
        request(method, &format!("/performance{path}"), Some(OPERATOR), body),
    )
    .await
}

pub(crate) async fn read(app: &Router, path: &str) -> Value {
    ask(app, Method::GET, path, None).await.json()
}

pub(crate) async fn visit(app: &Router, path: &str) {
    assert_eq!(
        send(app, request(Method::GET, path, None, None))
            .await
            .status,
        StatusCode::OK
    );
}

/// One operation of the OpenAPI document.
#[derive(Debug, Clone)]
pub(crate) struct Operation {
    pub(crate) method: Method,
    /// With `1` for what is variable.
    pub(crate) path: String,
    pub(crate) described: Value,
}

impl Operation {
    pub(crate) fn role(&self) -> &str {
        self.described["x-role"].as_str().expect("a role")
    }

    /// An answer without an end, which no test may wait for.
    pub(crate) fn is_stream(&self) -> bool {
        self.described["responses"]["200"]["content"]
            .get("text/event-stream")
            .is_some()
    }

    /// The example of its request, which changes nothing where it can be told not to.
    pub(crate) fn dry(&self) -> Option<Value> {
        let mut body =
            self.described["requestBody"]["content"]["application/json"]["example"].clone();
        if body.get("dry_run").is_some() {
            body["dry_run"] = true.into();
        }
        (!body.is_null()).then_some(body)
    }

    pub(crate) fn request(&self, token: Option<&str>) -> Request<Body> {
        request(
            self.method.clone(),
            &format!("/performance{}", self.path),
            token,
            None,
        )
    }
}

/// Every operation but those that anybody may ask for.
pub(crate) async fn guarded(app: &Router) -> Vec<Operation> {
    let mut all = operations(app).await;
    all.retain(|operation| operation.role() != "anybody");
    all
}

/// Every operation.
pub(crate) async fn operations(app: &Router) -> Vec<Operation> {
    let document = read(app, "/openapi.json").await;
    let paths = document["paths"].as_object().expect("paths");
    let mut all = Vec::new();
    for (template, methods) in paths {
        let part = |part: &str| {
            if part.starts_with('{') {
                "1".to_owned()
            } else {
                part.to_owned()
            }
        };
        let path = template.split('/').map(part).collect::<Vec<_>>().join("/");
        // Nested, the root has no `/` of its own.
        let path = if path == "/" { String::new() } else { path };
        for (method, described) in methods.as_object().expect("methods") {
            all.push(Operation {
                method: method.to_uppercase().parse().expect("a method"),
                path: path.clone(),
                described: described.clone(),
            });
        }
    }
    assert!(all.len() > 20, "{}", all.len());
    all
}
