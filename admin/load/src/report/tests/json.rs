//! Written and read again.

use std::time::Duration;

use serde_json::Value;

use super::{results, some};
use crate::record::Recorder;
use crate::report::{Ended, Report, Results, SCHEMA};

#[test]
fn what_is_read_is_what_was_written() {
    let own = some();
    let read = Results::read(&own.json()).expect("read");
    assert_eq!(read, own);
    let mut stopped = own;
    stopped.report.cancelled = true;
    stopped.stopped_by = Some(crate::Breach {
        threshold: stopped.thresholds[1].clone(),
        measured: 2.5,
        at_s: 11.0,
    });
    let read = Results::read(&stopped.json()).expect("read");
    assert_eq!(read, stopped);
    assert!(!read.verdicts()[1].holds);
    let empty = results(Report::new(
        &Recorder::new(),
        &Ended {
            model: crate::Model::Closed,
            is_cancelled: false,
            elapsed: Duration::ZERO,
            rate_over: Duration::ZERO,
            due: 0,
            unfinished: 0,
            unfinished_follow_ups: 0,
            steps: Vec::new(),
            cpu: Duration::ZERO,
            intervals: Vec::new(),
            observed_dropped: 0,
        },
    ));
    assert_eq!(Results::read(&empty.json()).expect("read"), empty);
}

/// Names of all fields, as `report.response.p99_ms`.
fn fields(value: &Value, path: &str, all: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (name, value) in map {
                let path = format!("{path}.{name}");
                fields(value, path.trim_start_matches('.'), all);
            }
        }
        Value::Array(values) => {
            for value in values.iter().take(1) {
                fields(value, &format!("{path}[]"), all);
            }
        }
        _ => all.push(path.to_owned()),
    }
}

#[test]
fn the_schema_has_each_field_that_it_had() {
    let told: Value = serde_json::from_str(&some().json()).expect("JSON");
    let mut has = Vec::new();
    fields(&told, "", &mut has);
    let wanted = include_str!("../schema.txt").lines();
    let missing: Vec<_> = wanted
        .filter(|field| !has.iter().any(|own| own == field))
        .collect();
    assert!(missing.is_empty(), "gone from {}: {missing:#?}", SCHEMA);
    let kept = include_str!("../schema.txt").lines().count();
    // A new field is added to the list, so that it cannot go again unseen.
    assert_eq!(kept, has.len(), "{has:#?}");
}

#[test]
fn a_file_that_says_what_no_run_can_is_refused_with_its_field() {
    let text = some().json();
    let good: Value = serde_json::from_str(&text).expect("JSON");
    let change = |pointer: &str, to: Value| {
        let mut told = good.clone();
        *told.pointer_mut(pointer).expect(pointer) = to;
        Results::read(&told.to_string())
            .expect_err(pointer)
            .to_string()
    };
    let many = Value::from(1_u64 << 62);
    for (pointer, to, wants) in [
        (
            "/schema",
            "pitcrew-load/2".into(),
            "schema `pitcrew-load/2`",
        ),
        ("/target", Value::Null, "is no result of this program"),
        ("/report/elapsed_s", (-1.0).into(), "report.elapsed_s"),
        ("/report/elapsed_s", 1e300.into(), "report.elapsed_s"),
        ("/began_unix_s", 1e18.into(), "began_unix_s"),
        ("/report/due", many.clone(), "report.due"),
        ("/report/body_bytes", many.clone(), "report.body_bytes"),
        ("/report/errors/timeout", many.clone(), "report.errors"),
        ("/report/errors/timeout", 11.into(), "report.errors"),
        ("/report/statuses/200", many.clone(), "report.errors"),
        ("/report/intervals/3/errors", many, "report.intervals[3]"),
        (
            "/report/intervals/3/duration_s",
            0.0.into(),
            "report.intervals[3]",
        ),
        (
            "/report/intervals",
            Vec::<Value>::new().into(),
            "report.intervals",
        ),
        (
            "/report/intervals/3/errors",
            20.into(),
            "report.intervals count other",
        ),
        ("/histograms/lag", "AAAA".into(), "histograms.lag"),
        (
            "/histograms/intervals/2",
            "?".into(),
            "histograms.intervals[2]",
        ),
        ("/parts/numbers", vec![2, 1].into(), "parts"),
        ("/parts/numbers/0", 0.into(), "parts"),
        (
            "/thresholds/0/threshold",
            "p98 < 1ms".into(),
            "is no result",
        ),
    ] {
        let error = change(pointer, to);
        assert!(error.contains(wants), "{pointer}: {error}");
    }
    assert!(Results::read("[]").is_err() && Results::read("").is_err());
}
