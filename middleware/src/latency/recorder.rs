//! Where ended requests are counted: one recorder a shard of threads, merged when somebody asks.
//!
//! A thread always records into the shard that it was given when it first came, so two threads meet at a lock only when
//! there are more threads than shards. A snapshot takes the shards one after the other.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use hdrhistogram::Histogram;

use super::{
    buckets::index_of_units,
    class::StatusClass,
    figures::Sums,
    snapshot::{Detail, LatencySnapshot, Rates, SeriesDetail, SeriesSnapshot},
    window::Window,
};
use crate::{clock::Clock, route::OVERFLOW, shard::thread_index};

/// Shards at most. Each holds a histogram of its own for a series that it has seen, 4 to 16 KiB, so this bounds memory
/// at 512 series to 64 MiB in the worst case and to a tenth of that where latencies stay below a second.
const MAX_SHARDS: usize = 8;
/// Histogram unit: 100 ns, so that answers from a cache still have a percentile.
const UNIT_NANOS: u64 = 100;
/// Highest value that keeps its size: one hour. What is longer is recorded as one hour.
const HIGHEST_UNITS: u64 = 3_600 * 1_000_000_000 / UNIT_NANOS;
/// Significant decimal figures of every histogram: an error of at most 1 %.
const FIGURES: u8 = 2;
/// Seconds over which a rate is taken.
const RATE_WINDOW_S: u64 = 60;
/// Series kept back for [`OVERFLOW`]: one a status class.
const OVERFLOW_SERIES: usize = CLASSES.len();

/// All status classes.
pub(crate) const CLASSES: [&str; 7] = ["1xx", "2xx", "3xx", "4xx", "5xx", ABORTED, ERROR];
/// Future or body dropped before its end.
pub(crate) const ABORTED: &str = "aborted";
/// The inner service or its body failed.
pub(crate) const ERROR: &str = "error";

/// The class of a status code.
pub(crate) fn class_of(status: http::StatusCode) -> &'static str {
    match status.as_u16() / 100 {
        1 => "1xx",
        2 => "2xx",
        3 => "3xx",
        4 => "4xx",
        _ => "5xx",
    }
}

/// Method and status class of the series that a route has.
type Known = HashMap<Box<str>, Vec<(&'static str, &'static str)>>;
type ByRoute = HashMap<Box<str>, Vec<(&'static str, &'static str, Series)>>;

/// Requests a second over a sliding minute, by whole seconds.
struct Rate {
    slots: [(u64, u32); RATE_WINDOW_S as usize],
}

impl Rate {
    fn new() -> Self {
        Self {
            slots: [(0, 0); RATE_WINDOW_S as usize],
        }
    }

    fn add(&mut self, second: u64) {
        let slot = &mut self.slots[(second % RATE_WINDOW_S) as usize];
        if slot.0 != second {
            *slot = (second, 0);
        }
        slot.1 = slot.1.saturating_add(1);
    }

    fn sum(&self, now: u64) -> u64 {
        let fresh = self
            .slots
            .iter()
            .filter(|(second, _)| second + RATE_WINDOW_S > now);
        fresh.map(|(_, count)| u64::from(*count)).sum()
    }
}

struct Series {
    histogram: Histogram<u32>,
    count: u64,
    sum_nanos: u64,
    min_nanos: u64,
    max_nanos: u64,
    rate: Rate,
}

impl Series {
    fn new() -> Option<Self> {
        let mut histogram = Histogram::new(FIGURES).ok()?;
        histogram.auto(true);
        Some(Self {
            histogram,
            count: 0,
            sum_nanos: 0,
            min_nanos: u64::MAX,
            max_nanos: 0,
            rate: Rate::new(),
        })
    }

    fn record(&mut self, nanos: u64, second: u64) {
        // Auto-resizing cannot fail below `HIGHEST_UNITS`; a count is never lost to it all the same.
        let _ = self
            .histogram
            .record((nanos / UNIT_NANOS).min(HIGHEST_UNITS));
        self.count += 1;
        self.sum_nanos = self.sum_nanos.saturating_add(nanos);
        self.min_nanos = self.min_nanos.min(nanos);
        self.max_nanos = self.max_nanos.max(nanos);
        self.rate.add(second);
    }
}

/// All series of one layer.
pub(crate) struct Recorder {
    clock: Clock,
    started: Duration,
    shards: Box<[Mutex<ByRoute>]>,
    /// Which series exist at all, whatever the shard; touched only when a shard meets a series for the first time.
    known: Mutex<Known>,
    series: AtomicUsize,
    max_series: usize,
    in_flight: AtomicU64,
    dropped: AtomicU64,
}

impl Recorder {
    pub(crate) fn new(clock: Clock, max_series: usize) -> Self {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let shards = threads.next_power_of_two().min(MAX_SHARDS);
        Self {
            started: clock.now(),
            clock,
            shards: (0..shards).map(|_| Mutex::default()).collect(),
            known: Mutex::default(),
            series: AtomicUsize::new(0),
            max_series: max_series.max(OVERFLOW_SERIES + 1),
            in_flight: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
        }
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    pub(crate) fn begin(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn end(
        &self,
        route: &str,
        method: &'static str,
        class: &'static str,
        took: Duration,
    ) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let second = self.second();
        let mut shard = lock(&self.shards[thread_index() % self.shards.len()]);
        if let Some(series) = find(&mut shard, route, method, class) {
            series.record(nanos, second);
            return;
        }
        let (route, method) = if self.admit(route, method, class) {
            (route, method)
        } else {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            (OVERFLOW, "*")
        };
        if find(&mut shard, route, method, class).is_none()
            && let Some(series) = Series::new()
        {
            shard
                .entry(route.into())
                .or_default()
                .push((method, class, series));
        }
        if let Some(series) = find(&mut shard, route, method, class) {
            series.record(nanos, second);
        }
    }

    /// Whether a series may exist: it does already, or there is room for it.
    fn admit(&self, route: &str, method: &'static str, class: &'static str) -> bool {
        let mut known = lock(&self.known);
        if let Some(rows) = known.get(route)
            && rows.contains(&(method, class))
        {
            return true;
        }
        if self.series.load(Ordering::Relaxed) + OVERFLOW_SERIES >= self.max_series {
            return false;
        }
        self.series.fetch_add(1, Ordering::Relaxed);
        known.entry(route.into()).or_default().push((method, class));
        true
    }

    /// Whole seconds since the clock was made, from 1, so that an empty rate slot (second 0) is never fresh.
    fn second(&self) -> u64 {
        self.clock.now().as_secs() + RATE_WINDOW_S
    }

    pub(crate) fn snapshot(&self) -> LatencySnapshot {
        let mut merged: HashMap<(Box<str>, &'static str, &'static str), Merged> = HashMap::new();
        let now = self.second();
        for shard in &self.shards {
            let shard = lock(shard);
            for (route, rows) in shard.iter() {
                for (method, class, series) in rows {
                    merged
                        .entry((route.clone(), method, class))
                        .or_insert_with(Merged::new)
                        .add(series, now);
                }
            }
        }
        let uptime = self.clock.now().saturating_sub(self.started);
        let window = uptime.as_secs_f64().clamp(1.0, RATE_WINDOW_S as f64);
        let mut snapshot = LatencySnapshot {
            uptime_s: uptime.as_secs_f64(),
            in_flight: self.in_flight.load(Ordering::Relaxed),
            dropped_series: self.dropped.load(Ordering::Relaxed),
            ..LatencySnapshot::default()
        };
        let covered_s = [uptime.as_secs_f64(); Window::ALL.len()];
        let mut total = Sums::default();
        let mut in_window = 0;
        let mut rows: Vec<_> = merged.into_iter().collect();
        rows.sort_by(|a, b| {
            b.1.sum_nanos
                .cmp(&a.1.sum_nanos)
                .then_with(|| a.0.cmp(&b.0))
        });
        for ((route, method, class), series) in rows {
            match class {
                ABORTED => snapshot.aborted += series.count,
                "5xx" | ERROR => snapshot.errors += series.count,
                _ => {}
            }
            let class = StatusClass::ALL
                .into_iter()
                .find(|known| known.as_str() == class)
                .unwrap_or(StatusClass::ServerError);
            let sums = series.sums().classed(class);
            let figures = sums.figures(Window::SinceStart, uptime.as_secs_f64());
            total = total.merge(&sums);
            in_window += series.in_window;
            snapshot.series.push(SeriesSnapshot {
                route: route.into(),
                method: method.to_owned(),
                status_class: class.as_str(),
                count: figures.count,
                rate_per_s: series.in_window as f64 / window,
                rates: Rates::default(),
                mean_ms: figures.mean_ms,
                min_ms: figures.min_ms,
                p50_ms: figures.p50_ms,
                p90_ms: figures.p90_ms,
                p95_ms: figures.p95_ms,
                p99_ms: figures.p99_ms,
                max_ms: figures.max_ms,
                detail: Arc::new(SeriesDetail {
                    class: Some(class),
                    windows: std::array::from_fn(|_| sums.clone()),
                    covered_s,
                    ..SeriesDetail::default()
                }),
            });
        }
        snapshot.requests = total.count();
        snapshot.rate_per_s = in_window as f64 / window;
        snapshot.detail = Arc::new(Detail {
            total: std::array::from_fn(|_| total.clone()),
            covered_s,
            ..Detail::default()
        });
        snapshot
    }
}

/// One series over all shards.
struct Merged {
    histogram: Option<Histogram<u64>>,
    count: u64,
    sum_nanos: u64,
    min_nanos: u64,
    max_nanos: u64,
    in_window: u64,
}

impl Merged {
    fn new() -> Self {
        let histogram = Histogram::new(FIGURES).ok().map(|mut histogram| {
            histogram.auto(true);
            histogram
        });
        Self {
            histogram,
            count: 0,
            sum_nanos: 0,
            min_nanos: u64::MAX,
            max_nanos: 0,
            in_window: 0,
        }
    }

    fn add(&mut self, series: &Series, now: u64) {
        if let Some(histogram) = &mut self.histogram {
            for value in series.histogram.iter_recorded() {
                let _ = histogram
                    .record_n(value.value_iterated_to(), u64::from(value.count_at_value()));
            }
        }
        self.count += series.count;
        self.sum_nanos = self.sum_nanos.saturating_add(series.sum_nanos);
        self.min_nanos = self.min_nanos.min(series.min_nanos);
        self.max_nanos = self.max_nanos.max(series.max_nanos);
        self.in_window += series.rate.sum(now);
    }

    fn sums(&self) -> Sums {
        let counts = self.histogram.iter().flat_map(|histogram| {
            histogram.iter_recorded().map(|value| {
                let index = index_of_units(value.value_iterated_to());
                (index, value.count_at_value())
            })
        });
        Sums {
            body_end: super::histogram::Histogram::from_counts(counts),
            body_end_nanos: self.sum_nanos,
            min_nanos: self.min_nanos,
            max_nanos: self.max_nanos,
            ..Sums::default()
        }
    }
}

fn find<'a>(
    shard: &'a mut ByRoute,
    route: &str,
    method: &str,
    class: &str,
) -> Option<&'a mut Series> {
    let rows = shard.get_mut(route)?;
    rows.iter_mut()
        .find(|row| row.0 == method && row.1 == class)
        .map(|row| &mut row.2)
}

/// A panic while a lock is held cannot leave a recorder half written in a way that matters more than losing it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
