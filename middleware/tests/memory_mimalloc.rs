//! Release with mimalloc as the global allocator, inside of the counting one.

#![allow(clippy::unwrap_used)]

use std::alloc::{GlobalAlloc, Layout};

use pitcrew::{MemoryLayer, memory::CountingAlloc};

struct MiMalloc;

// SAFETY: mimalloc keeps the contract.
unsafe impl GlobalAlloc for MiMalloc {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        unsafe { libmimalloc_sys::mi_malloc_aligned(layout.size(), layout.align()).cast() }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, _: Layout) {
        unsafe { libmimalloc_sys::mi_free(pointer.cast()) }
    }
}

#[global_allocator]
static ALLOCATOR: CountingAlloc<MiMalloc> = CountingAlloc::new(MiMalloc);

#[tokio::test]
async fn mimalloc_collects_and_says_what_came_of_it() {
    let (_layer, handle) = MemoryLayer::builder().build();
    let blocks: Vec<_> = (0..400_000).map(|_| vec![1_u8; 512]).collect();
    let full = handle.rss_bytes().unwrap();
    drop(blocks);
    let report = handle.release().await;
    assert!(report.supported, "{report:?}");
    assert_eq!(
        (report.allocator, report.method),
        ("mimalloc", "mi_collect")
    );
    // What it gives back at once and what by the call is its own affair; together it is most of it.
    assert!(
        report.after_bytes.unwrap() + (50 << 20) < full,
        "{full} {report:?}"
    );
    let snapshot = handle.snapshot();
    assert!(snapshot.counting && snapshot.allocator.live_source == "counting");
}
