//! The parts of one plan, run by several processes, as one result.

use std::time::Duration;

use super::results::{Parts, Results};
use super::{Ended, Report};
use crate::record::{self, Recorder};
use crate::series::{Interval, Observed, to_the_microsecond};

/// Results that are not the parts of one run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MergeError {
    /// There is nothing to merge.
    #[error("nothing to merge: name the results of each part")]
    Nothing,
    /// They are of different plans, targets or thresholds.
    #[error("{one} and {other} have a different {what}, so they are no parts of one run")]
    Different {
        /// The first file.
        one: String,
        /// The one that differs.
        other: String,
        /// `plan`, `target`, `list of thresholds` or `number of parts`.
        what: &'static str,
    },
    /// A part is there twice.
    #[error("{one} and {other} are both of part {part}/{of}: run each process with its own --part")]
    Twice {
        /// The first file.
        one: String,
        /// The other file.
        other: String,
        /// The part.
        part: u64,
        /// Of so many.
        of: u64,
    },
    /// A part is not there.
    #[error("part {part}/{of} is missing: what is left would pass for the whole")]
    Missing {
        /// The first that is missing.
        part: u64,
        /// Of so many.
        of: u64,
    },
}

/// Merges the parts of one plan. Each comes with the name that errors shall give it.
///
/// Counts and histograms are added, so percentiles are those of one run that had counted everything. Seconds are added in
/// their order from each part's own beginning; the rate is that of all parts over the time of the longest. Start the parts
/// together: what lies between their beginnings is not corrected.
///
/// # Errors
/// [`MergeError`] when they are not all parts of one plan, each once.
pub fn merge(named: &[(String, Results)]) -> Result<Results, MergeError> {
    let [(first_name, first), rest @ ..] = named else {
        return Err(MergeError::Nothing);
    };
    for (name, results) in rest {
        let same = [
            ("plan", first.plan == results.plan),
            ("plan", first.report.model == results.report.model),
            (
                "plan",
                first.report.steps.iter().map(|step| &step.name).eq(results
                    .report
                    .steps
                    .iter()
                    .map(|step| &step.name)),
            ),
            ("target", first.target == results.target),
            ("list of thresholds", first.thresholds == results.thresholds),
            ("number of parts", first.parts.of == results.parts.of),
            (
                "plan",
                first.scenarios.len() == results.scenarios.len() && first.name == results.name,
            ),
        ];
        if let Some((what, _)) = same.iter().find(|(_, is_same)| !is_same) {
            return Err(MergeError::Different {
                one: first_name.clone(),
                other: name.clone(),
                what,
            });
        }
    }
    let parts = parts(named, first.parts.of)?;
    let mut recorder = Recorder::new();
    let mut ended = Ended {
        model: first.report.model,
        is_cancelled: false,
        elapsed: Duration::ZERO,
        rate_over: Duration::ZERO,
        due: 0,
        unfinished: 0,
        unfinished_follow_ups: 0,
        steps: first
            .report
            .steps
            .iter()
            .map(|step| step.name.clone())
            .collect(),
        cpu: Duration::ZERO,
        intervals: intervals(named),
        observed_dropped: 0,
    };
    for (_, results) in named {
        let report = &results.report;
        recorder.merge(&report.recorder());
        ended.is_cancelled |= report.cancelled;
        ended.elapsed = ended.elapsed.max(Duration::from_secs_f64(report.elapsed_s));
        ended.rate_over = ended
            .rate_over
            .max(Duration::from_secs_f64(report.rate_over_s));
        ended.observed_dropped += report.observed_dropped;
        ended.due += report.due;
        ended.unfinished += report.unfinished;
        ended.unfinished_follow_ups += report.unfinished_follow_ups;
        ended.cpu += Duration::from_secs_f64(report.cpu_s);
    }
    let mut report = Report::new(&recorder, &ended);
    // One that was late makes the whole late, however small its part.
    let mut limited = named.iter().filter_map(|(_, results)| results.limited());
    report.generator_limited = report.generator_limited.or(limited.next().copied());
    let scenarios = (0..first.scenarios.len()).map(|at| {
        let of_one = |(name, results): &(String, Results)| {
            let one = results.scenarios.get(at)?.clone();
            Some((format!("{name}, scenario {},", one.name), one))
        };
        merge(&named.iter().filter_map(of_one).collect::<Vec<_>>())
    });
    let scenarios = scenarios.collect::<Result<_, _>>()?;
    Ok(Results {
        name: first.name.clone(),
        start_s: first.start_s,
        scenarios,
        target: first.target.clone(),
        plan: first.plan.clone(),
        parts,
        began: named
            .iter()
            .map(|(_, results)| results.began)
            .min()
            .unwrap_or(first.began),
        report,
        thresholds: first.thresholds.clone(),
        stopped_by: named
            .iter()
            .find_map(|(_, results)| results.stopped_by.clone()),
    })
}

fn parts(named: &[(String, Results)], of: u64) -> Result<Parts, MergeError> {
    let mut all: Vec<(u64, &String)> = named
        .iter()
        .flat_map(|(name, results)| results.parts.numbers.iter().map(move |part| (*part, name)))
        .collect();
    all.sort_by_key(|(part, _)| *part);
    for pair in all.windows(2) {
        let [(part, one), (next, other)] = pair else {
            continue;
        };
        if part == next {
            return Err(MergeError::Twice {
                one: (*one).clone(),
                other: (*other).clone(),
                part: *part,
                of,
            });
        }
    }
    let numbers: Vec<u64> = all.iter().map(|(part, _)| *part).collect();
    match (1..=of).find(|part| numbers.binary_search(part).is_err()) {
        Some(part) => Err(MergeError::Missing { part, of }),
        None => Ok(Parts {
            numbers,
            of,
            apart_s: apart_s(named),
        }),
    }
}

/// Between the first and the last beginning.
fn apart_s(named: &[(String, Results)]) -> f64 {
    let began = || named.iter().map(|(_, results)| results.began_unix());
    let apart = began().max().zip(began().min());
    apart.map_or(0.0, |(last, first)| {
        to_the_microsecond((last - first).as_secs_f64())
    })
}

/// The first seconds of all parts are the first of the whole, and so on.
fn intervals(named: &[(String, Results)]) -> Vec<Interval> {
    let all = || named.iter().map(|(_, results)| &results.report.intervals);
    let length = all().map(Vec::len).max().unwrap_or(0);
    (0..length)
        .map(|at| {
            let mut response = record::histogram();
            let (mut until_s, mut duration_s, mut errors) = (0.0_f64, 0.0_f64, 0);
            for second in all().filter_map(|intervals| intervals.get(at)) {
                second.response.add_to(&mut response);
                until_s = until_s.max(second.until_s);
                duration_s = duration_s.max(second.duration_s);
                errors += second.errors;
            }
            let seconds = || all().filter_map(|intervals| intervals.get(at));
            let mut observed = Observed::default();
            for second in all().filter_map(|intervals| intervals.get(at)) {
                observed.add(
                    second
                        .observed
                        .iter()
                        .map(|(name, value)| (name.as_str(), *value)),
                );
            }
            Interval {
                observed: observed.means(),
                body_bytes: seconds().map(|second| second.body_bytes).sum(),
                in_flight: seconds().map(|second| second.in_flight).sum(),
                cpu_s: to_the_microsecond(seconds().map(|second| second.cpu_s).sum()),
                ..Interval::new(until_s, duration_s, (response.len(), errors), &response)
            }
        })
        .collect()
}
