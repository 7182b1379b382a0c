//! [`Shared`]: what the layer, its services and its handle have together.

use std::{
    fmt,
    sync::{Arc, Weak},
};

use super::{
    super::{
        ledger::Ledger,
        slo::Tracker,
        snapshot::LatencySnapshot,
        sync::{Mutex, lock},
    },
    owners::LayerId,
    registry::Registry,
    room::Room,
    slot::Owner,
    slots::Slots,
};
use crate::clock::{Clock, Ticks};

/// Bytes that the parts of all threads take at most: cells, chunks of counts, labels.
pub const RECORDER_BYTES: usize = 16 << 20;

/// What a layer is built from.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) clock: Clock,
    pub(crate) max_series: usize,
}

pub(crate) struct Shared {
    this: Weak<Self>,
    id: LayerId,
    clock: Clock,
    ticks: Ticks,
    registry: Registry,
    slots: Slots,
    room: Room,
    ledger: Mutex<Ledger>,
}

impl Shared {
    pub(crate) fn new(settings: Settings) -> Arc<Self> {
        Arc::new_cyclic(|this| Self {
            this: this.clone(),
            id: LayerId::enlist(this),
            registry: Registry::new(settings.max_series),
            slots: Slots::new(),
            room: Room::new(RECORDER_BYTES),
            ledger: Mutex::new(Ledger::new(settings.clock.now())),
            ticks: Ticks::of(&settings.clock),
            clock: settings.clock,
        })
    }

    pub(crate) fn id(&self) -> LayerId {
        self.id
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    pub(crate) fn ticks(&self) -> Ticks {
        self.ticks
    }

    pub(crate) fn registry(&self) -> &Registry {
        &self.registry
    }

    pub(crate) fn slots(&self) -> &Slots {
        &self.slots
    }

    pub(crate) fn room(&self) -> &Room {
        &self.room
    }

    pub(super) fn take_slot(&self) -> Option<Owner> {
        self.slots.take(self.id, &self.this, &self.room)
    }

    pub(super) fn with_common<T>(&self, act: impl FnOnce(&mut Owner) -> T) -> T {
        self.slots.with_common(self.id, &self.this, act)
    }

    /// Takes in what has been recorded since the last time.
    pub(crate) fn fold(&self) {
        lock(&self.ledger).fold(self);
    }

    /// Looks at objectives and verdicts, between two folds.
    pub(crate) fn with_tracker<T>(&self, act: impl FnOnce(&mut Tracker) -> T) -> T {
        act(lock(&self.ledger).tracker())
    }

    pub(crate) fn snapshot(&self) -> LatencySnapshot {
        let mut ledger = lock(&self.ledger);
        ledger.fold(self);
        ledger.snapshot(self)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.id.strike_off();
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}
