//! Looking into the cache in this process, and answering from what is there.

use std::{sync::Arc, time::Duration};

use http::Response;
use http_body::Body;

use crate::cache::{
    body::ResponseBody,
    entry::Entry,
    hit::answer::{Asked, answer, from_part},
    hit::early,
    invalidation::{Life, Position},
    key::CacheKey,
    outcome::{Miss, Outcome},
    policy::{Lookup, VaryNames},
    shared::Shared,
};

/// What the cache in this process has for a request.
pub(in crate::cache) enum Look {
    /// An answer.
    Hit(Arc<Entry>, Outcome),
    /// An answer that may be given while a new one is fetched: it is stale, or will be soon.
    Refresh(Arc<Entry>, VaryNames, Outcome),
    /// Nothing to answer from; by which fields answers under this key vary; and what may be validated, or stand in for
    /// an error.
    Miss(Miss, VaryNames, Option<Arc<Entry>>),
}

/// Whether a client takes an answer of this age.
fn is_young_enough(entry: &Entry, lookup: &Lookup, now: Duration) -> bool {
    lookup
        .max_age
        .is_none_or(|max_age| entry.age(now) <= Duration::from_secs(max_age))
}

/// Fresh, and fresh enough for this client (RFC 9111, 4.2 and 5.2.1).
pub(in crate::cache) fn is_fresh(entry: &Entry, lookup: &Lookup, now: Duration) -> bool {
    let ttl = entry.ttl(now);
    !ttl.is_zero()
        && is_young_enough(entry, lookup, now)
        && lookup
            .min_fresh
            .is_none_or(|min_fresh| ttl >= Duration::from_secs(min_fresh))
}

impl Shared {
    /// The position now: what a request that begins now stamps its answer with.
    pub(in crate::cache) fn now(&self) -> Position {
        self.positions.now()
    }

    pub(in crate::cache) fn is_alive(&self, entry: &Entry) -> bool {
        self.life(entry, self.clock.now()) != Life::Dead
    }

    pub(in crate::cache) fn life(&self, entry: &Entry, now: Duration) -> Life {
        // What a handler said was true at the earliest when it was called.
        let made = entry.made.saturating_sub(entry.took);
        self.positions.life(entry.stamp, entry.subject(), made, now)
    }

    /// Not purged, fresh, and fresh enough for this client (RFC 9111, 4 and 5.2.1).
    pub(in crate::cache) fn is_usable(
        &self,
        entry: &Entry,
        lookup: &Lookup,
        now: Duration,
    ) -> bool {
        is_fresh(entry, lookup, now) && self.life(entry, now) == Life::Fresh
    }

    /// Whether this very answer is still what a request would be given.
    pub(in crate::cache) fn is_current(&self, key: &CacheKey, entry: &Arc<Entry>) -> bool {
        let slot = self.store.peek(key);
        let is_stored = slot.is_some_and(|slot| {
            let mut variants = slot.variants.iter();
            variants.any(|variant| Arc::ptr_eq(variant, entry))
        });
        is_stored && self.is_usable(entry, &Lookup::default(), self.clock.now())
    }

    /// What the cache in this process has for a request.
    pub(in crate::cache) fn look(&self, key: &CacheKey, asked: Asked<'_>) -> Look {
        let Asked { lookup, now, .. } = asked;
        let Some(slot) = self.store.get(key) else {
            let miss = if lookup.refresh {
                Miss::Request
            } else {
                Miss::Uri
            };
            return Look::Miss(miss, VaryNames::default(), None);
        };
        let Some(entry) = slot.select(asked.headers, lookup.credentials) else {
            let miss = if lookup.refresh {
                Miss::Request
            } else {
                Miss::Vary
            };
            return Look::Miss(miss, slot.vary.clone(), None);
        };
        let life = self.life(entry, now);
        if !lookup.refresh && life != Life::Dead && is_fresh(entry, lookup, now) {
            if life == Life::Fresh {
                let beta = self.region(asked.region).early_refresh;
                if beta > 0.0 && early::is_due(entry, now, beta) {
                    return Look::Refresh(entry.clone(), slot.vary.clone(), Outcome::Hit);
                }
                return Look::Hit(entry.clone(), Outcome::Hit);
            }
            if !entry.stale.forbidden {
                return Look::Refresh(entry.clone(), slot.vary.clone(), Outcome::PurgedSoftly);
            }
        }
        // What was purged is not to come back, confirmed or not.
        if life == Life::Dead {
            let miss = if self.positions.is_purged(entry.stamp, entry.subject()) {
                Miss::Purged
            } else {
                Miss::Stale
            };
            return Look::Miss(miss, slot.vary.clone(), None);
        }
        let entry = entry.clone();
        if lookup.refresh {
            return Look::Miss(Miss::Request, slot.vary.clone(), Some(entry));
        }
        let staleness = entry.staleness(now);
        if lookup.min_fresh.is_none() && is_young_enough(&entry, lookup, now) {
            let taken = lookup.max_stale.map(Duration::from_secs);
            if !entry.stale.forbidden && taken.is_some_and(|taken| staleness <= taken) {
                return Look::Hit(entry, Outcome::Stale);
            }
            if staleness < entry.stale.while_revalidate {
                let outcome = Outcome::StaleWhileRevalidate;
                return Look::Refresh(entry, slot.vary.clone(), outcome);
            }
        }
        Look::Miss(Miss::Stale, slot.vary.clone(), Some(entry))
    }

    /// What a stored part gives of a request for a range.
    pub(in crate::cache) fn part<R: Body>(
        &self,
        key: &CacheKey,
        asked: Asked<'_>,
    ) -> Option<Response<ResponseBody<R>>> {
        let Asked {
            lookup,
            region,
            now,
            ..
        } = asked;
        if !lookup.range || lookup.refresh || !self.region(region).partial {
            return None;
        }
        let slot = self.store.get(&self.keys.of_part(key))?;
        let entry = slot.select(asked.headers, lookup.credentials)?;
        if !self.is_usable(entry, lookup, now) {
            return None;
        }
        let response = from_part(entry, asked)?;
        self.count_hit(entry, Outcome::Hit);
        Some(response)
    }

    /// Counts a hit and builds its answer.
    pub(in crate::cache) fn hit<R: Body>(
        &self,
        entry: &Entry,
        asked: Asked<'_>,
        outcome: Outcome,
    ) -> Response<ResponseBody<R>> {
        self.count_hit(entry, outcome);
        #[cfg(feature = "redis")]
        if let Some(l2) = &self.l2 {
            l2.served(asked.now);
        }
        self.answer(entry, asked, outcome)
    }

    /// The answer from a stored entry.
    pub(in crate::cache) fn answer<R: Body>(
        &self,
        entry: &Entry,
        asked: Asked<'_>,
        outcome: Outcome,
    ) -> Response<ResponseBody<R>> {
        answer(entry, asked, &self.clock, outcome)
    }
}
