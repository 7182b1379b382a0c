//! The future of [`Latency`](super::Latency).

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use http::Response;
use http_body::Body;
use pin_project::pin_project;

use super::{
    body::{End, ResponseBody},
    recorder::record::Record,
};

/// Resolves to the inner response with its body measured. Dropped before that, the request counts as aborted.
#[pin_project]
pub struct ResponseFuture<F> {
    #[pin]
    inner: F,
    record: Record,
}

impl<F> ResponseFuture<F> {
    pub(super) fn new(inner: F, record: Record) -> Self {
        Self { inner, record }
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
        match this.record.within(|| this.inner.poll(cx)) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(response)) => {
                let end = End::of(&response, this.record.hand_on());
                Poll::Ready(Ok(response.map(|body| ResponseBody::new(body, end))))
            }
            Poll::Ready(Err(error)) => {
                this.record.fail();
                Poll::Ready(Err(error))
            }
        }
    }
}

impl<F> std::fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
