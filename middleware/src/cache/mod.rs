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
//! | Which requests? | GET and HEAD without content, `Upgrade`, `If-Match`, `no-store` and fields that rewrite the target. Others pass; `Cache-Status` says why. |
//! | Under which key? | Scheme, host, forwarded host, proto and port (255 bytes at most), path and query as sent, region, mount. Only equal keys meet. |
//! | Which answers? | Successes and redirections that say how long: `Pitcrew-Cache-Control`, `CDN-Cache-Control` (RFC 9213), `s-maxage`, `max-age`, `Expires`. A 200 that says nothing has its region's TTL, where the region has one. Errors, and freshness guessed from `Last-Modified`, only where the region wants them. |
//! | Which never? | `no-store`, `private`, `Set-Cookie`, `Vary: *`, event streams, trailers, a body that failed or has another length than it said, an `Age` that cannot be read; anything in doubt. Fields named in `private="..."` or `no-cache="..."` are left out of what is stored. |
//! | What if it is stale? | With `ETag` or `Last-Modified` the handler is asked by `If-None-Match` and `If-Modified-Since`; its 304 makes the stored answer fresh again, with the new fields. So it is with `no-cache`, at each use. |
//! | Is stale ever given? | Within `stale-while-revalidate`, while one fetch goes in the background; within `stale-if-error`, for an error of the handler or a 500, 502, 503, 504 (RFC 5861); within a client's `max-stale`. Never after `must-revalidate`, `proxy-revalidate` or `no-cache`. |
//! | What does a client get? | 304 where it has the stored answer (`If-None-Match`, `If-Modified-Since`), one range of it (`Range`, `If-Range`), its head for HEAD. On a miss the handler makes the whole for all, and the client still gets the 304 that it asked for. |
//! | For whom? | A request with `Authorization` only where the answer says `public`, `s-maxage` or `must-revalidate`; one with `Cookie` only where it says `public` or `s-maxage`. |
//! | Many at once? | One calls the handler, the others wait for its answer, 5 s at most. They are released as soon as the head shows that it cannot be shared. |
//! | What makes old? | A purge; and a POST, PUT, DELETE or any other unsafe request that succeeds, or is given up before its answer: its target, and what its `Location` and `Content-Location` name within the same origin (RFC 9111, 4.4). |
//! | Clients' wishes? | `no-store` passes, `no-cache` and `max-age=0` validate or fetch anew, `max-age`, `min-fresh`, `max-stale` and `only-if-cached` are obeyed; a region may refuse them. |
//!
//! Every answer carries `Cache-Status` (RFC 9211), a hit `Age` besides:
//!
//! - `pitcrew; hit; ttl=53`, with `detail=l2` where it came from Redis; a stale one with its time below zero and
//!   `detail=stale-while-revalidate` or `max-stale`; one that was purged softly `detail=soft-purge`;
//! - `pitcrew; fwd=stale; fwd-status=304; ttl=60; stored`: the handler has confirmed it;
//! - `pitcrew; fwd=stale; ttl=-5; detail=stale-if-error`: the handler failed;
//! - `pitcrew; fwd=uri-miss; stored`; also `vary-miss`, `stale`, `request`; `collapsed` for one that was given another
//!   request's answer; `detail=streaming` while the body is still being collected;
//! - `pitcrew; fwd=uri-miss; detail=response-private`: the answer forbids storing;
//! - `pitcrew; fwd=bypass; detail=request-no-store`, `pitcrew; fwd=method`: the cache stayed out of it.
//!
//! # Purging
//!
//! By path, region, tag, cache group (RFC 9875) or all, in O(1); see [`CacheHandle::purge`], and
//! [`CacheHandle::purge_softly`], which lets an answer be given until it is replaced. A handler tags its answer with [`tag()`] or with the
//! response header `x-cache-tags: orders, parts`, which is not sent on. A purge also keeps out what is being made by
//! requests that began before it.
//!
//! What holds when [`CacheHandle::purge`] has returned:
//!
//! | | this instance | other instances of the same namespace |
//! |---|---|---|
//! | no Redis | serves nothing older | nothing: each has its own cache |
//! | Redis there (`l2: done`) | serves nothing older | a network round trip later serve nothing older, neither from Redis nor from their own process |
//! | Redis slow or away (`l2: pending`) | serves nothing older, reads nothing from Redis, goes on telling it | as before the purge, until it is told |
//! | another instance does not hear Redis | | that one reads nothing from Redis; what it holds it serves for 30 s at most, counted from the handler's answer or from when it heard Redis last (`RedisStore::serve_while_away`) |
//! | this instance ends while pending | | the purge is lost; [`CacheHandle::shutdown`] tries to deliver it |
//! | Redis loses its data (restarted empty, flushed, evicted) | serves nothing older | within a second everything of before counts as purged |
//! | a fail-over loses the last purges | serves nothing older, and purges again what was lost | until an instance that knew of it has reconnected, those that did not may serve older answers, until their time to live ends |
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
//!
//! # Where this cache decides otherwise
//!
//! - `s-maxage` implies `proxy-revalidate` (RFC 9111, 5.2.2.10). An answer that says `stale-while-revalidate` or
//!   `stale-if-error` besides is served stale within its own window, as CDNs do: its origin has said what it wants.
//! - An `Age` that cannot be read makes an answer stale, where 5.1 lets a cache ignore it.
//! - Of several ranges the whole is sent; parts are not combined.
//!
//! # Limits
//!
//! While a purge of its own is not confirmed an instance reads nothing from Redis, about a round trip each; one that purges
//! all the time has little of it. Background fetches: 256 at one time,
//! then the stale answer is given and none goes; [`CacheStats::dropped_refreshes`] counts that. The time that the handler took is
//! not kept in Redis, so hits on what comes from there count as nothing saved.

mod answer;
mod answered;
mod body;
mod changes;
mod coalesce;
mod count;
mod early;
mod entry;
mod explain;
mod fill;
mod forward;
mod future;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
mod invalidation;
mod key;
mod key_rule;
#[cfg(feature = "redis")]
mod l2;
mod layer;
mod outcome;
#[cfg(feature = "redis")]
mod own_writes;
mod policy;
#[cfg(feature = "query")]
mod query;
mod recompute;
mod refresh;
mod region;
mod reply_headers;
mod scope;
mod series;
mod service;
mod shared;
mod stats;
mod store;
mod suspects;
mod sync;
mod tags;
mod tally;
mod tasks;
mod text;
mod truth;

#[cfg(feature = "redis")]
pub use self::l2::{DEFAULT_SERVE_WHILE_AWAY, DEFAULT_TIMEOUT, RedisStore, RedisStoreError};
#[cfg(feature = "redis")]
pub use self::own_writes::ReadYourWrites;
#[cfg(feature = "query")]
pub use self::query::{QueryOutcome, Refusal};
pub use self::{
    body::ResponseBody,
    explain::{Explanation, StoredAnswer},
    future::ResponseFuture,
    invalidation::{MAX_PATTERN_BYTES, Purge, PurgeReport, PurgeState},
    layer::{
        CacheBuilder, CacheHandle, CacheLayer, DEFAULT_CAPACITY_BYTES, DEFAULT_MAX_SERIES,
        DEFAULT_WAIT_DEADLINE,
    },
    outcome::BypassReason,
    region::{DEFAULT_COMPRESS_ABOVE_BYTES, DEFAULT_MAX_BODY_BYTES, Region},
    service::Cache,
    stats::{CacheStats, Figures, L2Stats, LevelStats, RegionStats, RouteStats},
    tags::tag,
    truth::{Recomputation, StaleFinding, TruthStats},
};
