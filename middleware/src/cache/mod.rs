//! Response caching for any Tower service.

mod body;
mod future;
mod invalidation;
#[cfg(feature = "redis")]
mod l2;
mod layer;
mod outcome;
mod region;
mod service;
mod stats;
mod tags;

#[cfg(feature = "redis")]
pub use self::l2::{RedisStore, RedisStoreError};
pub use self::{
    body::ResponseBody,
    future::ResponseFuture,
    invalidation::{Purge, PurgeReport, PurgeState},
    layer::{CacheBuilder, CacheHandle, CacheLayer, DEFAULT_CAPACITY_BYTES},
    outcome::BypassReason,
    region::{DEFAULT_MAX_BODY_BYTES, Region},
    service::Cache,
    stats::{CacheStats, L2Stats, LevelStats, RegionStats},
    tags::tag,
};
