//! What a run found, and the forms in which it is told.
//!
//! | file | role |
//! |---|---|
//! | `results` | a run with what it was of |
//! | `steps` | a plan's steps |
//! | `capacity` | a search of the capacity |
//! | `json`, `hdr` | as it is kept in a file |
//! | `read`, `told` | and read again |
//! | `merge` | the parts of one plan as one |
//! | `markdown`, `html`, `junit`, `hdr_log` | as people, CI and other tools read it |
//! | `text` | how figures are written |

#[cfg(feature = "reports")]
mod capacity;
#[cfg(feature = "reports")]
mod hdr;
#[cfg(feature = "reports")]
mod hdr_log;
#[cfg(feature = "reports")]
mod html;
#[cfg(feature = "reports")]
mod json;
#[cfg(feature = "reports")]
mod junit;
#[cfg(feature = "reports")]
mod markdown;
#[cfg(feature = "reports")]
mod merge;
#[cfg(feature = "reports")]
mod read;
#[cfg(feature = "reports")]
mod results;
mod steps;
#[cfg(all(test, feature = "reports"))]
mod tests;
#[cfg(feature = "reports")]
mod text;
#[cfg(feature = "reports")]
mod told;

#[cfg(feature = "reports")]
pub use capacity::{CAPACITY_SCHEMA, CapacityResults};
#[cfg(feature = "reports")]
pub use json::SCHEMA;
#[cfg(feature = "reports")]
pub use merge::{MergeError, merge};
#[cfg(feature = "reports")]
pub use read::ReadError;
#[cfg(feature = "reports")]
pub use results::{Parts, Results};
pub use steps::StepReport;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::confidence::{Estimate, estimates};
use crate::details::Details;
use crate::packed::Packed;
use crate::percentiles::Percentiles;
use crate::record::{ErrorKind, Recorder};
use crate::series::{Interval, to_the_microsecond};

/// How far a run has come. Counts are at most a tenth of a second old.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Progress {
    /// Seconds since the first request.
    pub elapsed_s: f64,
    /// Requests whose answer has ended, good or not.
    pub finished: u64,
    /// Those without a good answer.
    pub errors: u64,
    /// Requests that were sent and not answered yet.
    pub in_flight: u64,
    /// Bytes of response bodies.
    pub body_bytes: u64,
    /// CPU time that the run's own threads took, in seconds.
    pub cpu_s: f64,
}

/// How load was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Model {
    /// Each connection waits for its answer before it sends again, so a stall of the target also stalls the load, and
    /// percentiles do not show what independent visitors would have waited ("coordinated omission").
    Closed,
    /// Requests were due by the clock, whatever the target did.
    Open,
    /// Scenarios of both models side by side: each one's report says how its load was made.
    Mixed,
}

/// The tester could not keep to its own schedule, so that response times hold its lateness too.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct GeneratorLimited {
    /// 99th percentile of the tester's own lag.
    pub lag_p99_ms: f64,
    /// What it may be: 1 ms, or a tenth of the service time's 99th percentile where that is more.
    pub limit_ms: f64,
}

/// The figures of a finished run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// How load was made.
    pub model: Model,
    /// Whether the run was cancelled before its end.
    pub cancelled: bool,
    /// From the first send to the last answer, in seconds.
    pub elapsed_s: f64,
    /// Requests that ended, with a good answer or without.
    pub requests: u64,
    /// Good answers (status below 400).
    pub ok: u64,
    /// Requests without a good answer, by kind.
    pub errors: BTreeMap<ErrorKind, u64>,
    /// Answers by status code.
    pub statuses: BTreeMap<u16, u64>,
    /// Errors among all requests, in per cent.
    pub error_percent: f64,
    /// Good answers a second, over `rate_over_s`.
    pub rate_per_s: f64,
    /// Seconds that the rate is over: `elapsed_s`; of an open model its stages, or to the last answer less the time that an answer takes
    /// at least where that is longer. So a target that answers each request in its time has the rate at which they came.
    pub rate_over_s: f64,
    /// Bytes of response bodies.
    pub body_bytes: u64,
    /// What it saw of its connections, and the codes of their protocol.
    pub connections: Details,
    /// Requests that were due by the schedule of an open model.
    pub due: u64,
    /// Of these, that were never sent: there was no room for them, or the run ended before.
    pub missed: u64,
    /// Requests that were sent and given up when the run was cancelled: their fate is unknown.
    pub unfinished: u64,
    /// Of good answers: from the moment the request was due (in a closed model: sent) to the end of the body.
    pub response: Percentiles,
    /// Of good answers: from the send to the end of the body.
    pub service: Percentiles,
    /// Of what was no good answer: from the moment it was due to its end.
    pub failed: Percentiles,
    /// How late the tester itself was, of every request of an open model.
    pub lag: Percentiles,
    /// Set where the tester was late.
    pub generator_limited: Option<GeneratorLimited>,
    /// Requests of visits after the first that were sent and given up when the run was cancelled.
    #[serde(skip_serializing_if = "is_zero")]
    pub unfinished_follow_ups: u64,
    /// Each step of a plan that has some, in their order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<StepReport>,
    /// What an observer told and was not kept: no number, no name, or more names than a run has; and 1 where it panicked.
    #[serde(skip_serializing_if = "is_zero")]
    pub observed_dropped: u64,
    /// CPU time that the run's own threads took, in seconds.
    pub cpu_s: f64,
    /// Second by second.
    pub intervals: Vec<Interval>,
    /// What the percentiles are of.
    #[serde(skip)]
    pub(crate) histograms: Histograms,
}

/// The histograms of a run, in microseconds.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Histograms {
    pub(crate) response: Packed,
    /// Empty in a closed model, where it is the response. Of scenarios side by side it holds those of both models.
    pub(crate) service: Packed,
    pub(crate) failed: Packed,
    pub(crate) lag: Packed,
}

/// What a report is made of besides what was recorded.
pub(crate) struct Ended {
    pub(crate) model: Model,
    pub(crate) is_cancelled: bool,
    pub(crate) elapsed: Duration,
    /// What the rate is over.
    pub(crate) rate_over: Duration,
    pub(crate) due: u64,
    pub(crate) unfinished: u64,
    pub(crate) unfinished_follow_ups: u64,
    /// Names of the steps.
    pub(crate) steps: Vec<String>,
    pub(crate) cpu: Duration,
    pub(crate) intervals: Vec<Interval>,
    pub(crate) observed_dropped: u64,
}

impl Histograms {
    fn of(recorder: &Recorder) -> Self {
        Self {
            response: Packed::of(&recorder.response_us),
            service: Packed::of(&recorder.service_us),
            failed: Packed::of(&recorder.failed_us),
            lag: Packed::of(&recorder.lag_us),
        }
    }

    /// One that holds nothing else.
    #[cfg(feature = "reports")]
    fn recorder(&self) -> Recorder {
        let mut recorder = Recorder::new();
        recorder.response_us = self.response.unpacked();
        recorder.service_us = self.service.unpacked();
        recorder.failed_us = self.failed.unpacked();
        recorder.lag_us = self.lag.unpacked();
        recorder
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Report {
    pub(crate) fn new(recorder: &Recorder, ended: &Ended) -> Self {
        let failed = recorder.failed();
        let requests = recorder.ok + failed;
        let seconds = to_the_microsecond(ended.elapsed.as_secs_f64());
        let rate_over_s = to_the_microsecond(ended.rate_over.as_secs_f64());
        let response = Percentiles::of(&recorder.response_us);
        let service = match ended.model {
            Model::Closed => response,
            _ => Percentiles::of(&recorder.service_us),
        };
        let lag = Percentiles::of(&recorder.lag_us);
        let limit_ms = f64::max(1.0, service.p99_ms / 10.0);
        let share = |part: f64, whole: f64| if whole > 0.0 { part / whole } else { 0.0 };
        Self {
            model: ended.model,
            cancelled: ended.is_cancelled,
            elapsed_s: seconds,
            requests,
            ok: recorder.ok,
            errors: recorder.errors.clone(),
            statuses: recorder.statuses.clone(),
            error_percent: share(failed as f64 * 100.0, requests as f64),
            rate_per_s: share(recorder.ok as f64, rate_over_s),
            rate_over_s,
            body_bytes: recorder.body_bytes,
            connections: Details {
                connected_s: to_the_microsecond(recorder.details.connected_s),
                ..recorder.details.clone()
            },
            due: ended.due,
            // Of an open model each that was due and sent has its lag.
            missed: ended
                .due
                .saturating_sub(recorder.lag_us.len())
                .saturating_sub(ended.unfinished),
            unfinished: ended.unfinished,
            response,
            service,
            failed: Percentiles::of(&recorder.failed_us),
            lag,
            generator_limited: (lag.p99_ms > limit_ms).then_some(GeneratorLimited {
                lag_p99_ms: lag.p99_ms,
                limit_ms,
            }),
            unfinished_follow_ups: ended.unfinished_follow_ups,
            steps: ended
                .steps
                .iter()
                .enumerate()
                .map(|(number, name)| {
                    let step = recorder.steps.get(number).and_then(Option::as_deref);
                    StepReport::new(name, step, ended.model)
                })
                .collect(),
            observed_dropped: ended.observed_dropped,
            cpu_s: to_the_microsecond(ended.cpu.as_secs_f64()),
            intervals: ended.intervals.clone(),
            histograms: Histograms::of(recorder),
        }
    }

    /// The percentiles of the response times with their intervals, from the 50th to the 99.99th.
    #[must_use]
    pub fn response_estimates(&self) -> Vec<Estimate> {
        estimates(&self.histograms.response.unpacked())
    }

    /// What it was made of.
    #[cfg(feature = "reports")]
    fn recorder(&self) -> Recorder {
        let mut recorder = self.histograms.recorder();
        recorder.ok = self.ok;
        recorder.errors.clone_from(&self.errors);
        recorder.statuses.clone_from(&self.statuses);
        recorder.body_bytes = self.body_bytes;
        recorder.details.clone_from(&self.connections);
        recorder.steps = self
            .steps
            .iter()
            .map(|step| Some(Box::new(step.recorder())))
            .collect();
        recorder
    }

    /// Those of the service times.
    #[must_use]
    pub fn service_estimates(&self) -> Vec<Estimate> {
        let of = match self.model {
            Model::Closed => &self.histograms.response,
            _ => &self.histograms.service,
        };
        estimates(&of.unpacked())
    }
}
