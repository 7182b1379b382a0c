//! The truth sampler: is what is served still what the handler says?
//!
//! A sampled hit asks the handler again in the background, with the hit's own request. One difference is only a
//! suspicion: a purge may be on its way, or no two answers of the route are alike. A later hit on the same answer asks once
//! more, and only where both times the handler said the same, and the answer is still there and not purged, something
//! stale was served.

pub(super) mod recompute;
pub(super) mod suspects;

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use http::{Request, Response, request::Parts};
use http_body::Body;
use serde::Serialize;
use tower_service::Service;

use crate::cache::{
    entry::Entry,
    figures::stats::Figures,
    figures::tally::Amount,
    future::Held,
    hit::early,
    key::CacheKey,
    key::asked::{asked_host, asked_uri},
    miss::within::Within,
    policy::{Lookup, conditional},
    shared::Shared,
    tasks::{Slot, Throttle},
    truth::recompute::{Digest, recompute},
    truth::suspects::{Known, Suspect, Suspects},
};

/// Recomputations at one time; past that hits are not sampled.
pub(in crate::cache) const MAX_RECOMPUTATIONS: usize = 8;
/// Findings that are kept; the oldest goes.
const MAX_FINDINGS: usize = 16;
/// In the extensions of a request that the truth sampler sends: nobody waits for its answer, and what the handler counts
/// or changes for visitors it may leave out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recomputation;

/// What the truth sampler found; see [`CacheBuilder::sample_truth`](crate::cache::CacheBuilder::sample_truth).
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct TruthStats {
    /// The share of fresh hits that is sampled.
    pub share: f64,
    /// Hits whose answer was compared with the handler's. By region and route they stand in
    /// [`Figures`](crate::cache::Figures), as do the next two.
    pub checks: u64,
    /// Sampled hits that were older than the truth: twice the handler said the same, and something else than was served,
    /// and no purge had come. Divided by `share` an estimate of all that were.
    pub stale_served_total: u64,
    /// Sampled hits of routes whose answers differ each time, so that nothing can be said of them.
    pub unstable: u64,
    /// Recomputations that cannot be compared: the handler failed, its answer was not one to be stored, larger than its
    /// region stores, or took longer than 30 s. One that panicked is in
    /// [`CacheStats::background_panics`](crate::cache::CacheStats::background_panics).
    pub inconclusive: u64,
    /// Recomputations whose answer was purged, replaced or stale by the time that it could be compared.
    pub overtaken: u64,
    /// Sampled hits that were left out: 8 recomputations were under way, or 64 answers waited for their second one.
    pub dropped: u64,
    /// The last 16 hits of `stale_served_total`, the newest first.
    pub findings: Vec<StaleFinding>,
}

/// A stale answer that was served.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct StaleFinding {
    /// Its region.
    pub region: String,
    /// Its route, as in [`RouteStats::route`](crate::cache::RouteStats::route).
    pub route: String,
    /// Host and path as the client asked for them, without the query.
    pub key: String,
    /// Seconds since the answer was made.
    pub age_s: u64,
    /// When it was found: wall time, milliseconds since 1970-01-01 UTC.
    pub unix_ms: u64,
}

/// A hit that may be sampled.
pub(in crate::cache) struct Sample {
    key: CacheKey,
    entry: Arc<Entry>,
    lookup: Lookup,
    region: usize,
}

impl Sample {
    pub(in crate::cache) fn new(
        key: CacheKey,
        entry: Arc<Entry>,
        lookup: Lookup,
        region: usize,
    ) -> Self {
        Self {
            key,
            entry,
            lookup,
            region,
        }
    }

    /// Whether it was selected by the very values of its request: one in another's language, or equal in meaning only, the
    /// handler might give otherwise.
    fn is_of_its_own(&self, parts: &Parts) -> bool {
        let values = self.entry.vary.values(&parts.headers);
        values.is_some_and(|values| values == self.entry.values)
    }
}

/// Settings, suspicions and findings.
pub(in crate::cache) struct Truth {
    share: f64,
    suspects: Suspects,
    findings: Mutex<VecDeque<StaleFinding>>,
    inconclusive: AtomicU64,
    overtaken: AtomicU64,
    warning: Throttle,
}

impl Truth {
    /// `None` where nothing is to be sampled.
    pub(in crate::cache) fn new(share: f64) -> Option<Self> {
        (share > 0.0).then(|| Self {
            share,
            suspects: Suspects::default(),
            findings: Mutex::default(),
            inconclusive: AtomicU64::new(0),
            overtaken: AtomicU64::new(0),
            warning: Throttle::default(),
        })
    }

    /// A fresh answer has been given. `held` is what its request leaves: itself, and a service that is ready.
    pub(in crate::cache) fn sample<S, B, R>(
        &self,
        shared: &Arc<Shared>,
        sample: Sample,
        held: Held<S, B>,
    ) where
        S: Service<Request<B>, Response = Response<R>> + Send + 'static,
        S::Future: Send,
        B: Send + 'static,
        R: Body + Send + 'static,
        R::Error: Send,
    {
        // HEAD brings no body to compare.
        if sample.lookup.head {
            return;
        }
        let now = shared.clock.now();
        let suspect = match self.suspects.known(&sample.entry, now) {
            Known::Nothing if early::uniform() > self.share => return sample.key.spare(),
            Known::Young => return sample.key.spare(),
            Known::Nothing => None,
            Known::Ripe(suspect) => Some(suspect),
        };
        let slot = sample
            .is_of_its_own(&held.parts)
            .then(|| Slot::take(shared, |shared| &shared.recomputations));
        let Some(slot) = slot.flatten() else {
            if let Some(suspect) = suspect {
                self.suspects.add(suspect, now);
            }
            return;
        };
        let shared = shared.clone();
        slot.run(async move {
            let key = readable_key(&held.parts);
            let request = recomputation(held.parts, held.body, &shared);
            let mut inner = held.inner;
            let region = shared.region(sample.region);
            let unix_ms = shared.clock.unix_ms();
            let said = recompute(inner.call(request), &sample.lookup, region, unix_ms).await;
            if let Some(truth) = &shared.truth {
                truth.compare(&shared, &sample, suspect, said, key);
            }
        });
    }

    /// What the handler `said` beside what was served, and what it said the first time.
    fn compare(
        &self,
        shared: &Shared,
        sample: &Sample,
        suspect: Option<Suspect>,
        said: Option<Digest>,
        key: String,
    ) {
        let entry = &sample.entry;
        let Some(said) = said else {
            self.inconclusive.fetch_add(1, Ordering::Relaxed);
            return;
        };
        // A purge that has come by now is none that was lost; a new answer shows that somebody has asked already.
        if !shared.is_current(&sample.key, entry) {
            self.overtaken.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let series = entry.credit.series;
        let is_true = said == Digest::of(entry.status, &entry.headers, &entry.body);
        match suspect {
            None if is_true => shared.add(series, Amount::TruthChecks, 1),
            None => {
                let (entry, at) = (Arc::downgrade(entry), shared.clock.now());
                self.suspects.add(Suspect { entry, said, at }, at);
            }
            Some(first) => {
                shared.add(series, Amount::TruthChecks, 1);
                if !is_true && first.said == said {
                    shared.add(series, Amount::StaleServed, 1);
                    self.find(shared, sample, key);
                } else {
                    shared.add(series, Amount::Unstable, 1);
                }
            }
        }
    }

    fn find(&self, shared: &Shared, sample: &Sample, key: String) {
        let now = shared.clock.now();
        let series = sample.entry.credit.series;
        let route = shared.series.row(series).map(|row| row.route.to_string());
        let finding = StaleFinding {
            region: shared.region(sample.region).name().to_owned(),
            route: route.unwrap_or_default(),
            key,
            age_s: sample.entry.age(now).as_secs(),
            unix_ms: shared.clock.unix_ms(),
        };
        if self.warning.is_due(now) {
            tracing::warn!(
                target: "pitcrew::cache",
                region = finding.region,
                route = finding.route,
                age_s = finding.age_s,
                "a stale answer was served: what it shows has changed, and no purge came"
            );
        }
        let mut findings = lock(&self.findings);
        findings.truncate(MAX_FINDINGS - 1);
        findings.push_front(finding);
    }

    /// `total` is over all regions; `dropped` are the hits for which there was no room.
    pub(in crate::cache) fn stats(&self, total: &Figures, dropped: u64) -> TruthStats {
        TruthStats {
            share: self.share,
            checks: total.truth_checks,
            stale_served_total: total.stale_served_total,
            unstable: total.unstable,
            inconclusive: self.inconclusive.load(Ordering::Relaxed),
            overtaken: self.overtaken.load(Ordering::Relaxed),
            dropped: dropped + self.suspects.dropped(),
            findings: lock(&self.findings).iter().cloned().collect(),
        }
    }
}

/// The hit's own request, as for a whole answer that nobody has yet.
fn recomputation<B>(mut parts: Parts, body: B, shared: &Arc<Shared>) -> Request<B> {
    conditional::condition(&mut parts.headers, None);
    // Where the cache stands twice, the inner one would answer.
    Within::enter(&mut parts, shared);
    parts.extensions.insert(Recomputation);
    Request::from_parts(parts, body)
}

fn readable_key(parts: &Parts) -> String {
    let host = asked_host(parts).unwrap_or_default();
    format!("{host}{}", asked_uri(parts).path())
}

/// Nothing is left half done in there.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
