//! Which stored answers are dead: a table of positions, one slot a hashed name, and the log that moves it.
//!
//! A purge takes the next position and writes it into the slots of what it names: O(1), however much is stored. An
//! entry carries the position at which its *request began*, and is dead if one of its slots stands higher. So a slow
//! handler that read old data cannot store it after the purge. Two names in one slot only over-invalidate.
//!
//! Among several instances Redis gives the positions. The rules, and where each is kept:
//!
//! | | rule | in |
//! |---|---|---|
//! | 1 | a position is above the counter and the caller's highest, and at least the time | the script |
//! | 2 | `redis << 12 \| local`; L2 stamps drop `local`; full, it borrows from Redis and purges everything | [`position`], [`Log::purge`] |
//! | 3 | positions come in Stream order or by a table read, never by a reply; a stamp is the position at the begin | [`Log::accepted`], [`Table::now`] |
//! | 4 | a purge is pending, and L2 unread, until its record is read back; passed or silent, it is sent again | [`Log::record`], [`Log::heartbeat`] |
//! | 5 | an entry from L2 gets the lower of its stamp and the request's begin | [`Position::imported`] |
//! | 6 | a fill from cached values takes their lowest stamp and all their tags | `Origin::is_made_from`, for rows of cached queries |
//! | 7 | cursor and table by one script, which lifts the counter; merged by maximum; what is lost there is purged again | [`Log::snapshot`] |
//! | 8 | a record names the one before it, a heartbeat the last one; else rule 7 | [`Log::record`], [`Log::heartbeat`] |
//! | 9 | a client's token is satisfied by slots, not by the position | [`Table::has_reached`] |
//! | 10 | a missing header is made with `all` at a new position | the script |
//! | 11 | every hit, import and hand-over looks at that moment | [`Table::life`] |
//! | 12 | slots only rise | [`Table::raise`] |
//! | 13 | hard and soft purges share the counter, in separate tables | [`Table`] |
//!
//! They are explored as a whole in `model`, where each rule is also taken out to see that its fault is found.

#[cfg(all(test, pitcrew_loom))]
mod interleavings;
#[cfg_attr(
    not(any(test, feature = "redis")),
    expect(dead_code, reason = "there is no cluster without Redis")
)]
mod log;
#[cfg(test)]
mod model;
mod name;
mod patterns;
#[cfg_attr(
    not(any(test, feature = "redis")),
    expect(dead_code, reason = "there is no cluster without Redis")
)]
mod position;
mod refused;
#[cfg_attr(
    not(any(test, feature = "redis")),
    expect(dead_code, reason = "there is no cluster without Redis")
)]
mod table;

use std::{sync::PoisonError, time::Duration};

pub(super) use self::{
    log::{Action, Command, Log},
    name::{
        ALL, Kind, Name, Target, asked_slot, group_slot, path_slot, region_slot, tag_slot,
        target_slot,
    },
    patterns::Subject,
    position::Position,
    table::{Life, Table},
};
#[cfg(feature = "redis")]
pub(super) use self::{
    log::{Record, Snapshot},
    name::{SLOT_HASH_KEY, SLOTS},
    patterns::{MAX_PATTERNS, Pattern},
    table::Slots,
};
pub use self::{
    name::{MAX_PATTERN_BYTES, Purge, PurgeReport, PurgeState},
    refused::PurgeError,
};
use super::sync::Mutex;

fn sent(actions: Vec<Action>) -> Vec<Command> {
    let commands = actions.into_iter().filter_map(|action| match action {
        Action::Send(command) => Some(command),
        Action::ReadTable(_) | Action::Follow(_) => None,
    });
    commands.collect()
}

/// The table of this instance, and the log under the lock of its writers.
pub(super) struct Invalidation {
    table: Table,
    log: Mutex<Log>,
    /// How long an answer is served without news of others' purges.
    serve_while_away: Duration,
}

impl Invalidation {
    pub(super) fn alone() -> Self {
        Self {
            table: Table::new(),
            log: Mutex::new(Log::alone()),
            serve_while_away: Duration::MAX,
        }
    }

    #[cfg(feature = "redis")]
    pub(super) fn in_cluster(instance: u64, serve_while_away: Duration) -> Self {
        Self {
            table: Table::new(),
            log: Mutex::new(Log::in_cluster(instance)),
            serve_while_away,
        }
    }

    #[cfg(all(test, pitcrew_loom))]
    pub(super) fn small() -> Self {
        Self {
            table: Table::with_bounds(1, 1),
            log: Mutex::new(Log::alone()),
            serve_while_away: Duration::MAX,
        }
    }

    /// The position now: what a request that begins here stamps its entry with.
    pub(super) fn now(&self) -> Position {
        self.table.now()
    }

    /// Makes every entry that is named, and whose request began before this call, dead or stale. Redis is to be told
    /// what this answers; without one that is nothing.
    ///
    /// A request that begins meanwhile may read the new position; it began after the purge was called, so what it
    /// reads is new.
    pub(super) fn purge(&self, names: Vec<Name>) -> Vec<Command> {
        sent(self.tell(|log, table| log.purge(table, names)))
    }

    /// A purge by a request that began at `begun`, and the stamp of its own answer, which shows what it has changed; none where
    /// what names the answer was purged since by others, of whose changes it may show nothing. In one step, or another purge
    /// could come between look and stamp.
    pub(super) fn purge_by(
        &self,
        names: Vec<Name>,
        begun: Position,
        answer: Subject<'_>,
    ) -> (Vec<Command>, Option<Position>) {
        let (actions, stamp) = self.tell(|log, table| {
            let is_alive = table.life(begun, answer) == Life::Fresh;
            let actions = log.purge(table, names);
            (actions, is_alive.then(|| table.now()))
        });
        (sent(actions), stamp)
    }

    /// Whether no purge has named it since, be it a soft one.
    pub(super) fn is_untouched(&self, since: Position, subject: Subject<'_>) -> bool {
        self.table.life(since, subject) == Life::Fresh
    }

    /// Tells the log an event; answers what is to be done.
    pub(super) fn tell<T>(&self, event: impl FnOnce(&mut Log, &Table) -> T) -> T {
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        event(&mut log, &self.table)
    }

    /// What has become of an entry that began at `stamp` and was made at `made`. Dead is also one that may have been purged
    /// unheard for too long.
    pub(super) fn life(
        &self,
        stamp: Position,
        subject: Subject<'_>,
        made: Duration,
        now: Duration,
    ) -> Life {
        match self.table.life(stamp, subject) {
            life if self.table.vouches_for(made, now, self.serve_while_away) => life,
            _ => Life::Dead,
        }
    }

    /// Whether it is a purge that an entry is dead of, and not that others' purges cannot be heard.
    pub(super) fn is_purged(&self, stamp: Position, subject: Subject<'_>) -> bool {
        self.table.life(stamp, subject) == Life::Dead
    }

    pub(super) fn undecided_patterns(&self) -> u64 {
        self.table.undecided_patterns()
    }

    /// The purges of this instance that were not read back yet.
    #[cfg(feature = "redis")]
    pub(super) fn pending(&self) -> u64 {
        self.table.pending()
    }

    #[cfg(feature = "redis")]
    pub(super) fn serve_while_away(&self) -> Duration {
        self.serve_while_away
    }

    /// Whether this instance has applied the purges that a client has seen (rule 9).
    #[cfg(feature = "redis")]
    pub(super) fn has_reached(&self, purges: &[(u32, u64)]) -> bool {
        self.table.has_reached(purges)
    }

    /// The position, as Redis counts, of the last hard purge of a slot.
    #[cfg(feature = "redis")]
    pub(super) fn purged_at(&self, slot: u32) -> u64 {
        self.table.at(Kind::Hard, slot).redis()
    }

    /// Whether a purge of this instance is confirmed.
    #[cfg(feature = "redis")]
    pub(super) fn is_done(&self, number: u64) -> bool {
        self.tell(|log, _| log.is_done(number))
    }

    /// Whether what is stored now must stay in this process.
    #[cfg(feature = "redis")]
    pub(super) fn is_borrowing(&self) -> bool {
        self.table.is_borrowing()
    }

    /// Whether L2 may be read by a request that has read its position.
    #[cfg(feature = "redis")]
    pub(super) fn reads_l2(&self, now: Duration) -> bool {
        self.table.reads_l2(now)
    }

    #[cfg(feature = "redis")]
    pub(super) fn is_connected(&self, now: Duration) -> bool {
        self.table.is_connected(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alive(positions: &Invalidation, stamp: Position, slots: &[u32]) -> bool {
        let checked = std::sync::atomic::AtomicU64::new(0);
        let subject = Subject {
            slots,
            target: "/",
            checked: &checked,
        };
        positions.life(stamp, subject, Duration::ZERO, Duration::ZERO) != Life::Dead
    }

    fn purge(positions: &Invalidation, target: Target) {
        let kind = Kind::Hard;
        positions.purge(vec![Name { kind, target }]);
    }

    #[test]
    fn an_entry_whose_request_began_before_the_purge_is_dead_and_one_after_lives() {
        let positions = Invalidation::alone();
        let slots = [path_slot("/a"), region_slot("api")];
        let before = positions.now();
        assert!(alive(&positions, before, &slots));
        purge(&positions, Purge::Path("/a?x=1".into()).target());
        assert!(!alive(&positions, before, &slots));
        assert!(alive(&positions, positions.now(), &slots));
    }

    #[test]
    fn a_purge_of_all_kills_entries_without_slots() {
        let positions = Invalidation::alone();
        let before = positions.now();
        purge(&positions, Target::Slot(ALL));
        assert!(!alive(&positions, before, &[]));
    }

    #[test]
    fn a_purge_of_more_names_than_a_script_takes_is_one_of_everything() {
        let (table, mut log) = (Table::new(), Log::in_cluster(1));
        let names = (0..3_000).map(|slot| Name::slot(Kind::Hard, slot));
        let actions = log.purge(&table, names.collect());
        let [Action::Send(command)] = actions.as_slice() else {
            panic!("{actions:?}")
        };
        assert_eq!(command.names, [Name::ALL]);
    }

    #[test]
    fn another_name_is_left_alone() {
        let positions = Invalidation::alone();
        let before = positions.now();
        purge(&positions, Target::Slot(tag_slot("orders")));
        assert!(alive(
            &positions,
            before,
            &[tag_slot("parts"), path_slot("/orders")]
        ));
    }
}
