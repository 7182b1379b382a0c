//! What becomes of requests is counted and told here, and added up when somebody asks.

use std::{
    cmp::Reverse,
    collections::BTreeMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use tracing::{Level, level_filters::LevelFilter};

use crate::cache::{
    entry::Entry,
    figures::series::Series,
    figures::stats::{CacheStats, Figures, LevelStats, RegionStats, RouteStats},
    figures::tally::{Amount, Sums},
    outcome::Outcome,
    shared::Shared,
    tasks::Throttle,
};
use crate::route::OVERFLOW;

/// The label of queries, which have no route.
#[cfg(feature = "query")]
const QUERY: &str = "query";

impl Shared {
    /// A request is answered from `entry`.
    pub(in crate::cache) fn count_hit(&self, entry: &Entry, outcome: Outcome) {
        let credit = entry.credit;
        // Whoever gets a stale answer for an error has had the handler called.
        let saved_us = match outcome {
            Outcome::StaleIfError => 0,
            _ => credit.saves_us,
        };
        if let Some(row) = self.series.row(credit.series) {
            row.tally.hit(outcome, saved_us);
        }
        self.tell(credit.series, outcome);
    }

    /// What else became of a request.
    pub(in crate::cache) fn count(&self, series: Series, outcome: Outcome) {
        if let Some(row) = self.series.row(series) {
            row.tally.add(outcome);
        }
        self.tell(series, outcome);
    }

    /// Runs what is the handler's, and counts a panic of it; in a series where the request would else be counted nowhere. It is
    /// not caught: what becomes of it is the server's affair.
    pub(in crate::cache) fn watching<T>(
        &self,
        series: Option<Series>,
        work: impl FnOnce() -> T,
    ) -> T {
        let _watch = PanicWatch {
            shared: self,
            series,
            was_panicking: std::thread::panicking(),
        };
        work()
    }

    pub(in crate::cache) fn count_error(&self, series: Series) {
        self.add(series, Amount::Errors, 1);
        if tells() {
            self.event(series, "error", "");
        }
    }

    pub(in crate::cache) fn add(&self, series: Series, amount: Amount, by: u64) {
        if let Some(row) = self.series.row(series) {
            row.tally.amount(amount, by);
        }
    }

    #[cfg(feature = "query")]
    pub(in crate::cache) fn query_series(&self, region: usize) -> Series {
        self.series.named(region, QUERY)
    }

    fn tell(&self, series: Series, outcome: Outcome) {
        if tells() {
            let (outcome, reason) = names(outcome);
            self.event(series, outcome, reason);
        }
    }

    /// Never a path, a query, a key or a field: they may hold secrets, and a log is read by others than the app's data is.
    #[cold]
    #[inline(never)]
    fn event(&self, series: Series, outcome: &'static str, reason: &'static str) {
        let Some(row) = self.series.row(series) else {
            return;
        };
        let (region, route) = (self.region(row.region).name(), &*row.route);
        tracing::debug!(target: "pitcrew::cache", region, route, outcome, reason, "request");
    }

    pub(in crate::cache) fn stats(&self) -> CacheStats {
        let mut by_region: Vec<Sums> = self.region_names().map(|_| Sums::default()).collect();
        let mut routes = Vec::new();
        let mut dropped_series = 0;
        for row in self.series.rows() {
            let mut sums = Sums::default();
            sums.add(&row.tally);
            by_region[row.region].add_all(&sums);
            let requests = sums.requests();
            if *row.route == *OVERFLOW {
                dropped_series += requests;
            }
            if requests > 0 {
                let route = RouteStats {
                    route: row.route.to_string(),
                    region: self.region(row.region).name().to_owned(),
                    figures: Figures::of(&sums),
                };
                routes.push((requests, route));
            }
        }
        routes.sort_by(|(a, left), (b, right)| {
            let names = |row: &RouteStats| (row.route.clone(), row.region.clone());
            (Reverse(a), names(left)).cmp(&(Reverse(b), names(right)))
        });
        let mut all = Sums::default();
        by_region.iter().for_each(|sums| all.add_all(sums));
        let regions = self.region_names().zip(&by_region);
        let regions = regions.map(|(name, sums)| RegionStats {
            name: name.to_owned(),
            figures: Figures::of(sums),
        });
        let counters = &self.counters;
        let total = Figures::of(&all);
        let truth = self.truth.as_ref();
        let truth = truth.map(|truth| truth.stats(&total, self.recomputations.dropped()));
        CacheStats {
            regions: regions.collect(),
            routes: routes.into_iter().map(|(_, route)| route).collect(),
            dropped_series,
            l1: self.l1_stats(&total),
            #[cfg(feature = "redis")]
            l2: self.l2.as_ref().map(|l2| l2.stats()),
            #[cfg(not(feature = "redis"))]
            l2: None,
            hits: total.hits,
            misses: total.misses,
            bypasses: total.bypasses,
            coalesced: total.coalesced,
            stale: total.stale,
            revalidated: total.revalidated,
            errors: total.errors,
            only_if_cached: total.only_if_cached,
            wait_timeouts: load(&counters.wait_timeouts),
            background_refreshes: self.refreshes.begun(),
            dropped_refreshes: self.refreshes.dropped(),
            invalidations: load(&counters.invalidations),
            stores: total.stores,
            stored_bytes: total.stored_bytes,
            deletes: total.deletes,
            handler_time_saved_us: total.handler_time_saved_us,
            hit_ratio: total.hit_ratio,
            hit_kinds: total.hit_kinds,
            miss_reasons: total.miss_reasons,
            bypass_reasons: total.bypass_reasons,
            purges: load(&counters.purges),
            soft_purges: load(&counters.soft_purges),
            purge_kinds: lock(&counters.purge_kinds).clone(),
            undecided_patterns: self.positions.undecided_patterns(),
            fills_failed: load(&counters.fills_failed),
            handler_panics: load(&counters.handler_panics),
            background_panics: load(&counters.panics) + self.l2_panics(),
            truth,
        }
    }

    fn l1_stats(&self, total: &Figures) -> LevelStats {
        let elsewhere = ["l2", "collapsed"];
        let elsewhere = elsewhere.map(|kind| total.hit_kinds.get(kind).copied());
        let elsewhere: u64 = elsewhere.into_iter().flatten().sum();
        LevelStats {
            hits: total.hits - elsewhere,
            misses: total.misses + elsewhere,
            entries: self.store.entries(),
            bytes: self.store.bytes(),
            capacity_bytes: self.capacity_bytes,
            evictions: self.store.evictions(),
        }
    }

    #[cfg_attr(not(feature = "redis"), expect(clippy::unused_self))]
    fn l2_panics(&self) -> u64 {
        #[cfg(feature = "redis")]
        if let Some(l2) = &self.l2 {
            return l2.panics();
        }
        0
    }
}

/// Counts a panic that goes by.
struct PanicWatch<'a> {
    shared: &'a Shared,
    series: Option<Series>,
    was_panicking: bool,
}

impl Drop for PanicWatch<'_> {
    fn drop(&mut self) {
        if self.was_panicking || !std::thread::panicking() {
            return;
        }
        let panics = &self.shared.counters.handler_panics;
        panics.fetch_add(1, Ordering::Relaxed);
        if let Some(series) = self.series {
            self.shared.count_error(series);
        }
    }
}

/// Counters of the whole cache.
#[derive(Default)]
pub(in crate::cache) struct Counters {
    pub(in crate::cache) wait_timeouts: AtomicU64,
    pub(in crate::cache) invalidations: AtomicU64,
    pub(in crate::cache) fills_failed: AtomicU64,
    pub(in crate::cache) handler_panics: AtomicU64,
    pub(in crate::cache) panics: AtomicU64,
    pub(in crate::cache) panic_warning: Throttle,
    purges: AtomicU64,
    soft_purges: AtomicU64,
    /// As many as there are kinds.
    purge_kinds: Mutex<BTreeMap<&'static str, u64>>,
}

impl Counters {
    pub(in crate::cache) fn purge(&self, is_soft: bool, kind: &'static str) {
        self.purges.fetch_add(1, Ordering::Relaxed);
        self.soft_purges
            .fetch_add(is_soft.into(), Ordering::Relaxed);
        *lock(&self.purge_kinds).entry(kind).or_default() += 1;
    }
}

/// Whether anybody may want an event: one load and a comparison, so that a hit pays nothing for events that are off.
fn tells() -> bool {
    Level::DEBUG <= LevelFilter::current()
}

/// What an event calls an outcome, and why it came to that.
fn names(outcome: Outcome) -> (&'static str, &'static str) {
    match outcome {
        Outcome::Hit => ("hit", "fresh"),
        Outcome::L2 => ("hit", "l2"),
        Outcome::Collapsed(_) => ("hit", "collapsed"),
        Outcome::Stale => ("hit", "max-stale"),
        Outcome::StaleWhileRevalidate => ("hit", "stale-while-revalidate"),
        Outcome::PurgedSoftly => ("hit", "soft-purge"),
        Outcome::StaleIfError => ("hit", "stale-if-error"),
        Outcome::Revalidated(miss) => ("revalidated", miss.label()),
        Outcome::Stored(miss) => ("stored", miss.label()),
        Outcome::Streaming(miss) => ("streaming", miss.label()),
        Outcome::Miss(miss) => ("miss", miss.label()),
        Outcome::Unstorable(_, reason) => ("unstorable", reason.as_str()),
        Outcome::Bypass(reason) => ("bypass", reason.as_str()),
        Outcome::OnlyIfCached => ("only-if-cached", ""),
    }
}

fn load(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

/// A map of counts that a panic left half written is at most one off.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
