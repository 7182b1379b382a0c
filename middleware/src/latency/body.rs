//! The response body that ends the record.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Buf;
use http::{Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use pin_project::pin_project;

use super::{recorder::record::Record, service::content_length};

/// Passes the inner body through. The request's record ends with the body's end, its error, or its drop.
#[pin_project]
pub struct ResponseBody<R> {
    #[pin]
    inner: R,
    end: End,
}

/// What ends a record.
pub(super) struct End {
    record: Record,
    /// Bytes still to come, [`UNKNOWN`] where nothing says. A server stops reading at zero without asking for the end, so
    /// that is an end and not an abort.
    remaining: u64,
    status: StatusCode,
}

const UNKNOWN: u64 = u64::MAX;

impl End {
    /// The head is there.
    #[inline]
    pub(super) fn of<R: Body>(response: &Response<R>, mut record: Record) -> Self {
        let (status, body) = (response.status(), response.body());
        let mut remaining = UNKNOWN;
        // No server reads a body that is not sent (RFC 9110, 6.4.1): such an answer ends with its head. So does one that
        // switches protocols (15.2.2): what comes after it is not HTTP's, and may last for days.
        let is_bodiless = matches!(
            status,
            StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED | StatusCode::SWITCHING_PROTOCOLS
        ) || record.is_head()
            || body.is_end_stream();
        if !is_bodiless {
            let length = body.size_hint().exact();
            let length = length.or_else(|| content_length(response.headers()));
            remaining = length.unwrap_or(UNKNOWN);
        }
        if is_bodiless || remaining == 0 {
            record.end_at_head(status);
        }
        Self {
            record,
            remaining,
            status,
        }
    }

    /// Of no response.
    pub(super) fn none() -> Self {
        Self {
            record: Record::none(),
            remaining: UNKNOWN,
            status: StatusCode::OK,
        }
    }

    /// So many bytes were read.
    #[inline]
    fn sent(&mut self, bytes: u64) {
        self.record.sent(bytes);
        if self.remaining != UNKNOWN {
            self.remaining = self.remaining.saturating_sub(bytes);
        }
    }
}

impl<R> ResponseBody<R> {
    #[inline]
    pub(super) fn new(inner: R, end: End) -> Self {
        Self { inner, end }
    }
}

impl<R: Body> Body for ResponseBody<R> {
    type Data = R::Data;
    type Error = R::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<R::Data>, R::Error>>> {
        let mut this = self.project();
        if !this.end.record.is_open() {
            return this.inner.poll_frame(cx);
        }
        // Looked at where it lies: a frame is large enough for a copy of it to count.
        let stage = this.end.record.stage();
        let entered = stage.enter();
        let polled = this.inner.as_mut().poll_frame(cx);
        drop(entered);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(data) = frame.data_ref() {
                    this.end.sent(data.remaining() as u64);
                }
                if this.end.remaining == 0 || this.inner.is_end_stream() {
                    this.end.record.end(this.end.status);
                }
            }
            Poll::Ready(Some(Err(_))) => this.end.record.fail(),
            Poll::Ready(None) => this.end.record.end(this.end.status),
            Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl<R> std::fmt::Debug for ResponseBody<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ResponseBody")
            .field("status", &self.end.status)
            .finish_non_exhaustive()
    }
}
