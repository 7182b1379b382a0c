//! [`Record`]: one request under way.

use http::StatusCode;

use super::{
    super::{
        class::StatusClass,
        segments::{OUTSIDE, Place, Stage},
        trace::TraceId,
    },
    cell::{Measured, NO_HEAD},
    label::RouteText,
    owners::LayerId,
    registry::{Method, NO_CODE, OVERFLOW_ROUTE, SeriesId},
};
use crate::clock::Ticks;

/// What a request brings to its record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Begun {
    pub(crate) method: Method,
    pub(crate) request_bytes: u64,
    pub(crate) trace: TraceId,
}

/// One request. Whoever holds it ends it once; dropped without that, the request was aborted.
#[derive(Debug)]
pub(crate) struct Record {
    /// The clock's reading when it began.
    started: u64,
    /// Nanoseconds to the head, or [`NO_HEAD`].
    first_byte: u64,
    request_bytes: u64,
    response_bytes: u64,
    trace: TraceId,
    /// [`LayerId::NONE`] once it has ended, or has moved on.
    layer: LayerId,
    route: u16,
    method: Method,
    ticks: Ticks,
    /// Where its segments are kept.
    place: Place,
}

impl Record {
    /// A request has come.
    #[inline(always)]
    pub(crate) fn begin(layer: LayerId, ticks: Ticks, text: RouteText<'_>, begun: Begun) -> Self {
        let route = layer.with_owner(|owner| {
            let route = owner.route(text);
            owner.begin(route);
            Some(route)
        });
        Self {
            // Nothing where nobody can read of it any more.
            layer: if route.is_some() {
                layer
            } else {
                LayerId::NONE
            },
            started: ticks.now(|| layer.manual_time()),
            ticks,
            first_byte: NO_HEAD,
            request_bytes: begun.request_bytes,
            response_bytes: 0,
            trace: begun.trace,
            route: route.unwrap_or(OVERFLOW_ROUTE),
            method: begun.method,
            place: Place::default(),
        }
    }

    /// One that has nothing to end.
    pub(crate) fn none() -> Self {
        Self {
            started: 0,
            first_byte: NO_HEAD,
            request_bytes: 0,
            response_bytes: 0,
            trace: TraceId::default(),
            layer: LayerId::NONE,
            route: OVERFLOW_ROUTE,
            method: Method::ANY,
            ticks: Ticks::Monotonic,
            place: Place::default(),
        }
    }

    /// For a poll of the request's future or body: so that segments find the request.
    #[inline]
    pub(crate) fn stage(&mut self) -> Stage<'_> {
        Stage::new(&mut self.place, &self.layer, OUTSIDE)
    }

    /// Hands it on, so that this one has nothing left to end.
    #[inline]
    pub(crate) fn hand_on(&mut self) -> Self {
        Self {
            layer: std::mem::replace(&mut self.layer, LayerId::NONE),
            place: std::mem::take(&mut self.place),
            ..*self
        }
    }

    /// Whether it has not ended.
    #[inline]
    pub(crate) fn is_open(&self) -> bool {
        self.layer != LayerId::NONE
    }

    #[inline]
    pub(crate) fn is_head(&self) -> bool {
        self.method == Method::HEAD
    }

    #[inline]
    fn now(&self) -> u64 {
        self.ticks.now(|| self.layer.manual_time())
    }

    /// Nanoseconds to the head, once it is there.
    #[inline]
    pub(crate) fn first_byte(&self) -> u64 {
        self.first_byte
    }

    /// The head is there.
    #[inline]
    pub(crate) fn head(&mut self) {
        self.first_byte = self.ticks.nanos(self.started, self.now());
    }

    /// So many bytes of the body were read.
    #[inline]
    pub(crate) fn sent(&mut self, bytes: u64) {
        self.response_bytes = self.response_bytes.saturating_add(bytes);
    }

    /// The body has ended.
    #[inline]
    pub(crate) fn end(&mut self, status: StatusCode) {
        if self.is_open() {
            let now = self.now();
            self.count(StatusClass::from(status), status.as_u16(), now);
        }
    }

    /// The head, which was just there, is all that there is.
    #[inline]
    pub(crate) fn end_at_head(&mut self, status: StatusCode) {
        if self.is_open() {
            self.count(StatusClass::from(status), status.as_u16(), AT_HEAD);
        }
    }

    /// Service or body failed.
    #[cold]
    pub(crate) fn fail(&mut self) {
        if self.is_open() {
            let now = self.now();
            self.count(StatusClass::Error, NO_CODE, now);
        }
    }

    #[inline(never)]
    fn count(&mut self, class: StatusClass, code: u16, now: u64) {
        let (body_end, at) = if now == AT_HEAD {
            (self.first_byte, self.now())
        } else {
            (self.ticks.nanos(self.started, now), now)
        };
        let measured = Measured {
            body_end,
            first_byte: self.first_byte,
            request_bytes: self.request_bytes,
            response_bytes: self.response_bytes,
            at,
        };
        let id = SeriesId {
            code,
            class,
            method: self.method,
        };
        if self.place.is_used() {
            let key = (u32::from(self.route), self.method.as_str());
            self.place.end(key, body_end);
        }
        let layer = std::mem::replace(&mut self.layer, LayerId::NONE);
        layer.with_owner(|owner| {
            let is_done = owner.end(self.route, id, &measured, self.trace);
            is_done.then_some(())
        });
    }
}

/// In place of a clock's reading: none was taken since the head.
const AT_HEAD: u64 = u64::MAX;

impl Drop for Record {
    #[inline]
    fn drop(&mut self) {
        if self.is_open() {
            self.abort();
        }
    }
}

impl Record {
    #[cold]
    fn abort(&mut self) {
        let now = self.now();
        self.count(StatusClass::Aborted, NO_CODE, now);
    }
}
