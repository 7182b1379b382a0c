//! Options of kind `statistics`.

use serde_json::{Map, Value, json};

use super::{MAX_COLUMNS, columns, name, number};
use crate::failure::Failure;

/// The largest statistics target (`MAX_STATISTICS_TARGET`).
const MAX_TARGET: f64 = 10_000.0;
/// Columns of one statistics object (`STATS_MAX_DIMENSIONS`).
const MAX_TOGETHER: usize = 8;
/// Kinds of extended statistics, as `CREATE STATISTICS` names them.
const KINDS: [&str; 3] = ["ndistinct", "dependencies", "mcv"];

/// What ANALYZE is to keep of some columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::jobs) struct Statistics {
    /// Their names, unquoted, in alphabetical order.
    pub(in crate::jobs) columns: Vec<String>,
    /// More of each, or something of all together.
    pub(in crate::jobs) kept: Kept,
}

/// What is kept from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::jobs) enum Kept {
    /// `ALTER TABLE ... ALTER COLUMN ... SET STATISTICS`: -1 is the server's default.
    Target(i16),
    /// `CREATE STATISTICS`.
    Extended {
        /// Some of [`KINDS`], in their order.
        kinds: Vec<&'static str>,
        /// Name of the object, unquoted; `None` makes one from table and columns.
        name: Option<String>,
    },
}

impl Statistics {
    /// # Errors
    /// An argument failure that names the option.
    pub(super) fn parse(options: &Map<String, Value>) -> Result<Self, Failure> {
        let mut columns = columns(options, "columns")?;
        columns.sort_unstable();
        if let Some(twice) = columns.windows(2).find(|two| two[0] == two[1]) {
            return Err(Failure::argument(format!(
                "column \"{}\" is named twice",
                twice[0]
            )));
        }
        let target = number(options, "target", -1.0, MAX_TARGET)?;
        let (kept, least, most) = match (target, options.get("kinds")) {
            (Some(target), None) => {
                if options.contains_key("name") {
                    return Err(
                        Failure::argument("option \"target\" does not go with \"name\"")
                            .hint("A name is given to extended statistics, by option \"kinds\"."),
                    );
                }
                (Kept::Target(target as i16), 1, MAX_COLUMNS)
            }
            (None, Some(kinds)) => {
                let kept = Kept::Extended {
                    kinds: self::kinds(kinds)?,
                    name: name(options, "statistics object")?,
                };
                (kept, 2, MAX_TOGETHER)
            }
            _ => {
                return Err(Failure::argument(
                    "a job of kind \"statistics\" needs either \"target\" or \"kinds\"",
                )
                .hint("{\"columns\": [\"city\"], \"target\": 1000} raises the target of a column, {\"columns\": [\"city\", \"zip\"], \"kinds\": [\"dependencies\"]} makes extended statistics."));
            }
        };
        if !(least..=most).contains(&columns.len()) {
            return Err(Failure::argument(format!(
                "statistics like these are of {least} to {most} columns, not {}",
                columns.len()
            )));
        }
        Ok(Self { columns, kept })
    }

    /// The options that say the same, without defaults.
    pub(super) fn options(&self) -> Map<String, Value> {
        let mut options = Map::new();
        options.insert("columns".to_owned(), json!(self.columns));
        match &self.kept {
            Kept::Target(target) => {
                options.insert("target".to_owned(), json!(target));
            }
            Kept::Extended { kinds, name } => {
                options.insert("kinds".to_owned(), json!(kinds));
                if let Some(name) = name {
                    options.insert("name".to_owned(), json!(name));
                }
            }
        }
        options
    }
}

fn kinds(value: &Value) -> Result<Vec<&'static str>, Failure> {
    let wrong = || {
        Failure::argument("option \"kinds\" must be an array of kinds of extended statistics")
            .hint(format!("Some of: {}.", KINDS.join(", ")))
    };
    let given: Vec<&str> = value
        .as_array()
        .ok_or_else(wrong)?
        .iter()
        .map(|kind| kind.as_str().filter(|kind| KINDS.contains(kind)))
        .collect::<Option<_>>()
        .ok_or_else(wrong)?;
    if given.is_empty() {
        return Err(wrong());
    }
    Ok(KINDS
        .into_iter()
        .filter(|kind| given.contains(kind))
        .collect())
}
