//! `pitcrew.explain_with` and `pitcrew.predict_index`: what indexes would do, without advice.

use std::ffi::{CStr, CString};

use pgrx::prelude::*;
use serde_json::json;

use crate::document::Document;
use crate::failure::{Failure, or_raise};
use crate::names;
use crate::text::{Text, all};
use crate::whatif::guarded::guarded;
use crate::whatif::hypothetical::Supposed;
use crate::whatif::predict::{Names, Predicted, predict};
use crate::whatif::{Trusted, family, of_query, plan};
use crate::workload::analysis::{self, Context};
use crate::workload::skip::Skip;
use crate::workload::source::Source;
use crate::workload::trust::Path;

/// Definitions of one call.
const MAX_INDEXES: usize = 100;

fn c_text(what: &str, text: &str) -> CString {
    or_raise(
        names::c_string(text).map_err(|_| Failure::argument(format!("{what} holds a NUL byte"))),
    )
}

/// Raises the reason why a statement is not planned.
fn planned<T>(result: Result<Result<T, Skip>, crate::whatif::guarded::Caught>) -> T {
    let reason = match result {
        Ok(Ok(value)) => return value,
        Ok(Err(Skip::Because(reason))) => reason,
        Ok(Err(Skip::System)) => "it reads the system's tables or pitcrew's own alone".to_owned(),
        Err(caught) => caught.message,
    };
    Failure::argument(format!("the query is not planned: {reason}"))
        .hint("Give one SELECT, UPDATE, DELETE or INSERT of a query; its parameters may be $1, $2 and so on.")
        .raise()
}

/// An index, as if `absent` were not there.
fn predicted(text: &str, absent: &[pg_sys::Oid], context: &Context) -> Predicted {
    let text = c_text("the definition", text);
    let found = predict(&text, Names::Session, absent, context);
    or_raise(found.map_err(|reason| {
        Failure::argument(format!("the index cannot be predicted: {reason}")).hint(
            "Give one CREATE INDEX statement on a table, as in CREATE INDEX ON orders (customer).",
        )
    }))
}

/// Plan and cost of a query without and with indexes.
#[pg_extern(sql = r#"
CREATE FUNCTION pitcrew.explain_with(
    query text, indexes text[] DEFAULT '{}', without regclass[] DEFAULT '{}'
) RETURNS TABLE (
    cost_before double precision, cost_after double precision, plan_before text, plan_after text,
    confidence text, because text[], indexes_predicted jsonb
)
    LANGUAGE c STRICT VOLATILE SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'explain_with_wrapper';
COMMENT ON FUNCTION pitcrew.explain_with(text, text[], regclass[]) IS
    'Plan and planner''s cost of a query as things are, and with the given CREATE INDEX statements and without the given existing indexes. Nothing is executed, created or dropped. Confidence is high, medium or low, and because says what it rests on.';
"#)]
#[allow(clippy::type_complexity, clippy::needless_pass_by_value)]
fn explain_with(
    query: Text,
    indexes: Vec<Option<Text>>,
    without: Vec<Option<pg_sys::Oid>>,
) -> TableIterator<
    'static,
    (
        name!(cost_before, f64),
        name!(cost_after, f64),
        name!(plan_before, Option<Text>),
        name!(plan_after, Option<Text>),
        name!(confidence, Text),
        name!(because, Vec<Text>),
        name!(indexes_predicted, Document),
    ),
> {
    if indexes.len() > MAX_INDEXES || without.len() > MAX_INDEXES {
        Failure::argument(format!("at most {MAX_INDEXES} indexes in one call")).raise();
    }
    let context = Context::new();
    let text = Source::plain(c_text("the query", &query.0));
    // Before its indexes: a query that may not be planned is the first thing to know.
    let relations = planned(guarded(|| {
        analysis::enter(&context);
        analysis::analyse(&text, &context).map(|analysed| analysed.relations)
    }));
    planned(Ok(context
        .trust()
        .check_relations(&relations, Path::Own)
        .map_err(Skip::Because)));
    let absent: Vec<pg_sys::Oid> = without.into_iter().flatten().flat_map(existing).collect();
    let found: Vec<Predicted> = indexes
        .iter()
        .flatten()
        .map(|text| predicted(&text.0, &absent, &context))
        .collect();
    let nothing = Supposed::default();
    let supposed = Supposed {
        indexes: found.iter().flat_map(Predicted::indexes).cloned().collect(),
        absent,
    };
    let cost_before = planned(plan::plan(&text, &context, &nothing)).cost;
    let cost_after = planned(plan::plan(&text, &context, &supposed)).cost;
    let mut trusted = trusted(&text, &context, &found);
    let mut shown = |supposed: &Supposed| {
        match plan::explained(&text, &context, supposed) {
            Ok(Ok(plan)) => return Some(plan),
            Ok(Err(Skip::Because(reason))) => trusted.because.push(reason),
            Ok(Err(Skip::System)) => {}
            Err(caught) => trusted
                .because
                .push(format!("the plan cannot be shown: {}", caught.message)),
        }
        None
    };
    let plan_before = shown(&nothing);
    let plan_after = shown(&supposed);
    let described = found.iter().map(described).collect();
    TableIterator::once((
        cost_before,
        cost_after,
        plan_before.map(Text),
        plan_after.map(Text),
        trusted.confidence.as_str().into(),
        all(trusted.because),
        Document(serde_json::Value::Array(described)),
    ))
}

/// What the cost with the indexes rests on.
fn trusted(text: &Source, context: &Context, found: &[Predicted]) -> Trusted {
    let mut trusted = Trusted::default();
    for predicted in found {
        trusted.merge(predicted.trusted.clone());
    }
    let all: Vec<&Predicted> = found.iter().collect();
    let of_constants = planned(guarded(|| {
        analysis::enter(context);
        let analysed = analysis::analyse(text, context)?;
        Ok(of_query(&analysed, &all))
    }));
    trusted.merge(of_constants);
    trusted
}

/// An index that is there, and its parts where it is partitioned.
fn existing(index: pg_sys::Oid) -> Vec<pg_sys::Oid> {
    // SAFETY: a catalogue look-up.
    let kind = unsafe { pg_sys::get_rel_relkind(index) as u8 };
    if !matches!(kind, b'i' | b'I') {
        let name = names::qualified(index).unwrap_or_else(|| index.to_u32().to_string());
        Failure::argument(format!("{name} is not an index")).raise();
    }
    family(index)
}

fn shown_name(name: &CStr) -> Option<String> {
    // SAFETY: a string that ends with a NUL.
    unsafe { names::text(name.as_ptr()) }
}

fn described(predicted: &Predicted) -> serde_json::Value {
    json!({
        "name": predicted.indexes().next().and_then(|index| shown_name(&index.name)),
        "table": names::qualified(predicted.definition.table),
        "method": predicted.definition.method.as_str(),
        "bytes": predicted.bytes,
        "pages": predicted.pages,
        "height": predicted.height,
        "entries": predicted.entries,
        "confidence": predicted.trusted.confidence.as_str(),
        "because": predicted.trusted.because,
    })
}

/// The size that an index would have.
#[pg_extern(sql = r#"
CREATE FUNCTION pitcrew.predict_index(ddl text) RETURNS TABLE (
    index_name text, table_name text, method text, bytes bigint, pages bigint, height integer,
    entries double precision, confidence text, because text[]
)
    LANGUAGE c STRICT VOLATILE SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'predict_index_wrapper';
COMMENT ON FUNCTION pitcrew.predict_index(text) IS
    'Size and height that the index of a CREATE INDEX statement would have once built, from a sample of its table''s rows. Nothing is created.';
"#)]
#[allow(clippy::type_complexity, clippy::needless_pass_by_value)]
fn predict_index(
    ddl: Text,
) -> TableIterator<
    'static,
    (
        name!(index_name, Option<Text>),
        name!(table_name, Option<Text>),
        name!(method, Text),
        name!(bytes, i64),
        name!(pages, i64),
        name!(height, i32),
        name!(entries, f64),
        name!(confidence, Text),
        name!(because, Vec<Text>),
    ),
> {
    let found = predicted(&ddl.0, &[], &Context::new());
    let name = found.indexes().next().map(|index| index.name.clone());
    TableIterator::once((
        name.and_then(|name| shown_name(&name)).map(Text),
        names::qualified(found.definition.table).map(Text),
        found.definition.method.as_str().into(),
        found.bytes as i64,
        found.pages as i64,
        found.height as i32,
        found.entries,
        found.trusted.confidence.as_str().into(),
        all(found.trusted.because),
    ))
}
