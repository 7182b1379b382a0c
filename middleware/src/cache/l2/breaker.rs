//! A circuit breaker: while Redis fails, requests do not wait for it.

use std::{
    sync::atomic::{AtomicU32, AtomicU64, Ordering},
    time::{Duration, Instant},
};

/// Failures in a row that open the circuit.
const FAILURES: u32 = 3;
/// Time after which one request tries again. Short, so that hits are back soon after Redis is.
const COOL_DOWN: Duration = Duration::from_millis(250);

pub(super) struct Breaker {
    anchor: Instant,
    failures: AtomicU32,
    /// Nanoseconds after `anchor` from which a probe may go; 0 while closed.
    open_until: AtomicU64,
}

impl Breaker {
    pub(super) fn new() -> Self {
        Self {
            anchor: Instant::now(),
            failures: AtomicU32::new(0),
            open_until: AtomicU64::new(0),
        }
    }

    /// Whether a call may go. While open, one a cool-down does: the probe (half-open).
    pub(super) fn allows(&self) -> bool {
        let until = self.open_until.load(Ordering::Acquire);
        if until == 0 {
            return true;
        }
        let now = self.now();
        // Whoever moves the time on is the probe.
        now >= until
            && self
                .open_until
                .compare_exchange(until, after(now), Ordering::AcqRel, Ordering::Acquire)
                .is_ok()
    }

    pub(super) fn is_open(&self) -> bool {
        self.open_until.load(Ordering::Acquire) != 0
    }

    pub(super) fn succeeded(&self) {
        self.failures.store(0, Ordering::Release);
        self.open_until.store(0, Ordering::Release);
    }

    pub(super) fn failed(&self) {
        let failures = self
            .failures
            .fetch_add(1, Ordering::AcqRel)
            .saturating_add(1);
        if failures >= FAILURES {
            self.open();
        }
    }

    /// Opens at once, on better evidence than one request's time-out.
    pub(super) fn open(&self) {
        self.open_until.store(after(self.now()), Ordering::Release);
    }

    fn now(&self) -> u64 {
        u64::try_from(self.anchor.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

fn after(now: u64) -> u64 {
    now.saturating_add(u64::try_from(COOL_DOWN.as_nanos()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_opens_after_failures_in_a_row_and_closes_at_the_first_success() {
        let breaker = Breaker::new();
        breaker.failed();
        breaker.failed();
        breaker.succeeded();
        breaker.failed();
        breaker.failed();
        assert!(!breaker.is_open() && breaker.allows());
        breaker.failed();
        assert!(breaker.is_open() && !breaker.allows());
        breaker.succeeded();
        assert!(!breaker.is_open() && breaker.allows());
    }

    #[test]
    fn half_open_lets_one_probe_through() {
        let breaker = Breaker::new();
        (0..FAILURES).for_each(|_| breaker.failed());
        // As if the cool-down had passed.
        breaker.open_until.store(1, Ordering::Release);
        assert!(breaker.allows());
        assert!(!breaker.allows(), "a second probe");
    }
}
