//! Parts of a run against the whole.

use super::{report, results, samples};
use crate::report::{MergeError, Parts, Report, Results, merge};

fn part(number: u64, of: u64, report: Report) -> (String, Results) {
    let mut results = results(report);
    results.parts = Parts {
        numbers: vec![number],
        of,
        apart_s: 0.0,
    };
    (format!("{number}.json"), results)
}

#[test]
fn the_parts_of_a_run_merge_to_that_run() {
    let all = samples(4_000);
    let whole = report(&all);
    for of in [1, 2, 3, 7] {
        let parts: Vec<_> = (0..of)
            .map(|index| {
                let own = all.iter().skip(index).step_by(of).copied();
                let (name, results) = part(
                    index as u64 + 1,
                    of as u64,
                    report(&own.collect::<Vec<_>>()),
                );
                // Through a file, as parts come.
                (name, Results::read(&results.json()).expect("read"))
            })
            .collect();
        let merged = merge(&parts).expect("merged");
        assert_eq!(merged.parts.numbers.len(), of);
        // Exactly: each count of each histogram, and so every percentile.
        assert_eq!(merged.report.histograms, whole.histograms, "{of}");
        assert_eq!(merged.report.response, whole.response);
        assert_eq!(merged.report.errors, whole.errors);
        assert_eq!(merged.report.statuses, whole.statuses);
        assert_eq!(merged.report.lag, whole.lag);
        assert_eq!(merged.report.requests, 4_000);
        assert_eq!(merged.report.due, 4_000 + 3 * of as u64);
        assert_eq!(merged.report.unfinished, of as u64);
        assert_eq!(
            merged.report.body_bytes,
            10 * merged.report.statuses.values().sum::<u64>()
        );
        let seconds: u64 = merged.report.intervals.iter().map(|second| second.ok).sum();
        assert_eq!(seconds, merged.report.ok);
        // And may be written and read again.
        assert_eq!(Results::read(&merged.json()).expect("read"), merged);
    }
}

#[test]
fn what_are_no_parts_of_one_run_is_refused() {
    let part = |number, of| part(number, of, report(&samples(50)));
    let merged = |parts: &[(String, Results)]| merge(parts).expect_err("refused").to_string();
    assert_eq!(merge(&[]), Err(MergeError::Nothing));
    let both = "1.json and 1.json are both of part 1/2";
    assert!(merged(&[part(1, 2), part(1, 2)]).starts_with(both));
    assert!(merged(&[part(1, 1), part(1, 1)]).contains("run each process with its own --part"));
    assert!(merged(&[part(1, 3), part(3, 3)]).starts_with("part 2/3 is missing"));
    assert!(merged(&[part(1, 2)]).starts_with("part 2/2 is missing"));
    assert!(merged(&[part(1, 2), part(2, 3)]).contains("different number of parts"));
    let mut other = part(2, 2);
    other.1.plan["path"] = "/other".into();
    assert!(merged(&[part(1, 2), other]).contains("1.json and 2.json have a different plan"));
    let mut other = part(2, 2);
    other.1.target = "127.0.0.1:3001".to_owned();
    assert!(merged(&[part(1, 2), other]).contains("different target"));
    let mut other = part(2, 2);
    other.1.thresholds.pop();
    assert!(merged(&[part(1, 2), other]).contains("different list of thresholds"));
}

#[test]
fn parts_that_ran_one_after_the_other_are_told() {
    let all = samples(4_000);
    let (one, mut other) = (part(1, 2, report(&all)), part(2, 2, report(&all)));
    let apart = |one: &(String, Results), other: &(String, Results)| {
        let merged = merge(&[one.clone(), other.clone()]).expect("merged");
        let read = Results::read(&merged.json()).expect("read");
        read.warnings()
            .concat()
            .contains("s apart, so they did not load the target together")
    };
    assert!(!apart(&one, &other));
    other.1.began += std::time::Duration::from_secs(60);
    assert!(apart(&one, &other));
}

#[test]
fn one_part_that_was_late_makes_the_whole_late() {
    let late = |us| {
        let mut all = samples(20);
        all.iter_mut().for_each(|sample| sample.2 = us);
        report(&all)
    };
    let (one, other) = (
        part(1, 2, report(&samples(9_900))),
        part(2, 2, late(900_000)),
    );
    assert!(one.1.report.generator_limited.is_none() && other.1.report.generator_limited.is_some());
    let merged = merge(&[one, other]).expect("merged");
    assert!(merged.report.generator_limited.is_some());
    let read = Results::read(&merged.json()).expect("read");
    assert!(read.report.generator_limited.is_some());
}
