//! [`RequestBody`]: what was read ahead, then the rest.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

/// A request's body inside of [`BodyKey`](super::BodyKey): the same bytes, trailers and errors as `B`, also where some of it was
/// read for the key. Only the pieces may be others.
pub struct RequestBody<B: Body> {
    read: Bytes,
    /// What ended the reading: data past the bound, trailers, or an error.
    next: Option<Result<Frame<Bytes>, B::Error>>,
    /// `None` once it has ended.
    rest: Option<B>,
}

// Nothing in here is pinned but `rest`, which is `Unpin` itself wherever it is polled.
impl<B: Body + Unpin> Unpin for RequestBody<B> {}

impl<B: Body<Data = Bytes>> RequestBody<B> {
    /// Nothing of it has been read.
    pub(super) fn unread(body: B) -> Self {
        Self::read_ahead(Bytes::new(), None, Some(body))
    }

    pub(super) fn read_ahead(
        read: Bytes,
        next: Option<Result<Frame<Bytes>, B::Error>>,
        rest: Option<B>,
    ) -> Self {
        Self { read, next, rest }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for RequestBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.get_mut();
        if !this.read.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut this.read)))));
        }
        if let Some(next) = this.next.take() {
            return Poll::Ready(Some(next));
        }
        match &mut this.rest {
            Some(rest) => Pin::new(rest).poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.read.is_empty()
            && self.next.is_none()
            && self.rest.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let next = self.next.as_ref().and_then(|next| next.as_ref().ok());
        let next = next.and_then(Frame::data_ref).map_or(0, Bytes::len);
        let ahead = (self.read.len() + next) as u64;
        let rest = self.rest.as_ref().map(Body::size_hint);
        let rest = rest.unwrap_or_else(|| SizeHint::with_exact(0));
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower().saturating_add(ahead));
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper.saturating_add(ahead));
        }
        hint
    }
}

impl<B: Body> fmt::Debug for RequestBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestBody")
            .field("read_bytes", &self.read.len())
            .finish_non_exhaustive()
    }
}
