//! What the latency layer hands on: text for Prometheus, snapshots between instances, HdrHistogram's log.

#![allow(clippy::unwrap_used)]

use std::{
    collections::BTreeMap,
    convert::Infallible,
    future::{Future, ready},
    pin::pin,
    task::{Context, Waker},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Empty;
use pitcrew::{
    LatencyHandle, LatencyLayer,
    clock::Clock,
    latency::{DEFAULT_MAX_SERIES, LatencySnapshot, LatencyWire, MIN_SERIES, Window},
};
use tower::{Layer, ServiceExt, service_fn};

const HOSTILE: &str = "/a\\b\"c\"\nd{e=\"f\"} # 7";

struct App {
    clock: Clock,
    layer: LatencyLayer,
    handle: LatencyHandle,
}

impl App {
    fn new() -> Self {
        Self::with_series(DEFAULT_MAX_SERIES)
    }

    fn with_series(max_series: usize) -> Self {
        let clock = Clock::manual();
        let (layer, handle) = LatencyLayer::builder()
            .max_series(max_series)
            .clock(clock.clone())
            .route_label(|parts| Some(parts.headers["route"].to_str().unwrap().replace('~', "\n")))
            .build();
        Self {
            clock,
            layer,
            handle,
        }
    }

    fn ask(&self, method: &str, route: &str, ms: u64, status: u16) {
        let app = self.layer.layer(service_fn(|_: Request<()>| {
            self.clock.advance(Duration::from_millis(ms));
            let response = Response::builder().status(status);
            ready(Ok::<_, Infallible>(
                response.body(Empty::<Bytes>::new()).unwrap(),
            ))
        }));
        let request = Request::builder()
            .method(method)
            .header("route", route.replace('\n', "~"))
            .header(
                "traceparent",
                "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            );
        let mut cx = Context::from_waker(Waker::noop());
        let mut answer = pin!(app.oneshot(request.body(()).unwrap()));
        assert!(answer.as_mut().poll(&mut cx).is_ready());
    }
}

fn filled() -> App {
    let app = App::new();
    for ms in [1, 6, 20, 60, 300, 20_000] {
        app.ask("GET", "/orders/{id}", ms, 200);
    }
    app.ask("GET", "/orders/{id}", 3, 204);
    app.ask("POST", "/orders/{id}", 40, 503);
    app.ask("BREW", HOSTILE, 1, 418);
    app
}

/// Sample lines by name and labels.
fn samples(text: &str) -> BTreeMap<String, f64> {
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let line = line.split(" # {").next().unwrap();
            let (name, value) = line.rsplit_once(' ').unwrap();
            (name.to_owned(), value.parse().unwrap())
        })
        .collect()
}

#[test]
fn prometheus_text_has_the_conventions_names_exact_codes_and_cumulative_buckets() {
    let app = filled();
    let text = app.handle.prometheus();
    let samples = samples(&text);
    let duration = |suffix: &str, rest: &str| {
        let labels = "http_request_method=\"GET\",http_route=\"/orders/{id}\",\
            http_response_status_code=\"200\",error_type=\"\"";
        samples[&format!("http_server_request_duration_seconds{suffix}{{{labels}{rest}}}")]
    };
    for (le, count) in [
        ("0.005", 1.0),
        ("0.01", 2.0),
        ("0.025", 3.0),
        ("0.075", 4.0),
        ("0.25", 4.0),
        ("0.5", 5.0),
        ("1.0", 5.0),
        ("10.0", 5.0),
        ("+Inf", 6.0),
    ] {
        assert_eq!(duration("_bucket", &format!(",le=\"{le}\"")), count, "{le}");
    }
    assert_eq!(duration("_count", ""), 6.0);
    assert!((duration("_sum", "") - 20.387).abs() < 1e-9);
    assert!(text.contains("http_response_status_code=\"204\",error_type=\"\""));
    assert!(text.contains("http_response_status_code=\"503\",error_type=\"503\""));
    assert!(text.contains("http_server_active_requests{http_route=\"/orders/{id}\"} 0"));
    assert!(text.contains("pitcrew_latency_dropped_total{reason=\"series\"} 0"));
    assert!(text.contains("# TYPE pitcrew_http_response_body_bytes_total counter"));
    assert!(
        !text.contains("trace_id"),
        "the older format has no exemplars"
    );
    let names = text
        .lines()
        .filter(|line| line.starts_with("# TYPE http_server_request_duration"));
    assert_eq!(names.count(), 1);
}

#[test]
fn hostile_names_are_escaped_and_unknown_methods_share_one() {
    let text = filled().handle.prometheus();
    let route = "http_route=\"/a\\\\b\\\"c\\\"\\nd{e=\\\"f\\\"} # 7\"";
    assert!(
        text.contains(&format!("http_request_method=\"_OTHER\",{route}")),
        "{text}"
    );
    // No line but comments and samples, each of them one line.
    for line in text.lines() {
        assert!(
            line.starts_with("# ") || line.starts_with("http_") || line.starts_with("pitcrew_")
        );
    }
}

#[test]
fn openmetrics_ends_as_it_must_and_has_exemplars() {
    let text = filled().handle.openmetrics();
    assert!(text.ends_with("# EOF\n"));
    assert!(text.contains("# TYPE pitcrew_http_response_body_bytes counter\n# UNIT pitcrew_http_response_body_bytes bytes\n"));
    let slow = text
        .lines()
        .find(|line| line.contains("le=\"+Inf\"") && line.contains("status_code=\"200\""))
        .unwrap();
    let exemplar = slow.split_once(" # ").unwrap().1;
    assert!(
        exemplar.starts_with("{trace_id=\"4bf92f3577b34da6a3ce929d0e0e4736\"} 20 1767225620.387"),
        "{exemplar}"
    );
}

#[test]
fn of_many_status_codes_the_first_are_told_apart() {
    let app = App::new();
    for status in 400..420 {
        app.ask("GET", "/", 1, status);
    }
    let snapshot = app.handle.snapshot();
    assert_eq!((snapshot.series.len(), snapshot.series[0].count), (1, 20));
    let samples = samples(&snapshot.prometheus());
    let counts: Vec<_> = samples
        .iter()
        .filter(|(name, _)| name.starts_with("http_server_request_duration_seconds_count"))
        .collect();
    assert_eq!(counts.len(), 9);
    assert_eq!(counts.iter().map(|(_, count)| **count).sum::<f64>(), 20.0);
    assert!(
        counts
            .iter()
            .any(|(name, _)| name.contains("status_code=\"4xx\""))
    );
}

#[test]
fn labels_that_are_too_long_are_counted_together() {
    let app = App::new();
    for length in [256, 257, 60_000] {
        app.ask("GET", &"a".repeat(length), 1, 200);
    }
    let snapshot = app.handle.snapshot();
    let counts: Vec<_> = snapshot
        .series
        .iter()
        .map(|series| (series.route.len(), series.count))
        .collect();
    assert_eq!(counts, [("overflow".len(), 2), (256, 1)]);
    assert_eq!(snapshot.dropped_series, 2);
}

#[test]
fn no_two_samples_have_the_same_name_and_labels() {
    // Codes of two classes beyond their bound, and every class in `overflow`.
    let app = App::with_series(MIN_SERIES + 2);
    for status in (200..215).chain(400..415) {
        app.ask("GET", "/", 1, status);
    }
    for status in [200, 302, 404, 500] {
        app.ask("GET", "/other", 1, status);
        app.ask("POST", "/another", 1, status);
    }
    let text = app.handle.snapshot().prometheus();
    let mut names: Vec<_> = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| Some(line.rsplit_once(' ')?.0))
        .collect();
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all, "{text}");
}

#[test]
fn snapshots_of_two_instances_are_one_as_if_one_had_seen_all() {
    let (one, two, all) = (App::new(), App::new(), App::new());
    for ms in 1..=400_u64 {
        let app = if ms % 3 == 0 { &one } else { &two };
        for app in [app, &all] {
            app.ask("GET", "/", ms * ms % 997, 200);
        }
    }
    two.ask("GET", "/two", 5, 404);
    all.ask("GET", "/two", 5, 404);
    // Over the wire, as from another instance.
    let json = serde_json::to_string(&two.handle.snapshot().to_wire()).unwrap();
    let wire: LatencyWire = serde_json::from_str(&json).unwrap();
    let merged = one
        .handle
        .snapshot()
        .merge(&LatencySnapshot::try_from(wire).unwrap());
    let whole = all.handle.snapshot();
    assert_eq!(merged.requests, whole.requests);
    assert_eq!(
        merged.histogram(Window::SinceStart),
        whole.histogram(Window::SinceStart)
    );
    for row in &whole.series {
        let same = merged
            .series
            .iter()
            .find(|other| other.route == row.route)
            .unwrap();
        assert_eq!(
            (
                same.count,
                same.p50_ms,
                same.p99_ms,
                same.max_ms,
                same.min_ms
            ),
            (row.count, row.p50_ms, row.p99_ms, row.max_ms, row.min_ms)
        );
        let slow = |snapshot: &LatencySnapshot| -> Vec<f64> {
            let exemplars = snapshot.exemplars(&row.route, Window::SinceStart);
            exemplars.iter().map(|one| one.took_ms).collect()
        };
        assert_eq!(slow(&merged), slow(&whole));
    }
    let duration = |snapshot: &LatencySnapshot| -> Vec<(String, f64)> {
        let samples = samples(&snapshot.prometheus()).into_iter();
        samples
            .filter(|(name, _)| name.contains("duration_seconds_bucket"))
            .collect()
    };
    assert_eq!(duration(&merged), duration(&whole));
}

#[test]
fn nonsense_from_elsewhere_is_refused_by_name() {
    let good = serde_json::to_value(filled().handle.snapshot().to_wire()).unwrap();
    let read = |value: serde_json::Value| -> Result<LatencySnapshot, String> {
        let wire: LatencyWire = serde_json::from_value(value).map_err(|error| error.to_string())?;
        LatencySnapshot::try_from(wire).map_err(|error| error.to_string())
    };
    assert!(read(good.clone()).is_ok());
    let with = |path: &str, value: serde_json::Value| {
        let mut changed = good.clone();
        *changed.pointer_mut(path).unwrap() = value;
        read(changed).unwrap_err()
    };
    let error = with("/version", 9.into());
    assert!(
        error.contains("version 9") && error.contains("update"),
        "{error}"
    );
    for (path, value, named) in [
        ("/uptime_s", (-1.0).into(), "uptime_s"),
        ("/covered_s/0", (-1.0).into(), "covered_s"),
        ("/series/0/status_class", "6xx".into(), "status_class"),
        ("/series/0/total/errors", u64::MAX.into(), "sums"),
        ("/series/0/total/max_nanos", 0.into(), "sums"),
        (
            "/series/0/total/body_end",
            serde_json::json!([[5, 1], [5, 1]]),
            "order",
        ),
        (
            "/series/0/total/body_end",
            serde_json::json!([[9_999, 1]]),
            "below",
        ),
        (
            "/series/0/total/body_end",
            serde_json::json!([[5, 0]]),
            "count",
        ),
        (
            "/series/0/total/body_end",
            serde_json::json!([[5, u64::MAX], [6, 1]]),
            "count",
        ),
        ("/series/0/codes/0/code", 7.into(), "status codes"),
        ("/series/0/codes/0/le/0", 99.into(), "status codes"),
        ("/series/0/rates/one_second", (-3.0).into(), "rates"),
    ] {
        let error = with(path, value);
        assert!(error.contains(named), "{path}: {error}");
    }
    for (path, value, named) in [
        ("/series/0/route", "r".repeat(10_000).into(), "route"),
        ("/series/0/method", "BREW".into(), "method"),
        ("/series/1", good["series"][0].clone(), "twice"),
        ("/series/0/total/max_nanos", u64::MAX.into(), "sums"),
        ("/series/0/total/body_end_nanos", u64::MAX.into(), "sums"),
        ("/series/0/total/body_end_nanos", 0.into(), "sums"),
        ("/uptime_s", 1e300.into(), "uptime_s"),
        (
            "/in_flight",
            serde_json::json!({"a": u64::MAX}),
            "in_flight",
        ),
        (
            "/in_flight",
            serde_json::json!({"r".repeat(10_000): 1}),
            "route",
        ),
    ] {
        let error = with(path, value);
        assert!(error.contains(named), "{path}: {error}");
    }
    // What an exemplar holds is written as it stands, so it holds nothing else than it can.
    let route = good["exemplars"]
        .as_object()
        .unwrap()
        .keys()
        .next()
        .unwrap();
    let at = format!("/exemplars/{}", route.replace('~', "~0").replace('/', "~1"));
    for (field, value) in [
        ("trace_id", "a\"} 1\nevil 1\n".into()),
        ("trace_id", "4BF92F3577B34DA6A3CE929D0E0E4736".into()),
        ("method", "GET\"".into()),
        ("status_class", "\n".into()),
        ("status_code", 7.into()),
        ("took_ms", 1e308.into()),
        ("first_byte_ms", (-1.0).into()),
    ] {
        let error = with(&format!("{at}/0/0/{field}"), value);
        assert!(error.contains("exemplars"), "{field}: {error}");
    }
    // Another form is told by its version, whatever else is in it, and whichever of the two is the older.
    for version in [0, 2] {
        let text = format!("{{\"version\": {version}, \"other\": 1}}");
        let error = serde_json::from_str::<LatencyWire>(&text).unwrap_err();
        let error = error.to_string();
        assert!(
            error.contains(&format!("version {version}")) && error.contains("the older of the two"),
            "{error}"
        );
    }
    // Numbers at their end add up without a panic.
    let mut huge = good.clone();
    *huge.pointer_mut("/in_flight").unwrap() = serde_json::json!({"a": u32::MAX, "b": u32::MAX});
    let huge = read(huge).unwrap();
    assert_eq!(huge.merge(&huge).in_flight, 4 * u64::from(u32::MAX));
}

#[test]
fn a_merge_of_many_instances_goes_over_the_wire() {
    // Three instances with eight codes each of one class, all different, and clocks that are a year apart.
    let instances = [400_u16, 408, 416].map(|first| {
        let app = App::new();
        let years = i64::from(first - 400) / 8;
        app.clock.step_wall(years * 365 * 24 * 3_600_000);
        for hour in 0..25 {
            app.ask("GET", "/a", 5, first + hour % 8);
            app.handle.fold();
            app.clock.advance(Duration::from_secs(3_600));
        }
        app.handle.snapshot()
    });
    let merged = instances[0].merge(&instances[1]).merge(&instances[2]);
    let text = serde_json::to_string(&merged.to_wire()).unwrap();
    let wire: LatencyWire = serde_json::from_str(&text).unwrap();
    let read = LatencySnapshot::try_from(wire).unwrap();
    assert_eq!(read.requests, 75);
    assert_eq!(samples(&read.prometheus()), samples(&merged.prometheus()));
    assert_eq!(read.series[0].hours().len(), 50);
    // A tree of merges too.
    assert_eq!(read.merge(&instances[0]).requests, 100);
}

#[cfg(feature = "hdr-log")]
#[test]
fn hdrhistograms_own_reader_reads_the_log() {
    use hdrhistogram::serialization::{
        Deserializer,
        interval_log::{IntervalLogIterator, LogEntry},
    };

    let snapshot = filled().handle.snapshot();
    let mut log = Vec::new();
    snapshot.write_hdr_log(&mut log).unwrap();
    let mut rows = BTreeMap::new();
    for entry in IntervalLogIterator::new(&log) {
        if let LogEntry::Interval(interval) = entry.unwrap() {
            let bytes = of_base64(interval.encoded_histogram());
            let read: hdrhistogram::Histogram<u64> = Deserializer::new()
                .deserialize(&mut bytes.as_slice())
                .unwrap();
            rows.insert(interval.tag().unwrap().as_str().to_owned(), read);
        }
    }
    assert_eq!(rows.len(), snapshot.series.len());
    let read = &rows["/orders/{id}_GET_2xx"];
    let ours = snapshot
        .series
        .iter()
        .find(|row| row.method == "GET" && row.route == "/orders/{id}")
        .unwrap()
        .histogram(Window::SinceStart);
    assert_eq!(read.len(), ours.count());
    for quantile in [0.2, 0.25, 0.5, 0.75, 0.9, 1.0] {
        let (theirs, ours) = (
            read.value_at_quantile(quantile) as f64,
            ours.value_at_quantile(quantile).as_nanos(),
        );
        assert!(
            (theirs / ours as f64 - 1.0).abs() < 0.001,
            "{quantile}: {theirs}, {ours}"
        );
    }
}

/// RFC 4648, 4.
fn of_base64(text: &str) -> Vec<u8> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut bytes = Vec::new();
    let (mut bits, mut held) = (0_u32, 0);
    for byte in text.trim_end_matches('=').bytes() {
        let digit = DIGITS.iter().position(|known| *known == byte).unwrap();
        bits = bits << 6 | digit as u32;
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held) as u8);
        }
    }
    bytes
}
