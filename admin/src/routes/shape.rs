//! One notation for what a request or an answer looks like, from which both its JSON schema and its example are made: an
//! example, with marks on the names of its fields.
//!
//! | written | means |
//! |---|---|
//! | `"name": 1` | an integer that is always there; `1.5`, `"a"` and `true` likewise |
//! | `"name?": 1` | there, or `null` |
//! | `"name~": 1` | may be left out |
//! | `"name?~": 1` | may be left out, or `null` |
//! | `"name": "@up\|down"` | one of these words |
//! | `"*name": 1` | any name, `name` for example |
//! | `[1]` | a list of these; `[]` a list of anything |
//! | `null` | anything |
//! | `{"&Name": 1}` | what the document's component `Name` says; `1` for example |

use serde_json::{Map, Value, json};

/// The JSON schema (2020-12) of what is written. With `closed` an object has no other fields.
pub(crate) fn schema(written: &Value, closed: bool) -> Value {
    match written {
        Value::Null => json!({}),
        Value::Bool(_) => json!({"type": "boolean"}),
        Value::Number(number) if number.is_f64() => json!({"type": "number"}),
        Value::Number(_) => json!({"type": "integer"}),
        Value::String(text) => match text.strip_prefix('@') {
            Some(words) => json!({"type": "string", "enum": words.split('|').collect::<Vec<_>>()}),
            None => json!({"type": "string"}),
        },
        Value::Array(items) => {
            let items = items
                .first()
                .map_or_else(|| json!({}), |item| schema(item, closed));
            json!({"type": "array", "items": items})
        }
        Value::Object(fields) => object(fields, closed),
    }
}

/// The name of a component and the example beside it.
fn component(fields: &Map<String, Value>) -> Option<(&str, &Value)> {
    let (name, example) = fields.iter().next()?;
    Some((name.strip_prefix('&')?, example))
}

/// Where the document has it.
pub(crate) fn reference(component: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{component}")})
}

fn object(fields: &Map<String, Value>, closed: bool) -> Value {
    if let Some((name, _)) = component(fields) {
        return reference(name);
    }
    let (mut properties, mut required) = (Map::new(), Vec::new());
    let mut more = (!closed).then_some(json!(true)).unwrap_or(json!(false));
    for (written, value) in fields {
        let of = schema(value, closed);
        if written.starts_with('*') {
            more = of;
        } else if let Some(name) = written.strip_suffix("?~") {
            properties.insert(name.to_owned(), nullable(&of));
        } else if let Some(name) = written.strip_suffix('?') {
            properties.insert(name.to_owned(), nullable(&of));
            required.push(name);
        } else if let Some(name) = written.strip_suffix('~') {
            properties.insert(name.to_owned(), of);
        } else {
            properties.insert(written.clone(), of);
            required.push(written);
        }
    }
    json!({"type": "object", "properties": properties, "required": required, "additionalProperties": more})
}

fn nullable(of: &Value) -> Value {
    json!({"anyOf": [of, {"type": "null"}]})
}

/// What is written without its marks.
pub(crate) fn example(written: &Value) -> Value {
    match written {
        Value::String(text) => match text.strip_prefix('@') {
            Some(words) => words.split('|').next().into(),
            None => text.as_str().into(),
        },
        Value::Array(items) => items.iter().map(example).collect(),
        Value::Object(fields) => match component(fields) {
            Some((_, example)) => example.clone(),
            None => fields
                .iter()
                .map(|(name, value)| {
                    let name = name.trim_start_matches('*').trim_end_matches(['?', '~']);
                    (name.to_owned(), example(value))
                })
                .collect(),
        },
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_a_schema_and_an_example() {
        let written = json!({"state": "@up|down", "count": 1, "share?": 0.5, "why~": "x", "who?~": "y", "by": {"*api": 2}, "all": [1],
            "plan~": {"&Plan": {"a?": 1}}});
        assert_eq!(
            example(&written),
            json!({"state": "up", "count": 1, "share": 0.5, "why": "x", "who": "y", "by": {"api": 2}, "all": [1],
                "plan": {"a?": 1}})
        );
        let schema = schema(&written, true);
        assert_eq!(
            schema["required"],
            json!(["all", "by", "count", "share", "state"])
        );
        assert_eq!(schema["additionalProperties"], false);
        assert_eq!(
            schema["properties"]["plan"],
            json!({"$ref": "#/components/schemas/Plan"})
        );
        assert_eq!(
            schema["properties"]["by"]["additionalProperties"],
            json!({"type": "integer"})
        );
        assert_eq!(
            schema["properties"]["share"],
            json!({"anyOf": [{"type": "number"}, {"type": "null"}]})
        );
        assert_eq!(schema["properties"]["who"]["anyOf"][1]["type"], "null");
    }
}
