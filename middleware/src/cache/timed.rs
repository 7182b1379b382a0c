//! What a request waits for here, as a part of its time: where a [`LatencyLayer`](crate::LatencyLayer) measures it, that is its segment `cache`.

use std::future::Future;

/// Measures a wait: a look into Redis, or another request that fetches the same. What is found in this process takes a microsecond and is not
/// measured.
#[cfg(feature = "latency")]
pub(super) fn timed<F: Future>(wait: F) -> crate::latency::InSegment<F> {
    crate::latency::segment(crate::latency::CACHE).run(wait)
}

#[cfg(not(feature = "latency"))]
pub(super) fn timed<F: Future>(wait: F) -> F {
    wait
}
