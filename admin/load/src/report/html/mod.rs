//! Results as one HTML page that needs nothing else: style and charts are in it, and it runs no script.

mod chart;
mod pictures;

use std::fmt::Write as _;

pub(super) use self::chart::{Axis, Chart};
pub(super) use self::pictures::key;

use super::results::Results;
use super::text::{escaped, figure, name, range, thousands, time};
use crate::confidence::Estimate;

const STYLE: &str = include_str!("page.css");

/// Of a plan as it is shown: a body may be a megabyte. The JSON has all of it.
const MAX_PLAN: usize = 20_000;

/// A page of that content; both are HTML.
pub(super) fn page(title: &str, content: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\
         <meta name=\"referrer\" content=\"no-referrer\"><title>{title}</title>\n<style>\n{STYLE}</style></head>\n\
         <body><main><h1>{title}</h1>\n{content}</main></body></html>\n"
    )
}

impl Results {
    /// As one HTML page: verdicts, latency by percentile, rate and errors over time, heat map, plan. It loads nothing from
    /// anywhere, and runs no script; names, headers and bodies are text in it.
    #[must_use]
    pub fn html(&self) -> String {
        let title = format!("Load test of {}", escaped(&self.target));
        let mut text = String::new();
        self.sections(&mut text);
        for scenario in &self.scenarios {
            // Writing to a String cannot fail.
            let _ = writeln!(
                text,
                "<h2 class=\"scenario\">Scenario {}</h2>",
                escaped(&scenario.name)
            );
            scenario.sections(&mut text);
        }
        text.push_str("<div class=\"grid\">\n");
        self.shown_plan(&mut text);
        text.push_str("</div>");
        page(&title, &text)
    }

    /// All but the plan.
    fn sections(&self, page: &mut String) {
        self.head(page);
        self.tiles(page);
        page.push_str("<div class=\"grid\">\n");
        self.thresholds(page);
        if self.report.ok > 0 {
            let section = |page: &mut String, content: &str| {
                page.push_str("<section>");
                page.push_str(content);
                page.push_str("</section>\n");
            };
            section(page, &pictures::percentiles(self));
            self.percentile_table(page);
            section(page, &pictures::rate(self));
            section(page, &pictures::latency(self));
            section(page, &pictures::heat_map(self));
        } else if !self.report.intervals.is_empty() {
            let _ = writeln!(page, "<section>{}</section>", pictures::rate(self));
        }
        for content in pictures::observed(self) {
            let _ = writeln!(page, "<section>{content}</section>");
        }
        self.step_table(page);
        self.counts(page);
        page.push_str("</div>\n");
    }

    fn head(&self, page: &mut String) {
        // Writing to a String cannot fail.
        let _ = writeln!(
            page,
            "<p class=\"soft\">{}</p>\n<p>{}.</p>",
            httpdate::fmt_http_date(self.began),
            escaped(&self.summary())
        );
        for warning in self.warnings() {
            let _ = writeln!(page, "<p class=\"warning\">{}</p>", escaped(&warning));
        }
        if let Some(note) = self.too_short() {
            let _ = writeln!(page, "<p class=\"soft\">{}</p>", escaped(&note));
        }
    }

    fn tiles(&self, page: &mut String) {
        let report = &self.report;
        let percentile = |at: usize| {
            let estimate = &report.response_estimates()[at];
            estimate
                .value_ms
                .map_or_else(|| "too short".to_owned(), time)
        };
        let of_answers = |value: String| {
            if report.ok > 0 {
                value
            } else {
                "none".to_owned()
            }
        };
        page.push_str("<div class=\"tiles\">");
        for (value, of) in [
            (thousands(report.requests), "requests"),
            (format!("{}/s", figure(report.rate_per_s)), "good answers"),
            (format!("{} %", figure(report.error_percent)), "errors"),
            (of_answers(percentile(0)), "median"),
            (of_answers(percentile(3)), "95th percentile"),
            (of_answers(percentile(4)), "99th percentile"),
            (of_answers(time(report.response.max_ms)), "slowest"),
        ] {
            let _ = write!(
                page,
                "<div class=\"tile\"><b>{value}</b><span>{of}</span></div>"
            );
        }
        page.push_str("</div>\n");
    }

    fn thresholds(&self, page: &mut String) {
        let verdicts = self.verdicts();
        if verdicts.is_empty() {
            return;
        }
        page.push_str(
            "<section class=\"wide\"><h2>Thresholds</h2><div class=\"scroll\"><table>\
             <tr><th></th><th class=\"left\">threshold</th><th>measured</th></tr>",
        );
        for verdict in verdicts {
            let class = if verdict.holds { "good" } else { "bad" };
            let word = verdict.word();
            let _ = write!(
                page,
                "<tr><td class=\"{class}\">{word}</td><td class=\"left\">{}</td><td>{}</td></tr>",
                escaped(&verdict.threshold.to_string()),
                escaped(&verdict.measured_text())
            );
        }
        page.push_str("</table></div></section>\n");
    }

    fn percentile_table(&self, page: &mut String) {
        let (response, service) = self.estimates();
        page.push_str(
            "<section><h2>Percentiles</h2><div class=\"scroll\"><table><tr><th></th><th>response</th><th>95 % interval</th>",
        );
        if service.is_some() {
            page.push_str("<th>service</th>");
        }
        page.push_str("</tr>");
        for (at, estimate) in response.iter().enumerate() {
            let _ = write!(
                page,
                "<tr><td>p{}</td>{}",
                estimate.percentile,
                cells(estimate)
            );
            if let Some(service) = service.as_ref().and_then(|service| service.get(at)) {
                let value = service
                    .value_ms
                    .map_or_else(|| "too short".to_owned(), time);
                let _ = write!(page, "<td>{value}</td>");
            }
            page.push_str("</tr>");
        }
        let mut row = |word: &str, of: fn(&crate::Percentiles) -> f64| {
            let _ = write!(
                page,
                "<tr><td>{word}</td><td>{}</td><td></td>",
                time(of(&self.report.response))
            );
            if service.is_some() {
                let _ = write!(page, "<td>{}</td>", time(of(&self.report.service)));
            }
            page.push_str("</tr>");
        };
        row("mean", |of| of.mean_ms);
        row("lowest", |of| of.min_ms);
        row("highest", |of| of.max_ms);
        page.push_str(
            "</table></div><p class=\"soft\">Response counts from the moment a request was due, service from the send. \
             The intervals take answers for independent; those of a short stall are not, so take them as the least that is uncertain.\
             </p></section>\n",
        );
    }

    fn step_table(&self, page: &mut String) {
        if self.report.steps.is_empty() {
            return;
        }
        page.push_str(
            "<section class=\"wide\"><h2>Steps</h2><div class=\"scroll\"><table><tr><th class=\"left\">step</th><th>requests</th>\
             <th>errors</th><th>median</th><th>p95</th><th>p99</th><th>slowest</th><th class=\"left\">not met</th></tr>",
        );
        for step in &self.report.steps {
            let of_answers = |ms: f64| {
                if step.ok > 0 {
                    time(ms)
                } else {
                    "none".to_owned()
                }
            };
            let unmet: Vec<_> = step
                .unmet
                .iter()
                .map(|(name, count)| format!("{} {}", thousands(*count), escaped(name)))
                .collect();
            let _ = write!(
                page,
                "<tr><td class=\"left\">{}</td><td>{}</td><td>{} %</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td>\
                 <td class=\"left\">{}</td></tr>",
                escaped(&step.name),
                thousands(step.requests),
                figure(step.error_percent),
                of_answers(step.response.p50_ms),
                of_answers(step.response.p95_ms),
                of_answers(step.response.p99_ms),
                of_answers(step.response.max_ms),
                unmet.join("<br>")
            );
        }
        page.push_str("</table></div></section>\n");
    }

    fn counts(&self, page: &mut String) {
        let report = &self.report;
        page.push_str("<section><h2>Answers</h2><div class=\"scroll\"><table><tr><th></th><th>count</th></tr>");
        let mut row = |of: &str, count: u64| {
            let _ = write!(page, "<tr><td>{of}</td><td>{}</td></tr>", thousands(count));
        };
        for (status, count) in &report.statuses {
            row(&format!("status {status}"), *count);
        }
        for (kind, count) in &report.errors {
            row(&format!("error: {}", escaped(&name(*kind))), *count);
        }
        row("bytes of bodies", report.body_bytes);
        let _ = writeln!(
            page,
            "<tr><td>CPU of the tester</td><td>{} s</td></tr></table></div></section>",
            figure(report.cpu_s)
        );
    }

    fn shown_plan(&self, page: &mut String) {
        let mut plan = serde_json::to_string_pretty(&self.plan).unwrap_or_default();
        if plan.len() > MAX_PLAN {
            plan.truncate(plan.floor_char_boundary(MAX_PLAN));
            plan.push_str("\n… and more, which the JSON has");
        }
        let _ = writeln!(
            page,
            "<section class=\"wide\"><h2>Plan</h2><pre>{}</pre></section>",
            escaped(&plan)
        );
    }
}

fn cells(estimate: &Estimate) -> String {
    match (estimate.value_ms, estimate.low_ms, estimate.high_ms) {
        (Some(value), Some(low), Some(high)) => format!(
            "<td>{}</td><td class=\"soft\">{}</td>",
            time(value),
            range(low, high)
        ),
        _ => format!(
            "<td class=\"soft\">too short</td><td class=\"soft\">takes {}</td>",
            thousands(estimate.needed)
        ),
    }
}
