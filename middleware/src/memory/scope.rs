//! What one request allocates, and which request a thread works for.

use std::{cell::Cell, ptr, sync::Arc};

use super::{
    allocator::Reading,
    tally::{Account, Tally},
};

/// One request's account. It is closed when dropped: at the end of the body, or when the client went away.
pub(super) struct Scope {
    tally: Arc<Tally>,
    account: Account,
}

impl Scope {
    /// `None` where this thread already works for the same route of the same layer: that account has it all.
    #[inline]
    pub(super) fn new(tally: Arc<Tally>) -> Option<Self> {
        (!is_current(tally.series)).then(|| Self {
            tally,
            account: Account::default(),
        })
    }

    /// Charges to this request what `work` allocates and frees on this thread. A poll begins and ends on one thread, so
    /// the difference of that thread's counters is exactly the poll's.
    #[inline]
    pub(super) fn measure<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let tally = &self.tally;
        measure(tally, &mut self.account.spent, work)
    }

    /// Body data that the server frees, outside of what is measured.
    pub(super) fn handed_out(&mut self, bytes: usize) {
        self.account.handed_out += bytes as u64;
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        self.tally.request(&self.account);
    }
}

/// One entry of the list of those whom this thread works for, innermost first. It lives in the stack frame of
/// [`measure`], for as long as the work runs.
struct Frame<'a> {
    tally: &'a Arc<Tally>,
    outer: *const Frame<'static>,
}

thread_local! {
    static CURRENT: Cell<*const Frame<'static>> = const { Cell::new(ptr::null()) };
}

/// Charges what `work` does to `spent` also when it panics.
#[inline]
pub(super) fn measure<T>(tally: &Arc<Tally>, spent: &mut Reading, work: impl FnOnce() -> T) -> T {
    let outer = CURRENT.try_with(Cell::get).unwrap_or(ptr::null());
    let frame = Frame { tally, outer };
    let inner: *const Frame<'_> = &raw const frame;
    let _ = CURRENT.try_with(|current| current.set(inner.cast()));
    let _measuring = Measuring {
        outer,
        spent,
        before: Reading::now(),
    };
    work()
}

struct Measuring<'a> {
    outer: *const Frame<'static>,
    spent: &'a mut Reading,
    before: Reading,
}

impl Drop for Measuring<'_> {
    #[inline]
    fn drop(&mut self) {
        self.spent.add_span(&self.before, &Reading::now());
        let _ = CURRENT.try_with(|current| current.set(self.outer));
    }
}

/// Whether this thread works for a series now.
#[inline]
pub(super) fn is_current(series: usize) -> bool {
    let mut is_found = false;
    each_current(|tally| is_found |= tally.series == series);
    is_found
}

/// Whom this thread works for now, innermost first.
#[inline]
#[allow(unsafe_code)]
pub(super) fn each_current(mut see: impl FnMut(&Arc<Tally>)) {
    let mut at = CURRENT.try_with(Cell::get).unwrap_or(ptr::null());
    while !at.is_null() {
        // SAFETY: a frame is in the list only while `measure` on this very thread has it on its stack: `Measuring` takes
        // it out before the frame ends, on unwinding too, and frames are left in the reverse order they were entered.
        let frame = unsafe { &*at };
        see(frame.tally);
        at = frame.outer;
    }
}
