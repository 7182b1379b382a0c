//! Process, system and cgroup memory sampled in the background, and bytes allocated per route.

mod allocator;
mod body;
mod counted;
mod future;
mod guard;
mod handle;
mod layer;
mod leak;
mod release;
mod routes;
mod sampler;
mod scope;
mod service;
mod shared;
mod shrink;
mod snapshot;
mod tally;
mod task;
mod trend;

#[cfg(feature = "jemalloc-pprof")]
pub use self::leak::HeapProfileError;
#[cfg(feature = "jemalloc")]
pub use self::release::{JemallocDecay, JemallocError};
pub use self::{
    allocator::{CountingAlloc, FLUSH_BYTES},
    body::ResponseBody,
    counted::{Counted, MAX_NESTED_LAYERS, counted},
    future::ResponseFuture,
    guard::{
        DEFAULT_EXEMPT, DEFAULT_HARD_PERCENT, DEFAULT_RETRY_AFTER, DEFAULT_SHED_SHARE,
        DEFAULT_SOFT_PERCENT, Guard, GuardError, GuardStatus, HYSTERESIS_PERCENT, MAX_EXEMPT,
    },
    handle::MemoryHandle,
    layer::{
        DEFAULT_INTERVAL, DEFAULT_MAX_ROUTES, DEFAULT_RELEASE_PAUSE, MemoryBuilder, MemoryLayer,
    },
    leak::{
        Doubt, LeakDetector, LeakReport, LeakState, MAX_SUSPECTS, Observation, Rise, Suspect,
        Verdict,
    },
    release::{ReleaseReport, ShrinkReport},
    service::Memory,
    shrink::{MAX_SHRINKS, SOFT_SHRINK_SHARE, ShrinkError},
    snapshot::{
        AllocatorMemory, CgroupMemory, MemorySnapshot, MemoryTrend, Pressure, PressureShare,
        ProcessMemory, RouteAllocation, SystemMemory, TrendPoint, UnknownFigure,
    },
    trend::{TREND_HOURS, TREND_MINUTES, TREND_SECONDS},
};

/// What this thread has allocated since it began.
#[cfg(any(test, fuzzing))]
#[cfg_attr(
    not(feature = "cache"),
    expect(dead_code, reason = "what the cache reads is measured")
)]
pub(crate) fn allocated_bytes() -> u64 {
    allocator::Reading::now().allocated
}
