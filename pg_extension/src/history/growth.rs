//! How much each table and index grew: one pass over the ticks, where SQL would take apart and join what is packed.

use std::collections::{BTreeMap, HashMap};

use pgrx::prelude::*;

use crate::failure::spi;

/// Places among a relation's numbers; see `history_samples.numbers`.
const INSERTED: usize = 3;
const UPDATED: usize = 4;
const DELETED: usize = 5;
const BYTES: usize = 11;
const LIVE_ROWS: usize = 12;

/// One table or index.
struct Growth {
    first_at: TimestampWithTimeZone,
    /// Size at the last tick up to the begin, or at the first that there is.
    bytes_before: i64,
    bytes: i64,
    live_rows: i64,
    /// Since the begin: inserted, updated, deleted.
    written: [i64; 3],
}

/// The relations whose size is known; `pitcrew.table_growth` adds what they are.
#[pg_extern(sql = r#"
CREATE FUNCTION pitcrew.history_growth(since timestamptz)
    RETURNS TABLE (object integer, first_at timestamptz, bytes_before bigint, bytes bigint, live_rows bigint, inserted bigint,
                   updated bigint, deleted bigint)
    LANGUAGE c STRICT VOLATILE SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'history_growth_wrapper';
COMMENT ON FUNCTION pitcrew.history_growth(timestamptz) IS
    'What pitcrew.table_growth() shows, by number in pitcrew.history_objects; first_at is the first tick with a size.';
"#)]
#[allow(clippy::type_complexity, reason = "pgrx reads the columns here")]
pub(super) fn history_growth(
    since: TimestampWithTimeZone,
) -> TableIterator<
    'static,
    (
        name!(object, i32),
        name!(first_at, TimestampWithTimeZone),
        name!(bytes_before, i64),
        name!(bytes, i64),
        name!(live_rows, i64),
        name!(inserted, i64),
        name!(updated, i64),
        name!(deleted, i64),
    ),
> {
    TableIterator::new(growth(since).into_iter().map(|(object, of)| {
        let [inserted, updated, deleted] = of.written;
        (
            object,
            of.first_at,
            of.bytes_before,
            of.bytes,
            of.live_rows,
            inserted,
            updated,
            deleted,
        )
    }))
}

fn growth(since: TimestampWithTimeZone) -> BTreeMap<i32, Growth> {
    let what = "pitcrew.history_samples";
    let query = include_str!("../../sql/queries/history_relation_ticks.sql");
    let mut relations: BTreeMap<i32, Growth> = BTreeMap::new();
    Spi::connect(|client| {
        let first =
            "SELECT id, first_tick FROM pitcrew.history_objects WHERE first_tick IS NOT NULL";
        let first: HashMap<i32, i64> = spi(what, client.select(first, None, &[]))
            .filter_map(|row| Some((spi(what, row.get(1))?, spi(what, row.get(2))?)))
            .collect();
        for row in spi(what, client.select(query, None, &[since.into()])) {
            let Some(at) = spi::<Option<TimestampWithTimeZone>>(what, row.get(1)) else {
                continue;
            };
            let is_since = spi::<Option<bool>>(what, row.get(2)).unwrap_or(false);
            let objects: Vec<i32> = spi::<Option<_>>(what, row.get(3)).unwrap_or_default();
            let numbers: Vec<i64> = spi::<Option<_>>(what, row.get(4)).unwrap_or_default();
            let tick: i64 = spi::<Option<_>>(what, row.get(5)).unwrap_or_default();
            let count = objects.len();
            for (place, object) in objects.into_iter().enumerate() {
                let number =
                    |metric: usize| numbers.get(metric * count + place).copied().unwrap_or(0);
                let bytes = number(BYTES);
                let is_another_s = first.get(&object).is_some_and(|first| tick < *first);
                // Or it was locked.
                if is_another_s || bytes < 0 {
                    continue;
                }
                let of = relations.entry(object).or_insert(Growth {
                    first_at: at,
                    bytes_before: bytes,
                    bytes,
                    live_rows: 0,
                    written: [0; 3],
                });
                (of.bytes, of.live_rows) = (bytes, number(LIVE_ROWS));
                if is_since {
                    for (sum, metric) in of.written.iter_mut().zip([INSERTED, UPDATED, DELETED]) {
                        *sum = sum.saturating_add(number(metric));
                    }
                } else {
                    of.bytes_before = bytes;
                }
            }
        }
    });
    relations
}
