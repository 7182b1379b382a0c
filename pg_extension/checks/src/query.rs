//! The text to run.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::catalogue::{Check, Collection, collections_of};
use crate::facts::Facts;
use crate::finding::MAX_FINDINGS;

/// Thresholds that differ from the defaults, by check and name.
#[derive(Debug, Clone, Default)]
pub struct Thresholds(BTreeMap<(String, String), f64>);

impl Thresholds {
    /// Sets one.
    ///
    /// # Errors
    /// The check has no such threshold, or the number is not a finite one that is 0 or more; as a sentence that names what
    /// there is.
    pub fn set(&mut self, check: &Check, name: &str, value: f64) -> Result<(), String> {
        if !check.parsed.defaults.contains_key(name) {
            let known: Vec<_> = check.thresholds().map(|(name, _)| name).collect();
            let known = if known.is_empty() {
                "none".to_owned()
            } else {
                known.join(", ")
            };
            return Err(format!(
                "check {} has no threshold \"{name}\"; it has: {known}",
                check.name
            ));
        }
        if !value.is_finite() || value < 0.0 {
            return Err(format!(
                "threshold {name} of check {} must be a number from 0",
                check.name
            ));
        }
        self.0
            .insert((check.name.to_owned(), name.to_owned()), value);
        Ok(())
    }

    /// The value in force; `None` where the check has no such threshold.
    pub fn get(&self, check: &Check, name: &str) -> Option<f64> {
        let set = self.0.get(&(check.name.to_owned(), name.to_owned()));
        set.or_else(|| check.parsed.defaults.get(name)).copied()
    }
}

/// The text of a collection, which reads other collections by their names.
pub fn collection_query(collection: &Collection, facts: &Facts) -> String {
    let text = facts.choose(&collection.parsed.variants);
    with_schemas(text, facts)
}

/// The check over collections that the session knows by name. The last row says what was looked at.
///
/// Columns: severity, object, detail, evidence, fix_sql, fix_job, confidence (all text), found (bigint: rows before the limit).
pub fn over_registered(
    check: &Check,
    facts: &Facts,
    thresholds: &Thresholds,
    suppressed: usize,
) -> String {
    let mut text = facts.choose(&check.parsed.variants).to_owned();
    let mut looked_at = check.parsed.looked_at.clone();
    for (name, _) in check.thresholds() {
        let value = thresholds.get(check, name).unwrap_or_default();
        let (mark, value) = (format!("{{{name}}}"), value.to_string());
        text = text.replace(&mark, &value);
        looked_at = looked_at.replace(&mark, &value);
    }
    // One more than is shown, for each that may be left out.
    let limit = MAX_FINDINGS + suppressed;
    let query = format!(
        "(SELECT f.severity::text, f.object::text, f.detail::text, f.evidence::text, f.fix_sql::text, f.fix_job::text, \
         f.confidence::text, count(*) OVER ()\nFROM (\n{text}) f\nLIMIT {limit})\nUNION ALL\n\
         SELECT 'ok', NULL, ({looked_at})::text, NULL, NULL, NULL, NULL, 0"
    );
    with_schemas(&query, facts)
}

/// Several checks as one query that brings their collections along, each collected once. The first column is the check's
/// place in `checks`, from 0; then come those of [`over_registered`].
pub fn composed(
    checks: &[&Check],
    facts: &Facts,
    thresholds: &Thresholds,
    suppressed: usize,
) -> String {
    let mut query = String::new();
    let collections = collections_of(checks.iter().copied());
    for (place, collection) in collections.into_iter().enumerate() {
        let word = if place == 0 { "WITH" } else { "," };
        // Writing to a String cannot fail.
        let _ = write!(
            query,
            "{word} {} AS MATERIALIZED (\n{})\n",
            collection.name,
            collection_query(collection, facts)
        );
    }
    for (place, check) in checks.iter().enumerate() {
        let word = if place == 0 { "" } else { "UNION ALL\n" };
        let own = over_registered(check, facts, thresholds, suppressed);
        let _ = write!(query, "{word}SELECT {place}, c.* FROM (\n{own}) c\n");
    }
    query
}

/// `{pg_stat_statements}` and the like stand for that extension's schema, quoted.
fn with_schemas(text: &str, facts: &Facts) -> String {
    let mut text = text.to_owned();
    for extension in ["pg_stat_statements", "pg_buffercache", "pgstattuple"] {
        if let Some(schema) = facts.schema_of(extension) {
            text = text.replace(&format!("{{{extension}}}"), schema);
        }
    }
    text
}
