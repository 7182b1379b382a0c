//! Which stored answers are dead: a table of positions, one slot a hashed name.
//!
//! A purge takes the next position and writes it into the slots of what it names: O(1), however much is stored. An
//! entry carries the position at which its *request began*, and is dead if one of its slots stands higher. So a slow
//! handler that read old data cannot store it after the purge. Two names in one slot only over-invalidate.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;
use siphasher::sip::SipHasher13;

/// Slots in the table. 512 KiB.
pub(super) const SLOTS: usize = 65_536;
/// The slot of "all": kept out of the hashed ones.
pub(super) const ALL: u32 = SLOTS as u32;
/// Every instance must agree on slots, so the key of this hash is fixed. Whoever finds two names in one slot makes
/// more purged than was asked, never less.
const SLOT_HASH_KEY: (u64, u64) = (0x7069_7463_7265_7731, 0x736c_6f74_7300_0001);

/// What [`CacheHandle::purge`](super::CacheHandle::purge) removes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Purge {
    /// Every answer for this path, as the client asks for it (percent-encoding as sent), whatever host, query or
    /// variant.
    Path(String),
    /// Every answer of this region.
    Region(String),
    /// Every answer that carries this tag: from [`tag`](super::tag()) or from the response header `x-cache-tags`.
    Tag(String),
    /// Everything.
    All,
}

impl Purge {
    pub(super) fn slot(&self) -> u32 {
        match self {
            Self::Path(path) => path_slot(path.split(['?', '#']).next().unwrap_or(path)),
            Self::Region(region) => region_slot(region),
            Self::Tag(tag) => tag_slot(tag),
            Self::All => ALL,
        }
    }
}

/// How far a purge has come at one level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum PurgeState {
    /// No older answer is served from this level by this instance.
    Done,
    /// Redis could not be told yet. Until it is, this instance reads nothing from L2; it keeps trying.
    Pending,
    /// There is no such level.
    Off,
}

/// What a purge has reached when [`CacheHandle::purge`](super::CacheHandle::purge) returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PurgeReport {
    /// The cache in this process.
    pub local: PurgeState,
    /// The cache in Redis.
    pub l2: PurgeState,
}

pub(super) fn path_slot(path: &str) -> u32 {
    slot(b'p', path)
}

pub(super) fn region_slot(region: &str) -> u32 {
    slot(b'r', region)
}

pub(super) fn tag_slot(tag: &str) -> u32 {
    slot(b't', tag)
}

/// A group is one of an origin (RFC 9875, 2.1): two of one name under two hosts are apart.
pub(super) fn group_slot(host: &str, name: &str) -> u32 {
    slot(b'g', &format!("{}\n{name}", host.to_ascii_lowercase()))
}

fn slot(kind: u8, name: &str) -> u32 {
    use std::hash::Hasher;
    let mut hasher = SipHasher13::new_with_keys(SLOT_HASH_KEY.0, SLOT_HASH_KEY.1);
    hasher.write(&[kind]);
    hasher.write(name.as_bytes());
    (hasher.finish() % SLOTS as u64) as u32
}

/// This instance's positions.
pub(super) struct Positions {
    counter: AtomicU64,
    slots: Box<[AtomicU64]>,
}

impl Positions {
    pub(super) fn new() -> Self {
        Self {
            counter: AtomicU64::new(0),
            slots: (0..=SLOTS).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    /// The position now: what a request that begins here stamps its entry with.
    pub(super) fn now(&self) -> u64 {
        self.counter.load(Ordering::Acquire)
    }

    /// Kills every entry with this slot whose request began before this call.
    ///
    /// A request that begins between the two writes reads the new position; it began after the purge was called, so
    /// what it reads is new.
    pub(super) fn purge(&self, slot: u32) -> u64 {
        let position = self.counter.fetch_add(1, Ordering::AcqRel) + 1;
        if let Some(cell) = self.slots.get(slot as usize) {
            cell.fetch_max(position, Ordering::AcqRel);
        }
        position
    }

    /// Whether an entry that began at `stamp` is alive: none of its slots stands higher.
    pub(super) fn alive(&self, stamp: u64, slots: &[u32]) -> bool {
        let stands_higher = |slot: u32| {
            let cell = self.slots.get(slot as usize);
            cell.is_none_or(|cell| cell.load(Ordering::Acquire) > stamp)
        };
        !stands_higher(ALL) && !slots.iter().any(|slot| stands_higher(*slot))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_whose_request_began_before_the_purge_is_dead_and_one_after_lives() {
        let positions = Positions::new();
        let slots = [path_slot("/a"), region_slot("api")];
        let before = positions.now();
        assert!(positions.alive(before, &slots));
        positions.purge(Purge::Path("/a?x=1".into()).slot());
        assert!(!positions.alive(before, &slots));
        assert!(positions.alive(positions.now(), &slots));
    }

    #[test]
    fn a_purge_of_all_kills_entries_without_slots() {
        let positions = Positions::new();
        let before = positions.now();
        positions.purge(ALL);
        assert!(!positions.alive(before, &[]));
    }

    #[test]
    fn paths_regions_and_tags_of_one_name_are_apart() {
        let slots = [path_slot("x"), region_slot("x"), tag_slot("x")];
        assert!(slots[0] != slots[1] && slots[1] != slots[2] && slots[0] != slots[2]);
    }

    #[test]
    fn another_name_is_left_alone() {
        let positions = Positions::new();
        let before = positions.now();
        positions.purge(tag_slot("orders"));
        assert!(positions.alive(before, &[tag_slot("parts"), path_slot("/orders")]));
    }
}
