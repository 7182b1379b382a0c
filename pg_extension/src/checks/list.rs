//! `pitcrew.checks`: every check, what it can be told and what it needs.

use pg_pitcrew_checks::checks;
use pgrx::JsonB;
use pgrx::prelude::*;
use serde_json::{Map, Value};

/// One row a check, in the order of a report.
#[pg_extern(
    name = "checks",
    sql = r#"
CREATE FUNCTION pitcrew.checks() RETURNS TABLE (
    name text, area text, title text, thresholds jsonb, needs text[], on_request text
)
    LANGUAGE c STRICT STABLE SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'checks_list_wrapper';
COMMENT ON FUNCTION pitcrew.checks() IS
    'Every check: its thresholds with their defaults, what it is skipped without, and, where a report leaves it out, why.';
"#
)]
#[allow(clippy::type_complexity, reason = "pgrx reads the columns here")]
fn checks_list() -> TableIterator<
    'static,
    (
        name!(name, String),
        name!(area, String),
        name!(title, String),
        name!(thresholds, JsonB),
        name!(needs, Vec<String>),
        name!(on_request, Option<String>),
    ),
> {
    TableIterator::new(checks().iter().map(|check| {
        let thresholds: Map<_, _> = check
            .thresholds()
            .map(|(name, value)| (name.to_owned(), Value::from(value)))
            .collect();
        (
            check.name.to_owned(),
            check.area.to_owned(),
            check.title().to_owned(),
            JsonB(Value::Object(thresholds)),
            check.needed().collect(),
            check.on_request().map(str::to_owned),
        )
    }))
}
