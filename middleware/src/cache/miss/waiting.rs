//! Waiting for an answer that another request is fetching, and what of it may be taken.

use std::{future::Future, pin::Pin, sync::atomic::Ordering};

use http::HeaderMap;
use http_body::Body;
use tokio::time::Instant;

use crate::cache::{
    coalesce::{Told, Waiter},
    entry::Entry,
    hit::look::{Look, is_fresh},
    invalidation::Life,
    miss::forward::{Forward, Next, Step},
    outcome::Outcome,
    policy::VaryNames,
    timed::timed,
};

/// After so many hand-overs that failed, or regroupings by variant, a waiter runs alone (rule 11 of the invalidation).
const MAX_TURNS: u8 = 2;

impl Forward {
    pub(super) fn wait(
        &mut self,
        mut waiter: Waiter,
    ) -> Pin<Box<dyn Future<Output = (Waiter, Told)> + Send>> {
        let deadline = *self
            .deadline
            .get_or_insert_with(|| Instant::now() + self.shared.wait_deadline);
        let shared = self.shared.clone();
        Box::pin(timed(async move {
            let told = waiter.told(tokio::time::sleep_until(deadline)).await;
            if matches!(told, Told::Late) {
                let timeouts = &shared.counters.wait_timeouts;
                timeouts.fetch_add(1, Ordering::Relaxed);
            }
            (waiter, told)
        }))
    }

    /// What a waiter does with what it was told.
    pub(in crate::cache) fn told<R: Body>(
        &mut self,
        waiter: Waiter,
        told: Told,
        request: &HeaderMap,
    ) -> Step<R> {
        match told {
            Told::Lead(leader) => {
                self.leader = Some(leader);
                Step::Next(self.look())
            }
            Told::Alone => Step::Next(Next::Call),
            Told::Late => self.late(waiter, request),
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
                if let Some(outcome) = self.takes(&entry, request) {
                    return Step::Reply(self.reply(&entry, request, outcome));
                }
                // It began before a purge, or it is another variant. Somebody may have stored a newer one by now.
                let vary = entry.vary.clone();
                self.regroup(request, &vary)
            }
        }
    }

    /// As what one who has waited takes an answer, if at all.
    fn takes(&self, entry: &Entry, request: &HeaderMap) -> Option<Outcome> {
        let now = self.shared.clock.now();
        if !entry.matches(request, self.lookup.credentials) {
            return None;
        }
        match self.shared.life(entry, now) {
            Life::Fresh => {}
            Life::Stale if !entry.stale.forbidden => {}
            Life::Stale | Life::Dead => return None,
        }
        // Made while it waited, it is as new as one that it would have had for itself.
        if entry.made >= self.came || is_fresh(entry, &self.lookup, now) {
            return Some(Outcome::Collapsed(self.miss));
        }
        // What stood in for an error.
        (entry.staleness(now) < entry.stale.if_error).then_some(Outcome::StaleIfError)
    }

    /// Whoever leads takes too long. One of those who wait leads beside it, the others wait for whichever is first: were all to
    /// run, the handler would get the whole crowd just when it is slow.
    fn late<R: Body>(&mut self, waiter: Waiter, request: &HeaderMap) -> Step<R> {
        self.deadline = None;
        let look = self.shared.look(&self.key, self.asked(request));
        if let Look::Hit(entry, outcome) | Look::Refresh(entry, _, outcome) = look {
            return Step::Reply(self.reply(&entry, request, outcome));
        }
        let join = waiter.rejoin(self.shared.clock.now());
        Step::Next(self.joined(join, request))
    }

    /// Looks again and joins again, a bounded number of times.
    fn regroup<R: Body>(&mut self, request: &HeaderMap, vary: &VaryNames) -> Step<R> {
        self.turns += 1;
        let look = self.shared.look(&self.key, self.asked(request));
        // Whoever comes here has waited already: a fetch of its own in the background is somebody else's.
        if let Look::Hit(entry, outcome) | Look::Refresh(entry, _, outcome) = look {
            return Step::Reply(self.reply(&entry, request, outcome));
        }
        Step::Next(if self.turns >= MAX_TURNS {
            Next::Call
        } else {
            self.next(request, vary)
        })
    }
}
