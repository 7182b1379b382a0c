//! What a [`MemoryHandle`](super::MemoryHandle) tells.

use serde::Serialize;

/// Memory of the process and around it, as last sampled, and what each route allocated.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct MemorySnapshot {
    /// This process.
    pub process: ProcessMemory,
    /// The machine.
    pub system: SystemMemory,
    /// The control group of this process; `None` where there is none or it cannot be read.
    pub cgroup: Option<CgroupMemory>,
    /// Past samples, the oldest first; at most [`TREND_POINTS`](super::TREND_POINTS). When full, every other point
    /// goes and the points are taken half as often, so the ring always spans the whole run.
    pub trend: Vec<TrendPoint>,
    /// Bytes allocated per route, the largest total first. Empty unless `counting`.
    pub routes: Vec<RouteAllocation>,
    /// Requests counted in the route `overflow` because the route bound was reached.
    pub dropped_routes: u64,
    /// Whether [`CountingAlloc`](super::CountingAlloc) is the global allocator of this process.
    pub counting: bool,
    /// Wall time of the sample, milliseconds since 1970-01-01 UTC.
    pub sampled_unix_ms: u64,
    /// Samples that could not be taken (`/proc` missing or unreadable) or whose task panicked.
    pub sample_errors: u64,
}

/// Figures of this process. Zero where the platform does not tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ProcessMemory {
    /// Resident set size.
    pub rss_bytes: u64,
    /// Largest resident set size seen, by the kernel where it tells (`VmHWM`), else by the sampler.
    pub peak_rss_bytes: u64,
    /// Virtual size.
    pub virtual_bytes: u64,
    /// Operating-system threads.
    pub threads: u64,
    /// CPU time used since the sample before, in percent of one core; may exceed 100.
    pub cpu_percent: f64,
}

/// Figures of the machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct SystemMemory {
    /// Physical memory.
    pub total_bytes: u64,
    /// Memory that a program could get without swapping.
    pub available_bytes: u64,
}

/// Figures of the control group (v2 or v1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CgroupMemory {
    /// The limit; `None` where it is unlimited.
    pub limit_bytes: Option<u64>,
    /// Memory charged to the group, page cache included.
    pub usage_bytes: u64,
}

/// One past sample.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct TrendPoint {
    /// Wall time, milliseconds since 1970-01-01 UTC.
    pub unix_ms: u64,
    /// Resident set size.
    pub rss_bytes: u64,
    /// Percent of one core.
    pub cpu_percent: f64,
}

/// What one route's handlers and bodies allocated while they were polled. Work that a handler spawns on other tasks is
/// out of reach.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RouteAllocation {
    /// Route template, [`UNMATCHED`](crate::route::UNMATCHED) or [`OVERFLOW`](crate::route::OVERFLOW).
    pub route: String,
    /// Request method; `OTHER` for unknown ones, `*` in the overflow row.
    pub method: String,
    /// Requests that ended, in whatever way.
    pub requests: u64,
    /// Bytes allocated, not lessened by what was freed again.
    pub bytes_allocated: u64,
    /// Calls of the allocator that gave memory (`realloc` counts as one).
    pub allocations: u64,
    /// `bytes_allocated / requests`.
    pub bytes_per_request: f64,
}
