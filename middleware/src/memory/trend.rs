//! Past samples at three resolutions, each under its bound.

use std::{collections::VecDeque, time::Duration};

use super::snapshot::{MemoryTrend, TrendPoint};
use crate::clock::millis;

/// Samples kept: ten minutes at one a second.
pub const TREND_SECONDS: usize = 600;
/// Minutes kept: a day.
pub const TREND_MINUTES: usize = 1_440;
/// Hours kept: thirty days.
pub const TREND_HOURS: usize = 720;

const MINUTE_MS: u64 = 60_000;
const HOUR_MS: u64 = 3_600_000;

/// One sample as the trend takes it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sampled {
    /// Monotonic time.
    pub(super) at: Duration,
    /// Wall time.
    pub(super) unix_ms: u64,
    pub(super) rss_bytes: u64,
    pub(super) live_bytes: Option<u64>,
    pub(super) cpu_percent: Option<f64>,
}

#[derive(Default)]
pub(super) struct Trend {
    seconds: VecDeque<TrendPoint>,
    minutes: Level<MINUTE_MS, TREND_MINUTES>,
    hours: Level<HOUR_MS, TREND_HOURS>,
    /// Wall time at the origin of monotonic time, as the first sample had it: spans begin with full minutes and hours, and a step
    /// of the wall clock neither splits nor doubles one.
    origin_ms: Option<u64>,
}

impl Trend {
    pub(super) fn push(&mut self, sampled: &Sampled) {
        let mut span = Span::default();
        span.add(sampled);
        push(&mut self.seconds, TREND_SECONDS, span.point());
        let at_ms = millis(sampled.at);
        let origin = self
            .origin_ms
            .get_or_insert(sampled.unix_ms.saturating_sub(at_ms));
        let even_ms = origin.saturating_add(at_ms);
        self.minutes.push(even_ms, sampled);
        self.hours.push(even_ms, sampled);
    }

    pub(super) fn seconds(&self) -> Vec<TrendPoint> {
        self.seconds.iter().copied().collect()
    }

    pub(super) fn all(&self) -> MemoryTrend {
        MemoryTrend {
            seconds: self.seconds(),
            minutes: self.minutes.points.iter().copied().collect(),
            hours: self.hours.points.iter().copied().collect(),
        }
    }
}

/// Spans of `MS` milliseconds, `BOUND` of them.
#[derive(Default)]
struct Level<const MS: u64, const BOUND: usize> {
    points: VecDeque<TrendPoint>,
    open: Span,
    /// The number of the open span.
    number: u64,
}

impl<const MS: u64, const BOUND: usize> Level<MS, BOUND> {
    /// `even_ms`: time that no clock step moves.
    fn push(&mut self, even_ms: u64, sampled: &Sampled) {
        let number = even_ms / MS;
        if self.open.samples > 0 && number != self.number {
            push(&mut self.points, BOUND, self.open.point());
            self.open = Span::default();
        }
        self.number = number;
        self.open.add(sampled);
    }
}

fn push(points: &mut VecDeque<TrendPoint>, bound: usize, point: TrendPoint) {
    if points.len() >= bound {
        points.pop_front();
    }
    points.push_back(point);
}

/// The samples of one point.
#[derive(Default)]
struct Span {
    unix_ms: u64,
    samples: u32,
    rss: Figure,
    live: Figure,
    live_samples: u32,
    cpu_sum: f64,
    cpu_samples: u32,
}

#[derive(Default)]
struct Figure {
    sum: u128,
    min: u64,
    max: u64,
}

impl Figure {
    fn add(&mut self, is_first: bool, value: u64) {
        self.sum += u128::from(value);
        self.min = if is_first { value } else { self.min.min(value) };
        self.max = self.max.max(value);
    }

    fn mean(&self, samples: u32) -> u64 {
        u64::try_from(self.sum / u128::from(samples.max(1))).unwrap_or(u64::MAX)
    }
}

impl Span {
    fn add(&mut self, sampled: &Sampled) {
        if self.samples == 0 {
            self.unix_ms = sampled.unix_ms;
        }
        self.rss.add(self.samples == 0, sampled.rss_bytes);
        self.samples = self.samples.saturating_add(1);
        if let Some(live) = sampled.live_bytes {
            self.live.add(self.live_samples == 0, live);
            self.live_samples += 1;
        }
        if let Some(cpu) = sampled.cpu_percent {
            self.cpu_sum += cpu;
            self.cpu_samples += 1;
        }
    }

    fn point(&self) -> TrendPoint {
        let live = |value: u64| (self.live_samples > 0).then_some(value);
        TrendPoint {
            unix_ms: self.unix_ms,
            samples: self.samples,
            rss_bytes: self.rss.mean(self.samples),
            rss_min_bytes: self.rss.min,
            rss_max_bytes: self.rss.max,
            live_bytes: live(self.live.mean(self.live_samples)),
            live_min_bytes: live(self.live.min),
            live_max_bytes: live(self.live.max),
            cpu_percent: (self.cpu_samples > 0).then(|| self.cpu_sum / f64::from(self.cpu_samples)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_resolution_stays_in_its_bound_and_keeps_least_mean_and_most() {
        let mut trend = Trend::default();
        // Forty days, a sample each ten seconds.
        for n in 0..(40 * 8_640_u64) {
            trend.push(&Sampled {
                at: Duration::from_secs(n * 10),
                unix_ms: n * 10_000,
                rss_bytes: 1_000 + n % 6,
                live_bytes: (n % 2 == 0).then_some(500 + n % 6),
                cpu_percent: Some(50.0),
            });
        }
        let all = trend.all();
        let lengths = (all.seconds.len(), all.minutes.len(), all.hours.len());
        assert_eq!(lengths, (TREND_SECONDS, TREND_MINUTES, TREND_HOURS));
        for points in [&all.seconds, &all.minutes, &all.hours] {
            assert!(
                points
                    .windows(2)
                    .all(|pair| pair[0].unix_ms < pair[1].unix_ms)
            );
        }
        let minute = all.minutes[100];
        assert_eq!(minute.samples, 6);
        assert_eq!(
            (minute.rss_min_bytes, minute.rss_bytes, minute.rss_max_bytes),
            (1_000, 1_002, 1_005)
        );
        assert_eq!(
            (
                minute.live_min_bytes,
                minute.live_bytes,
                minute.live_max_bytes
            ),
            (Some(500), Some(502), Some(504))
        );
        assert_eq!(all.hours[0].samples, 360);
        assert_eq!(all.hours[0].cpu_percent, Some(50.0));
        assert_eq!(all.hours[0].unix_ms % HOUR_MS, 0);
    }

    #[test]
    fn the_largest_figures_do_not_overflow() {
        let mut trend = Trend::default();
        for n in 0..100 {
            trend.push(&Sampled {
                at: Duration::from_millis(n),
                unix_ms: n,
                rss_bytes: u64::MAX,
                live_bytes: Some(u64::MAX),
                cpu_percent: None,
            });
        }
        trend.push(&Sampled {
            at: Duration::from_millis(HOUR_MS),
            unix_ms: HOUR_MS,
            ..Sampled::default()
        });
        assert_eq!(trend.all().hours[0].rss_bytes, u64::MAX);
    }

    #[test]
    fn a_wall_clock_that_swings_makes_no_more_minutes_than_there_were() {
        let mut trend = Trend::default();
        for second in 0..=3_600_u64 {
            // A minute ahead in every second ten seconds.
            let ahead = second / 10 % 2 * MINUTE_MS;
            trend.push(&Sampled {
                at: Duration::from_secs(second),
                unix_ms: HOUR_MS + second * 1_000 + ahead,
                rss_bytes: second,
                ..Sampled::default()
            });
        }
        let minutes = trend.all().minutes;
        assert_eq!(minutes.len(), 60);
        assert!(minutes.iter().all(|minute| minute.samples == 60));
        let in_order = |pair: &[TrendPoint]| pair[0].rss_min_bytes < pair[1].rss_min_bytes;
        assert!(minutes.windows(2).all(in_order));
        assert_eq!(trend.all().hours.len(), 1);
    }

    #[test]
    fn a_share_that_is_not_known_is_none() {
        let mut trend = Trend::default();
        trend.push(&Sampled::default());
        assert_eq!(trend.seconds()[0].cpu_percent, None);
    }
}
