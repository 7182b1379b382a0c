//! What one request allocates.

use std::sync::Arc;

use super::{allocator::counters, shared::Shared};
use crate::route::Label;

/// One request's account. It is closed when dropped: at the end of the body, or when the client went away.
pub(super) struct Scope {
    shared: Arc<Shared>,
    label: Label,
    method: &'static str,
    bytes: u64,
    allocations: u64,
}

impl Scope {
    pub(super) fn new(shared: Arc<Shared>, label: Label, method: &'static str) -> Self {
        Self {
            shared,
            label,
            method,
            bytes: 0,
            allocations: 0,
        }
    }

    /// Charges to this request what `work` allocates on this thread. A poll begins and ends on one thread, so the
    /// difference of that thread's counters is exactly the poll's.
    pub(super) fn measure<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let (bytes, calls) = counters();
        let result = work();
        let (bytes_after, calls_after) = counters();
        self.bytes = self.bytes.wrapping_add(bytes_after.wrapping_sub(bytes));
        self.allocations = self
            .allocations
            .wrapping_add(calls_after.wrapping_sub(calls));
        result
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        self.shared.routes.add(
            self.label.as_str(),
            self.method,
            self.bytes,
            self.allocations,
        );
    }
}
