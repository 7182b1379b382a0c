//! Tower layers for response caching, latency capture and memory sampling.

#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "cache")]
pub mod cache;
pub mod clock;
#[cfg(feature = "latency")]
pub mod latency;
#[cfg(feature = "memory")]
pub mod memory;
#[cfg(any(feature = "latency", feature = "memory"))]
pub mod route;
#[cfg(any(feature = "cache", feature = "latency", feature = "memory"))]
mod shard;

#[cfg(feature = "cache")]
pub use cache::{CacheHandle, CacheLayer};
#[cfg(feature = "latency")]
pub use latency::{LatencyHandle, LatencyLayer};
#[cfg(feature = "memory")]
pub use memory::{MemoryHandle, MemoryLayer};
