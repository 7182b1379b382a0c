//! When a fresh answer is fetched anew before it becomes stale (XFetch).

use std::{cell::Cell, hash::BuildHasher, time::Duration};

use crate::cache::entry::Entry;

/// Whether this hit is the one. Over many hits exactly the time before staleness at which one fetches is exponentially
/// distributed, with a mean of `beta` times what the handler takes.
pub(in crate::cache) fn is_due(entry: &Entry, now: Duration, beta: f64) -> bool {
    is_due_at(entry.ttl(now), entry.took, beta, uniform())
}

fn is_due_at(ttl: Duration, took: Duration, beta: f64, uniform: f64) -> bool {
    took.as_secs_f64() * beta * -uniform.ln() >= ttl.as_secs_f64()
}

/// In (0, 1], from a generator of this thread (xorshift64*): nothing that an attacker could gain hangs on it.
pub(in crate::cache) fn uniform() -> f64 {
    thread_local! {
        static STATE: Cell<u64> = Cell::new(std::hash::RandomState::new().hash_one(0_u8) | 1);
    }
    let mut state = STATE.get();
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    STATE.set(state);
    let bits = state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11;
    (bits + 1) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_likelier_the_nearer_the_end_and_the_slower_the_handler() {
        let due = |ttl_ms: u64, took_ms: u64| {
            let (ttl, took) = (
                Duration::from_millis(ttl_ms),
                Duration::from_millis(took_ms),
            );
            let due = (0..10_000).filter(|_| is_due_at(ttl, took, 1.0, uniform()));
            due.count() as f64 / 10_000.0
        };
        // P(-ln U >= x) = e^-x.
        for (ttl, took) in [(100, 100), (200, 100), (50, 100), (100, 1_000)] {
            let wanted = (-(ttl as f64) / took as f64).exp();
            assert!((due(ttl, took) - wanted).abs() < 0.03, "{ttl} {took}");
        }
        assert_eq!(due(100, 0), 0.0);
    }

    #[test]
    fn numbers_lie_within_their_bounds() {
        let mut sum = 0.0;
        for _ in 0..10_000 {
            let number = uniform();
            assert!(number > 0.0 && number <= 1.0);
            sum += number;
        }
        assert!((sum / 10_000.0 - 0.5).abs() < 0.05);
    }
}
