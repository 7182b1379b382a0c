//! A miss on its way to the handler: whom it waits for, where it looks, what it asks.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{
    HeaderMap, Method, Response, StatusCode,
    header::{IF_RANGE, RANGE},
    request::Parts,
};
use http_body::Body;
use tokio::time::Instant;

use crate::cache::{
    body::ResponseBody,
    coalesce::{FlightKey, Join, Leader, Told, Waiter},
    entry::tags::Tags,
    entry::{self, Entry},
    figures::series::Series,
    hit::answer::Asked,
    hit::look::Look,
    invalidation::{Position, path_slot},
    key::CacheKey,
    key::asked::{asked_host, asked_target, asked_uri},
    miss::looking::{Found, Looking},
    miss::within::Within,
    outcome::{Miss, Outcome},
    policy::{Lookup, VaryNames, conditional},
    runtime,
    shared::Shared,
};

/// What is known of a request that may go to the handler.
pub(in crate::cache) struct Forward {
    pub(in crate::cache) shared: Arc<Shared>,
    pub(in crate::cache) lookup: Lookup,
    pub(in crate::cache) key: Arc<CacheKey>,
    pub(in crate::cache) region: usize,
    pub(in crate::cache) series: Series,
    /// Whether it is no request of a client's, or is counted already.
    pub(in crate::cache) uncounted: bool,
    /// What it asks for; filled when the handler gets the request.
    pub(in crate::cache) resource: Resource,
    pub(in crate::cache) stamp: Position,
    /// Where it began, if that is before `stamp`: an answer to a change shows that change and no other one since.
    pub(in crate::cache) begun: Option<Position>,
    /// The same as monotonic time.
    pub(in crate::cache) came: Duration,
    pub(in crate::cache) miss: Miss,
    /// What may be validated, or stand in for an error.
    pub(in crate::cache) stale: Option<Arc<Entry>>,
    /// Whether the handler was asked by the validators of `stale`.
    pub(in crate::cache) validating: bool,
    pub(in crate::cache) leader: Option<Leader>,
    /// The client's fields, for `Vary` and its conditions; filled when the handler gets the request.
    pub(in crate::cache) request: HeaderMap,
    pub(in crate::cache) tags: Tags,
    /// Monotonic time when the handler was called.
    pub(in crate::cache) called: Duration,
    pub(in crate::cache) turns: u8,
    pub(in crate::cache) deadline: Option<Instant>,
}

/// What purges and groups name an answer by.
#[derive(Default)]
pub(in crate::cache) struct Resource {
    pub(in crate::cache) path_slot: u32,
    /// Path and query as the client asks for them.
    pub(in crate::cache) target: Box<str>,
    /// Groups are of one host.
    pub(in crate::cache) host: Box<str>,
}

impl Resource {
    pub(in crate::cache) fn of(parts: &Parts) -> Self {
        Self {
            path_slot: path_slot(asked_uri(parts).path()),
            target: asked_target(parts).into(),
            host: asked_host(parts).unwrap_or_default().into(),
        }
    }
}

/// Where a miss goes.
pub(in crate::cache) enum Next {
    Wait(Pin<Box<dyn Future<Output = (Waiter, Told)> + Send>>),
    Look(Looking),
    /// Somebody has stored it between our look and our turn to lead.
    Reply(Arc<Entry>, Outcome),
    Call,
}

impl Forward {
    /// A request that is about to miss, begun now.
    pub(in crate::cache) fn new(
        shared: &Arc<Shared>,
        lookup: Lookup,
        key: CacheKey,
        region: usize,
        parts: &Parts,
    ) -> Self {
        Self {
            shared: shared.clone(),
            lookup,
            key: key.kept(),
            region,
            series: shared.series.of(region, parts),
            uncounted: false,
            resource: Resource::default(),
            stamp: shared.now(),
            begun: None,
            came: shared.clock.now(),
            miss: Miss::Uri,
            stale: None,
            validating: false,
            leader: None,
            request: HeaderMap::new(),
            tags: Tags::of(Arc::as_ptr(shared) as usize),
            called: Duration::ZERO,
            turns: 0,
            deadline: None,
        }
    }

    /// Joins those who ask the same, unless there is a reason not to.
    pub(in crate::cache) fn next(&mut self, request: &HeaderMap, vary: &VaryNames) -> Next {
        // Waiting needs a timer, and a task that may end without us; both are Tokio's.
        if !runtime::has_one() {
            return Next::Call;
        }
        if self.lookup.refresh {
            // The client wants its own answer, and it replaces what is stored.
            return self.look();
        }
        let asked = self.asked(request);
        let (shared, credentials) = (&self.shared, self.lookup.credentials);
        // In the background nobody waits, and what is given meanwhile has to be replaced some time.
        if !self.uncounted && shared.uncacheable.knows(&self.key, credentials, asked.now) {
            return Next::Call;
        }
        // A part can neither be shared nor made whole from; where there are validators the handler is asked for the whole.
        let is_part = self.lookup.range && !self.can_validate();
        if self.lookup.head || is_part {
            return self.look();
        }
        let Some(variant) = vary.values(request) else {
            return Next::Call;
        };
        let key = FlightKey {
            key: self.key.clone(),
            variant,
            class: credentials.class(),
        };
        let join = shared.flights.join(key, asked.now);
        self.joined(join, request)
    }

    pub(super) fn joined(&mut self, join: Join, request: &HeaderMap) -> Next {
        match join {
            Join::Lead(leader) => {
                // Between the look and this a whole flight may have ended: its answer is there, and another call is not due.
                let look = self.shared.look(&self.key, self.asked(request));
                let is_new = |entry: &Arc<Entry>| {
                    let known = self.stale.as_ref();
                    known.is_none_or(|known| !Arc::ptr_eq(known, entry))
                };
                // Of an early refresh it is the answer that is to be replaced.
                if let Look::Hit(entry, outcome) = look
                    && is_new(&entry)
                {
                    leader.done(entry.clone());
                    return Next::Reply(entry, outcome);
                }
                self.leader = Some(leader);
                self.look()
            }
            Join::Wait(waiter) => Next::Wait(self.wait(waiter)),
        }
    }

    /// Counts a hit and builds its answer.
    pub(in crate::cache) fn reply<R: Body>(
        &self,
        entry: &Entry,
        request: &HeaderMap,
        outcome: Outcome,
    ) -> Response<ResponseBody<R>> {
        let asked = self.asked(request);
        if self.uncounted {
            return self.shared.answer(entry, asked, outcome);
        }
        self.shared.hit(entry, asked, outcome)
    }

    /// The client wants no call of the handler, and there is nothing (RFC 9111, 5.2.1.7).
    pub(in crate::cache) fn only_if_cached<R: Body>(&self) -> Response<ResponseBody<R>> {
        let mut response = Response::new(ResponseBody::full(Bytes::new()));
        *response.status_mut() = StatusCode::GATEWAY_TIMEOUT;
        self.count(Outcome::OnlyIfCached);
        Outcome::OnlyIfCached.write(response.headers_mut(), None);
        response
    }

    pub(in crate::cache) fn count(&self, outcome: Outcome) {
        if !self.uncounted {
            self.shared.count(self.series, outcome);
        }
    }

    /// Where it is to be counted, if anywhere.
    pub(in crate::cache) fn counted(&self) -> Option<Series> {
        (!self.uncounted).then_some(self.series)
    }

    pub(in crate::cache) fn asked<'a>(&'a self, request: &'a HeaderMap) -> Asked<'a> {
        Asked {
            headers: request,
            lookup: &self.lookup,
            region: self.region,
            now: self.shared.clock.now(),
        }
    }

    fn can_validate(&self) -> bool {
        let stale = self.stale.as_ref();
        stale.is_some_and(|stale| conditional::has_validator(&stale.headers))
    }

    pub(super) fn look(&self) -> Next {
        match self.shared.look_in_l2(&self.key) {
            Some(looking) => Next::Look(looking),
            None => Next::Call,
        }
    }

    /// What the look-up in L2 found.
    pub(in crate::cache) fn found<R: Body>(
        &mut self,
        found: Found,
        request: &HeaderMap,
    ) -> Step<R> {
        self.stamp = found.begin;
        // What was purged since the look in this process would come back by a 304, under a later stamp.
        self.stale = self
            .stale
            .take()
            .filter(|stale| self.shared.is_alive(stale));
        if let Some(vary) = found.vary
            && let Some(looking) = self
                .shared
                .look_on_in_l2(&self.key, vary, request, found.begin)
        {
            return Step::Next(Next::Look(looking));
        }
        let matching = found
            .entry
            .filter(|entry| entry.matches(request, self.lookup.credentials))
            .map(|entry| entry::credited(entry, self.series));
        let now = self.shared.clock.now();
        let is_hit = matching.as_ref().is_some_and(|entry| {
            !self.lookup.refresh && self.shared.is_usable(entry, &self.lookup, now)
        });
        self.shared.looked_in_l2(is_hit);
        let Some(entry) = matching else {
            return Step::Next(Next::Call);
        };
        if !is_hit {
            if self.stale.is_none() && self.shared.is_alive(&entry) {
                self.stale = Some(entry);
            }
            return Step::Next(Next::Call);
        }
        self.shared.keep(&self.key, &entry, now);
        if let Some(leader) = self.leader.take() {
            leader.done(entry.clone());
        }
        Step::Reply(self.reply(&entry, request, Outcome::L2))
    }

    /// Keeps of a request what its answer is stored with.
    pub(in crate::cache) fn asks(&mut self, parts: &Parts) {
        self.resource = Resource::of(parts);
        self.request = parts.headers.clone();
    }

    /// Asks for the whole, whatever its client asked for: in the background it is for everybody.
    pub(in crate::cache) fn for_all(&mut self, parts: &mut Parts) {
        if self.lookup.head {
            parts.method = Method::GET;
            self.lookup.head = false;
        }
        parts.headers.remove(RANGE);
        parts.headers.remove(IF_RANGE);
        self.lookup.range = false;
    }

    /// The handler gets the request: with conditions of ours in the place of the client's, where the answer may then be
    /// everybody's.
    pub(in crate::cache) fn send(&mut self, parts: &mut Parts) {
        self.asks(parts);
        Within::enter(parts, &self.shared);
        let request = &mut parts.headers;
        self.called = self.shared.clock.now();
        // RFC 9110, 13.1.2: only a GET or HEAD is answered by 304; to our condition on a POST the answer would be 412.
        let validates = !self.lookup.content && self.can_validate();
        let is_whole = self.leader.is_some() || self.lookup.refresh;
        if self.lookup.head || !(validates || is_whole && !self.lookup.range) {
            return;
        }
        self.validating = validates;
        let stored = self.stale.as_ref().filter(|_| validates);
        conditional::condition(request, stored.map(|stale| &*stale.headers));
    }
}

/// What a waiter or a look-up comes to.
pub(in crate::cache) enum Step<R: Body> {
    Reply(Response<ResponseBody<R>>),
    Next(Next),
}
