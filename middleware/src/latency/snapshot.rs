//! What a [`LatencyHandle`](super::LatencyHandle) tells.

use serde::Serialize;

/// The state of all series at one moment.
///
/// Each series is consistent within itself; between two series, requests that end while the snapshot is taken may be
/// seen in one and not in the other.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct LatencySnapshot {
    /// Seconds since the layer was built.
    pub uptime_s: f64,
    /// Requests whose body has neither ended nor been dropped.
    pub in_flight: u64,
    /// Records that went to the `overflow` series because the series bound was reached.
    pub dropped_series: u64,
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
    pub(crate) total: Summary,
}

impl LatencySnapshot {
    /// The same figures over all series. Percentiles come from the merged histograms, never from averages of
    /// percentiles.
    #[must_use]
    pub fn total(&self) -> Summary {
        self.total.clone()
    }
}

/// The figures of one (route, method, status class). Times are milliseconds from the call of the service to the end
/// of the response body.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct SeriesSnapshot {
    /// Route template, [`UNMATCHED`](crate::route::UNMATCHED) or [`OVERFLOW`](crate::route::OVERFLOW).
    pub route: String,
    /// Request method; `OTHER` for unknown ones, `*` in the overflow series.
    pub method: String,
    /// `1xx` to `5xx` by status; `aborted` where future or body was dropped before its end; `error` where the inner
    /// service or its body failed.
    pub status_class: &'static str,
    /// Requests that ended.
    pub count: u64,
    /// Requests a second over the last minute.
    pub rate_per_s: f64,
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
}

/// Figures over several series.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct Summary {
    /// Requests that ended.
    pub count: u64,
    /// Requests a second over the last minute.
    pub rate_per_s: f64,
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
}
