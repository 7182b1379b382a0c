//! Response caching: an HTTP cache by RFC 9111 that the app carries inside it.
//!
//! ```
//! use std::time::Duration;
//! use pitcrew::{CacheLayer, cache::{Purge, Region}};
//!
//! # async fn mount() -> Result<(), pitcrew::cache::PurgeError> {
//! let (layer, handle) = CacheLayer::builder()
//!     .capacity_bytes(64 << 20)
//!     .region(Region::dashboard_data().ttl(Duration::from_secs(10)))
//!     .region_for(|request| request.uri.path().starts_with("/dashboard").then_some("dashboard_data"))
//!     .build();
//!
//! // The layer goes on the app; the handle purges what a change made old.
//! handle.purge(Purge::Tag("orders".into())).await?;
//! # drop(layer);
//! # Ok(())
//! # }
//! ```
//!
//! # How it decides
//!
//! By RFC 9111 for a shared cache, with RFC 5861 (stale windows), RFC 9213 (targeted directives), RFC 9211 (`Cache-Status`) and
//! RFC 9875 (groups). What the handler says always wins; a [`Region`] says what holds where it says nothing, and what more may be
//! done. Each answer says in `Cache-Status` what became of it, and a hit says its `Age`:
//!
//! ```text
//! cache-status: pitcrew; hit; ttl=53
//! cache-status: pitcrew; fwd=uri-miss; stored
//! cache-status: pitcrew; fwd=uri-miss; detail=response-private
//! cache-status: pitcrew; fwd=bypass; detail=request-no-store
//! ```
//!
//! The page `docs/cache.md` of the repository has every step in its order, with the section of the RFC, its `Cache-Status` and
//! its test; what a hit costs; all bounds and limits; what several instances promise each other while Redis is there, slow, away,
//! failed over or flushed; and other caches side by side. [`CacheHandle::explain`] tells it for one request.
//!
//! # Purging
//!
//! By path, region, tag, cache group (RFC 9875) or all, in O(1), and by prefix or pattern; see [`CacheHandle::purge`], and
//! [`CacheHandle::purge_softly`], which lets an answer be given until it is replaced. A handler tags its answer with [`tag()`] or with the
//! response header `x-cache-tags: orders, parts`, which is not sent on. A purge also keeps out what is being made by
//! requests that began before it. A successful POST, PUT, DELETE or other unsafe request purges its target by itself (RFC 9111, 4.4).
//!
//! An instance that does not hear Redis for 3 s, or whose connection breaks, counts as not hearing it; when it is back
//! it reads all purges at once. [`L2Stats`] counts these table reads, and the hits of times without news.
//!
//! # Seeing it
//!
//! [`CacheHandle::stats`] tells what became of requests: of all, by region ([`RegionStats`]) and by route ([`RouteStats`]), each
//! with kinds of hits and reasons of misses and bypasses, stores, deletes and the time that the handler was saved. A route is
//! axum's `MatchedPath` or what [`CacheBuilder::route_label`] says. It is looked up on a miss or bypass alone; a stored answer
//! keeps its series, so a hit is counted by two additions to counters of its thread's stripe: no lock, no allocation, some 70
//! instructions with all that this section tells. A series takes 3 KiB; there are 512 ([`CacheBuilder::max_series`]).
//!
//! Each outcome is a `tracing` event of target `pitcrew::cache` at level `DEBUG` with `region`, `route`, `outcome` and
//! `reason`, and never a path, query, field or key. Where nobody listens it costs one comparison.
//!
//! [`CacheBuilder::sample_truth`] has a share of the hits compared in the background with what the handler says now: a purge
//! that was forgotten or lost shows as `stale_served_total` with its region and route ([`TruthStats`]), as soon as a sampled hit
//! and one more, a second later at the earliest, have met the old answer. Off by default.

mod body;
mod body_key;
mod changes;
mod coalesce;
mod entry;
mod explain;
mod figures;
mod future;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
mod handle;
mod hit;
mod invalidation;
mod key;
#[cfg(feature = "redis")]
mod l2;
mod layer;
mod miss;
mod outcome;
#[cfg(feature = "redis")]
mod own_writes;
mod policy;
#[cfg(feature = "query")]
mod query;
mod region;
mod runtime;
mod service;
mod shared;
mod store;
mod sync;
mod tasks;
mod text;
mod timed;
mod truth;

#[cfg(feature = "redis")]
pub use self::l2::{DEFAULT_SERVE_WHILE_AWAY, DEFAULT_TIMEOUT, RedisStore, RedisStoreError};
#[cfg(feature = "redis")]
pub use self::own_writes::ReadYourWrites;
#[cfg(feature = "query")]
pub use self::query::{QueryOutcome, Refusal};
pub use self::{
    body::ResponseBody,
    body_key::{BodyKey, BodyKeyFuture, BodyKeyLayer, RequestBody},
    entry::tags::tag,
    explain::{Explanation, StoredAnswer},
    figures::stats::{CacheStats, Figures, L2Stats, LevelStats, RegionStats, RouteStats},
    future::ResponseFuture,
    handle::CacheHandle,
    invalidation::{MAX_PATTERN_BYTES, Purge, PurgeError, PurgeReport, PurgeState},
    layer::{
        CacheBuilder, CacheLayer, DEFAULT_CAPACITY_BYTES, DEFAULT_MAX_SERIES,
        DEFAULT_WAIT_DEADLINE, MOST_SERIES,
    },
    outcome::BypassReason,
    region::predicate::{AnswerPredicate, RequestPredicate},
    region::{
        DEFAULT_BODY_IN_KEY_BYTES, DEFAULT_COMPRESS_ABOVE_BYTES, DEFAULT_MAX_BODY_BYTES,
        MAX_BODY_IN_KEY_BYTES, Region,
    },
    service::Cache,
    truth::{Recomputation, StaleFinding, TruthStats},
};
