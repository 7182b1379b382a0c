//! Process, system and cgroup memory sampled in the background, and bytes allocated per route.
//!
//! ```
//! use pitcrew::MemoryLayer;
//!
//! # async fn read() {
//! let (layer, handle) = MemoryLayer::builder().build();
//! println!("{} bytes resident", handle.snapshot().process.rss_bytes);
//! println!("{}", handle.release().await.detail);
//! # drop(layer);
//! # }
//! ```
//!
//! Sampling happens in a task of its own, each second by default, never on the request path. Bytes per route need
//! [`CountingAlloc`] as the global allocator: the layer then reads two thread-local counters around each poll of handler
//! and body. Work that a handler spawns on other tasks is out of reach.
//!
//! [`MemoryHandle::release`] is what languages with a garbage collector call "GC": Rust frees memory when values go out
//! of scope, but the allocator keeps the pages; this gives them back.

mod allocator;
mod future;
mod layer;
mod release;
mod routes;
mod sampler;
mod scope;
mod service;
mod shared;
mod snapshot;

pub use self::{
    allocator::CountingAlloc,
    future::{ResponseBody, ResponseFuture},
    layer::{
        DEFAULT_INTERVAL, DEFAULT_MAX_ROUTES, MemoryBuilder, MemoryHandle, MemoryLayer,
        TREND_POINTS,
    },
    release::ReleaseReport,
    service::Memory,
    snapshot::{
        CgroupMemory, MemorySnapshot, ProcessMemory, RouteAllocation, SystemMemory, TrendPoint,
    },
};

/// What this thread has allocated since it began.
#[cfg(any(test, fuzzing))]
#[cfg_attr(
    not(feature = "cache"),
    expect(dead_code, reason = "what the cache reads is measured")
)]
pub(crate) fn allocated_bytes() -> u64 {
    allocator::counters().0
}
