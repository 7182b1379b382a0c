//! [`Latency`], the service.

use std::task::{Context, Poll};

use http::{HeaderMap, Request, Response, header::CONTENT_LENGTH};
use http_body::Body;
use tower_service::Service;

use super::{
    body::ResponseBody,
    future::ResponseFuture,
    load_run,
    recorder::{
        label::RouteText,
        owners::LayerId,
        record::{Begun, Record},
        registry::Method,
    },
    trace::TraceId,
};
use crate::{
    route::{Labeler, Template},
    ticks::Ticks,
};

/// Bytes that one request counts as at most, 1 TiB: what it declares is read by nobody here, and must not spoil the sum.
pub const MAX_REQUEST_BYTES: u64 = 1 << 40;

/// Measures the inner service. Made by [`LatencyLayer`](super::LatencyLayer).
#[derive(Clone)]
pub struct Latency<S> {
    inner: S,
    measure: Measure,
}

/// What a service knows of its layer. A router clones it with each request, so it counts no reference that threads share, unless
/// the app's own closure is one.
#[derive(Clone, Debug)]
pub(super) struct Measure {
    pub(super) layer: LayerId,
    pub(super) ticks: Ticks,
    pub(super) labeler: Labeler,
    /// Whether slow requests are kept with their trace.
    pub(super) has_exemplars: bool,
    /// Whether the response says how long its head took.
    pub(super) has_server_timing: bool,
    /// Whether load tests of this process count nothing.
    pub(super) leaves_out_load_tests: bool,
}

impl<S> Latency<S> {
    pub(super) fn new(inner: S, measure: Measure) -> Self {
        Self { inner, measure }
    }
}

impl Measure {
    /// `custom`: what the app's own closure says.
    #[inline(always)]
    fn begin<B>(&self, request: &Request<B>, custom: Option<&str>) -> Record {
        if self.leaves_out_load_tests && load_run::is_known(request.headers()) {
            return Record::of_nothing(self.ticks);
        }
        let text = match (custom, Template::of(request.extensions())) {
            (Some(label), _) => RouteText::Whole(label),
            (None, Template::Whole(template)) => RouteText::Whole(template),
            (None, Template::Nested(path)) => RouteText::Nested(path),
            (None, Template::None) => RouteText::Unmatched,
        };
        let method = Method::of(request.method());
        let begun = Begun {
            method,
            request_bytes: if method.has_content() {
                let declared = content_length(request.headers()).unwrap_or(0);
                declared.min(MAX_REQUEST_BYTES)
            } else {
                0
            },
            trace: if self.has_exemplars {
                TraceId::of(request.headers())
            } else {
                TraceId::default()
            },
        };
        Record::begin(self.layer, self.ticks, text, begun)
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
        if self.measure.labeler.is_custom() {
            return self.call_labeled(request);
        }
        let record = self.measure.begin(&request, None);
        let has_server_timing = self.measure.has_server_timing;
        ResponseFuture::new(self.inner.call(request), record, has_server_timing)
    }
}

impl<S> Latency<S> {
    /// The same where the app's own closure looks at the whole head. Apart, for a request is large enough for a copy of it to count.
    #[inline(never)]
    fn call_labeled<B>(&mut self, request: Request<B>) -> ResponseFuture<S::Future>
    where
        S: Service<Request<B>>,
    {
        let (parts, body) = request.into_parts();
        let custom = self.measure.labeler.custom(&parts);
        let request = Request::from_parts(parts, body);
        let record = self.measure.begin(&request, custom.as_deref());
        let has_server_timing = self.measure.has_server_timing;
        ResponseFuture::new(self.inner.call(request), record, has_server_timing)
    }
}

impl<S> std::fmt::Debug for Latency<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Latency").finish_non_exhaustive()
    }
}
