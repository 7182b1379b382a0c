//! What [`CacheHandle::stats`](crate::cache::CacheHandle::stats) tells.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::cache::{
    figures::tally::{Amount, Sums},
    outcome::{Miss, Outcome},
    truth::TruthStats,
};

/// Figures of the cache since it was built. Counters are read one after the other while requests go on, so sums may be
/// a few requests apart.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct CacheStats {
    /// One row a region, in the order of names.
    pub regions: Vec<RegionStats>,
    /// One row a route and region, the busiest first; none of routes without a request.
    pub routes: Vec<RouteStats>,
    /// Requests of routes beyond [`CacheBuilder::max_series`](crate::cache::CacheBuilder::max_series): they are in the rows of the
    /// route `overflow`.
    pub dropped_series: u64,
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
    /// Stored answers that are fresh again because the handler answered 304, to a miss or to a fetch in the background.
    pub revalidated: u64,
    /// Requests whose handler failed without an answer (an error of the service, or a panic), and for which no stale answer stood in.
    pub errors: u64,
    /// Requests that wanted no call of the handler (`only-if-cached`) and for which nothing was stored: answered 504.
    pub only_if_cached: u64,
    /// Requests that waited for another's answer until the deadline, and then ran alone.
    pub wait_timeouts: u64,
    /// Fetches in the background, while a stale answer was given. They are neither hits nor misses.
    pub background_refreshes: u64,
    /// Of these, such as were left out because too many were under way.
    pub dropped_refreshes: u64,
    /// Paths and groups that successful unsafe requests made old (RFC 9111, 4.4; RFC 9875).
    pub invalidations: u64,
    /// Answers stored.
    pub stores: u64,
    /// Bytes of these, bodies and headers, since the start; what is held now is [`LevelStats::bytes`].
    pub stored_bytes: u64,
    /// Stored answers that were taken out of this process: purged ones when somebody asked for them (a purge itself looks at
    /// none), and those that the newest answer, or one to HEAD, showed to be no longer right. Not what was pushed out for
    /// room ([`LevelStats::evictions`]) or replaced.
    pub deletes: u64,
    /// As in [`Figures::handler_time_saved_us`].
    pub handler_time_saved_us: u64,
    /// `hits / (hits + misses)`; bypasses are outside, they could never have been hits. 0 before the first request.
    pub hit_ratio: f64,
    /// As in [`Figures::hit_kinds`].
    pub hit_kinds: BTreeMap<&'static str, u64>,
    /// As in [`Figures::miss_reasons`].
    pub miss_reasons: BTreeMap<&'static str, u64>,
    /// As in [`Figures::bypass_reasons`].
    pub bypass_reasons: BTreeMap<&'static str, u64>,
    /// Purges asked of this instance.
    pub purges: u64,
    /// Of these, soft ones.
    pub soft_purges: u64,
    /// Purges by what they named: `path`, `key`, `prefix`, `pattern`, `region`, `tag`, `group`, `all`; what never occurred is left out.
    pub purge_kinds: BTreeMap<&'static str, u64>,
    /// Times that an answer counted as purged because it would have taken too long to know whether a pattern looks like its path.
    pub undecided_patterns: u64,
    /// Answers that were meant to be stored and were not: the body failed, was larger than it said, or carried
    /// trailers.
    pub fills_failed: u64,
    /// Panics of the handler, or of a body of its, that went through the cache to the server; those in the background included.
    pub handler_panics: u64,
    /// Panics of background tasks that were caught.
    pub background_panics: u64,
    /// What the truth sampler found; `None` where it is off.
    pub truth: Option<TruthStats>,
}

/// What became of requests. Each is one hit, miss, bypass, error or `only_if_cached`; one that was given up before its answer
/// is none of them.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct Figures {
    /// As in [`CacheStats::hits`].
    pub hits: u64,
    /// As in [`CacheStats::misses`].
    pub misses: u64,
    /// As in [`CacheStats::bypasses`].
    pub bypasses: u64,
    /// As in [`CacheStats::errors`].
    pub errors: u64,
    /// As in [`CacheStats::only_if_cached`].
    pub only_if_cached: u64,
    /// As in [`CacheStats::coalesced`].
    pub coalesced: u64,
    /// As in [`CacheStats::stale`].
    pub stale: u64,
    /// As in [`CacheStats::revalidated`].
    pub revalidated: u64,
    /// As in [`CacheStats::stores`].
    pub stores: u64,
    /// As in [`CacheStats::stored_bytes`].
    pub stored_bytes: u64,
    /// As in [`CacheStats::deletes`].
    pub deletes: u64,
    /// As in [`CacheStats::hit_ratio`].
    pub hit_ratio: f64,
    /// Microseconds that the handler did not have to work: for each hit the time that it took for the head of the stored answer,
    /// once. Of answers from Redis it is not known, and counts as 0; so does one that stood in for an error. A 304 does not
    /// change what the answer is worth.
    pub handler_time_saved_us: u64,
    /// Hits by kind; kinds that never occurred are left out. `fresh`, `l2`, `collapsed` (another request's answer), `max-stale`
    /// (the client takes it stale), `stale-while-revalidate`, `soft-purge`, `stale-if-error`.
    pub hit_kinds: BTreeMap<&'static str, u64>,
    /// Misses by reason; reasons that never occurred are left out. `uri-miss` (nothing stored), `vary-miss` (for other requests
    /// alone), `stale`, `purged`, `request` (the client asked for a new one), `behind` (it has
    /// written what this instance has not heard of).
    pub miss_reasons: BTreeMap<&'static str, u64>,
    /// Bypasses by reason, as in `Cache-Status`, and `query-refused` of statements that are not cached; reasons that never
    /// occurred are left out.
    pub bypass_reasons: BTreeMap<&'static str, u64>,
    /// Hits that the truth sampler compared with what the handler says now.
    pub truth_checks: u64,
    /// Of these, such as were older than the truth, though nothing had purged them.
    pub stale_served_total: u64,
    /// Of these, such as no two calls of the handler agree on.
    pub unstable: u64,
}

impl Figures {
    pub(in crate::cache) fn of(sums: &Sums) -> Self {
        let total = |named: &BTreeMap<_, u64>| named.values().sum();
        let hit_kinds = occurred(sums.hits());
        let miss_reasons = occurred(sums.misses());
        let bypass_reasons = occurred(sums.bypasses());
        let (hits, misses) = (total(&hit_kinds), total(&miss_reasons));
        let stale = [
            Outcome::Stale,
            Outcome::StaleWhileRevalidate,
            Outcome::PurgedSoftly,
            Outcome::StaleIfError,
        ];
        Self {
            hits,
            misses,
            bypasses: total(&bypass_reasons),
            errors: sums.amount(Amount::Errors),
            only_if_cached: sums.amount(Amount::OnlyIfCached),
            coalesced: sums.of(Outcome::Collapsed(Miss::Uri)),
            stale: stale.into_iter().map(|outcome| sums.of(outcome)).sum(),
            revalidated: sums.amount(Amount::Revalidated),
            stores: sums.amount(Amount::Stores),
            stored_bytes: sums.amount(Amount::StoredBytes),
            deletes: sums.amount(Amount::Deletes),
            hit_ratio: ratio(hits, misses),
            handler_time_saved_us: sums.amount(Amount::SavedUs),
            hit_kinds,
            miss_reasons,
            bypass_reasons,
            truth_checks: sums.amount(Amount::TruthChecks),
            stale_served_total: sums.amount(Amount::StaleServed),
            unstable: sums.amount(Amount::Unstable),
        }
    }
}

fn occurred(counts: impl Iterator<Item = (&'static str, u64)>) -> BTreeMap<&'static str, u64> {
    counts.filter(|(_, count)| *count > 0).collect()
}

/// Figures of one region.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct RegionStats {
    /// The region's name.
    pub name: String,
    /// Of all its routes. In JSON they stand beside the name.
    #[serde(flatten)]
    pub figures: Figures,
}

/// Figures of one route in one region.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct RouteStats {
    /// The route's template, as [`CacheBuilder::route_label`](crate::cache::CacheBuilder::route_label) or axum names it; `unmatched`
    /// where nobody does, `overflow` beyond the bound, `query` for rows of queries.
    pub route: String,
    /// The region's name.
    pub region: String,
    /// In JSON they stand beside the names.
    #[serde(flatten)]
    pub figures: Figures,
}

/// Figures of the cache in this process.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct LevelStats {
    /// Requests answered from what this process held, stale answers included.
    pub hits: u64,
    /// Requests that were looked up and for which it held nothing to give: those that Redis or another request's answer served
    /// included.
    pub misses: u64,
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
    /// Answers that wait to be written; the bound is 1,024.
    pub queued_writes: u64,
    /// Bytes of these; the bound is 16 MiB.
    pub queued_bytes: u64,
    /// Writes that were given up because the queue was full or Redis was down.
    pub dropped_writes: u64,
    /// Purges of this instance that were not read back from Redis yet; while there is one, nothing is read from L2.
    pub pending_purges: u64,
    /// Times that the purges of all instances were read as a whole: at the start, and after each gap.
    pub table_reads: u64,
    /// Hits in this process at a time when others' purges could not be heard.
    pub unconfirmed_hits: u64,
    /// Why the last call to Redis failed, be it long ago; `None` where none ever did.
    pub last_error: Option<String>,
}

pub(in crate::cache) fn ratio(hits: u64, misses: u64) -> f64 {
    if hits + misses == 0 {
        0.0
    } else {
        hits as f64 / (hits + misses) as f64
    }
}
