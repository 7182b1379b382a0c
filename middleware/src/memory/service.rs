//! [`Memory`], the service.

use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use super::{allocator::counters, future::ResponseFuture, layer::Shared};
use crate::route::{Label, method_label};

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
        let mut scope = Scope {
            label: self.shared.labeler.label(&parts),
            method: method_label(&parts.method),
            shared: self.shared.clone(),
            bytes: 0,
            allocations: 0,
        };
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

/// One request's account. It is closed when dropped: at the end of the body, or when the client went away.
pub(super) struct Scope {
    shared: Arc<Shared>,
    label: Label,
    method: &'static str,
    bytes: u64,
    allocations: u64,
}

impl Scope {
    /// Charges to this request what `work` allocates on this thread. A poll begins and ends on one thread, so the
    /// difference of that thread's counters is exactly the poll's.
    pub(super) fn measure<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let (bytes, calls) = counters();
        let result = work();
        let (bytes_after, calls_after) = counters();
        self.bytes = self.bytes.wrapping_add(bytes_after.wrapping_sub(bytes));
        self.allocations = self
            .allocations
            .wrapping_add(calls_after.wrapping_sub(calls));
        result
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        self.shared.routes.add(
            self.label.as_str(),
            self.method,
            self.bytes,
            self.allocations,
        );
    }
}
