//! [`segment`]: a part of a request's time, named by the app.

use std::{
    fmt,
    future::Future,
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll},
};

use pin_project::{pin_project, pinned_drop};

use super::current::{Token, enter, inside, with_timeline, with_timeline_of};

/// Names a part of the current request's time, to be measured.
///
/// ```
/// use pitcrew::latency::segment;
///
/// # async fn render(_: u32) -> String { String::new() }
/// async fn handler() -> String {
///     let order = segment("pricing").run(async { 7 }).await;
///     segment("render").run(render(order)).await
/// }
/// ```
///
/// `name` is one of [`POOL`](super::POOL), [`DATABASE`](super::DATABASE), [`CACHE`](super::CACHE), or a name of the app's own, of
/// which a layer keeps [`MAX_CUSTOM_SEGMENTS`](super::MAX_CUSTOM_SEGMENTS) apart. Outside of a request that a
/// [`LatencyLayer`](crate::LatencyLayer) measures it does nothing; on a task of its own see [`in_request`](super::in_request).
#[must_use = "a segment measures what it runs"]
pub fn segment(name: &'static str) -> Segment {
    Segment { name }
}

/// A part of a request's time. Made by [`segment`].
#[derive(Clone, Copy, Debug)]
#[must_use = "a segment measures what it runs"]
pub struct Segment {
    name: &'static str,
}

impl Segment {
    /// Measures `future` from its first poll to its end or drop, waiting included.
    pub fn run<F: Future>(self, future: F) -> InSegment<F> {
        InSegment {
            inner: future,
            name: self.name,
            state: State::Waiting,
        }
    }

    /// Measures what `work` takes.
    pub fn measure<T>(self, work: impl FnOnce() -> T) -> T {
        let _guard = self.enter();
        work()
    }

    /// Measures until the guard is dropped. For code that does not wait: a guard that is held across an `.await` takes all that
    /// its task does meanwhile for this segment, so it is not `Send`.
    #[must_use = "the segment ends with the guard"]
    pub fn enter(self) -> SegmentGuard {
        let token = open(self.name);
        SegmentGuard {
            open: token.map(|token| (token, enter(token.id, token.slot).unwrap_or(u8::MAX))),
            not_send: PhantomData,
        }
    }
}

pub(crate) fn open(name: &'static str) -> Option<Token> {
    with_timeline(|timeline, accounts, parent| {
        let slot = timeline.open(accounts.names.kind(name), parent, accounts.now())?;
        Some(Token {
            id: timeline.id,
            slot,
        })
    })
    .flatten()
}

pub(crate) fn close(token: Token) {
    with_timeline_of(token, |timeline, accounts| {
        timeline.close(token.slot, accounts.now());
    });
}

/// Ends its segment when it is dropped.
#[must_use = "the segment ends with the guard"]
pub struct SegmentGuard {
    open: Option<(Token, u8)>,
    not_send: PhantomData<*const ()>,
}

impl Drop for SegmentGuard {
    fn drop(&mut self) {
        if let Some((token, outer)) = self.open {
            enter(token.id, outer);
            close(token);
        }
    }
}

impl fmt::Debug for SegmentGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SegmentGuard").finish_non_exhaustive()
    }
}

enum State {
    /// Not polled yet.
    Waiting,
    Open(Token),
    /// It has ended, or there was no request to measure.
    Done,
}

/// A future that is measured. Made by [`Segment::run`].
#[pin_project(PinnedDrop)]
#[must_use = "futures do nothing unless polled"]
pub struct InSegment<F> {
    #[pin]
    inner: F,
    name: &'static str,
    state: State,
}

impl<F: Future> Future for InSegment<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        if let State::Waiting = this.state {
            *this.state = open(this.name).map_or(State::Done, State::Open);
        }
        let State::Open(token) = *this.state else {
            return this.inner.poll(cx);
        };
        let result = inside(token, || this.inner.poll(cx));
        if result.is_ready() {
            *this.state = State::Done;
            close(token);
        }
        result
    }
}

#[pinned_drop]
impl<F> PinnedDrop for InSegment<F> {
    fn drop(self: Pin<&mut Self>) {
        // Given up: by a timeout, or by a `select!`.
        if let State::Open(token) = self.state {
            close(token);
        }
    }
}

impl<F> fmt::Debug for InSegment<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InSegment")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
