//! The executions that this backend has begun and not ended: what hooks remember of each, in memory of fixed size.

use pg_pitcrew_capture::Ended;
use pgrx::pg_sys;

use super::buffers::Buffer;

/// Executions that can be open in one session; of a deeper recursion only these are looked at.
const MAX_OPEN: usize = 64;

/// One execution that was begun.
#[derive(Clone, Copy)]
pub(super) struct Open {
    /// Tells them apart. Followed only while it is known to run.
    pub(super) description: *mut pg_sys::QueryDesc,
    pub(super) query: u64,
    /// The portal that ran when it began.
    pub(super) portal: pg_sys::Portal,
    /// Where `search_path` was when it began.
    pub(super) search_path: *const std::ffi::c_char,
    /// When the client's message came.
    pub(super) started_at: pg_sys::TimestampTz,
    /// Subtransaction that has to be undone for it to fail.
    pub(super) subtransaction: pg_sys::SubTransactionId,
    pub(super) user: pg_sys::Oid,
    /// A client sent this very text.
    pub(super) top: bool,
    /// The server gave it no query id.
    pub(super) is_nameless: bool,
    /// An error hit it.
    pub(super) failed: Option<Ended>,
    /// Where its text and values are, once an error hit it.
    pub(super) buffer: Option<Buffer>,
}

// A cache line: it is written for every statement.
const _: () = assert!(size_of::<Open>() <= 64);

const NOTHING: Open = Open {
    description: std::ptr::null_mut(),
    query: 0,
    portal: std::ptr::null_mut(),
    search_path: std::ptr::null(),
    started_at: 0,
    subtransaction: 0,
    user: pg_sys::InvalidOid,
    top: false,
    is_nameless: false,
    failed: None,
    buffer: None,
};

impl Open {
    /// What a client sent, or a function ran inside.
    pub(super) const BEGUN: Self = NOTHING;
}

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
    unsafe {
        let registry = &raw mut REGISTRY;
        &mut *registry
    }
}

impl Registry {
    pub(super) fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Adds one; `false` where there is no room.
    #[inline]
    pub(super) fn add(&mut self, open: Open) -> bool {
        let Some(place) = self.open.get_mut(self.length) else {
            return false;
        };
        *place = open;
        self.length += 1;
        true
    }

    /// Takes out the one that ends. Cursors end in any order.
    #[inline]
    pub(super) fn take(&mut self, description: *mut pg_sys::QueryDesc) -> Option<&Open> {
        let open = self.open.get_mut(..self.length)?;
        let position = open
            .iter()
            .rposition(|open| open.description == description)?;
        if position + 1 < self.length {
            // Behind those that stay, where it can be looked at until the next one begins.
            open.get_mut(position..)?.rotate_left(1);
        }
        self.length -= 1;
        self.open.get(self.length)
    }

    /// Takes out one of those that `wanted` names, the last begun first.
    pub(super) fn take_where(&mut self, wanted: impl Fn(&Open) -> bool) -> Option<Open> {
        let open = self.open.get(..self.length)?;
        let found = open.iter().rev().find(|open| wanted(open))?.description;
        self.take(found).copied()
    }

    /// Those that no error has hit yet.
    pub(super) fn unhit(&mut self) -> impl Iterator<Item = &mut Open> {
        let open = self.open.iter_mut().take(self.length);
        open.filter(|open| open.failed.is_none())
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
            description: std::ptr::without_provenance_mut(number),
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
        assert!(registry.take(std::ptr::without_provenance_mut(2)).is_some());
        assert!(registry.take(std::ptr::without_provenance_mut(2)).is_none());
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
