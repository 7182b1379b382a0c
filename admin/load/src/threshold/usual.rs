//! What has to hold where nobody says otherwise.

use super::metric::{Metric, Stat};
use super::view::Series;
use super::{Comparison, Threshold};

/// The targets that a plan begins with, of a protocol.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct UsualTargets {
    /// Mean response time, in milliseconds: less.
    pub mean_ms: f64,
    /// 95th percentile: less.
    pub p95_ms: f64,
    /// 99th percentile: less.
    pub p99_ms: f64,
    /// Good answers a second: at least.
    pub rate_per_s: f64,
    /// Errors among all requests, in per cent: less.
    pub error_percent: f64,
}

impl UsualTargets {
    /// Of HTTP: mean 200 ms, 95th percentile 500 ms, 99th 1,000 ms, 1,000 a second, errors below 1 %.
    pub const HTTP: Self = Self {
        mean_ms: 200.0,
        p95_ms: 500.0,
        p99_ms: 1_000.0,
        rate_per_s: 1_000.0,
        error_percent: 1.0,
    };
    /// Of a database: mean 100 ms, 95th percentile 300 ms, 99th 500 ms, 500 a second, errors below 0.1 %.
    pub const DATABASE: Self = Self {
        mean_ms: 100.0,
        p95_ms: 300.0,
        p99_ms: 500.0,
        rate_per_s: 500.0,
        error_percent: 0.1,
    };
    /// Of WebSocket: mean 50 ms, 95th percentile 100 ms, 99th 200 ms, 2,000 messages a second, errors below 2 %.
    pub const WEBSOCKET: Self = Self {
        mean_ms: 50.0,
        p95_ms: 100.0,
        p99_ms: 200.0,
        rate_per_s: 2_000.0,
        error_percent: 2.0,
    };

    /// As thresholds of the whole run.
    #[must_use]
    pub fn thresholds(&self) -> Vec<Threshold> {
        let response = |stat| Metric::Time(Series::Response, stat);
        [
            (response(Stat::Mean), Comparison::Less, self.mean_ms),
            (
                response(Stat::Percentile(9_500)),
                Comparison::Less,
                self.p95_ms,
            ),
            (
                response(Stat::Percentile(9_900)),
                Comparison::Less,
                self.p99_ms,
            ),
            (Metric::Rate, Comparison::AtLeast, self.rate_per_s),
            (Metric::ErrorRate, Comparison::Less, self.error_percent),
        ]
        .into_iter()
        .map(|(metric, comparison, limit)| Threshold {
            metric,
            comparison,
            limit,
            step: None,
            over_s: None,
            aborts: false,
        })
        .collect()
    }
}
