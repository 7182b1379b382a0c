//! A report for people and for programs.

use std::fmt::Write as _;

use pitcrew_load::{Model, Percentiles, Report, Verdict};
use serde::Serialize;

#[derive(Serialize)]
struct Told<'a> {
    report: &'a Report,
    thresholds: &'a [Verdict],
}

pub(super) fn json(report: &Report, verdicts: &[Verdict]) -> Result<String, String> {
    let told = Told {
        report,
        thresholds: verdicts,
    };
    serde_json::to_string_pretty(&told).map_err(|error| error.to_string())
}

pub(super) fn markdown(report: &Report, verdicts: &[Verdict]) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = write!(
        text,
        "{} requests in {:.2} s, {:.1} good answers a second, {:.2} % errors",
        report.requests, report.elapsed_s, report.rate_per_s, report.error_percent
    );
    if report.model == Model::Open {
        let _ = write!(text, "; {} were due, {} missed", report.due, report.missed);
    }
    if report.unfinished > 0 {
        let _ = write!(text, "; {} given up", report.unfinished);
    }
    text.push_str("\n\n| ms | mean | p50 | p90 | p95 | p99 | p99.9 | max |\n|---|---|---|---|---|---|---|---|\n");
    row(&mut text, "response", &report.response);
    if report.model == Model::Open {
        row(&mut text, "service", &report.service);
        row(&mut text, "lag", &report.lag);
    }
    if report.failed.count > 0 {
        row(&mut text, "failed", &report.failed);
    }
    for (kind, count) in &report.errors {
        let name = serde_json::to_value(kind).ok();
        let name = name
            .as_ref()
            .and_then(|name| name.as_str())
            .unwrap_or("other");
        let _ = write!(text, "\n{count} errors: {name}");
    }
    if let Some(limited) = &report.generator_limited {
        let _ = write!(
            text,
            "\nThe tester itself was late: by {:.2} ms at the 99th percentile, where {:.2} ms are allowed. \
             These response times are not the target's alone.",
            limited.lag_p99_ms, limited.limit_ms
        );
    }
    for verdict in verdicts {
        let word = if verdict.holds { "ok    " } else { "BROKEN" };
        let measured = verdict.measured.map_or_else(
            || "nothing measured".to_owned(),
            |value| format!("{value:.3}"),
        );
        let _ = write!(text, "\n{word} {} ({measured})", verdict.threshold);
    }
    text.push('\n');
    text
}

fn row(text: &mut String, name: &str, of: &Percentiles) {
    let _ = writeln!(
        text,
        "| {name} | {:.3} | {:.3} | {:.3} | {:.3} | {:.3} | {:.3} | {:.3} |",
        of.mean_ms, of.p50_ms, of.p90_ms, of.p95_ms, of.p99_ms, of.p999_ms, of.max_ms
    );
}
