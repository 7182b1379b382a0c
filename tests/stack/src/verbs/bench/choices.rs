//! Random choices that a seed repeats (xorshift64*, Vigna 2016: good enough for choices).

use std::time::{SystemTime, UNIX_EPOCH};

use pitcrew_stack::{Error, Result};

/// Names the seed to repeat.
const SEED: &str = "PITCREW_SEED";

pub(super) struct Choices {
    seed: u64,
    state: u64,
}

impl Choices {
    /// From `PITCREW_SEED`, or from the clock.
    pub(super) fn from_environment() -> Result<Self> {
        let seed = match std::env::var(SEED) {
            Ok(text) => text
                .parse()
                .map_err(|_| Error::Usage(format!("{SEED} is a number from 1, not `{text}`")))?,
            Err(_) => SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(1, |since| since.as_nanos() as u64),
        };
        Ok(Self::from_seed(seed))
    }

    /// The same choices for the same seed.
    pub(super) fn from_seed(seed: u64) -> Self {
        Self {
            seed,
            // Zero would stay zero.
            state: seed.max(1),
        }
    }

    pub(super) fn seed(&self) -> u64 {
        self.seed
    }

    /// A number below `end`.
    pub(super) fn below(&mut self, end: usize) -> usize {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        let high = self.state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        (high % end.max(1) as u64) as usize
    }

    /// One of them.
    pub(super) fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }

    /// `count` different ones.
    pub(super) fn several<'a>(&mut self, of: &[&'a str], count: usize) -> Vec<&'a str> {
        let mut left = of.to_vec();
        (0..count.min(of.len()))
            .map(|_| left.swap_remove(self.below(left.len())))
            .collect()
    }
}
