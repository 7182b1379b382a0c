//! What SQL sees of the capture.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use pg_pitcrew_capture::{Key, MAX_BYTES, WAYS};
use pgrx::datum::TimestampWithTimeZone;
use pgrx::prelude::*;

use super::read::{self, Sight};
use super::settings::{self, Mode};
use super::{keep, memory, plan, values};
use crate::document::Document;
use crate::failure::{Failure, or_raise};
use crate::text::{Text, from_server};
use crate::{PRELOAD_LINE, is_preloaded, names};

/// # Errors
/// Nothing can be captured on this server as it was started.
pub(crate) fn can_capture() -> Result<(), Failure> {
    if memory::counters().is_some() {
        return Ok(());
    }
    let (message, hint) = if is_preloaded() {
        (
            "there is no room for captured statements",
            "Set pitcrew.capture_slots above 0 in postgresql.conf and restart the server."
                .to_owned(),
        )
    } else {
        (
            "capture needs pg_pitcrew to be preloaded",
            format!("Put {PRELOAD_LINE} into postgresql.conf and restart the server."),
        )
    };
    let code = PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE;
    Err(Failure::new(code, message).hint(hint))
}

fn user_name(user: u32) -> Option<Text> {
    // SAFETY: a catalogue look-up that answers null for a role that is gone.
    unsafe { names::text(pg_sys::GetUserNameFromId(user.into(), true)) }.map(Text)
}

fn ms(ns: u64) -> f64 {
    ns as f64 / 1e6
}

fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The rows of `pitcrew.captured`.
#[pg_extern(sql = r#"
CREATE FUNCTION pitcrew.captured_rows() RETURNS TABLE (
    id bigint, queryid bigint, toplevel boolean, user_name text, query text, parameters jsonb, search_path text,
    started_at timestamptz, duration_ms double precision, ended text, rows bigint, blocks_hit bigint, blocks_read bigint,
    blocks_dirtied bigint, blocks_written bigint, temp_blocks_read bigint, temp_blocks_written bigint, plan_shape bigint
)
    LANGUAGE c STRICT VOLATILE SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'captured_rows_wrapper';
COMMENT ON FUNCTION pitcrew.captured_rows() IS 'The rows of pitcrew.captured.';
"#)]
#[allow(clippy::type_complexity)]
fn captured_rows() -> TableIterator<
    'static,
    (
        name!(id, i64),
        name!(queryid, Option<i64>),
        name!(toplevel, bool),
        name!(user_name, Option<Text>),
        name!(query, Text),
        name!(parameters, Option<Document>),
        name!(search_path, Option<Text>),
        name!(started_at, Option<TimestampWithTimeZone>),
        name!(duration_ms, Option<f64>),
        name!(ended, Text),
        name!(rows, Option<i64>),
        name!(blocks_hit, Option<i64>),
        name!(blocks_read, Option<i64>),
        name!(blocks_dirtied, Option<i64>),
        name!(blocks_written, Option<i64>),
        name!(temp_blocks_read, Option<i64>),
        name!(temp_blocks_written, Option<i64>),
        name!(plan_shape, Option<i64>),
    ),
> {
    or_raise(can_capture());
    let sight = Sight::new();
    let rows: Vec<_> = read::captured(&sight)
        .into_iter()
        .map(|captured| {
            let measured = captured.measured;
            let blocks = measured.blocks;
            let known = |count: u64| captured.is_measured.then(|| number(count));
            let parameters = sight
                .sees_values(&captured.key)
                .then(|| values::shown(&captured.values))
                .flatten();
            let path = captured.search_path.as_deref();
            (
                number(captured.number),
                captured.key.query_id(),
                captured.key.kind.is_top(),
                user_name(captured.key.user),
                sight.shown(&captured).into(),
                parameters.map(Document),
                path.map(|path| from_server(path).into_owned().into()),
                TimestampWithTimeZone::try_from(captured.started_at).ok(),
                (measured.ns > 0).then(|| ms(measured.ns)),
                measured.ended.as_str().into(),
                known(measured.rows),
                known(blocks.hit),
                known(blocks.read),
                known(blocks.dirtied),
                known(blocks.written),
                known(blocks.temp_read),
                known(blocks.temp_written),
                (captured.shape != 0).then_some(captured.shape as i64),
            )
        })
        .collect();
    TableIterator::new(rows)
}

/// The plans that statements were seen to run with.
#[pg_extern(sql = r#"
CREATE FUNCTION pitcrew.seen_plan_rows() RETURNS TABLE (
    queryid bigint, toplevel boolean, user_name text, query text, plan_shape bigint, plan text, relations oid[], executions bigint,
    mean_ms double precision, min_ms double precision, max_ms double precision, first_at timestamptz, last_at timestamptz
)
    LANGUAGE c STRICT VOLATILE SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'seen_plan_rows_wrapper';
COMMENT ON FUNCTION pitcrew.seen_plan_rows() IS
    'The rows of pitcrew.seen_plans.';
"#)]
#[allow(clippy::type_complexity)]
fn seen_plan_rows() -> TableIterator<
    'static,
    (
        name!(queryid, Option<i64>),
        name!(toplevel, bool),
        name!(user_name, Option<Text>),
        name!(query, Option<Text>),
        name!(plan_shape, i64),
        name!(plan, Text),
        name!(relations, Vec<pg_sys::Oid>),
        name!(executions, i64),
        name!(mean_ms, f64),
        name!(min_ms, f64),
        name!(max_ms, f64),
        name!(first_at, Option<TimestampWithTimeZone>),
        name!(last_at, Option<TimestampWithTimeZone>),
    ),
> {
    or_raise(can_capture());
    let sight = Sight::new();
    let texts = texts(&sight);
    let rows: Vec<_> = read::plans(&sight)
        .into_iter()
        .map(|seen| {
            (
                seen.key.query_id(),
                seen.key.kind.is_top(),
                user_name(seen.key.user),
                texts.get(&seen.key).cloned().map(Text),
                seen.outline.shape as i64,
                plan::shown(&seen.outline).into(),
                plan::relations(&seen.outline),
                number(seen.executions),
                ms(seen.ns) / seen.executions.max(1) as f64,
                ms(seen.min_ns),
                ms(seen.max_ns),
                TimestampWithTimeZone::try_from(seen.first_at).ok(),
                TimestampWithTimeZone::try_from(seen.last_at).ok(),
            )
        })
        .collect();
    TableIterator::new(rows)
}

/// Texts of captured executions without their literals, of the last one of each statement.
fn texts(sight: &Sight) -> BTreeMap<Key, String> {
    let mut texts = BTreeMap::new();
    for captured in read::captured(sight) {
        texts
            .entry(captured.key)
            .or_insert_with(|| read::without_literals(&captured));
    }
    texts
}

/// The rows of `pitcrew.captured_statements`.
#[pg_extern(sql = r#"
CREATE FUNCTION pitcrew.captured_statement_rows() RETURNS TABLE (
    queryid bigint, toplevel boolean, user_name text, query text, calls bigint, failed bigint, cancelled bigint,
    total_ms double precision, mean_ms double precision, max_ms double precision, rows bigint, blocks_hit bigint,
    blocks_read bigint, blocks_dirtied bigint, blocks_written bigint, temp_blocks_read bigint, temp_blocks_written bigint
)
    LANGUAGE c STRICT VOLATILE SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'captured_statement_rows_wrapper';
COMMENT ON FUNCTION pitcrew.captured_statement_rows() IS 'The rows of pitcrew.captured_statements.';
"#)]
#[allow(clippy::type_complexity)]
fn captured_statement_rows() -> TableIterator<
    'static,
    (
        name!(queryid, Option<i64>),
        name!(toplevel, bool),
        name!(user_name, Option<Text>),
        name!(query, Option<Text>),
        name!(calls, i64),
        name!(failed, i64),
        name!(cancelled, i64),
        name!(total_ms, f64),
        name!(mean_ms, f64),
        name!(max_ms, f64),
        name!(rows, i64),
        name!(blocks_hit, i64),
        name!(blocks_read, i64),
        name!(blocks_dirtied, i64),
        name!(blocks_written, i64),
        name!(temp_blocks_read, i64),
        name!(temp_blocks_written, i64),
    ),
> {
    or_raise(can_capture());
    let sight = Sight::new();
    let texts = texts(&sight);
    let rows: Vec<_> = read::totals(&sight)
        .into_iter()
        .map(|total| {
            let blocks = total.blocks;
            (
                total.key.query_id(),
                total.key.kind.is_top(),
                user_name(total.key.user),
                texts.get(&total.key).cloned().map(Text),
                number(total.calls),
                number(total.failed),
                number(total.cancelled),
                ms(total.ns),
                ms(total.ns) / total.calls.max(1) as f64,
                ms(total.max_ns),
                number(total.rows),
                number(blocks.hit),
                number(blocks.read),
                number(blocks.dirtied),
                number(blocks.written),
                number(blocks.temp_read),
                number(blocks.temp_written),
            )
        })
        .collect();
    TableIterator::new(rows)
}

/// What is captured, and what was not.
#[pg_extern(sql = r#"
CREATE FUNCTION pitcrew.capture_status() RETURNS TABLE (
    mode text, min_duration_ms double precision, sample_rate double precision, keeps_values boolean, counts_statements boolean,
    slots integer, slots_used integer, memory_bytes bigint, longest_text_bytes integer, kept bigint, without_values bigint,
    dropped_busy bigint, dropped_long bigint, dropped_deep bigint, uncounted bigint, displaced bigint, plans_displaced bigint, plans_busy bigint, panics bigint,
    purged_at timestamptz
)
    LANGUAGE c STRICT VOLATILE SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'capture_status_wrapper';
COMMENT ON FUNCTION pitcrew.capture_status() IS
    'What is captured on this server, its bounds, and what was dropped since its start: dropped_busy because another session used the same slots, dropped_long because the text is longer than longest_text_bytes, dropped_deep because too many statements were open in one session. uncounted executions are missing in pitcrew.captured_statements, displaced statements made room there for others. plans_displaced plans were forgotten for others within an hour, plans_busy not looked at because another session used the same place. without_values executions were kept without some of their values.';
"#)]
#[allow(clippy::type_complexity)]
fn capture_status() -> TableIterator<
    'static,
    (
        name!(mode, String),
        name!(min_duration_ms, f64),
        name!(sample_rate, f64),
        name!(keeps_values, bool),
        name!(counts_statements, bool),
        name!(slots, i32),
        name!(slots_used, i32),
        name!(memory_bytes, i64),
        name!(longest_text_bytes, i32),
        name!(kept, i64),
        name!(without_values, i64),
        name!(dropped_busy, i64),
        name!(dropped_long, i64),
        name!(dropped_deep, i64),
        name!(uncounted, i64),
        name!(displaced, i64),
        name!(plans_displaced, i64),
        name!(plans_busy, i64),
        name!(panics, i64),
        name!(purged_at, Option<TimestampWithTimeZone>),
    ),
> {
    let mode = match settings::CAPTURE.get() {
        Mode::Off => "off",
        Mode::Sample => "sample",
        Mode::All => "all",
    };
    let mut used = 0;
    memory::each(|set| used += set.slots().iter().filter(|slot| slot.is_used()).count());
    let slots = memory::count() * WAYS;
    let counted = |which: fn(&memory::Counters) -> &AtomicU64| {
        memory::counters().map_or(0, |counters| {
            number(which(counters).load(Ordering::Relaxed))
        })
    };
    let purged_at = counted(|counters| &counters.purged_at);
    TableIterator::once((
        mode.to_owned(),
        settings::MIN_DURATION_MS.get(),
        settings::SAMPLE_RATE.get(),
        settings::VALUES.get(),
        keep::is_alone() && memory::counters().is_some(),
        slots as i32,
        used as i32,
        memory::counters().map_or(0, |_| memory::bytes() as i64),
        MAX_BYTES as i32,
        counted(|counters| &counters.kept),
        counted(|counters| &counters.without_values),
        counted(|counters| &counters.dropped_busy),
        counted(|counters| &counters.dropped_long),
        counted(|counters| &counters.dropped_deep),
        counted(|counters| &counters.uncounted),
        counted(|counters| &counters.displaced),
        counted(|counters| &counters.plans_displaced),
        counted(|counters| &counters.plans_busy),
        counted(|counters| &counters.panics),
        (purged_at != 0)
            .then(|| TimestampWithTimeZone::try_from(purged_at).ok())
            .flatten(),
    ))
}

/// Forgets what was captured in this database.
#[pg_extern(sql = r#"
CREATE FUNCTION pitcrew.capture_reset() RETURNS bigint
    LANGUAGE c STRICT VOLATILE SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'capture_reset_wrapper';
COMMENT ON FUNCTION pitcrew.capture_reset() IS
    'Forgets every execution that was captured in this database, and its counts; their memory is overwritten at once. Returns how many there were.';
"#)]
fn capture_reset() -> i64 {
    or_raise(can_capture());
    // SAFETY: set in every connected process.
    let database = unsafe { pg_sys::MyDatabaseId };
    number(forget(database))
}

/// Forgets what was captured in a database.
pub(crate) fn forget(database: pg_sys::Oid) -> u64 {
    let mut forgotten = 0;
    memory::each_written(|set| forgotten += set.forget(|key| key.database == database.to_u32()));
    if let Some(counters) = memory::counters() {
        // SAFETY: a read of the clock.
        let now = unsafe { pg_sys::GetCurrentTimestamp() };
        counters.purged_at.store(now as u64, Ordering::Relaxed);
    }
    forgotten
}

pgrx::extension_sql_file!(
    "../../sql/capture.sql",
    name = "capture",
    requires = [captured_rows, captured_statement_rows, seen_plan_rows]
);
