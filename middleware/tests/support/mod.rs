//! What the tests of the cache share: a handler that counts its calls, and short ways to ask.

#![allow(dead_code, unreachable_pub)]

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use pitcrew::{CacheHandle, CacheLayer, cache::CacheBuilder};
use tower::{Layer, Service, ServiceExt};

pub type Body = UnsyncBoxBody<Bytes, BodyError>;

#[derive(Debug, PartialEq, Eq)]
pub struct BodyError;

pub type Answering = Pin<Box<dyn Future<Output = Result<Response<Body>, &'static str>> + Send>>;
type Answer = dyn Fn(Request<Full<Bytes>>, usize) -> Answering + Send + Sync;

/// A service made of a closure that is told how often it was called before; not `Sync` in its body on purpose.
#[derive(Clone)]
pub struct Handler {
    answer: Arc<Answer>,
    pub calls: Arc<AtomicUsize>,
}

impl Handler {
    pub fn new(
        answer: impl Fn(Request<Full<Bytes>>, usize) -> Answering + Send + Sync + 'static,
    ) -> Self {
        Self {
            answer: Arc::new(answer),
            calls: Arc::default(),
        }
    }

    /// Answers at once with these headers; the body is the number of the call.
    pub fn with(headers: &'static [(&'static str, &'static str)]) -> Self {
        Self::new(move |_, call| ready(answer(headers, call.to_string())))
    }

    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }
}

impl Service<Request<Full<Bytes>>> for Handler {
    type Response = Response<Body>;
    type Error = &'static str;
    type Future = Answering;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), &'static str>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> Answering {
        let call = self.calls.fetch_add(1, Ordering::SeqCst);
        (self.answer)(request, call)
    }
}

pub fn ready(response: Response<Body>) -> Answering {
    Box::pin(std::future::ready(Ok(response)))
}

pub fn answer(headers: &[(&str, &str)], body: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::builder();
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    response.body(full(body)).unwrap()
}

pub fn full(body: impl Into<Bytes>) -> Body {
    Full::new(body.into())
        .map_err(|never: Infallible| match never {})
        .boxed_unsync()
}

/// A body that a test feeds frame by frame.
pub fn fed() -> (
    tokio::sync::mpsc::UnboundedSender<Result<Frame<Bytes>, BodyError>>,
    Body,
) {
    struct Fed(tokio::sync::mpsc::UnboundedReceiver<Result<Frame<Bytes>, BodyError>>);
    impl http_body::Body for Fed {
        type Data = Bytes;
        type Error = BodyError;
        fn poll_frame(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
            self.0.poll_recv(cx)
        }
    }
    let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
    (sender, Fed(receiver).boxed_unsync())
}

pub fn data(bytes: &'static str) -> Result<Frame<Bytes>, BodyError> {
    Ok(Frame::data(Bytes::from_static(bytes.as_bytes())))
}

pub fn get(uri: &str) -> Request<Full<Bytes>> {
    get_with(uri, &[])
}

pub fn get_with(uri: &str, headers: &[(&str, &str)]) -> Request<Full<Bytes>> {
    method("GET", uri, headers)
}

pub fn method(method: &str, uri: &str, headers: &[(&str, &str)]) -> Request<Full<Bytes>> {
    let mut request = Request::builder()
        .method(method)
        .uri(uri)
        .header("host", "app.example");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Full::default()).unwrap()
}

/// An answer read to its end.
#[derive(Debug)]
pub struct Seen {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: String,
}

impl Seen {
    pub fn cache_status(&self) -> &str {
        self.headers
            .get("cache-status")
            .map_or("", |value| value.to_str().unwrap())
    }

    pub fn is_hit(&self) -> bool {
        self.cache_status().starts_with("pitcrew; hit")
    }
}

pub type Cached = pitcrew::cache::Cache<Handler>;

pub fn cached(handler: &Handler, builder: CacheBuilder) -> (Cached, CacheHandle) {
    let (layer, handle) = builder.build();
    (layer.layer(handler.clone()), handle)
}

pub fn simple(handler: &Handler) -> Cached {
    cached(handler, CacheLayer::builder()).0
}

pub async fn ask<S, R>(service: &S, request: Request<Full<Bytes>>) -> Seen
where
    S: Service<Request<Full<Bytes>>, Response = Response<R>> + Clone,
    S::Error: std::fmt::Debug,
    R: http_body::Body<Data = Bytes>,
    R::Error: std::fmt::Debug,
{
    let response = service.clone().oneshot(request).await.unwrap();
    read(response).await
}

pub async fn read<R>(response: Response<R>) -> Seen
where
    R: http_body::Body<Data = Bytes>,
    R::Error: std::fmt::Debug,
{
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    Seen {
        status: parts.status,
        headers: parts.headers,
        body: String::from_utf8_lossy(&bytes).into_owned(),
    }
}

/// Lets every other task run until it waits; current-thread runtimes only.
pub async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

/// Waits for something outside this process, for ten seconds at most.
pub async fn eventually<F: Future<Output = bool>>(what: &str, mut check: impl FnMut() -> F) {
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    while !check().await {
        assert!(std::time::Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

pub fn size_of_body<R: http_body::Body>(response: &Response<R>) -> Option<u64> {
    response.body().size_hint().exact()
}
