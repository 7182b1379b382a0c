//! Answers that once differed from what the handler says: not stale yet, but to be looked at once more.

use std::{
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use crate::cache::{entry::Entry, truth::recompute::Digest};

/// Answers that wait for their second recomputation.
const MAX_SUSPECTS: usize = 64;
/// Least time between the two recomputations.
const GRACE: Duration = Duration::from_secs(1);

pub(in crate::cache) struct Suspect {
    /// Not kept alive for this.
    pub(in crate::cache) entry: Weak<Entry>,
    /// What the handler said.
    pub(in crate::cache) said: Digest,
    /// When, monotonic.
    pub(in crate::cache) at: Duration,
}

impl Suspect {
    fn is(&self, entry: &Arc<Entry>) -> bool {
        // The place of one that is gone is not given away as long as somebody points to it.
        std::ptr::eq(self.entry.as_ptr(), Arc::as_ptr(entry))
    }
}

/// What is suspected of an answer.
pub(in crate::cache) enum Known {
    Nothing,
    /// Something, less than [`GRACE`] ago.
    Young,
    Ripe(Suspect),
}

#[derive(Default)]
pub(in crate::cache) struct Suspects {
    all: Mutex<Vec<Suspect>>,
    /// How many, to be read without the lock.
    count: AtomicUsize,
    dropped: AtomicU64,
}

impl Suspects {
    /// A suspicion that is old enough is taken out: one recomputation follows it up, not several.
    pub(in crate::cache) fn known(&self, entry: &Arc<Entry>, now: Duration) -> Known {
        if self.count.load(Ordering::Acquire) == 0 {
            return Known::Nothing;
        }
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(at) = all.iter().position(|suspect| suspect.is(entry)) else {
            return Known::Nothing;
        };
        if now.saturating_sub(all[at].at) < GRACE {
            return Known::Young;
        }
        let suspect = all.swap_remove(at);
        self.count.store(all.len(), Ordering::Release);
        Known::Ripe(suspect)
    }

    pub(in crate::cache) fn add(&self, new: Suspect, now: Duration) {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MAX_SUSPECTS {
            // What is no longer served needs no second look.
            all.retain(|suspect| {
                let entry = suspect.entry.upgrade();
                entry.is_some_and(|entry| !entry.ttl(now).is_zero())
            });
        }
        if all.iter().any(|suspect| suspect.entry.ptr_eq(&new.entry)) {
            return;
        }
        if all.len() < MAX_SUSPECTS {
            all.push(new);
        } else {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        self.count.store(all.len(), Ordering::Release);
    }

    pub(in crate::cache) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}
