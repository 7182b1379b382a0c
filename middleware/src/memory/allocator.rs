//! [`CountingAlloc`]: any global allocator, with two counters a thread.

use std::{
    alloc::{GlobalAlloc, Layout},
    cell::Cell,
};

/// Counts what each thread asks of the allocator `A`, so that [`MemoryLayer`](super::MemoryLayer) can tell which route
/// allocated how much.
///
/// ```
/// use std::alloc::System;
/// use pitcrew::memory::CountingAlloc;
///
/// #[global_allocator]
/// static ALLOCATOR: CountingAlloc<System> = CountingAlloc::new(System);
/// # fn main() {}
/// ```
///
/// Costs two additions on a thread-local an allocation, no atomics, nothing on free.
#[derive(Clone, Copy, Debug, Default)]
pub struct CountingAlloc<A> {
    inner: A,
}

impl<A> CountingAlloc<A> {
    /// Wraps `inner`.
    #[must_use]
    pub const fn new(inner: A) -> Self {
        Self { inner }
    }
}

// Constant-initialised and without a destructor: no lazy registration, which could allocate inside the allocator, and
// still there while the thread's other locals are being torn down.
thread_local! {
    static BYTES: Cell<u64> = const { Cell::new(0) };
    static CALLS: Cell<u64> = const { Cell::new(0) };
}

#[inline]
fn count(bytes: usize) {
    // `try_with`: an allocation on a thread that is past its locals goes uncounted rather than aborting the process.
    let _ = BYTES.try_with(|cell| cell.set(cell.get().wrapping_add(bytes as u64)));
    let _ = CALLS.try_with(|cell| cell.set(cell.get().wrapping_add(1)));
}

// SAFETY: every method hands its arguments unchanged to `A`, which keeps the contract of `GlobalAlloc`; counting
// neither allocates nor unwinds.
#[allow(unsafe_code)]
unsafe impl<A: GlobalAlloc> GlobalAlloc for CountingAlloc<A> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        unsafe { self.inner.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        unsafe { self.inner.dealloc(ptr, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        unsafe { self.inner.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // Only the growth is new memory; a shrink asks for nothing.
        count(new_size.saturating_sub(layout.size()));
        unsafe { self.inner.realloc(ptr, layout, new_size) }
    }
}

/// This thread's counters: bytes and calls since it began. Only differences mean anything.
pub(super) fn counters() -> (u64, u64) {
    (
        BYTES.try_with(Cell::get).unwrap_or(0),
        CALLS.try_with(Cell::get).unwrap_or(0),
    )
}

/// Whether allocations of this process pass through a [`CountingAlloc`]: one is made, to see.
pub(super) fn is_counting() -> bool {
    let before = counters().1;
    drop(std::hint::black_box(Box::new(std::hint::black_box(0_u64))));
    counters().1 != before
}
