//! [`Record`]: one request under way.

use http::StatusCode;

use super::{
    super::{
        class::StatusClass,
        segments::{Entered, Frame, OUTSIDE},
        trace::TraceId,
    },
    cell::{Measured, NO_HEAD},
    label::RouteText,
    owners::LayerId,
    registry::{BY_HEAD, Method, NO_CODE, OVERFLOW_ROUTE, SeriesId},
};
use crate::ticks::Ticks;

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
    /// Where its segments are kept, and its layer: [`LayerId::NONE`] once it has ended, or has moved on.
    frame: Frame,
    /// The clock's reading when it began.
    started: u64,
    /// Nanoseconds to the head, or [`NO_HEAD`].
    first_byte: u64,
    request_bytes: u64,
    response_bytes: u64,
    trace: TraceId,
    route: u16,
    /// [`BY_HEAD`], or nothing.
    judged: u16,
    method: Method,
    ticks: Ticks,
}

impl Record {
    /// A request has come.
    #[inline(always)]
    pub(crate) fn begin(layer: LayerId, ticks: Ticks, text: RouteText<'_>, begun: Begun) -> Self {
        let route = layer.with_own(|owner| Some(owner.begin(text)));
        let route = route.or_else(|| layer.without_own(|owner| Some(owner.begin(text))));
        Self {
            // Nothing where nobody can read of it any more.
            frame: Frame::new(if route.is_some() {
                layer
            } else {
                LayerId::NONE
            }),
            started: ticks.now(|| layer.manual_time()),
            ticks,
            first_byte: NO_HEAD,
            request_bytes: begun.request_bytes,
            response_bytes: 0,
            trace: begun.trace,
            route: route.unwrap_or(OVERFLOW_ROUTE),
            judged: 0,
            method: begun.method,
        }
    }

    /// A request that nobody counts.
    #[cold]
    pub(crate) fn of_nothing(ticks: Ticks) -> Self {
        Self {
            frame: Frame::new(LayerId::NONE),
            started: ticks.now(|| LayerId::NONE.manual_time()),
            ticks,
            first_byte: NO_HEAD,
            request_bytes: 0,
            response_bytes: 0,
            trace: TraceId::default(),
            route: OVERFLOW_ROUTE,
            judged: 0,
            method: Method::ANY,
        }
    }

    /// For a poll of the request's future or body: so that segments find the request.
    #[inline]
    pub(crate) fn enter(&mut self) -> Entered<'_> {
        self.frame.enter(OUTSIDE)
    }

    /// Hands it on, so that this one has nothing left to end.
    #[inline]
    pub(crate) fn hand_on(&mut self) -> Self {
        Self {
            frame: self.frame.hand_on(),
            ..*self
        }
    }

    /// Whether it has not ended.
    #[inline]
    pub(crate) fn is_open(&self) -> bool {
        self.frame.layer != LayerId::NONE
    }

    /// Whether its method has no body in an answer of this status: HEAD (RFC 9110, 9.3.2), and CONNECT where it succeeds (9.3.6).
    #[inline]
    pub(crate) fn is_bodiless(&self, status: StatusCode) -> bool {
        self.method == Method::HEAD || self.method == Method::CONNECT && status.is_success()
    }

    #[inline]
    fn now(&self) -> u64 {
        self.ticks.now(|| self.frame.layer.manual_time())
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

    /// What is to come lasts as long as its client wants: objectives judge the request by its head.
    pub(crate) fn judge_by_head(&mut self) {
        self.judged = BY_HEAD;
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
            code: code | self.judged,
            class,
            method: self.method,
        };
        let (route, method) = (self.route, self.method);
        self.frame
            .end(|| (u32::from(route), method.as_str()), body_end);
        let layer = std::mem::replace(&mut self.frame.layer, LayerId::NONE);
        let trace = self.trace;
        if layer
            .with_own(|owner| owner.end(route, id, &measured, trace))
            .is_none()
        {
            layer.without_own(|owner| owner.end(route, id, &measured, trace));
        }
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
        if self.first_byte != NO_HEAD {
            self.judge_by_head();
        }
        let now = self.now();
        self.count(StatusClass::Aborted, NO_CODE, now);
    }
}
