//! mimalloc.

/// Whether Rust's allocations come from here.
#[allow(unsafe_code)]
pub(super) fn is_used() -> bool {
    let block = std::hint::black_box(Box::new([0_u8; 64]));
    // SAFETY: any pointer may be asked about; it is not followed.
    unsafe { libmimalloc_sys::mi_is_in_heap_region((&raw const *block).cast()) }
}

/// Collects this thread's heap and what other threads have freed into it, and gives free segments back. Heaps of other
/// threads are collected by themselves.
#[allow(unsafe_code)]
#[allow(clippy::unnecessary_wraps, reason = "as the other allocators'")]
pub(super) fn collect() -> Result<(), String> {
    // SAFETY: takes no pointer, and is thread-safe.
    unsafe { libmimalloc_sys::mi_collect(true) };
    Ok(())
}
