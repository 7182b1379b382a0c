//! Where requests are counted: one series for each route of each region, in bounded number.
//!
//! A route's label is looked up on the way to the handler alone. A stored answer keeps its series, so a hit on it is
//! counted without a look at the request, a lock or an allocation.

use std::{
    collections::HashMap,
    sync::{OnceLock, PoisonError, RwLock},
};

use http::request::Parts;

use crate::cache::figures::tally::Tally;
use crate::route::{Labeler, OVERFLOW};

/// A series, by its number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::cache) struct Series(u32);

/// What is counted of one route in one region.
pub(in crate::cache) struct Row {
    pub(in crate::cache) region: usize,
    pub(in crate::cache) route: Box<str>,
    pub(in crate::cache) tally: Tally,
}

/// All series of one cache. The first ones, a region each, are for routes beyond the bound.
pub(in crate::cache) struct AllSeries {
    labeler: Labeler,
    rows: Box<[OnceLock<Box<Row>>]>,
    known: RwLock<Known>,
}

struct Known {
    /// By region.
    routes: Vec<HashMap<Box<str>, Series>>,
    next: usize,
}

impl AllSeries {
    /// `max_series` has room for one route more than there are regions at least.
    pub(in crate::cache) fn new(labeler: Labeler, regions: usize, max_series: usize) -> Self {
        let all = Self {
            labeler,
            rows: (0..max_series).map(|_| OnceLock::new()).collect(),
            known: RwLock::new(Known {
                routes: (0..regions).map(|_| HashMap::new()).collect(),
                next: regions,
            }),
        };
        for region in 0..regions {
            all.make(region, region, OVERFLOW);
        }
        all
    }

    /// The series of a request that reaches the layer.
    pub(in crate::cache) fn of(&self, region: usize, parts: &Parts) -> Series {
        self.named(region, self.labeler.label(parts).as_str())
    }

    pub(in crate::cache) fn named(&self, region: usize, route: &str) -> Series {
        let overflow = Series(number(region));
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(series) = known.routes[region].get(route) {
            return *series;
        }
        if route == OVERFLOW || known.next >= self.rows.len() {
            return overflow;
        }
        drop(known);
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(series) = known.routes[region].get(route) {
            return *series;
        }
        if known.next >= self.rows.len() {
            return overflow;
        }
        let series = Series(number(known.next));
        self.make(known.next, region, route);
        known.next += 1;
        known.routes[region].insert(route.into(), series);
        series
    }

    fn make(&self, at: usize, region: usize, route: &str) {
        self.rows[at].get_or_init(|| {
            Box::new(Row {
                region,
                route: route.into(),
                tally: Tally::default(),
            })
        });
    }

    /// `None` of a series of another cache alone.
    pub(in crate::cache) fn row(&self, series: Series) -> Option<&Row> {
        self.rows.get(series.0 as usize)?.get().map(Box::as_ref)
    }

    pub(in crate::cache) fn rows(&self) -> impl Iterator<Item = &Row> {
        self.rows
            .iter()
            .filter_map(|row| row.get().map(Box::as_ref))
    }
}

/// Nobody has 2^32 series; who did would count in the last one.
fn number(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(all: &AllSeries, series: Series) -> (usize, &str) {
        let row = all.row(series).unwrap();
        (row.region, &*row.route)
    }

    #[test]
    fn one_route_in_two_regions_is_two_series_and_one_twice_is_one() {
        let all = AllSeries::new(Labeler::default(), 2, 16);
        let (here, there) = (all.named(0, "/a"), all.named(1, "/a"));
        assert_eq!(route(&all, here), (0, "/a"));
        assert_eq!(route(&all, there), (1, "/a"));
        assert_eq!(all.named(0, "/a"), here);
        assert_eq!(all.rows().count(), 4, "with one a region for overflow");
    }

    #[test]
    fn what_comes_after_the_bound_overflows_within_its_region() {
        let all = AllSeries::new(Labeler::default(), 2, 5);
        let first = all.named(1, "/0");
        for n in 0..100_000 {
            all.named(n % 2, &format!("/{n}"));
        }
        assert_eq!(all.rows().count(), 5);
        assert_eq!(all.named(1, "/0"), first);
        assert_eq!(route(&all, all.named(0, "/99999")), (0, OVERFLOW));
        assert_eq!(route(&all, all.named(1, "/99998")), (1, OVERFLOW));
    }

    #[test]
    fn threads_that_meet_a_route_at_once_agree_on_its_series() {
        let all = AllSeries::new(Labeler::default(), 1, 64);
        let found = std::thread::scope(|scope| {
            let all = &all;
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(move || {
                        let series = (0..32).map(|n| all.named(0, &format!("/{n}")));
                        series.collect::<Vec<_>>()
                    })
                })
                .collect();
            let threads = threads.into_iter().map(|thread| thread.join().unwrap());
            threads.collect::<Vec<_>>()
        });
        assert!(found.iter().all(|series| *series == found[0]));
        assert_eq!(all.rows().count(), 33);
    }
}
