//! What a search of the capacity found, in the forms of a report.

use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;
use serde_json::Value;

use super::html::{Axis, Chart, key, page};
use super::results::shown;
use super::text::{escaped, figure, time};
use crate::capacity::{Capacity, Knee, Outcome, Tried, knee};
use crate::plan::Plan;
use crate::threshold::Threshold;

/// Name and version of the schema of [`CapacityResults::json`].
pub const CAPACITY_SCHEMA: &str = "pitcrew-load-capacity/1";

/// A search with what it was of.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CapacityResults {
    /// Where load went.
    pub target: String,
    /// The plan as JSON, without what may be secret.
    pub plan: Value,
    /// When it began, by the wall clock.
    #[serde(skip)]
    pub began: SystemTime,
    /// What had to hold.
    pub thresholds: Vec<Threshold>,
    /// The end of the search.
    pub capacity: Capacity,
    /// Where latency begins to rise; none where the curve has no bend.
    pub knee: Option<Knee>,
    /// What was tried, in order.
    pub tried: Vec<Tried>,
}

#[derive(Serialize)]
struct File<'a> {
    schema: &'static str,
    program: &'static str,
    began_unix_s: f64,
    #[serde(flatten)]
    results: &'a CapacityResults,
}

impl CapacityResults {
    /// Of a search that has ended.
    #[must_use]
    pub fn new(
        plan: &Plan,
        target: &str,
        began: SystemTime,
        capacity: Capacity,
        tried: Vec<Tried>,
    ) -> Self {
        Self {
            target: target.to_owned(),
            plan: shown(plan),
            began,
            thresholds: plan.all_thresholds(),
            capacity,
            knee: knee(&tried),
            tried,
        }
    }

    /// What it came to, as sentences.
    #[must_use]
    pub fn summary(&self) -> String {
        let found = match &self.capacity {
            Capacity::Found {
                low_per_s,
                high_per_s,
            } => format!(
                "The thresholds hold at {low_per_s:.0} a second and not at {high_per_s:.0}."
            ),
            Capacity::NotMeasurable { because } => format!("Not measurable here: {because}."),
        };
        match self.knee {
            Some(knee) => format!(
                "{found} Latency begins to rise at about {:.0} a second, where its 99th percentile is {}.",
                knee.rate_per_s,
                time(knee.p99_ms)
            ),
            None => found,
        }
    }

    /// As JSON, in the schema [`CAPACITY_SCHEMA`].
    #[must_use]
    pub fn json(&self) -> String {
        let since = self.began.duration_since(UNIX_EPOCH).unwrap_or_default();
        let file = File {
            schema: CAPACITY_SCHEMA,
            program: env!("CARGO_PKG_VERSION"),
            began_unix_s: (since.as_secs_f64() * 1e3).round() / 1e3,
            results: self,
        };
        // Names are text and numbers are finite, so nothing here can fail.
        serde_json::to_string_pretty(&file).unwrap_or_default()
    }

    /// As Markdown: what it came to, and what was tried.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut text = format!(
            "# Capacity of {}\n\n{}\n\n| rate | answered | p50 | p95 | p99 | errors | |\n|---|---|---|---|---|---|---|\n",
            self.target,
            self.summary()
        );
        for tried in self.sorted() {
            text.push_str(&line(tried));
            text.push('\n');
        }
        text
    }

    /// As one HTML page that needs nothing else.
    #[must_use]
    pub fn html(&self) -> String {
        let mut text = format!(
            "<p class=\"soft\">{}</p>\n<p>{}</p>\n<div class=\"grid\">\n<section class=\"wide\">{}</section>\n",
            httpdate::fmt_http_date(self.began),
            escaped(&self.summary()),
            self.curve()
        );
        text.push_str(
            "<section class=\"wide\"><h2>Rates that were tried</h2><div class=\"scroll\"><table><tr><th>a second</th><th>answered</th>\
             <th>median</th><th>95th</th><th>99th percentile</th><th>errors</th><th></th></tr>",
        );
        for tried in self.sorted() {
            // Writing to a String cannot fail.
            let _ = write!(
                text,
                "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{} %</td><td class=\"{}\">{}</td></tr>",
                figure(tried.rate_per_s),
                figure(tried.answered_per_s),
                time(tried.p50_ms),
                time(tried.p95_ms),
                time(tried.p99_ms),
                figure(tried.error_percent),
                if tried.outcome == Outcome::Held {
                    "good"
                } else {
                    "bad"
                },
                word(tried.outcome)
            );
        }
        text.push_str("</table></div></section>\n<section class=\"wide\"><h2>Thresholds</h2><ul>");
        for threshold in &self.thresholds {
            let _ = write!(text, "<li>{}</li>", escaped(&threshold.to_string()));
        }
        let plan = serde_json::to_string_pretty(&self.plan).unwrap_or_default();
        let _ = write!(
            text,
            "</ul></section>\n<section class=\"wide\"><h2>Plan</h2><pre>{}</pre></section></div>",
            escaped(&plan)
        );
        page(&format!("Capacity of {}", escaped(&self.target)), &text)
    }

    /// Latency over the rate.
    fn curve(&self) -> String {
        let sorted = self.sorted();
        let answered = || sorted.iter().filter(|tried| tried.p50_ms > 0.0);
        let most = sorted
            .iter()
            .map(|tried| tried.rate_per_s)
            .fold(1.0, f64::max);
        let low = answered()
            .map(|tried| tried.p50_ms)
            .fold(f64::MAX, f64::min);
        let high = answered().map(|tried| tried.p99_ms).fold(0.0, f64::max);
        if high == 0.0 {
            return "<p class=\"soft\">Nothing was answered.</p>".to_owned();
        }
        let mut chart = Chart::new(
            "Latency over the rate",
            Axis::linear(most, figure),
            Axis::logarithmic(low, high, time),
        );
        for (at, class) in ["three", "two", "one"].into_iter().enumerate() {
            let points = answered().map(|tried| {
                let value = [tried.p99_ms, tried.p95_ms, tried.p50_ms][at];
                (tried.rate_per_s, Some(value.log10()))
            });
            chart.line(class, points);
        }
        if let Some(knee) = self.knee {
            let (low, high) = (low.log10(), knee.p99_ms.log10());
            chart.whisker("one", knee.rate_per_s, low, high);
        }
        format!(
            "<h2>Response times by the rate</h2>{}{}",
            chart.end(),
            key(&[
                ("one", "median"),
                ("two", "95th"),
                ("three", "99th percentile")
            ])
        )
    }

    fn sorted(&self) -> Vec<&Tried> {
        let mut sorted: Vec<_> = self.tried.iter().collect();
        sorted.sort_by(|a, b| a.rate_per_s.total_cmp(&b.rate_per_s));
        sorted
    }
}

impl Tried {
    /// As a row of a Markdown table.
    #[must_use]
    pub fn line(&self) -> String {
        line(self)
    }
}

fn line(tried: &Tried) -> String {
    format!(
        "| {:.0}/s | {:.0}/s | {} | {} | {} | {} % | {} |",
        tried.rate_per_s,
        tried.answered_per_s,
        time(tried.p50_ms),
        time(tried.p95_ms),
        time(tried.p99_ms),
        figure(tried.error_percent),
        word(tried.outcome)
    )
}

fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Held => "held",
        Outcome::Broke => "broke",
        Outcome::GeneratorLimited => "the tester was late",
        Outcome::TooShort => "too short",
    }
}
