//! A candidate in words: its keys, its definition, what it is known by.

use pg_pitcrew_advisor::{Candidate, Key, Method, Of, stable_hash};

use crate::names;
use crate::whatif::table::Table;

/// A candidate with the names of its columns.
#[derive(Debug, Clone)]
pub(super) struct Shape {
    /// `schema.table`, quoted.
    pub(super) table: String,
    /// Keys: a column's name, unquoted, or an expression as SQL.
    pub(super) keys: Vec<String>,
    /// Columns that are only stored, unquoted.
    pub(super) included: Vec<String>,
    /// What its rows meet.
    pub(super) predicate: Option<String>,
    /// Access method.
    pub(super) method: &'static str,
    /// As `CREATE INDEX` has it behind the table's name.
    pub(super) list: String,
    /// A B-tree over all rows, on columns in their own order.
    pub(super) is_plain: bool,
    /// Something is computed for a key.
    pub(super) expressions: bool,
    /// 16 hexadecimal digits, the same for the same index whatever it would be named.
    pub(super) id: String,
    /// Words that a name is made of.
    pub(super) words: Vec<String>,
}

impl Shape {
    /// `None` where a column is gone.
    pub(super) fn of(candidate: &Candidate, table: &Table) -> Option<Self> {
        let name = |number: i16| table.column_name(number).map(str::to_owned);
        let key = |key: &Key| match &key.of {
            Of::Column(number) => name(*number),
            Of::Expression(expression) => Some(expression.sql.to_string()),
        };
        let keys: Vec<String> = candidate.keys.iter().map(key).collect::<Option<_>>()?;
        let included: Vec<String> = candidate
            .included
            .iter()
            .copied()
            .map(name)
            .collect::<Option<_>>()?;
        let predicate = candidate
            .predicate
            .as_ref()
            .map(|predicate| predicate.sql.to_string());
        let written: Vec<String> = candidate
            .keys
            .iter()
            .zip(&keys)
            .map(|(key, name)| written(key, name))
            .collect();
        let mut list = format!("({})", written.join(", "));
        if candidate.method != Method::Btree {
            list = format!("USING {} {list}", candidate.method.as_str());
        }
        if !included.is_empty() {
            let quoted: Vec<String> = included.iter().map(|column| names::quote(column)).collect();
            list.push_str(&format!(" INCLUDE ({})", quoted.join(", ")));
        }
        if let Some(predicate) = &predicate {
            list.push_str(&format!(" WHERE {predicate}"));
        }
        let is_plain = candidate.plain_columns().is_some();
        Some(Self {
            table: table.qualified(),
            id: id(table, &keys, &included, (!is_plain).then_some(&list)),
            words: candidate
                .keys
                .iter()
                .zip(&keys)
                .map(|(key, name)| word(key, name))
                .collect(),
            keys,
            included,
            predicate,
            method: candidate.method.as_str(),
            list,
            is_plain,
            expressions: candidate
                .keys
                .iter()
                .any(|key| matches!(key.of, Of::Expression(_))),
        })
    }

    /// What stands behind the table's name, as the server shows it: with the method.
    pub(super) fn with_method(&self) -> String {
        if self.list.starts_with("USING ") {
            format!(" {}", self.list)
        } else {
            format!(" USING {} {}", self.method, self.list)
        }
    }

    /// Whether a constant of a captured text may stand in it: predicates compare with nothing else, and expressions of keys
    /// are not told apart further than by digits and quotes.
    pub(super) fn may_hold_values(&self) -> bool {
        let compares = self.predicate.as_ref().is_some_and(|p| p.contains('='));
        let is_constant = |c: char| c == '\'' || c.is_ascii_digit();
        compares || (self.expressions && self.keys.iter().any(|key| key.contains(is_constant)))
    }

    /// The definition, without a name.
    pub(super) fn definition(&self) -> String {
        format!("CREATE INDEX ON {} {}", self.table, self.list)
    }
}

fn written(key: &Key, name: &str) -> String {
    let mut written = match key.of {
        Of::Column(_) => names::quote(name),
        Of::Expression(_) => name.to_owned(),
    };
    if let Some(class) = &key.class {
        written.push_str(&format!(" {class}"));
    }
    if key.descends {
        written.push_str(" DESC");
    }
    // Where nothing is said NULLs come first in what descends, and last in what does not.
    match (key.descends, key.nulls_first) {
        (true, false) => written.push_str(" NULLS LAST"),
        (false, true) => written.push_str(" NULLS FIRST"),
        _ => {}
    }
    written
}

/// Of an expression its words alone, and no value: a name is seen by everybody.
fn word(key: &Key, name: &str) -> String {
    /// Longer names say no more.
    const MAX_WORDS: usize = 4;
    if matches!(key.of, Of::Column(_)) {
        return name.to_owned();
    }
    // Every other piece stands between quotes.
    let outside = name.split('\'').step_by(2);
    let words =
        outside.flat_map(|piece| piece.split(|character: char| !character.is_alphanumeric()));
    let words: Vec<&str> = words
        .filter(|word| word.starts_with(char::is_alphabetic))
        .take(MAX_WORDS)
        .collect();
    words.join("_").to_lowercase()
}

fn id(table: &Table, keys: &[String], included: &[String], list: Option<&String>) -> String {
    let mut parts = vec![table.schema.as_str(), table.name.as_str()];
    if let Some(list) = list {
        parts.push(list);
    } else {
        parts.extend(keys.iter().map(String::as_str));
        if !included.is_empty() {
            parts.push("INCLUDE");
            parts.extend(included.iter().map(String::as_str));
        }
    }
    format!("{:016x}", stable_hash(&parts))
}
