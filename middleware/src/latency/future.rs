//! The future of [`Latency`](super::Latency).

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use http::{HeaderName, HeaderValue, Response};
use http_body::Body;
use pin_project::pin_project;

use super::{
    body::{Awaited, ResponseBody},
    recorder::record::Record,
};

/// Resolves to the inner response with its body measured. Dropped before that, the request counts as aborted.
#[pin_project]
pub struct ResponseFuture<F> {
    #[pin]
    inner: F,
    record: Record,
    has_server_timing: bool,
}

impl<F> ResponseFuture<F> {
    pub(super) fn new(inner: F, record: Record, has_server_timing: bool) -> Self {
        Self {
            inner,
            record,
            has_server_timing,
        }
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
        let entered = this.record.enter();
        let mut polled = this.inner.poll(cx);
        drop(entered);
        // Looked at where it lies, and moved once: moves are half of what is paid here.
        let awaited = match &mut polled {
            Poll::Ready(Ok(response)) => {
                this.record.head();
                if *this.has_server_timing {
                    say_time(response, this.record.first_byte());
                }
                Awaited::of(response, this.record)
            }
            Poll::Ready(Err(_)) => {
                this.record.fail();
                Awaited::NOTHING
            }
            Poll::Pending => return Poll::Pending,
        };
        polled.map_ok(|response| {
            response.map(|body| ResponseBody::new(body, this.record.hand_on(), awaited))
        })
    }
}

/// `Server-Timing: total;dur=12.3` (W3C Server Timing, 2 and 3): milliseconds to the head. Added to what the app itself says.
#[cold]
fn say_time<R>(response: &mut Response<R>, nanos: u64) {
    static NAME: HeaderName = HeaderName::from_static("server-timing");
    let text = format!("total;dur={:.3}", super::figures::ms(nanos));
    if let Ok(value) = HeaderValue::try_from(text) {
        // A map that is full stays as it is: a layer adds no error.
        let _ = response.headers_mut().try_append(&NAME, value);
    }
}

impl<F> std::fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
