//! The response body that ends the record.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Buf;
use http::{HeaderMap, StatusCode};
use http_body::{Body, Frame, SizeHint};
use pin_project::pin_project;

use super::{recorder::record::Record, service::content_length};

/// Passes the inner body through. The request's record ends with the body's end, its error, or its drop.
#[pin_project]
pub struct ResponseBody<R> {
    #[pin]
    inner: R,
    record: Option<Record>,
    status: StatusCode,
    /// Bytes still to come by `Content-Length`. A server stops reading at zero without asking for the end, so that
    /// is an end and not an abort.
    remaining: Option<u64>,
}

impl<R: Body> ResponseBody<R> {
    pub(super) fn new(
        inner: R,
        mut record: Option<Record>,
        status: StatusCode,
        headers: &HeaderMap,
    ) -> Self {
        let mut remaining = None;
        if let Some(mut under_way) = record.take() {
            under_way.head();
            // No server reads a body that is not sent (RFC 9110, 6.4.1): such an answer ends with its head. So does one
            // that switches protocols (15.2.2): what comes after it is not HTTP's, and may last for days.
            let is_bodiless = matches!(
                status,
                StatusCode::NO_CONTENT
                    | StatusCode::NOT_MODIFIED
                    | StatusCode::SWITCHING_PROTOCOLS
            ) || under_way.is_head()
                || inner.is_end_stream();
            if !is_bodiless {
                remaining = content_length(headers);
            }
            if is_bodiless || remaining == Some(0) {
                under_way.end_at_head(status);
            } else {
                record = Some(under_way);
            }
        }
        Self {
            inner,
            record,
            status,
            remaining,
        }
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
        let frame = ready!(match this.record {
            Some(record) => record.within(|| this.inner.as_mut().poll_frame(cx)),
            None => this.inner.as_mut().poll_frame(cx),
        });
        let Some(record) = this.record.as_mut() else {
            return Poll::Ready(frame);
        };
        let is_end = match &frame {
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    let bytes = data.remaining() as u64;
                    record.sent(bytes);
                    if let Some(remaining) = this.remaining.as_mut() {
                        *remaining = remaining.saturating_sub(bytes);
                    }
                }
                *this.remaining == Some(0) || this.inner.is_end_stream()
            }
            Some(Err(_)) => {
                if let Some(record) = this.record.take() {
                    record.fail();
                }
                false
            }
            None => true,
        };
        if is_end && let Some(record) = this.record.take() {
            record.end(*this.status);
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

impl<R> std::fmt::Debug for ResponseBody<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ResponseBody")
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}
