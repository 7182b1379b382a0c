//! A run's figures second by second.

use std::time::Duration;

use serde::Serialize;

use crate::percentiles::ms;
use crate::record::Recorder;

/// One second of a run. A request counts in the second in which it ended, to a tenth.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Interval {
    /// Its end, in seconds from the beginning of the run.
    pub until_s: f64,
    /// How long it was, in seconds.
    pub duration_s: f64,
    /// Good answers.
    pub ok: u64,
    /// Requests without one.
    pub errors: u64,
    /// Median response time of good answers, in milliseconds; 0 without any, as the following ones.
    pub p50_ms: f64,
    /// 95th percentile.
    pub p95_ms: f64,
    /// 99th percentile.
    pub p99_ms: f64,
    /// The highest.
    pub max_ms: f64,
}

const LENGTH: Duration = Duration::from_secs(1);

/// The whole, and the seconds that are over: as many as a run is long, which its plan bounds.
#[derive(Debug)]
pub(crate) struct Series {
    pub(crate) total: Recorder,
    pub(crate) intervals: Vec<Interval>,
    current: Recorder,
    current_begin: Duration,
}

impl Series {
    pub(crate) fn new() -> Self {
        Self {
            total: Recorder::new(),
            intervals: Vec::new(),
            current: Recorder::new(),
            current_begin: Duration::ZERO,
        }
    }

    /// Takes what a thread recorded up to now.
    pub(crate) fn take(&mut self, recorder: &Recorder, now: Duration) {
        if now >= self.current_begin + LENGTH {
            self.close(now);
        }
        self.total.merge(recorder);
        self.current.merge(recorder);
    }

    /// Closes what is left at the end.
    pub(crate) fn end(&mut self, now: Duration) {
        if !self.current.is_empty() {
            self.close(now);
        }
    }

    fn close(&mut self, now: Duration) {
        let response = &self.current.response_us;
        let quantile = |q| {
            if response.is_empty() {
                0.0
            } else {
                ms(response.value_at_quantile(q))
            }
        };
        self.intervals.push(Interval {
            until_s: now.as_secs_f64(),
            duration_s: (now - self.current_begin).as_secs_f64(),
            ok: self.current.ok,
            errors: self.current.failed(),
            p50_ms: quantile(0.5),
            p95_ms: quantile(0.95),
            p99_ms: quantile(0.99),
            max_ms: quantile(1.0),
        });
        self.current.clear();
        self.current_begin = now;
    }
}
