//! Reading content ahead, within bounds.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame};

use super::RequestBody;
use crate::cache::{outcome::BypassReason, policy::Content};

/// Most pieces that content is read in: a body of empty ones would never end.
const MAX_FRAMES: usize = 1_024;

/// A body that is being read.
pub(super) struct Reading<B> {
    body: B,
    read: BytesMut,
    frames: usize,
    max_bytes: usize,
}

/// Why there is nothing more to read.
pub(super) enum End<E> {
    /// All is read.
    Whole,
    /// It cannot be part of a key, and what showed that.
    Unread(BypassReason, Option<Result<Frame<Bytes>, E>>),
}

impl<B: Body<Data = Bytes> + Unpin> Reading<B> {
    pub(super) fn new(body: B, max_bytes: usize) -> Self {
        Self {
            body,
            read: BytesMut::new(),
            frames: 0,
            max_bytes,
        }
    }

    /// Bytes that it may come to hold.
    pub(super) fn most_bytes(&self) -> usize {
        let to_come = self.body.size_hint().upper();
        let to_come = to_come.and_then(|bytes| usize::try_from(bytes).ok());
        let most = to_come.map_or(usize::MAX, |bytes| self.read.len().saturating_add(bytes));
        most.min(self.max_bytes)
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End<B::Error>> {
        // What says that it is too long need not be read for it.
        if self.body.size_hint().lower() > (self.max_bytes - self.read.len()) as u64 {
            return Poll::Ready(End::Unread(BypassReason::RequestTooLarge, None));
        }
        while let Some(next) = ready!(Pin::new(&mut self.body).poll_frame(cx)) {
            self.frames += 1;
            let Some(data) = next.as_ref().ok().and_then(Frame::data_ref) else {
                // An error, or trailers.
                return Poll::Ready(End::Unread(BypassReason::RequestBody, Some(next)));
            };
            if self.frames > MAX_FRAMES || data.len() > self.max_bytes - self.read.len() {
                return Poll::Ready(End::Unread(BypassReason::RequestTooLarge, Some(next)));
            }
            self.read.extend_from_slice(data);
        }
        Poll::Ready(End::Whole)
    }

    /// What the cache is told of the content, and the body that the handler gets.
    pub(super) fn finish(self, end: End<B::Error>) -> (Content, RequestBody<B>) {
        let read = self.read.freeze();
        match end {
            End::Whole => (
                Content::Whole(read.clone()),
                RequestBody::read_ahead(read, None, None),
            ),
            End::Unread(reason, next) => (
                Content::Unread(reason),
                RequestBody::read_ahead(read, next, Some(self.body)),
            ),
        }
    }
}
