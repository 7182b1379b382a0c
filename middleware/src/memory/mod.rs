//! Memory of the process, the machine and its control group sampled in the background; bytes allocated per route; a leak
//! verdict; a way to give free memory back; and a guard for when it runs short.
//!
//! ```
//! use pitcrew::MemoryLayer;
//!
//! # async fn read() {
//! let (layer, handle) = MemoryLayer::builder().build();
//! let snapshot = handle.snapshot();
//! println!("{:?} bytes resident: {}", snapshot.process.rss_bytes, snapshot.leak.detail);
//! println!("{}", handle.release().await.detail);
//! # drop(layer);
//! # }
//! ```
//!
//! # How it decides
//!
//! | what | how |
//! |---|---|
//! | process | `/proc/self/statm` kept open, `status`, `fd`, getrusage(2); elsewhere `sysinfo` (macOS: untested) |
//! | machine | `sysinfo`; pressure from `/proc/pressure/memory` |
//! | control group | v2, else v1; the tightest limit up the hierarchy, and the working set of the group that has it |
//! | a figure that cannot be read | `None`, and a reason in [`MemorySnapshot::unknown`]: never 0, never a guess |
//! | past | [`MemoryTrend`]: 600 samples, 1,440 minutes, 720 hours, each with least, mean and most |
//! | bytes per route | [`CountingAlloc`] as the global allocator: counters of the thread, read around each poll and drop of handler and body |
//! | live bytes | the same allocator's total, to within [`FLUSH_BYTES`] a thread; else jemalloc's `stats.allocated` |
//! | leak | [`LeakDetector`]: each minute, over live bytes where they are known, else the resident set size |
//! | release | jemalloc's purge, `mi_collect` or `malloc_trim`, as is the allocator **in use**, which a block that is allocated tells |
//! | guard | [`Guard`]: past the soft limit caches shrink and free memory goes back, past the hard one a share of requests gets 503; nobody is refused for a figure that is not known or a sample that is old |
//!
//! Samples are taken by a thread of the layer's own, `pitcrew-memory`, each second by default and 5 % earlier or later, from the first
//! request on, whatever runtime that is in. It holds no layer alive, and its panics are caught and counted. Where it has not looked for
//! three intervals, 2 s at least, the guard refuses nobody, [`MemoryHandle::snapshot`] takes its own samples, and the next request starts
//! another.
//!
//! ## Bytes per route
//!
//! A request's account holds what its handler and its body allocated and freed while they were polled, and freed when they were
//! dropped, whether at their end or because the client went away. Work that a handler spawns on other tasks is out of reach
//! unless it is wrapped by [`counted()`]. `net_bytes` is what was allocated and not freed *there*: the server frees an answer's
//! head and data, and a handler frees what the server read, so a constant of some hundred bytes a request means nothing, but a
//! route whose account rises as memory does is a suspect ([`LeakReport::suspects`]).
//!
//! Layers within one another each count; one layer that a request passes twice counts once.
//!
//! ## The leak verdict
//!
//! The least of each minute, in windows of 114 minutes, 4 and 12 hours, 3 and 8 days. A window rises where Mann-Kendall, corrected for
//! autocorrelation (Hamed and Rao 1998), gives chance less than 0.03 %, and Theil-Sen's slope comes to more than some percent of the level,
//! to [`LEAST_RISE_BYTES`] and to five times the noise. That is a leak unless one of these says otherwise ([`Doubt`]): it slows down (a cache fills), it came in
//! a step, memory has been as high within seven days, the requests rose too, it is fast and the process young (more than 2.5 % an hour, on its
//! first day: what does so is called by the window of 12 hours, so a leak of 20 % an hour after 12 hours), or memory wanders by itself. Days are compared hour by hour with the days before, so that daily cycles do not count. Then it is [`LeakState::Growing`],
//! with the reason in its sentence.
//!
//! Memory that wanders: noise whose correlation time is as long as a window looks like a rise for all of it, and no correction that the
//! window itself has to estimate sees that. So the worst is taken, a random walk with the steps that the means of parts of the window
//! make: a rise has to be four times the standard deviation of what such a walk rises, and 4.5 times by the steps of the day before.
//!
//! On 208 held-out series, made after public descriptions of leaks and of what is none (`middleware/tests/leak_corpus`), precision
//! and recall of the verdict at their end are 100 %, and 98 % each on other seeds. **What it cannot know**: a first rise that will end (a
//! sawtooth of half a day, a cache that fills evenly for hours) looks like a leak until it ends; of the held-out series that are none,
//! 13 % were called one at some time. A leak in a service whose traffic has a daily cycle may take three days to be told from it.
//!
//! How often it is right depends on the noise. Of so many steady days, each a process's first, these were called a leak at some time:
//!
//! | noise, standard deviation | correlation time | days | called | without the doubt of a walk, of 300 |
//! |---|---|---|---|---|
//! | 0.2 % | 1 to 120 min | 4 times 2,000 | 0 | 0 |
//! | 0.05 to 0.3 % | 0.5 to 15 min | 1,000 | 1 at most | 1 at most of 1,000 |
//! | 1 % | 1 and 10 min | 2 times 2,000 | 0 | 0 and 17 |
//! | 1 % | 30 min | 2,000 | 0 | 96 |
//! | 1 % | 2 h | 2,000 | 5 | 176 |
//! | 3 % | 2 h | 100 | 0 | 115 |
//!
//! And noise hides, the slower the more: what was called sooner without that doubt was called as readily where nothing leaked. Of leaks of
//! 1 % an hour:
//!
//! | noise, standard deviation | correlation time | called |
//! |---|---|---|
//! | 0.05 to 0.1 % | 0.5 to 15 min | 485 of 500 within 2 hours |
//! | 0.1 % | 5 min | 76 of 100 within 2 hours, all within 5 |
//! | 0.3 % | 5 min | none of 100 within 2 hours, all within 13 |
//! | 1 % | 5 min | 78 of 100 within 13 hours |
//! | 1 % | 30 min | 26 of 100 within 13 hours; of 24 nine in ten within 72 hours, as the days are compared |
//!
//! Live bytes ([`CountingAlloc`]) have less noise than the resident set size has.
//!
//! With jemalloc as the allocator and its profiler on, the feature `jemalloc-pprof` adds `MemoryHandle::heap_profile`.
//!
//! # What it costs
//!
//! Measured by `./pitcrew bench layers`: instructions by callgrind over a no-op wrapper with its own future and body, CPU time in ten
//! paired rounds against the same server without layer and counting, on two shared cores:
//!
//! | what | cost |
//! |---|---|
//! | a request, allocator as it is | 189 instructions |
//! | a request with [`CountingAlloc`] | 515 instructions, no lock, no allocation after a thread's first request on a route |
//! | an allocation and its release | 10 instructions more, no atomics but one addition each [`FLUSH_BYTES`] |
//! | a route that makes 1,000 small allocations, over HTTP | 1.06 of the requests a CPU second that it serves without, which is as many within the noise; 0.98 to 1.02 in other runs |
//! | a reading of the resident set size | 1.7 us; 1.2 us in another run |
//! | memory | at most 4.3 KiB for each route, method and shard of threads (8 at most): 17 MiB at 512 routes, all of them served by all shards |
//!
//! # Limits
//!
//! - Thread-locals cost more in a shared library (`cdylib`) than in an executable, for which the figures are.
//! - What a thread allocates after the destructor of its counters has run, late in its end, is added to the total at once.
//! - The guard looks at each sample: what allocates a gigabyte within one is not stopped by it.
//! - `malloc_trim` takes 50 ms and more on a large heap, on a thread of its own, and holds glibc's arenas one by one meanwhile.

mod allocator;
mod attention;
mod body;
mod counted;
mod future;
mod guard;
mod handle;
mod layer;
mod leak;
mod pauses;
mod release;
mod routes;
mod sampler;
mod sampling;
mod scope;
mod service;
mod settings;
mod shared;
mod shrink;
mod snapshot;
mod striped;
mod tally;
mod trend;
mod worker;

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
        BuildError, DEFAULT_INTERVAL, DEFAULT_MAX_ROUTES, DEFAULT_RELEASE_PAUSE, MemoryBuilder,
        MemoryLayer,
    },
    leak::{
        Doubt, LEAST_RISE_BYTES, LeakDetector, LeakReport, LeakState, MAX_SUSPECTS, Observation,
        Rise, Suspect, Verdict,
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
