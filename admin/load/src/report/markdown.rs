//! Results as Markdown, for a pull request or a chat.

use std::fmt::Write as _;

use super::Model;
use super::results::Results;
use super::text::{figure, name, range, thousands, time};
use crate::confidence::Estimate;

/// Parts may begin so far apart, in seconds or as a share of the run.
const APART_S: f64 = 0.5;
const APART_SHARE: f64 = 0.1;

impl Results {
    /// As Markdown: thresholds, percentiles with their 95 % intervals, errors, the plan.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut text = format!("# Load test of {}\n", cell(&self.target));
        self.figures(&mut text);
        // Writing to a String cannot fail.
        for scenario in &self.scenarios {
            let _ = write!(text, "\n## Scenario {}\n", cell(&scenario.name));
            scenario.figures(&mut text);
        }
        text.push_str("\nPlan:\n\n");
        let plan = serde_json::to_string_pretty(&self.plan).unwrap_or_default();
        for line in plan.lines() {
            // Four spaces make it code, whatever is in it (CommonMark 0.31, section 4.4).
            let _ = writeln!(text, "    {line}");
        }
        text
    }

    /// All but the plan.
    fn figures(&self, text: &mut String) {
        let _ = write!(text, "\n{}\n", self.summary());
        for warning in self.warnings() {
            let _ = write!(text, "\n> **{warning}**\n");
        }
        if let Some(note) = self.too_short() {
            let _ = write!(text, "\n{note}\n");
        }
        let verdicts = self.verdicts();
        if !verdicts.is_empty() {
            text.push_str("\n| threshold | measured | |\n|---|---|---|\n");
            for verdict in verdicts {
                let word = if verdict.holds {
                    "held"
                } else {
                    &*format!("**{}**", verdict.word())
                };
                let _ = writeln!(
                    text,
                    "| {} | {} | {word} |",
                    cell(&verdict.threshold.to_string()),
                    verdict.measured_text()
                );
            }
        }
        self.latencies(text);
        self.steps(text);
        if !self.report.errors.is_empty() {
            text.push_str("\n| error | count |\n|---|---|\n");
            for (kind, count) in &self.report.errors {
                let _ = writeln!(text, "| {} | {} |", name(*kind), thousands(*count));
            }
        }
    }

    fn latencies(&self, text: &mut String) {
        let (response, service) = self.estimates();
        if self.report.ok == 0 {
            text.push_str("\nThere was no good answer, so there are no latencies.\n");
            return;
        }
        text.push_str("\n| percentile | response | 95 % interval |");
        text.push_str(if service.is_some() {
            " service | 95 % interval |\n"
        } else {
            "\n"
        });
        text.push_str("|---|---|---|");
        text.push_str(if service.is_some() {
            "---|---|\n"
        } else {
            "\n"
        });
        for (at, estimate) in response.iter().enumerate() {
            let _ = write!(text, "| p{} | {} |", estimate.percentile, columns(estimate));
            if let Some(estimate) = service.as_ref().and_then(|service| service.get(at)) {
                let _ = write!(text, " {} |", columns(estimate));
            }
            text.push('\n');
        }
        let means = |of: &crate::Percentiles| {
            format!("mean {}, highest {}", time(of.mean_ms), time(of.max_ms))
        };
        let _ = write!(text, "\nResponse: {}", means(&self.report.response));
        if service.is_some() {
            let _ = write!(text, "; service: {}", means(&self.report.service));
        }
        text.push_str(".\n");
    }

    fn steps(&self, text: &mut String) {
        if self.report.steps.is_empty() {
            return;
        }
        text.push_str("\n| step | requests | errors | p50 | p95 | p99 | not met |\n|---|---|---|---|---|---|---|\n");
        for step in &self.report.steps {
            let times = &step.response;
            let unmet: Vec<_> = step
                .unmet
                .iter()
                .map(|(name, count)| format!("{} {}", thousands(*count), cell(name)))
                .collect();
            let _ = writeln!(
                text,
                "| {} | {} | {} % | {} | {} | {} | {} |",
                cell(&step.name),
                thousands(step.requests),
                figure(step.error_percent),
                percentile(times, 0.5, times.p50_ms),
                percentile(times, 0.95, times.p95_ms),
                percentile(times, 0.99, times.p99_ms),
                unmet.join(", ")
            );
        }
    }

    /// One sentence on what was sent and what came back.
    #[must_use]
    pub fn summary(&self) -> String {
        let report = &self.report;
        let mut text = format!(
            "{} requests in {:.2} s, {} good answers a second, {} % errors",
            thousands(report.requests),
            report.elapsed_s,
            figure(report.rate_per_s),
            figure(report.error_percent),
        );
        if report.model != Model::Closed {
            let _ = write!(
                text,
                "; {} were due, {} missed",
                thousands(report.due),
                thousands(report.missed)
            );
        }
        let given_up = report.unfinished + report.unfinished_follow_ups;
        if given_up > 0 {
            let _ = write!(text, "; {} given up", thousands(given_up));
        }
        if self.parts.of > 1 {
            let numbers: Vec<_> = self.parts.numbers.iter().map(u64::to_string).collect();
            let _ = write!(text, "; part {} of {}", numbers.join(", "), self.parts.of);
        }
        text
    }

    /// What a reader has to know before the figures.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if let Some(limited) = self.limited() {
            warnings.push(format!(
                "The tester itself was late: by {} at the 99th percentile, where {} are allowed. \
                 These response times are not the target's alone.",
                time(limited.lag_p99_ms),
                time(limited.limit_ms)
            ));
        }
        let apart_s = self.parts.apart_s;
        if apart_s > (self.report.elapsed_s * APART_SHARE).max(APART_S) {
            warnings.push(format!(
                "The parts began {} s apart, so they did not load the target together: rate, users and times are those of no moment. \
                 Start them at once.",
                figure(apart_s)
            ));
        }
        if let Some(breach) = &self.stopped_by {
            warnings.push(format!(
                "Stopped after {} s: {} was broken ({}).",
                figure(breach.at_s),
                breach.threshold,
                breach.verdict().measured_text()
            ));
        } else if self.report.cancelled {
            warnings.push("The run was interrupted: it is not of the whole plan.".to_owned());
        }
        warnings
    }

    /// From which percentile on there were too few answers to tell.
    #[must_use]
    pub fn too_short(&self) -> Option<String> {
        let estimates = self.report.response_estimates();
        let first = estimates
            .iter()
            .find(|estimate| estimate.value_ms.is_none())?;
        (self.report.ok > 0).then(|| {
            format!(
                "Too short to tell percentiles from the {}th on: that one takes {} good answers, and there were {}.",
                first.percentile,
                thousands(first.needed),
                thousands(self.report.ok)
            )
        })
    }
}

fn columns(estimate: &Estimate) -> String {
    match (estimate.value_ms, estimate.low_ms, estimate.high_ms) {
        (Some(value), Some(low), Some(high)) => {
            format!("{} | {}", time(value), range(low, high))
        }
        _ => format!("too short | takes {}", thousands(estimate.needed)),
    }
}

/// In a cell of a table nothing may end the cell, or begin markup.
fn cell(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' | '\r' => safe.push(' '),
            '|' | '`' | '*' | '_' | '[' | '<' | '\\' => safe.extend(['\\', character]),
            _ => safe.push(character),
        }
    }
    safe
}

/// One of a step's, or why there is none.
fn percentile(times: &crate::Percentiles, quantile: f64, ms: f64) -> String {
    if times.count == 0 {
        "none".to_owned()
    } else if times.count < crate::confidence::needed(quantile) {
        "too short".to_owned()
    } else {
        time(ms)
    }
}
