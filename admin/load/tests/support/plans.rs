//! Plans against their JSON Schema, as an editor or a client would look at them.

use pitcrew_load::schema;
use serde_json::Value;

/// A plan as it stands in a file.
pub(crate) fn toml(text: &str) -> Value {
    toml::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Where it is not what the schema says, as `path: what`.
pub(crate) fn faults(plan: &Value) -> Vec<String> {
    let validator = jsonschema::validator_for(&schema()).expect("a schema");
    let faults = validator.iter_errors(plan);
    faults
        .map(|fault| format!("{}: {fault}", fault.instance_path()))
        .collect()
}
