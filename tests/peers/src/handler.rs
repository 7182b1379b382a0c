//! The service under every cache.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderValue, Request, Response, header};
use http_body_util::Full;
use tower::Service;

/// Bytes of an answer.
pub(crate) const BODY_BYTES: usize = 2 << 10;

/// What the handler answers, and how soon.
pub(crate) struct Handler {
    body: Bytes,
    cache_control: &'static str,
    delay: Option<Duration>,
    /// Answers in the language asked for, and says so by `Vary`.
    speaks: bool,
    calls: AtomicU64,
}

impl Handler {
    pub(crate) fn new(cache_control: &'static str) -> Self {
        Self {
            body: Bytes::from(vec![b'x'; BODY_BYTES]),
            cache_control,
            delay: None,
            speaks: false,
            calls: AtomicU64::new(0),
        }
    }

    pub(crate) fn delay(mut self, delay: Duration) -> Self {
        self.delay = Some(delay);
        self
    }

    pub(crate) fn speaks(mut self) -> Self {
        self.speaks = true;
        self
    }

    pub(crate) fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    async fn answer(&self, request: Request<Body>) -> Response<Full<Bytes>> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        if let Some(delay) = self.delay {
            tokio::time::sleep(delay).await;
        }
        let body = match request.headers().get(header::ACCEPT_LANGUAGE) {
            Some(language) if self.speaks => Bytes::copy_from_slice(language.as_bytes()),
            _ => self.body.clone(),
        };
        let mut response = Response::new(Full::new(body));
        let headers = response.headers_mut();
        headers.insert(
            header::CACHE_CONTROL,
            HeaderValue::from_static(self.cache_control),
        );
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
        headers.insert(header::ETAG, HeaderValue::from_static("\"1\""));
        if self.speaks {
            headers.insert(header::VARY, HeaderValue::from_static("accept-language"));
        }
        response
    }
}

/// The handler as a service. Its future does nothing before it is polled: a cache that makes it on a hit too pays little.
pub(crate) fn service(
    handler: Arc<Handler>,
) -> impl Service<
    Request<Body>,
    Response = Response<Full<Bytes>>,
    Error = Infallible,
    Future = impl Future<Output = Result<Response<Full<Bytes>>, Infallible>> + Send + 'static,
> + Clone
+ Send
+ Sync
+ 'static {
    tower::service_fn(move |request| {
        let handler = handler.clone();
        async move { Ok(handler.answer(request).await) }
    })
}
