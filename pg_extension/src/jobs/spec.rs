//! What can be asked for: kinds and their options, read from JSON. Pure; nothing here touches the server.

use std::collections::HashSet;

use serde_json::{Map, Value};

use crate::failure::Failure;

mod canonical;
mod statistics;

pub(super) use statistics::{Kept, Statistics};

/// Columns that an index can have (`INDEX_MAX_KEYS`).
const MAX_COLUMNS: usize = 32;
/// Relations that a job over many works on when it does not say.
const DEFAULT_LIMIT: u16 = 100;
/// What of an index is bloat when a job over many leaves it alone and does not say, in percent.
const DEFAULT_MIN_BLOAT_PERCENT: f64 = 50.0;
/// The same of its size, in megabytes.
const DEFAULT_MIN_SIZE_MB: f64 = 10.0;

/// One job, understood.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Spec {
    /// `VACUUM`.
    Vacuum(Vacuum),
    /// `ANALYZE`.
    Analyze,
    /// `REINDEX CONCURRENTLY` of an index or of all indexes of a table.
    Reindex,
    /// `CREATE INDEX CONCURRENTLY`.
    CreateIndex {
        /// What it is over.
        over: Over,
        /// Name of the index, unquoted; `None` makes one from table and columns.
        name: Option<String>,
    },
    /// `DROP INDEX CONCURRENTLY` of an index that a finished job made.
    DropIndex,
    /// `REFRESH MATERIALIZED VIEW`.
    RefreshMatview {
        /// Readers go on meanwhile; needs a unique index.
        concurrently: bool,
    },
    /// `ALTER COLUMN ... SET STATISTICS` or `CREATE STATISTICS`, and `ANALYZE` of these columns.
    Statistics(Statistics),
    /// One command for each relation that needs it.
    Many(Many),
}

impl Spec {
    /// The name that what it makes shall have.
    pub(super) fn name(&self) -> Option<&str> {
        match self {
            Self::CreateIndex { name, .. } => name.as_deref(),
            Self::Statistics(Statistics {
                kept: Kept::Extended { name, .. },
                ..
            }) => name.as_deref(),
            _ => None,
        }
    }
}

/// What an index is over.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Over {
    /// A B-tree over plain columns.
    Columns {
        /// Column names, unquoted.
        keys: Vec<String>,
        /// Columns that are only stored, unquoted.
        include: Vec<String>,
    },
    /// As `CREATE INDEX` has it behind the table's name: method, keys, INCLUDE, WITH, WHERE. Read by the server when the
    /// command is built.
    Definition(String),
}

/// Options of `VACUUM`, with their names there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Vacuum {
    /// Rewrites the table under an exclusive lock.
    pub(super) full: bool,
    /// Freezes every row.
    pub(super) freeze: bool,
    /// Also collects statistics.
    pub(super) analyze: bool,
    /// Workers for the indexes, 0 to 1024; `None` leaves it to the server.
    pub(super) parallel: Option<u16>,
    /// `AUTO`, `ON` or `OFF`; `None` leaves it to the table.
    pub(super) index_cleanup: Option<&'static str>,
}

/// A job that chooses its relations when it starts.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Many {
    /// What it looks for.
    pub(super) choice: Choice,
    /// Relations at most, 1 to 1,000, those that need it most first.
    pub(super) limit: u16,
    /// Indexes with less bloat are left alone, in percent of their size.
    pub(super) min_bloat_percent: f64,
    /// Smaller indexes are left alone, in megabytes.
    pub(super) min_size_mb: f64,
}

/// What a job over many relations looks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Choice {
    /// Tables whose statistics are older than autovacuum's thresholds allow.
    Stale,
    /// Tables with more dead rows than autovacuum's thresholds allow.
    Due,
    /// Tables with the oldest transaction ids.
    Oldest,
    /// Indexes that hold much more pages than their rows need.
    Bloated,
    /// Invalid indexes, but not the left-overs of somebody's REINDEX CONCURRENTLY.
    Invalid,
}

const KINDS: &str = "vacuum, analyze, reindex, create_index, drop_index, refresh_matview, statistics, analyze_all_stale, \
                     vacuum_due, freeze_oldest, rebuild_bloated_indexes and repair_invalid_indexes";

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
                let known = ["full", "freeze", "analyze", "parallel", "index_cleanup"];
                only(options, kind, &known)?;
                vacuum(options).map(Self::Vacuum)
            }
            "analyze" | "reindex" | "drop_index" => {
                only(options, kind, &[])?;
                Ok(match kind {
                    "analyze" => Self::Analyze,
                    "reindex" => Self::Reindex,
                    _ => Self::DropIndex,
                })
            }
            "create_index" => {
                only(options, kind, &["columns", "include", "definition", "name"])?;
                Ok(Self::CreateIndex {
                    over: over(options)?,
                    name: name(options, "index")?,
                })
            }
            "refresh_matview" => {
                only(options, kind, &["concurrently"])?;
                let concurrently = flag(options, "concurrently", true)?;
                Ok(Self::RefreshMatview { concurrently })
            }
            "statistics" => {
                only(options, kind, &["columns", "target", "kinds", "name"])?;
                Statistics::parse(options).map(Self::Statistics)
            }
            "analyze_all_stale" => many(options, kind, Choice::Stale),
            "vacuum_due" => many(options, kind, Choice::Due),
            "freeze_oldest" => many(options, kind, Choice::Oldest),
            "rebuild_bloated_indexes" => many(options, kind, Choice::Bloated),
            "repair_invalid_indexes" => many(options, kind, Choice::Invalid),
            _ => Err(Failure::argument(format!("unknown job kind \"{kind}\""))
                .hint(format!("Kinds are {KINDS}."))),
        }
    }
}

impl Spec {
    /// The name that `parse` reads.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Vacuum(_) => "vacuum",
            Self::Analyze => "analyze",
            Self::Reindex => "reindex",
            Self::CreateIndex { .. } => "create_index",
            Self::DropIndex => "drop_index",
            Self::RefreshMatview { .. } => "refresh_matview",
            Self::Statistics(_) => "statistics",
            Self::Many(many) => match many.choice {
                Choice::Stale => "analyze_all_stale",
                Choice::Due => "vacuum_due",
                Choice::Oldest => "freeze_oldest",
                Choice::Bloated => "rebuild_bloated_indexes",
                Choice::Invalid => "repair_invalid_indexes",
            },
        }
    }
}

fn vacuum(options: &Map<String, Value>) -> Result<Vacuum, Failure> {
    let parallel = number(options, "parallel", 0.0, 1024.0)?;
    let index_cleanup = match options.get("index_cleanup") {
        None => None,
        Some(Value::String(text)) if text == "auto" => Some("AUTO"),
        Some(Value::Bool(true)) => Some("ON"),
        Some(Value::Bool(false)) => Some("OFF"),
        Some(_) => {
            return Err(Failure::argument(
                "option \"index_cleanup\" must be true, false or \"auto\"",
            ));
        }
    };
    let vacuum = Vacuum {
        full: flag(options, "full", false)?,
        freeze: flag(options, "freeze", false)?,
        analyze: flag(options, "analyze", false)?,
        parallel: parallel.map(|workers| workers as u16),
        index_cleanup,
    };
    if vacuum.full
        && (vacuum.parallel.is_some_and(|workers| workers > 0) || index_cleanup.is_some())
    {
        return Err(Failure::argument(
            "option \"full\" goes with neither \"parallel\" nor \"index_cleanup\"",
        )
        .hint("VACUUM FULL writes table and indexes anew, with one process."));
    }
    Ok(vacuum)
}

fn many(options: &Map<String, Value>, kind: &str, choice: Choice) -> Result<Spec, Failure> {
    let known: &[&str] = match choice {
        Choice::Bloated => &["limit", "min_bloat_percent", "min_size_mb"],
        _ => &["limit"],
    };
    only(options, kind, known)?;
    let limit = number(options, "limit", 1.0, 1_000.0)?;
    Ok(Spec::Many(Many {
        choice,
        limit: limit.map_or(DEFAULT_LIMIT, |limit| limit as u16),
        min_bloat_percent: real(options, "min_bloat_percent", 0.0, 100.0)?
            .unwrap_or(DEFAULT_MIN_BLOAT_PERCENT),
        min_size_mb: real(options, "min_size_mb", 0.0, 1e9)?.unwrap_or(DEFAULT_MIN_SIZE_MB),
    }))
}

/// A whole number.
fn number(
    options: &Map<String, Value>,
    key: &str,
    least: f64,
    most: f64,
) -> Result<Option<f64>, Failure> {
    let value = real(options, key, least, most)?;
    if value.is_some_and(|value| value.fract() != 0.0) {
        return Err(Failure::argument(format!(
            "option \"{key}\" must be a whole number"
        )));
    }
    Ok(value)
}

fn real(
    options: &Map<String, Value>,
    key: &str,
    least: f64,
    most: f64,
) -> Result<Option<f64>, Failure> {
    let Some(value) = options.get(key) else {
        return Ok(None);
    };
    value
        .as_f64()
        .filter(|value| (least..=most).contains(value))
        .map(Some)
        .ok_or_else(|| {
            Failure::argument(format!(
                "option \"{key}\" must be a number from {least} to {most}"
            ))
        })
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

fn flag(options: &Map<String, Value>, key: &str, default: bool) -> Result<bool, Failure> {
    match options.get(key) {
        None => Ok(default),
        Some(Value::Bool(value)) => Ok(*value),
        Some(_) => Err(Failure::argument(format!(
            "option \"{key}\" must be true or false"
        ))),
    }
}

fn columns(options: &Map<String, Value>, option: &str) -> Result<Vec<String>, Failure> {
    let wrong = || {
        Failure::argument(format!(
            "option \"{option}\" must be an array of column names"
        ))
        .hint(format!(
            "For example: {{\"{option}\": [\"customer_id\", \"created_at\"]}}."
        ))
    };
    let Some(Value::Array(values)) = options.get(option) else {
        return Err(wrong());
    };
    let name = |value: &Value| value.as_str().map(str::to_owned).ok_or_else(wrong);
    values.iter().map(name).collect()
}

fn over(options: &Map<String, Value>) -> Result<Over, Failure> {
    let Some(definition) = options.get("definition") else {
        let keys = columns(options, "columns")?;
        let mut include = Vec::new();
        if options.contains_key("include") {
            include = columns(options, "include")?;
        }
        index_columns(&keys, &include)?;
        return Ok(Over::Columns { keys, include });
    };
    if let Some(other) = ["columns", "include"]
        .iter()
        .find(|other| options.contains_key(**other))
    {
        return Err(Failure::argument(format!(
            "option \"definition\" does not go with \"{other}\""
        ))
        .hint("Columns and INCLUDE stand in the definition."));
    }
    match definition {
        Value::String(text) if !text.contains('\0') => Ok(Over::Definition(text.clone())),
        _ => Err(Failure::argument("option \"definition\" must be a string").hint(
            "What stands behind the table's name in CREATE INDEX, as in {\"definition\": \"USING gin (tags) WHERE deleted_at IS NULL\"}.",
        )),
    }
}

/// Checks the columns of an index together: the keys, and those that are only stored.
fn index_columns(keys: &[String], include: &[String]) -> Result<(), Failure> {
    let mut seen = HashSet::new();
    if let Some(column) = keys
        .iter()
        .chain(include)
        .find(|column| !seen.insert(*column))
    {
        return Err(Failure::argument(format!(
            "column \"{column}\" is named twice"
        )));
    }
    if keys.is_empty() || seen.len() > MAX_COLUMNS {
        return Err(Failure::argument(format!(
            "an index has 1 to {MAX_COLUMNS} columns and a key among them, not {}",
            seen.len()
        )));
    }
    Ok(())
}

/// The name that something new of that kind shall have.
fn name(options: &Map<String, Value>, what: &str) -> Result<Option<String>, Failure> {
    match options.get("name") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(name)) if name.is_empty() || name.contains('\0') => {
            Err(Failure::argument(format!(
                "the name of the {what} must not be empty or hold a NUL byte"
            )))
        }
        Some(Value::String(name)) => Ok(Some(name.clone())),
        Some(_) => Err(Failure::argument("option \"name\" must be a string")),
    }
}

#[cfg(test)]
mod tests;
