//! [`LatencyHandle`]: reads what a layer records.

use std::{fmt, sync::Arc, time::Duration};

use serde::Serialize;

use super::{recorder::shared::Shared, snapshot::LatencySnapshot};

/// How many requests there were and are, of all series together; see [`LatencyHandle::counts`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LatencyCounts {
    /// Requests that ended, in whatever way, as [`LatencySnapshot::requests`].
    pub requests: u64,
    /// Requests whose body has neither ended nor been dropped.
    pub in_flight: u64,
}

/// Reads what a [`LatencyLayer`](super::LatencyLayer) has recorded. Cheap to clone.
///
/// The figures live as long as a handle does: once the last is dropped nobody can read them, and nothing is measured any more.
#[derive(Clone)]
pub struct LatencyHandle {
    pub(super) shared: Arc<Shared>,
}

impl LatencyHandle {
    /// All series at this moment; with more than [`EXACT_CELLS`](super::EXACT_CELLS) (series times threads) at most
    /// [`SNAPSHOT_AGE`](super::SNAPSHOT_AGE) ago, so that it costs a copy of the rows.
    #[must_use]
    pub fn snapshot(&self) -> LatencySnapshot {
        self.shared.snapshot()
    }

    /// How many requests there were, at most two [`FOLD_INTERVAL`](super::FOLD_INTERVAL)s ago, and how many are under way: what a
    /// [`snapshot`](Self::snapshot) of hundreds of series is too dear for.
    #[must_use]
    pub fn counts(&self) -> LatencyCounts {
        self.shared.counts()
    }

    /// [`LatencySnapshot::prometheus`] of [`snapshot`](Self::snapshot).
    #[must_use]
    pub fn prometheus(&self) -> String {
        self.snapshot().prometheus()
    }

    /// [`LatencySnapshot::openmetrics`] of [`snapshot`](Self::snapshot).
    #[must_use]
    pub fn openmetrics(&self) -> String {
        self.snapshot().openmetrics()
    }

    /// Takes in now what all threads have recorded; the next [`snapshot`](Self::snapshot) is no older than this. A thread of the
    /// layer's does it each [`FOLD_INTERVAL`](super::FOLD_INTERVAL), but not with a manual clock: what ends there is counted in
    /// the time at which the last of it ended, so a test of windows folds before it moves the clock on.
    pub fn fold(&self) {
        self.shared.fold();
    }

    /// Ends the thread that folds in the background and waits for that, `deadline` at most. Whether it has ended; where none
    /// ran, it has. Blocks this thread, as a rule for less than a millisecond.
    ///
    /// Requests are counted all the same, and whoever asks for a snapshot folds; rates and windows are as exact as that is often.
    pub fn shutdown(&self, deadline: Duration) -> bool {
        self.shared.folder().end();
        self.shared.folder().join(deadline)
    }
}

impl fmt::Debug for LatencyHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LatencyHandle").finish_non_exhaustive()
    }
}
