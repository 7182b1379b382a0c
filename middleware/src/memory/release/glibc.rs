//! glibc's malloc.

use std::{
    alloc::{Layout, alloc, dealloc},
    mem::transmute,
    ptr::NonNull,
};

/// Above glibc's largest threshold for blocks of their own (32 MiB), which freeing such a block would move otherwise.
const PROBE_BYTES: usize = 64 << 20;

/// `malloc_trim` says whether it found something, which the resident set size tells better.
#[allow(unsafe_code)]
#[allow(clippy::unnecessary_wraps, reason = "as the other allocators'")]
pub(super) fn trim() -> Result<(), String> {
    // SAFETY: malloc_trim takes no pointer and is thread-safe (malloc_trim(3)).
    unsafe { libc::malloc_trim(0) };
    Ok(())
}

/// Whether Rust's allocations come from here: a block, never touched, shows in glibc's own figures. Where these cannot be
/// had (before glibc 2.33) it is taken for granted, being the default.
#[allow(unsafe_code)]
pub(super) fn is_used() -> bool {
    let Ok(layout) = Layout::from_size_align(PROBE_BYTES, 16) else {
        return false;
    };
    // Other threads may free as much in between: three tries.
    (0..3).any(|_| {
        let Some(before) = figures() else {
            return true;
        };
        // SAFETY: the layout is not empty; the block is given back with the same layout.
        let during = unsafe {
            let block = std::hint::black_box(alloc(layout));
            let during = figures();
            if let Some(block) = NonNull::new(block) {
                dealloc(block.as_ptr(), layout);
            }
            during
        };
        during.is_some_and(|during| during.hblkhd >= before.hblkhd + PROBE_BYTES)
    })
}

/// Free bytes in all arenas, whose locks are taken for it one by one.
pub(super) fn free_bytes() -> Option<u64> {
    figures().map(|figures| figures.fordblks as u64)
}

/// `mallinfo2`, looked up at run time: a program that names it does not start with a glibc before 2.33.
#[allow(unsafe_code)]
fn figures() -> Option<libc::mallinfo2> {
    // SAFETY: the name ends with a zero; a symbol of that name is glibc's, whose type is that of `libc`.
    unsafe {
        let found = libc::dlsym(libc::RTLD_DEFAULT, c"mallinfo2".as_ptr());
        if found.is_null() {
            return None;
        }
        let mallinfo2 = transmute::<*mut libc::c_void, extern "C" fn() -> libc::mallinfo2>(found);
        Some(mallinfo2())
    }
}
