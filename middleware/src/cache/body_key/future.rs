//! The future of a service that reads content ahead: read, then ask the cache.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response, request::Parts};
use http_body::Body;
use pin_project::pin_project;
use tokio::time::Sleep;
use tower_service::Service;

use super::{
    RequestBody,
    read::{End, Reading},
    room::Room,
};
use crate::cache::{Cache, ResponseBody, ResponseFuture, outcome::BypassReason, runtime};

/// Resolves to the answer of the cache.
///
/// # Panics
///
/// Polled after it was done, as most futures do.
#[pin_project]
pub struct BodyKeyFuture<S, B, R>
where
    S: Service<Request<RequestBody<B>>, Response = Response<R>>,
    B: Body,
    R: Body,
{
    #[pin]
    state: State<S, B, R>,
}

#[pin_project(project = StateProj)]
enum State<S, B, R>
where
    S: Service<Request<RequestBody<B>>, Response = Response<R>>,
    B: Body,
    R: Body,
{
    /// Boxed: a hit on a GET should not move the room for it.
    Reading(Option<Box<Ahead<S, B>>>),
    Answering(#[pin] ResponseFuture<S, RequestBody<B>, R>),
}

/// A request whose content is not there yet.
pub(super) struct Ahead<S, B: Body> {
    cache: Cache<S>,
    /// Whether `cache` has said that it is ready. One that waits for a client must not hold a permit of a limit inside.
    ready: bool,
    parts: Parts,
    reading: Reading<B>,
    /// Both are set when it turns out that there is something to wait for.
    deadline: Option<Pin<Box<Sleep>>>,
    room: Option<Room>,
    end: Option<End<B::Error>>,
}

impl<S, B, R> Ahead<S, B>
where
    S: Service<Request<RequestBody<B>>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Send,
    R: Body + Send + 'static,
    R::Error: Send,
{
    /// `cache` is ready.
    pub(super) fn new(cache: Cache<S>, parts: Parts, reading: Reading<B>) -> Self {
        Self {
            cache,
            ready: true,
            parts,
            reading,
            deadline: None,
            room: None,
            end: None,
        }
    }

    /// Ready when the reading has ended and the cache can be called.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        if self.end.is_none() {
            self.end = Some(match self.reading.poll(cx) {
                Poll::Ready(end) => end,
                Poll::Pending if !self.has_room() => {
                    End::Unread(BypassReason::RequestBacklog, None)
                }
                Poll::Pending => {
                    if self.ready {
                        self.cache = self.cache.clone();
                        self.ready = false;
                    }
                    ready!(self.poll_late(cx));
                    End::Unread(BypassReason::RequestTimeout, None)
                }
            });
            self.room = None;
        }
        if !self.ready {
            ready!(self.cache.poll_ready(cx))?;
            self.ready = true;
        }
        Poll::Ready(Ok(()))
    }

    fn has_room(&mut self) -> bool {
        if self.room.is_none() {
            self.room = Room::take(self.cache.shared(), self.reading.most_bytes());
        }
        self.room.is_some()
    }

    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // Without Tokio's timer a wait would have no end.
        if !runtime::has_one() {
            return Poll::Ready(());
        }
        let longest = self.cache.shared().wait_deadline;
        let deadline = self
            .deadline
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(longest)));
        deadline.as_mut().poll(cx)
    }

    fn answer(mut self, end: End<B::Error>) -> ResponseFuture<S, RequestBody<B>, R> {
        let (content, body) = self.reading.finish(end);
        let request = Request::from_parts(self.parts, body);
        self.cache.answer(request, &content)
    }
}

impl<S, B, R> BodyKeyFuture<S, B, R>
where
    S: Service<Request<RequestBody<B>>, Response = Response<R>>,
    B: Body,
    R: Body,
{
    pub(super) fn answering(answering: ResponseFuture<S, RequestBody<B>, R>) -> Self {
        Self {
            state: State::Answering(answering),
        }
    }

    pub(super) fn reading(ahead: Ahead<S, B>) -> Self {
        Self {
            state: State::Reading(Some(Box::new(ahead))),
        }
    }
}

impl<S, B, R> Future for BodyKeyFuture<S, B, R>
where
    S: Service<Request<RequestBody<B>>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Send,
    R: Body + Send + 'static,
    R::Error: Send,
{
    type Output = Result<Response<ResponseBody<R>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.state.as_mut().project() {
                StateProj::Reading(reading) => {
                    if let Some(ahead) = reading {
                        ready!(ahead.poll_ready(cx))?;
                    }
                    let Some(mut ahead) = reading.take() else {
                        panic!("polled after it was done")
                    };
                    let Some(end) = ahead.end.take() else {
                        panic!("polled after it was done")
                    };
                    let answering = ahead.answer(end);
                    this.state.set(State::Answering(answering));
                }
                StateProj::Answering(answering) => return answering.poll(cx),
            }
        }
    }
}

impl<S, B, R> fmt::Debug for BodyKeyFuture<S, B, R>
where
    S: Service<Request<RequestBody<B>>, Response = Response<R>>,
    B: Body,
    R: Body,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BodyKeyFuture").finish_non_exhaustive()
    }
}
