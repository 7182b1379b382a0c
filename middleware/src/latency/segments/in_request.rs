//! [`in_request`]: what a handler hands to another task stays a part of its request.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use pin_project::pin_project;

use super::current::{Frame, share};

/// Takes the current request along into a task of its own: the segments of `future` count as the request's.
///
/// ```
/// # async fn prices() -> u32 { 7 }
/// async fn handler() -> Option<u32> {
///     let task = tokio::spawn(pitcrew::latency::in_request(async {
///         pitcrew::latency::segment("prices").run(prices()).await
///     }));
///     task.await.ok()
/// }
/// ```
///
/// What is open on several tasks at one time shares that time. What happens after the request's end is not counted. Call it
/// where the handler runs, not on the new task: outside of a request it changes nothing. A request that uses it pays for one
/// `Arc`, and a mutex of its own at each segment's beginning and end.
pub fn in_request<F: Future>(future: F) -> InRequest<F> {
    let carried = share().map(|(carried, parent)| (Frame::part_of(carried), parent));
    InRequest {
        inner: future,
        carried,
    }
}

/// A future that is a part of a request, wherever it is polled. Made by [`in_request`].
#[pin_project]
#[must_use = "futures do nothing unless polled"]
pub struct InRequest<F> {
    #[pin]
    inner: F,
    /// The request, and the segment that it was carried from.
    carried: Option<(Frame, u8)>,
}

impl<F: Future> Future for InRequest<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let carried = this.carried.as_mut();
        let _entered = carried.map(|(frame, parent)| frame.enter(*parent));
        this.inner.poll(cx)
    }
}

impl<F> fmt::Debug for InRequest<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InRequest")
            .field("is_carried", &self.carried.is_some())
            .finish_non_exhaustive()
    }
}
