//! What a [`LatencyHandle`](super::LatencyHandle) tells.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{
    class::StatusClass,
    detail::{Detail, Drops, SeriesDetail},
    exemplar::Exemplar,
    figures::{Figures, Sums},
    histogram::Histogram,
    window::Window,
};
use crate::route::OVERFLOW;

/// The state of all series at one moment, consistent within itself: every figure of a row is of the same requests, and the
/// totals are the sums of the rows. Cheap to clone: histograms are shared.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct LatencySnapshot {
    /// Seconds since the layer was built.
    pub uptime_s: f64,
    /// When it was taken, in milliseconds since 1970-01-01 UTC.
    pub taken_unix_ms: u64,
    /// Requests whose body has neither ended nor been dropped.
    pub in_flight: u64,
    /// Records that went to the `overflow` series because the series bound or [`RECORDER_BYTES`](super::RECORDER_BYTES) was
    /// reached.
    pub dropped_series: u64,
    /// How often [`RECORDER_BYTES`](super::RECORDER_BYTES) left no room for what a thread met: a series of its own, or counts that
    /// are not coarse.
    pub dropped_room: u64,
    /// Times that are known to a factor of two alone, because there was no room.
    pub coarse_times: u64,
    /// Slots of the past that were brought to one significant figure or let go, so that it fits
    /// [`LEDGER_BYTES`](super::LEDGER_BYTES).
    pub coarse_slots: u64,
    /// Bytes of all series, threads and windows: below [`RECORDER_BYTES`](super::RECORDER_BYTES) and
    /// [`LEDGER_BYTES`](super::LEDGER_BYTES) together. Snapshots that are kept are not in it.
    pub memory_bytes: u64,
    /// Slow requests that [`exemplars`](Self::exemplars) lacks, because more than
    /// [`MAX_KEPT_EXEMPLARS`](super::MAX_KEPT_EXEMPLARS) of one route would have to be kept, [`LEDGER_BYTES`](super::LEDGER_BYTES) left no room, or a fold
    /// was looking at their thread's just then.
    pub dropped_exemplars: u64,
    /// Folds that panicked, which is a fault of this library: the next one takes in what they did not.
    pub panicked_folds: u64,
    /// All requests that ended, in whatever way.
    pub requests: u64,
    /// Requests that ended with a 5xx status or with an error of the inner service or body.
    pub errors: u64,
    /// Requests whose future or body was dropped before its end: mostly clients that went away.
    pub aborted: u64,
    /// Requests a second over the last minute (or since the start, where that is shorter).
    pub rate_per_s: f64,
    /// One row for each (route, method, status class), the largest total time first.
    pub series: Vec<SeriesSnapshot>,
    #[serde(skip)]
    pub(crate) detail: Arc<Detail>,
}

impl LatencySnapshot {
    pub(crate) fn new(
        uptime_s: f64,
        taken_unix_ms: u64,
        mut series: Vec<SeriesSnapshot>,
        mut detail: Detail,
    ) -> Self {
        series.sort_by(|a, b| {
            let spent = |row: &SeriesSnapshot| row.detail.total.body_end_nanos;
            let names = || {
                (&a.route, &a.method, a.status_class).cmp(&(&b.route, &b.method, b.status_class))
            };
            spent(b).cmp(&spent(a)).then_with(names)
        });
        detail.rows = series.iter().map(|row| row.detail.clone()).collect();
        let of = |count: fn(&Sums) -> u64| sum(series.iter().map(|row| count(&row.detail.total)));
        let last_minute = sum(series.iter().map(|row| row.detail.last_minute));
        let minute = Window::OneMinute as usize;
        let overflow = series.iter().filter(|row| row.route == OVERFLOW);
        Self {
            uptime_s,
            taken_unix_ms,
            in_flight: sum(detail.in_flight.values().copied()),
            dropped_series: sum(overflow.map(|row| row.count)),
            requests: of(Sums::count),
            errors: of(|sums| sums.errors),
            aborted: of(|sums| sums.aborted),
            rate_per_s: last_minute as f64 / detail.covered_s[minute].max(1.0),
            series,
            detail: Arc::new(detail),
            ..Self::default()
        }
    }

    pub(crate) fn drops(&self) -> Drops {
        Drops {
            room: self.dropped_room,
            coarse_times: self.coarse_times,
            coarse_slots: self.coarse_slots,
            exemplars: self.dropped_exemplars,
            panics: self.panicked_folds,
            memory_bytes: self.memory_bytes,
        }
    }

    pub(crate) fn with_drops(self, drops: Drops) -> Self {
        Self {
            dropped_room: drops.room,
            coarse_times: drops.coarse_times,
            coarse_slots: drops.coarse_slots,
            dropped_exemplars: drops.exemplars,
            panicked_folds: drops.panics,
            memory_bytes: drops.memory_bytes,
            ..self
        }
    }

    /// The slowest requests of a route in a window, the slowest first;
    /// [`LatencyBuilder::exemplars`](super::LatencyBuilder::exemplars) of them at most.
    #[must_use]
    pub fn exemplars(&self, route: &str, window: Window) -> &[Exemplar] {
        let windows = self.detail.exemplars.get(route);
        windows.map_or(&[], |told| told.of(window))
    }

    /// Figures over all series since the start. Percentiles come from the merged histograms, never from averages of
    /// percentiles.
    #[must_use]
    pub fn total(&self) -> Figures {
        self.total_in(Window::SinceStart)
    }

    /// Figures over all series in a window.
    #[must_use]
    pub fn total_in(&self, window: Window) -> Figures {
        self.detail
            .total(window)
            .figures(window, self.covered_s(window))
    }

    /// Times to the end of the body over all series in a window.
    #[must_use]
    pub fn histogram(&self, window: Window) -> &Histogram {
        &self.detail.total(window).body_end
    }

    /// One row for each route, its methods and classes together, by name. Routes without a request in the window are
    /// there too, with a count of 0.
    #[must_use]
    pub fn by_route(&self, window: Window) -> Vec<RouteSnapshot> {
        let mut routes: BTreeMap<&str, Sums> = BTreeMap::new();
        for route in self.detail.in_flight.keys() {
            routes.entry(route).or_default();
        }
        for series in &self.series {
            let sums = routes.entry(&series.route).or_default();
            *sums = sums.merge(series.sums(window));
        }
        routes
            .into_iter()
            .map(|(route, sums)| RouteSnapshot {
                route: route.to_owned(),
                in_flight: self.detail.in_flight.get(route).copied().unwrap_or(0),
                figures: sums.figures(window, self.covered_s(window)),
                body_end: sums.body_end,
                first_byte: sums.first_byte,
            })
            .collect()
    }

    /// The same with the figures of a window in the fields of [`series`](Self::series); `requests`, `errors` and `aborted` stay those
    /// since the start.
    #[must_use]
    pub fn seen_in(mut self, window: Window) -> Self {
        for row in &mut self.series {
            let figures = row.figures(window);
            row.count = figures.count;
            row.mean_ms = figures.mean_ms;
            row.min_ms = figures.min_ms;
            row.p50_ms = figures.p50_ms;
            row.p90_ms = figures.p90_ms;
            row.p95_ms = figures.p95_ms;
            row.p99_ms = figures.p99_ms;
            row.max_ms = figures.max_ms;
        }
        self
    }

    /// Seconds that a window covers.
    #[must_use]
    pub fn covered_s(&self, window: Window) -> f64 {
        self.detail.covered_s[window as usize]
    }
}

/// What another instance sent may be any number.
fn sum(counts: impl Iterator<Item = u64>) -> u64 {
    counts.fold(0, u64::saturating_add)
}

/// The figures of one (route, method, status class).
///
/// The fields are those since the start; [`figures`](Self::figures) has them, and more, for each window. Times are
/// milliseconds from the call of the service to the end of the response body.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct SeriesSnapshot {
    /// Route template, [`UNMATCHED`](crate::route::UNMATCHED) or [`OVERFLOW`](crate::route::OVERFLOW).
    pub route: String,
    /// Request method; `OTHER` for unknown ones, `*` in the overflow series.
    pub method: String,
    /// [`StatusClass::as_str`]: `1xx` to `5xx` by status; `aborted` where future or body was dropped before its end;
    /// `error` where the inner service or its body failed.
    pub status_class: &'static str,
    /// Requests that ended.
    pub count: u64,
    /// Requests a second over the last minute.
    pub rate_per_s: f64,
    /// Requests a second, smoothed.
    pub rates: Rates,
    /// Arithmetic mean, exact.
    pub mean_ms: f64,
    /// Smallest, exact.
    pub min_ms: f64,
    /// Median, within the histogram's 1 %.
    pub p50_ms: f64,
    /// 90th percentile.
    pub p90_ms: f64,
    /// 95th percentile.
    pub p95_ms: f64,
    /// 99th percentile.
    pub p99_ms: f64,
    /// Largest, exact.
    pub max_ms: f64,
    #[serde(skip)]
    pub(crate) detail: Arc<SeriesDetail>,
}

impl SeriesSnapshot {
    pub(crate) fn new(
        route: String,
        method: String,
        class: StatusClass,
        rates: Rates,
        detail: Arc<SeriesDetail>,
    ) -> Self {
        let minute = Window::OneMinute as usize;
        let figures = detail.total.figures(Window::SinceStart, 0.0);
        Self {
            route,
            method,
            status_class: class.as_str(),
            count: figures.count,
            rate_per_s: detail.last_minute as f64 / detail.covered_s[minute].max(1.0),
            rates,
            mean_ms: figures.mean_ms,
            min_ms: figures.min_ms,
            p50_ms: figures.p50_ms,
            p90_ms: figures.p90_ms,
            p95_ms: figures.p95_ms,
            p99_ms: figures.p99_ms,
            max_ms: figures.max_ms,
            detail,
        }
    }

    /// What became of these requests.
    #[must_use]
    pub fn class(&self) -> StatusClass {
        self.detail.class.unwrap_or(StatusClass::ServerError)
    }

    /// The figures of a window.
    #[must_use]
    pub fn figures(&self, window: Window) -> Figures {
        self.sums(window)
            .figures(window, self.detail.covered_s[window as usize])
    }

    /// Times to the end of the body in a window. Its count is the number of requests.
    #[must_use]
    pub fn histogram(&self, window: Window) -> &Histogram {
        &self.sums(window).body_end
    }

    /// Times to the response's head in a window; of those requests that got one.
    #[must_use]
    pub fn first_byte(&self, window: Window) -> &Histogram {
        &self.sums(window).first_byte
    }

    /// Times to the end of the body in the time of about the same length that came before; for `OneMinute` the minute before
    /// the last, up to half a minute more or less. Empty for [`Window::SinceStart`], and where the layer is too young.
    #[must_use]
    pub fn before(&self, window: Window) -> &Histogram {
        static NOTHING: Histogram = Histogram::new();
        let before = self.detail.rolling_of(window, 1);
        before.map_or(&NOTHING, |sums| &sums.body_end)
    }

    /// The last 25 hours, the oldest first; hours without a request are absent, the present hour is the last. They are counted by
    /// monotonic time and named by the wall clock as it stands now: a step of it by half an hour and more renames them all by whole
    /// hours and loses none, and so does the sleep of a machine, which monotonic time leaves out on Linux. Their histograms have one significant figure.
    #[must_use]
    pub fn hours(&self) -> &[Hour] {
        &self.detail.hours
    }

    pub(crate) fn sums(&self, window: Window) -> &Sums {
        self.detail.sums(window)
    }
}

/// One hour of a series' past.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Hour {
    /// Hours since 1970-01-01 UTC.
    pub unix_hour: u64,
    /// Times to the end of the body, known to 1/16 of their size: the upper edge of what they fell in.
    pub body_end: Histogram,
}

/// Requests a second by an exponentially weighted moving average, as `uptime` tells the load: after the time in the name, 63 % of
/// a change shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Rates {
    /// Over about a second.
    pub one_second: f64,
    /// Over about a minute.
    pub one_minute: f64,
    /// Over about five minutes.
    pub five_minutes: f64,
}

/// The figures of one route.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct RouteSnapshot {
    /// Route template, [`UNMATCHED`](crate::route::UNMATCHED) or [`OVERFLOW`](crate::route::OVERFLOW).
    pub route: String,
    /// Requests whose body has neither ended nor been dropped.
    pub in_flight: u64,
    /// Figures over its methods and classes.
    pub figures: Figures,
    /// Times to the end of the body.
    #[serde(skip)]
    pub body_end: Histogram,
    /// Times to the head.
    #[serde(skip)]
    pub first_byte: Histogram,
}
