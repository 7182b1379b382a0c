//! [`Attention`]: what a request has to heed beside being counted, in one word.

use std::sync::atomic::{AtomicU32, Ordering};

/// No sampler runs, and one should.
const START: u32 = 1;
/// The share of requests to refuse stands in the bits from here on, in 65,536ths.
const SHARE_SHIFT: u32 = 8;
/// All requests.
const WHOLE: u32 = 1 << 16;

/// Zero while there is nothing to do for a request but to count it.
pub(super) struct Attention(AtomicU32);

impl Attention {
    pub(super) fn new() -> Self {
        Self(AtomicU32::new(START))
    }

    /// Whether a request needs nothing but counting: no sampler to start, nothing to refuse.
    #[inline]
    pub(super) fn is_quiet(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }

    pub(super) fn wants_start(&self) -> bool {
        self.0.load(Ordering::Acquire) & START != 0
    }

    /// Marks that a sampler runs, or that none will be started. Answers whether it was this call that did.
    pub(super) fn claim_start(&self) -> bool {
        self.0.fetch_and(!START, Ordering::AcqRel) & START != 0
    }

    /// Refuses nobody, and asks for a sampler or does not.
    pub(super) fn reset(&self, start: bool) {
        self.0
            .store(if start { START } else { 0 }, Ordering::Release);
    }

    /// The share of requests to refuse, in 65,536ths.
    pub(super) fn share(&self) -> u32 {
        self.0.load(Ordering::Acquire) >> SHARE_SHIFT
    }

    /// Sets the share, 0 to 1; one that is above 0 is one request in 65,536 at least. Answers whether refusing begins or ends by it.
    pub(super) fn set_share(&self, share: f64) -> bool {
        let share = ((share * f64::from(WHOLE)).ceil() as u32).min(WHOLE);
        let replaced = |word| Some(word & START | share << SHARE_SHIFT);
        let before = self
            .0
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, replaced);
        let before = before.unwrap_or(0) >> SHARE_SHIFT;
        (before > 0) != (share > 0)
    }
}

/// Whether the request whose turn it is belongs to the share. Multiples of the golden ratio lie evenly, so of any few requests in a
/// row close to the share is refused.
pub(super) fn is_in_share(turn: u32, share: u32) -> bool {
    turn.wrapping_mul(0x9e37_79b9) >> 16 < share
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(share: f64) -> u32 {
        let attention = Attention::new();
        attention.set_share(share);
        let share = attention.share();
        let turns = 0..200_000_u32;
        turns.filter(|turn| is_in_share(*turn, share)).count() as u32
    }

    #[test]
    fn a_share_of_all_lets_nobody_through_and_the_least_refuses_somebody() {
        assert_eq!(refused(1.0), 200_000);
        assert_eq!(refused(0.0), 0);
        assert!(
            (49_990..=50_010).contains(&refused(0.25)),
            "{}",
            refused(0.25)
        );
        assert!((1..10).contains(&refused(f64::MIN_POSITIVE)));
    }

    #[test]
    fn the_share_leaves_the_wish_for_a_sampler_alone() {
        let attention = Attention::new();
        assert!(attention.set_share(0.5) && !attention.set_share(1.0));
        assert!(attention.wants_start() && !attention.is_quiet());
        assert!(attention.claim_start() && !attention.claim_start());
        assert!(attention.share() > 0 && attention.set_share(0.0));
        assert!(attention.is_quiet());
        attention.set_share(0.5);
        attention.reset(true);
        assert!(attention.wants_start() && attention.share() == 0);
    }
}
