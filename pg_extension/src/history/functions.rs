//! What SQL cannot say by itself; `history_functions.sql` is built on it.

use std::collections::BTreeMap;

use pg_pitcrew_history::{Point, Wanted, regression};
use pgrx::prelude::*;

use super::board::BOARD;
use crate::failure::{Failure, read_one, spi};
use crate::is_preloaded;
use crate::text::Text;

/// In microseconds: two readings of the clock in one call are apart by less.
const MOMENT: i64 = 1_000;

/// Size of a table with its TOAST, or of an index. Nothing where somebody holds it under an exclusive lock: a tick waits
/// for nobody.
#[pg_extern(sql = r#"
CREATE FUNCTION pitcrew.history_bytes(relation oid) RETURNS bigint
    LANGUAGE c STRICT VOLATILE SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'history_bytes_wrapper';
COMMENT ON FUNCTION pitcrew.history_bytes(oid) IS
    'Size of a table with its TOAST, or of an index, in bytes. NULL while somebody holds it under an exclusive lock, and when it is gone.';
"#)]
fn history_bytes(relation: pg_sys::Oid) -> Option<i64> {
    let lock = pg_sys::AccessShareLock as pg_sys::LOCKMODE;
    // SAFETY: the lock is given back below, or with the transaction where measuring raises an error.
    unsafe {
        if !pg_sys::ConditionalLockRelationOid(relation, lock) {
            return None;
        }
        let arguments = [relation.into_datum()];
        let bytes = pgrx::direct_function_call::<i64>(pg_sys::pg_table_size, &arguments);
        pg_sys::UnlockRelationOid(relation, lock);
        bytes
    }
}

/// Refuses who may not see what others run.
#[pg_extern(sql = r#"
CREATE FUNCTION pitcrew.history_visible() RETURNS void
    LANGUAGE c STRICT VOLATILE SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'history_visible_wrapper';
COMMENT ON FUNCTION pitcrew.history_visible() IS
    'Fails where the current role may not see other users'' statements; the history of statements and sessions asks it.';
"#)]
pub(super) fn history_visible() {
    let visible: Option<bool> = read_one(
        "pg_roles",
        "SELECT pg_has_role('pg_read_all_stats', 'USAGE')",
        &[],
    );
    if visible != Some(true) {
        Failure::new(
            PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
            "the history of statements and sessions shows what other users run",
        )
        .hint("GRANT pg_read_all_stats TO the role.")
        .raise()
    }
}

/// Why the last tick of this database that failed did so; no row where none did since the server's start.
#[pg_extern(sql = r#"
CREATE FUNCTION pitcrew.history_last_error() RETURNS TABLE (at timestamptz, sqlstate text, message text)
    LANGUAGE c STRICT VOLATILE SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'history_last_error_wrapper';
COMMENT ON FUNCTION pitcrew.history_last_error() IS
    'Why the last tick of this database that failed did so, since the start of the server; the message without its DETAIL and of at most 512 bytes. No row where none failed.';
"#)]
pub(super) fn history_last_error() -> TableIterator<
    'static,
    (
        name!(at, Option<TimestampWithTimeZone>),
        name!(sqlstate, Text),
        name!(message, Text),
    ),
> {
    // Without the library there is no sampler and no shared memory.
    let last = is_preloaded().then(|| {
        // SAFETY: set in every connected process.
        let database = unsafe { pg_sys::MyDatabaseId };
        BOARD.share().last_error(database)
    });
    TableIterator::new(last.flatten().into_iter().map(|error| {
        (
            TimestampWithTimeZone::try_from(error.at).ok(),
            error.sqlstate.as_str().into(),
            error.message.as_str().into(),
        )
    }))
}

/// The statements that got slower; `pitcrew.regressions` adds what they are and what changed.
#[pg_extern(sql = r#"
CREATE FUNCTION pitcrew.history_slower(since timestamptz, recent_from timestamptz, min_calls bigint, min_ratio double precision)
    RETURNS TABLE (object integer, began double precision, seen double precision, baseline_ms double precision,
                   recent_ms double precision, score double precision, baseline_calls bigint, recent_calls bigint,
                   extra_ms double precision)
    LANGUAGE c STRICT VOLATILE SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'history_slower_wrapper';
COMMENT ON FUNCTION pitcrew.history_slower(timestamptz, timestamptz, bigint, double precision) IS
    'The statements that pitcrew.regressions() reports, by their number in pitcrew.history_objects; times in seconds since 1970.';
"#)]
#[allow(clippy::type_complexity, reason = "pgrx reads the columns here")]
pub(super) fn history_slower(
    since: TimestampWithTimeZone,
    recent_from: TimestampWithTimeZone,
    min_calls: i64,
    min_ratio: f64,
) -> TableIterator<
    'static,
    (
        name!(object, i32),
        name!(began, f64),
        name!(seen, f64),
        name!(baseline_ms, f64),
        name!(recent_ms, f64),
        name!(score, f64),
        name!(baseline_calls, i64),
        name!(recent_calls, i64),
        name!(extra_ms, f64),
    ),
> {
    if min_calls < 1 || !min_ratio.is_finite() || min_ratio < 1.0 {
        Failure::argument("min_calls is less than 1, or min_ratio less than 1")
            .hint("A statement is slower when its time is more than 1 times what it was.")
            .raise()
    }
    // SAFETY: reads the clock.
    let now = TimestampWithTimeZone::try_from(unsafe { pg_sys::GetCurrentTimestamp() });
    let apart = |from: TimestampWithTimeZone, to: TimestampWithTimeZone| {
        to.into_inner().saturating_sub(from.into_inner())
    };
    if apart(since, recent_from) < MOMENT || now.is_ok_and(|now| apart(recent_from, now) < MOMENT) {
        Failure::argument("recent and baseline must be longer than nothing").raise()
    }
    let (series, recent_from_s) = series(since, recent_from);
    let wanted = Wanted {
        recent_from_s,
        least_calls: min_calls,
        least_ratio: min_ratio,
    };
    let found = series.into_iter().filter_map(move |(object, points)| {
        let found = regression(&points, wanted)?;
        Some((
            object,
            found.began_s,
            found.seen_s,
            found.baseline_ms,
            found.recent_ms,
            found.score,
            found.baseline_calls,
            found.recent_calls,
            found.extra_ms,
        ))
    });
    TableIterator::new(found)
}

/// The ticks of each statement, oldest first, and `recent_from` in seconds since 1970.
fn series(
    since: TimestampWithTimeZone,
    recent_from: TimestampWithTimeZone,
) -> (BTreeMap<i32, Vec<Point>>, f64) {
    let what = "pitcrew.history_samples";
    let query = include_str!("../../sql/queries/history_series.sql");
    let mut series: BTreeMap<i32, Vec<Point>> = BTreeMap::new();
    let mut recent_from_s = 0.0;
    Spi::connect(|client| {
        let arguments = [since.into(), recent_from.into()];
        for row in spi(what, client.select(query, None, &arguments)) {
            let second = |place: usize| spi::<Option<f64>>(what, row.get(place)).unwrap_or(0.0);
            let (began_s, at_s) = (second(1), second(2));
            recent_from_s = second(5);
            let objects: Vec<i32> = spi::<Option<_>>(what, row.get(3)).unwrap_or_default();
            let numbers: Vec<i64> = spi::<Option<_>>(what, row.get(4)).unwrap_or_default();
            let (calls, exec_us) = numbers.split_at(objects.len().min(numbers.len()));
            for (object, (&calls, &exec_us)) in objects.into_iter().zip(calls.iter().zip(exec_us)) {
                series.entry(object).or_default().push(Point {
                    began_s,
                    at_s,
                    calls,
                    exec_us,
                });
            }
        }
    });
    (series, recent_from_s)
}
