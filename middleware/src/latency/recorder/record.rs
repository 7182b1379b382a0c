//! [`Record`]: one request under way.

use std::sync::Arc;

use http::StatusCode;

use super::{
    super::{
        class::StatusClass,
        segments::{OUTSIDE, Place, within},
    },
    cell::Measured,
    owners::with_owner,
    registry::{Method, NO_CODE, SeriesId},
    slot::Slot,
};

/// What a request brings to its record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Begun {
    pub(crate) method: Method,
    pub(crate) request_bytes: u64,
}

/// Whoever holds it ends it once; dropped without that, the request was aborted.
#[derive(Debug)]
pub(crate) struct Record {
    /// Of the thread that began it: the way to the layer, and its clock.
    home: Arc<Slot>,
    route: u32,
    begun: Begun,
    started: u64,
    first_byte: Option<u64>,
    response_bytes: u64,
    class: StatusClass,
    code: u16,
    /// Ended at its head: what [`first_byte`](Self::first_byte) says is the whole.
    is_at_head: bool,
    /// Where its segments are kept.
    place: Place,
}

impl Record {
    pub(super) fn new(home: Arc<Slot>, route: u32, begun: Begun) -> Self {
        Self {
            started: home.clock().nanos(),
            home,
            route,
            begun,
            first_byte: None,
            response_bytes: 0,
            class: StatusClass::Aborted,
            code: NO_CODE,
            is_at_head: false,
            place: Place::default(),
        }
    }

    /// Runs `work`, a poll of the request's future or body, so that segments find the request.
    #[inline]
    pub(crate) fn within<T>(&mut self, work: impl FnOnce() -> T) -> T {
        within(&mut self.place, self.home.accounts(), OUTSIDE, work)
    }

    pub(crate) fn is_head(&self) -> bool {
        self.begun.method.0 == "HEAD"
    }

    /// The head is there.
    pub(crate) fn head(&mut self) {
        self.first_byte = Some(self.elapsed());
    }

    /// So many bytes of the body were read.
    pub(crate) fn sent(&mut self, bytes: u64) {
        self.response_bytes = self.response_bytes.saturating_add(bytes);
    }

    /// The body has ended.
    pub(crate) fn end(mut self, status: StatusCode) {
        self.class = StatusClass::from(status);
        self.code = status.as_u16();
    }

    /// The head is all that there is.
    pub(crate) fn end_at_head(mut self, status: StatusCode) {
        self.is_at_head = true;
        self.end(status);
    }

    /// Service or body failed.
    pub(crate) fn fail(mut self) {
        self.class = StatusClass::Error;
    }

    fn elapsed(&self) -> u64 {
        self.home.clock().nanos().saturating_sub(self.started)
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let body_end = match self.first_byte {
            // The clock is asked once for both.
            Some(first_byte) if self.is_at_head => first_byte,
            _ => self.elapsed(),
        };
        let measured = Measured {
            body_end,
            first_byte: self.first_byte,
            request_bytes: self.begun.request_bytes,
            response_bytes: self.response_bytes,
            at: self.started.saturating_add(body_end),
        };
        if self.place.is_used() {
            let key = (self.route, self.begun.method.0);
            let accounts = self.home.accounts();
            accounts.ended(&mut self.place, key, measured.at, body_end);
        }
        let id = SeriesId {
            method: self.begun.method,
            class: self.class,
            code: self.code,
        };
        let layer = self.home.shared();
        let counted = with_owner(
            layer.as_ptr(),
            || layer.upgrade(),
            |owner| owner.end(self.route, id, &measured),
        );
        if counted == Some(false)
            && let Some(shared) = layer.upgrade()
        {
            shared.with_common(|owner| owner.end(self.route, id, &measured));
        }
    }
}
