//! One snapshot of several instances.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
};

use super::{
    class::StatusClass,
    detail::{Detail, Drops, SeriesDetail},
    exemplar::{Exemplar, MAX_EXEMPLARS},
    figures::Sums,
    ledger::CodeSums,
    snapshot::{Hour, LatencySnapshot, Rates, SeriesSnapshot},
    window::Window,
    wire::MAX_WIRE_HOURS,
};

impl LatencySnapshot {
    /// What both tell, as if one instance had seen all requests: counts and rates are added, histograms merged without a loss, so
    /// that a percentile is that of all requests, true to the width of a bucket. A window covers what the longer of both does.
    #[must_use]
    pub fn merge(&self, other: &Self) -> Self {
        let mut series: BTreeMap<(String, String, StatusClass), (Rates, SeriesDetail)> =
            BTreeMap::new();
        for row in self.series.iter().chain(&other.series) {
            let key = (row.route.clone(), row.method.clone(), row.class());
            let (rates, detail) = series.entry(key).or_default();
            *rates = rates.add(row.rates);
            *detail = detail.merge(&row.detail);
        }
        let (ours, theirs) = (&self.detail, &other.detail);
        let covered_s: [f64; Window::ALL.len()] =
            std::array::from_fn(|at| ours.covered_s[at].max(theirs.covered_s[at]));
        let rows = series
            .into_iter()
            .map(|((route, method, class), (rates, detail))| {
                let detail = SeriesDetail {
                    class: Some(class),
                    covered_s,
                    ..detail
                };
                SeriesSnapshot::new(route, method, class, rates, Arc::new(detail))
            });
        let mut in_flight = ours.in_flight.clone();
        for (route, count) in &theirs.in_flight {
            let sum = in_flight.entry(route.clone()).or_default();
            *sum = sum.saturating_add(*count);
        }
        let mut exemplars = ours.exemplars.clone();
        for (route, told) in &theirs.exemplars {
            let mut known = ours
                .exemplars
                .get(route)
                .map_or_else(Default::default, |told| told.all());
            for (known, more) in known.iter_mut().zip(told.all()) {
                let bound = known.len().max(more.len());
                known.extend(more);
                slowest(known, bound);
            }
            exemplars.insert(route.clone(), Arc::new(known.into()));
        }
        let detail = Detail {
            covered_s,
            in_flight,
            exemplars,
            ..Detail::default()
        };
        Self::new(
            self.uptime_s.max(other.uptime_s),
            self.taken_unix_ms.max(other.taken_unix_ms),
            rows.collect(),
            detail,
        )
        .with_drops(self.drops().add(other.drops()))
    }
}

/// The slowest first, no more than `bound`.
pub(super) fn slowest(exemplars: &mut Vec<Exemplar>, bound: usize) {
    exemplars.sort_by(|a, b| b.took_ms.total_cmp(&a.took_ms));
    exemplars.truncate(bound.min(MAX_EXEMPLARS));
}

impl Drops {
    fn add(self, other: Self) -> Self {
        Self {
            room: self.room.saturating_add(other.room),
            coarse_times: self.coarse_times.saturating_add(other.coarse_times),
            coarse_slots: self.coarse_slots.saturating_add(other.coarse_slots),
            exemplars: self.exemplars.saturating_add(other.exemplars),
            panics: self.panics.saturating_add(other.panics),
            memory_bytes: self.memory_bytes.saturating_add(other.memory_bytes),
        }
    }
}

impl Rates {
    fn add(self, other: Self) -> Self {
        Self {
            one_second: self.one_second + other.one_second,
            one_minute: self.one_minute + other.one_minute,
            five_minutes: self.five_minutes + other.five_minutes,
        }
    }
}

impl SeriesDetail {
    fn merge(&self, other: &Self) -> Self {
        let both = |ours: &[Sums; 4], theirs: &[Sums; 4]| -> [Sums; 4] {
            std::array::from_fn(|at| ours[at].merge(&theirs[at]))
        };
        let (ours, theirs) = (self.rolling(), other.rolling());
        let mut hours: BTreeMap<u64, Hour> = BTreeMap::new();
        for hour in self.hours.iter().chain(&other.hours) {
            hours
                .entry(hour.unix_hour)
                .and_modify(|known| known.body_end = known.body_end.merge(&hour.body_end))
                .or_insert_with(|| hour.clone());
        }
        // Clocks that disagree have other hours: the last ones are kept, as many as a wire may have.
        let too_many = hours.len().saturating_sub(MAX_WIRE_HOURS);
        Self {
            class: self.class.or(other.class),
            total: self.total.merge(&other.total),
            covered_s: self.covered_s,
            past: None,
            rolling: OnceLock::from((both(&ours.0, &theirs.0), both(&ours.1, &theirs.1))),
            last_minute: self.last_minute.saturating_add(other.last_minute),
            hours: hours.into_values().skip(too_many).collect(),
            codes: CodeSums::joined(self.codes.iter().chain(&other.codes)),
        }
    }
}

impl CodeSums {
    /// Each code once, ascending, without those that have counted nothing.
    pub(crate) fn joined<'a>(all: impl Iterator<Item = &'a Self>) -> Box<[Self]> {
        let mut codes: BTreeMap<u16, Self> = BTreeMap::new();
        for code in all.filter(|code| code.count > 0) {
            codes
                .entry(code.code)
                .and_modify(|known| known.add(code))
                .or_insert_with(|| code.clone());
        }
        codes.into_values().collect()
    }

    fn add(&mut self, other: &Self) {
        self.count = self.count.saturating_add(other.count);
        self.nanos = self.nanos.saturating_add(other.nanos);
        for (sum, more) in self.le.iter_mut().zip(other.le) {
            *sum = sum.saturating_add(more);
        }
    }
}
