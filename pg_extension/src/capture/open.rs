//! The executions that this backend has begun and not ended: what hooks remember of each, in memory of fixed size.

use pg_pitcrew_capture::Ended;
use pgrx::pg_sys;

use super::buffers::Written;

/// Executions that can be open in one session; of a deeper recursion only these are looked at.
const MAX_OPEN: usize = 64;

/// One execution that was begun.
#[derive(Clone, Copy)]
pub(super) struct Open {
    /// Tells them apart. Not followed once the execution failed.
    pub(super) description: *mut pg_sys::QueryDesc,
    pub(super) query: u64,
    /// The server gave it no query id.
    pub(super) is_nameless: bool,
    /// Subtransaction that has to be undone for it to fail.
    pub(super) subtransaction: pg_sys::SubTransactionId,
    /// A client sent this very text.
    pub(super) top: bool,
    /// The portal that ran when it began.
    pub(super) portal: pg_sys::Portal,
    /// Its plan, where that outlives a failure; else null.
    pub(super) plan: *mut pg_sys::PlannedStmt,
    /// Its text and values, where a client sent it.
    pub(super) written: Written,
    /// Where `search_path` was when it began.
    pub(super) search_path: *const std::ffi::c_char,
    /// When the client's message came.
    pub(super) started_at: pg_sys::TimestampTz,
    pub(super) user: pg_sys::Oid,
    /// An error hit it.
    pub(super) failed: Option<Ended>,
}

const NOTHING: Open = Open {
    description: std::ptr::null_mut(),
    query: 0,
    is_nameless: false,
    subtransaction: 0,
    top: false,
    portal: std::ptr::null_mut(),
    plan: std::ptr::null_mut(),
    written: Written::NOTHING,
    search_path: std::ptr::null(),
    started_at: 0,
    user: pg_sys::InvalidOid,
    failed: None,
};

/// The open executions of this backend, the last begun last.
pub(super) struct Registry {
    open: [Open; MAX_OPEN],
    length: usize,
}

static mut REGISTRY: Registry = Registry {
    open: [NOTHING; MAX_OPEN],
    length: 0,
};

/// The registry of this backend.
///
/// # Safety
/// On the server's only thread, and not while another reference to it lives.
pub(super) unsafe fn registry() -> &'static mut Registry {
    // SAFETY: the caller's promise.
    unsafe { &mut *(&raw mut REGISTRY) }
}

impl Registry {
    pub(super) fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Adds one; `false` where there is no room.
    pub(super) fn add(&mut self, open: Open) -> bool {
        let Some(place) = self.open.get_mut(self.length) else {
            return false;
        };
        *place = open;
        self.length += 1;
        true
    }

    /// Takes out the one that ends. Cursors end in any order.
    pub(super) fn take(&mut self, description: *mut pg_sys::QueryDesc) -> Option<Open> {
        let open = self.open.get(..self.length)?;
        let position = open
            .iter()
            .rposition(|open| open.description == description)?;
        let found = *self.open.get(position)?;
        self.open.copy_within(position + 1..self.length, position);
        self.length -= 1;
        Some(found)
    }

    /// Takes out one of those that `wanted` names, the last begun first.
    pub(super) fn take_where(&mut self, wanted: impl Fn(&Open) -> bool) -> Option<Open> {
        let open = self.open.get(..self.length)?;
        let found = open.iter().rev().find(|open| wanted(open))?.description;
        self.take(found)
    }

    /// Notes how those end that `hit` names, unless that is known.
    pub(super) fn mark(&mut self, ended: Ended, hit: impl Fn(&Open) -> bool) {
        for open in self.open.iter_mut().take(self.length) {
            if open.failed.is_none() && hit(open) {
                open.failed = Some(ended);
            }
        }
    }

    /// What a subtransaction left open is its parent's from now on.
    pub(super) fn hand_over(
        &mut self,
        from: pg_sys::SubTransactionId,
        to: pg_sys::SubTransactionId,
    ) {
        for open in self.open.iter_mut().take(self.length) {
            if open.subtransaction == from {
                open.subtransaction = to;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(number: usize, subtransaction: u32) -> Open {
        Open {
            description: number as *mut _,
            subtransaction,
            ..NOTHING
        }
    }

    #[test]
    fn cursors_end_in_any_order_and_subtransactions_take_their_own() {
        let mut registry = Registry {
            open: [NOTHING; MAX_OPEN],
            length: 0,
        };
        for (number, subtransaction) in [(1, 1), (2, 1), (3, 2), (4, 3), (5, 3)] {
            assert!(registry.add(open(number, subtransaction)));
        }
        assert!(registry.take(2 as *mut _).is_some());
        assert!(registry.take(2 as *mut _).is_none());
        registry.hand_over(3, 2);
        let mut undone = Vec::new();
        while let Some(open) = registry.take_where(|open| open.subtransaction == 2) {
            undone.push(open.description as usize);
        }
        assert_eq!(undone, [5, 4, 3]);
        assert_eq!(
            registry
                .take_where(|_| true)
                .map(|open| open.description as usize),
            Some(1)
        );
        assert!(registry.is_empty());
        for number in 0..MAX_OPEN {
            assert!(registry.add(open(number + 1, 1)));
        }
        assert!(!registry.add(open(100, 1)));
    }
}
