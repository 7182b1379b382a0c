//! jemalloc as a global allocator, from the crate that the feature `jemalloc` brings in any case.

use std::alloc::{GlobalAlloc, Layout};

use tikv_jemalloc_sys as sys;

pub(crate) struct Jemalloc;

/// `MALLOCX_ALIGN`.
fn flags(layout: Layout) -> i32 {
    i32::try_from(layout.align().trailing_zeros()).unwrap_or(0)
}

// SAFETY: jemalloc keeps the contract; sizes are raised to 1, which it wants.
unsafe impl GlobalAlloc for Jemalloc {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        unsafe { sys::mallocx(layout.size().max(1), flags(layout)).cast() }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { sys::sdallocx(pointer.cast(), layout.size().max(1), flags(layout)) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        unsafe { sys::rallocx(pointer.cast(), size.max(1), flags(layout)).cast() }
    }
}
