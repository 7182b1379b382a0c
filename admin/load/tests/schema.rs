//! The JSON Schema of plans, as the program prints it.

#![cfg(feature = "cli")]

use pitcrew_load::schema;
use serde_json::Value;

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
