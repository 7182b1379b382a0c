//! [`CountingAlloc`]: any global allocator, with counters a thread and a live total of the process.

use std::{
    alloc::{GlobalAlloc, Layout},
    cell::Cell,
    sync::atomic::{AtomicI64, Ordering},
};

/// Bytes that a thread allocates, or frees, between two additions to the total of the process: each thread's share of
/// [`AllocatorMemory::live_bytes`](super::AllocatorMemory::live_bytes) is at most so much out of date, both ways.
pub const FLUSH_BYTES: usize = 128 << 10;

/// Counts what each thread asks of the allocator `A` and gives back, so that [`MemoryLayer`](super::MemoryLayer) can tell
/// which route allocated how much, and whether the live bytes of the process grow as a leak does.
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
/// In an executable it costs 10 instructions a pair of allocation and release: additions on constant thread-locals,
/// without a lazy start, and no atomics but one addition each [`FLUSH_BYTES`].
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

/// One thread's counters. Bytes count down to the next flush, so that "is one due?" is the sign of the subtraction.
struct Counters {
    /// Bytes that may be allocated before the next flush; never negative between calls.
    allocate_left: Cell<i64>,
    /// The same of bytes freed.
    free_left: Cell<i64>,
    allocations: Cell<u64>,
    /// `allocate_base - allocate_left` are all bytes this thread allocated; only differences mean anything.
    allocate_base: Cell<u64>,
    free_base: Cell<u64>,
    stage: Cell<Stage>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Nothing was counted yet.
    New,
    /// The thread's end will flush.
    Counting,
    /// The thread's end has flushed: what comes after is added at once.
    Ending,
}

// Constant-initialised and without a destructor: no lazy registration, and still there while the thread's other locals are
// being torn down.
thread_local! {
    static COUNTERS: Counters = const {
        Counters {
            allocate_left: Cell::new(0),
            free_left: Cell::new(0),
            allocations: Cell::new(0),
            allocate_base: Cell::new(0),
            free_base: Cell::new(0),
            stage: Cell::new(Stage::New),
        }
    };
    /// Flushes at the thread's end, else threads that come and go would leave the total wrong by what they held back. A local
    /// of its own, touched once a thread; the standard library keeps the list of such locals outside of the global
    /// allocator (since Rust 1.93), so this is safe inside of it.
    static AT_END: AtEnd = const { AtEnd };
}

/// Bytes that all threads allocated less those that they freed, as far as flushed.
static LIVE: Aligned = Aligned(AtomicI64::new(0));

/// On a cache line of its own.
#[repr(align(128))]
struct Aligned(AtomicI64);

struct AtEnd;

impl Drop for AtEnd {
    fn drop(&mut self) {
        let _ = COUNTERS.try_with(|counters| {
            counters.stage.set(Stage::Ending);
            counters.flush();
        });
    }
}

impl Counters {
    fn allocated(&self) -> u64 {
        self.allocate_base
            .get()
            .wrapping_sub(self.allocate_left.get().cast_unsigned())
    }

    fn freed(&self) -> u64 {
        self.free_base
            .get()
            .wrapping_sub(self.free_left.get().cast_unsigned())
    }

    /// Counts an allocation unless a flush is due, in which case nothing is counted yet.
    #[inline]
    fn allocate(&self, bytes: usize) -> bool {
        let left = self.allocate_left.get().wrapping_sub(bytes as i64);
        if left < 0 {
            return false;
        }
        self.allocate_left.set(left);
        self.allocations.set(self.allocations.get().wrapping_add(1));
        true
    }

    #[inline]
    fn free(&self, bytes: usize) -> bool {
        let left = self.free_left.get().wrapping_sub(bytes as i64);
        if left < 0 {
            return false;
        }
        self.free_left.set(left);
        true
    }

    /// Only growth is new memory, and what a block shrinks by is freed; the block itself stays one block, and the call
    /// counts as an allocation.
    #[inline]
    fn resize(&self, old_size: usize, new_size: usize) {
        let growth = new_size.wrapping_sub(old_size) as i64;
        let (left, by) = if growth >= 0 {
            (&self.allocate_left, growth)
        } else {
            (&self.free_left, growth.wrapping_neg())
        };
        let after = left.get().wrapping_sub(by);
        if after < 0 {
            let grown = new_size.saturating_sub(old_size);
            return self.count_and_flush(grown, old_size.saturating_sub(new_size));
        }
        left.set(after);
        self.allocations.set(self.allocations.get().wrapping_add(1));
    }

    /// Counts one allocation, or resizing, where a flush is due.
    #[cold]
    #[inline(never)]
    fn count_and_flush(&self, allocated: usize, freed: usize) {
        let add = |base: &Cell<u64>, bytes: usize| base.set(base.get().wrapping_add(bytes as u64));
        add(&self.allocate_base, allocated);
        add(&self.free_base, freed);
        self.allocations.set(self.allocations.get().wrapping_add(1));
        LIVE.0
            .fetch_add(allocated as i64 - freed as i64, Ordering::Relaxed);
        if self.stage.get() == Stage::New {
            // Set first: should registering allocate, that is counted as any other allocation.
            self.stage.set(Stage::Counting);
            if AT_END.try_with(|_| ()).is_err() {
                self.stage.set(Stage::Ending);
            }
        }
        self.flush();
    }

    /// Adds to the total what was held back.
    fn flush(&self) {
        // Both were set to the same at the last flush.
        let held_back = self.free_left.get() - self.allocate_left.get();
        LIVE.0.fetch_add(held_back, Ordering::Relaxed);
        let next = if self.stage.get() == Stage::Counting {
            FLUSH_BYTES as i64
        } else {
            0
        };
        let refill = |base: &Cell<u64>, left: &Cell<i64>| {
            let total = base.get().wrapping_sub(left.get().cast_unsigned());
            base.set(total.wrapping_add(next.cast_unsigned()));
            left.set(next);
        };
        refill(&self.allocate_base, &self.allocate_left);
        refill(&self.free_base, &self.free_left);
    }
}

// SAFETY: every method hands its arguments unchanged to `A`, which keeps the contract of `GlobalAlloc`; counting
// neither allocates from `A` nor unwinds. `try_with`: should a platform have no thread-locals late in a thread's life, the
// call goes uncounted.
#[allow(unsafe_code)]
unsafe impl<A: GlobalAlloc> GlobalAlloc for CountingAlloc<A> {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if COUNTERS.try_with(|counters| counters.allocate(layout.size())) == Ok(false) {
            return unsafe { self.alloc_and_flush(layout, A::alloc) };
        }
        unsafe { self.inner.alloc(layout) }
    }

    #[inline]
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        if COUNTERS.try_with(|counters| counters.free(layout.size())) == Ok(false) {
            return unsafe { self.dealloc_and_flush(pointer, layout) };
        }
        unsafe { self.inner.dealloc(pointer, layout) }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if COUNTERS.try_with(|counters| counters.allocate(layout.size())) == Ok(false) {
            return unsafe { self.alloc_and_flush(layout, A::alloc_zeroed) };
        }
        unsafe { self.inner.alloc_zeroed(layout) }
    }

    #[inline]
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        let moved = unsafe { self.inner.realloc(pointer, layout, new_size) };
        if !moved.is_null() {
            let _ = COUNTERS.try_with(|counters| counters.resize(layout.size(), new_size));
        }
        moved
    }
}

// Whole calls of their own, so that the frequent path saves no register for them.
#[allow(unsafe_code)]
impl<A: GlobalAlloc> CountingAlloc<A> {
    /// A large allocation always comes here, so that one that fails is not counted.
    #[cold]
    #[inline(never)]
    unsafe fn alloc_and_flush(
        &self,
        layout: Layout,
        alloc: unsafe fn(&A, Layout) -> *mut u8,
    ) -> *mut u8 {
        // SAFETY: the caller's contract is the same.
        let pointer = unsafe { alloc(&self.inner, layout) };
        if !pointer.is_null() {
            let _ = COUNTERS.try_with(|counters| counters.count_and_flush(layout.size(), 0));
        }
        pointer
    }

    #[cold]
    #[inline(never)]
    unsafe fn dealloc_and_flush(&self, pointer: *mut u8, layout: Layout) {
        let _ = COUNTERS.try_with(|counters| {
            // Counted as an allocation below, which it is none.
            counters
                .allocations
                .set(counters.allocations.get().wrapping_sub(1));
            counters.count_and_flush(0, layout.size());
        });
        // SAFETY: the caller's contract is the same.
        unsafe { self.inner.dealloc(pointer, layout) }
    }
}

/// What a thread has counted since it began, or between two such readings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Reading {
    pub(super) allocated: u64,
    pub(super) freed: u64,
    pub(super) allocations: u64,
}

impl Reading {
    /// This thread's counters. Only differences mean anything.
    #[inline]
    pub(super) fn now() -> Self {
        COUNTERS
            .try_with(|counters| Self {
                allocated: counters.allocated(),
                freed: counters.freed(),
                allocations: counters.allocations.get(),
            })
            .unwrap_or_default()
    }

    /// Adds what was counted from `before` to `after`.
    #[inline]
    pub(super) fn add_span(&mut self, before: &Self, after: &Self) {
        let add = |sum: &mut u64, before: u64, after: u64| {
            *sum = sum.wrapping_add(after.wrapping_sub(before));
        };
        add(&mut self.allocated, before.allocated, after.allocated);
        add(&mut self.freed, before.freed, after.freed);
        add(&mut self.allocations, before.allocations, after.allocations);
    }

    pub(super) fn net(&self) -> i64 {
        self.allocated.wrapping_sub(self.freed).cast_signed()
    }
}

/// Whether allocations of this process pass through a [`CountingAlloc`]: one is made, to see.
pub(super) fn is_counting() -> bool {
    let before = Reading::now().allocations;
    drop(std::hint::black_box(Box::new(std::hint::black_box(0_u64))));
    Reading::now().allocations != before
}

/// Bytes that the program holds, to within [`FLUSH_BYTES`] a thread. Means nothing unless [`is_counting`].
pub(super) fn live_bytes() -> u64 {
    let _ = COUNTERS.try_with(Counters::flush);
    u64::try_from(LIVE.0.load(Ordering::Relaxed)).unwrap_or(0)
}
