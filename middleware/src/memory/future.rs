//! The future of [`Memory`](super::Memory): counters are read around each poll, and around the drop of what is inside.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::Response;
use http_body::Body;
use pin_project::{pin_project, pinned_drop};

use super::{body::ResponseBody, guard::Refusal, scope::Scope};

/// Resolves to the inner response with its body measured, or to the guard's 503.
#[pin_project(PinnedDrop)]
pub struct ResponseFuture<F> {
    #[pin]
    state: State<F>,
    scope: Option<Scope>,
}

#[pin_project(project = StateProjected)]
enum State<F> {
    Inner(#[pin] F),
    Refused(Refusal),
    Ended,
}

impl<F> ResponseFuture<F> {
    pub(super) fn new(inner: F, scope: Option<Scope>) -> Self {
        Self {
            state: State::Inner(inner),
            scope,
        }
    }

    pub(super) fn refused(refusal: Refusal) -> Self {
        Self {
            state: State::Refused(refusal),
            scope: None,
        }
    }
}

impl<F, R, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
    R: Body,
{
    type Output = Result<Response<ResponseBody<R>>, E>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let polled = match this.scope.as_mut() {
            Some(scope) => scope.measure(|| {
                // A refused request has no account.
                let StateProjected::Inner(inner) = this.state.as_mut().project() else {
                    return Poll::Pending;
                };
                let polled = inner.poll(cx);
                if polled.is_ready() {
                    // What the handler held is freed here, within what is measured.
                    this.state.set(State::Ended);
                }
                polled
            }),
            None => match this.state.as_mut().project() {
                StateProjected::Inner(inner) => inner.poll(cx),
                StateProjected::Refused(refusal) => {
                    let response = refusal.response();
                    return Poll::Ready(Ok(response.map(|()| ResponseBody::refused())));
                }
                // Polled after its end: never ready, as nothing can be given twice.
                StateProjected::Ended => return Poll::Pending,
            },
        };
        let response = ready!(polled);
        let scope = this.scope.take();
        Poll::Ready(response.map(|response| response.map(|inner| ResponseBody::new(inner, scope))))
    }
}

#[pinned_drop]
impl<F> PinnedDrop for ResponseFuture<F> {
    #[inline]
    fn drop(self: Pin<&mut Self>) {
        let mut this = self.project();
        if let Some(scope) = this.scope {
            scope.measure(|| this.state.set(State::Ended));
        }
    }
}

impl<F> fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
