//! The body of an answer that passed the cache.

use std::{
    any::Any,
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use pin_project::pin_project;
use tokio::sync::mpsc;

use super::miss::unread::Held;

/// A stored body, the handler's own passing through, or one that is being collected meanwhile.
#[pin_project]
pub struct ResponseBody<R: Body> {
    #[pin]
    kind: Kind<R>,
}

#[pin_project(project = KindProj)]
enum Kind<R: Body> {
    Full(Option<Bytes>),
    Passing(#[pin] R),
    Streaming(Streaming<R>),
}

/// What a fill tells the client's side.
pub(super) enum Event<R: Body> {
    Data(Held),
    Trailers(HeaderMap),
    End,
    Error(R::Error),
    /// The handler's body panicked: so does this one, as without the cache.
    Panic(Box<dyn Any + Send>),
    /// Collecting is over, the body goes on by itself.
    Rest(Pin<Box<R>>),
}

/// The client's side of a fill. The channel holds at most what the region stores: the fill hands the body over when it
/// grows past that, or when all of them together hold too much.
struct Streaming<R: Body> {
    events: mpsc::UnboundedReceiver<Event<R>>,
    rest: Option<Pin<Box<R>>>,
    hint: SizeHint,
    ended: bool,
}

impl<R: Body> ResponseBody<R> {
    pub(super) fn full(bytes: Bytes) -> Self {
        Self {
            kind: Kind::Full((!bytes.is_empty()).then_some(bytes)),
        }
    }

    pub(super) fn passing(body: R) -> Self {
        Self {
            kind: Kind::Passing(body),
        }
    }

    pub(super) fn streaming(events: mpsc::UnboundedReceiver<Event<R>>, hint: SizeHint) -> Self {
        Self {
            kind: Kind::Streaming(Streaming {
                events,
                rest: None,
                hint,
                ended: false,
            }),
        }
    }
}

impl<R: Body> Body for ResponseBody<R> {
    type Data = Bytes;
    type Error = R::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, R::Error>>> {
        match self.project().kind.project() {
            KindProj::Full(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            KindProj::Passing(body) => body.poll_frame(cx).map_ok(into_bytes),
            KindProj::Streaming(streaming) => streaming.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Full(bytes) => bytes.is_none(),
            Kind::Passing(body) => body.is_end_stream(),
            Kind::Streaming(streaming) => {
                streaming.ended
                    || streaming
                        .rest
                        .as_ref()
                        .is_some_and(|rest| rest.is_end_stream())
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Full(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Kind::Passing(body) => body.size_hint(),
            Kind::Streaming(streaming) => match &streaming.rest {
                Some(rest) => rest.size_hint(),
                None => streaming.hint,
            },
        }
    }
}

impl<R: Body> Streaming<R> {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, R::Error>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        loop {
            if let Some(rest) = &mut self.rest {
                return rest.as_mut().poll_frame(cx).map_ok(into_bytes);
            }
            match ready!(self.events.poll_recv(cx)) {
                Some(Event::Data(held)) => {
                    let bytes = held.read();
                    lessen(&mut self.hint, bytes.len() as u64);
                    return Poll::Ready(Some(Ok(Frame::data(bytes))));
                }
                Some(Event::Trailers(trailers)) => {
                    return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
                }
                Some(Event::Rest(body)) => self.rest = Some(body),
                Some(Event::Error(error)) => {
                    self.ended = true;
                    return Poll::Ready(Some(Err(error)));
                }
                Some(Event::Panic(payload)) => {
                    self.ended = true;
                    std::panic::resume_unwind(payload);
                }
                // A fill ends with one of the events above, also when its task is torn down, so a closed channel is
                // an end.
                Some(Event::End) | None => {
                    self.ended = true;
                    return Poll::Ready(None);
                }
            }
        }
    }
}

fn lessen(hint: &mut SizeHint, by: u64) {
    let mut next = SizeHint::new();
    let upper = hint.upper().map(|upper| upper.saturating_sub(by));
    let lower = hint.lower().saturating_sub(by);
    next.set_lower(upper.map_or(lower, |upper| lower.min(upper)));
    if let Some(upper) = upper {
        next.set_upper(upper);
    }
    *hint = next;
}

/// No copy where the data is `Bytes` already.
pub(super) fn into_bytes<D: Buf>(frame: Frame<D>) -> Frame<Bytes> {
    frame.map_data(|mut data| data.copy_to_bytes(data.remaining()))
}

impl<R: Body> fmt::Debug for ResponseBody<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::Full(_) => "full",
            Kind::Passing(_) => "passing",
            Kind::Streaming(_) => "streaming",
        };
        f.debug_struct("ResponseBody").field("kind", &kind).finish()
    }
}
