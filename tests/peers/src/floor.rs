//! The least that a cache costs: a map, a key of the path, no HTTP rule.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use http::{Request, Response, response::Parts};
use http_body_util::{BodyExt, Full};
use quick_cache::sync::Cache;
use tower::Service;

type Stored = (Parts, Bytes);
type Answer = Result<Response<Full<Bytes>>, Infallible>;

#[derive(Clone)]
pub(crate) struct Floor<S> {
    inner: S,
    cache: Arc<Cache<String, Stored>>,
}

impl<S> Floor<S> {
    pub(crate) fn new(inner: S, items: usize) -> Self {
        Self {
            inner,
            cache: Arc::new(Cache::new(items)),
        }
    }
}

fn answer((parts, body): Stored) -> Response<Full<Bytes>> {
    Response::from_parts(parts, Full::new(body))
}

impl<S> Service<Request<Body>> for Floor<S>
where
    S: Service<Request<Body>, Response = Response<Full<Bytes>>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = FloorFuture;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> FloorFuture {
        if let Some(stored) = self.cache.get(request.uri().path()) {
            return FloorFuture::Hit(Some(answer(stored)));
        }
        let (key, cache) = (request.uri().path().to_owned(), self.cache.clone());
        let response = self.inner.call(request);
        FloorFuture::Miss(Box::pin(async move {
            let (parts, body) = response.await?.into_parts();
            // The handler's body is in memory: it cannot fail.
            let body = body.collect().await.unwrap_or_default().to_bytes();
            let stored = (parts, body);
            cache.insert(key, stored.clone());
            Ok(answer(stored))
        }))
    }
}

// A hit, which is what is measured, does not allocate.
pub(crate) enum FloorFuture {
    Hit(Option<Response<Full<Bytes>>>),
    Miss(Pin<Box<dyn Future<Output = Answer> + Send>>),
}

impl Future for FloorFuture {
    type Output = Answer;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Answer> {
        match self.get_mut() {
            // Polled once: a future that is ready is not polled again.
            Self::Hit(response) => response
                .take()
                .map_or(Poll::Pending, |response| Poll::Ready(Ok(response))),
            Self::Miss(future) => future.as_mut().poll(cx),
        }
    }
}
