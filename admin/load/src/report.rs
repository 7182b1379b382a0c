//! What a run found.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use crate::record::{ErrorKind, Recorder};

/// How far a run has come. Counts are at most a tenth of a second old.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Progress {
    /// Seconds since the first request.
    pub elapsed_s: f64,
    /// Requests whose answer has ended, good or not.
    pub finished: u64,
    /// Those without a good answer.
    pub errors: u64,
}

/// The figures of a finished run. Latencies are milliseconds of good answers, from the send to the end of the body.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// `closed`: each connection waits for its answer before it sends again, so a stall of the target also stalls the load.
    pub model: &'static str,
    /// Whether the run was cancelled before its end.
    pub cancelled: bool,
    /// From the first send to the last answer, in seconds.
    pub elapsed_s: f64,
    /// Requests whose answer ended, good or not.
    pub requests: u64,
    /// Good answers (status below 400).
    pub ok: u64,
    /// Requests without a good answer, by kind.
    pub errors: BTreeMap<ErrorKind, u64>,
    /// Answers by status code.
    pub statuses: BTreeMap<u16, u64>,
    /// Errors among all requests, in per cent.
    pub error_percent: f64,
    /// Good answers a second.
    pub rate_per_s: f64,
    /// Bytes of response bodies.
    pub body_bytes: u64,
    /// Mean latency.
    pub mean_ms: f64,
    /// Lowest latency.
    pub min_ms: f64,
    /// Median latency.
    pub p50_ms: f64,
    /// 90th percentile.
    pub p90_ms: f64,
    /// 95th percentile.
    pub p95_ms: f64,
    /// 99th percentile.
    pub p99_ms: f64,
    /// 99.9th percentile.
    pub p999_ms: f64,
    /// Highest latency.
    pub max_ms: f64,
}

impl Report {
    pub(crate) fn new(recorder: &Recorder, elapsed: Duration, cancelled: bool) -> Self {
        let ms = |us: u64| us as f64 / 1e3;
        let quantile = |q| ms(recorder.latency_us.value_at_quantile(q));
        let failed: u64 = recorder.errors.values().sum();
        let requests = recorder.ok + failed;
        let seconds = elapsed.as_secs_f64();
        let is_empty = recorder.latency_us.is_empty();
        Self {
            model: "closed",
            cancelled,
            elapsed_s: seconds,
            requests,
            ok: recorder.ok,
            errors: recorder.errors.clone(),
            statuses: recorder.statuses.clone(),
            error_percent: if requests == 0 {
                0.0
            } else {
                failed as f64 * 100.0 / requests as f64
            },
            rate_per_s: if seconds > 0.0 {
                recorder.ok as f64 / seconds
            } else {
                0.0
            },
            body_bytes: recorder.body_bytes,
            mean_ms: recorder.latency_us.mean() / 1e3,
            min_ms: if is_empty {
                0.0
            } else {
                ms(recorder.latency_us.min())
            },
            p50_ms: quantile(0.5),
            p90_ms: quantile(0.9),
            p95_ms: quantile(0.95),
            p99_ms: quantile(0.99),
            p999_ms: quantile(0.999),
            max_ms: ms(recorder.latency_us.max()),
        }
    }
}
