//! [`MemoryHandle`]: what an app does with its memory layer beside serving through it.

use std::{
    fmt,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use super::{
    leak::LeakReport,
    release::{ReleaseReport, ShrinkReport},
    shared::Shared,
    shrink::ShrinkError,
    snapshot::{MemorySnapshot, MemoryTrend},
    worker,
};

/// Reads what a [`MemoryLayer`](super::MemoryLayer) knows and gives memory back. Cheap to clone.
#[derive(Clone)]
pub struct MemoryHandle {
    shared: Arc<Shared>,
}

impl MemoryHandle {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    #[cfg(test)]
    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// The last sample, at most an interval old while the sampler runs. Where there is none yet, none runs, or the last one is older
    /// than three intervals (2 s at least), one is taken now.
    #[must_use]
    pub fn snapshot(&self) -> MemorySnapshot {
        self.shared.snapshot()
    }

    /// Resident set size at this moment, by one system call on a file that stays open (Linux); `None` where it is not known.
    #[must_use]
    pub fn rss_bytes(&self) -> Option<u64> {
        self.shared.rss_bytes()
    }

    /// Past samples: seconds, minutes and hours.
    #[must_use]
    pub fn trend(&self) -> MemoryTrend {
        self.shared.trend()
    }

    /// Whether memory grows as a leak does, as of the last full minute.
    #[must_use]
    pub fn leak(&self) -> LeakReport {
        self.shared.leak_report()
    }

    /// Gives freed memory back to the operating system, on a blocking thread, and says what came of it: by jemalloc's purge,
    /// mimalloc's collection or glibc's `malloc_trim`, as is the global allocator. Where there is no such call the report
    /// says `supported: false`.
    ///
    /// Whoever asks while one runs shares the next one with all others who wait: it begins after they asked. Runs on the calling
    /// thread where no Tokio runtime is there.
    pub async fn release(&self) -> ReleaseReport {
        let shared = self.shared.clone();
        let begun = shared.begun.load(Ordering::Acquire);
        let mut turn = shared.asked.clone().lock_owned().await;
        if turn.0 > begun {
            return turn.1.clone();
        }
        // The turn goes with the work: a caller who goes away does not let a second one run beside it.
        let mut run = move || {
            let number = shared.begun.fetch_add(1, Ordering::AcqRel) + 1;
            let report = shared.release();
            shared.sample(None);
            shared.released(report.clone());
            *turn = (number, report.clone());
            report
        };
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => runtime.spawn_blocking(run).await.unwrap_or_else(|error| {
                let report = ReleaseReport::failed(&error.to_string());
                self.shared.released(report.clone());
                report
            }),
            Err(_) => run(),
        }
    }

    /// Asks every registered cache to give back a share of what it holds, above 0 and at most 1 (what lies outside is
    /// taken for the nearer end), on a blocking thread.
    pub async fn shrink(&self, share: f64) -> Vec<ShrinkReport> {
        let share = if share.is_nan() {
            0.0
        } else {
            share.clamp(0.0, 1.0)
        };
        let shared = self.shared.clone();
        let run = move || shared.shrink(share);
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => runtime.spawn_blocking(run).await.unwrap_or_default(),
            Err(_) => run(),
        }
    }

    /// Registers a cache that can give memory back: `shrink` is given a share of what it holds, 0 to 1, and answers the bytes
    /// that it gave. It is called on a blocking thread when the guard's soft limit is passed, and by [`Self::shrink`]. One of
    /// a name that is known replaces the former. A panic of it is caught and counted.
    ///
    /// ```
    /// # use pitcrew::MemoryLayer;
    /// # #[cfg(feature = "cache")]
    /// # fn register() -> Result<(), pitcrew::memory::ShrinkError> {
    /// let (_, cache) = pitcrew::CacheLayer::builder().build();
    /// let (_, memory) = MemoryLayer::builder().build();
    /// memory.register_shrink("responses", move |share| cache.shrink(share))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ShrinkError::TooMany`] past [`MAX_SHRINKS`](super::MAX_SHRINKS).
    pub fn register_shrink(
        &self,
        name: &str,
        shrink: impl Fn(f64) -> u64 + Send + Sync + 'static,
    ) -> Result<(), ShrinkError> {
        self.shared.shrinks.add(name, Arc::new(shrink))
    }

    /// Sets how long jemalloc keeps freed pages; for the whole process.
    ///
    /// # Errors
    ///
    /// [`JemallocError`](super::JemallocError) where jemalloc is not the global allocator, or refuses.
    #[cfg(feature = "jemalloc")]
    pub fn tune_jemalloc(&self, decay: super::JemallocDecay) -> Result<(), super::JemallocError> {
        super::release::set_decay(decay)
    }

    /// What holds the heap: live allocations by stack as jemalloc has sampled them, in pprof's format (gzipped protobuf; open
    /// it with `go tool pprof` or in Grafana, Parca or Polar Signals). On a blocking thread; tells code addresses and
    /// function names, so hand it to operators alone.
    ///
    /// # Errors
    ///
    /// [`HeapProfileError`](super::HeapProfileError) where jemalloc is not the global allocator, or its profiler is off.
    #[cfg(feature = "jemalloc-pprof")]
    pub async fn heap_profile(&self) -> Result<Vec<u8>, super::HeapProfileError> {
        let made = match tokio::runtime::Handle::try_current() {
            Ok(runtime) => runtime.spawn_blocking(super::leak::profile).await,
            Err(_) => Ok(super::leak::profile()),
        };
        made.unwrap_or_else(|error| Err(super::HeapProfileError::Failed(error.to_string())))
    }

    /// Stops the sampler and waits for its end, `deadline` at most, on a blocking thread; where no Tokio runtime is there, on the
    /// calling one. Later requests do not start it again, and the guard refuses nobody from here on.
    pub async fn shutdown(&self, deadline: Duration) {
        let shared = self.shared.clone();
        let run = move || worker::stop(&shared, deadline);
        let has_ended = match tokio::runtime::Handle::try_current() {
            Ok(runtime) => runtime.spawn_blocking(run).await.unwrap_or(false),
            Err(_) => run(),
        };
        if !has_ended {
            tracing::warn!(target: "pitcrew::memory", "the memory sampler has not ended in time");
        }
    }
}

impl fmt::Debug for MemoryHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryHandle")
            .field("counting", &self.shared.counting)
            .finish_non_exhaustive()
    }
}
