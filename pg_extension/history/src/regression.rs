//! Whether a statement got slower beyond its own noise.
//!
//! Its mean time a call of each tick is compared on a logarithmic scale, where twice as slow is as far as twice as fast.
//! The recent median is a regression where its modified z-score against the median and the median absolute deviation of the
//! baseline reaches 3.5 (Iglewicz and Hoaglin, "How to Detect and Handle Outliers", 1993), and where it is larger than the
//! baseline's by the factor that was asked for: a statement that always takes the same time has no noise to speak of.

/// Modified z-score from which on a value is an outlier.
const OUTLIER: f64 = 3.5;
/// The median absolute deviation times this estimates the standard deviation of a normal distribution.
const TO_DEVIATION: f64 = 1.4826;
/// Noise that every statement has, as a factor.
const LEAST_NOISE: f64 = 1.05;
/// Ticks of the baseline, so that its deviation means something.
const LEAST_TICKS: usize = 6;

/// One tick of a statement.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// When the tick began, in seconds since 1970.
    pub began_s: f64,
    /// When it ended.
    pub at_s: f64,
    /// Executions.
    pub calls: i64,
    /// Time of all of them, in microseconds.
    pub exec_us: i64,
}

/// What counts as a regression.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Wanted {
    /// What is later than this is recent, in seconds since 1970.
    pub recent_from_s: f64,
    /// Calls that the recent ticks, and those of the baseline, need together.
    pub least_calls: i64,
    /// Factor of the mean time a call, from 1.
    pub least_ratio: f64,
}

/// A statement that got slower.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Regression {
    /// When it began to be slow, in seconds since 1970: within the tick that begins here.
    pub began_s: f64,
    /// End of that tick.
    pub seen_s: f64,
    /// Median over the baseline's ticks of the mean milliseconds a call.
    pub baseline_ms: f64,
    /// The same over the recent ticks.
    pub recent_ms: f64,
    /// The modified z-score.
    pub score: f64,
    /// Calls of the baseline.
    pub baseline_calls: i64,
    /// Recent calls.
    pub recent_calls: i64,
    /// Time that the recent calls took beyond what they would have taken before, in milliseconds.
    pub extra_ms: f64,
}

/// Looks at one statement's ticks, oldest first.
#[must_use]
pub fn regression(points: &[Point], wanted: Wanted) -> Option<Regression> {
    let ran: Vec<Point> = points
        .iter()
        .filter(|point| point.calls > 0 && point.exec_us >= 0)
        .copied()
        .collect();
    let (before, recent): (Vec<Point>, Vec<Point>) = ran
        .iter()
        .partition(|point| point.at_s <= wanted.recent_from_s);
    let calls = |points: &[Point]| -> i64 { points.iter().map(|point| point.calls).sum() };
    let enough = |points: &[Point]| calls(points) >= wanted.least_calls.max(1);
    if before.len() < LEAST_TICKS || !enough(&before) || !enough(&recent) {
        return None;
    }
    let baseline = median(before.iter().map(log_mean))?;
    let deviation = median(
        before
            .iter()
            .map(|point| (log_mean(point) - baseline).abs()),
    )?;
    let noise = (TO_DEVIATION * deviation).max(LEAST_NOISE.ln());
    let now = median(recent.iter().map(log_mean))?;
    let score = (now - baseline) / noise;
    // One slow tick of many does not make a statement slow; many fast calls beside a few slow ones neither.
    let recent_us: i64 = recent.iter().map(|point| point.exec_us).sum();
    let mean_ms = recent_us as f64 / calls(&recent) as f64 / 1e3;
    let baseline_ms = baseline.exp() / 1e3;
    let is_slower = |ms: f64| ms / baseline_ms >= wanted.least_ratio.max(1.0);
    let recent_ms = now.exp() / 1e3;
    if score < OUTLIER || !is_slower(recent_ms) || !is_slower(mean_ms) {
        return None;
    }
    // Back from the end, as long as every tick is slow: beyond the noise, and nearer to what it is now than to what it was.
    let limit = baseline + (OUTLIER * noise).max((now - baseline) / 2.0);
    let first = ran
        .iter()
        .rev()
        .take_while(|point| log_mean(point) > limit)
        .last()
        .or(recent.first())?;
    Some(Regression {
        began_s: first.began_s,
        seen_s: first.at_s,
        baseline_ms,
        recent_ms,
        score,
        baseline_calls: calls(&before),
        recent_calls: calls(&recent),
        extra_ms: (mean_ms - baseline_ms) * calls(&recent) as f64,
    })
}

/// Logarithm of the mean microseconds a call. The server's clock knows no less than one.
fn log_mean(point: &Point) -> f64 {
    (point.exec_us.max(1) as f64 / point.calls as f64).ln()
}

fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = *values.get(middle)?;
    Some(if values.len().is_multiple_of(2) {
        f64::midpoint(values[middle - 1], upper)
    } else {
        upper
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_S: f64 = 1_000_000.0;

    /// Ticks of five minutes up to now; one in the recent hour where `mean_us` says so.
    fn points(count: usize, mean_us: impl Fn(usize) -> i64) -> Vec<Point> {
        (0..count)
            .map(|place| {
                let at_s = NOW_S - 300.0 * (count - 1 - place) as f64;
                Point {
                    began_s: at_s - 300.0,
                    at_s,
                    calls: 100,
                    exec_us: 100 * mean_us(place),
                }
            })
            .collect()
    }

    fn wanted() -> Wanted {
        Wanted {
            recent_from_s: NOW_S - 3_600.0,
            least_calls: 20,
            least_ratio: 1.5,
        }
    }

    /// A deterministic wobble of up to `percent`.
    fn wobble(place: usize, percent: i64) -> i64 {
        (place as i64 * 7_919 % (2 * percent + 1)) - percent
    }

    #[test]
    fn a_jump_is_found_with_its_moment() {
        let ticks = points(100, |place| {
            let base = if place >= 92 { 5_000 } else { 1_000 };
            base + base * wobble(place, 10) / 100
        });
        let found = regression(&ticks, wanted()).unwrap();
        assert_eq!(found.began_s, ticks[92].began_s);
        assert!(
            (0.9..1.1).contains(&found.baseline_ms)
                && found.score > OUTLIER
                && found.recent_calls == 1_200,
            "{found:?}"
        );
    }

    #[test]
    fn a_tick_of_noise_just_before_is_not_the_moment() {
        let ticks = points(100, |place| match place {
            92.. => 50_000,
            91 => 3_000,
            _ => 1_000,
        });
        let found = regression(&ticks, wanted()).unwrap();
        assert_eq!(found.began_s, ticks[92].began_s);
    }

    #[test]
    fn noise_is_no_regression_however_wide() {
        for percent in [0, 5, 30, 80] {
            let ticks = points(200, |place| 1_000 + 10 * wobble(place, percent));
            assert_eq!(regression(&ticks, wanted()), None, "{percent} %");
        }
        // 1.6 times the median, which a statement that wobbles this much does all the time.
        let ticks = points(200, |place| {
            if place >= 188 {
                1_600
            } else {
                1_000 + 10 * wobble(place, 80)
            }
        });
        assert_eq!(regression(&ticks, wanted()), None);
    }

    #[test]
    fn one_slow_tick_few_calls_and_a_short_past_are_no_regression() {
        let one = points(100, |place| if place == 95 { 50_000 } else { 1_000 });
        assert_eq!(regression(&one, wanted()), None);
        let slow = |place| if place >= 95 { 50_000 } else { 1_000 };
        let mut few = points(100, slow);
        for point in &mut few[88..] {
            (point.calls, point.exec_us) = (1, 50_000);
        }
        assert_eq!(regression(&few, wanted()), None);
        let short = points(17, |place| if place >= 5 { 50_000 } else { 1_000 });
        assert_eq!(regression(&short, wanted()), None);
        assert_eq!(regression(&[], wanted()), None);
    }

    #[test]
    fn faster_is_no_regression() {
        let ticks = points(100, |place| if place >= 90 { 100 } else { 1_000 });
        assert_eq!(regression(&ticks, wanted()), None);
    }
}
