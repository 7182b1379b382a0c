//! Process, system and cgroup memory sampled in the background, and bytes allocated per route.

mod allocator;
mod future;
mod layer;
mod release;
mod routes;
mod sampler;
mod service;
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
