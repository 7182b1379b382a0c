//! Labelled series of a process's memory, made from public descriptions of what leaks and what only looks so. Each family
//! names its source; its parameters vary with the seed. What a verdict was tuned on has other seeds than what is held out.

#![allow(dead_code, unreachable_pub, reason = "each user needs a part")]

mod families;
mod load;
mod random;

use std::{ops::Range, time::Duration};

use pitcrew::memory::{LeakDetector, Observation, Verdict};

pub use families::FAMILIES;
use random::Random;

/// First seed of the held-out series. Those below were for tuning.
pub const HELD_OUT: u64 = 1_000_000;
/// Series of a family.
pub const SERIES_A_FAMILY: u64 = 8;
/// Bytes of a MiB.
pub const MIB: f64 = 1_048_576.0;

/// One kind of behaviour.
pub struct Family {
    /// What it is.
    pub name: &'static str,
    /// Where it is described.
    pub source: &'static str,
    /// Whether it is a leak.
    pub is_leak: bool,
    /// Makes memory and load, minute by minute.
    pub make: fn(&mut Random) -> Series,
}

/// A series: bytes in use and requests, each minute.
pub struct Series {
    /// Bytes at each minute.
    pub bytes: Vec<f64>,
    /// Requests in each minute.
    pub requests: Vec<f64>,
}

/// What became of a series.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    /// Whether the verdict at its end is `leaking`.
    pub is_called: bool,
    /// Whether it was at any time.
    pub was_ever_called: bool,
    /// The minute of the first call.
    pub first_call: Option<usize>,
    /// The verdict at its end.
    pub last: Verdict,
}

/// Runs a verdict over a series, as the sampler would.
pub fn judge(series: &Series) -> Outcome {
    let mut detector = LeakDetector::new();
    let (mut requests, mut first_call) = (0.0, None);
    for (minute, (bytes, load)) in series.bytes.iter().zip(&series.requests).enumerate() {
        requests += load;
        let at = Duration::from_secs(minute as u64 * 60);
        detector.observe(Observation::new(at, bytes.max(0.0) as u64, requests as u64));
        if first_call.is_none() && matches!(detector.verdict(), Verdict::Leaking(_)) {
            first_call = Some(minute);
        }
    }
    Outcome {
        is_called: matches!(detector.verdict(), Verdict::Leaking(_)),
        was_ever_called: first_call.is_some(),
        first_call,
        last: *detector.verdict(),
    }
}

/// How a verdict did on a corpus.
#[derive(Clone, Copy, Debug, Default)]
pub struct Score {
    /// Series.
    pub series: usize,
    /// Leaks among them.
    pub leaks: usize,
    /// Leaks that were called at the end.
    pub found: usize,
    /// Others that were called at the end.
    pub false_calls: usize,
    /// Others that were called at any time.
    pub ever_false: usize,
}

impl Score {
    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            series: self.series + other.series,
            leaks: self.leaks + other.leaks,
            found: self.found + other.found,
            false_calls: self.false_calls + other.false_calls,
            ever_false: self.ever_false + other.ever_false,
        }
    }

    /// Of what is called, how much is a leak, in percent.
    pub fn precision_percent(&self) -> f64 {
        self.found as f64 * 100.0 / ((self.found + self.false_calls) as f64).max(1.0)
    }

    /// Of the leaks, how many are called, in percent.
    pub fn recall_percent(&self) -> f64 {
        self.found as f64 * 100.0 / (self.leaks as f64).max(1.0)
    }
}

/// Judges every family's series from `first_seed` on; `told` hears of each.
pub fn score(first_seed: u64, a_family: u64, told: impl FnMut(&Family, u64, &Outcome)) -> Score {
    score_families(0..FAMILIES.len(), first_seed, a_family, told)
}

/// The same of some families.
pub fn score_families(
    families: Range<usize>,
    first_seed: u64,
    a_family: u64,
    mut told: impl FnMut(&Family, u64, &Outcome),
) -> Score {
    let mut score = Score::default();
    for number in families {
        let family = &FAMILIES[number];
        for n in 0..a_family {
            let seed = first_seed + number as u64 * 1_000 + n;
            let outcome = judge(&(family.make)(&mut Random::new(seed)));
            score = score.plus(Score {
                series: 1,
                leaks: usize::from(family.is_leak),
                found: usize::from(family.is_leak && outcome.is_called),
                false_calls: usize::from(!family.is_leak && outcome.is_called),
                ever_false: usize::from(!family.is_leak && outcome.was_ever_called),
            });
            told(family, seed, &outcome);
        }
    }
    score
}

/// A service at an even load: a level of 50 MiB to 4 GiB, noise of 0.05 % to `noise_percent` that is correlated over up to 15
/// minutes, and a leak of `percent_an_hour` of the level.
pub fn steady_series(
    seed: u64,
    minutes: usize,
    noise_percent: f64,
    percent_an_hour: f64,
) -> Series {
    let mut random = Random::new(seed);
    let level = random.spread(50.0, 4_000.0) * MIB;
    let sd = random.between(0.0005, noise_percent / 100.0) * level;
    let span = random.between(0.5, 15.0);
    let noise = random.noise(minutes, sd, span);
    let bytes = noise
        .iter()
        .enumerate()
        .map(|(at, noise)| level * (1.0 + percent_an_hour / 100.0 * at as f64 / 60.0) + noise);
    Series {
        bytes: bytes.collect(),
        requests: load::flat(&mut random, minutes, 1_000.0),
    }
}

/// A day at 400 MB with noise of one standard deviation and one correlation time, in percent and minutes.
pub fn noisy_day(seed: u64, noise_percent: f64, correlation_minutes: f64) -> Series {
    const LEVEL: f64 = 4e8;
    let mut random = Random::new(seed);
    let sd = LEVEL * noise_percent / 100.0;
    let noise = random.noise(24 * 60, sd, correlation_minutes);
    Series {
        bytes: noise.iter().map(|noise| LEVEL + noise).collect(),
        requests: load::flat(&mut random, 24 * 60, 1_000.0),
    }
}
