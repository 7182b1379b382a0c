//! [`Slots`]: which thread has which slot.

use std::sync::{Arc, Weak};

use super::{
    super::sync::{Mutex, lock},
    owner::Owner,
    owners::LayerId,
    room::Room,
    shared::Shared,
    slot::{Slot, slot_bytes},
};

/// Threads that have a slot of their own at one time. Those after them share one, behind a lock.
pub const MAX_THREADS: usize = 1_024;

/// The slots of one layer.
#[derive(Debug)]
pub(crate) struct Slots {
    exemplars: usize,
    state: Mutex<State>,
    /// For threads without a slot: too many at one time, or so near their end that they have no locals left.
    common: Mutex<Option<Owner>>,
}

#[derive(Debug, Default)]
struct State {
    all: Vec<Arc<Slot>>,
    /// Those whose thread has ended.
    free: Vec<Arc<Slot>>,
}

impl Slots {
    pub(crate) fn new(exemplars: usize) -> Self {
        Self {
            exemplars,
            state: Mutex::default(),
            common: Mutex::new(None),
        }
    }

    /// A slot for this thread, one that another left where there is one.
    pub(crate) fn take(&self, layer: LayerId, shared: &Weak<Shared>, room: &Room) -> Option<Owner> {
        let left = lock(&self.state).free.pop();
        let slot = match left {
            Some(slot) => slot,
            None => {
                let mut state = lock(&self.state);
                if state.all.len() >= MAX_THREADS || !room.take(slot_bytes(self.exemplars)) {
                    return None;
                }
                let slot = Arc::new(Slot::new(layer, shared.clone(), self.exemplars));
                state.all.push(slot.clone());
                slot
            }
        };
        Some(Owner::new(slot))
    }

    /// The thread has ended.
    pub(crate) fn give_back(&self, slot: Arc<Slot>) {
        lock(&self.state).free.push(slot);
    }

    /// Does something with the slot that threads without one share.
    pub(crate) fn with_common<T>(
        &self,
        layer: LayerId,
        shared: &Weak<Shared>,
        act: impl FnOnce(&mut Owner) -> T,
    ) -> T {
        let mut common = lock(&self.common);
        let owner = common.get_or_insert_with(|| {
            let slot = Arc::new(Slot::new(layer, shared.clone(), self.exemplars));
            lock(&self.state).all.push(slot.clone());
            Owner::common(slot)
        });
        act(owner)
    }

    /// Slots that came after the first `known`.
    pub(crate) fn after(&self, known: usize) -> Vec<Arc<Slot>> {
        lock(&self.state).all[known..].to_vec()
    }
}
