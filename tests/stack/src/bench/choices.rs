//! Random choices that a seed repeats (xorshift64*, Vigna 2016: good enough for choices).

use std::time::{SystemTime, UNIX_EPOCH};

use crate::error::{Error, Result};

/// Names the seed to repeat.
const SEED: &str = "PITCREW_SEED";

/// Choices of one seed.
#[derive(Clone, Debug)]
pub struct Choices {
    seed: u64,
    state: u64,
}

impl Choices {
    /// From `PITCREW_SEED`, or from the clock.
    ///
    /// # Errors
    /// [`Error::Usage`] where the variable is no number.
    pub fn from_environment() -> Result<Self> {
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
    #[must_use]
    pub fn from_seed(seed: u64) -> Self {
        Self {
            seed,
            // Zero would stay zero.
            state: seed.max(1),
        }
    }

    /// What repeats them.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// A number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        let high = self.state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        (high % end.max(1) as u64) as usize
    }

    /// One of them.
    pub fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }

    /// True once in `times`.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    /// `count` different ones.
    pub fn several<'a>(&mut self, of: &[&'a str], count: usize) -> Vec<&'a str> {
        let mut left = of.to_vec();
        (0..count.min(of.len()))
            .map(|_| left.swap_remove(self.below(left.len())))
            .collect()
    }
}
