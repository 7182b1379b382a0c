//! [`Shared`]: what the layer, its services and its handle have together.

use std::{
    fmt,
    sync::{Arc, Weak},
};

use super::{
    super::{
        ledger::Ledger,
        segments::Accounts,
        slo::ObjectiveReport,
        snapshot::LatencySnapshot,
        sync::{Mutex, lock},
        verdicts::Verdicts,
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
    pub(crate) verdicts: Verdicts,
}

pub(crate) struct Shared {
    this: Weak<Self>,
    id: LayerId,
    clock: Clock,
    ticks: Ticks,
    registry: Registry,
    slots: Slots,
    room: Room,
    accounts: Arc<Accounts>,
    verdicts: Verdicts,
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
            accounts: Arc::new(Accounts::new(
                settings.clock.clone(),
                settings.verdicts.repeated_times(),
            )),
            ledger: Mutex::new(Ledger::new(
                settings.clock.now(),
                settings.verdicts.tracker(),
            )),
            verdicts: settings.verdicts,
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
        self.accounts.fold();
    }

    pub(crate) fn accounts(&self) -> &Arc<Accounts> {
        &self.accounts
    }

    pub(crate) fn verdicts(&self) -> &Verdicts {
        &self.verdicts
    }

    /// How all objectives stand.
    pub(crate) fn objectives(&self) -> Vec<ObjectiveReport> {
        let mut ledger = lock(&self.ledger);
        ledger.fold(self);
        ledger.objectives()
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
