//! The JSON Schema of plans, as the program prints it: what it takes and what it refuses.

#![cfg(feature = "cli")]

#[path = "support/plans.rs"]
mod plans;

use pitcrew_load::{Plan, schema};
use serde_json::{Value, json};

use plans::{faults, toml};

#[test]
fn the_program_prints_it_without_links() {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_pitcrew-load"))
        .arg("schema")
        .output()
        .expect("it runs");
    assert!(output.status.success());
    let printed: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(printed, schema());
    assert!(!printed.to_string().contains("[`"), "{printed:#}");
    let connections = &printed["$defs"]["HttpPlan"]["properties"]["connections"];
    assert!(
        connections["description"]
            .as_str()
            .is_some_and(|text| text.starts_with("Connections, 1 to")),
        "{printed:#}"
    );
}

#[test]
fn it_is_a_schema_itself() {
    let schema = schema();
    assert!(jsonschema::meta::is_valid(&schema), "{schema:#}");
}

/// What stands in the guide between fences of one language.
fn written(language: &str) -> Vec<&'static str> {
    let guide = include_str!("../../../docs/load.md");
    let fence = format!("```{language}\n");
    let blocks = guide.split(&fence).skip(1);
    blocks
        .map(|block| block.split("```").next().unwrap_or_default())
        .collect()
}

/// Both the schema and the reader take it.
fn takes(plan: Value) {
    assert_eq!(faults(&plan), Vec::<String>::new(), "{plan:#}");
    serde_json::from_value::<Plan>(plan).expect("a plan");
}

#[test]
fn every_plan_of_the_guide_fits() {
    let files = written("toml");
    assert_eq!(files.len(), 3, "the guide's plans");
    for text in files {
        takes(toml(text));
    }
    let bodies = written("json");
    assert!(!bodies.is_empty());
    for text in bodies {
        let mut body: Value = serde_json::from_str(text).expect("JSON");
        takes(body["plan"].take());
    }
}

#[test]
fn every_kind_of_field_fits() {
    for plan in [
        json!({}),
        json!({"http": {}}),
        json!({"http": null, "websocket": {"idle": 10, "hold_s": 1.5, "reply": {"contains": "a"}, "message": {"hex": "00ff"}}}),
        json!({"http": {"version": "http2", "streams": 4, "connections": 1, "duration_s": 0.1, "timeout_ms": 1, "part": "1/2"}}),
        json!({"http": {"open": {"spacing": "poisson", "seed": 7,
            "stages": [{"duration_s": 600, "rate_per_s": 0, "to_rate_per_s": 200_000}]}}}),
        json!({"postgres": {"sql": "SELECT $1::int", "parameters": ["1"], "mode": "pipelined", "depth": 4, "requests": 100_000_000}}),
        json!({"thresholds": ["p999 < 1s over 5s abort"], "http": {"flows": [
            {"name": "a", "weight": 3, "steps": [{"path": "/", "expect": {"status": [200], "headers": {"a": "b"}}}]}]}}),
        json!({"http": {"steps": [{"path": "/{{a}}{{b.c}}"}], "data": {
            "a": {"counter": {}}, "b": {"rows": {"json": [{"c": "d"}]}}, "e": {"integer": {"from": -1, "to": 1}},
            "f": {"choice": ["g"]}, "h": {"text": {"length": 3}}, "i": {"uuid": {}}}}}),
    ] {
        takes(plan);
    }
}

#[test]
fn what_the_reader_or_the_check_refuses_does_not_fit() {
    let stage = |stage: Value| json!({"http": {"open": {"stages": [stage]}}});
    for plan in [
        json!({"colour": "red"}),
        json!({"http": {"conections": 1}}),
        json!({"http": {"steps": [{"pth": "/"}]}}),
        json!({"scenarios": [{"nme": "a"}]}),
        json!({"http": 1}),
        json!({"http": {"method": 1}}),
        json!({"http": {"connections": "16"}}),
        json!({"http": {"connections": 0}}),
        json!({"websocket": {"connections": 1_025}}),
        json!({"postgres": {"duration_s": 601}}),
        json!({"http": {"duration_s": 0}}),
        json!({"http": {"requests": 0}}),
        json!({"http": {"timeout_ms": 60_001}}),
        json!({"http": {"version": "http3"}}),
        json!({"http": {"data": {"a": {"dice": {}}}}}),
        json!({"http": {"open": {"stages": []}}}),
        stage(json!({"duration_s": 1, "rate_per_s": -1})),
        stage(json!({"duration_s": 1, "rate_per_s": 200_001})),
        stage(json!({"duration_s": 1, "rate_per_s": 1, "to_rate_per_s": -1})),
        stage(json!({"duration_s": 0, "rate_per_s": 1})),
        stage(json!({"rate_per_s": 1})),
        json!({"start_s": -1, "http": {}}),
        json!({"scenarios": vec![json!({}); 11]}),
        json!({"thresholds": "p99 < 1s"}),
        json!([]),
    ] {
        assert!(!faults(&plan).is_empty(), "it fits: {plan}");
        let read = serde_json::from_value::<Plan>(plan.clone());
        assert!(
            read.is_err() || read.is_ok_and(|read| read.check().is_err()),
            "the schema refuses what the tester takes: {plan}"
        );
    }
}
