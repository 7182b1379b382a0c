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
//! | 2 | `redis << 12 \| local`; L2 stamps drop `local`; full, nothing is stored | [`position`], [`Table::life`] |
//! | 3 | positions come in Stream order or by a table read, never by a reply; a stamp is the position at the begin | [`Log::accepted`], [`Table::now`] |
//! | 4 | a purge is pending, and L2 unread, until its record is read back; passed or silent, it is sent again | [`Log::record`], [`Log::heartbeat`] |
//! | 5 | an entry from L2 gets the lower of its stamp and the request's begin | [`Position::imported`] |
//! | 6 | a fill from cached values takes their lowest stamp and all their tags | whoever fills |
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
    not(test),
    expect(dead_code, reason = "what the cluster needs waits for its I/O")
)]
mod log;
#[cfg(test)]
mod model;
mod name;
mod patterns;
#[cfg_attr(
    not(test),
    expect(dead_code, reason = "what the cluster needs waits for its I/O")
)]
mod position;
#[cfg_attr(
    not(test),
    expect(dead_code, reason = "what the cluster needs waits for its I/O")
)]
mod table;

use std::sync::PoisonError;

pub(super) use self::name::ALL;
#[cfg(feature = "redis")]
pub(super) use self::name::SLOTS;
pub use self::name::{Purge, PurgeReport, PurgeState};
use self::{
    log::Log,
    name::{Kind, Name},
    table::{Life, Table},
};
pub(super) use self::{
    name::{group_slot, path_slot, region_slot, tag_slot},
    position::Position,
};
use super::sync::Mutex;

/// The table of this instance, and the log under the lock of its writers.
pub(super) struct Invalidation {
    table: Table,
    log: Mutex<Log>,
}

impl Invalidation {
    pub(super) fn alone() -> Self {
        Self {
            table: Table::new(),
            log: Mutex::new(Log::alone()),
        }
    }

    #[cfg(all(test, pitcrew_loom))]
    pub(super) fn small() -> Self {
        Self {
            table: Table::with_bounds(1, 1),
            log: Mutex::new(Log::alone()),
        }
    }

    /// The position now: what a request that begins here stamps its entry with.
    pub(super) fn now(&self) -> Position {
        self.table.now()
    }

    /// Kills every entry with this slot whose request began before this call.
    ///
    /// A request that begins meanwhile may read the new position; it began after the purge was called, so what it
    /// reads is new.
    pub(super) fn purge(&self, slot: u32) {
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        log.purge(&self.table, vec![Name::slot(Kind::Hard, slot)]);
    }

    /// Whether an entry that began at `stamp` is alive: none of its slots stands higher.
    pub(super) fn alive(&self, stamp: Position, slots: &[u32]) -> bool {
        self.table.life(stamp, slots, None) != Life::Dead
    }
}

#[cfg(test)]
mod tests {
    use super::{name::ALL, *};

    #[test]
    fn an_entry_whose_request_began_before_the_purge_is_dead_and_one_after_lives() {
        let positions = Invalidation::alone();
        let slots = [path_slot("/a"), region_slot("api")];
        let before = positions.now();
        assert!(positions.alive(before, &slots));
        positions.purge(Purge::Path("/a?x=1".into()).slot());
        assert!(!positions.alive(before, &slots));
        assert!(positions.alive(positions.now(), &slots));
    }

    #[test]
    fn a_purge_of_all_kills_entries_without_slots() {
        let positions = Invalidation::alone();
        let before = positions.now();
        positions.purge(ALL);
        assert!(!positions.alive(before, &[]));
    }

    #[test]
    fn another_name_is_left_alone() {
        let positions = Invalidation::alone();
        let before = positions.now();
        positions.purge(tag_slot("orders"));
        assert!(positions.alive(before, &[tag_slot("parts"), path_slot("/orders")]));
    }
}
