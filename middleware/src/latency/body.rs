//! The response body that ends the record.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Buf;
use http::{HeaderMap, StatusCode, header::CONTENT_LENGTH};
use http_body::{Body, Frame, SizeHint};
use pin_project::pin_project;

use super::{
    record::Record,
    recorder::{ERROR, class_of},
};

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
        let length = headers
            .get(CONTENT_LENGTH)
            .and_then(|value| value.to_str().ok()?.trim().parse().ok());
        // No server reads a body that is not sent (RFC 9110, 6.4.1): such an answer ends with its head.
        let bodiless = matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
            || record.as_ref().is_some_and(Record::is_head);
        if bodiless || length == Some(0) || inner.is_end_stream() {
            finish(&mut record, class_of(status));
        }
        Self {
            inner,
            record,
            status,
            remaining: length,
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
        let frame = ready!(this.inner.as_mut().poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => {
                if let (Some(remaining), Some(data)) = (this.remaining.as_mut(), frame.data_ref()) {
                    *remaining = remaining.saturating_sub(data.remaining() as u64);
                }
                if *this.remaining == Some(0) || this.inner.is_end_stream() {
                    finish(this.record, class_of(*this.status));
                }
            }
            Some(Err(_)) => finish(this.record, ERROR),
            None => finish(this.record, class_of(*this.status)),
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

fn finish(record: &mut Option<Record>, class: &'static str) {
    if let Some(record) = record.take() {
        record.end(class);
    }
}

impl<R> std::fmt::Debug for ResponseBody<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ResponseBody")
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}
