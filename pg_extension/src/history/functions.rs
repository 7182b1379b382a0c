//! What SQL cannot say by itself; `history_functions.sql` is built on it.

use pg_pitcrew_history::{Point, Wanted, regression};
use pgrx::prelude::*;

use crate::failure::{Failure, read_one, spi};

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
    let what = "pitcrew.history_samples";
    let query = include_str!("../../sql/queries/history_series.sql");
    let mut slower = Vec::new();
    Spi::connect(|client| {
        let arguments = [since.into(), recent_from.into()];
        for row in spi(what, client.select(query, None, &arguments)) {
            let object: i32 = spi(what, row.get(1)).unwrap_or_default();
            let times = |place: usize| spi::<Option<Vec<f64>>>(what, row.get(place));
            let counts = |place: usize| spi::<Option<Vec<i64>>>(what, row.get(place));
            let (began, at) = (times(2).unwrap_or_default(), times(3).unwrap_or_default());
            let (calls, us) = (counts(4).unwrap_or_default(), counts(5).unwrap_or_default());
            let points: Vec<Point> = began
                .into_iter()
                .zip(at)
                .zip(calls.into_iter().zip(us))
                .map(|((began_s, at_s), (calls, exec_us))| Point {
                    began_s,
                    at_s,
                    calls,
                    exec_us,
                })
                .collect();
            let wanted = Wanted {
                recent_from_s: spi(what, row.get(6)).unwrap_or(0.0),
                least_calls: min_calls,
                least_ratio: min_ratio,
            };
            if let Some(found) = regression(&points, wanted) {
                slower.push((
                    object,
                    found.began_s,
                    found.seen_s,
                    found.baseline_ms,
                    found.recent_ms,
                    found.score,
                    found.baseline_calls,
                    found.recent_calls,
                    found.extra_ms,
                ));
            }
        }
    });
    TableIterator::new(slower)
}
