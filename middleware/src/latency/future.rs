//! The future of [`Latency`](super::Latency).

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::Response;
use http_body::Body;
use pin_project::pin_project;

use super::{body::ResponseBody, recorder::record::Record};

/// Resolves to the inner response with its body measured. Dropped before that, the request counts as aborted.
#[pin_project]
pub struct ResponseFuture<F> {
    #[pin]
    inner: F,
    record: Option<Record>,
}

impl<F> ResponseFuture<F> {
    pub(super) fn new(inner: F, record: Option<Record>) -> Self {
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
        let result = ready!(match this.record {
            Some(record) => record.within(|| this.inner.poll(cx)),
            None => this.inner.poll(cx),
        });
        let record = this.record.take();
        Poll::Ready(match result {
            Ok(response) => {
                let (parts, body) = response.into_parts();
                let body = ResponseBody::new(body, record, parts.status, &parts.headers);
                Ok(Response::from_parts(parts, body))
            }
            Err(error) => {
                if let Some(record) = record {
                    record.fail();
                }
                Err(error)
            }
        })
    }
}

impl<F> std::fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
