//! The values a service is held to, and where it stands.

mod measured;
mod since;

use pitcrew_load::UsualTargets;
use serde::Serialize;

pub(crate) use since::Since;

/// Below so many look-ups a hit ratio says nothing.
pub(crate) const ENOUGH_LOOK_UPS: u64 = 1_000;
/// Below so many requests a share or a percentile says nothing.
pub(crate) const ENOUGH_REQUESTS: u64 = 100;

/// What a service is held to. Each can be changed; the defaults are those of a service that people wait for.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[non_exhaustive]
pub struct BenchmarkTargets {
    /// Mean time of an answer, to the end of its body: at most, in milliseconds. Default 200.
    pub api_mean_ms: f64,
    /// 95th percentile: at most, in milliseconds. Default 500.
    pub api_p95_ms: f64,
    /// 99th percentile: at most, in milliseconds. Default 1,000.
    pub api_p99_ms: f64,
    /// Requests a second that the service can take: at least. Default 1,000.
    pub api_rate_per_s: f64,
    /// Answers with a 5xx status, or none: at most, in per cent. Default 1.
    pub api_error_percent: f64,
    /// Mean execution time of a statement: at most, in milliseconds. Default 100.
    pub database_mean_ms: f64,
    /// 95th percentile: at most, in milliseconds. Default 300.
    pub database_p95_ms: f64,
    /// 99th percentile: at most, in milliseconds. Default 500.
    pub database_p99_ms: f64,
    /// Statements a second that the database can take: at least. Default 500.
    pub database_rate_per_s: f64,
    /// Statements that fail: at most, in per cent. Default 0.1.
    pub database_error_percent: f64,
    /// Mean time to the answer of a WebSocket message: at most, in milliseconds. Default 50.
    pub websocket_mean_ms: f64,
    /// 95th percentile: at most, in milliseconds. Default 100.
    pub websocket_p95_ms: f64,
    /// 99th percentile: at most, in milliseconds. Default 200.
    pub websocket_p99_ms: f64,
    /// Messages a second that the WebSocket can take: at least. Default 2,000.
    pub websocket_rate_per_s: f64,
    /// Messages that fail: at most, in per cent. Default 2.
    pub websocket_error_percent: f64,
    /// Resident memory: at most, in MiB. Default 512.
    pub memory_mib: f64,
    /// Share of one core: at most, in per cent. Default 70.
    pub cpu_percent: f64,
    /// Hits among hits and misses of the response cache: at least, in per cent. Default 85.
    pub cache_hit_percent: f64,
}

impl Default for BenchmarkTargets {
    fn default() -> Self {
        // The load tester's own.
        let (api, database) = (UsualTargets::HTTP, UsualTargets::DATABASE);
        let websocket = UsualTargets::WEBSOCKET;
        Self {
            api_mean_ms: api.mean_ms,
            api_p95_ms: api.p95_ms,
            api_p99_ms: api.p99_ms,
            api_rate_per_s: api.rate_per_s,
            api_error_percent: api.error_percent,
            database_mean_ms: database.mean_ms,
            database_p95_ms: database.p95_ms,
            database_p99_ms: database.p99_ms,
            database_rate_per_s: database.rate_per_s,
            database_error_percent: database.error_percent,
            websocket_mean_ms: websocket.mean_ms,
            websocket_p95_ms: websocket.p95_ms,
            websocket_p99_ms: websocket.p99_ms,
            websocket_rate_per_s: websocket.rate_per_s,
            websocket_error_percent: websocket.error_percent,
            memory_mib: 512.0,
            cpu_percent: 70.0,
            cache_hit_percent: 85.0,
        }
    }
}

/// Whether a target is met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verdict {
    Met,
    Missed,
    /// Nothing was measured, so nothing is claimed; `detail` says why.
    NotMeasured,
}

/// One target and where the service stands.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Benchmark {
    pub(crate) name: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) target: f64,
    /// `at_most` or `at_least`.
    pub(crate) bound: &'static str,
    pub(crate) value: Option<f64>,
    pub(crate) verdict: Verdict,
    /// Since when it is met or missed, as far back as the process goes; RFC 3339. None where that is not known.
    pub(crate) since: Option<String>,
    pub(crate) detail: String,
}

fn judge(
    name: &'static str,
    unit: &'static str,
    bound: &'static str,
    target: f64,
    value: Result<f64, String>,
) -> Benchmark {
    let (value, verdict, detail) = match value {
        Err(why) => (None, Verdict::NotMeasured, why),
        Ok(value) => {
            let is_met = if bound == "at_most" {
                value <= target
            } else {
                value >= target
            };
            let verdict = if is_met {
                Verdict::Met
            } else {
                Verdict::Missed
            };
            let words = bound.replace('_', " ");
            (
                Some(value),
                verdict,
                format!("{value:.1} {unit} measured, {words} {target} {unit} wanted"),
            )
        }
    };
    Benchmark {
        name,
        unit,
        target,
        bound,
        value,
        verdict,
        since: None,
        detail,
    }
}
