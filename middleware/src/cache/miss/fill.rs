//! Collecting a body while it streams to the client who asked for it.
//!
//! A body that is ready at once is collected where it stands. Else a task of its own goes on, so that a client that
//! stops reading stalls nobody who waits for the same answer. The task is bounded: in bytes and frames by the region, in
//! time by a deadline, in number by a count. Past a bound the body is handed to the client and goes on unstored.

use std::{
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use http_body::Body;
use tokio::sync::mpsc;

use crate::cache::{
    body::{Event, ResponseBody, into_bytes},
    coalesce::Leader,
    entry::tags::Tags,
    entry::{self, Origin},
    invalidation::{Position, Subject, tag_slot},
    key::CacheKey,
    miss::unread::Unread,
    policy::Verdict,
    runtime,
    shared::Shared,
};

/// Tasks that collect bodies at one time; past that, bodies that are not ready at once are not stored.
pub(in crate::cache) const MAX_FILLS: usize = 1_024;
/// Time that a body may take to be stored.
pub(in crate::cache) const FILL_DEADLINE: Duration = Duration::from_secs(30);
/// Frames of one collected body: each costs some memory beyond its bytes.
const MAX_FRAMES: usize = 16_384;

/// What becomes of an answer whose head may be stored.
pub(in crate::cache) struct Fill {
    pub(in crate::cache) shared: Arc<Shared>,
    pub(in crate::cache) key: Arc<CacheKey>,
    pub(in crate::cache) region: usize,
    pub(in crate::cache) status: StatusCode,
    pub(in crate::cache) headers: HeaderMap,
    pub(in crate::cache) verdict: Verdict,
    pub(in crate::cache) origin: Origin,
    pub(in crate::cache) leader: Option<Leader>,
    pub(in crate::cache) tags: Tags,
    /// [`Forward::begun`](super::forward::Forward::begun).
    pub(in crate::cache) begun: Option<Position>,
}

impl Fill {
    /// The body is whole: store it and hand it to those who wait. Answers whether it was stored.
    fn complete(mut self, body: &[u8]) -> bool {
        let declared = self.verdict.content_length;
        // A body of another length than its head said was cut short or padded by someone (SECURITY C9).
        if declared.is_some_and(|declared| declared != body.len() as u64) {
            self.give_up();
            return false;
        }
        let mut tags = std::mem::take(&mut self.tags);
        tags.add_field(&self.headers);
        if tags.overflowed {
            self.give_up();
            return false;
        }
        let tag_slots: Vec<u32> = tags.names.iter().map(|tag| tag_slot(tag)).collect();
        // Tags that the body has named were not looked at when the stamp was taken.
        let is_untouched = |begun: Position| {
            let subject = Subject {
                slots: &tag_slots,
                target: "",
                checked: &AtomicU64::new(0),
            };
            self.shared.positions.is_untouched(begun, subject)
        };
        if !self.begun.is_none_or(is_untouched) {
            self.give_up();
            return false;
        }
        self.origin.slots.extend(tag_slots);
        self.origin.is_made_from(&tags);
        let entry = Arc::new(entry::build(
            self.status,
            &self.headers,
            body,
            self.verdict,
            self.origin,
        ));
        let is_stored =
            self.shared.is_alive(&entry) && self.shared.store(&self.key, &entry, self.region);
        if let Some(leader) = self.leader {
            // Also when a purge came meanwhile: those who began before it may have it, the others see that it is dead.
            leader.done(entry);
        }
        is_stored
    }

    /// Nothing to store: nobody waits any longer.
    fn give_up(self) {
        self.shared
            .counters
            .fills_failed
            .fetch_add(1, Ordering::Relaxed);
        if let Some(leader) = self.leader {
            leader.release();
        }
    }
}

/// How collecting ended where it stood.
pub(in crate::cache) enum Collected<R: Body> {
    /// The body is whole; whether it was stored.
    Whole(ResponseBody<R>, bool),
    /// The body goes on.
    Going(ResponseBody<R>),
}

/// Collects `body`, here as far as it is ready, then in a task.
pub(in crate::cache) fn collect<R>(
    body: R,
    limit: usize,
    fill: Fill,
    cx: &mut Context<'_>,
) -> Collected<R>
where
    R: Body + Send + 'static,
    R::Error: Send,
{
    let hint = body.size_hint();
    if hint.lower() > limit as u64 {
        fill.give_up();
        return Collected::Going(ResponseBody::passing(body));
    }
    let (events, receiver) = mpsc::unbounded_channel();
    let mut collector = Collector {
        unread: fill.shared.unread.clone(),
        body: Some(Box::pin(body)),
        fill: Some(fill),
        frames: Vec::new(),
        bytes: 0,
        limit,
        events,
    };
    match collector.poll(cx, false) {
        Poll::Ready(Ended::Whole { bytes, stored }) => {
            Collected::Whole(ResponseBody::full(bytes), stored)
        }
        Poll::Ready(Ended::Told) => Collected::Going(ResponseBody::streaming(receiver, hint)),
        Poll::Pending => {
            collector.replay();
            spawn(collector);
            Collected::Going(ResponseBody::streaming(receiver, hint))
        }
    }
}

fn spawn<R>(mut collector: Collector<R>)
where
    R: Body + Send + 'static,
    R::Error: Send,
{
    let Some(runtime) = runtime::current() else {
        return;
    };
    let Some(slot) = collector
        .fill
        .as_ref()
        .and_then(|fill| FillSlot::take(&fill.shared))
    else {
        return;
    };
    runtime.spawn(async move {
        let collecting = std::future::poll_fn(|cx| {
            let polled = std::panic::catch_unwind(AssertUnwindSafe(|| collector.poll(cx, true)));
            match polled {
                Ok(polled) => polled.map(|_| ()),
                Err(payload) => {
                    collector.panicked(payload);
                    Poll::Ready(())
                }
            }
        });
        // At the deadline the collector is dropped, which hands the body over.
        let _ = tokio::time::timeout(FILL_DEADLINE, collecting).await;
        drop(collector);
        drop(slot);
    });
}

/// One of [`MAX_FILLS`].
struct FillSlot(Arc<Shared>);

impl FillSlot {
    fn take(shared: &Arc<Shared>) -> Option<Self> {
        let before = shared.fills.fetch_add(1, Ordering::AcqRel);
        let slot = Self(shared.clone());
        (before < MAX_FILLS).then_some(slot)
    }
}

impl Drop for FillSlot {
    fn drop(&mut self) {
        self.0.fills.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A body that is being collected. Dropped before its end, in whatever way, it hands the body to the client.
struct Collector<R: Body> {
    body: Option<Pin<Box<R>>>,
    fill: Option<Fill>,
    frames: Vec<Bytes>,
    bytes: usize,
    limit: usize,
    unread: Arc<Unread>,
    events: mpsc::UnboundedSender<Event<R>>,
}

enum Ended {
    /// Collected in one go, and nothing was told to the client yet.
    Whole { bytes: Bytes, stored: bool },
    /// The client was told all that there is to tell.
    Told,
}

impl<R: Body> Collector<R> {
    /// Takes frames as long as there are any. `telling` is whether the client gets each at once.
    fn poll(&mut self, cx: &mut Context<'_>, telling: bool) -> Poll<Ended> {
        loop {
            let (Some(body), Some(fill)) = (&mut self.body, &mut self.fill) else {
                return Poll::Ready(Ended::Told);
            };
            let frame = ready!(fill.tags.scope(|| body.as_mut().poll_frame(cx)));
            match frame.map(|frame| frame.map(|frame| into_bytes(frame).into_data())) {
                Some(Ok(Ok(data))) => {
                    self.bytes += data.len();
                    self.frames.push(data.clone());
                    let is_full = fill.shared.unread.is_full();
                    if telling {
                        self.tell_data(data);
                    }
                    if self.bytes > self.limit || self.frames.len() > MAX_FRAMES || is_full {
                        self.stop(telling);
                        return Poll::Ready(Ended::Told);
                    }
                }
                Some(Ok(Err(frame))) => {
                    // Trailers belong to the answer and are not stored, so neither is the answer.
                    if !telling {
                        self.replay();
                    }
                    if let Ok(trailers) = frame.into_trailers() {
                        self.tell(Event::Trailers(trailers));
                    }
                    self.stop(true);
                    return Poll::Ready(Ended::Told);
                }
                Some(Err(error)) => {
                    if !telling {
                        self.replay();
                    }
                    self.body = None;
                    self.give_up();
                    self.tell(Event::Error(error));
                    return Poll::Ready(Ended::Told);
                }
                None => {
                    self.body = None;
                    let bytes = join(&self.frames, self.bytes);
                    let stored = self.fill.take().is_some_and(|fill| fill.complete(&bytes));
                    self.tell(Event::End);
                    return Poll::Ready(if telling {
                        Ended::Told
                    } else {
                        Ended::Whole { bytes, stored }
                    });
                }
            }
        }
    }

    /// Tells the client what was collected before there was a task.
    fn replay(&self) {
        for frame in &self.frames {
            self.tell_data(frame.clone());
        }
    }

    fn tell_data(&self, data: Bytes) {
        self.tell(Event::Data(self.unread.hold(data)));
    }

    /// Ends collecting; the body goes on by itself.
    fn stop(&mut self, told: bool) {
        if !told {
            self.replay();
        }
        self.give_up();
        if let Some(body) = self.body.take() {
            self.tell(Event::Rest(body));
        }
    }

    fn give_up(&mut self) {
        self.frames = Vec::new();
        if let Some(fill) = self.fill.take() {
            fill.give_up();
        }
    }

    fn panicked(&mut self, payload: Box<dyn std::any::Any + Send>) {
        self.body = None;
        // Dropped, not released: the leader went away, one of those who wait may try.
        if let Some(fill) = self.fill.take() {
            let panics = &fill.shared.counters.handler_panics;
            panics.fetch_add(1, Ordering::Relaxed);
        }
        self.tell(Event::Panic(payload));
    }

    /// The client may be gone; the fill goes on for those who wait and those who come.
    fn tell(&self, event: Event<R>) {
        let _ = self.events.send(event);
    }
}

impl<R: Body> Drop for Collector<R> {
    fn drop(&mut self) {
        if let Some(body) = self.body.take() {
            self.give_up();
            self.tell(Event::Rest(body));
        }
    }
}

fn join(frames: &[Bytes], bytes: usize) -> Bytes {
    match frames {
        [] => Bytes::new(),
        [one] => one.clone(),
        many => {
            let mut joined = Vec::with_capacity(bytes);
            many.iter()
                .for_each(|frame| joined.extend_from_slice(frame));
            joined.into()
        }
    }
}
