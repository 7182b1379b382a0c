//! The memory layer over jemalloc.

#![allow(clippy::unwrap_used)]

#[path = "support/jemalloc.rs"]
mod jemalloc;

use std::time::Duration;

use jemalloc::Jemalloc;
use pitcrew::{
    MemoryLayer,
    memory::{JemallocDecay, MemorySnapshot},
};

#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// Scattered free memory: small blocks, all freed but a few.
fn scatter() -> Vec<Vec<u8>> {
    let blocks: Vec<_> = (0..400_000).map(|_| vec![1_u8; 512]).collect();
    blocks.into_iter().step_by(1_000).collect()
}

// One test: decay and resident memory are the whole process's.
#[tokio::test]
async fn jemalloc_tells_live_bytes_is_tuned_and_purged() {
    let (_layer, handle) = MemoryLayer::builder().build();
    let never = JemallocDecay {
        dirty: Some(Duration::from_secs(3_600)),
        muzzy: Some(Duration::from_secs(3_600)),
        background_thread: None,
    };
    handle.tune_jemalloc(never).unwrap();
    let live = |snapshot: &MemorySnapshot| snapshot.allocator.live_bytes.unwrap();
    let before = handle.snapshot();
    assert_eq!(before.allocator.live_source, "jemalloc");
    let held = vec![1_u8; 64 << 20];
    let during = handle.snapshot();
    assert!(
        live(&during) - live(&before) >= 64 << 20,
        "{before:?} {during:?}"
    );
    drop(held);
    let kept = scatter();
    let scattered = handle.snapshot();
    assert!(
        scattered.allocator.free_resident_bytes.unwrap() > 100 << 20,
        "{scattered:?}"
    );
    let report = handle.release().await;
    assert!(
        report.supported && report.allocator == "jemalloc",
        "{report:?}"
    );
    assert!(report.released_bytes > 100 << 20, "{report:?}");
    assert!(report.detail.contains("arena.all.purge gave"), "{report:?}");
    drop(kept);
    // With no decay at all freed pages go back by themselves.
    let at_once = JemallocDecay {
        dirty: Some(Duration::ZERO),
        muzzy: Some(Duration::ZERO),
        ..JemallocDecay::default()
    };
    handle.tune_jemalloc(at_once).unwrap();
    drop(scatter());
    let after = handle.snapshot();
    assert!(
        after.allocator.free_resident_bytes.unwrap() < 50 << 20,
        "{after:?}"
    );
}
