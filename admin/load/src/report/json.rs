//! Results as JSON, written. `read` reads it.
//!
//! The schema is `pitcrew-load/1`: within it fields are added and never change their meaning. Times are in the unit that ends a
//! field's name; histograms are of microseconds, in HDR's format V2 and base64. What is read back is made anew of the
//! histograms and counts, so a figure in a file cannot contradict them.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::results::{Parts, Results};
use super::{Report, hdr};
use crate::confidence::Estimate;
use crate::threshold::{Breach, Verdict};

/// Name and version of the schema.
pub const SCHEMA: &str = "pitcrew-load/1";

#[derive(Serialize)]
struct File<'a> {
    schema: &'static str,
    program: &'static str,
    #[serde(flatten)]
    results: Written<'a>,
}

#[derive(Serialize)]
struct Written<'a> {
    /// Of a scenario, as the next.
    #[serde(skip_serializing_if = "str::is_empty")]
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_s: Option<f64>,
    target: &'a str,
    began_unix_s: f64,
    plan: &'a Value,
    parts: &'a Parts,
    report: &'a Report,
    thresholds: Vec<Verdict>,
    stopped_by: Option<Breach>,
    estimates: Estimates,
    histograms: Histograms,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    scenarios: Vec<Self>,
}

#[derive(Serialize)]
struct Estimates {
    response: Vec<Estimate>,
    /// As the response in a closed model, and left out then.
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<Vec<Estimate>>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Histograms {
    pub(super) response: String,
    pub(super) service: String,
    pub(super) failed: String,
    pub(super) lag: String,
    /// Response times of each of the report's intervals.
    pub(super) intervals: Vec<String>,
    /// Of each of the report's steps.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) steps: Vec<StepHistograms>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct StepHistograms {
    pub(super) response: String,
    pub(super) service: String,
    pub(super) failed: String,
    pub(super) lag: String,
}

impl Results {
    /// As JSON, in the schema [`SCHEMA`].
    #[must_use]
    pub fn json(&self) -> String {
        let file = File {
            schema: SCHEMA,
            program: env!("CARGO_PKG_VERSION"),
            results: self.written(),
        };
        // Names are text and numbers are finite or null, so nothing here can fail.
        serde_json::to_string_pretty(&file).unwrap_or_default()
    }

    fn written(&self) -> Written<'_> {
        let (response, service) = self.estimates();
        let own = &self.report.histograms;
        Written {
            name: &self.name,
            start_s: (!self.name.is_empty()).then_some(self.start_s),
            scenarios: self.scenarios.iter().map(Self::written).collect(),
            target: &self.target,
            began_unix_s: self.began_unix().as_secs_f64(),
            plan: &self.plan,
            parts: &self.parts,
            report: &self.report,
            thresholds: self.verdicts(),
            stopped_by: self.stopped_by.clone(),
            estimates: Estimates { response, service },
            histograms: Histograms {
                response: hdr::written(&own.response),
                service: hdr::written(&own.service),
                failed: hdr::written(&own.failed),
                lag: hdr::written(&own.lag),
                intervals: self
                    .report
                    .intervals
                    .iter()
                    .map(|second| hdr::written(&second.response))
                    .collect(),
                steps: self
                    .report
                    .steps
                    .iter()
                    .map(|step| StepHistograms {
                        response: hdr::written(&step.histograms.response),
                        service: hdr::written(&step.histograms.service),
                        failed: hdr::written(&step.histograms.failed),
                        lag: hdr::written(&step.histograms.lag),
                    })
                    .collect(),
            },
        }
    }
}
