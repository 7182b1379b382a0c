//! [`Memory`], the service.

use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use super::{future::ResponseFuture, scope::Scope, shared::Shared};
use crate::route::method_label;

/// Counts what the inner service allocates. Made by [`MemoryLayer`](super::MemoryLayer).
#[derive(Clone)]
pub struct Memory<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S> Memory<S> {
    pub(super) fn new(inner: S, shared: Arc<Shared>) -> Self {
        Self { inner, shared }
    }
}

impl<S, B, R> Service<Request<B>> for Memory<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    R: Body,
{
    type Response = Response<super::ResponseBody<R>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        self.shared.ensure_sampling();
        if !self.shared.counting {
            return ResponseFuture::new(self.inner.call(request), None);
        }
        let (parts, body) = request.into_parts();
        let label = self.shared.labeler.label(&parts);
        let mut scope = Scope::new(self.shared.clone(), label, method_label(&parts.method));
        let request = Request::from_parts(parts, body);
        let inner = scope.measure(|| self.inner.call(request));
        ResponseFuture::new(inner, Some(scope))
    }
}

impl<S> fmt::Debug for Memory<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory").finish_non_exhaustive()
    }
}
