//! What the server at hand is and allows, asked once a report, and why a check is skipped there.

use std::collections::BTreeMap;

use crate::catalogue::Check;
use crate::header::{Need, Variant};
use crate::query::Thresholds;

/// Answers rows `(fact, value)`, both text; no value means unknown.
pub const FACTS_QUERY: &str = include_str!("../../sql/facts.sql");

/// A threshold of this name is the age, in days, that statistics must have before a check says anything.
const MIN_STATISTICS_DAYS: &str = "min_statistics_days";

/// The answer of [`FACTS_QUERY`].
#[derive(Debug, Clone, Default)]
pub struct Facts(BTreeMap<String, String>);

impl Facts {
    /// Takes the rows.
    pub fn new(rows: impl IntoIterator<Item = (String, Option<String>)>) -> Self {
        Self(
            rows.into_iter()
                .filter_map(|(fact, value)| Some((fact, value?)))
                .collect(),
        )
    }

    fn get(&self, fact: &str) -> Option<&str> {
        self.0.get(fact).map(String::as_str)
    }

    fn is(&self, fact: &str) -> bool {
        matches!(self.get(fact), Some("true" | "on"))
    }

    /// Major version; 0 where it is unknown.
    fn major(&self) -> u32 {
        let number = self
            .get("version")
            .and_then(|text| text.parse::<u32>().ok());
        number.map_or(0, |number| number / 10_000)
    }

    /// The schema of an extension, quoted.
    pub(crate) fn schema_of(&self, extension: &str) -> Option<&str> {
        self.get(&format!("extension {extension}"))
    }

    /// Of a file's variants the one for this server and role.
    pub(crate) fn choose<'a>(&self, variants: &'a [(Variant, String)]) -> &'a str {
        let fits = |variant: &Variant| match variant {
            Variant::Version(from) => *from <= self.major(),
            Variant::WithoutStatistic => self.get("column statistics") != Some("catalogue"),
        };
        variants
            .iter()
            .rev()
            .find(|(variant, _)| fits(variant))
            .map_or("", |(_, text)| text)
    }

    /// Why a check does not look here; `None` where it does. `alone`: nothing else was asked for.
    pub fn reason_to_skip(
        &self,
        check: &Check,
        thresholds: &Thresholds,
        alone: bool,
    ) -> Option<String> {
        if let (Some(reason), false) = (check.on_request(), alone) {
            return Some(format!(
                "runs on request only, as {reason}: SELECT * FROM pitcrew.check('{}')",
                check.name
            ));
        }
        for need in check.needs() {
            if let Some(reason) = self.missing(need) {
                return Some(reason);
            }
        }
        let wanted = thresholds.get(check, MIN_STATISTICS_DAYS)?;
        let Some(age) = self
            .get("statistics days")
            .and_then(|text| text.parse::<f64>().ok())
        else {
            return (wanted > 0.0)
                .then(|| "it is not known since when the server has counted".to_owned());
        };
        (age < wanted).then(|| {
            format!(
                "the server has counted for {age:.1} days only, and the check needs {wanted} (threshold {MIN_STATISTICS_DAYS})"
            )
        })
    }

    fn missing(&self, need: &Need) -> Option<String> {
        let (met, reason) = match need {
            Need::Version(from) => (
                *from <= self.major(),
                format!("needs PostgreSQL {from} or newer, this is {}", self.major()),
            ),
            Need::Extension(name) => {
                let preloaded = name != "pg_stat_statements" || self.is("preloaded pg_stat_statements");
                (
                    self.schema_of(name).is_some() && preloaded,
                    if preloaded {
                        format!("needs the extension {name}: CREATE EXTENSION {name}")
                    } else {
                        format!("needs {name} in shared_preload_libraries and a restart, then CREATE EXTENSION {name}")
                    },
                )
            }
            Need::Role(name) => (
                self.is(&format!("role {name}")),
                format!("needs the rights of the role {name}: GRANT {name} TO the role that asks, or GRANT pg_monitor"),
            ),
            Need::Setting(name) => (
                self.get(&format!("setting {name}"))
                    .is_some_and(|value| !matches!(value, "off" | "0")),
                format!("needs the setting {name}, which is off"),
            ),
            Need::ColumnStatistics => (
                self.get("column statistics") != Some("none"),
                "needs to read the statistics of every column: GRANT pg_read_all_data TO the role that asks".to_owned(),
            ),
            Need::Primary => (
                self.get("recovery") == Some("false"),
                "is for a primary, and this server is a standby".to_owned(),
            ),
            Need::Standby => (
                self.get("recovery") == Some("true"),
                "is for a standby, and this server is a primary".to_owned(),
            ),
        };
        (!met).then_some(reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::checks;

    #[test]
    fn what_a_check_needs_is_asked_for() {
        for check in checks() {
            for need in check.needs() {
                if let Need::Role(name) | Need::Setting(name) = need {
                    assert!(
                        FACTS_QUERY.contains(&format!("'{name}'")),
                        "{}: nobody asks for {name}",
                        check.name
                    );
                }
            }
        }
    }
}
