//! What was seen of each step of a plan.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Histograms, Model};
use crate::percentiles::Percentiles;
use crate::record::{ErrorKind, Recorder, StepRecorder};

/// One step of a plan. Its requests are also counted in the whole.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StepReport {
    /// Its name: `flow/step`, or of a plan with one flow the step's alone.
    pub name: String,
    /// Requests that ended. A step after one that failed is not sent.
    pub requests: u64,
    /// Answers that were what the step expects.
    pub ok: u64,
    /// The others, by kind.
    pub errors: BTreeMap<ErrorKind, u64>,
    /// Errors among its requests, in per cent.
    pub error_percent: f64,
    /// Answers by status code.
    pub statuses: BTreeMap<u16, u64>,
    /// Bytes of response bodies.
    pub body_bytes: u64,
    /// What answers did not pass, by name: `status 503`, `header etag`, `body_contains`, `json /id`, `within_ms`,
    /// `capture token`.
    pub unmet: BTreeMap<String, u64>,
    /// Of good answers: of a visit's first step of an open model from the moment it was due, else from the send, to the end of
    /// the body.
    pub response: Percentiles,
    /// Of good answers: from the send to the end of the body.
    pub service: Percentiles,
    /// Of what was no good answer.
    pub failed: Percentiles,
    /// How late the tester itself was: of a visit's first step of an open model.
    pub lag: Percentiles,
    #[serde(skip)]
    pub(crate) histograms: Histograms,
}

impl StepReport {
    pub(super) fn new(name: &str, step: Option<&StepRecorder>, model: Model) -> Self {
        let empty = Recorder::new();
        let recorder = step.map_or(&empty, |step| &step.recorder);
        let failed = recorder.failed();
        let requests = recorder.ok + failed;
        let response = Percentiles::of(&recorder.response_us);
        Self {
            name: name.to_owned(),
            requests,
            ok: recorder.ok,
            errors: recorder.errors.clone(),
            error_percent: if requests > 0 {
                failed as f64 * 100.0 / requests as f64
            } else {
                0.0
            },
            statuses: recorder.statuses.clone(),
            body_bytes: recorder.body_bytes,
            unmet: step.map(|step| step.unmet.clone()).unwrap_or_default(),
            response,
            service: match model {
                Model::Closed => response,
                _ => Percentiles::of(&recorder.service_us),
            },
            failed: Percentiles::of(&recorder.failed_us),
            lag: Percentiles::of(&recorder.lag_us),
            histograms: Histograms::of(recorder),
        }
    }

    /// A percentile of its response times, 50, 75, 90, 95, 99, 99.9 or 99.99; none of another, and where too few were counted to tell.
    #[must_use]
    pub fn response_ms(&self, percentile: f64) -> Option<f64> {
        let estimates = crate::confidence::estimates(&self.histograms.response.unpacked());
        let mut estimates = estimates.iter();
        estimates
            .find(|estimate| (estimate.percentile - percentile).abs() < 1e-9)?
            .value_ms
    }

    /// What it was made of.
    #[cfg(feature = "reports")]
    pub(super) fn recorder(&self) -> StepRecorder {
        let mut recorder = self.histograms.recorder();
        recorder.ok = self.ok;
        recorder.errors.clone_from(&self.errors);
        recorder.statuses.clone_from(&self.statuses);
        recorder.body_bytes = self.body_bytes;
        StepRecorder {
            recorder,
            unmet: self.unmet.clone(),
        }
    }
}
