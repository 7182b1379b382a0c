//! What one connection saw, kept in constant memory.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

/// Why a request has no good answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ErrorKind {
    /// No connection could be made.
    Connect,
    /// The connection ended before the answer did.
    Reset,
    /// The answer did not end within the plan's `timeout_ms`.
    Timeout,
    /// The answer's status was 400 or above.
    Status,
    /// The answer was not HTTP.
    Protocol,
}

/// Latencies up to a minute with three significant figures: 221 KB a recorder, one recorder a thread.
const HIGHEST_US: u64 = 60_000_000;
const SIGNIFICANT_FIGURES: u8 = 3;

/// An answer whose body has ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body_bytes: u64,
    /// From the send to the end of the body.
    pub(crate) took: Duration,
}

#[derive(Debug, Clone)]
pub(crate) struct Recorder {
    pub(crate) latency_us: Histogram<u64>,
    pub(crate) ok: u64,
    pub(crate) errors: BTreeMap<ErrorKind, u64>,
    pub(crate) statuses: BTreeMap<u16, u64>,
    pub(crate) body_bytes: u64,
}

impl Recorder {
    pub(crate) fn new() -> Self {
        let latency_us = Histogram::new_with_bounds(1, HIGHEST_US, SIGNIFICANT_FIGURES)
            .unwrap_or_else(|_| unreachable!("the bounds are constants that hdrhistogram accepts"));
        Self {
            latency_us,
            ok: 0,
            errors: BTreeMap::new(),
            statuses: BTreeMap::new(),
            body_bytes: 0,
        }
    }

    /// Counts one request; tells whether its answer was a good one. Only a good answer's latency counts, so that fast
    /// failures flatter nobody.
    pub(crate) fn record(&mut self, outcome: Result<Answer, ErrorKind>) -> bool {
        let outcome = outcome.and_then(|answer| {
            // At most the 900 codes that the http crate lets through.
            *self.statuses.entry(answer.status).or_default() += 1;
            self.body_bytes += answer.body_bytes;
            if answer.status < 400 {
                Ok(answer)
            } else {
                Err(ErrorKind::Status)
            }
        });
        match outcome {
            Ok(answer) => {
                self.ok += 1;
                let us = u64::try_from(answer.took.as_micros()).unwrap_or(HIGHEST_US);
                self.latency_us.saturating_record(us.max(1));
            }
            Err(kind) => *self.errors.entry(kind).or_default() += 1,
        }
        outcome.is_ok()
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        // Same bounds on both sides, so nothing can be out of range.
        let _ = self.latency_us.add(&other.latency_us);
        self.ok += other.ok;
        self.body_bytes += other.body_bytes;
        for (kind, count) in &other.errors {
            *self.errors.entry(*kind).or_default() += count;
        }
        for (status, count) in &other.statuses {
            *self.statuses.entry(*status).or_default() += count;
        }
    }
}
