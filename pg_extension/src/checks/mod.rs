//! `pitcrew.check` and `pitcrew.report`: the checks of the crate `pg_pitcrew_checks`, run inside the server.
//!
//! | file | role |
//! |---|---|
//! | `list` | `pitcrew.checks`: what there is |
//! | `run` | facts, the shared collections, a subtransaction a check |
//! | `registered` | a query's rows as a relation that the session's queries read by name |

use std::collections::BTreeSet;

use pg_pitcrew_checks::{Check, Finding, Thresholds, checks, find, sort};
use pgrx::prelude::*;
use serde_json::Value;

use crate::document::Document;
use crate::failure::{Failure, or_raise, spi};
use crate::text::{Text, plain};

mod list;
mod registered;
mod run;

/// One row of a report, as the two functions below name it.
type Row = (
    Text,
    Text,
    Option<Text>,
    Text,
    Text,
    Option<Document>,
    Option<Text>,
    Option<Document>,
    Option<Text>,
    Text,
);

/// Runs one check.
#[pg_extern(sql = r#"
CREATE FUNCTION pitcrew.check(name text, thresholds jsonb DEFAULT '{}') RETURNS TABLE (
    "check" text, severity text, object text, title text, detail text, evidence jsonb, fix_sql text, fix_job jsonb,
    confidence text, cache_key text
)
    LANGUAGE c STRICT VOLATILE SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'check_wrapper';
COMMENT ON FUNCTION pitcrew.check(text, jsonb) IS
    'Runs one check. severity: ok, info, warn, critical, or skipped with the reason in detail. thresholds: the check''s own, for example {"min_bytes": 0}.';
"#)]
#[allow(
    clippy::needless_pass_by_value,
    clippy::type_complexity,
    reason = "pgrx gives arguments by value and reads the columns here"
)]
fn check(
    name: Text,
    thresholds: Document,
) -> TableIterator<
    'static,
    (
        name!(check, Text),
        name!(severity, Text),
        name!(object, Option<Text>),
        name!(title, Text),
        name!(detail, Text),
        name!(evidence, Option<Document>),
        name!(fix_sql, Option<Text>),
        name!(fix_job, Option<Document>),
        name!(confidence, Option<Text>),
        name!(cache_key, Text),
    ),
> {
    let check = or_raise(known(&name.0));
    let mut changed = Thresholds::default();
    or_raise(set(&mut changed, check, &thresholds.0));
    TableIterator::new(rows(&[check], &changed))
}

/// Runs all checks over one collection pass.
#[pg_extern(sql = r#"
CREATE FUNCTION pitcrew.report(thresholds jsonb DEFAULT '{}') RETURNS TABLE (
    "check" text, severity text, object text, title text, detail text, evidence jsonb, fix_sql text, fix_job jsonb,
    confidence text, cache_key text
)
    LANGUAGE c STRICT VOLATILE SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'report_wrapper';
COMMENT ON FUNCTION pitcrew.report(jsonb) IS
    'Runs every check, worst findings first. A check that fails is a row with severity skipped. thresholds: by check, for example {"unused_index": {"min_bytes": 0}}.';
"#)]
#[allow(
    clippy::needless_pass_by_value,
    clippy::type_complexity,
    reason = "pgrx gives arguments by value and reads the columns here"
)]
fn report(
    thresholds: Document,
) -> TableIterator<
    'static,
    (
        name!(check, Text),
        name!(severity, Text),
        name!(object, Option<Text>),
        name!(title, Text),
        name!(detail, Text),
        name!(evidence, Option<Document>),
        name!(fix_sql, Option<Text>),
        name!(fix_job, Option<Document>),
        name!(confidence, Option<Text>),
        name!(cache_key, Text),
    ),
> {
    let mut changed = Thresholds::default();
    let Value::Object(by_check) = &thresholds.0 else {
        not_an_object().raise()
    };
    for (name, values) in by_check {
        or_raise(known(name).and_then(|check| set(&mut changed, check, values)));
    }
    let all: Vec<_> = checks().iter().collect();
    TableIterator::new(rows(&all, &changed))
}

fn known(name: &str) -> Result<&'static Check, Failure> {
    find(name).ok_or_else(|| {
        let names: Vec<_> = checks().iter().map(|check| check.name).collect();
        Failure::argument(format!("there is no check \"{name}\""))
            .hint(format!("Checks are: {}.", names.join(", ")))
    })
}

fn not_an_object() -> Failure {
    Failure::argument("thresholds are not a JSON object of numbers")
        .hint("pitcrew.check takes {\"threshold\": number}, pitcrew.report {\"check\": {\"threshold\": number}}.")
}

fn set(thresholds: &mut Thresholds, check: &Check, values: &Value) -> Result<(), Failure> {
    let values = values.as_object().ok_or_else(not_an_object)?;
    for (name, value) in values {
        let value = value.as_f64().ok_or_else(not_an_object)?;
        thresholds
            .set(check, name, value)
            .map_err(Failure::argument)?;
    }
    Ok(())
}

fn rows(checks: &[&'static Check], thresholds: &Thresholds) -> Vec<Row> {
    let mut findings = run::run(checks, thresholds, &suppressed());
    sort(&mut findings);
    findings.into_iter().map(row).collect()
}

fn row(finding: Finding) -> Row {
    let json = |text: Option<String>| {
        text.and_then(|text| serde_json::from_str(&text).ok())
            .map(Document)
    };
    (
        finding.check.into(),
        finding.severity.into(),
        finding.object.map(Text),
        finding.title.into(),
        finding.detail.into(),
        json(finding.evidence),
        finding.fix_sql.map(Text),
        json(finding.fix_job),
        finding.confidence.map(Text),
        finding.cache_key.into(),
    )
}

/// The keys that are left out now, at most 10,000.
pub(crate) fn suppressed() -> BTreeSet<String> {
    Spi::connect(|client| {
        let query = "SELECT cache_key FROM pitcrew.suppressed_findings \
                     WHERE until IS NULL OR until > now() ORDER BY suppressed_at DESC LIMIT 10000";
        let table = spi(
            "pitcrew.suppressed_findings",
            client.select(query, None, &[]),
        );
        table
            .filter_map(|row| plain(spi("pitcrew.suppressed_findings", row.get(1))))
            .collect()
    })
}

pgrx::extension_sql_file!("../../sql/suppressed.sql", name = "suppressed");
pgrx::extension_sql_file!(
    "../../sql/check_views.sql",
    name = "check_views",
    requires = [check, checks_list]
);
pgrx::extension_sql_file!("../../sql/pool_advice.sql", name = "pool_advice");
