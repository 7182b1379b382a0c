//! The log of one instance: a state machine without I/O. Events go in, [`Action`]s come out, and the [`Table`] is moved.
//!
//! In Redis there is one header (counter, last record, the tables of slots, the live patterns) and one Stream, changed
//! together by one script. What the machine expects of whoever runs it:
//!
//! - [`Action::Send`]: run the purging script, on any connection, as often as it likes; tell its answer by
//!   [`Log::accepted`]. What is lost is sent again.
//! - [`Action::ReadTable`]: run the reading script; tell its answer by [`Log::snapshot`].
//! - [`Action::Follow`]: from now on tell each record after that one, in order, by [`Log::record`], and about once a
//!   second what the header names as the last record by [`Log::heartbeat`], read together with the records up to it.

use std::{collections::BTreeMap, time::Duration};

use super::{
    name::{ALL, Kind, Name, Target},
    position::Position,
    table::{Slots, Table},
};

/// Purges that wait at most. Past that everything is purged: more than was asked, never less.
const MAX_PENDING: usize = 4_096;
/// Names of one purge at most; past that it is one of everything. A record holds two values for each, and the stack of a script
/// of Redis some 8,000.
const MAX_NAMES: usize = 2_048;

/// What the one who runs the machine does next.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(in crate::cache) enum Action {
    Send(Command),
    /// The script lifts the counter to this position.
    ReadTable(u64),
    /// Records after this one.
    Follow(u64),
}

/// A purge on its way to Redis.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(in crate::cache) struct Command {
    pub(in crate::cache) instance: u64,
    /// Of this instance's purges.
    pub(in crate::cache) number: u64,
    pub(in crate::cache) names: Vec<Name>,
    /// The highest position that this instance knows (rule 1).
    pub(in crate::cache) highest: u64,
}

/// A purge as it stands in the Stream. Its position is its id.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(in crate::cache) struct Record {
    pub(in crate::cache) position: u64,
    /// The record before it (rule 8).
    pub(in crate::cache) before: u64,
    pub(in crate::cache) instance: u64,
    pub(in crate::cache) number: u64,
    pub(in crate::cache) names: Vec<Name>,
}

/// Cursor and table together (rule 7).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(in crate::cache) struct Snapshot {
    pub(in crate::cache) counter: u64,
    pub(in crate::cache) last: u64,
    pub(in crate::cache) hard: Slots,
    pub(in crate::cache) soft: Slots,
    /// Live patterns and their positions, the oldest first.
    pub(in crate::cache) patterns: Vec<(Name, u64)>,
}

impl Snapshot {
    fn slot(&self, kind: Kind, slot: u32) -> u64 {
        let slots = match kind {
            Kind::Hard => &self.hard,
            Kind::Soft => &self.soft,
        };
        let own = slots.slots.get(slot as usize).copied().unwrap_or(0);
        // What is purged hard, all of it, is purged softly too.
        own.max(slots.all).max(self.hard.all)
    }
}

/// Where this instance hears of purges.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Feed {
    /// There is no Redis: this instance numbers purges itself.
    Alone,
    Away,
    /// The table was asked for.
    Reading,
    /// All records up to this one were read.
    Following(u64),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Pending {
    names: Vec<Name>,
    /// The position that Redis gave it.
    accepted: Option<u64>,
}

/// What one instance knows beyond its table.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(in crate::cache) struct Log {
    instance: u64,
    feed: Feed,
    pending: BTreeMap<u64, Pending>,
    purges: u64,
    /// The purge of everything that makes up for positions borrowed from Redis.
    making_up: Option<u64>,
}

impl Log {
    pub(in crate::cache) fn alone() -> Self {
        Self {
            feed: Feed::Alone,
            ..Self::in_cluster(0)
        }
    }

    /// `instance` is no other instance's, nor that of an earlier process.
    pub(in crate::cache) fn in_cluster(instance: u64) -> Self {
        Self {
            instance,
            feed: Feed::Away,
            pending: BTreeMap::new(),
            purges: 0,
            making_up: None,
        }
    }

    // Events

    /// This instance purges. When this returns, it serves nothing older from L1 and reads nothing from L2.
    pub(in crate::cache) fn purge(&mut self, table: &Table, mut names: Vec<Name>) -> Vec<Action> {
        if self.feed == Feed::Alone {
            let next = Position::from_redis(table.now().redis() + 1);
            table.raise(&names, next);
            table.advance(next);
            return Vec::new();
        }
        // Rule 2: more purges than have a place of their own. This one gets a position that Redis may give to another's purge,
        // which would not touch what is stored here from now on. So everything is purged, and what is stored until Redis
        // has numbered that goes nowhere else, and dies with it.
        let is_borrowing = table.now().is_full();
        if names.len() > MAX_NAMES || self.pending.len() >= MAX_PENDING || is_borrowing {
            names = vec![Name::ALL];
            self.pending.clear();
        }
        self.purges += 1;
        if is_borrowing
            || self
                .making_up
                .is_some_and(|number| !self.pending.contains_key(&number))
        {
            self.making_up = Some(self.purges);
            table.set_borrowing(true);
        }
        let pending = Pending {
            names,
            accepted: None,
        };
        let names = pending.names.clone();
        self.pending.insert(self.purges, pending);
        // Rule 2: only the local part, on top of what Redis gave; pending, slots, position, in this order.
        let next = table.now().next_local();
        table.set_pending(self.pending.len());
        table.raise(&names, next);
        table.advance(next);
        vec![self.send(table, self.purges, names)]
    }

    /// Redis has given a purge its position. That position is *not* this instance's: records before it may be unread
    /// (rule 3). Nor is the purge done before its record is read back (rule 4).
    pub(in crate::cache) fn accepted(&mut self, number: u64, position: u64) {
        if let Some(pending) = self.pending.get_mut(&number) {
            pending.accepted = Some(position);
        }
    }

    /// A connection is there, be it the first one (rule 7).
    pub(in crate::cache) fn connected(&mut self, table: &Table) -> Vec<Action> {
        self.read_table(table)
    }

    pub(in crate::cache) fn disconnected(&mut self, table: &Table) {
        self.feed = Feed::Away;
        table.disconnected();
    }

    /// The table, asked for at `asked`.
    pub(in crate::cache) fn snapshot(
        &mut self,
        table: &Table,
        asked: Duration,
        snapshot: &Snapshot,
    ) -> Vec<Action> {
        if self.feed != Feed::Reading {
            return Vec::new();
        }
        let lost = lost(table, snapshot);
        merge(table, snapshot);
        self.make_up(table, &[Name::ALL]);
        self.feed = Feed::Following(snapshot.last);
        let mut actions = vec![Action::Follow(snapshot.last)];
        // Records of these may lie before the cursor: sent again, all of them (rule 4).
        actions.extend(self.resend(table, |_| true));
        if !lost.is_empty() {
            actions.extend(self.purge(table, lost));
        }
        table.heard(asked);
        actions
    }

    /// The next record of the Stream.
    pub(in crate::cache) fn record(&mut self, table: &Table, record: &Record) -> Vec<Action> {
        let Feed::Following(cursor) = self.feed else {
            return Vec::new();
        };
        if record.before != cursor {
            // Trimmed, flushed, or lost by a fail-over: something in between is missing (rule 8).
            return self.read_table(table);
        }
        let position = Position::from_redis(record.position);
        table.raise(&record.names, position);
        table.advance(position);
        self.feed = Feed::Following(record.position);
        if record.instance == self.instance {
            self.read_back(table, record.number);
        }
        // After that: where this is what makes up for all, it stands here as it does in Redis, lest a fail-over lose it unseen.
        self.make_up(table, &record.names);
        // Passed without its record: it went to a master that is no more (rule 4).
        self.resend(table, |pending| {
            pending
                .accepted
                .is_some_and(|position| position < record.position)
        })
    }

    /// What the header names as the last record, asked for at `asked`; `None` where there is no header.
    pub(in crate::cache) fn heartbeat(
        &mut self,
        table: &Table,
        asked: Duration,
        last: Option<u64>,
    ) -> Vec<Action> {
        let Feed::Following(cursor) = self.feed else {
            return Vec::new();
        };
        if last != Some(cursor) {
            return self.read_table(table);
        }
        // From when it was asked: an answer may have lain in a buffer while this process stood still.
        table.heard(asked);
        self.resend(table, |_| true)
    }

    /// Whether a purge of this instance holds for L2 too. Where too many waited at once, all of them do until that is
    /// through.
    #[cfg(feature = "redis")]
    pub(in crate::cache) fn is_done(&self, number: u64) -> bool {
        let is_all = |pending: &Pending| pending.names == [Name::ALL];
        !self.pending.contains_key(&number) && !self.pending.values().any(is_all)
    }

    // What follows from them

    /// Purges once more, above all that is stored: as long as positions are borrowed, Redis may have given the same ones to
    /// purges that are heard now.
    fn make_up(&self, table: &Table, names: &[Name]) {
        if self.making_up.is_some() {
            let next = table.now().next_local();
            table.raise(names, next);
            table.advance(next);
        }
    }

    /// L2 may be read again, as far as this purge goes: its slots stand as high here as in Redis.
    pub(super) fn read_back(&mut self, table: &Table, number: u64) {
        self.pending.remove(&number);
        if self.making_up == Some(number) {
            self.making_up = None;
            table.set_borrowing(false);
        }
        table.set_pending(self.pending.len());
    }

    fn read_table(&mut self, table: &Table) -> Vec<Action> {
        self.feed = Feed::Reading;
        table.disconnected();
        vec![Action::ReadTable(table.now().redis())]
    }

    fn resend(&mut self, table: &Table, which: impl Fn(&Pending) -> bool) -> Vec<Action> {
        let again: Vec<_> = self
            .pending
            .iter_mut()
            .filter(|(_, pending)| which(pending))
            .map(|(number, pending)| {
                pending.accepted = None;
                (*number, pending.names.clone())
            })
            .collect();
        let send = |(number, names)| self.send(table, number, names);
        again.into_iter().map(send).collect()
    }

    fn send(&self, table: &Table, number: u64, names: Vec<Name>) -> Action {
        Action::Send(Command {
            instance: self.instance,
            number,
            names,
            highest: table.now().redis(),
        })
    }
}

#[cfg(test)]
impl Log {
    /// Breaks rule 2.
    pub(super) fn make_up_for_nothing(&mut self, table: &Table) {
        self.making_up = None;
        table.set_borrowing(false);
    }
}

/// What stands higher here than in Redis: purges that a fail-over lost (rule 7). What is numbered here is pending, so it
/// is sent again anyway.
fn lost(table: &Table, snapshot: &Snapshot) -> Vec<Name> {
    let is_lost = |here: Position, there: u64| !here.is_local() && here.redis() > there;
    let mut lost = Vec::new();
    for kind in [Kind::Hard, Kind::Soft] {
        let slots = table.slots().chain([ALL]);
        let slots = slots.filter(|slot| is_lost(table.at(kind, *slot), snapshot.slot(kind, *slot)));
        lost.extend(slots.map(|slot| Name::slot(kind, slot)));
    }
    for live in table.patterns() {
        let name = Name {
            kind: live.kind,
            target: Target::Pattern(live.pattern.clone()),
        };
        let listed = snapshot.patterns.iter().find(|(known, _)| *known == name);
        let there = snapshot.slot(live.kind, live.pattern.region);
        let there = there.max(listed.map_or(0, |(_, position)| *position));
        if is_lost(live.position, there) {
            lost.push(name);
        }
    }
    lost
}

/// By maximum: slots first, position last.
fn merge(table: &Table, snapshot: &Snapshot) {
    for (kind, slots) in [(Kind::Hard, &snapshot.hard), (Kind::Soft, &snapshot.soft)] {
        let all = slots
            .slots
            .iter()
            .copied()
            .zip(0..)
            .chain([(slots.all, ALL)]);
        for (position, slot) in all.filter(|(position, _)| *position > 0) {
            table.raise(&[Name::slot(kind, slot)], Position::from_redis(position));
        }
    }
    for (name, position) in &snapshot.patterns {
        table.raise(std::slice::from_ref(name), Position::from_redis(*position));
    }
    table.advance(Position::from_redis(snapshot.counter));
}
