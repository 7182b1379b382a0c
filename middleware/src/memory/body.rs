//! The response body of [`Memory`](super::Memory).

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Buf;
use http_body::{Body, Frame, SizeHint};
use pin_project::{pin_project, pinned_drop};

use super::scope::Scope;

/// Passes the inner body through; the request's account closes with its end or its drop. Empty where the guard refused.
#[pin_project(PinnedDrop)]
pub struct ResponseBody<R> {
    /// `None` after its end, and for a refusal.
    #[pin]
    inner: Option<R>,
    scope: Option<Scope>,
}

impl<R> ResponseBody<R> {
    pub(super) fn new(inner: R, scope: Option<Scope>) -> Self {
        Self {
            inner: Some(inner),
            scope,
        }
    }

    pub(super) fn refused() -> Self {
        Self {
            inner: None,
            scope: None,
        }
    }
}

impl<R: Body> Body for ResponseBody<R> {
    type Data = R::Data;
    type Error = R::Error;

    #[inline]
    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<R::Data>, R::Error>>> {
        let mut this = self.project();
        let Some(scope) = this.scope.as_mut() else {
            return match this.inner.as_pin_mut() {
                Some(inner) => inner.poll_frame(cx),
                None => Poll::Ready(None),
            };
        };
        let polled = scope.measure(|| {
            let Some(inner) = this.inner.as_mut().as_pin_mut() else {
                return Poll::Ready(None);
            };
            let polled = inner.poll_frame(cx);
            if matches!(polled, Poll::Ready(None)) {
                this.inner.set(None);
            }
            polled
        });
        match ready!(polled) {
            Some(frame) => {
                if let Ok(frame) = &frame
                    && let Some(data) = frame.data_ref()
                {
                    scope.handed_out(data.remaining());
                }
                Poll::Ready(Some(frame))
            }
            None => {
                *this.scope = None;
                Poll::Ready(None)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner
            .as_ref()
            .map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

#[pinned_drop]
impl<R> PinnedDrop for ResponseBody<R> {
    #[inline]
    fn drop(self: Pin<&mut Self>) {
        let mut this = self.project();
        if let Some(scope) = this.scope {
            scope.measure(|| this.inner.set(None));
        }
    }
}

impl<R> fmt::Debug for ResponseBody<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseBody").finish_non_exhaustive()
    }
}
