//! The table of one instance: what requests look at, without a lock, while one writer moves it.
//!
//! The writer (whoever holds the log) goes in the order *pending, slots, position*; a request reads its position first.
//! So who sees a position sees all that was written before it: the slots, and that L2 must not be read.

use std::{
    sync::atomic::Ordering::{Acquire, Relaxed, Release},
    time::Duration,
};

use super::{
    name::{ALL, Kind, Name, SLOTS, Target},
    patterns::{Live, MAX_PATTERNS, Patterns, Subject},
    position::Position,
};
use crate::cache::sync::AtomicU64;

/// How long an instance counts as connected after Redis was asked and has answered: three heartbeats.
pub(in crate::cache) const LEASE: Duration = Duration::from_secs(3);

/// What has become of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cache) enum Life {
    Fresh,
    /// Purged softly: may be served while somebody fetches anew.
    Stale,
    Dead,
}

/// A copy of one table of slots.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(in crate::cache) struct Slots {
    pub(in crate::cache) all: u64,
    pub(in crate::cache) slots: Vec<u64>,
}

/// One table of slots. A value is a position's bits.
struct Column {
    all: AtomicU64,
    slots: Box<[AtomicU64]>,
}

impl Column {
    fn new(size: usize) -> Self {
        Self {
            all: AtomicU64::new(0),
            slots: (0..size).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    fn cell(&self, slot: u32) -> Option<&AtomicU64> {
        if slot == ALL {
            Some(&self.all)
        } else {
            self.slots.get(slot as usize)
        }
    }

    fn at(&self, slot: u32) -> Position {
        let cell = self.cell(slot);
        // A slot that is not in the table belongs to a table of another size: nothing is known of it.
        cell.map_or(Position::from_bits(u64::MAX), |cell| {
            Position::from_bits(cell.load(Acquire))
        })
    }

    /// Slots only rise (rule 12). There is one writer, so reading and writing need not be one step.
    fn raise(&self, slot: u32, to: Position) {
        if let Some(cell) = self.cell(slot)
            && cell.load(Relaxed) < to.bits()
        {
            cell.store(to.bits(), Release);
        }
    }

    fn stands_higher(&self, stamp: Position, slots: &[u32]) -> bool {
        self.at(ALL) > stamp || slots.iter().any(|slot| self.at(*slot) > stamp)
    }
}

/// Positions of this instance.
pub(in crate::cache) struct Table {
    position: AtomicU64,
    /// Purges whose record was not read back yet; as long as there are any, nothing is read from L2 (rule 4).
    pending: AtomicU64,
    /// 1 while positions are in use that Redis may give to others' purges.
    borrowing: AtomicU64,
    /// Monotonic nanoseconds until which this instance counts as connected; 0 when it is not.
    lease: AtomicU64,
    /// When the last answer was asked for that made it so.
    heard: AtomicU64,
    hard: Column,
    /// Soft purges share the counter and have a table of their own (rule 13).
    soft: Column,
    patterns: Patterns,
}

impl Table {
    pub(super) fn new() -> Self {
        Self::with_bounds(SLOTS, MAX_PATTERNS)
    }

    pub(super) fn with_bounds(slots: usize, patterns: usize) -> Self {
        Self {
            position: AtomicU64::new(0),
            pending: AtomicU64::new(0),
            borrowing: AtomicU64::new(0),
            lease: AtomicU64::new(0),
            heard: AtomicU64::new(0),
            hard: Column::new(slots),
            soft: Column::new(slots),
            patterns: Patterns::new(patterns),
        }
    }

    // What requests look at

    /// The position now: what a request that begins here stamps its entry with (rule 3).
    pub(in crate::cache) fn now(&self) -> Position {
        Position::from_bits(self.position.load(Acquire))
    }

    /// Whether an entry that began at `stamp` is dead, stale or fresh at this moment (rule 11).
    pub(in crate::cache) fn life(&self, stamp: Position, subject: Subject<'_>) -> Life {
        if self.hard.stands_higher(stamp, subject.slots) {
            return Life::Dead;
        }
        match self.patterns.strictest(stamp, subject) {
            Some(Kind::Hard) => Life::Dead,
            Some(Kind::Soft) => Life::Stale,
            None if self.soft.stands_higher(stamp, subject.slots) => Life::Stale,
            None => Life::Fresh,
        }
    }

    /// Whether L2 may be read. A request asks after it has read its position.
    pub(in crate::cache) fn reads_l2(&self, now: Duration) -> bool {
        self.pending() == 0 && self.is_connected(now)
    }

    /// Whether an answer of Redis is recent enough. A lease, because a process that was stopped, a runtime that died and
    /// a connection that is half open notice nothing by themselves.
    pub(in crate::cache) fn is_connected(&self, now: Duration) -> bool {
        nanos(now) < self.lease.load(Acquire)
    }

    /// Whether an answer made at `made` is safe from purges that went unheard for more than `longest`.
    pub(in crate::cache) fn vouches_for(
        &self,
        made: Duration,
        now: Duration,
        longest: Duration,
    ) -> bool {
        let heard = Duration::from_nanos(self.heard.load(Acquire));
        self.is_connected(now) || now < made.max(heard).saturating_add(longest)
    }

    /// Whether this instance has applied the purges that a client has seen (rule 9). By slot, not by position: after a
    /// fail-over a position may stand beyond a purge that is lost.
    pub(in crate::cache) fn has_reached(&self, purges: &[(u32, u64)]) -> bool {
        purges.iter().all(|(slot, redis)| {
            self.hard.at(*slot).max(self.hard.at(ALL)) >= Position::from_redis(*redis)
        })
    }

    /// Times that it was not known whether a pattern names an entry, which then counted as purged.
    pub(in crate::cache) fn undecided_patterns(&self) -> u64 {
        self.patterns.undecided()
    }

    /// Whether what is stored now must stay in this process: its stamp would mean something else to others (rule 2).
    pub(in crate::cache) fn is_borrowing(&self) -> bool {
        self.borrowing.load(Acquire) != 0
    }

    // What the writer does

    pub(super) fn set_borrowing(&self, is_borrowing: bool) {
        self.borrowing.store(u64::from(is_borrowing), Release);
    }

    pub(super) fn set_pending(&self, count: usize) {
        self.pending.store(count as u64, Release);
    }

    /// Raises what is named; a pattern that has to go for it raises its region.
    pub(super) fn raise(&self, names: &[Name], to: Position) {
        for Name { kind, target } in names {
            match target {
                Target::Slot(slot) => self.column(*kind).raise(*slot, to),
                Target::Pattern(pattern) => {
                    if let Some(gone) = self.patterns.raise(*kind, pattern, to) {
                        self.column(gone.kind)
                            .raise(gone.pattern.region, gone.position);
                    }
                }
            }
        }
    }

    /// The position never goes back (rule 7).
    pub(super) fn advance(&self, to: Position) {
        if self.now() < to {
            self.position.store(to.bits(), Release);
        }
    }

    /// Redis has told all that it knew at `asked`.
    pub(super) fn heard(&self, asked: Duration) {
        self.heard.store(nanos(asked), Release);
        self.lease.store(nanos(asked + LEASE), Release);
    }

    pub(super) fn disconnected(&self) {
        self.lease.store(0, Release);
    }

    pub(in crate::cache) fn pending(&self) -> u64 {
        self.pending.load(Acquire)
    }

    pub(super) fn at(&self, kind: Kind, slot: u32) -> Position {
        self.column(kind).at(slot)
    }

    /// The slots that there are, but for [`ALL`].
    pub(super) fn slots(&self) -> std::ops::Range<u32> {
        0..self.hard.slots.len() as u32
    }

    pub(super) fn patterns(&self) -> impl Iterator<Item = Live> + use<> {
        let list = self.patterns.list();
        (0..list.len()).map(move |at| list[at].clone())
    }

    fn column(&self, kind: Kind) -> &Column {
        match kind {
            Kind::Hard => &self.hard,
            Kind::Soft => &self.soft,
        }
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// For the model, which holds many worlds and compares them.
#[cfg(test)]
impl Table {
    pub(super) fn dump(&self) -> (Vec<u64>, Vec<Live>) {
        let columns = [&self.hard, &self.soft];
        let columns = columns
            .iter()
            .flat_map(|column| column.slots.iter().chain([&column.all]));
        let own = [&self.position, &self.pending, &self.borrowing, &self.lease];
        let numbers = columns.chain(own).map(|number| number.load(Relaxed));
        (numbers.collect(), self.patterns().collect())
    }

    pub(super) fn copy(&self) -> Self {
        let cell = |cell: &AtomicU64| AtomicU64::new(cell.load(Relaxed));
        let column = |column: &Column| Column {
            all: cell(&column.all),
            slots: column.slots.iter().map(cell).collect(),
        };
        Self {
            position: cell(&self.position),
            pending: cell(&self.pending),
            borrowing: cell(&self.borrowing),
            lease: cell(&self.lease),
            heard: cell(&self.heard),
            hard: column(&self.hard),
            soft: column(&self.soft),
            patterns: self.patterns.copy(),
        }
    }

    /// Breaks rule 12.
    pub(super) fn force(&self, kind: Kind, slot: u32, to: Position) {
        if let Some(cell) = self.column(kind).cell(slot) {
            cell.store(to.bits(), Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn life(table: &Table, stamp: Position, slots: &[u32]) -> Life {
        let checked = std::sync::atomic::AtomicU64::new(0);
        let subject = Subject {
            slots,
            target: "/",
            checked: &checked,
        };
        table.life(stamp, subject)
    }

    #[test]
    fn a_slot_of_a_larger_table_counts_as_purged() {
        let table = Table::with_bounds(4, 4);
        assert_eq!(life(&table, table.now(), &[3]), Life::Fresh);
        assert_eq!(life(&table, table.now(), &[4]), Life::Dead);
    }

    #[test]
    fn without_news_an_answer_is_good_for_a_while_from_then_or_from_when_it_was_made() {
        let table = Table::with_bounds(4, 4);
        let seconds = Duration::from_secs;
        let vouches = |made, now| table.vouches_for(seconds(made), seconds(now), seconds(30));
        assert!(vouches(5, 34) && !vouches(5, 35));
        table.heard(seconds(100));
        assert!(vouches(5, 102), "connected");
        assert!(vouches(5, 129) && !vouches(5, 130), "silent since");
        table.disconnected();
        assert!(vouches(5, 129) && !vouches(5, 130));
        assert!(vouches(110, 139) && !vouches(110, 140));
    }

    #[test]
    fn soft_is_stale_and_hard_is_dead() {
        let table = Table::with_bounds(4, 4);
        let stamp = table.now();
        table.raise(&[Name::slot(Kind::Soft, 1)], Position::from_redis(1));
        assert_eq!(life(&table, stamp, &[0]), Life::Fresh);
        assert_eq!(life(&table, stamp, &[1]), Life::Stale);
        table.raise(&[Name::slot(Kind::Hard, 1)], Position::from_redis(1));
        assert_eq!(life(&table, stamp, &[1]), Life::Dead);
    }
}
