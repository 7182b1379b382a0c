//! The runtime that waits and background tasks need: Tokio's, with timers. Without it nothing waits and nothing goes in the
//! background; what a request asks for is done by the request.

use std::{cell::Cell, time::Duration};

use tokio::runtime::{Handle, Id};

thread_local! {
    /// The runtime that was looked at last on this thread, and whether it has timers.
    static KNOWN: Cell<Option<(Id, bool)>> = const { Cell::new(None) };
}

/// The runtime that this thread is in, if it has timers.
pub(super) fn current() -> Option<Handle> {
    let runtime = Handle::try_current().ok()?;
    let id = runtime.id();
    let known = KNOWN.try_with(Cell::get).ok()?;
    let has_timers = match known {
        Some((known, has_timers)) if known == id => has_timers,
        _ => {
            let has_timers = has_timers();
            let _ = KNOWN.try_with(|known| known.set(Some((id, has_timers))));
            has_timers
        }
    };
    has_timers.then_some(runtime)
}

/// Whether there is something to wait by.
pub(super) fn has_one() -> bool {
    current().is_some()
}

/// Tokio says it by a panic alone, at the making of a timer; once for a thread it is let happen where it harms nobody.
fn has_timers() -> bool {
    let making = std::panic::catch_unwind(|| drop(tokio::time::sleep(Duration::ZERO)));
    if making.is_err() {
        tracing::warn!(
            target: "pitcrew::cache",
            "this Tokio runtime has no timers (enable_time): requests do not wait for one another, nothing goes in the background, and Redis is not used"
        );
    }
    making.is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runtime_counts_where_it_has_timers() {
        assert!(!has_one());
        let without = || tokio::runtime::Builder::new_current_thread();
        let bare = without().build().unwrap();
        let timed = without().enable_time().build().unwrap();
        for _ in 0..2 {
            assert!(!bare.block_on(async { has_one() }));
            assert!(timed.block_on(async { has_one() }));
        }
    }
}
