//! Purges that Redis has not confirmed yet.

use std::{
    collections::HashMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use crate::cache::invalidation::ALL;

/// Slots that wait at most. Past that everything is purged: more than was asked, never less.
const MAX_PENDING: usize = 4_096;

#[derive(Default)]
pub(super) struct Purges {
    /// Slot, and the number of the purge that put it there last.
    slots: Mutex<HashMap<u32, u64>>,
    next: AtomicU64,
    count: AtomicUsize,
}

impl Purges {
    /// From here on nothing is read from L2, until Redis has confirmed.
    pub(super) fn add(&self, slot: u32) {
        let mut slots = self.slots();
        let number = self.next.fetch_add(1, Ordering::AcqRel);
        if slots.len() >= MAX_PENDING {
            slots.clear();
            slots.insert(ALL, number);
        } else {
            slots.insert(slot, number);
        }
        self.count.store(slots.len(), Ordering::Release);
    }

    /// What waits now.
    pub(super) fn all(&self) -> Vec<(u32, u64)> {
        self.slots()
            .iter()
            .map(|(slot, number)| (*slot, *number))
            .collect()
    }

    /// Redis has confirmed these. One that was asked for again meanwhile goes on waiting.
    pub(super) fn confirm(&self, confirmed: &[(u32, u64)]) {
        let mut slots = self.slots();
        for (slot, number) in confirmed {
            if slots.get(slot) == Some(number) {
                slots.remove(slot);
            }
        }
        self.count.store(slots.len(), Ordering::Release);
    }

    pub(super) fn count(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    fn slots(&self) -> MutexGuard<'_, HashMap<u32, u64>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_purge_asked_again_while_under_way_stays_pending() {
        let purges = Purges::default();
        purges.add(1);
        let under_way = purges.all();
        purges.add(1);
        purges.confirm(&under_way);
        assert_eq!(purges.count(), 1);
        purges.confirm(&purges.all());
        assert_eq!(purges.count(), 0);
    }

    #[test]
    fn too_many_become_all() {
        let purges = Purges::default();
        (0..=MAX_PENDING as u32).for_each(|slot| purges.add(slot));
        let all: Vec<u32> = purges.all().iter().map(|(slot, _)| *slot).collect();
        assert_eq!(all, [ALL]);
    }
}
