//! A planted leak shows in the heap profile that a verdict offers.

#![allow(clippy::unwrap_used)]

#[path = "support/jemalloc.rs"]
mod jemalloc;

use std::io::Read;

use jemalloc::Jemalloc;
use pitcrew::MemoryLayer;

#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// Read by jemalloc when the process begins: the profiler is on, one sample in 4 KiB.
#[unsafe(export_name = "_rjem_malloc_conf")]
pub static MALLOC_CONF: &[u8] = b"prof:true,prof_active:true,lg_prof_sample:12\0";

/// The planted leak: called by name, never inlined.
#[inline(never)]
fn planted_leak_of_this_test() -> &'static [u8] {
    Box::leak(std::hint::black_box(vec![1_u8; 4 << 20]).into_boxed_slice())
}

#[tokio::test]
async fn the_stack_of_a_planted_leak_is_in_the_profile() {
    let (_layer, handle) = MemoryLayer::builder().build();
    assert!(handle.leak().profile);
    let leaked: Vec<_> = (0..16).map(|_| planted_leak_of_this_test()).collect();
    std::hint::black_box(&leaked);
    let profile = handle.heap_profile().await.unwrap();
    assert_eq!(profile[..2], [0x1f, 0x8b], "gzip");
    let mut text = Vec::new();
    flate2::read::GzDecoder::new(&profile[..])
        .read_to_end(&mut text)
        .unwrap();
    // The names of functions stand in the profile as text.
    let name = b"planted_leak_of_this_test";
    assert!(
        text.windows(name.len()).any(|at| at == name),
        "{} bytes without it",
        text.len()
    );
}
