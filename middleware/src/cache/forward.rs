//! A miss on its way: whom it waits for, where it looks, what becomes of the handler's answer.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::Context,
};

use http::{HeaderMap, Response};
use http_body::Body;
use tokio::time::Instant;

use super::{
    body::ResponseBody,
    coalesce::{FlightKey, Head, Join, Leader, Told, Waiter},
    entry::{Entry, Origin, TAGS_HEADER},
    fill::{Collected, Fill, collect},
    invalidation::Position,
    key::CacheKey,
    outcome::{BypassReason, Miss, Outcome},
    policy::{Lookup, VaryNames, judge},
    shared::{Found, Shared},
    tags::Tags,
};

/// After so many hand-overs that failed, or regroupings by variant, a waiter runs alone (rule 11 of the invalidation).
const MAX_TURNS: u8 = 2;

/// What is known of a request that may go to the handler.
pub(super) struct Forward {
    pub(super) shared: Arc<Shared>,
    pub(super) lookup: Lookup,
    pub(super) key: Arc<CacheKey>,
    pub(super) region: usize,
    pub(super) path_slot: u32,
    pub(super) stamp: Position,
    pub(super) l2_stamp: Option<u64>,
    pub(super) miss: Miss,
    pub(super) leader: Option<Leader>,
    /// What `Vary` will be compared with; filled when the handler gets the request.
    pub(super) request: HeaderMap,
    pub(super) tags: Tags,
    pub(super) turns: u8,
    pub(super) deadline: Option<Instant>,
}

/// Where a miss goes.
pub(super) enum Next {
    Wait(Pin<Box<dyn Future<Output = (Waiter, Told)> + Send>>),
    Look(Pin<Box<dyn Future<Output = Found> + Send>>),
    Call,
}

impl Forward {
    /// Joins those who ask the same, unless there is a reason not to.
    pub(super) fn next(&mut self, request: &HeaderMap, vary: &VaryNames) -> Next {
        // Waiting needs a timer, and a task that may end without us; both are Tokio's.
        if tokio::runtime::Handle::try_current().is_err() {
            return Next::Call;
        }
        if self.lookup.refresh {
            // The client wants its own answer, and it replaces what is stored.
            return self.look(request);
        }
        if self.lookup.head
            || self
                .shared
                .is_uncacheable(&self.key, self.lookup.credentials)
        {
            return Next::Call;
        }
        let Some(variant) = vary.values(request) else {
            return Next::Call;
        };
        let key = FlightKey {
            key: self.key.clone(),
            variant,
            class: self.lookup.credentials.class(),
        };
        match self.shared.flights.join(key, self.shared.clock.now()) {
            Join::Lead(leader) => {
                self.leader = Some(leader);
                self.look(request)
            }
            Join::Wait(waiter) => Next::Wait(self.wait(waiter)),
        }
    }

    fn look(&self, request: &HeaderMap) -> Next {
        match self
            .shared
            .look_in_l2(&self.key, request, self.path_slot, self.region, self.stamp)
        {
            Some(looking) => Next::Look(looking),
            None => Next::Call,
        }
    }

    fn wait(&mut self, mut waiter: Waiter) -> Pin<Box<dyn Future<Output = (Waiter, Told)> + Send>> {
        let deadline = *self
            .deadline
            .get_or_insert_with(|| Instant::now() + self.shared.wait_deadline);
        Box::pin(async move {
            let told = tokio::time::timeout_at(deadline, waiter.told()).await;
            (waiter, told.unwrap_or(Told::Alone))
        })
    }

    /// What a waiter does with what it was told.
    pub(super) fn told<R: Body>(
        &mut self,
        waiter: Waiter,
        told: Told,
        request: &HeaderMap,
    ) -> Step<R> {
        match told {
            Told::Lead(leader) => {
                self.leader = Some(leader);
                Step::Next(self.look(request))
            }
            Told::Alone => Step::Next(Next::Call),
            Told::Head(head) => {
                if head.share.allows(self.lookup.credentials).is_err() {
                    return Step::Next(Next::Call);
                }
                if head
                    .vary
                    .values(request)
                    .is_some_and(|values| values == head.values)
                {
                    return Step::Next(Next::Wait(self.wait(waiter)));
                }
                drop(waiter);
                self.regroup(request, &head.vary)
            }
            Told::Entry(entry) => {
                drop(waiter);
                let shared = &self.shared;
                if entry.matches(request, self.lookup.credentials) && shared.is_alive(&entry) {
                    shared.counters.coalesced.fetch_add(1, Ordering::Relaxed);
                    return Step::Reply(shared.hit(
                        &entry,
                        self.lookup.head,
                        self.region,
                        Outcome::Collapsed,
                    ));
                }
                // It began before a purge, or it is another variant. Somebody may have stored a newer one by now.
                let vary = entry.vary.clone();
                self.regroup(request, &vary)
            }
        }
    }

    /// Looks again and joins again, a bounded number of times.
    fn regroup<R: Body>(&mut self, request: &HeaderMap, vary: &VaryNames) -> Step<R> {
        self.turns += 1;
        if let Ok(entry) = self.shared.fresh(&self.key, request, &self.lookup) {
            return Step::Reply(self.shared.hit(
                &entry,
                self.lookup.head,
                self.region,
                Outcome::Hit,
            ));
        }
        Step::Next(if self.turns >= MAX_TURNS {
            Next::Call
        } else {
            self.next(request, vary)
        })
    }

    /// What the look-up in L2 found.
    pub(super) fn found<R: Body>(&mut self, found: Found, request: &HeaderMap) -> Step<R> {
        self.l2_stamp = found.stamp;
        let usable = |entry: &Arc<Entry>| {
            !self.lookup.refresh
                && entry.matches(request, self.lookup.credentials)
                && self.shared.is_usable(entry, &self.lookup)
        };
        let Some(entry) = found.entry.filter(usable) else {
            return Step::Next(Next::Call);
        };
        self.shared.keep(&self.key, &entry);
        if let Some(leader) = self.leader.take() {
            leader.done(entry.clone());
        }
        Step::Reply(
            self.shared
                .hit(&entry, self.lookup.head, self.region, Outcome::L2),
        )
    }

    /// The handler's answer is there.
    pub(super) fn answered<R>(
        mut self,
        response: Response<R>,
        cx: &mut Context<'_>,
    ) -> Response<ResponseBody<R>>
    where
        R: Body + Send + 'static,
        R::Error: Send,
    {
        let (mut parts, body) = response.into_parts();
        let shared = self.shared.clone();
        let region = shared.region(self.region);
        let verdict = judge(
            self.lookup.credentials,
            parts.status,
            &parts.headers,
            region,
            shared.clock.unix_ms(),
        )
        .and_then(|verdict| {
            let values = verdict
                .vary
                .values(&self.request)
                .ok_or(BypassReason::Vary)?;
            Ok((verdict, values))
        });
        let headers = parts.headers.clone();
        parts.headers.remove(TAGS_HEADER);
        let (verdict, values) = match verdict {
            Ok(judged) => judged,
            Err(reason) => {
                if let Some(leader) = self.leader.take() {
                    leader.release();
                }
                shared.remember_uncacheable(
                    &self.key,
                    self.lookup.credentials,
                    parts.status,
                    reason,
                );
                shared.bypassed(self.region, reason);
                Outcome::Unstorable(self.miss, reason).write(&mut parts.headers);
                return Response::from_parts(parts, ResponseBody::passing(body));
            }
        };
        shared.missed(self.region);
        if self.lookup.head {
            Outcome::Miss(self.miss).write(&mut parts.headers);
            return Response::from_parts(parts, ResponseBody::passing(body));
        }
        shared.forget_uncacheable(&self.key, self.lookup.credentials);
        if let Some(leader) = &self.leader {
            leader.head(Head {
                vary: verdict.vary.clone(),
                values: values.clone(),
                share: verdict.share,
            });
        }
        let slots = vec![self.path_slot, shared.region_slot(self.region)];
        let origin = Origin {
            values,
            slots,
            stamp: self.stamp,
            made: shared.clock.now(),
        };
        let fill = Fill {
            shared: shared.clone(),
            key: self.key,
            region: self.region,
            status: parts.status,
            headers,
            verdict,
            origin,
            l2_stamp: self.l2_stamp,
            leader: self.leader,
            tags: self.tags,
        };
        let (body, outcome) = match collect(body, region.max_body_bytes, fill, cx) {
            Collected::Whole(body, true) => (body, Outcome::Stored(self.miss)),
            Collected::Whole(body, false) => (body, Outcome::Miss(self.miss)),
            Collected::Going(body) => (body, Outcome::Streaming(self.miss)),
        };
        outcome.write(&mut parts.headers);
        Response::from_parts(parts, body)
    }
}

/// What a waiter or a look-up comes to.
pub(super) enum Step<R: Body> {
    Reply(Response<ResponseBody<R>>),
    Next(Next),
}
