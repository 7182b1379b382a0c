//! `pitcrew.advice`: what became of what was suggested.
//!
//! A suggestion for the recorded workload is written down as `proposed`; what is there, what is gone again, what is suppressed
//! and what it did for its statements is looked at then, with each tick of the history, and by `pitcrew.refresh_advice()`.
//! Nobody waits for it: where another transaction writes the table, this time is left out.

use pgrx::prelude::*;
use serde_json::Value;

use crate::document::Document;
use crate::failure::{Failure, or_raise, read_one, read_text, spi};
use crate::names;
use crate::owner::as_owner;
use crate::text::Text;

/// Rows that are kept.
const MAX_ROWS: i64 = 1_000;
/// Calls of a statement, before and after, from which on its times are compared.
const LEAST_CALLS: i64 = 10;
/// Least time that is saved where an index is verified, in percent: what `min_gain_percent` promises by default.
const LEAST_SAVED_PERCENT: f64 = 5.0;

/// One suggestion, as it is kept.
pub(crate) struct Proposed {
    pub(crate) cache_key: String,
    pub(crate) table_name: String,
    pub(crate) index_name: String,
    /// What builds it: statement and job; `None` where values of executions may be in it, for those are kept nowhere.
    pub(crate) built_by: Option<(String, Value)>,
    pub(crate) kind: &'static str,
    pub(crate) confidence: &'static str,
    pub(crate) gain_percent: f64,
    pub(crate) cost_before: f64,
    pub(crate) cost_after: f64,
    pub(crate) write_cost: f64,
    pub(crate) bytes: i64,
    pub(crate) queryids: Vec<i64>,
    pub(crate) relation: pg_sys::Oid,
    /// What stands behind the table's name, method included.
    pub(crate) definition: String,
}

/// Looks at what became of earlier suggestions, and writes these down, where the transaction may write and none holds the table.
/// Under REPEATABLE READ a row that changed meanwhile would fail the caller: nothing is kept there.
pub(crate) fn propose(suggestions: &[Proposed]) {
    // SAFETY: reads of the transaction's state and of the current role.
    let (may_write, role) = unsafe {
        let is_read_only = pg_sys::XactReadOnly || pg_sys::RecoveryInProgress();
        let takes_turns = pg_sys::XactIsoLevel < pg_sys::XACT_REPEATABLE_READ as i32;
        (!is_read_only && takes_turns, pg_sys::GetUserId())
    };
    // The lock comes before the look at what hangs on the table: CREATE TRIGGER and its like wait for it.
    if !may_write || !is_free() {
        return;
    }
    let Some(owner) = owner() else {
        warning!(
            "nothing is written to pitcrew.advice: it has a trigger, a rule or another owner than the extension"
        );
        return;
    };
    as_owner(owner, || {
        look();
        for suggestion in suggestions {
            keep(suggestion, role);
        }
        run(
            include_str!("../../sql/queries/advice_forget.sql"),
            &[MAX_ROWS.into()],
        );
    });
}

/// Looks at what became of suggestions; answers false where another transaction writes them down.
///
/// # Errors
/// Somebody could have code run by a write to the table.
pub(crate) fn refresh() -> Result<bool, Failure> {
    if !is_free() {
        return Ok(false);
    }
    let owner = owner().ok_or_else(|| {
        Failure::new(
            PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            "pitcrew.advice has a trigger, a rule or another owner than the extension",
        )
        .hint("Remove it: nothing of a user's may run when the extension writes.")
    })?;
    as_owner(owner, look);
    Ok(true)
}

/// Looks at what became of suggestions, now.
#[pg_extern(sql = r#"
CREATE FUNCTION pitcrew.refresh_advice() RETURNS boolean
    LANGUAGE c STRICT VOLATILE SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'refresh_advice_wrapper';
COMMENT ON FUNCTION pitcrew.refresh_advice() IS
    'Brings pitcrew.advice up to what is there now. False where another transaction has written it and not ended: nothing is done then.';
"#)]
fn refresh_advice() -> bool {
    crate::failure::or_raise(crate::failure::on_primary());
    or_raise(refresh())
}

fn owner() -> Option<pg_sys::Oid> {
    read_one(
        "the extension's owner",
        include_str!("../../sql/queries/advice_owner.sql"),
        &[],
    )
}

/// Takes the table for this transaction, if nobody has it.
fn is_free() -> bool {
    let table: Option<pg_sys::Oid> = read_one(
        "pitcrew.advice",
        "SELECT 'pitcrew.advice'::regclass::oid",
        &[],
    );
    // SAFETY: a lock of the transaction; where it is not to be had nothing waits.
    table.is_some_and(|table| unsafe {
        pg_sys::ConditionalLockRelationOid(table, pg_sys::ShareRowExclusiveLock as pg_sys::LOCKMODE)
    })
}

fn look() {
    let any: Option<bool> = read_one(
        "pitcrew.advice",
        "SELECT EXISTS (SELECT 1 FROM pitcrew.advice)",
        &[],
    );
    if any != Some(true) {
        return;
    }
    run(
        include_str!("../../sql/queries/advice_gone_tables.sql"),
        &[],
    );
    let statements = statements();
    let about = |query: &str| query.replace("{statements}", &statements);
    run(
        &about(include_str!("../../sql/queries/advice_states.sql")),
        &[],
    );
    run(
        &about(include_str!("../../sql/queries/advice_effects.sql")),
        &[LEAST_CALLS.into(), LEAST_SAVED_PERCENT.into()],
    );
}

/// What statements counted so far, as SQL; none where pg_stat_statements is not there.
fn statements() -> String {
    let schema = read_text(
        "pg_stat_statements",
        include_str!("../../sql/queries/statements_schema.sql"),
        &[],
    );
    match schema {
        Some(schema) => include_str!("../../sql/queries/advice_statements.sql")
            .trim_end()
            .replace("{schema}", &schema),
        None => "(SELECT NULL::bigint AS queryid, NULL::bigint AS calls, NULL::float8 AS total_ms WHERE false)"
            .to_owned(),
    }
}

fn keep(suggestion: &Proposed, role: pg_sys::Oid) {
    let built_by = suggestion.built_by.as_ref();
    run(
        include_str!("../../sql/queries/advice_propose.sql"),
        &[
            Text::from(suggestion.cache_key.as_str()).into(),
            Text::from(suggestion.table_name.as_str()).into(),
            Text::from(suggestion.index_name.as_str()).into(),
            built_by.map(|(ddl, _)| Text::from(ddl.as_str())).into(),
            built_by.map(|(_, job)| Document(job.clone())).into(),
            suggestion.kind.into(),
            suggestion.confidence.into(),
            suggestion.gain_percent.into(),
            suggestion.cost_before.into(),
            suggestion.cost_after.into(),
            suggestion.write_cost.into(),
            suggestion.bytes.into(),
            suggestion.queryids.clone().into(),
            role.into(),
            suggestion.relation.into(),
            Text::from(suggestion.definition.as_str()).into(),
        ],
    );
}

fn run(query: &str, arguments: &[pgrx::datum::DatumWithOid<'_>]) {
    // Some name the schema of pg_stat_statements.
    let query = or_raise(names::c_string(query));
    Spi::connect_mut(|client| {
        let done = client.update(query.as_c_str(), None, arguments);
        spi("pitcrew.advice", done.map(drop));
    });
}

pgrx::extension_sql_file!(
    "../../sql/advice.sql",
    name = "advice",
    requires = ["history", "jobs"]
);
