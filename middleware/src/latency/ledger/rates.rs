//! Smoothed rates.

use std::time::Duration;

use super::super::snapshot::Rates;

/// Time constants, in seconds.
const CONSTANTS: [f64; 3] = [1.0, 60.0, 300.0];

/// How much of an old rate is left after a time.
#[derive(Debug)]
pub(crate) struct Decay {
    seconds: f64,
    left: [f64; 3],
}

impl Decay {
    pub(crate) fn over(time: Duration) -> Self {
        let seconds = time.as_secs_f64();
        Self {
            seconds,
            left: CONSTANTS.map(|constant| (-seconds / constant).exp()),
        }
    }
}

/// Exponentially weighted moving averages of requests a second.
#[derive(Debug, Default)]
pub(crate) struct Average {
    rates: [f64; 3],
    /// Counted while no time passed.
    waiting: u64,
}

impl Average {
    pub(crate) fn add(&mut self, count: u64, decay: &Decay) {
        self.waiting += count;
        if decay.seconds <= 0.0 {
            return;
        }
        let rate = std::mem::take(&mut self.waiting) as f64 / decay.seconds;
        for (known, left) in self.rates.iter_mut().zip(decay.left) {
            *known = rate + (*known - rate) * left;
        }
    }

    pub(crate) fn rates(&self) -> Rates {
        let [one_second, one_minute, five_minutes] = self.rates;
        Rates {
            one_second,
            one_minute,
            five_minutes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_its_time_63_percent_of_a_change_shows_whatever_the_steps() {
        for step in [Duration::from_millis(500), Duration::from_secs(6)] {
            let mut average = Average::default();
            let decay = Decay::over(step);
            for _ in 0..(60_000 / step.as_millis()) {
                average.add((100.0 * step.as_secs_f64()) as u64, &decay);
            }
            let shown = average.rates().one_minute;
            assert!((shown - 63.2).abs() < 0.1, "{shown}");
        }
    }

    #[test]
    fn what_comes_while_time_stands_counts_when_it_moves() {
        let mut average = Average::default();
        average.add(10, &Decay::over(Duration::ZERO));
        assert_eq!(average.rates(), Rates::default());
        average.add(0, &Decay::over(Duration::from_secs(1)));
        assert!((average.rates().one_second - 6.32).abs() < 0.01);
    }
}
