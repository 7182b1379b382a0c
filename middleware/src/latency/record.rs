//! One request under way.

use std::{sync::Arc, time::Duration};

use super::recorder::{ABORTED, Recorder};
use crate::route::Label;

/// Whoever holds it ends it once; dropped without that, the request was aborted.
pub(super) struct Record {
    recorder: Arc<Recorder>,
    label: Label,
    method: &'static str,
    class: &'static str,
    started: Duration,
}

impl Record {
    pub(super) fn begin(recorder: Arc<Recorder>, label: Label, method: &'static str) -> Self {
        recorder.begin();
        let started = recorder.clock().now();
        Self {
            recorder,
            label,
            method,
            class: ABORTED,
            started,
        }
    }

    pub(super) fn is_head(&self) -> bool {
        self.method == "HEAD"
    }

    /// Counts the request now, in `class`.
    pub(super) fn end(mut self, class: &'static str) {
        self.class = class;
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let took = self.recorder.clock().now().saturating_sub(self.started);
        self.recorder
            .end(self.label.as_str(), self.method, self.class, took);
    }
}
