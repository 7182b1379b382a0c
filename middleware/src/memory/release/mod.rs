//! Giving freed memory back to the operating system: what is called "GC" in languages that have one.

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod glibc;
#[cfg(feature = "jemalloc")]
mod jemalloc;
#[cfg(feature = "mimalloc")]
mod mimalloc;

use std::{sync::OnceLock, time::Instant};

use serde::Serialize;

#[cfg(feature = "jemalloc")]
pub(super) use self::jemalloc::set_decay;
#[cfg(feature = "jemalloc")]
pub use self::jemalloc::{JemallocDecay, JemallocError};
use super::snapshot::AllocatorMemory;

/// What one [`MemoryHandle::release`](super::MemoryHandle::release) did.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct ReleaseReport {
    /// Whether there is a way to give memory back on this platform and allocator.
    pub supported: bool,
    /// The global allocator as it was found: `jemalloc`, `mimalloc`, `glibc` or `unknown`.
    pub allocator: &'static str,
    /// The call that was made, or `none`.
    pub method: &'static str,
    /// Resident set size before; `None` where it is not known.
    pub before_bytes: Option<u64>,
    /// Resident set size after.
    pub after_bytes: Option<u64>,
    /// `before - after`, or 0 where it grew or is not known.
    pub released_bytes: u64,
    /// Time the call took.
    pub took_ms: f64,
    /// What caches gave back first, where they were asked.
    pub shrunk: Vec<ShrinkReport>,
    /// The same in a sentence.
    pub detail: String,
}

/// What one `shrink` callback gave back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ShrinkReport {
    /// The name under which it was registered.
    pub name: String,
    /// Bytes that it says it gave back; `None` where it panicked.
    pub bytes: Option<u64>,
}

impl ShrinkReport {
    pub(super) fn new(name: &str, bytes: Option<u64>) -> Self {
        Self {
            name: name.to_owned(),
            bytes,
        }
    }
}

/// The allocator that Rust code gets its memory from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Allocator {
    #[cfg(feature = "jemalloc")]
    Jemalloc,
    #[cfg(feature = "mimalloc")]
    Mimalloc,
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    Glibc,
    Unknown,
}

impl Allocator {
    /// What is used, which need not be what is linked: a block is allocated, to see whose it is. Once a process, which has one global
    /// allocator: with glibc the block is large, and would show in the live bytes each time.
    pub(super) fn find() -> Self {
        static FOUND: OnceLock<Allocator> = OnceLock::new();
        *FOUND.get_or_init(Self::probe)
    }

    fn probe() -> Self {
        #[cfg(feature = "jemalloc")]
        if jemalloc::is_used() {
            return Self::Jemalloc;
        }
        #[cfg(feature = "mimalloc")]
        if mimalloc::is_used() {
            return Self::Mimalloc;
        }
        #[cfg(all(target_os = "linux", target_env = "gnu"))]
        if glibc::is_used() {
            return Self::Glibc;
        }
        Self::Unknown
    }

    fn name(self) -> &'static str {
        match self {
            #[cfg(feature = "jemalloc")]
            Self::Jemalloc => "jemalloc",
            #[cfg(feature = "mimalloc")]
            Self::Mimalloc => "mimalloc",
            #[cfg(all(target_os = "linux", target_env = "gnu"))]
            Self::Glibc => "glibc",
            Self::Unknown => "unknown",
        }
    }

    /// Live and free bytes, where they can be had for next to nothing.
    pub(super) fn figures(self, rss: Option<u64>, counted: Option<u64>) -> AllocatorMemory {
        let mut figures = AllocatorMemory {
            live_bytes: counted,
            live_source: if counted.is_some() {
                "counting"
            } else {
                "none"
            },
            // Code and stacks are resident too and never free: a little too much.
            free_resident_bytes: rss.zip(counted).map(|(rss, live)| rss.saturating_sub(live)),
        };
        #[cfg(feature = "jemalloc")]
        if self == Self::Jemalloc
            && let Some(stats) = jemalloc::stats()
        {
            if counted.is_none() {
                figures.live_bytes = Some(stats.allocated);
                figures.live_source = "jemalloc";
            }
            figures.free_resident_bytes = Some(stats.resident.saturating_sub(stats.allocated));
        }
        figures.live_source = if figures.live_bytes.is_some() {
            figures.live_source
        } else {
            "none"
        };
        figures
    }

    /// Free and resident bytes where asking takes locks: to be called seldom, on a blocking thread.
    pub(super) fn free_bytes_slowly(self, rss: Option<u64>) -> Option<u64> {
        match self {
            #[cfg(all(target_os = "linux", target_env = "gnu"))]
            Self::Glibc => glibc::free_resident_bytes(rss),
            _ => None,
        }
    }
}

/// Whether jemalloc serves this process.
#[cfg(feature = "jemalloc-pprof")]
pub(super) fn is_jemalloc() -> bool {
    jemalloc::is_used()
}

const UNSUPPORTED: &str = "nothing to do: the global allocator is none that this build can ask to give memory back (glibc's, or \
    jemalloc and mimalloc with the feature of that name); Rust frees memory as values go out of scope, so there is no garbage \
    to collect";

/// Runs on the calling thread; 50 ms and more on a large heap, so keep it off the async threads.
pub(super) fn release(rss: impl Fn() -> Option<u64>) -> ReleaseReport {
    let before = rss();
    let started = Instant::now();
    let allocator = Allocator::find();
    let (method, called) = match allocator {
        #[cfg(feature = "jemalloc")]
        Allocator::Jemalloc => ("arena.all.purge", jemalloc::purge()),
        #[cfg(feature = "mimalloc")]
        Allocator::Mimalloc => ("mi_collect", mimalloc::collect()),
        #[cfg(all(target_os = "linux", target_env = "gnu"))]
        Allocator::Glibc => ("malloc_trim", glibc::trim()),
        Allocator::Unknown => {
            return ReleaseReport {
                allocator: allocator.name(),
                method: "none",
                before_bytes: before,
                after_bytes: before,
                detail: UNSUPPORTED.to_owned(),
                ..ReleaseReport::default()
            };
        }
    };
    let took_ms = started.elapsed().as_secs_f64() * 1e3;
    let after = rss();
    let released = before
        .zip(after)
        .map_or(0, |(before, after)| before.saturating_sub(after));
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let detail = match (called, before.zip(after)) {
        (Err(error), _) => format!("{method} failed: {error}"),
        (Ok(()), None) => {
            format!(
                "{method} ran for {took_ms:.1} ms; the resident set size is not known, so neither is what came of it"
            )
        }
        (Ok(()), Some((before, after))) if released > 0 => format!(
            "{method} gave {:.1} MiB back in {took_ms:.1} ms ({:.1} MiB to {:.1} MiB)",
            mib(released),
            mib(before),
            mib(after)
        ),
        (Ok(()), Some((_, after))) => format!(
            "{method} found nothing to give back in {took_ms:.1} ms; {:.1} MiB are in use",
            mib(after)
        ),
    };
    ReleaseReport {
        supported: true,
        allocator: allocator.name(),
        method,
        before_bytes: before,
        after_bytes: after,
        released_bytes: released,
        took_ms,
        shrunk: Vec::new(),
        detail,
    }
}

impl ReleaseReport {
    pub(super) fn failed(error: &str) -> Self {
        Self {
            supported: true,
            allocator: "unknown",
            method: "none",
            detail: format!("the release did not run to its end: {error}"),
            ..Self::default()
        }
    }
}
