//! Results for people at a terminal.

use std::fmt::Write as _;

use pitcrew_load::{Estimate, Model, Report, Results};

pub(super) fn results(results: &Results, is_markdown: bool) -> String {
    if is_markdown {
        return results.markdown();
    }
    let mut text = figures(results);
    for scenario in &results.scenarios {
        text.push_str("\nScenario ");
        text.push_str(&scenario.name);
        text.push_str(": ");
        text.push_str(&figures(scenario));
    }
    text
}

fn figures(results: &Results) -> String {
    let report = &results.report;
    let mut text = results.summary();
    text.push('\n');
    // Writing to a String cannot fail.
    if report.ok > 0 {
        latencies(&mut text, report);
    }
    steps(&mut text, report);
    for (kind, count) in &report.errors {
        let name = serde_json::to_value(kind).ok();
        let name = name
            .as_ref()
            .and_then(|name| name.as_str())
            .unwrap_or("other");
        let _ = writeln!(text, "{count} errors: {name}");
    }
    for verdict in results.verdicts() {
        let word = match verdict.word() {
            "broken" => "BROKEN",
            word => word,
        };
        let _ = writeln!(
            text,
            "{word:<9} {} ({})",
            verdict.threshold,
            verdict.measured_text()
        );
    }
    for warning in results.warnings().into_iter().chain(results.too_short()) {
        let _ = writeln!(text, "{warning}");
    }
    text
}

/// A line for each step, and one for what its answers did not pass.
fn steps(text: &mut String, report: &Report) {
    if report.steps.is_empty() {
        return;
    }
    let _ = writeln!(
        text,
        "\n{:>10}{:>10}{:>10}{:>10}{:>10}  step",
        "requests", "errors", "p50 ms", "p95 ms", "p99 ms"
    );
    for step in &report.steps {
        let _ = write!(text, "{:>10}{:>8.2} %", step.requests, step.error_percent);
        for percentile in [50.0, 95.0, 99.0] {
            match step.response_ms(percentile) {
                Some(ms) => {
                    let _ = write!(text, "{ms:>10.2}");
                }
                None => {
                    let _ = write!(text, "{:>10}", "-");
                }
            }
        }
        let _ = writeln!(text, "  {}", step.name);
        for (name, count) in &step.unmet {
            let _ = writeln!(text, "{count:>20}  not met: {name}");
        }
    }
    text.push('\n');
}

fn latencies(text: &mut String, report: &Report) {
    let _ = write!(
        text,
        "\n{:>9}{:>12}  {:<25}",
        "ms", "response", "95 % interval"
    );
    let is_open = report.model != Model::Closed;
    if is_open {
        let _ = write!(text, "{:>12}{:>12}", "service", "lag");
    }
    text.push('\n');
    let (response, service) = (&report.response, &report.service);
    for (name, response, service, lag) in [
        (
            "mean",
            response.mean_ms,
            service.mean_ms,
            report.lag.mean_ms,
        ),
        ("min", response.min_ms, service.min_ms, report.lag.min_ms),
    ] {
        row(
            text,
            name,
            (response, ""),
            is_open.then_some((service, lag)),
        );
    }
    let lags = [
        report.lag.p50_ms,
        report.lag.p75_ms,
        report.lag.p90_ms,
        report.lag.p95_ms,
        report.lag.p99_ms,
        report.lag.p999_ms,
        report.lag.p9999_ms,
    ];
    let services = report.service_estimates();
    for (at, estimate) in report.response_estimates().iter().enumerate() {
        let name = format!("p{}", estimate.percentile);
        match (
            estimate.value_ms,
            services.get(at).and_then(|service| service.value_ms),
        ) {
            (Some(value), Some(service)) => row(
                text,
                &name,
                (value, &interval(estimate)),
                is_open.then_some((service, lags[at])),
            ),
            _ => {
                let _ = writeln!(
                    text,
                    "{name:>9}{:>12}  takes {} good answers",
                    "too short", estimate.needed
                );
            }
        }
    }
    row(
        text,
        "max",
        (response.max_ms, ""),
        is_open.then_some((service.max_ms, report.lag.max_ms)),
    );
    text.push('\n');
}

fn row(text: &mut String, name: &str, response: (f64, &str), others: Option<(f64, f64)>) {
    let (value, interval) = response;
    let _ = write!(text, "{name:>9}{value:>12.3}  {interval:<25}");
    if let Some((service, lag)) = others {
        let _ = write!(text, "{service:>12.3}{lag:>12.3}");
    }
    let kept = text.trim_end().len();
    text.truncate(kept);
    text.push('\n');
}

fn interval(estimate: &Estimate) -> String {
    match (estimate.low_ms, estimate.high_ms) {
        (Some(low), Some(high)) => format!("{low:.3} to {high:.3}"),
        _ => String::new(),
    }
}
