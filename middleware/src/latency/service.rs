//! [`Latency`], the service.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use http::{HeaderMap, Request, Response, header::CONTENT_LENGTH};
use http_body::Body;
use tower_service::Service;

use super::{
    body::ResponseBody,
    future::ResponseFuture,
    recorder::{
        label::RouteText,
        record::{Begun, Record},
        registry::Method,
        shared::Shared,
    },
};
use crate::route::{Template, UNMATCHED, method_label};

/// Measures the inner service. Made by [`LatencyLayer`](super::LatencyLayer).
#[derive(Clone)]
pub struct Latency<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S> Latency<S> {
    pub(super) fn new(inner: S, shared: Arc<Shared>) -> Self {
        Self { inner, shared }
    }

    /// `custom`: what the app's own closure says.
    fn begin<B>(&self, request: &Request<B>, custom: Option<&str>) -> Option<Record> {
        let text = match (custom, Template::of(request.extensions())) {
            (Some(label), _) => RouteText::Whole(label),
            (None, Template::Whole(template)) => RouteText::Whole(template),
            (None, Template::Nested(path)) => RouteText::Nested(path),
            (None, Template::None) => RouteText::Whole(UNMATCHED),
        };
        let begun = Begun {
            method: Method(method_label(request.method())),
            request_bytes: content_length(request.headers()).unwrap_or(0),
        };
        self.shared.begin(text, begun)
    }
}

/// What `Content-Length` says.
pub(super) fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.trim().parse().ok())
}

impl<S, B, R> Service<Request<B>> for Latency<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    R: Body,
{
    type Response = Response<ResponseBody<R>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (request, record) = if self.shared.labeler().is_custom() {
            let (parts, body) = request.into_parts();
            let custom = self.shared.labeler().custom(&parts);
            let request = Request::from_parts(parts, body);
            let record = self.begin(&request, custom.as_deref());
            (request, record)
        } else {
            let record = self.begin(&request, None);
            (request, record)
        };
        ResponseFuture::new(self.inner.call(request), record)
    }
}

impl<S> std::fmt::Debug for Latency<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Latency").finish_non_exhaustive()
    }
}
