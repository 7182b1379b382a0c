//! Where each route's tallies are found: a table that is read without a lock and only grows, to a bound.

use std::{
    hash::{BuildHasher, RandomState},
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use super::{
    snapshot::RouteAllocation,
    tally::{Sums, Tally},
};
use crate::{
    route::{MAX_LABEL_BYTES, OVERFLOW},
    shard::thread_index,
};

/// Shards at most, so that threads seldom meet in one cache line. A tally takes 4.2 KiB and is made when a thread of its
/// shard first serves its route: 512 routes on 8 shards or more are 17 MiB at the very most.
pub(super) const MAX_SHARDS: usize = 8;
/// A larger bound of routes is lowered to this.
pub(super) const MAX_ROUTES: usize = 65_536;
/// One, and the `overflow` row.
pub(super) const MIN_ROUTES: usize = 2;

/// Names series, so that those of different layers are told apart.
static NEXT_SERIES: AtomicUsize = AtomicUsize::new(0);

pub(super) struct Routes {
    /// Open addressing, at most half full. A slot is set once and stays.
    slots: Box<[OnceLock<Box<Series>>]>,
    seed: u64,
    shards: usize,
    /// Held while a slot is set.
    admitting: Mutex<()>,
    count: AtomicUsize,
    max: usize,
    overflow: Box<Series>,
    dropped: AtomicU64,
}

/// A route's label in two parts, so that nobody has to put it together for each request.
#[derive(Clone, Copy)]
pub(super) struct Route<'a> {
    pub(super) name: &'a str,
    pub(super) suffix: &'static str,
}

impl Route<'_> {
    #[inline]
    fn is(self, label: &str) -> bool {
        if self.suffix.is_empty() {
            return label == self.name;
        }
        label.strip_suffix(self.suffix) == Some(self.name)
    }
}

/// Methods are constants, nearly always one and the same.
#[inline]
fn is_same(a: &'static str, b: &'static str) -> bool {
    std::ptr::eq(a, b) || a == b
}

impl<'a> From<&'a str> for Route<'a> {
    #[inline]
    fn from(name: &'a str) -> Self {
        Self { name, suffix: "" }
    }
}

struct Series {
    hash: u64,
    route: Box<str>,
    method: &'static str,
    id: usize,
    shards: Box<[OnceLock<Arc<Tally>>]>,
}

impl Series {
    fn new(hash: u64, route: Route<'_>, method: &'static str, shards: usize) -> Box<Self> {
        Box::new(Self {
            hash,
            route: [route.name, route.suffix].concat().into(),
            method,
            id: NEXT_SERIES.fetch_add(1, Ordering::Relaxed),
            shards: (0..shards).map(|_| OnceLock::new()).collect(),
        })
    }

    #[inline]
    fn tally(&self) -> Arc<Tally> {
        // A power of two.
        let shard = thread_index() & (self.shards.len() - 1);
        self.shards[shard]
            .get_or_init(|| Arc::new(Tally::new(self.id)))
            .clone()
    }
}

impl Routes {
    pub(super) fn new(max: usize) -> Self {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let shards = threads.next_power_of_two().min(MAX_SHARDS);
        let max = max.clamp(MIN_ROUTES, MAX_ROUTES);
        Self {
            slots: (0..(2 * max).next_power_of_two())
                .map(|_| OnceLock::new())
                .collect(),
            seed: RandomState::new().hash_one(max) | 1,
            shards,
            admitting: Mutex::new(()),
            count: AtomicUsize::new(0),
            max,
            overflow: Series::new(0, OVERFLOW.into(), "*", shards),
            dropped: AtomicU64::new(0),
        }
    }

    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// This thread's tally of a route. No lock and no allocation but for a thread's first request on a route.
    #[inline]
    pub(super) fn tally(&self, route: Route<'_>, method: &'static str) -> Arc<Tally> {
        let hash = self.hash(route, method);
        match self.find(hash, route, method) {
            Ok(series) => series.tally(),
            Err(_) => self.admit(hash, route, method).tally(),
        }
    }

    /// The series, or the free slot where it would stand.
    #[inline]
    fn find(&self, hash: u64, route: Route<'_>, method: &'static str) -> Result<&Series, usize> {
        let mask = self.slots.len() - 1;
        let mut at = hash as usize & mask;
        loop {
            match self.slots[at].get() {
                None => return Err(at),
                Some(series)
                    if series.hash == hash
                        && is_same(series.method, method)
                        && route.is(&series.route) =>
                {
                    return Ok(series);
                }
                Some(_) => at = (at + 1) & mask,
            }
        }
    }

    #[cold]
    fn admit(&self, hash: u64, route: Route<'_>, method: &'static str) -> &Series {
        // The overflow row is one of `max`.
        let is_full = || self.count.load(Ordering::Relaxed) + 1 >= self.max;
        if !is_full() && route.name.len() <= MAX_LABEL_BYTES {
            let _admitting = self
                .admitting
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            // Somebody may have been here before.
            match self.find(hash, route, method) {
                Ok(series) => return series,
                Err(at) if !is_full() => {
                    self.count.fetch_add(1, Ordering::Relaxed);
                    let shards = self.shards;
                    return self.slots[at].get_or_init(|| Series::new(hash, route, method, shards));
                }
                Err(_) => {}
            }
        }
        self.dropped.fetch_add(1, Ordering::Relaxed);
        &self.overflow
    }

    /// Seeded, so that nobody can choose labels that meet. A word at a time, as routes are short.
    #[inline]
    fn hash(&self, route: Route<'_>, method: &str) -> u64 {
        const K: u64 = 0x9e37_79b9_7f4a_7c15;
        let bytes = route.name.as_bytes();
        let lengths = (bytes.len() << 16) ^ (route.suffix.len() << 8) ^ method.len();
        let first = u64::from(method.as_bytes().first().copied().unwrap_or(0)) << 32;
        let mut hash = self.seed ^ lengths as u64 ^ first;
        let mut add = |word: u64| hash = (hash.rotate_left(5) ^ word).wrapping_mul(K);
        let word = |bytes: &[u8; 8]| u64::from_le_bytes(*bytes);
        match bytes.last_chunk() {
            Some(last) => {
                bytes
                    .as_chunks()
                    .0
                    .iter()
                    .for_each(|chunk| add(word(chunk)));
                // Overlaps what was before.
                add(word(last));
            }
            None => bytes.iter().for_each(|byte| add(u64::from(*byte))),
        }
        let folded = u128::from(hash) * u128::from(K);
        (folded >> 64) as u64 ^ folded as u64
    }

    fn series(&self) -> impl Iterator<Item = &Series> {
        let all = self.slots.iter().filter_map(OnceLock::get);
        all.chain([&self.overflow]).map(|series| &**series)
    }

    fn rows(&self) -> impl Iterator<Item = (&Series, Sums)> {
        self.series().filter_map(|series| {
            let mut sums = Sums::default();
            let tallies = series.shards.iter().filter_map(OnceLock::get);
            tallies.for_each(|tally| sums.add(tally));
            let is_used = sums.requests > 0 || sums.bytes > 0;
            is_used.then_some((series, sums))
        })
    }

    pub(super) fn snapshot(&self) -> Vec<RouteAllocation> {
        let mut rows: Vec<_> = self
            .rows()
            .map(|(series, sums)| RouteAllocation {
                route: series.route.to_string(),
                method: series.method.to_owned(),
                requests: sums.requests,
                bytes_allocated: sums.bytes,
                allocations: sums.allocations,
                bytes_per_request: sums.bytes as f64 / sums.requests.max(1) as f64,
                bytes_p50: sums.bytes_at(0.5),
                bytes_p99: sums.bytes_at(0.99),
                allocations_p50: sums.allocations_at(0.5),
                allocations_p99: sums.allocations_at(0.99),
                net_bytes: sums.net,
                handed_out_bytes: sums.handed_out,
            })
            .collect();
        rows.sort_by(|a, b| {
            b.bytes_allocated
                .cmp(&a.bytes_allocated)
                .then_with(|| a.route.cmp(&b.route))
        });
        rows
    }

    /// What each route holds by its own account, by the name of its series: where the leak verdict looks for suspects.
    pub(super) fn kept(&self) -> Vec<(usize, i64)> {
        self.series()
            .map(|series| {
                let tallies = series.shards.iter().filter_map(OnceLock::get);
                (series.id, tallies.map(|tally| tally.kept()).sum())
            })
            .collect()
    }

    /// Method and route of a series.
    pub(super) fn name(&self, id: usize) -> Option<String> {
        let series = self.series().find(|series| series.id == id)?;
        Some(format!("{} {}", series.method, series.route))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::{allocator::Reading, tally::Account};

    #[test]
    fn the_bound_of_a_tally_is_what_is_said() {
        assert!(size_of::<Tally>() <= 4_352, "{}", size_of::<Tally>());
        assert!(MAX_SHARDS * 512 * size_of::<Tally>() <= 17 << 20);
    }

    #[test]
    fn each_method_of_a_route_has_its_own_row_and_threads_find_the_same_one() {
        let routes = Routes::new(64);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for n in 0..1_000_u64 {
                        let route = format!("/route/{}", n % 20);
                        let method = if n % 2 == 0 { "GET" } else { "POST" };
                        let spent = Reading {
                            allocated: 1,
                            ..Reading::default()
                        };
                        routes
                            .tally(route.as_str().into(), method)
                            .request(&Account {
                                spent,
                                handed_out: 0,
                            });
                    }
                });
            }
        });
        let rows = routes.snapshot();
        assert_eq!(rows.len(), 20);
        assert!(rows.iter().all(|row| row.requests == 400), "{rows:?}");
        assert_eq!(routes.dropped(), 0);
    }

    #[test]
    fn a_hundred_thousand_routes_fill_no_more_than_the_bound() {
        let routes = Routes::new(100);
        for n in 0..100_000 {
            routes
                .tally(format!("/{n}").as_str().into(), "GET")
                .request(&Account::default());
        }
        assert_eq!(routes.snapshot().len(), 100);
        assert_eq!(routes.dropped(), 100_000 - 99);
        assert_eq!(Routes::new(usize::MAX).max, MAX_ROUTES);
    }
}
