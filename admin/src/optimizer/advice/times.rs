//! Response times: routes over their targets, routes that got slower, objectives, statements again and again.

use pitcrew::latency::{ObjectiveState, SlowBy};

use super::{Advice, Found, Severity};
use crate::Inner;
use crate::observe::Seen;
use crate::observe::times::Times;
use crate::targets::ENOUGH_REQUESTS;

pub(super) fn advice(inner: &Inner, seen: &Seen) -> Found {
    let Some(times) = &seen.times else {
        return Found::Nothing("no latency handle".to_owned());
    };
    let snapshot = &times.snapshot;
    let slow = snapshot.series.iter().filter(|series| {
        series.count >= ENOUGH_REQUESTS
            && (series.p99_ms > inner.targets.api_p99_ms
                || series.p95_ms > inner.targets.api_p95_ms)
    });
    let mut advice: Vec<_> = slow
        .map(|series| Advice {
            id: format!("slow-route:{} {}", series.method, series.route),
            part: "response_times",
            severity: Severity::Warn,
            title: format!("{} {} is slow", series.method, series.route),
            detail: format!(
                "p95 {:.0} ms and p99 {:.0} ms over {} requests; the targets are {:.0} and {:.0} ms",
                series.p95_ms, series.p99_ms, series.count, inner.targets.api_p95_ms, inner.targets.api_p99_ms
            ),
            action: None,
            estimated_bytes: None,
        })
        .collect();
    let slow = advice.len();
    advice.extend(verdicts(times));
    Found::Advice(
        format!("{} series, {slow} slow", snapshot.series.len()),
        advice,
    )
}

/// What the latency layer itself has to say: routes that are over a target or got slower, objectives whose budget goes or is gone, and statements that are
/// run again and again. Each is a sentence with its numbers.
fn verdicts(times: &Times) -> Vec<Advice> {
    let told = |id: String, severity, title: String, detail: String| Advice {
        id,
        part: "response_times",
        severity,
        title,
        detail,
        action: None,
        estimated_bytes: None,
    };
    let mut advice = Vec::new();
    for slow in &times.slow.findings {
        let route = format!("{} {}", slow.method, slow.route);
        let (kind, title) = match slow.by {
            SlowBy::Target { .. } => ("over-target", format!("{route} is over its target")),
            SlowBy::Change { .. } => ("slower", format!("{route} got slower")),
            // Told below, with its severity.
            _ => continue,
        };
        let id = format!("{kind}:{route}");
        advice.push(told(id, Severity::Warn, title, slow.verdict.clone()));
    }
    for objective in &times.objectives {
        let (severity, title) = match objective.state {
            ObjectiveState::Page => (Severity::Critical, "its error budget burns fast"),
            ObjectiveState::Exhausted => (Severity::Critical, "its error budget is gone"),
            ObjectiveState::Ticket => (Severity::Warn, "its error budget will not last"),
            _ => continue,
        };
        let id = format!("slo:{}", objective.name);
        let title = format!("{}: {title}", objective.name);
        advice.push(told(id, severity, title, objective.verdict.clone()));
    }
    for repeated in &times.repeated.findings {
        let route = format!("{} {}", repeated.method, repeated.route);
        let id = format!("n-plus-one:{route}:{}", repeated.statement);
        let title = format!("{route} asks the database again and again");
        advice.push(told(id, Severity::Warn, title, repeated.verdict.clone()));
    }
    advice
}
