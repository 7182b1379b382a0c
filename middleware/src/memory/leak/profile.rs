//! A heap profile by jemalloc's own sampling, in pprof's format.

use thiserror::Error;

/// Why there is no heap profile.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum HeapProfileError {
    /// jemalloc does not serve this process.
    #[error(
        "jemalloc does not serve this process: make it the #[global_allocator] (crate tikv-jemallocator)"
    )]
    NotUsed,
    /// Its profiler was not switched on when the process began.
    #[error(
        "jemalloc's profiler is off: start the process with _RJEM_MALLOC_CONF=prof:true,lg_prof_sample:19 (one sample in \
         512 KiB), or export that text as the static `_rjem_malloc_conf`"
    )]
    Off,
    /// It was on, but no profile came of it.
    #[error("the heap profile could not be made: {0}")]
    Failed(String),
}

/// Whether a profile can be had.
pub(super) fn is_there() -> bool {
    super::super::release::is_jemalloc() && jemalloc_pprof::PROF_CTL.is_some()
}

/// Live allocations by stack, as gzipped protobuf; what was sampled since the profiler was switched on. Blocks for some
/// milliseconds to seconds.
pub(in crate::memory) fn profile() -> Result<Vec<u8>, HeapProfileError> {
    if !super::super::release::is_jemalloc() {
        return Err(HeapProfileError::NotUsed);
    }
    let control = jemalloc_pprof::PROF_CTL
        .as_ref()
        .ok_or(HeapProfileError::Off)?;
    let mut control = control.blocking_lock();
    if !control.activated() {
        return Err(HeapProfileError::Off);
    }
    control
        .dump_pprof()
        .map_err(|error| HeapProfileError::Failed(error.to_string()))
}
