//! Results as JSON, written and read.
//!
//! The schema is `pitcrew-load/1`: within it fields are added and never change their meaning. Times are in the unit that ends a
//! field's name; histograms are of microseconds, in HDR's format V2 and base64. What is read back is made anew of the
//! histograms and counts, so a figure in a file cannot contradict them.

use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::results::{Parts, Results};
use super::{Ended, GeneratorLimited, Model, Report, hdr};
use crate::confidence::Estimate;
use crate::details::Details;
use crate::record::{ErrorKind, Recorder, StepRecorder};
use crate::series::Interval;
use crate::threshold::{Breach, Threshold, Verdict};

/// Name and version of the schema.
pub const SCHEMA: &str = "pitcrew-load/1";

/// The most seconds of a file: more than any run has.
const MAX_INTERVALS: usize = 10_000;
/// More bytes than any run can have, so that sums never overflow: 1 PiB.
const MAX_BYTES: u64 = 1 << 50;

#[derive(Serialize)]
struct Written<'a> {
    schema: &'static str,
    program: &'static str,
    target: &'a str,
    began_unix_s: f64,
    plan: &'a Value,
    parts: &'a Parts,
    report: &'a Report,
    thresholds: Vec<Verdict>,
    stopped_by: Option<Breach>,
    estimates: Estimates,
    histograms: Histograms,
}

#[derive(Serialize)]
struct Estimates {
    response: Vec<Estimate>,
    /// As the response in a closed model, and left out then.
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<Vec<Estimate>>,
}

#[derive(Serialize, Deserialize)]
struct Histograms {
    response: String,
    service: String,
    failed: String,
    lag: String,
    /// Response times of each of the report's intervals.
    intervals: Vec<String>,
    /// Of each of the report's steps.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    steps: Vec<StepHistograms>,
}

#[derive(Serialize, Deserialize)]
struct StepHistograms {
    response: String,
    service: String,
    failed: String,
    lag: String,
}

#[derive(Deserialize)]
struct Read {
    target: String,
    began_unix_s: f64,
    plan: Value,
    parts: Parts,
    report: ReadReport,
    thresholds: Vec<ReadThreshold>,
    stopped_by: Option<Breach>,
    histograms: Histograms,
}

#[derive(Deserialize)]
struct ReadReport {
    model: Model,
    cancelled: bool,
    elapsed_s: f64,
    errors: BTreeMap<ErrorKind, u64>,
    statuses: BTreeMap<u16, u64>,
    body_bytes: u64,
    connections: Details,
    due: u64,
    unfinished: u64,
    #[serde(default)]
    unfinished_follow_ups: u64,
    #[serde(default)]
    steps: Vec<ReadStep>,
    cpu_s: f64,
    generator_limited: Option<GeneratorLimited>,
    intervals: Vec<ReadInterval>,
}

#[derive(Deserialize)]
struct ReadStep {
    name: String,
    errors: BTreeMap<ErrorKind, u64>,
    statuses: BTreeMap<u16, u64>,
    body_bytes: u64,
    unmet: BTreeMap<String, u64>,
}

#[derive(Deserialize)]
struct ReadInterval {
    until_s: f64,
    duration_s: f64,
    errors: u64,
}

#[derive(Deserialize)]
struct ReadThreshold {
    threshold: Threshold,
}

#[derive(Deserialize)]
struct OnlySchema {
    schema: String,
}

/// Why a file cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// It is not JSON, or a field is missing or of another type.
    #[error("is no result of this program: {0}")]
    Form(#[from] serde_json::Error),
    /// It is of a schema that this version does not know.
    #[error("has the schema `{0}`, and this version reads `{SCHEMA}`: run both with one version")]
    Schema(String),
    /// A field holds what no run can have.
    #[error("{field} {wrong}")]
    Field {
        /// Its path.
        field: String,
        /// What is wrong with it.
        wrong: String,
    },
}

impl Results {
    /// As JSON, in the schema [`SCHEMA`].
    #[must_use]
    pub fn json(&self) -> String {
        let (response, service) = self.estimates();
        let own = &self.report.histograms;
        let written = Written {
            schema: SCHEMA,
            program: env!("CARGO_PKG_VERSION"),
            target: &self.target,
            began_unix_s: self.began_unix().as_secs_f64(),
            plan: &self.plan,
            parts: &self.parts,
            report: &self.report,
            thresholds: self.verdicts(),
            stopped_by: self.stopped_by,
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
        };
        // Names are text and numbers are finite or null, so nothing here can fail.
        serde_json::to_string_pretty(&written).unwrap_or_default()
    }

    /// Reads what [`json`](Self::json) wrote.
    ///
    /// # Errors
    /// [`ReadError`] says what is wrong, as the end of a sentence that begins with the file's name.
    pub fn read(text: &str) -> Result<Self, ReadError> {
        let OnlySchema { schema } = serde_json::from_str(text)?;
        if schema != SCHEMA {
            return Err(ReadError::Schema(schema));
        }
        let read: Read = serde_json::from_str(text)?;
        let mut recorder = recorder(&read)?;
        recorder.steps = steps(&read)?;
        let intervals = intervals(&read, &recorder)?;
        let Read {
            report: told,
            parts,
            ..
        } = read;
        numbers(&told, read.began_unix_s)?;
        if parts.numbers.is_empty()
            || !parts.numbers.is_sorted_by(|a, b| a < b)
            || parts
                .numbers
                .iter()
                .any(|number| !(1..=parts.of).contains(number))
        {
            return wrong(
                "parts",
                "want numbers from 1 to `of`, each once and in order",
            );
        }
        let mut report = Report::new(
            &recorder,
            &Ended {
                is_open: told.model == Model::Open,
                is_cancelled: told.cancelled,
                elapsed: Duration::from_secs_f64(told.elapsed_s),
                due: told.due,
                unfinished: told.unfinished,
                unfinished_follow_ups: told.unfinished_follow_ups,
                steps: told.steps.into_iter().map(|step| step.name).collect(),
                cpu: Duration::from_secs_f64(told.cpu_s),
                intervals,
            },
        );
        // Of a merge one part may have been late where the whole was not.
        report.generator_limited = report.generator_limited.or(told.generator_limited);
        Ok(Self {
            target: read.target,
            plan: read.plan,
            parts,
            began: UNIX_EPOCH + Duration::from_secs_f64(read.began_unix_s),
            report,
            thresholds: read.thresholds.iter().map(|read| read.threshold).collect(),
            stopped_by: read.stopped_by,
        })
    }
}

fn wrong<T>(field: &str, wrong: impl Into<String>) -> Result<T, ReadError> {
    Err(ReadError::Field {
        field: field.to_owned(),
        wrong: wrong.into(),
    })
}

fn recorder(read: &Read) -> Result<Recorder, ReadError> {
    let histogram = |name: &str, text: &str| {
        hdr::read(text)
            .map(|packed| packed.unpacked())
            .or_else(|error| wrong(&format!("histograms.{name}"), error))
    };
    let mut recorder = Recorder::new();
    recorder.response_us = histogram("response", &read.histograms.response)?;
    recorder.service_us = histogram("service", &read.histograms.service)?;
    recorder.failed_us = histogram("failed", &read.histograms.failed)?;
    recorder.lag_us = histogram("lag", &read.histograms.lag)?;
    recorder.ok = recorder.response_us.len();
    recorder.errors.clone_from(&read.report.errors);
    recorder.statuses.clone_from(&read.report.statuses);
    recorder.body_bytes = read.report.body_bytes;
    let connections = &read.report.connections;
    if connections.most() > hdr::MAX_COUNT || !is_time(connections.connected_s) {
        return wrong("report.connections", "count more than a run can");
    }
    // Merged and not cloned: so it keeps its bound whatever the file holds.
    recorder.details.merge(connections);
    let counts = recorder.errors.values().chain(recorder.statuses.values());
    if counts.clone().any(|count| *count > hdr::MAX_COUNT) {
        return wrong("report.errors", "or statuses count more than a run can");
    }
    if recorder.failed() != recorder.failed_us.len() {
        return wrong(
            "report.errors",
            "are not as many as histograms.failed counts",
        );
    }
    Ok(recorder)
}

/// As many as any plan has (`MAX_STEPS`), and room for later ones.
const MAX_STEPS: usize = 1_000;
/// More names than a step has checks and statuses.
const MAX_UNMET: usize = 2_000;

fn steps(read: &Read) -> Result<Vec<Option<Box<StepRecorder>>>, ReadError> {
    let (told, histograms) = (&read.report.steps, &read.histograms.steps);
    if told.len() != histograms.len() || told.len() > MAX_STEPS {
        return wrong(
            "report.steps",
            format!("want one of histograms.steps each, and at most {MAX_STEPS}"),
        );
    }
    let mut steps = Vec::with_capacity(told.len());
    for (at, (step, own)) in told.iter().zip(histograms).enumerate() {
        let histogram = |name: &str, text: &str| {
            hdr::read(text)
                .map(|packed| packed.unpacked())
                .or_else(|error| wrong(&format!("histograms.steps[{at}].{name}"), error))
        };
        let mut recorder = Recorder::new();
        recorder.response_us = histogram("response", &own.response)?;
        recorder.service_us = histogram("service", &own.service)?;
        recorder.failed_us = histogram("failed", &own.failed)?;
        recorder.lag_us = histogram("lag", &own.lag)?;
        recorder.ok = recorder.response_us.len();
        recorder.errors.clone_from(&step.errors);
        recorder.statuses.clone_from(&step.statuses);
        recorder.body_bytes = step.body_bytes;
        let counts = step.errors.values().chain(step.statuses.values());
        let mut counts = counts.chain(step.unmet.values());
        if counts.any(|count| *count > hdr::MAX_COUNT)
            || step.body_bytes > MAX_BYTES
            || step.unmet.len() > MAX_UNMET
        {
            return wrong(&format!("report.steps[{at}]"), "counts more than a run can");
        }
        if recorder.failed() != recorder.failed_us.len() {
            return wrong(
                &format!("report.steps[{at}].errors"),
                "are not as many as its histogram counts",
            );
        }
        steps.push(Some(Box::new(StepRecorder {
            recorder,
            unmet: step.unmet.clone(),
        })));
    }
    Ok(steps)
}

fn intervals(read: &Read, recorder: &Recorder) -> Result<Vec<Interval>, ReadError> {
    let (told, histograms) = (&read.report.intervals, &read.histograms.intervals);
    if told.len() != histograms.len() || told.len() > MAX_INTERVALS {
        return wrong(
            "report.intervals",
            format!("want one of histograms.intervals each, and at most {MAX_INTERVALS}"),
        );
    }
    let mut intervals = Vec::with_capacity(told.len());
    for (at, (second, text)) in told.iter().zip(histograms).enumerate() {
        let field = format!("report.intervals[{at}]");
        if !(is_time(second.until_s) && is_time(second.duration_s) && second.duration_s > 0.0) {
            return wrong(&field, "wants until_s and duration_s in seconds");
        }
        if second.errors > hdr::MAX_COUNT {
            return wrong(&field, "counts more than a run can");
        }
        let response = match hdr::read(text) {
            Ok(packed) => packed.unpacked(),
            Err(error) => return wrong(&format!("histograms.intervals[{at}]"), error),
        };
        intervals.push(Interval::new(
            second.until_s,
            second.duration_s,
            (response.len(), second.errors),
            &response,
        ));
    }
    let told = intervals.iter().fold((0, 0), |(ok, errors), second| {
        (ok + second.ok, errors + second.errors)
    });
    if told != (recorder.ok, recorder.failed()) {
        return wrong(
            "report.intervals",
            "count other requests than the whole has",
        );
    }
    Ok(intervals)
}

fn numbers(told: &ReadReport, began_unix_s: f64) -> Result<(), ReadError> {
    for (field, seconds) in [
        ("report.elapsed_s", told.elapsed_s),
        ("report.cpu_s", told.cpu_s),
        ("began_unix_s", began_unix_s),
    ] {
        if !is_time(seconds) {
            return wrong(field, "wants seconds");
        }
    }
    for (field, number, most) in [
        ("report.body_bytes", told.body_bytes, MAX_BYTES),
        ("report.due", told.due, hdr::MAX_COUNT),
        ("report.unfinished", told.unfinished, hdr::MAX_COUNT),
        (
            "report.unfinished_follow_ups",
            told.unfinished_follow_ups,
            hdr::MAX_COUNT,
        ),
    ] {
        if number > most {
            return wrong(field, "is more than a run can have");
        }
    }
    Ok(())
}

/// Not a NaN, and nothing that a `Duration` or a `SystemTime` cannot hold.
fn is_time(seconds: f64) -> bool {
    (0.0..1e11).contains(&seconds)
}
