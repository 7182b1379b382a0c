//! The future and the response body of [`Memory`](super::Memory): counters are read around each of their polls.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::Response;
use http_body::{Body, Frame, SizeHint};
use pin_project::pin_project;

use super::scope::Scope;

/// Resolves to the inner response with its body measured.
#[pin_project]
pub struct ResponseFuture<F> {
    #[pin]
    inner: F,
    scope: Option<Scope>,
}

impl<F> ResponseFuture<F> {
    pub(super) fn new(inner: F, scope: Option<Scope>) -> Self {
        Self { inner, scope }
    }
}

impl<F, R, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
    R: Body,
{
    type Output = Result<Response<ResponseBody<R>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = ready!(measured(this.scope, || this.inner.poll(cx)))?;
        let scope = this.scope.take();
        Poll::Ready(Ok(response.map(|inner| ResponseBody { inner, scope })))
    }
}

/// Passes the inner body through; the request's account closes with its end or its drop.
#[pin_project]
pub struct ResponseBody<R> {
    #[pin]
    inner: R,
    scope: Option<Scope>,
}

impl<R: Body> Body for ResponseBody<R> {
    type Data = R::Data;
    type Error = R::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<R::Data>, R::Error>>> {
        let this = self.project();
        let frame = ready!(measured(this.scope, || this.inner.poll_frame(cx)));
        if frame.is_none() {
            this.scope.take();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

fn measured<T>(scope: &mut Option<Scope>, work: impl FnOnce() -> T) -> T {
    match scope {
        Some(scope) => scope.measure(work),
        None => work(),
    }
}

impl<F> fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}

impl<R> fmt::Debug for ResponseBody<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseBody").finish_non_exhaustive()
    }
}
