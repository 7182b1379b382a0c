//! Response caching for any Tower service.

mod body;
mod coalesce;
mod entry;
mod fill;
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
