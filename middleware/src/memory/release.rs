//! Giving freed memory back to the operating system: what is called "GC" in languages that have one.

use serde::Serialize;

/// What one [`MemoryHandle::release`](super::MemoryHandle::release) did.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct ReleaseReport {
    /// Whether there is a way to give memory back on this platform and allocator.
    pub supported: bool,
    /// The call that was made, or `none`.
    pub method: &'static str,
    /// Resident set size before.
    pub before_bytes: u64,
    /// Resident set size after.
    pub after_bytes: u64,
    /// `before - after`, or 0 where it grew.
    pub released_bytes: u64,
    /// Time the call took.
    pub took_ms: f64,
    /// The same in a sentence.
    pub detail: String,
}

const UNSUPPORTED: &str = "nothing to do: giving memory back needs glibc's malloc_trim, and this build has none; \
    Rust frees memory as values go out of scope, so there is no garbage to collect";

impl ReleaseReport {
    pub(super) fn failed(rss: u64, error: &str) -> Self {
        Self {
            supported: true,
            method: "malloc_trim",
            before_bytes: rss,
            after_bytes: rss,
            released_bytes: 0,
            took_ms: 0.0,
            detail: format!("the release did not run to its end: {error}"),
        }
    }
}

/// Runs on the calling thread; 50 ms and more on a large heap, so keep it off the async threads.
pub(super) fn release(rss: impl Fn() -> u64) -> ReleaseReport {
    let before = rss();
    let started = std::time::Instant::now();
    let Some(trimmed) = trim() else {
        return ReleaseReport {
            supported: false,
            method: "none",
            before_bytes: before,
            after_bytes: before,
            released_bytes: 0,
            took_ms: 0.0,
            detail: UNSUPPORTED.to_owned(),
        };
    };
    let took_ms = started.elapsed().as_secs_f64() * 1e3;
    let after = rss();
    let released = before.saturating_sub(after);
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let detail = if trimmed && released > 0 {
        format!(
            "malloc_trim gave {:.1} MiB back in {took_ms:.1} ms ({:.1} MiB to {:.1} MiB)",
            mib(released),
            mib(before),
            mib(after)
        )
    } else {
        format!(
            "malloc_trim found nothing to give back in {took_ms:.1} ms; {:.1} MiB are in use",
            mib(after)
        )
    };
    ReleaseReport {
        supported: true,
        method: "malloc_trim",
        before_bytes: before,
        after_bytes: after,
        released_bytes: released,
        took_ms,
        detail,
    }
}

/// `Some(whether anything was given back)`, `None` where there is no such call.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code)]
fn trim() -> Option<bool> {
    // SAFETY: malloc_trim takes no pointer and is thread-safe (malloc_trim(3)).
    Some(unsafe { libc::malloc_trim(0) } == 1)
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn trim() -> Option<bool> {
    None
}
