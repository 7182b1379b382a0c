//! One instance: the real log and table, its L1, its requests under way, and its connections.

use std::{
    collections::BTreeMap,
    hash::{Hash, Hasher},
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use super::{
    super::{
        log::{Action, Command, Log, Snapshot},
        name::Kind,
        patterns::Subject,
        position::Position,
        table::{LEASE, Life, Table},
    },
    Fault, INNER, KEYS, PATTERNS, SLOTS, Truth,
    server::Stored,
};

/// An entry in L1, or on its way there.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Entry {
    pub(super) versions: [u8; 2],
    pub(super) stamp: Position,
    pub(super) slots: &'static [u32],
    /// The generation of patterns up to which it was looked at.
    pub(super) checked: u64,
}

/// A request that fetches from the data itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Fill {
    pub(super) key: usize,
    pub(super) begin: Position,
    pub(super) fetched: Option<Entry>,
    /// Somebody waits for its answer.
    pub(super) awaited: bool,
}

/// A request that looks into L2.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Look {
    pub(super) key: usize,
    pub(super) begin: Position,
    pub(super) found: Stored,
}

/// The connection that follows the Stream.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Link {
    Away,
    Asked {
        highest: u64,
        asked: Duration,
    },
    Answered {
        snapshot: Snapshot,
        truth: Truth,
        asked: Duration,
    },
    Following(u64),
}

pub(super) struct Node {
    pub(super) log: Log,
    pub(super) table: Table,
    pub(super) now: Duration,
    pub(super) link: Link,
    /// Purges that are under way to Redis, by number; they may arrive at any time, or never.
    pub(super) sent: BTreeMap<u64, (Command, Truth)>,
    /// A purge and its position, under way from Redis.
    pub(super) reply: Option<(Command, u64)>,
    pub(super) l1: [Option<Entry>; KEYS],
    pub(super) fill: Option<Fill>,
    /// An answer that a waiter has not taken yet.
    pub(super) handed: Option<(usize, Entry)>,
    pub(super) look: Option<Look>,
    /// A write to L2 that is under way.
    pub(super) write: Option<(usize, Stored)>,
    /// The purges that this instance has applied, or whose caller was told.
    pub(super) applied: Truth,
}

impl Node {
    pub(super) fn new(instance: u64) -> Self {
        Self {
            log: Log::in_cluster(instance),
            table: Table::with_bounds(SLOTS, PATTERNS),
            now: Duration::ZERO,
            link: Link::Away,
            sent: BTreeMap::new(),
            reply: None,
            l1: [const { None }; KEYS],
            fill: None,
            handed: None,
            look: None,
            write: None,
            applied: Truth::default(),
        }
    }

    /// Does what the log asks for.
    pub(super) fn run(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Send(command) => {
                    let truth = self.applied.of(&command.names);
                    // A copy that is under way already may arrive at any time; a second one shows nothing new.
                    self.sent.entry(command.number).or_insert((command, truth));
                }
                Action::ReadTable(highest) => {
                    self.link = Link::Asked {
                        highest,
                        asked: self.now,
                    };
                }
                Action::Follow(after) => self.link = Link::Following(after),
            }
        }
    }

    /// The table's verdict on an entry at this moment.
    pub(super) fn life(&self, key: usize, entry: &Entry) -> (Life, u64) {
        let checked = AtomicU64::new(entry.checked);
        let subject = Subject {
            slots: entry.slots,
            target: ["inner", "outer"][key],
            checked: &checked,
        };
        let life = self.table.life(entry.stamp, subject);
        (life, checked.load(Ordering::Relaxed))
    }

    /// An entry of L2 as this instance takes it (rule 5).
    pub(super) fn import(&self, stored: &Stored, begin: Position, fault: Option<Fault>) -> Entry {
        let stamp = match fault {
            Some(Fault::ImportedAsBegun) => begin,
            Some(Fault::ImportedAsStamped) => Position::from_redis(stored.stamp),
            _ => Position::imported(stored.stamp, begin),
        };
        Entry {
            versions: stored.versions,
            stamp,
            slots: stored.slots,
            checked: 0,
        }
    }

    /// Whether serving an entry now would show something older than a purge that this instance has applied.
    pub(super) fn is_wrong(&self, key: usize, entry: &Entry, life: Life) -> bool {
        self.is_older(key, entry, life, self.applied)
    }

    pub(super) fn is_older(&self, key: usize, entry: &Entry, life: Life, truth: Truth) -> bool {
        // The inner answer shows the first datum, the outer one both.
        let shown = if key == INNER { 0..1 } else { 0..2 };
        let older = |than: [u8; 2]| shown.clone().any(|at| entry.versions[at] < than[at]);
        match life {
            Life::Dead => false,
            Life::Stale => older(truth.hard),
            Life::Fresh => older(truth.hard) || older(truth.soft),
        }
    }

    pub(super) fn lapse(&mut self) {
        self.now += LEASE;
    }

    /// Rule 12, broken: the table of Redis, whatever stands here.
    pub(super) fn force(&self, snapshot: &Snapshot) {
        for (slot, position) in (0..).zip(&snapshot.hard.slots) {
            self.table
                .force(Kind::Hard, slot, Position::from_redis(*position));
        }
    }
}

impl Clone for Node {
    fn clone(&self) -> Self {
        Self {
            log: self.log.clone(),
            table: self.table.copy(),
            now: self.now,
            link: self.link.clone(),
            sent: self.sent.clone(),
            reply: self.reply.clone(),
            l1: self.l1.clone(),
            fill: self.fill.clone(),
            handed: self.handed.clone(),
            look: self.look.clone(),
            write: self.write.clone(),
            applied: self.applied,
        }
    }
}

impl Hash for Node {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.table.dump().hash(state);
        (&self.log, self.now, &self.link, &self.sent, &self.reply).hash(state);
        (&self.l1, &self.fill, &self.handed, &self.look).hash(state);
        (&self.write, self.applied).hash(state);
    }
}
