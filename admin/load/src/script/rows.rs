//! Rows of named columns, checked.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::plan::{PlanError, wrong};

/// The most rows of a source: 100,000.
const MAX_ROWS: usize = 100_000;

/// Rows of named columns: `csv` or `json`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Rows {
    /// As CSV (RFC 4180), the names in the first line; at most 100,000 rows, each with as many fields as there are names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub csv: Option<String>,
    /// As a list of objects with the same names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub json: Option<Vec<Map<String, Value>>>,
    /// Of a plan in a file: a .csv or .json file beside it. The program reads it; a plan that comes otherwise cannot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Which row is next. Default one after the other.
    pub order: Order,
}

/// Which row is next.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// One after the other over all visits, and again from the first.
    #[default]
    Sequential,
    /// Any, each as likely.
    Random,
}

impl Rows {
    /// About as many bytes as they have in the plan.
    pub(super) fn bytes(&self) -> u64 {
        let csv = self.csv.as_ref().map_or(0, String::len) as u64;
        let cell = |(name, value): (&String, &Value)| {
            let value = value.as_str().map_or(16, str::len);
            (name.len() + value) as u64
        };
        let json = self.json.iter().flatten().flatten().map(cell);
        csv + json.sum::<u64>()
    }

    /// Leaves only where they came from.
    pub(super) fn forget(&mut self) {
        self.csv = self.csv.take().map(|_| String::new());
        self.json = self.json.take().map(|_| Vec::new());
    }

    /// Names, and cells row by row.
    pub(super) fn read(&self, field: &str) -> Result<(Vec<String>, Vec<String>), PlanError> {
        if let Some(file) = &self.file {
            return wrong(
                &format!("{field}.file"),
                format!(
                    "`{file}` is read by the program `pitcrew-load` alone: put its text into `csv` or `json`"
                ),
            );
        }
        match (&self.csv, &self.json) {
            (Some(text), None) => of_csv(text, &format!("{field}.csv")),
            (None, Some(rows)) => of_json(rows, &format!("{field}.json")),
            _ => wrong(field, "wants either `csv` or `json`"),
        }
    }
}

fn of_csv(text: &str, field: &str) -> Result<(Vec<String>, Vec<String>), PlanError> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let names = match reader.headers() {
        Ok(names) => names.iter().map(str::to_owned).collect::<Vec<_>>(),
        Err(error) => return wrong(field, error.to_string()),
    };
    let mut cells = Vec::new();
    for (number, record) in reader.records().enumerate() {
        if number >= MAX_ROWS {
            return wrong(field, format!("wants at most {MAX_ROWS} rows"));
        }
        // A row with more or fewer fields than there are names is an error of the crate's, with its line.
        match record {
            Ok(record) => cells.extend(record.iter().map(str::to_owned)),
            Err(error) => return wrong(field, error.to_string()),
        }
    }
    checked(names, cells, field)
}

fn of_json(
    rows: &[Map<String, Value>],
    field: &str,
) -> Result<(Vec<String>, Vec<String>), PlanError> {
    if rows.len() > MAX_ROWS {
        return wrong(field, format!("wants at most {MAX_ROWS} rows"));
    }
    let names: Vec<String> = rows
        .first()
        .map(|row| row.keys().cloned().collect())
        .unwrap_or_default();
    let mut cells = Vec::new();
    for (number, row) in rows.iter().enumerate() {
        if row.len() != names.len() {
            return wrong(
                &format!("{field}[{number}]"),
                format!("wants the names of the first row: {}", names.join(", ")),
            );
        }
        for name in &names {
            cells.push(match row.get(name) {
                Some(Value::String(text)) => text.clone(),
                Some(other) => other.to_string(),
                None => return wrong(&format!("{field}[{number}]"), format!("wants `{name}`")),
            });
        }
    }
    checked(names, cells, field)
}

fn checked(
    names: Vec<String>,
    cells: Vec<String>,
    field: &str,
) -> Result<(Vec<String>, Vec<String>), PlanError> {
    if cells.is_empty() {
        return wrong(field, "wants a line of names and at least one row");
    }
    let mut seen = BTreeMap::new();
    for name in &names {
        if !super::template::is_name(name) {
            return wrong(
                field,
                format!("has the column `{name}`: a name is of letters, digits, `_` and `-`"),
            );
        }
        if seen.insert(name, ()).is_some() {
            return wrong(field, format!("has the column `{name}` twice"));
        }
    }
    Ok((names, cells))
}
