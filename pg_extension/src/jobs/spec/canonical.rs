//! One way to write each job's options, so that two jobs that do the same are seen to be the same.

use serde_json::{Map, Value, json};

use super::{DEFAULT_LIMIT, DEFAULT_MIN_BLOAT_PERCENT, DEFAULT_MIN_SIZE_MB, Over, Spec};

impl Spec {
    /// The options that say the same, without those that are the default: jobs that do the same have the same.
    pub(in crate::jobs) fn options(&self) -> Value {
        let mut options = Map::new();
        let mut put = |key: &str, value: Value| drop(options.insert(key.to_owned(), value));
        match self {
            Self::Analyze | Self::Reindex | Self::DropIndex => {}
            Self::Vacuum(vacuum) => {
                for (key, on) in [
                    ("full", vacuum.full),
                    ("freeze", vacuum.freeze),
                    ("analyze", vacuum.analyze),
                ] {
                    if on {
                        put(key, json!(true));
                    }
                }
                if let Some(workers) = vacuum.parallel {
                    put("parallel", json!(workers));
                }
                if let Some(how) = vacuum.index_cleanup {
                    let how = match how {
                        "AUTO" => json!("auto"),
                        how => json!(how == "ON"),
                    };
                    put("index_cleanup", how);
                }
            }
            Self::CreateIndex { over, name } => {
                match over {
                    Over::Columns { keys, include } => {
                        put("columns", json!(keys));
                        if !include.is_empty() {
                            put("include", json!(include));
                        }
                    }
                    Over::Definition(definition) => put("definition", json!(definition)),
                }
                if let Some(name) = name {
                    put("name", json!(name));
                }
            }
            Self::RefreshMatview { concurrently } => {
                if !concurrently {
                    put("concurrently", json!(false));
                }
            }
            Self::Statistics(statistics) => return Value::Object(statistics.options()),
            Self::Many(many) => {
                if many.limit != DEFAULT_LIMIT {
                    put("limit", json!(many.limit));
                }
                if many
                    .min_bloat_percent
                    .total_cmp(&DEFAULT_MIN_BLOAT_PERCENT)
                    .is_ne()
                {
                    put("min_bloat_percent", json!(many.min_bloat_percent));
                }
                if many.min_size_mb.total_cmp(&DEFAULT_MIN_SIZE_MB).is_ne() {
                    put("min_size_mb", json!(many.min_size_mb));
                }
            }
        }
        Value::Object(options)
    }
}
