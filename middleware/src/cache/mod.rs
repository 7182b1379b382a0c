//! Response caching: an HTTP cache by RFC 9111 that the app carries inside it.
//!
//! ```
//! use std::time::Duration;
//! use pitcrew::{CacheLayer, cache::{Purge, Region}};
//!
//! # async fn mount() {
//! let (layer, handle) = CacheLayer::builder()
//!     .capacity_bytes(64 << 20)
//!     .region(Region::dashboard_data().ttl(Duration::from_secs(10)))
//!     .region_for(|request| request.uri.path().starts_with("/dashboard").then_some("dashboard_data"))
//!     .build();
//!
//! // The layer goes on the app; the handle purges what a change made old.
//! handle.purge(Purge::Tag("orders".into())).await;
//! # drop(layer);
//! # }
//! ```
//!
//! # How it decides
//!
//! | question | answer |
//! |---|---|
//! | Which requests? | GET and HEAD without content, `Range`, `Upgrade`, `no-store` and fields that rewrite the target. Others pass; `Cache-Status` says why. |
//! | Under which key? | Scheme, host, forwarded host, proto and port (255 bytes at most), path and query as sent, region, mount. Only equal keys meet. |
//! | Which answers? | Final ones (200, 203, 204, 300-303, 307, 308) that say how long: `s-maxage`, `max-age`, `Expires`. A 200 that says nothing has its region's TTL, where the region has one. |
//! | Which never? | `no-store`, `private`, `no-cache` (with field names too), `Set-Cookie`, `Vary: *`, event streams, trailers, a body that failed or has another length than it said; anything in doubt. |
//! | For whom? | A request with `Authorization` only where the answer says `public`, `s-maxage` or `must-revalidate`; one with `Cookie` only where it says `public` or `s-maxage`. |
//! | Many at once? | One calls the handler, the others wait for its answer, 5 s at most. They are released as soon as the head shows that it cannot be shared. |
//! | Clients' wishes? | `no-store` passes, `no-cache` and `max-age=0` fetch anew and replace, `max-age` and `min-fresh` are obeyed. |
//!
//! Every answer carries `Cache-Status` (RFC 9211), a hit `Age` besides:
//!
//! - `pitcrew; hit; ttl=53`, with `detail=l2` where it came from Redis;
//! - `pitcrew; fwd=uri-miss; stored`; also `vary-miss`, `stale`, `request`; `collapsed` for one that was given another
//!   request's answer; `detail=streaming` while the body is still being collected;
//! - `pitcrew; fwd=uri-miss; detail=response-private`: the answer forbids storing;
//! - `pitcrew; fwd=bypass; detail=request-no-store`: the cache stayed out of it.
//!
//! # Purging
//!
//! By path, region, tag or all, in O(1); see [`CacheHandle::purge`]. A handler tags its answer with [`tag()`] or with the
//! response header `x-cache-tags: orders, parts`, which is not sent on. A purge also keeps out what is being made by
//! requests that began before it.
//!
//! What holds when [`CacheHandle::purge`] has returned:
//!
//! | | this instance | other instances of the same namespace |
//! |---|---|---|
//! | no Redis | serves nothing older | nothing: each has its own cache |
//! | Redis told (`l2: done`) | serves nothing older | find nothing older in Redis; what they hold in process lives until its time to live ends |
//! | Redis away (`l2: pending`) | serves nothing older, reads nothing from Redis, goes on telling it | as before the purge, until it is told |
//! | this instance ends while pending | | the purge is lost; [`CacheHandle::shutdown`] tries to deliver it |
//! | Redis loses its data | serves nothing older | entries of before are dead: positions only grow with the clock, and a table that is missing kills all |
//!
//! # Limits
//!
//! No validation (`ETag`, 304), no stale answers, no storing of `206`: they come later. The region's TTL bounds how long
//! another instance may serve what was purged here.

mod body;
mod coalesce;
mod entry;
mod fill;
mod forward;
mod future;
mod invalidation;
mod key;
#[cfg(feature = "redis")]
mod l2;
mod layer;
mod outcome;
mod policy;
mod region;
mod service;
mod shared;
mod stats;
mod store;
mod sync;
mod tags;

#[cfg(feature = "redis")]
pub use self::l2::{DEFAULT_TIMEOUT, RedisStore, RedisStoreError};
pub use self::{
    body::ResponseBody,
    future::ResponseFuture,
    invalidation::{Purge, PurgeReport, PurgeState},
    layer::{CacheBuilder, CacheHandle, CacheLayer, DEFAULT_CAPACITY_BYTES, DEFAULT_WAIT_DEADLINE},
    outcome::BypassReason,
    region::{DEFAULT_MAX_BODY_BYTES, Region},
    service::Cache,
    stats::{CacheStats, L2Stats, LevelStats, RegionStats},
    tags::tag,
};
