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
    label::RouteText,
    owners::with_owner,
    record::{Begun, Record},
    registry::Registry,
    room::Room,
    slot::Owner,
    slots::Slots,
};
use crate::{clock::Clock, route::Labeler};

/// Bytes that the parts of all threads take at most: cells, chunks of counts, labels.
pub const RECORDER_BYTES: usize = 16 << 20;

/// What a layer is built from.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) clock: Clock,
    pub(crate) labeler: Labeler,
    pub(crate) max_series: usize,
    pub(crate) verdicts: Verdicts,
}

pub(crate) struct Shared {
    this: Weak<Self>,
    clock: Clock,
    labeler: Labeler,
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
            registry: Registry::new(settings.max_series),
            slots: Slots::new(),
            room: Room::new(RECORDER_BYTES),
            accounts: Arc::new(Accounts::new(
                settings.clock.clone(),
                settings.verdicts.repeated_times(),
            )),
            ledger: Mutex::new(Ledger::new(
                settings.clock.nanos(),
                settings.verdicts.tracker(),
            )),
            verdicts: settings.verdicts,
            clock: settings.clock,
            labeler: settings.labeler,
        })
    }

    pub(crate) fn labeler(&self) -> &Labeler {
        &self.labeler
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
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

    /// A request has come.
    #[inline]
    pub(crate) fn begin(&self, text: RouteText<'_>, begun: Begun) -> Option<Record> {
        let (home, route) = with_owner(
            self,
            || self.this.upgrade(),
            |owner| {
                let route = owner.route(text, self);
                owner.begin(route);
                (owner.slot().clone(), route)
            },
        )?;
        Some(Record::new(home, route, begun))
    }

    pub(super) fn take_slot(&self) -> Option<Owner> {
        self.slots
            .take(&self.this, &self.clock, &self.accounts, &self.room)
    }

    pub(super) fn with_common<T>(&self, act: impl FnOnce(&mut Owner) -> T) -> T {
        self.slots
            .with_common(&self.this, &self.clock, &self.accounts, act)
    }

    pub(crate) fn accounts(&self) -> &Accounts {
        &self.accounts
    }

    pub(crate) fn verdicts(&self) -> &Verdicts {
        &self.verdicts
    }

    /// Takes in what has been recorded since the last time.
    pub(crate) fn fold(&self) {
        lock(&self.ledger).fold(self);
        self.accounts.fold();
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

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}
