//! Results as JSON, read. What is wrong with a file is named by its path, and nothing in it makes a figure that no run can have.

use std::time::{Duration, UNIX_EPOCH};

use serde::Deserialize;

use super::json::SCHEMA;
use super::results::Results;
use super::told::{Read, ReadReport};
use super::{Ended, Report, hdr};
use crate::engine::{MAX_FIGURES, MAX_NAME};
use crate::plan::MAX_SCENARIOS;
use crate::record::{Recorder, StepRecorder};
use crate::series::Interval;

/// The most seconds of a file: more than any run has.
const MAX_INTERVALS: usize = 10_000;
/// More bytes than any run can have, so that sums never overflow: 1 PiB.
const MAX_BYTES: u64 = 1 << 50;

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
    /// Reads what [`json`](Self::json) wrote.
    ///
    /// # Errors
    /// [`ReadError`] says what is wrong, as the end of a sentence that begins with the file's name.
    pub fn read(text: &str) -> Result<Self, ReadError> {
        let OnlySchema { schema } = serde_json::from_str(text)?;
        if schema != SCHEMA {
            return Err(ReadError::Schema(schema));
        }
        Self::of_file(serde_json::from_str(text)?)
    }

    fn of_file(mut read: Read) -> Result<Self, ReadError> {
        let scenarios = scenarios(&mut read)?;
        let mut recorder = recorder(&read)?;
        recorder.steps = steps(&read)?;
        let intervals = intervals(&read, &recorder)?;
        let Read {
            report: told,
            parts,
            ..
        } = read;
        numbers(&told, read.began_unix_s)?;
        // Each that was sent was due.
        if told.due < recorder.lag_us.len() {
            return wrong("report.due", "is less than what was sent");
        }
        if !is_time(parts.apart_s) {
            return wrong("parts.apart_s", "wants seconds");
        }
        if !is_time(read.start_s) {
            return wrong("start_s", "wants seconds");
        }
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
                model: told.model,
                is_cancelled: told.cancelled,
                elapsed: Duration::from_secs_f64(told.elapsed_s),
                rate_over: Duration::from_secs_f64(told.rate_over_s.unwrap_or(told.elapsed_s)),
                due: told.due,
                unfinished: told.unfinished,
                unfinished_follow_ups: told.unfinished_follow_ups,
                steps: told.steps.into_iter().map(|step| step.name).collect(),
                cpu: Duration::from_secs_f64(told.cpu_s),
                intervals,
                observed_dropped: told.observed_dropped,
            },
        );
        // Of a merge one part may have been late where the whole was not.
        report.generator_limited = report.generator_limited.or(told.generator_limited);
        let sum = |of: fn(&Report) -> u64| scenarios.iter().map(|one| of(&one.report)).sum::<u64>();
        let told = (sum(|one| one.requests), sum(|one| one.ok));
        if !scenarios.is_empty() && told != (report.requests, report.ok) {
            return wrong("scenarios", "count other requests than the whole has");
        }
        Ok(Self {
            name: read.name,
            start_s: read.start_s,
            scenarios,
            target: read.target,
            plan: read.plan,
            parts,
            // Kept to the millisecond, which a number of seconds since 1970 has not exactly.
            began: UNIX_EPOCH + Duration::from_millis((read.began_unix_s * 1e3).round() as u64),
            report,
            thresholds: read
                .thresholds
                .into_iter()
                .map(|read| read.threshold)
                .collect(),
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

/// Those of a plan with several. They count what the whole counts.
fn scenarios(read: &mut Read) -> Result<Vec<Results>, ReadError> {
    let told = std::mem::take(&mut read.scenarios);
    if told.len() > MAX_SCENARIOS {
        return wrong("scenarios", format!("want at most {MAX_SCENARIOS}"));
    }
    let mut scenarios = Vec::with_capacity(told.len());
    for (at, one) in told.into_iter().enumerate() {
        if !one.scenarios.is_empty() {
            return wrong(
                &format!("scenarios[{at}].scenarios"),
                "stand in no scenario",
            );
        }
        scenarios.push(Results::of_file(one).map_err(|error| match error {
            ReadError::Field { field, wrong } => ReadError::Field {
                field: format!("scenarios[{at}].{field}"),
                wrong,
            },
            other => other,
        })?);
    }
    Ok(scenarios)
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
        let has_too_many = [second.errors, second.in_flight]
            .iter()
            .any(|count| *count > hdr::MAX_COUNT);
        if has_too_many || second.body_bytes > MAX_BYTES || !is_time(second.cpu_s) {
            return wrong(&field, "counts more than a run can");
        }
        let response = match hdr::read(text) {
            Ok(packed) => packed.unpacked(),
            Err(error) => return wrong(&format!("histograms.intervals[{at}]"), error),
        };
        let observed = &second.observed;
        let is_name = |name: &String| (1..=MAX_NAME).contains(&name.len());
        if observed.len() > MAX_FIGURES || !observed.keys().all(is_name) {
            return wrong(
                &format!("{field}.observed"),
                "wants at most 32 names of at most 64 bytes",
            );
        }
        intervals.push(Interval {
            observed: observed.clone(),
            body_bytes: second.body_bytes,
            in_flight: second.in_flight,
            cpu_s: second.cpu_s,
            ..Interval::new(
                second.until_s,
                second.duration_s,
                (response.len(), second.errors),
                &response,
            )
        });
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
        ("report.rate_over_s", told.rate_over_s.unwrap_or(0.0)),
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
        (
            "report.observed_dropped",
            told.observed_dropped,
            hdr::MAX_COUNT,
        ),
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
