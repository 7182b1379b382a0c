//! What one tick reads and writes, in one transaction.

use pg_pitcrew_history::{Before, Gap, Layout, Origin, gaps};
use pgrx::datum::{DatumWithOid, TimestampWithTimeZone};
use pgrx::prelude::*;

use super::board::{Seen, Tally};
use super::changes::{Change, Kind, write};
use super::sessions::{state_name, wait_name};
use crate::failure::{or_raise, read_text, spi};
use crate::jobs::process;
use crate::names;
use crate::text::{Text, plain};

/// Statements, and relations, of one tick. What is more is left out, the least used and the smallest, and counted.
const MAX_OBJECTS: i64 = 20_000;
/// Events of one kind in one tick.
pub(super) const MAX_EVENTS: i64 = 1_000;

/// Statements: see `history_samples.numbers`.
pub(super) const STATEMENTS: Layout = Layout {
    counters: 8,
    gauges: 0,
};
/// Tables and indexes.
pub(super) const RELATIONS: Layout = Layout {
    counters: 11,
    gauges: 3,
};
/// What sessions did.
pub(super) const WAITS: Layout = Layout {
    counters: 1,
    gauges: 0,
};

/// The layout of a kind of samples.
pub(super) fn layout(kind: &str) -> Option<Layout> {
    match kind {
        "s" => Some(STATEMENTS),
        "r" => Some(RELATIONS),
        "w" => Some(WAITS),
        _ => None,
    }
}

/// The tick that is being taken.
pub(super) struct Tick {
    pub(super) id: i64,
    pub(super) began: TimestampWithTimeZone,
    pub(super) at: TimestampWithTimeZone,
    /// Counters of before cannot be compared.
    is_foreign: bool,
    /// What the tick before did not see is new.
    pub(super) is_after_whole: bool,
    /// There is a tick before, so that what differs has changed.
    pub(super) has_before: bool,
}

impl Tick {
    /// What is known of an object.
    pub(super) fn before<'a>(&self, last: Option<&'a Vec<i64>>, is_listed: bool) -> Before<'a> {
        match last {
            _ if self.is_foreign => Before::Unknown,
            Some(last) => Before::Counters(last),
            None if self.is_after_whole && is_listed => Before::New,
            None => Before::Unknown,
        }
    }
}

/// The extension's owner; nothing where a write could run somebody's code. The locks keep it so: CREATE TRIGGER and its like
/// wait for the end of the transaction.
pub(super) fn owner() -> Option<pg_sys::Oid> {
    run(
        "LOCK TABLE ONLY pitcrew.history_ticks, ONLY pitcrew.history_objects, ONLY pitcrew.history_samples, \
         ONLY pitcrew.history_events, ONLY pitcrew.history_state IN ROW EXCLUSIVE MODE",
        &[],
    );
    origin().map(|(_, owner)| owner)
}

fn origin() -> Option<(Origin, pg_sys::Oid)> {
    let what = "the server's identity";
    let query = include_str!("../../sql/queries/history_origin.sql");
    Spi::connect(|client| {
        let row = spi(what, client.select(query, Some(1), &[])).first();
        if row.is_empty() {
            return None;
        }
        let text = |place: usize| plain(spi(what, row.get(place))).unwrap_or_default();
        let origin = Origin {
            server: text(1),
            boot: text(2),
            statistics_reset: text(3),
            statements_reset: String::new(),
        };
        Some((origin, spi(what, row.get(4))?))
    })
}

/// Takes a tick and answers its id.
pub(super) fn take(tally: Tally, seen: &[Seen]) -> i64 {
    let schema = read_text(
        "pg_stat_statements",
        include_str!("../../sql/queries/statements_schema.sql"),
        &[],
    );
    let mut origin = origin().map(|(origin, _)| origin).unwrap_or_default();
    if let Some(schema) = &schema {
        let query = format!("SELECT stats_reset::text FROM {schema}.pg_stat_statements_info()");
        let query = or_raise(names::c_string(&query));
        origin.statements_reset = Spi::connect(|client| {
            let what = "pg_stat_statements_info";
            let rows = spi(what, client.select(query.as_c_str(), Some(1), &[]));
            rows.filter_map(|row| plain(spi(what, row.get(1)))).next()
        })
        .unwrap_or_default();
    }
    compress();
    let last = last();
    let mut gaps = gaps(last.as_ref().map(|last| &last.origin), &origin);
    if last.as_ref().is_some_and(|last| last.is_unread) {
        gaps.push(Gap::StatementsUnreadBefore);
    }
    let tick = begin(&origin, last.as_ref(), &gaps, tally);
    let mut left_out = 0;
    if let Some(schema) = schema {
        let had = last.is_some_and(|last| !last.origin.statements_reset.is_empty());
        // A text of another database that is none in this one's encoding makes the server refuse all of them.
        match process::attempt("the statements of a tick", || {
            statements(&tick, &schema, had)
        }) {
            Some(more) => left_out += more,
            None => unread(&tick),
        }
    }
    left_out += relations(&tick);
    left_out += settings(&tick);
    waits(&tick, seen);
    finish(&tick, left_out);
    tick.id
}

/// lz4 where the server was built with it: half the time and the same size.
pub(super) fn compress() {
    let query = "SELECT set_config('default_toast_compression', 'lz4', true) FROM pg_settings \
                 WHERE name = 'default_toast_compression' AND 'lz4' = ANY (enumvals)";
    read_text("default_toast_compression", query, &[]);
}

/// The tick before.
struct Last {
    origin: Origin,
    /// Nothing was left out.
    is_whole: bool,
    /// Its statements could not be read.
    is_unread: bool,
}

fn last() -> Option<Last> {
    let what = "pitcrew.history_ticks";
    let query = "SELECT server, boot, statistics_reset, statements_reset, left_out = 0, gaps @> ARRAY[$1] \
                 FROM pitcrew.history_ticks ORDER BY id DESC LIMIT 1";
    Spi::connect(|client| {
        let unread = [Gap::StatementsUnread.as_str().into()];
        let row = spi(what, client.select(query, Some(1), &unread)).first();
        if row.is_empty() {
            return None;
        }
        let text = |place: usize| plain(spi(what, row.get(place))).unwrap_or_default();
        let origin = Origin {
            server: text(1),
            boot: text(2),
            statistics_reset: text(3),
            statements_reset: text(4),
        };
        let flag = |place: usize| spi(what, row.get(place)).unwrap_or(false);
        Some(Last {
            origin,
            is_whole: flag(5),
            is_unread: flag(6),
        })
    })
}

fn begin(origin: &Origin, last: Option<&Last>, gaps: &[Gap], tally: Tally) -> Tick {
    let what = "pitcrew.history_ticks";
    let names: Vec<String> = gaps.iter().map(|gap| gap.as_str().to_owned()).collect();
    // A clock that was put back takes no time back.
    let query = "INSERT INTO pitcrew.history_ticks \
                     (began, at, gaps, server, boot, statistics_reset, statements_reset, samples, dropped_samples) \
                 SELECT coalesce(l.at, n.at), greatest(l.at, n.at), $1, $2, $3, $4, $5, $6, $7 \
                 FROM (SELECT clock_timestamp()) n (at) \
                 LEFT JOIN (SELECT at FROM pitcrew.history_ticks ORDER BY id DESC LIMIT 1) l ON true \
                 RETURNING id, began, at";
    let arguments = [
        names.into(),
        origin.server.as_str().into(),
        origin.boot.as_str().into(),
        origin.statistics_reset.as_str().into(),
        origin.statements_reset.as_str().into(),
        i32::try_from(tally.looks).unwrap_or(i32::MAX).into(),
        i64::from(tally.dropped).into(),
    ];
    Spi::connect_mut(|client| {
        let row = spi(what, client.update(query, Some(1), &arguments)).first();
        let at = |place: usize| -> TimestampWithTimeZone {
            spi::<Option<_>>(what, row.get(place)).unwrap_or_else(pgrx::datum::clock_timestamp)
        };
        let is_foreign = gaps.contains(&Gap::First) || gaps.contains(&Gap::OtherServer);
        Tick {
            id: spi(what, row.get(1)).unwrap_or_default(),
            began: at(2),
            at: at(3),
            is_foreign,
            is_after_whole: !is_foreign && last.is_some_and(|last| last.is_whole),
            has_before: !is_foreign,
        }
    })
}

fn statements(tick: &Tick, schema: &str, had_statements: bool) -> i64 {
    let what = "pg_stat_statements";
    let query =
        include_str!("../../sql/queries/history_statements.sql").replace("{schema}", schema);
    let query = or_raise(names::c_string(&query));
    let mut found = 0;
    let changes: Vec<Change> = Spi::connect(|client| {
        let rows = spi(
            what,
            client.select(query.as_c_str(), None, &[MAX_OBJECTS.into()]),
        );
        rows.filter_map(|row| {
            found = spi(what, row.get(5)).unwrap_or(0);
            Some(Change {
                object: spi(what, row.get(1)),
                key: spi(what, row.get(2))?,
                last: spi(what, row.get(3)),
                now: spi(what, row.get(4))?,
                gauges: Vec::new(),
                event: None,
            })
        })
        .collect()
    });
    let kind = Kind::Statements { schema };
    write(tick, &kind, STATEMENTS, changes, had_statements);
    (found - MAX_OBJECTS).max(0)
}

fn relations(tick: &Tick) -> i64 {
    let what = "pg_class";
    let query = include_str!("../../sql/queries/history_relations.sql");
    let mut found = 0;
    let changes: Vec<Change> = Spi::connect(|client| {
        let rows = spi(what, client.select(query, None, &[MAX_OBJECTS.into()]));
        rows.filter_map(|row| {
            found = spi(what, row.get(9)).unwrap_or(0);
            let oid: pg_sys::Oid = spi(what, row.get(2))?;
            // A table that somebody holds under an exclusive lock is not measured.
            let gauge = |place: usize| spi(what, row.get(place)).unwrap_or(-1);
            Some(Change {
                object: spi(what, row.get(1)),
                key: i64::from(oid.to_u32()),
                last: spi(what, row.get(3)),
                now: spi(what, row.get(4))?,
                gauges: vec![gauge(5), gauge(6), gauge(7)],
                event: plain(spi(what, row.get(8))),
            })
        })
        .collect()
    });
    let mut left_out = write(tick, &Kind::Relations, RELATIONS, changes, true);
    let query = include_str!("../../sql/queries/history_gone_relations.sql");
    // Of a tick that continues another server's, what is not here was never here.
    let most = if tick.has_before { MAX_EVENTS } else { 0 };
    run(query, &[tick.began.into(), tick.at.into(), most.into()]);
    left_out += (found - MAX_OBJECTS).max(0);
    left_out
}

fn settings(tick: &Tick) -> i64 {
    let what = "pg_settings";
    let names: Vec<String> = Spi::connect(|client| {
        let rows = spi(
            what,
            client.select("SELECT name FROM pg_settings", None, &[]),
        );
        rows.filter_map(|row| plain(spi(what, row.get(1))))
            .collect()
    });
    let hidden: Vec<Text> = names
        .into_iter()
        .filter(|name| is_hidden(name))
        .map(Text)
        .collect();
    let query = include_str!("../../sql/queries/history_settings.sql");
    let told = run(
        query,
        &[
            tick.began.into(),
            tick.at.into(),
            hidden.into(),
            MAX_EVENTS.into(),
        ],
    );
    i64::from(told >= MAX_EVENTS as usize)
}

/// Whether only superusers may see a setting: it may hold a password.
fn is_hidden(name: &str) -> bool {
    let Ok(name) = crate::names::c_string(name) else {
        return true;
    };
    // SAFETY: a look-up that answers 0 for a name that is not known.
    let flags = unsafe { pg_sys::GetConfigOptionFlags(name.as_ptr(), true) };
    flags as u32 & pg_sys::GUC_SUPERUSER_ONLY != 0
}

fn waits(tick: &Tick, seen: &[Seen]) {
    let key = |seen: &Seen| {
        let (kind, event) = wait_name(seen.doing.wait);
        let state = state_name(seen.doing.state);
        format!("{state}|{kind}|{event}|{}", seen.doing.query)
    };
    // Two codes of the server may have one name.
    let mut counts = std::collections::BTreeMap::new();
    for seen in seen {
        *counts.entry(key(seen)).or_insert(0) += i64::from(seen.count);
    }
    let (keys, counts): (Vec<String>, Vec<i64>) = counts.into_iter().unzip();
    let ids = objects(
        include_str!("../../sql/queries/history_waits.sql"),
        &[keys.into()],
    );
    let rows = ids
        .into_iter()
        .zip(counts.into_iter().map(|count| vec![count]));
    super::changes::pack(tick.id, "w", WAITS, rows);
}

fn objects(query: &str, arguments: &[DatumWithOid<'_>]) -> Vec<i32> {
    Spi::connect_mut(|client| {
        let what = "pitcrew.history_objects";
        let rows = spi(what, client.update(query, None, arguments));
        rows.filter_map(|row| spi(what, row.get(1))).collect()
    })
}

/// Runs a statement and answers how many rows it changed.
pub(super) fn run(query: &str, arguments: &[DatumWithOid<'_>]) -> usize {
    // Some name the schema of pg_stat_statements.
    let query = or_raise(names::c_string(query));
    Spi::connect_mut(|client| {
        let done = client.update(query.as_c_str(), None, arguments);
        spi("the history", done).len()
    })
}

fn unread(tick: &Tick) {
    let query = "UPDATE pitcrew.history_ticks SET gaps = gaps || $2 WHERE id = $1";
    run(
        query,
        &[tick.id.into(), Gap::StatementsUnread.as_str().into()],
    );
}

fn finish(tick: &Tick, left_out: i64) {
    let query = "UPDATE pitcrew.history_ticks t SET left_out = $2, bytes = pitcrew.history_tick_bytes(t.id) WHERE t.id = $1";
    run(
        query,
        &[
            tick.id.into(),
            i32::try_from(left_out).unwrap_or(i32::MAX).into(),
        ],
    );
}
