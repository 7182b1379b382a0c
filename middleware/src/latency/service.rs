//! [`Latency`], the service.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use super::{body::ResponseBody, future::ResponseFuture, record::Record, recorder::Recorder};
use crate::route::{Labeler, method_label};

/// Measures the inner service. Made by [`LatencyLayer`](super::LatencyLayer).
#[derive(Clone)]
pub struct Latency<S> {
    inner: S,
    recorder: Arc<Recorder>,
    labeler: Labeler,
}

impl<S> Latency<S> {
    pub(super) fn new(inner: S, recorder: Arc<Recorder>, labeler: Labeler) -> Self {
        Self {
            inner,
            recorder,
            labeler,
        }
    }
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
        let (parts, body) = request.into_parts();
        let record = Record::begin(
            self.recorder.clone(),
            self.labeler.label(&parts),
            method_label(&parts.method),
        );
        ResponseFuture::new(self.inner.call(Request::from_parts(parts, body)), record)
    }
}

impl<S> std::fmt::Debug for Latency<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Latency").finish_non_exhaustive()
    }
}
