//! Text for Prometheus.

use std::fmt::Write as _;

use super::{
    class::StatusClass,
    exemplar::Exemplar,
    ledger::{CodeSums, LE, classic},
    snapshot::{LatencySnapshot, SeriesSnapshot},
    window::Window,
};

/// The name of the histogram of durations, by OpenTelemetry's semantic conventions for HTTP metrics.
const DURATION: &str = "http_server_request_duration_seconds";

impl LatencySnapshot {
    /// All figures since the start in the Prometheus text format 0.0.4 (`text/plain; version=0.0.4`).
    ///
    /// | name | labels | what |
    /// |---|---|---|
    /// | `http_server_request_duration_seconds` | `http_request_method`, `http_route`, `http_response_status_code`, `error_type` | histogram to the end of the body, with OpenTelemetry's buckets |
    /// | `http_server_active_requests` | `http_route` | requests under way |
    /// | `pitcrew_http_first_byte_seconds` | method, route, `status_class` | histogram to the head |
    /// | `pitcrew_http_request_body_bytes_total`, `pitcrew_http_response_body_bytes_total` | method, route, `status_class` | sizes of bodies |
    /// | `pitcrew_latency_dropped_total` | `reason` | what is not told as finely as it could be |
    ///
    /// Where a request was aborted or failed there is no status code, and `error_type` is `aborted` or `error`; of a 5xx it is the
    /// code. Of the status codes of one (method, route, class) the first [`MAX_STATUS_CODES`](super::MAX_STATUS_CODES) are told
    /// apart, those after them have an empty one. Methods that nobody knows are `_OTHER`. A bucket's bound is true to 1/128.
    #[must_use]
    pub fn prometheus(&self) -> String {
        self.text(false)
    }

    /// The same in OpenMetrics 1.0 (`application/openmetrics-text; version=1.0.0`), with the trace id of a slow request at each bucket
    /// that has one.
    #[must_use]
    pub fn openmetrics(&self) -> String {
        self.text(true)
    }

    fn text(&self, is_open: bool) -> String {
        let mut text = Text {
            out: String::new(),
            is_open,
        };
        text.family(
            DURATION,
            "histogram",
            "Time to the end of the response body.",
        );
        for series in &self.series {
            for code in &series.detail.codes {
                let exemplars = self.exemplars(&series.route, Window::SinceStart);
                text.durations(series, code, exemplars);
            }
        }
        let active = "http_server_active_requests";
        text.family(
            active,
            "gauge",
            "Requests whose response body has not ended.",
        );
        for (route, count) in &self.detail.in_flight {
            text.sample(active, &[("http_route", route)], *count);
        }
        let first_byte = "pitcrew_http_first_byte_seconds";
        text.family(first_byte, "histogram", "Time to the response's head.");
        for series in &self.series {
            let sums = series.sums(Window::SinceStart);
            let labels = series_labels(series);
            let counts = classic(&sums.first_byte);
            let count = sums.first_byte.count();
            let seconds = sums.first_byte_nanos as f64 / 1e9;
            text.histogram(first_byte, &labels, (&counts, count, seconds), |_| None);
        }
        type Bytes = fn(&SeriesSnapshot) -> u64;
        let sizes: [(&str, &str, Bytes); 2] = [
            (
                "pitcrew_http_request_body_bytes",
                "Bytes of request bodies.",
                |series| series.sums(Window::SinceStart).request_bytes,
            ),
            (
                "pitcrew_http_response_body_bytes",
                "Bytes of response bodies.",
                |series| series.sums(Window::SinceStart).response_bytes,
            ),
        ];
        for (name, help, bytes) in sizes {
            text.family(name, "counter", help);
            for series in &self.series {
                let labels = series_labels(series);
                text.sample(&format!("{name}_total"), &labels, bytes(series));
            }
        }
        let dropped = "pitcrew_latency_dropped";
        text.family(
            dropped,
            "counter",
            "What is not told as finely as it could be.",
        );
        for (reason, count) in [
            ("series", self.dropped_series),
            ("room", self.dropped_room),
            ("coarse_times", self.coarse_times),
            ("coarse_slots", self.coarse_slots),
            ("exemplars", self.dropped_exemplars),
            ("panicked_folds", self.panicked_folds),
        ] {
            text.sample(&format!("{dropped}_total"), &[("reason", reason)], count);
        }
        if is_open {
            text.out.push_str("# EOF\n");
        }
        text.out
    }
}

/// Methods as OpenTelemetry calls them.
fn method(series: &SeriesSnapshot) -> &str {
    match series.method.as_str() {
        "OTHER" => "_OTHER",
        method => method,
    }
}

fn series_labels(series: &SeriesSnapshot) -> [(&'static str, &str); 3] {
    [
        ("http_request_method", method(series)),
        ("http_route", &series.route),
        ("status_class", series.status_class),
    ]
}

struct Text {
    out: String,
    is_open: bool,
}

// Writing to a String cannot fail.
impl Text {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        // A counter's family is named without `_total` in OpenMetrics, with it before.
        let suffix = if kind == "counter" && !self.is_open {
            "_total"
        } else {
            ""
        };
        let _ = writeln!(self.out, "# HELP {name}{suffix} {help}");
        let _ = writeln!(self.out, "# TYPE {name}{suffix} {kind}");
        for unit in ["seconds", "bytes"] {
            if self.is_open && name.ends_with(&format!("_{unit}")) {
                let _ = writeln!(self.out, "# UNIT {name} {unit}");
            }
        }
    }

    fn labels(&mut self, labels: &[(&str, &str)]) {
        for (place, (name, value)) in labels.iter().enumerate() {
            let comma = if place > 0 { "," } else { "" };
            let _ = write!(self.out, "{comma}{name}=\"");
            for character in value.chars() {
                match character {
                    '\\' => self.out.push_str("\\\\"),
                    '"' => self.out.push_str("\\\""),
                    '\n' => self.out.push_str("\\n"),
                    other => self.out.push(other),
                }
            }
            self.out.push('"');
        }
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl std::fmt::Display) {
        self.out.push_str(name);
        self.out.push('{');
        self.labels(labels);
        let _ = writeln!(self.out, "}} {value}");
    }

    fn durations(&mut self, series: &SeriesSnapshot, code: &CodeSums, exemplars: &[Exemplar]) {
        // Codes that are told together are told by their class: no two series have the same labels.
        let status = match series.class() {
            StatusClass::Aborted | StatusClass::Error => String::new(),
            class if code.code == 0 => class.as_str().to_owned(),
            _ => code.code.to_string(),
        };
        let error = match series.class() {
            StatusClass::ServerError => status.as_str(),
            class @ (StatusClass::Aborted | StatusClass::Error) => class.as_str(),
            _ => "",
        };
        let labels = [
            ("http_request_method", method(series)),
            ("http_route", &series.route),
            ("http_response_status_code", &status),
            ("error_type", error),
        ];
        let of_series = |one: &&Exemplar| {
            one.method == series.method
                && one.status_class == series.status_class
                && one.status_code.unwrap_or(0) == code.code
                && one.trace_id.is_some()
        };
        let slow: Vec<&Exemplar> = exemplars.iter().filter(of_series).collect();
        let within = |place: usize| {
            let low = place.checked_sub(1).map_or(0.0, |below| LE[below]);
            let high = LE.get(place).copied().unwrap_or(f64::INFINITY);
            let seconds = |one: &Exemplar| one.took_ms / 1e3;
            slow.iter()
                .find(|one| seconds(one) > low && seconds(one) <= high)
                .copied()
        };
        let seconds = code.nanos as f64 / 1e9;
        self.histogram(DURATION, &labels, (&code.le, code.count, seconds), within);
    }

    /// `told`: counts by bucket, not cumulative; how many in all; their sum in seconds. `exemplar`: that of a bucket.
    fn histogram<'a>(
        &mut self,
        name: &str,
        labels: &[(&str, &str)],
        told: (&[u64; LE.len()], u64, f64),
        exemplar: impl Fn(usize) -> Option<&'a Exemplar>,
    ) {
        let (counts, count, sum) = told;
        let mut below = 0_u64;
        for place in 0..=LE.len() {
            let le = LE
                .get(place)
                .map_or_else(|| "+Inf".to_owned(), |le| format!("{le:?}"));
            below = counts
                .get(place)
                .map_or(count, |more| below.saturating_add(*more));
            let _ = write!(self.out, "{name}_bucket{{");
            self.labels(labels);
            let _ = write!(self.out, ",le=\"{le}\"}} {below}");
            if self.is_open
                && let Some(one) = exemplar(place)
                && let Some(trace) = &one.trace_id
            {
                let (took, at) = (one.took_ms / 1e3, one.unix_ms as f64 / 1e3);
                let _ = write!(self.out, " # {{trace_id=\"{trace}\"}} {took} {at:.3}");
            }
            self.out.push('\n');
        }
        self.sample(&format!("{name}_sum"), labels, sum);
        self.sample(&format!("{name}_count"), labels, count);
    }
}
