//! What the server counted, and for how long: scans of indexes, and rows that were written by whatever wrote them.

use std::collections::BTreeMap;

use pgrx::prelude::*;

use crate::failure::{read_one, spi};
use crate::whatif::guarded::guarded;

/// What wrote this share of a table's rows at once filled it, and will not do so again.
pub(super) const LOAD_SHARE: f64 = 0.1;
/// The least rows that are taken for that.
pub(super) const LOAD_ROWS: f64 = 10_000.0;

/// Since when the server counts.
pub(super) struct Since {
    pub(super) at: Option<String>,
    pub(super) seconds: f64,
    pub(super) has_standby: bool,
}

impl Since {
    pub(super) fn read() -> Self {
        Spi::connect(|client| {
            let query = include_str!("../../sql/queries/counted_since.sql");
            let rows = spi("pg_stat_database", client.select(query, Some(1), &[])).first();
            Self {
                at: spi("pg_stat_database", rows.get(1)),
                seconds: spi::<Option<f64>>("pg_stat_database", rows.get(2)).unwrap_or(0.0),
                has_standby: spi::<Option<bool>>("pg_stat_database", rows.get(3)).unwrap_or(false),
            }
        })
    }

    pub(super) fn days(&self) -> f64 {
        self.seconds / 86_400.0
    }
}

/// Rows of a table that were written since the server counts, those of its partitions together.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counted {
    pub(super) inserted: f64,
    pub(super) updated: f64,
    pub(super) hot: f64,
    pub(super) deleted: f64,
    /// Rows that are there.
    pub(super) live: f64,
}

impl Counted {
    /// `None` where the table is gone.
    pub(super) fn read(table: pg_sys::Oid) -> Option<Self> {
        let query = include_str!("../../sql/queries/counted_writes.sql");
        // The parts of a partitioned table are locked to be listed.
        let counted = guarded(|| read_one("written rows", query, &[table.into()]));
        let counted: Option<Vec<f64>> = counted.ok().flatten();
        let [inserted, updated, hot, deleted, live] = counted?[..] else {
            return None;
        };
        Some(Self {
            inserted,
            updated,
            hot,
            deleted,
            live,
        })
    }

    /// Of what inserts, updates and deletes, as it may, how much it does of each: as the table's rows were.
    pub(super) fn shares(self, inserts: bool, updates: bool, deletes: bool) -> [f64; 3] {
        let all = [
            (inserts, self.replaced()),
            (updates, self.updated),
            (deletes, self.deleted),
        ];
        let of = all.map(|(may, rows)| if may { rows } else { 0.0 });
        let sum: f64 = of.iter().sum();
        if sum > 0.0 {
            return of.map(|rows| rows / sum);
        }
        // Nothing is counted yet: the first that it may.
        let first = all.iter().position(|(may, _)| *may);
        let mut shares = [0.0; 3];
        if let Some(first) = first {
            shares[first] = 1.0;
        }
        shares
    }

    /// Rows that were inserted for others that went: those that are there may have been filled in once.
    pub(super) fn replaced(&self) -> f64 {
        (self.inserted - self.live).max(0.0)
    }
}

/// Rows a second that the history saw inserted into each table; none where there is no history, or this role may not read it.
pub(super) fn insert_rates() -> BTreeMap<u32, f64> {
    let may_read: Option<bool> = read_one(
        "the history's privileges",
        "SELECT bool_and(has_table_privilege('pitcrew.' || name, 'SELECT')) \
             FROM unnest(ARRAY['history_ticks', 'history_samples', 'history_objects']) name",
        &[],
    );
    if may_read != Some(true) {
        return BTreeMap::new();
    }
    let what = "pitcrew.history_samples";
    Spi::connect(|client| {
        let query = include_str!("../../sql/queries/insert_rates.sql");
        let arguments = [LOAD_SHARE.into(), LOAD_ROWS.into()];
        let rows = spi(what, client.select(query, None, &arguments));
        rows.filter_map(|row| {
            let table: pg_sys::Oid = spi::<Option<_>>(what, row.get(1))?;
            Some((table.to_u32(), spi::<Option<f64>>(what, row.get(2))?))
        })
        .collect()
    })
}
