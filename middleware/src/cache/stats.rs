//! Counters, and what [`CacheHandle::stats`](super::CacheHandle::stats) tells.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
};

use serde::Serialize;

use super::outcome::BypassReason;

/// Figures of the cache since it was built. Counters are read one after the other while requests go on, so sums may be
/// a few requests apart.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct CacheStats {
    /// One row a region, in the order of names.
    pub regions: Vec<RegionStats>,
    /// The cache in this process.
    pub l1: LevelStats,
    /// The cache in Redis; `None` without one.
    pub l2: Option<L2Stats>,
    /// Requests answered from the cache, L2 and coalesced ones included.
    pub hits: u64,
    /// Requests that went to the handler although their answer could have been stored.
    pub misses: u64,
    /// Requests that the cache stayed out of, because of the request or because of what the answer said.
    pub bypasses: u64,
    /// Hits that waited for another request's answer.
    pub coalesced: u64,
    /// Hits that were stale: the client takes them so, a new one is being fetched, or the handler failed.
    pub stale: u64,
    /// Misses that the handler answered with 304, so that the stored answer is fresh again.
    pub revalidated: u64,
    /// Fetches in the background, while a stale answer was given.
    pub background_refreshes: u64,
    /// Of these, such as were left out because too many were under way.
    pub dropped_refreshes: u64,
    /// Paths and groups that successful unsafe requests made old (RFC 9111, 4.4; RFC 9875).
    pub invalidations: u64,
    /// Answers stored.
    pub stores: u64,
    /// `hits / (hits + misses)`; bypasses are outside, they could never have been hits. 0 before the first request.
    pub hit_ratio: f64,
    /// Bypasses by reason, as in `Cache-Status`; reasons that never occurred are left out.
    pub bypass_reasons: BTreeMap<&'static str, u64>,
    /// Purges asked of this instance.
    pub purges: u64,
    /// Answers that were meant to be stored and were not: the body failed, was larger than it said, or carried
    /// trailers.
    pub fills_failed: u64,
    /// Panics of background tasks that were caught.
    pub background_panics: u64,
}

/// Figures of one region.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct RegionStats {
    /// The region's name.
    pub name: String,
    /// As in [`CacheStats::hits`].
    pub hits: u64,
    /// As in [`CacheStats::misses`].
    pub misses: u64,
    /// As in [`CacheStats::bypasses`].
    pub bypasses: u64,
    /// As in [`CacheStats::stores`].
    pub stores: u64,
    /// As in [`CacheStats::hit_ratio`].
    pub hit_ratio: f64,
}

/// Figures of the cache in this process.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct LevelStats {
    /// Keys that hold an answer; the variants of one key count once.
    pub entries: u64,
    /// Bytes held, keys and headers included.
    pub bytes: u64,
    /// The bound of `bytes`.
    pub capacity_bytes: u64,
    /// Keys that were pushed out for room while their answer was fresh; many say that the capacity is too small.
    pub evictions: u64,
}

/// Figures of the cache in Redis.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct L2Stats {
    /// `up`, or `down` while requests are kept away from Redis: it does not answer, or purges of other instances cannot be
    /// heard from it.
    pub state: &'static str,
    /// Look-ups that found a usable answer.
    pub hits: u64,
    /// Look-ups that found none; a stale, purged, foreign or damaged one counts as none.
    pub misses: u64,
    /// Look-ups, writes and purges that failed or took longer than the timeout.
    pub errors: u64,
    /// Writes that were given up because the queue was full or Redis was down.
    pub dropped_writes: u64,
    /// Purges of this instance that were not read back from Redis yet; while there is one, nothing is read from L2.
    pub pending_purges: u64,
    /// Times that the purges of all instances were read as a whole: at the start, and after each gap.
    pub table_reads: u64,
    /// Hits in this process at a time when others' purges could not be heard.
    pub unconfirmed_hits: u64,
}

pub(super) fn ratio(hits: u64, misses: u64) -> f64 {
    if hits + misses == 0 {
        0.0
    } else {
        hits as f64 / (hits + misses) as f64
    }
}

/// Stripes a counter is spread over, so that threads on the hit path do not fight for one cache line.
const STRIPES: usize = 8;

/// A counter that many threads add to and few read.
#[derive(Default)]
pub(super) struct Counter {
    stripes: [Stripe; STRIPES],
}

#[derive(Default)]
#[repr(align(64))]
struct Stripe(AtomicU64);

impl Counter {
    pub(super) fn add(&self) {
        self.stripes[crate::shard::thread_index() % STRIPES]
            .0
            .fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn sum(&self) -> u64 {
        self.stripes
            .iter()
            .map(|stripe| stripe.0.load(Ordering::Relaxed))
            .sum()
    }
}

/// Counters of one region.
#[derive(Default)]
pub(super) struct RegionCounters {
    pub(super) hits: Counter,
    pub(super) misses: Counter,
    pub(super) bypasses: Counter,
    pub(super) stores: AtomicU64,
}

/// Counters of the whole cache.
#[derive(Default)]
pub(super) struct Counters {
    pub(super) coalesced: AtomicU64,
    pub(super) stale: AtomicU64,
    pub(super) revalidated: AtomicU64,
    pub(super) refreshes: AtomicU64,
    pub(super) dropped_refreshes: AtomicU64,
    pub(super) invalidations: AtomicU64,
    pub(super) purges: AtomicU64,
    pub(super) fills_failed: AtomicU64,
    reasons: [AtomicU64; BypassReason::ALL.len()],
}

impl Counters {
    pub(super) fn bypass(&self, reason: BypassReason) {
        self.reasons[reason as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn reasons(&self) -> BTreeMap<&'static str, u64> {
        let counts = BypassReason::ALL.iter().map(|reason| {
            let count = self.reasons[*reason as usize].load(Ordering::Relaxed);
            (reason.as_str(), count)
        });
        counts.filter(|(_, count)| *count > 0).collect()
    }
}
