use super::*;

fn threshold(text: &str) -> Threshold {
    text.parse().unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn what_is_read_is_written_the_same() {
    for (text, written) in [
        ("p99 < 500ms", "p99 < 500ms"),
        ("p99.9<1s", ""),
        ("p999<=1s", "p999 <= 1000ms"),
        ("mean < 1500us", "mean < 1.5ms"),
        (" error_rate < 1% ", "error_rate < 1%"),
        ("rate >= 1000/s", "rate >= 1000/s"),
        ("missed <= 0", "missed <= 0"),
        ("lag_p99 < 1ms", "lag_p99 < 1ms"),
        ("p99<1s over 10s", "p99 < 1000ms over 10s"),
        ("rate >= 9/s over 1m abort", "rate >= 9/s over 60s abort"),
        ("error_rate < 5%  abort", "error_rate < 5% abort"),
        ("service_p99 < 5ms", "service_p99 < 5ms"),
        ("failed_max<2s", "failed_max < 2000ms"),
        ("lag_mean < 1ms", "lag_mean < 1ms"),
        ("timeout_rate <= 0%", "timeout_rate <= 0%"),
        (
            "throughput >= 2500kB/s over 2s",
            "throughput >= 2.5MB/s over 2s",
        ),
        ("throughput > 12B/s", "throughput > 12B/s"),
        ("cpu < 250%", "cpu < 250%"),
        ("requests >= 100", "requests >= 100"),
        ("p95 of buy/pay now < 5ms", "p95 of buy/pay now < 5ms"),
        (
            "error_rate of GET /a?b<3 <= 1%",
            "error_rate of GET /a?b<3 <= 1%",
        ),
    ] {
        if written.is_empty() {
            assert!(text.parse::<Threshold>().is_err(), "{text}");
            continue;
        }
        assert_eq!(threshold(text).to_string(), written);
        assert_eq!(threshold(written), threshold(text));
    }
}

#[test]
fn what_cannot_be_read_says_what_it_wants() {
    for (text, wants) in [
        ("", "a figure, one of"),
        ("p99", "a figure, one of"),
        ("p98 < 1ms", "there is no figure `p98`; there are mean"),
        ("service_rate < 1ms", "there is no figure `service_rate`"),
        ("throughput >= 10MB", "bytes a second, as 10MB/s"),
        ("cpu of a < 5%", "of the whole run"),
        (
            "p99 of a < 5ms over 2s",
            "a step's figures are known at the end",
        ),
        ("service_p99 < 5ms over 2s", "known at the end"),
        ("p99 < 0ms", "no run can keep it"),
        ("error_rate > 100%", "no run can keep it"),
        ("p99 < 500", "p99 wants a time"),
        ("p99 < -1ms", "p99 wants a time"),
        ("p99 < infms", "p99 wants a time"),
        ("p99 < NaNms", "p99 wants a time"),
        ("error_rate < 101%", "0% to 100%"),
        ("error_rate < 0.01", "0% to 100%"),
        ("rate >= 1000", "as 1000/s"),
        ("missed <= some", "wants a number"),
        ("p99 << 5ms", "there is no figure `p99 <`"),
        ("p99 < 5msabort", "p99 wants a time"),
        ("p99 < 5ms over", "p99 wants a time"),
        ("p99 < 5ms over 0s", "whole seconds, 1s to 600s"),
        ("p99 < 5ms over 1500ms", "whole seconds"),
        ("p99 < 5ms over 601s", "whole seconds"),
        ("p99 < 5ms over 10", "whole seconds"),
        ("missed < 5 over 10s", "known at the end"),
        ("lag_p99 < 1ms abort", "known at the end"),
    ] {
        let error = text.parse::<Threshold>().expect_err(text).to_string();
        assert!(error.contains(wants), "{error}");
    }
}

#[test]
fn two_that_exclude_each_other_are_found() {
    let of = |texts: &[&str]| {
        let all: Vec<_> = texts.iter().map(|text| threshold(text)).collect();
        contradiction(&all)
    };
    assert!(of(&["p99 < 500ms", "p99 > 500ms"]).is_some());
    assert!(of(&["p99 <= 500ms", "p99 >= 500ms"]).is_none());
    assert!(of(&["rate >= 1000/s", "p99 < 1ms", "rate < 900/s"]).is_some());
    assert!(of(&["rate >= 1000/s", "p99 < 1ms", "rate < 1100/s"]).is_none());
    assert!(of(&["rate >= 9/s over 1s", "rate < 5/s over 1s abort"]).is_some());
    // What is lower of the same times is never above what is higher, and a service time is a part of its response time.
    assert!(of(&["p50 > 300ms", "p99 < 200ms"]).is_some());
    assert!(of(&["min >= 5ms", "mean < 5ms"]).is_some());
    assert!(of(&["mean > 5ms", "max < 5ms"]).is_some());
    assert!(of(&["service_p95 > 5ms", "p99 < 5ms"]).is_some());
    assert!(of(&["p50 of a > 5ms", "p99 of a < 5ms"]).is_some());
    assert!(of(&["status_rate > 2%", "error_rate < 1%"]).is_some());
    assert!(of(&["p50 > 5ms over 2s", "p99 < 5ms over 2s"]).is_some());
    for both in [
        ["p99 > 300ms", "p50 < 200ms"],
        ["mean > 5ms", "p50 < 5ms"],
        ["p99 > 5ms", "service_p99 < 5ms"],
        ["failed_p50 > 5ms", "p99 < 5ms"],
        ["p50 of a > 5ms", "p99 of b < 5ms"],
        ["p50 of a > 5ms", "p99 < 5ms"],
        ["p50 > 5ms over 2s", "p99 < 5ms"],
    ] {
        assert!(of(&both).is_none(), "{both:?}");
    }
    // A window may lie below what the whole run reaches.
    assert!(of(&["rate >= 9/s", "rate < 5/s over 1s"]).is_none());
}

#[test]
fn a_report_is_held_against_each() {
    use std::time::{Duration, Instant};

    use crate::record::{Answer, Recorder, Sample};
    use crate::report::Ended;
    let mut recorder = Recorder::new();
    let begin = Instant::now();
    for ms in 1..=100 {
        let answer = Answer {
            status: Some(if ms > 98 { 500 } else { 200 }),
            body_bytes: 1,
        };
        let sample = Sample {
            intended: begin,
            lag: Some(Duration::ZERO),
            sent: begin,
            ended: begin + Duration::from_millis(ms),
            outcome: Ok(answer),
        };
        recorder.record(&sample, true);
    }
    let ended = |due| Ended {
        model: crate::Model::Open,
        is_cancelled: false,
        elapsed: Duration::from_secs(2),
        rate_over: Duration::from_secs(2),
        due,
        unfinished: 0,
        unfinished_follow_ups: 0,
        steps: Vec::new(),
        cpu: Duration::ZERO,
        intervals: Vec::new(),
        observed_dropped: 0,
    };
    let report = Report::new(&recorder, &ended(103));
    for (text, holds) in [
        ("error_rate <= 2%", true),
        ("error_rate < 2%", false),
        ("rate >= 49/s", true),
        ("rate > 49/s", false),
        ("p50 < 50ms", true),
        ("p50 < 49ms", false),
        ("max < 99ms", true),
        ("missed <= 3", true),
        ("missed < 3", false),
        ("lag_max < 1ms", true),
        ("status_rate <= 2%", true),
        ("timeout_rate > 0%", false),
        ("throughput >= 50B/s", true),
        ("requests >= 101", false),
        ("failed_min > 98ms", true),
        ("service_max < 99ms", true),
    ] {
        assert_eq!(threshold(text).judge(&report).holds, holds, "{text}");
    }
    // Of 98 answers nobody knows the 99th percentile, unless more than it can have are past the limit.
    for (text, holds, is_broken) in [
        ("p99 < 500ms", false, false),
        ("p99 > 50ms", true, false),
        ("p99 > 97ms", false, false),
        ("p99 < 80ms", false, true),
        ("lag_p99 < 1ms", false, false),
        ("p99 of a < 1ms", false, true),
    ] {
        let verdict = threshold(text).judge(&report);
        assert_eq!(
            (verdict.holds, verdict.is_broken()),
            (holds, is_broken),
            "{text}"
        );
    }
    let verdict = threshold("p99 < 500ms").judge(&report);
    assert_eq!((verdict.needed, verdict.word()), (Some(368), "too short"));
    // Of no answers there is no percentile, and what was not measured does not hold.
    let empty = Report::new(&Recorder::new(), &ended(0));
    for text in ["p99 < 1ms", "p99 > 1ms", "error_rate < 1%", "lag_p99 < 1ms"] {
        let verdict = threshold(text).judge(&empty);
        assert_eq!(
            (verdict.is_broken(), verdict.measured),
            (true, None),
            "{text}"
        );
    }
}

#[test]
fn in_json_it_is_its_text() {
    let text = serde_json::to_string(&threshold("p95 < 200ms")).expect("text");
    assert_eq!(text, r#""p95 < 200ms""#);
    assert!(serde_json::from_str::<Threshold>(r#""p95 < soon""#).is_err());
}
