//! The JSON Schema of plans against what is really read.

#![cfg(feature = "cli")]

use boon::{Compiler, SchemaIndex, Schemas};
use pitcrew_load::{Plan, schema};
use serde_json::{Value, json};

struct Schema(Schemas, SchemaIndex);

impl Schema {
    fn new() -> Self {
        let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
        compiler
            .add_resource("plan.json", schema())
            .expect("a resource");
        let index = compiler
            .compile("plan.json", &mut schemas)
            .expect("a schema");
        Self(schemas, index)
    }

    fn takes(&self, plan: &Value) -> Result<(), String> {
        let valid = self.0.validate(plan, self.1);
        valid.map_err(|error| error.to_string())
    }
}

/// The plans of the documentation.
fn documented() -> Vec<Value> {
    let text = include_str!("../../../docs/load.md");
    let blocks = text.split("```toml\n").skip(1);
    let plans = blocks.map(|block| block.split("```").next().unwrap_or_default());
    plans
        .map(|plan| toml::from_str(plan).expect(plan))
        .collect()
}

/// Those that say everything that can be said.
fn whole() -> Vec<Value> {
    let load = |mut plan: Value| {
        let more = json!({
            "connections": 3, "part": "1/2", "timeout_ms": 5, "seed": 7,
            "open": {"stages": [{"duration_s": 1, "rate_per_s": 2.5, "to_rate_per_s": 0}], "spacing": "poisson", "seed": 1},
        });
        for (name, value) in more.as_object().expect("fields") {
            plan[name] = value.clone();
        }
        plan
    };
    let data = json!({
        "a": {"counter": {"from": 1, "step": 2}}, "b": {"integer": {"from": -1, "to": 2}}, "c": {"choice": ["x"]},
        "d": {"text": {"length": 3}}, "e": {"uuid": {}}, "f": {"rows": {"csv": "x\n1\n", "order": "random"}},
        "g": {"rows": {"json": [{"x": 1}]}},
    });
    let http = json!({
        "headers": {"a": "b"}, "version": "http2", "streams": 2, "keep_alive": true, "data": data,
        "flows": [{"name": "f", "weight": 2, "steps": [{
            "name": "s", "path": "/{{a}}", "method": "PUT", "headers": {"x": "y"}, "body": "{{f.x}}", "think_ms": 1,
            "expect": {"status": [200], "headers": {"a": "b"}, "body_contains": "a", "body_matches": "a", "json": {"/a": [1]}, "within_ms": 5},
            "capture": {"j": {"json": "/a"}, "h": {"header": "a"}, "r": {"regex": "a"}},
        }]}],
    });
    let postgres = json!({
        "allow_writes": true, "keep_alive": false, "mode": "prepared",
        "steps": [{"sql": "SELECT $1", "parameters": ["1", null], "expect": {"rows": 1}, "capture": {"c": {"column": "c"}}}],
    });
    let websocket = json!({
        "path": "/", "hold_s": 1.5, "idle": 3,
        "steps": [{"send": {"text": "a"}, "reply": {"contains": "b"}}, {"send": {"hex": "00"}, "reply": "nothing"}, {"reply": "any"}],
    });
    let scenario = |name: &str, protocol: &str, plan: Value| json!({"name": name, "target": "a", "start_s": 2, "thresholds": ["p99 < 1s"], protocol: load(plan)});
    vec![
        json!({"thresholds": ["rate > 1/s over 2s abort"], "scenarios": [
            scenario("a", "http", http),
            scenario("b", "postgres", postgres),
            scenario("c", "websocket", websocket),
        ]}),
        json!({"target": "a", "http": {"path": "/", "method": "GET", "body": null, "duration_s": 1.5, "requests": 3}}),
        json!({"target": "a", "postgres": {"sql": "SELECT 1", "mode": "pipelined", "depth": 3, "parameters": []}}),
        json!({"target": "a", "websocket": {"message": {"hex": "00ff"}, "reply": "echo"}}),
    ]
}

/// Paths of all values in it, as JSON Pointers.
fn places(value: &Value, path: &str, all: &mut Vec<String>) {
    all.push(path.to_owned());
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                let name = name.replace('~', "~0").replace('/', "~1");
                places(field, &format!("{path}/{name}"), all);
            }
        }
        Value::Array(values) => {
            for (number, value) in values.iter().enumerate() {
                places(value, &format!("{path}/{number}"), all);
            }
        }
        _ => {}
    }
}

#[test]
fn each_plan_of_the_documentation_is_valid_and_can_run() {
    let schema = Schema::new();
    let plans = documented();
    assert!(plans.len() >= 3);
    for plan in plans.into_iter().chain(whole()) {
        assert_eq!(schema.takes(&plan), Ok(()), "{plan:#}");
        let read: Plan = serde_json::from_value(plan.clone())
            .unwrap_or_else(|error| panic!("{plan:#}: {error}"));
        // Rows of a file are read by the program alone.
        let checked = read.check().map_err(|error| error.to_string());
        assert!(
            checked
                .as_ref()
                .err()
                .is_none_or(|error| error.contains("rows.file")),
            "{checked:?}"
        );
        // What is written again is valid too.
        let written = serde_json::to_value(&read).expect("JSON");
        assert_eq!(schema.takes(&written), Ok(()), "{written:#}");
    }
}

#[test]
fn what_is_not_read_is_not_valid_at_any_place_of_a_plan() {
    let schema = Schema::new();
    let (mut refused, mut taken) = (0, 0);
    for plan in documented().into_iter().chain(whole()) {
        let mut all = Vec::new();
        places(&plan, "", &mut all);
        for place in all {
            let mut changed = Vec::new();
            for other in [json!({"?": 1}), json!(null), json!(-1.5), json!("?")] {
                let mut plan = plan.clone();
                *plan.pointer_mut(&place).expect("there") = other;
                changed.push(plan);
            }
            let mut more = plan.clone();
            if let Some(Value::Object(fields)) = more.pointer_mut(&place) {
                fields.insert("unknown".to_owned(), json!([[]]));
                changed.push(more);
            }
            for plan in changed {
                let valid = schema.takes(&plan);
                let read = serde_json::from_value::<Plan>(plan.clone());
                // A threshold and a part are texts of their own form, which the schema does not tell.
                let is_text = place.contains("/thresholds/") || place.ends_with("/part");
                if is_text && valid.is_ok() {
                    continue;
                }
                assert_eq!(valid.is_ok(), read.is_ok(), "{place}: {valid:?} {read:?}");
                if valid.is_ok() {
                    taken += 1;
                } else {
                    refused += 1;
                }
            }
        }
    }
    assert!(refused > 500 && taken > 50, "{refused} {taken}");
}

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
