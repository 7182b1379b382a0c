//! The response body that ends the record.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Buf;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header::CONTENT_TYPE};
use http_body::{Body, Frame, SizeHint};
use pin_project::pin_project;

use super::{recorder::record::Record, service::content_length};

/// Passes the inner body through. The request's record ends with the body's end, its error, or its drop.
#[pin_project]
pub struct ResponseBody<R> {
    #[pin]
    inner: R,
    record: Record,
    awaited: Awaited,
}

/// What a body still has to bring.
#[derive(Clone, Copy, Debug)]
pub(super) struct Awaited {
    /// Bytes still to come, [`UNKNOWN`] where nothing says. A server stops reading at zero without asking for the end, so
    /// that is an end and not an abort.
    bytes: u64,
    /// What the request ends with.
    status: StatusCode,
}

const UNKNOWN: u64 = u64::MAX;

impl Awaited {
    /// Of a request that failed.
    pub(super) const NOTHING: Self = Self {
        bytes: 0,
        status: StatusCode::OK,
    };

    /// The head is there. Where it is all that there is, `record` ends with it.
    #[inline]
    pub(super) fn of<R: Body>(response: &Response<R>, record: &mut Record) -> Self {
        let (status, body) = (response.status(), response.body());
        let mut bytes = UNKNOWN;
        // No server reads a body that is not sent (RFC 9110, 6.4.1): such an answer ends with its head. So does one that
        // switches protocols (15.2.2) or opens a tunnel (9.3.6): what comes after it is not HTTP's, and may last for days.
        let is_bodiless = matches!(
            status,
            StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED | StatusCode::SWITCHING_PROTOCOLS
        ) || record.is_bodiless(status)
            || body.is_end_stream();
        if !is_bodiless {
            let length = body.size_hint().exact();
            let length = length.or_else(|| content_length(response.headers()));
            bytes = length.unwrap_or(UNKNOWN);
            if bytes == UNKNOWN && is_event_stream(response.headers()) {
                record.judge_by_head();
            }
        }
        if is_bodiless || bytes == 0 {
            record.end_at_head(status);
        }
        Self { bytes, status }
    }

    /// So many bytes were read.
    #[inline]
    fn read(&mut self, bytes: u64) {
        if self.bytes != UNKNOWN {
            self.bytes = self.bytes.saturating_sub(bytes);
        }
    }
}

/// Whether it is a stream of server-sent events (WHATWG HTML, 9.2.5), which has no end of its own. Asked only where no length is said.
fn is_event_stream(headers: &HeaderMap) -> bool {
    const EVENT_STREAM: &[u8] = b"text/event-stream";
    let value = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    let essence = value.and_then(|value| value.split(|byte| *byte == b';').next());
    essence.is_some_and(|essence| essence.trim_ascii().eq_ignore_ascii_case(EVENT_STREAM))
}

impl<R> ResponseBody<R> {
    #[inline]
    pub(super) fn new(inner: R, record: Record, awaited: Awaited) -> Self {
        Self {
            inner,
            record,
            awaited,
        }
    }
}

type PolledFrame<R> = Poll<Option<Result<Frame<<R as Body>::Data>, <R as Body>::Error>>>;

impl<R: Body> ResponseBody<R> {
    /// A poll of a body that has not ended.
    fn poll_open(self: Pin<&mut Self>, cx: &mut Context<'_>) -> PolledFrame<R> {
        let mut this = self.project();
        // Looked at where it lies: a frame is large enough for a copy of it to count.
        let entered = this.record.enter();
        let polled = this.inner.as_mut().poll_frame(cx);
        drop(entered);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(data) = frame.data_ref() {
                    let bytes = data.remaining() as u64;
                    this.record.sent(bytes);
                    this.awaited.read(bytes);
                }
                if this.awaited.bytes == 0 || this.inner.is_end_stream() {
                    this.record.end(this.awaited.status);
                }
            }
            Poll::Ready(Some(Err(_))) => this.record.fail(),
            Poll::Ready(None) => this.record.end(this.awaited.status),
            Poll::Pending => {}
        }
        polled
    }
}

impl<R: Body> Body for ResponseBody<R> {
    type Data = R::Data;
    type Error = R::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<R::Data>, R::Error>>> {
        if self.record.is_open() {
            self.poll_open(cx)
        } else {
            self.project().inner.poll_frame(cx)
        }
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
            .field("status", &self.awaited.status)
            .finish_non_exhaustive()
    }
}
