//! Percentiles of a histogram, as a report shows them.

use hdrhistogram::Histogram;
use serde::Serialize;

/// Times in milliseconds; all 0 where nothing was counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Percentiles {
    /// How many were counted.
    pub count: u64,
    /// Arithmetic mean.
    pub mean_ms: f64,
    /// Lowest.
    pub min_ms: f64,
    /// Median.
    pub p50_ms: f64,
    /// 75th percentile.
    pub p75_ms: f64,
    /// 90th percentile.
    pub p90_ms: f64,
    /// 95th percentile.
    pub p95_ms: f64,
    /// 99th percentile.
    pub p99_ms: f64,
    /// 99.9th percentile.
    pub p999_ms: f64,
    /// 99.99th percentile.
    pub p9999_ms: f64,
    /// Highest.
    pub max_ms: f64,
}

impl Percentiles {
    /// Of a histogram of microseconds.
    pub(crate) fn of(histogram: &Histogram<u64>) -> Self {
        if histogram.is_empty() {
            return Self::default();
        }
        let quantile = |q| ms(histogram.value_at_quantile(q));
        Self {
            count: histogram.len(),
            mean_ms: histogram.mean() / 1e3,
            min_ms: ms(histogram.min()),
            p50_ms: quantile(0.5),
            p75_ms: quantile(0.75),
            p90_ms: quantile(0.9),
            p95_ms: quantile(0.95),
            p99_ms: quantile(0.99),
            p999_ms: quantile(0.999),
            p9999_ms: quantile(0.9999),
            max_ms: ms(histogram.max()),
        }
    }
}

/// Microseconds as milliseconds.
pub(crate) fn ms(us: u64) -> f64 {
    us as f64 / 1e3
}
