//! The JSON Schema of plans.

use serde_json::Value;

use super::Plan;

/// The JSON Schema (draft 2020-12) of a [`Plan`]: what its fields are, that there are no others, and how much load each may ask for.
/// Other ranges, and what fields have to do with one another, are for [`Plan::check`] to say.
#[must_use]
pub fn schema() -> Value {
    let settings = schemars::generate::SchemaSettings::draft2020_12();
    let mut schema = settings
        .into_generator()
        .into_root_schema_for::<Plan>()
        .to_value();
    plain(&mut schema);
    schema
}

/// Links of descriptions are of these pages: their words stay.
fn plain(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            for (name, field) in fields {
                match field {
                    Value::String(text) if name == "description" => *text = without_links(text),
                    _ => plain(field),
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(plain),
        _ => {}
    }
}

/// "[`A`](b)" and "[`A`]" as "`A`".
fn without_links(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, link)) = rest.split_once("[`") {
        let Some((word, after)) = link.split_once("`]") else {
            break;
        };
        plain.push_str(&format!("{before}`{word}`"));
        rest = after;
        if let Some((_, behind)) = after
            .strip_prefix('(')
            .and_then(|target| target.split_once(')'))
        {
            rest = behind;
        }
    }
    plain + rest
}
