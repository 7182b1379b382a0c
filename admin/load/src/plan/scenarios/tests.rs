//! What is refused, and by which path.

use super::Plan;
use crate::{HttpPlan, Open, Stage};

fn plan(text: &str) -> Plan {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn two(one: &str, other: &str) -> Plan {
    let scenario = |name: &str, more: &str| {
        format!(r#"{{"name": "{name}", "target": "http://127.0.0.1:1", {more}}}"#)
    };
    let (one, other) = (scenario("a", one), scenario("b", other));
    plan(&format!(r#"{{"scenarios": [{one}, {other}]}}"#))
}

#[test]
fn what_is_wrong_is_named_by_its_path() {
    let http = r#""http": {}"#;
    for (plan, field) in [
        (plan("{}"), "target"),
        (plan(r#"{"target": "a"}"#), "http"),
        (
            plan(r#"{"target": "a", "http": {}, "start_s": 1}"#),
            "start_s",
        ),
        (
            plan(r#"{"target": "a", "http": {"connections": 0}}"#),
            "http.connections",
        ),
        (
            two(http, r#""http": {"headers": {"host": "a"}}"#),
            "scenarios[1].http.headers.host",
        ),
        (
            two(http, r#""http": {}, "start_s": -1"#),
            "scenarios[1].start_s",
        ),
        (
            two(http, r#""http": {}, "start_s": 590.5"#),
            "scenarios[1].start_s",
        ),
        (
            two(
                http,
                r#""http": {}, "thresholds": ["p99 < 1ms", "p99 > 2ms"]"#,
            ),
            "scenarios[1].thresholds",
        ),
        (
            two(http, r#""http": {}, "scenarios": [{}]"#),
            "scenarios[1].scenarios",
        ),
        (two(http, r#""thresholds": []"#), "scenarios[1].http"),
        (
            Plan {
                target: "a".to_owned(),
                ..two(http, http)
            },
            "target",
        ),
        (
            Plan {
                http: Some(HttpPlan::default()),
                ..two(http, http)
            },
            "http",
        ),
        (
            Plan::side_by_side(
                two(http, http)
                    .scenarios
                    .into_iter()
                    .map(|one| one.name("a")),
            ),
            "scenarios[1].name",
        ),
        (
            Plan::side_by_side([two(http, http).scenarios[0].clone().name("a b")]),
            "scenarios[0].name",
        ),
        (
            Plan::side_by_side(vec![two(http, http).scenarios[0].clone(); 11]),
            "scenarios",
        ),
        (two(http, r#""http": {"part": "1/2"}"#), "scenarios"),
    ] {
        let error = plan.check().expect_err(field);
        assert_eq!(error.field, field, "{error}");
    }
    assert_eq!(two(http, http).check(), Ok(()));
}

#[test]
fn what_a_run_may_have_is_of_all_scenarios_together() {
    let rate = |rate: u32| {
        format!(r#""http": {{"open": {{"stages": [{{"duration_s": 1, "rate_per_s": {rate}}}]}}}}"#)
    };
    for (one, other, wants) in [
        (
            r#""http": {"connections": 1000}"#.to_owned(),
            r#""http": {"connections": 25}"#.to_owned(),
            "1024 connections together, have 1025",
        ),
        (
            rate(150_000),
            rate(50_001),
            "200000 arrivals a second together, have 200001",
        ),
        (
            r#""http": {"requests": 100000000}"#.to_owned(),
            rate(7),
            "requests together, have 100000007",
        ),
    ] {
        let error = two(&one, &other).check().expect_err(wants);
        assert!(error.to_string().contains(wants), "{error}");
    }
    assert_eq!(two(&rate(150_000), &rate(50_000)).check(), Ok(()));
}

#[test]
fn open_scenarios_that_do_not_say_share_the_connections_that_are_left() {
    let open = Open {
        stages: vec![Stage {
            duration_s: 1.0,
            rate_per_s: 1.0,
            to_rate_per_s: None,
        }],
        spacing: crate::Spacing::Even,
        seed: 0,
    };
    let http = || Plan::http("http://127.0.0.1:1", HttpPlan::default());
    let mut plan = Plan::side_by_side([
        http().name("a").with_open(&open),
        http().name("b"),
        http().name("c").with_open(&open),
    ]);
    let connections = |plan: &Plan| -> Vec<_> {
        let plans = plan.shared_out();
        let loads = plans.scenarios.into_iter().filter_map(|one| one.http);
        loads.map(|http| http.load.connections).collect()
    };
    assert_eq!(connections(&plan), [Some(504), None, Some(504)]);
    plan.scenarios.truncate(1);
    assert_eq!(connections(&plan), [Some(1_024)]);
    assert_eq!(plan.check(), Ok(()));
}
