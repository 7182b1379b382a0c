//! What a [`MemoryHandle`](super::MemoryHandle) tells.

use serde::Serialize;

use super::{guard::GuardStatus, leak::LeakReport, release::ReleaseReport};

/// Memory of the process and around it, as last sampled, and what each route allocated.
///
/// A figure that cannot be read is `None`, and [`unknown`](Self::unknown) says why.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct MemorySnapshot {
    /// This process.
    pub process: ProcessMemory,
    /// The machine.
    pub system: SystemMemory,
    /// The control group of this process; `None` where there is none or it cannot be read.
    pub cgroup: Option<CgroupMemory>,
    /// The allocator.
    pub allocator: AllocatorMemory,
    /// The last samples, the oldest first; at most [`TREND_SECONDS`](super::TREND_SECONDS). Minutes and hours:
    /// [`MemoryHandle::trend`](super::MemoryHandle::trend).
    pub trend: Vec<TrendPoint>,
    /// Bytes allocated per route, the largest total first. Empty unless `counting`.
    pub routes: Vec<RouteAllocation>,
    /// Requests counted in the route `overflow` because the route bound was reached.
    pub dropped_routes: u64,
    /// Whether [`CountingAlloc`](super::CountingAlloc) is the global allocator of this process.
    pub counting: bool,
    /// Requests that came in, on every route.
    pub requests: u64,
    /// Whether memory grows as a leak does, as of the last full minute.
    pub leak: LeakReport,
    /// What the guard does; `None` without one.
    pub guard: Option<GuardStatus>,
    /// The last release, whoever asked for it.
    pub last_release: Option<ReleaseReport>,
    /// Releases that the sampler asked for by itself.
    pub automatic_releases: u64,
    /// Figures that are not known, and why.
    pub unknown: Vec<UnknownFigure>,
    /// Wall time of the sample, milliseconds since 1970-01-01 UTC.
    pub sampled_unix_ms: u64,
    /// Milliseconds since the sampler itself last looked, whoever took the sample that is told here; `None` before it has begun. Some
    /// intervals and more are a sampler that is stuck, or gone in a fork: the guard then refuses nobody, and the trend has gaps.
    pub sampler_age_ms: Option<u64>,
    /// Samples without a resident set size, or whose reading panicked.
    pub sample_errors: u64,
    /// Panics of the sampler and of `shrink` callbacks that were caught.
    pub panics: u64,
}

/// A figure that is not known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct UnknownFigure {
    /// Its place in [`MemorySnapshot`], `process.rss_bytes`.
    pub figure: &'static str,
    /// Why.
    pub reason: String,
}

/// Figures of this process; `None` where they are not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ProcessMemory {
    /// Resident set size.
    pub rss_bytes: Option<u64>,
    /// Largest resident set size seen, by the kernel where it tells (`VmHWM`), else by the sampler.
    pub peak_rss_bytes: Option<u64>,
    /// Virtual size.
    pub virtual_bytes: Option<u64>,
    /// Swapped out (`VmSwap`).
    pub swap_bytes: Option<u64>,
    /// Operating-system threads.
    pub threads: Option<u64>,
    /// Open file descriptors. Before Linux 6.2 counted at each tenth sample.
    pub open_files: Option<u64>,
    /// CPU time used since the sample before, in percent of one core; may exceed 100. `None` at the first sample.
    pub cpu_percent: Option<f64>,
}

/// Figures of the machine; `None` where they are not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct SystemMemory {
    /// Physical memory.
    pub total_bytes: Option<u64>,
    /// Memory that a program could get without swapping.
    pub available_bytes: Option<u64>,
    /// Swap space.
    pub swap_total_bytes: Option<u64>,
    /// Swap space in use.
    pub swap_used_bytes: Option<u64>,
    /// Share of all cores in use since the sample before, 0 to 100. `None` at the first sample.
    pub cpu_percent: Option<f64>,
    /// Pressure stall information of memory (Linux, `CONFIG_PSI`).
    pub pressure: Option<Pressure>,
}

/// Shares of time in which tasks waited for memory (Linux, accounting/psi).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Pressure {
    /// At least one task waited.
    pub some: PressureShare,
    /// All tasks waited.
    pub full: PressureShare,
}

/// One share over three spans, each 0 to 100.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct PressureShare {
    /// Of the last 10 s.
    pub avg10_percent: f64,
    /// Of the last minute.
    pub avg60_percent: f64,
    /// Of the last 5 minutes.
    pub avg300_percent: f64,
}

/// Figures of the control group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CgroupMemory {
    /// 1 or 2.
    pub version: u8,
    /// The tightest limit of the group and those above it; `None` where there is none, or where it is not known.
    pub limit_bytes: Option<u64>,
    /// Memory charged to the group of this process, page cache included; `None` where it is not known.
    pub usage_bytes: Option<u64>,
    /// What counts against `limit_bytes`: the usage of the group that has that limit, less file pages that the kernel would
    /// drop first (`inactive_file`).
    pub working_set_bytes: Option<u64>,
    /// Processes of the group that the kernel has killed for want of memory.
    pub oom_kills: Option<u64>,
}

/// Figures of the global allocator; `None` where it does not tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct AllocatorMemory {
    /// Bytes that the program holds: by [`CountingAlloc`](super::CountingAlloc), else by jemalloc (`stats.allocated`).
    pub live_bytes: Option<u64>,
    /// Who tells `live_bytes`: `counting`, `jemalloc` or `none`.
    pub live_source: &'static str,
    /// Resident memory that is free: what a release could give back at most. An estimate.
    pub free_resident_bytes: Option<u64>,
}

/// One past sample, or the samples of one minute or hour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct TrendPoint {
    /// Wall time of its first sample, milliseconds since 1970-01-01 UTC.
    pub unix_ms: u64,
    /// Samples in it.
    pub samples: u32,
    /// Resident set size, mean.
    pub rss_bytes: u64,
    /// The smallest.
    pub rss_min_bytes: u64,
    /// The largest.
    pub rss_max_bytes: u64,
    /// Live bytes where the allocator tells them, mean.
    pub live_bytes: Option<u64>,
    /// The smallest.
    pub live_min_bytes: Option<u64>,
    /// The largest.
    pub live_max_bytes: Option<u64>,
    /// Percent of one core, mean; `None` where it is not known.
    pub cpu_percent: Option<f64>,
}

/// Past samples at three resolutions, the oldest first by the time that has passed: a step of the wall clock shows in the stamps alone.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct MemoryTrend {
    /// Each sample; at most [`TREND_SECONDS`](super::TREND_SECONDS).
    pub seconds: Vec<TrendPoint>,
    /// Each minute that has ended; at most [`TREND_MINUTES`](super::TREND_MINUTES).
    pub minutes: Vec<TrendPoint>,
    /// Each hour that has ended; at most [`TREND_HOURS`](super::TREND_HOURS).
    pub hours: Vec<TrendPoint>,
}

/// What one route's handlers and bodies allocated while they were polled and dropped, and tasks that were wrapped by
/// [`counted`](super::counted()). Other work that a handler spawns is out of reach.
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
    /// Median of the bytes allocated by a request, within 6.25 %. Tasks that outlive their request are in the sums alone.
    pub bytes_p50: u64,
    /// 99th percentile of the same.
    pub bytes_p99: u64,
    /// Median of the allocations of a request, within 6.25 %.
    pub allocations_p50: u64,
    /// 99th percentile of the same.
    pub allocations_p99: u64,
    /// Bytes allocated less bytes freed, in the same scopes. A request frees what the server read for it, and its answer is
    /// freed by the server, so small constants a request mean nothing.
    pub net_bytes: i64,
    /// Bytes of body data that were handed to the server, which frees them.
    pub handed_out_bytes: u64,
}
