//! [`Figures`]: what is told of a window, and the sums that it is told from.

use serde::{Deserialize, Serialize};

use super::{class::StatusClass, histogram::Histogram, window::Window};

/// The figures of one window, of one series or of several together.
///
/// Times are milliseconds from the call of the service: to the end of the response body, and for `first_byte_…` to the
/// response's head. Percentiles are of merged histograms, never averages of percentiles; they are true to 1/128.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct Figures {
    /// The window.
    pub window: Window,
    /// Seconds that it covers: less than its length while the layer is younger, or by what the oldest slot lacks.
    pub covered_s: f64,
    /// Requests that ended, exact.
    pub count: u64,
    /// Of these, those that ended with 5xx or an error of the inner service or body.
    pub errors: u64,
    /// Of these, those that were dropped before their end.
    pub aborted: u64,
    /// `count / covered_s`.
    pub rate_per_s: f64,
    /// Arithmetic mean, exact.
    pub mean_ms: f64,
    /// Smallest: exact since the start, within 1/128 in a rolling window.
    pub min_ms: f64,
    /// Median.
    pub p50_ms: f64,
    /// 90th percentile.
    pub p90_ms: f64,
    /// 95th percentile.
    pub p95_ms: f64,
    /// 99th percentile.
    pub p99_ms: f64,
    /// 99.9th percentile.
    pub p999_ms: f64,
    /// Largest: exact since the start, within 1/128 in a rolling window.
    pub max_ms: f64,
    /// Requests that got a response head: all but errors of the service and what was dropped before it.
    pub first_byte_count: u64,
    /// Mean time to the head, exact.
    pub first_byte_mean_ms: f64,
    /// Median time to the head.
    pub first_byte_p50_ms: f64,
    /// 95th percentile of the time to the head.
    pub first_byte_p95_ms: f64,
    /// 99th percentile of the time to the head.
    pub first_byte_p99_ms: f64,
    /// Bytes of request bodies as their `Content-Length` declares them, of methods that have content; 0 where it does not, and at most
    /// [`MAX_REQUEST_BYTES`](super::MAX_REQUEST_BYTES) of one request.
    pub request_bytes: u64,
    /// Bytes of response bodies that the server has read.
    pub response_bytes: u64,
}

/// What is summed up over records, of which [`Figures`] are made.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Sums {
    /// To the end of the body. Its count is the number of requests.
    pub(crate) body_end: Histogram,
    /// To the head.
    pub(crate) first_byte: Histogram,
    pub(crate) errors: u64,
    pub(crate) aborted: u64,
    pub(crate) body_end_nanos: u64,
    pub(crate) first_byte_nanos: u64,
    /// Of the time to the body's end; both 0 where nothing was counted.
    pub(crate) min_nanos: u64,
    pub(crate) max_nanos: u64,
    pub(crate) request_bytes: u64,
    pub(crate) response_bytes: u64,
}

impl Sums {
    pub(crate) fn count(&self) -> u64 {
        self.body_end.count()
    }

    /// Bytes that it keeps, itself not counted.
    pub(crate) fn bytes(&self) -> usize {
        self.body_end.bytes() + self.first_byte.bytes()
    }

    /// Both together.
    pub(crate) fn merge(&self, other: &Self) -> Self {
        if other.count() == 0 {
            return self.clone();
        }
        let mut both = self.clone();
        both.add_numbers(self.count() == 0, other);
        both.body_end = self.body_end.merge(&other.body_end);
        both.first_byte = self.first_byte.merge(&other.first_byte);
        both
    }

    /// Adds all but the histograms. `is_first`: nothing was counted here before.
    pub(crate) fn add_numbers(&mut self, is_first: bool, other: &Self) {
        self.min_nanos = if is_first {
            other.min_nanos
        } else {
            self.min_nanos.min(other.min_nanos)
        };
        self.max_nanos = self.max_nanos.max(other.max_nanos);
        for (sum, more) in [
            (&mut self.errors, other.errors),
            (&mut self.aborted, other.aborted),
            (&mut self.body_end_nanos, other.body_end_nanos),
            (&mut self.first_byte_nanos, other.first_byte_nanos),
            (&mut self.request_bytes, other.request_bytes),
            (&mut self.response_bytes, other.response_bytes),
        ] {
            *sum = sum.saturating_add(more);
        }
    }

    /// The columns that a class alone decides.
    pub(crate) fn classed(mut self, class: StatusClass) -> Self {
        self.errors = if class.is_failure() { self.count() } else { 0 };
        self.aborted = if class == StatusClass::Aborted {
            self.count()
        } else {
            0
        };
        self
    }

    pub(crate) fn figures(&self, window: Window, covered_s: f64) -> Figures {
        let count = self.count();
        if count == 0 {
            return Figures {
                window,
                covered_s,
                ..Figures::default()
            };
        }
        // A bucket's upper edge may lie beyond the largest time seen; the exact bounds are known, so they hold.
        let quantile = |q: f64| {
            let nanos = super::histogram::nanos(self.body_end.value_at_quantile(q));
            ms(nanos.clamp(self.min_nanos, self.max_nanos.max(self.min_nanos)))
        };
        let first_byte = |q: f64| {
            let nanos = super::histogram::nanos(self.first_byte.value_at_quantile(q));
            ms(nanos.min(self.max_nanos))
        };
        let heads = self.first_byte.count();
        Figures {
            window,
            covered_s,
            count,
            errors: self.errors,
            aborted: self.aborted,
            rate_per_s: if covered_s > 0.0 {
                count as f64 / covered_s
            } else {
                0.0
            },
            mean_ms: self.body_end_nanos as f64 / count as f64 / 1e6,
            min_ms: ms(self.min_nanos),
            p50_ms: quantile(0.50),
            p90_ms: quantile(0.90),
            p95_ms: quantile(0.95),
            p99_ms: quantile(0.99),
            p999_ms: quantile(0.999),
            max_ms: ms(self.max_nanos),
            first_byte_count: heads,
            first_byte_mean_ms: if heads == 0 {
                0.0
            } else {
                self.first_byte_nanos as f64 / heads as f64 / 1e6
            },
            first_byte_p50_ms: first_byte(0.50),
            first_byte_p95_ms: first_byte(0.95),
            first_byte_p99_ms: first_byte(0.99),
            request_bytes: self.request_bytes,
            response_bytes: self.response_bytes,
        }
    }
}

pub(crate) fn ms(nanos: u64) -> f64 {
    nanos as f64 / 1e6
}
