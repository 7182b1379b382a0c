//! `GET /metrics`: text for Prometheus, or OpenMetrics where the client takes it.

use std::fmt::Write as _;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, header};
use serde_json::json;

use super::App;
use super::operation::Operation;
use crate::Inner;
use crate::observe::metrics::METRICS;

const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::get(
            "/metrics",
            "Every figure for Prometheus; OpenMetrics where `Accept` names it. Give the scraper a reader's token.",
            metrics,
        )
        .gives_as(200, PROMETHEUS, json!("pitcrew_cpu_percent 12.5\n"))
        .gives_as(200, OPENMETRICS, json!("pitcrew_cpu_percent 12.5\n# EOF\n")),
    ]
}

async fn metrics(State(inner): App, headers: HeaderMap) -> Response {
    let is_open = headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.contains("application/openmetrics-text"));
    let latency = inner.latency.as_ref().map(|latency| {
        if is_open {
            latency.openmetrics()
        } else {
            latency.prometheus()
        }
    });
    let mut text = latency.unwrap_or_default();
    // OpenMetrics ends once.
    if let Some(rest) = text.strip_suffix("# EOF\n") {
        text.truncate(rest.len());
    }
    figures(&inner, &mut text);
    counters(&inner, &mut text, is_open);
    if is_open {
        text.push_str("# EOF\n");
    }
    let kind = if is_open { OPENMETRICS } else { PROMETHEUS };
    ([(header::CONTENT_TYPE, kind)], text).into_response()
}

/// The key figures that are known. No label has a value from outside, so there are never more series than these.
fn figures(inner: &Inner, text: &mut String) {
    let Some((_, sample)) = inner.observed.last() else {
        return;
    };
    for (metric, value) in METRICS.iter().zip(sample) {
        if value.is_finite() {
            let name = metric.name;
            let _ = writeln!(text, "# HELP pitcrew_{name} {}", metric.says);
            let _ = writeln!(text, "# TYPE pitcrew_{name} gauge\npitcrew_{name} {value}");
        }
    }
}

fn counters(inner: &Inner, text: &mut String, is_open: bool) {
    let (requests, logins) = inner.auth.failures();
    let (dropped_alerts, sink_panics) = inner.alerts.lost();
    let mut counters = vec![
        (
            "admin_wrong_tokens",
            "Requests with a wrong token.",
            requests,
        ),
        ("admin_failed_logins", "Logins with a wrong token.", logins),
        (
            "admin_panics",
            "Panics of the background work that were caught.",
            inner.background.panics() + inner.cycles.panics(),
        ),
        (
            "alerts_dropped",
            "Alerts that left the history.",
            dropped_alerts,
        ),
        (
            "alert_sink_panics",
            "Panics of alert sinks that were caught.",
            sink_panics,
        ),
    ];
    if let Some(cache) = &inner.cache {
        let stats = cache.stats();
        counters.extend([
            ("cache_hits", "Answers from the cache.", stats.hits),
            ("cache_misses", "Look-ups that found nothing.", stats.misses),
            ("cache_bypasses", "Requests past the cache.", stats.bypasses),
            ("cache_purges", "Purges.", stats.purges),
            (
                "cache_evictions",
                "Entries that made room.",
                stats.l1.evictions,
            ),
        ]);
    }
    for (name, says, value) in counters {
        // In OpenMetrics the family's name has no suffix.
        let family = if is_open { "" } else { "_total" };
        let _ = writeln!(text, "# HELP pitcrew_{name}{family} {says}");
        let _ = writeln!(
            text,
            "# TYPE pitcrew_{name}{family} counter\npitcrew_{name}_total {value}"
        );
    }
    let sessions = inner.auth.sessions.count();
    let _ = writeln!(text, "# HELP pitcrew_admin_sessions Sessions of browsers.");
    let _ = writeln!(
        text,
        "# TYPE pitcrew_admin_sessions gauge\npitcrew_admin_sessions {sessions}"
    );
    let firing = inner.alerts.firing();
    let _ = writeln!(text, "# HELP pitcrew_alerts_firing Alerts that fire now.");
    let _ = writeln!(
        text,
        "# TYPE pitcrew_alerts_firing gauge\npitcrew_alerts_firing {firing}"
    );
}
