//! What can be asked for: kinds and their options, read from JSON. Pure; nothing here touches the server.

use serde_json::{Map, Value};

use crate::failure::Failure;

/// Columns that an index can have (`INDEX_MAX_KEYS`).
const MAX_COLUMNS: usize = 32;
/// Bytes of an identifier (`NAMEDATALEN - 1`).
const MAX_NAME_BYTES: usize = 63;

/// One job, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Spec {
    /// `VACUUM`.
    Vacuum {
        /// Rewrites the table under an exclusive lock.
        full: bool,
        /// Also collects statistics.
        analyze: bool,
    },
    /// `ANALYZE`.
    Analyze,
    /// `CREATE INDEX CONCURRENTLY`, a B-tree over plain columns.
    CreateIndex {
        /// Column names, unquoted.
        columns: Vec<String>,
        /// Name of the index, unquoted; `None` makes one from table and columns.
        name: Option<String>,
    },
}

impl Spec {
    /// Reads a job from its kind and options.
    ///
    /// # Errors
    /// An argument failure that names the kind or option, with what is allowed as its hint.
    pub(super) fn parse(kind: &str, options: &Value) -> Result<Self, Failure> {
        let empty = Map::new();
        let options = match options {
            Value::Null => &empty,
            Value::Object(map) => map,
            _ => return Err(Failure::argument("job options must be a JSON object")),
        };
        match kind {
            "vacuum" => {
                only(options, kind, &["full", "analyze"])?;
                Ok(Self::Vacuum {
                    full: flag(options, "full")?,
                    analyze: flag(options, "analyze")?,
                })
            }
            "analyze" => {
                only(options, kind, &[])?;
                Ok(Self::Analyze)
            }
            "create_index" => {
                only(options, kind, &["columns", "name"])?;
                Ok(Self::CreateIndex {
                    columns: columns(options)?,
                    name: name(options)?,
                })
            }
            _ => Err(Failure::argument(format!("unknown job kind \"{kind}\""))
                .hint("Kinds are 'vacuum', 'analyze' and 'create_index'.")),
        }
    }
}

fn only(options: &Map<String, Value>, kind: &str, known: &[&str]) -> Result<(), Failure> {
    let Some(unknown) = options.keys().find(|key| !known.contains(&key.as_str())) else {
        return Ok(());
    };
    let hint = if known.is_empty() {
        format!("A job of kind '{kind}' has no options.")
    } else {
        format!("Options of '{kind}' are: {}.", known.join(", "))
    };
    Err(Failure::argument(format!(
        "unknown option \"{unknown}\" for a job of kind \"{kind}\""
    ))
    .hint(hint))
}

fn flag(options: &Map<String, Value>, key: &str) -> Result<bool, Failure> {
    match options.get(key) {
        None => Ok(false),
        Some(Value::Bool(value)) => Ok(*value),
        Some(_) => Err(Failure::argument(format!(
            "option \"{key}\" must be true or false"
        ))),
    }
}

fn columns(options: &Map<String, Value>) -> Result<Vec<String>, Failure> {
    let wrong = || {
        Failure::argument("option \"columns\" must be an array of column names")
            .hint("For example: {\"columns\": [\"customer_id\", \"created_at\"]}.")
    };
    let Some(Value::Array(values)) = options.get("columns") else {
        return Err(wrong());
    };
    let mut columns = Vec::with_capacity(values.len());
    for value in values {
        let Value::String(column) = value else {
            return Err(wrong());
        };
        if columns.contains(column) {
            return Err(Failure::argument(format!(
                "column \"{column}\" is named twice"
            )));
        }
        columns.push(column.clone());
    }
    if columns.is_empty() || columns.len() > MAX_COLUMNS {
        return Err(Failure::argument(format!(
            "an index has 1 to {MAX_COLUMNS} columns, not {}",
            columns.len()
        )));
    }
    Ok(columns)
}

fn name(options: &Map<String, Value>) -> Result<Option<String>, Failure> {
    match options.get("name") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(name)) if name.is_empty() || name.contains('\0') => Err(
            Failure::argument("an index name must not be empty or hold a NUL byte"),
        ),
        // The server would cut it, and then nobody finds the index that was asked for.
        Some(Value::String(name)) if name.len() > MAX_NAME_BYTES => Err(Failure::argument(
            format!("index name \"{name}\" is longer than {MAX_NAME_BYTES} bytes"),
        )),
        Some(Value::String(name)) => Ok(Some(name.clone())),
        Some(_) => Err(Failure::argument("option \"name\" must be a string")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn kinds_and_options_are_read() {
        assert_eq!(
            Spec::parse("vacuum", &json!({"full": true})).unwrap(),
            Spec::Vacuum {
                full: true,
                analyze: false
            }
        );
        assert_eq!(Spec::parse("analyze", &json!({})).unwrap(), Spec::Analyze);
        assert_eq!(
            Spec::parse("create_index", &json!({"columns": ["a\"b"], "name": "x"})).unwrap(),
            Spec::CreateIndex {
                columns: vec!["a\"b".into()],
                name: Some("x".into())
            }
        );
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for (kind, options) in [
            ("reboot", json!({})),
            ("VACUUM", json!({})),
            ("vacuum", json!({"ful": true})),
            ("vacuum", json!({"full": "yes"})),
            ("vacuum", json!([])),
            ("analyze", json!({"full": true})),
            ("create_index", json!({})),
            ("create_index", json!({"columns": []})),
            ("create_index", json!({"columns": [1]})),
            ("create_index", json!({"columns": ["a", "a"]})),
            ("create_index", json!({"columns": "a"})),
            ("create_index", json!({"columns": ["a"], "name": ""})),
            (
                "create_index",
                json!({"columns": ["a"], "name": "n".repeat(64)}),
            ),
            (
                "create_index",
                json!({"columns": (0..33).map(|n| n.to_string()).collect::<Vec<_>>()}),
            ),
        ] {
            assert!(Spec::parse(kind, &options).is_err(), "{kind} {options}");
        }
    }
}
