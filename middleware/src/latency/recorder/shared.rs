//! [`Shared`]: what the layer, its services and its handle have together.

use std::{
    fmt,
    sync::{Arc, Mutex as StdMutex, PoisonError, Weak},
    time::Duration,
};

use super::{
    super::{
        folder::{FOLD_INTERVAL, Folder},
        handle::LatencyCounts,
        ledger::Ledger,
        segments::Accounts,
        slo::ObjectiveReport,
        snapshot::LatencySnapshot,
        sync::{Mutex, lock},
        verdicts::Verdicts,
    },
    owner::Owner,
    owners::LayerId,
    registry::Registry,
    room::Room,
    slot::COMMON_BYTES,
    slots::Slots,
};
use crate::{clock::Clock, ticks::Ticks};

/// Bytes that the parts of all threads take at most: cells, chunks of counts, labels, candidates for exemplars, and what a fold remembers of the counts.
/// With [`LEDGER_BYTES`](super::super::LEDGER_BYTES) 28 MiB. Where it is used up, times count in coarse buckets, new routes and series in `overflow`, and
/// [`LatencySnapshot::dropped_room`] how often.
pub const RECORDER_BYTES: usize = 18 << 20;

/// Up to how many cells, which are series times the threads that met them, a snapshot is of the moment at which it is asked for.
/// Past that it may be [`SNAPSHOT_AGE`] old.
pub const EXACT_CELLS: usize = 1_024;

/// How old a snapshot may be.
pub const SNAPSHOT_AGE: Duration = Duration::from_secs(1);

/// For how long after the last snapshot the next one is kept ready.
const WANTED: Duration = Duration::from_secs(10);

/// What a layer is built from.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) clock: Clock,
    pub(crate) max_series: usize,
    pub(crate) verdicts: Verdicts,
    pub(crate) exemplars: usize,
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
    exemplars: usize,
    ledger: Mutex<Ledger>,
    folder: Folder,
    shown: StdMutex<Shown>,
}

/// The last snapshot.
#[derive(Debug, Default)]
struct Shown {
    snapshot: Option<(Duration, LatencySnapshot)>,
    /// When somebody last asked for one.
    asked: Option<Duration>,
}

impl Shared {
    pub(crate) fn new(settings: Settings) -> Arc<Self> {
        Arc::new_cyclic(|this| Self {
            this: this.clone(),
            id: LayerId::enlist(this),
            registry: Registry::new(settings.max_series),
            slots: Slots::new(settings.exemplars),
            room: Room::with_taken(RECORDER_BYTES, COMMON_BYTES),
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
            exemplars: settings.exemplars,
            folder: Folder::default(),
            shown: StdMutex::default(),
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

    pub(crate) fn exemplars(&self) -> usize {
        self.exemplars
    }

    pub(crate) fn folder(&self) -> &Folder {
        &self.folder
    }

    /// A thread has something to record for the first time.
    pub(super) fn take_slot(&self) -> Option<Owner> {
        // A manual clock's time passes for a test alone, which folds by itself.
        if self.ticks != Ticks::Manual {
            self.folder.start(self.this.clone());
        }
        self.slots.take(self.id, &self.this, &self.room)
    }

    pub(super) fn with_common<T>(&self, act: impl FnOnce(&mut Owner) -> T) -> T {
        self.slots.with_common(self.id, &self.this, act)
    }

    /// Takes in what has been recorded since the last time.
    pub(crate) fn fold(&self) {
        self.ticks.ask_again();
        lock(&self.ledger).fold(self);
        self.accounts.fold();
        self.shown().snapshot = None;
    }

    /// The same from the folder's thread, which also keeps a snapshot ready while somebody asks for them.
    pub(crate) fn fold_in_background(&self) {
        self.ticks.ask_again();
        let mut ledger = lock(&self.ledger);
        ledger.fold(self);
        self.accounts.fold();
        let now = self.clock.now();
        let asked = self.shown().asked;
        let is_wanted = asked.is_some_and(|asked| now.saturating_sub(asked) < WANTED);
        // None is kept for nobody.
        let snapshot =
            (is_wanted && ledger.cells() > EXACT_CELLS).then(|| (now, ledger.snapshot(self)));
        drop(ledger);
        self.shown().snapshot = snapshot;
    }

    fn shown(&self) -> std::sync::MutexGuard<'_, Shown> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
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

    pub(crate) fn counts(&self) -> LatencyCounts {
        let mut ledger = lock(&self.ledger);
        // Nobody folds by a manual clock, nor once that thread has ended.
        if self.ticks == Ticks::Manual || ledger.age(self) > 2 * FOLD_INTERVAL {
            ledger.fold(self);
        }
        ledger.counts()
    }

    pub(crate) fn snapshot(&self) -> LatencySnapshot {
        let now = self.clock.now();
        {
            let mut shown = self.shown();
            shown.asked = Some(now);
            if let Some((taken, snapshot)) = &shown.snapshot
                && now.saturating_sub(*taken) < SNAPSHOT_AGE
            {
                return snapshot.clone();
            }
        }
        let mut ledger = lock(&self.ledger);
        ledger.fold(self);
        let snapshot = ledger.snapshot(self);
        if ledger.cells() > EXACT_CELLS {
            drop(ledger);
            self.shown().snapshot = Some((now, snapshot.clone()));
        }
        snapshot
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
