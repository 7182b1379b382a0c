//! The future of the cache service.
use super::body::ResponseBody;
use http::Response;
use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};
/// Resolves to the answer.
#[pin_project::pin_project]
pub struct ResponseFuture<F> {
    #[pin]
    pub(super) inner: F,
}
impl<F: Future<Output = Result<Response<R>, E>>, R, E> Future for ResponseFuture<F> {
    type Output = Result<Response<ResponseBody<R>>, E>;
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project()
            .inner
            .poll(cx)
            .map_ok(|response| response.map(|inner| ResponseBody { inner }))
    }
}
