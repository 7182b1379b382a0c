//! Merges what is older than a day into hours, and forgets the oldest ticks where there is no room for them.

use std::collections::BTreeMap;

use pg_pitcrew_history::{Block, Tick, forgotten, merge, merges};
use pgrx::prelude::*;

use super::tick::{layout, run};
use crate::failure::{read_one, read_text, spi};
use crate::text::plain;

/// Hours that are merged after one tick. After a long time without a sampler there may be more; they wait.
const MAX_MERGES: usize = 48;
/// Share of `pitcrew.history_max_size` that rows may take. The rest is for rows that are deleted and not vacuumed yet.
const FILLED: f64 = 0.8;

/// What the tables need after rows were deleted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Tidy {
    /// Nothing was deleted.
    Nothing,
    /// Room for rows to come.
    Vacuum,
    /// Their files are larger than they may be: room for others.
    Shrink,
}

pub(super) fn keep(max_size_mb: i32) -> Tidy {
    let max_bytes = i64::from(max_size_mb) * 1024 * 1024;
    let now: Option<i64> = read_one(
        "the clock",
        "SELECT extract(epoch FROM clock_timestamp())::bigint",
        &[],
    );
    super::tick::compress();
    let hours = merges(&ticks(), now.unwrap_or(0));
    let merged = hours.len().min(MAX_MERGES);
    for hour in hours.into_iter().take(MAX_MERGES) {
        merge_hour(hour);
    }
    let has_forgotten = forget(max_bytes);
    if merged > 0 || has_forgotten {
        prune();
    }
    let files: Option<i64> = read_one(
        "the size of the history",
        "SELECT sum(pg_total_relation_size(c.oid))::bigint FROM pg_class c \
         WHERE c.relnamespace = 'pitcrew'::regnamespace AND c.relkind = 'r' AND c.relname LIKE 'history\\_%'",
        &[],
    );
    if files > Some(max_bytes) && may_shrink() {
        Tidy::Shrink
    } else if merged > 0 || has_forgotten {
        Tidy::Vacuum
    } else {
        Tidy::Nothing
    }
}

/// Once an hour: while an old transaction may still see what was deleted, rewriting a table gives nothing back.
fn may_shrink() -> bool {
    let query = "UPDATE pitcrew.history_state SET shrunk_at = clock_timestamp() \
                 WHERE shrunk_at IS NULL OR shrunk_at < clock_timestamp() - interval '1 hour'";
    run(query, &[]) > 0
}

fn ticks() -> Vec<Tick> {
    let what = "pitcrew.history_ticks";
    let query =
        "SELECT id, extract(epoch FROM at)::bigint, bytes FROM pitcrew.history_ticks ORDER BY id";
    Spi::connect(|client| {
        let rows = spi(what, client.select(query, None, &[]));
        rows.filter_map(|row| {
            Some(Tick {
                id: spi(what, row.get(1))?,
                at_s: spi(what, row.get(2))?,
                bytes: spi(what, row.get(3))?,
            })
        })
        .collect()
    })
}

fn merge_hour(ids: Vec<i64>) {
    let Some(&into) = ids.last() else { return };
    let what = "pitcrew.history_samples";
    let query = "SELECT kind::text, objects, numbers FROM pitcrew.history_samples WHERE tick = ANY ($1) ORDER BY tick";
    let mut kinds: BTreeMap<String, Vec<Block>> = BTreeMap::new();
    Spi::connect(|client| {
        for row in spi(what, client.select(query, None, &[ids.clone().into()])) {
            let kind = plain(spi(what, row.get(1))).unwrap_or_default();
            kinds.entry(kind).or_default().push(Block {
                objects: spi(what, row.get(2)).unwrap_or_default(),
                numbers: spi(what, row.get(3)).unwrap_or_default(),
            });
        }
    });
    run(
        "DELETE FROM pitcrew.history_samples WHERE tick = ANY ($1)",
        &[ids.clone().into()],
    );
    for (kind, blocks) in kinds {
        let Some(layout) = layout(&kind) else {
            continue;
        };
        let rows: Vec<_> = merge(layout, &blocks).rows(layout).collect();
        super::changes::pack(into, &kind, layout, rows);
    }
    run(
        include_str!("../../sql/queries/history_merge.sql"),
        &[ids.clone().into(), into.into()],
    );
    run(
        "DELETE FROM pitcrew.history_ticks WHERE id = ANY ($1) AND id <> $2",
        &[ids.into(), into.into()],
    );
}

fn forget(max_bytes: i64) -> bool {
    // With what its indexes and the room for updates take.
    let names: Option<i64> = read_one(
        "pitcrew.history_objects",
        "SELECT (1.6 * sum(40 + pg_column_size(o.*)))::bigint FROM pitcrew.history_objects o",
        &[],
    );
    let room = (max_bytes as f64 * FILLED) as i64 - names.unwrap_or(0);
    let gone = forgotten(&ticks(), room.max(0));
    if gone.is_empty() {
        return false;
    }
    run(
        include_str!("../../sql/queries/history_forget.sql"),
        &[gone.into()],
    );
    true
}

fn prune() {
    let schema = read_text(
        "pg_stat_statements",
        include_str!("../../sql/queries/statements_schema.sql"),
        &[],
    );
    let statements = schema.map_or_else(
        || "(SELECT NULL::bigint AS queryid WHERE false)".to_owned(),
        |schema| format!("(SELECT queryid FROM {schema}.pg_stat_statements(false))"),
    );
    let query = include_str!("../../sql/queries/history_prune.sql");
    run(&query.replace("{statements}", &statements), &[]);
}
