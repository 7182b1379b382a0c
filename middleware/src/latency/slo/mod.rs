//! Objectives and verdicts, fed by what each fold finds.

use std::time::Duration;

use super::difference::Difference;

/// Sees every difference once, in order of time, on the folder's thread.
#[derive(Debug, Default)]
pub(crate) struct Tracker {}

impl Tracker {
    /// What has ended since the fold before: one difference for each series that has any. `now` is the layer's
    /// monotonic time, `unix_ms` the wall time that goes with it.
    pub(crate) fn observe(&mut self, now: Duration, unix_ms: u64, differences: &[Difference]) {
        let _ = (now, unix_ms, differences);
    }
}
