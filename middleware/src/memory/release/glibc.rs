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
/// had (before glibc 2.33) it is taken for granted, being the default; and so it is where there is no such block to be had (a limit of
/// the address space), which is no answer.
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
        // SAFETY: the layout is not empty.
        let Some(block) = NonNull::new(std::hint::black_box(unsafe { alloc(layout) })) else {
            return true;
        };
        let during = figures();
        // SAFETY: given back with the layout that it was made with.
        unsafe { dealloc(block.as_ptr(), layout) };
        during.is_some_and(|during| during.hblkhd >= before.hblkhd + PROBE_BYTES)
    })
}

/// Free bytes in all arenas, whose locks are taken for it one by one; those that may be resident alone, as `malloc_trim` gives pages
/// back but leaves the chunks free.
pub(super) fn free_resident_bytes(rss: Option<u64>) -> Option<u64> {
    let figures = figures()?;
    Some(at_most_resident(
        figures.fordblks as u64,
        figures.uordblks as u64,
        rss,
    ))
}

/// What is free and resident is no more than is resident and not in use. Blocks with a mapping of their own may be in use without
/// being resident, so they are not taken off.
fn at_most_resident(free: u64, used: u64, rss: Option<u64>) -> u64 {
    rss.map_or(free, |rss| free.min(rss.saturating_sub(used)))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_given_back_is_not_called_free_and_resident() {
        const MIB: u64 = 1 << 20;
        assert_eq!(at_most_resident(191 * MIB, MIB, Some(200 * MIB)), 191 * MIB);
        assert_eq!(at_most_resident(191 * MIB, MIB, Some(10 * MIB)), 9 * MIB);
        assert_eq!(at_most_resident(MIB, 20 * MIB, Some(10 * MIB)), 0);
        assert_eq!(at_most_resident(MIB, 20 * MIB, None), MIB);
    }
}
