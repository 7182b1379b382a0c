//! Traffic: what daily and weekly life does to the number of requests.

use super::random::Random;

/// Minutes of a day.
pub const DAY: usize = 1_440;

/// Requests a minute: flat with noise, or with a day's and a week's shape.
pub fn traffic(random: &mut Random, minutes: usize) -> Vec<f64> {
    let mean = random.spread(20.0, 20_000.0);
    if random.chance(0.35) {
        return flat(random, minutes, mean);
    }
    daily(random, minutes, mean)
}

pub fn flat(random: &mut Random, minutes: usize, mean: f64) -> Vec<f64> {
    let noise = random.noise(minutes, 0.05, 3.0);
    noise
        .iter()
        .map(|noise| (mean * (1.0 + noise)).max(0.0))
        .collect()
}

pub fn daily(random: &mut Random, minutes: usize, mean: f64) -> Vec<f64> {
    let (depth, weekend) = (random.between(0.3, 0.8), random.between(0.6, 1.0));
    let (begin, first_day) = (
        random.between(0.0, DAY as f64),
        random.between(0.0, 7.0) as usize,
    );
    let noise = random.noise(minutes, 0.06, 10.0);
    (0..minutes)
        .map(|minute| {
            let at = minute as f64 + begin;
            let hour = (at / DAY as f64 * std::f64::consts::TAU).sin();
            let day = (at as usize / DAY + first_day) % 7;
            let week = if day >= 5 { weekend } else { 1.0 };
            (mean * week * (1.0 + depth * hour) * (1.0 + noise[minute])).max(0.0)
        })
        .collect()
}
