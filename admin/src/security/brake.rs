//! The brake on guessing: a bucket of failures.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// So many failures may come at once; after that one a second.
const AT_ONCE: f64 = 10.0;

/// Counts failures of everybody together: behind a proxy all clients have one address.
#[derive(Debug)]
pub(crate) struct Brake(Mutex<Bucket>);

#[derive(Debug)]
struct Bucket {
    left: f64,
    at: Instant,
    failures: u64,
}

impl Brake {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Bucket {
            left: AT_ONCE,
            at: Instant::now(),
            failures: 0,
        }))
    }

    /// Whether another failure may be had now, without taking it.
    pub(crate) fn is_open(&self, now: Instant) -> bool {
        let mut bucket = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        bucket.refill(now);
        bucket.left >= 1.0
    }

    /// Counts a failure. False where too many have come: then nothing more is told about it.
    pub(crate) fn fail(&self, now: Instant) -> bool {
        let mut bucket = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        bucket.refill(now);
        bucket.failures += 1;
        let may = bucket.left >= 1.0;
        if may {
            bucket.left -= 1.0;
        }
        may
    }

    /// All failures so far.
    pub(crate) fn failures(&self) -> u64 {
        let bucket = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        bucket.failures
    }
}

impl Bucket {
    fn refill(&mut self, now: Instant) {
        let regained = now.saturating_duration_since(self.at).as_secs_f64();
        self.left = (self.left + regained).min(AT_ONCE);
        self.at = self.at.max(now);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a9_failures_are_braked_and_the_brake_is_released() {
        let brake = Brake::new();
        let now = Instant::now();
        let passed = (0..100).filter(|_| brake.fail(now)).count();
        assert_eq!((passed, brake.failures()), (10, 100));
        assert!(!brake.fail(now + Duration::from_millis(900)));
        assert!(brake.is_open(now + Duration::from_secs(2)));
        assert!(brake.fail(now + Duration::from_secs(2)));
    }
}
