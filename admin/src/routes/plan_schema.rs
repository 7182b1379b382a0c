//! The schema of load plans, among the components of the OpenAPI document.

use serde_json::{Map, Value, json};

use super::shape::reference;

/// What `POST /load-test` takes: a plan of HTTP alone, or a whole one.
pub(super) const ASKED: &str = "AskedPlan";
/// A whole plan, as it stands in a file.
const WHOLE: &str = "Plan";

/// Every schema that a plan is made of, by the name of its component.
pub(super) fn components() -> Map<String, Value> {
    let mut whole = pitcrew_load::schema();
    within_document(&mut whole);
    let mut components = Map::new();
    if let Some(fields) = whole.as_object_mut() {
        fields.remove("$schema");
        if let Some(Value::Object(parts)) = fields.remove("$defs") {
            components.extend(parts);
        }
    }
    components.insert(WHOLE.to_owned(), whole);
    let asked = json!({
        "description": "A plan of HTTP, or a whole one. Where it says no target it goes to this app; what is of PostgreSQL goes to the one database that \
                        is configured for load tests.",
        "anyOf": [reference("HttpPlan"), reference(WHOLE)],
    });
    components.insert(ASKED.to_owned(), asked);
    components
}

/// References are to the document's components, not to the root of a schema of its own.
fn within_document(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            if let Some(Value::String(to)) = fields.get_mut("$ref") {
                let name = to.strip_prefix("#/$defs/").unwrap_or(WHOLE);
                *to = format!("#/components/schemas/{name}");
            }
            fields.values_mut().for_each(within_document);
        }
        Value::Array(values) => values.iter_mut().for_each(within_document),
        _ => {}
    }
}
