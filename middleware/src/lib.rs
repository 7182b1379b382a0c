//! Tower layers for response caching, latency capture and memory sampling, for any Axum, Hyper or Tower service.
//!
//! Each layer is made as a pair: the layer goes on the app, the handle goes to whoever reads figures or purges. No two of them share
//! figures (but what is one in a process, as the total of its allocator), `build()` spawns nothing, and no layer ever turns a good
//! answer into a bad one or adds an error.
//!
//! ```
//! # #[cfg(all(feature = "axum", feature = "cache", feature = "latency", feature = "memory"))]
//! # fn main() {
//! use std::time::Duration;
//!
//! use axum::{Router, routing::get};
//! use pitcrew::{CacheLayer, LatencyLayer, MemoryLayer, cache::Region};
//!
//! let (cache, cache_handle) = CacheLayer::builder()
//!     .region(Region::api().ttl(Duration::from_secs(5)))
//!     .build();
//! let (memory, memory_handle) = MemoryLayer::builder().build();
//! let (latency, latency_handle) = LatencyLayer::builder().build();
//!
//! let app: Router = Router::new()
//!     .route("/orders/{id}", get(|| async { "an order" }))
//!     .layer(cache)
//!     .layer(memory)
//!     .layer(latency);
//!
//! assert_eq!(cache_handle.stats().hits, 0);
//! assert_eq!(latency_handle.snapshot().requests, 0);
//! assert!(memory_handle.snapshot().process.rss_bytes > Some(0));
//! # drop(app);
//! # }
//! # #[cfg(not(all(feature = "axum", feature = "cache", feature = "latency", feature = "memory")))]
//! # fn main() {}
//! ```
//!
//! # Order of the layers
//!
//! In axum the layer that is added last is the outermost. Cache, then memory, then latency: so that latency sees the
//! whole time, a hit's too; memory sees what a hit costs; and the cache sits next to the handler. A
//! [`tower::ServiceBuilder`](https://docs.rs/tower/latest/tower/struct.ServiceBuilder.html) reads the other way round:
//! there latency stands first. What changes an answer for one client (compression, sessions, CORS with credentials)
//! belongs outside the cache, or must set `Vary`.
//!
//! # Features
//!
//! | feature | gives | default |
//! |---|---|---|
//! | `cache` | [`CacheLayer`] with the level in this process | yes |
//! | `latency` | [`LatencyLayer`] | yes |
//! | `hdr-log` | latency histograms as a log that HdrHistogram's own tools read | no |
//! | `memory` | [`MemoryLayer`] and [`memory::CountingAlloc`] | yes |
//! | `axum` | route labels from `MatchedPath`; keys from `OriginalUri`, so one layer may sit in several nested routers | yes |
//! | `redis` | `cache::RedisStore`, a second level in Redis or Valkey | no |
//! | `redis-tls` | `rediss://`, by rustls with a provider of its own | no |
//! | `redis-cluster` | `RedisStore::cluster`: the second level in a Redis Cluster | no |
//! | `redis-sentinel` | `RedisStore::sentinel`: at the master that sentinels name | no |
//! | `zstd` | compressed bodies in Redis | no |
//! | `jemalloc` | figures, purges and decay settings of jemalloc, where it is the global allocator | no |
//! | `mimalloc` | collections of mimalloc, where it is the global allocator | no |
//! | `jemalloc-pprof` | heap profiles by jemalloc (`MemoryHandle::heap_profile`); Linux | no |
//! | `query` | `CacheHandle::query`: rows of a query, with its tables as tags | no |
//! | `statements` | statements a request and N+1, by text: `latency::statement` | no |
//! | `tokio-postgres` | `latency::Client`: a `tokio_postgres::Client` whose statements are timed and counted | no |
//! | `bb8` | waits for a connection of a bb8 pool, timed: `latency::Pool` | no |
//! | `full` | all of these but `jemalloc-pprof` | no |
//!
//! One layer alone pulls in neither Redis nor sysinfo: `default-features = false, features = ["latency"]`.
//!
//! # Runtimes
//!
//! Everything works on a current-thread runtime, and with several runtimes and several apps in one process. Background
//! tasks (the memory sampler, writes to Redis) start with the first request inside a Tokio runtime, and start again on
//! the next should that runtime end. Without Tokio the layers answer all the same: requests then do not wait for one
//! another, and Redis is not used.

#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "cache")]
pub mod cache;
pub mod clock;
#[cfg(any(feature = "cache", feature = "latency", feature = "memory"))]
mod glob;
#[cfg(feature = "latency")]
pub mod latency;
#[cfg(feature = "memory")]
pub mod memory;
#[cfg(any(feature = "latency", feature = "memory"))]
mod normal;
#[cfg(any(feature = "cache", feature = "latency", feature = "memory"))]
pub mod route;
#[cfg(any(feature = "cache", feature = "latency", feature = "memory"))]
mod shard;
#[cfg(any(feature = "query", feature = "statements"))]
mod sql;
#[cfg(feature = "latency")]
mod ticks;

#[cfg(feature = "cache")]
pub use cache::{CacheHandle, CacheLayer};
#[cfg(feature = "latency")]
pub use latency::{LatencyHandle, LatencyLayer};
#[cfg(feature = "memory")]
pub use memory::{MemoryHandle, MemoryLayer};
