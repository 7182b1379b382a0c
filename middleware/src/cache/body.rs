//! The body of an answer that passed the cache.
use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};
use std::{
    pin::Pin,
    task::{Context, Poll},
};
/// A stored body, or the handler's own passing through.
#[pin_project::pin_project]
pub struct ResponseBody<R> {
    #[pin]
    pub(super) inner: R,
}
impl<R: Body> Body for ResponseBody<R> {
    type Data = Bytes;
    type Error = R::Error;
    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, R::Error>>> {
        self.project()
            .inner
            .poll_frame(cx)
            .map_ok(|frame| frame.map_data(|mut data| data.copy_to_bytes(data.remaining())))
    }
    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }
    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
