//! Thresholds over windows of a run, at its end and while it goes on.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use super::metric::{Metric, Stat};
use super::view::Series;
use super::{Threshold, Verdict};
use crate::percentiles::ms;
use crate::record;
use crate::series::Interval;

/// Seconds of a run, added up.
struct Sum {
    response: Histogram<u64>,
    ok: u64,
    errors: u64,
    body_bytes: u64,
    cpu_s: f64,
    duration_s: f64,
}

impl Sum {
    fn new() -> Self {
        Self {
            response: record::histogram(),
            ok: 0,
            errors: 0,
            body_bytes: 0,
            cpu_s: 0.0,
            duration_s: 0.0,
        }
    }

    fn add(&mut self, second: &Interval) {
        second.response.add_to(&mut self.response);
        self.ok += second.ok;
        self.errors += second.errors;
        self.body_bytes += second.body_bytes;
        self.cpu_s += second.cpu_s;
        self.duration_s += second.duration_s;
    }

    /// Takes away what was added before.
    fn subtract(&mut self, second: &Interval) {
        // Each count was added, so none becomes less than nothing.
        let _ = self.response.subtract(second.response.unpacked());
        self.ok -= second.ok;
        self.errors -= second.errors;
        self.body_bytes -= second.body_bytes;
        self.cpu_s -= second.cpu_s;
        self.duration_s -= second.duration_s;
    }

    fn measured(&self, metric: Metric) -> Option<f64> {
        let response = &self.response;
        let latency = |value: f64| (!response.is_empty()).then_some(value);
        let all = self.ok + self.errors;
        match metric {
            Metric::Time(Series::Response, stat) => latency(match stat {
                Stat::Mean => response.mean() / 1e3,
                Stat::Min => ms(response.min()),
                Stat::Max => ms(response.max()),
                Stat::Percentile(hundredths) => {
                    ms(response.value_at_quantile(f64::from(hundredths) / 1e4))
                }
            }),
            Metric::ErrorRate => (all > 0).then(|| 100.0 * self.errors as f64 / all as f64),
            Metric::Rate => Some(self.ok as f64 / self.duration_s),
            Metric::Throughput => Some(self.body_bytes as f64 / self.duration_s),
            // Sums of what was added and taken away again are off by a rounding.
            Metric::Cpu => Some((100.0 * self.cpu_s / self.duration_s).max(0.0)),
            // Refused with such a threshold.
            Metric::Time(..)
            | Metric::KindRate(_)
            | Metric::Requests
            | Metric::Missed
            | Metric::Dropped => None,
        }
    }
}

/// A window that goes over a run second by second.
struct Window {
    /// Seconds; none where it begins with the run.
    length: Option<usize>,
    sum: Sum,
}

impl Window {
    fn new(over_s: Option<u16>) -> Self {
        Self {
            length: over_s.map(usize::from),
            sum: Sum::new(),
        }
    }

    /// Takes second `at`. The figure, once the window is full.
    fn advance(&mut self, seconds: &[Interval], at: usize, metric: Metric) -> Option<f64> {
        self.sum.add(&seconds[at]);
        let length = self.length.unwrap_or(1);
        if self.length.is_some() && at >= length {
            self.sum.subtract(&seconds[at - length]);
        }
        (at + 1 >= length)
            .then(|| self.sum.measured(metric))
            .flatten()
    }
}

/// A second that is as long as this counts as one.
const WHOLE_S: f64 = 0.95;

/// The seconds that are whole: the last one of a run ends when the run does, which is a little before or after a whole second.
fn whole(seconds: &[Interval]) -> &[Interval] {
    match seconds {
        [before @ .., last] if last.duration_s < WHOLE_S => before,
        _ => seconds,
    }
}

/// The figure in the window that is worst for the threshold.
pub(super) fn worst(threshold: &Threshold, over_s: u16, seconds: &[Interval]) -> Option<f64> {
    let seconds = whole(seconds);
    let mut window = Window::new(Some(over_s));
    (0..seconds.len())
        .filter_map(|at| window.advance(seconds, at, threshold.metric))
        .reduce(if threshold.is_upper() {
            f64::max
        } else {
            f64::min
        })
}

/// A threshold that ended a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Breach {
    /// What was broken.
    pub threshold: Threshold,
    /// The figure then.
    pub measured: f64,
    /// When it was noticed, in seconds from the beginning of the run.
    pub at_s: f64,
}

impl Breach {
    /// The verdict on its threshold, whatever came after.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        Verdict {
            threshold: self.threshold.clone(),
            measured: Some(self.measured),
            holds: false,
            needed: None,
        }
    }
}

/// Watches those thresholds of a run that should end it.
pub struct Watch {
    windows: Vec<(Threshold, Window)>,
    seen: usize,
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch")
            .field("seen", &self.seen)
            .finish_non_exhaustive()
    }
}

impl Watch {
    /// Of these, those with `abort` are watched.
    #[must_use]
    pub fn new(thresholds: &[Threshold]) -> Self {
        Self {
            windows: thresholds
                .iter()
                .filter(|threshold| threshold.aborts)
                .map(|threshold| (threshold.clone(), Window::new(threshold.over_s)))
                .collect(),
            seen: 0,
        }
    }

    /// Looks at the seconds that are over, all of them each time, as [`Run::intervals`](crate::Run::intervals) gives them. The
    /// first that was broken, in which case the run should be cancelled.
    pub fn look(&mut self, seconds: &[Interval]) -> Option<Breach> {
        let seconds = whole(seconds);
        while let Some(second) = seconds.get(self.seen) {
            let at = self.seen;
            self.seen += 1;
            for (threshold, window) in &mut self.windows {
                let measured = window.advance(seconds, at, threshold.metric);
                if let Some(measured) = measured.filter(|value| !threshold.holds(*value)) {
                    return Some(Breach {
                        threshold: threshold.clone(),
                        measured,
                        at_s: second.until_s,
                    });
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};

    use super::*;

    fn second(at: usize, ok: u64, errors: u64, us: u64) -> Interval {
        let mut response = record::histogram();
        response.saturating_record_n(us, ok);
        Interval::new(at as f64 + 1.0, 1.0, (ok, errors), &response)
    }

    fn threshold(text: &str) -> Threshold {
        text.parse().unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn the_worst_window_is_that_of_all_windows_made_anew() {
        let mut random = StdRng::seed_from_u64(5);
        let seconds: Vec<_> = (0..60)
            .map(|at| {
                second(
                    at,
                    random.random_range(0..50),
                    random.random_range(0..5),
                    random.random_range(1..100_000),
                )
            })
            .collect();
        for (text, metric) in [
            (
                "p99 < 1ms over 7s",
                Metric::Time(Series::Response, Stat::Percentile(9_900)),
            ),
            (
                "p50 > 1ms over 7s",
                Metric::Time(Series::Response, Stat::Percentile(5_000)),
            ),
            (
                "mean < 1ms over 7s",
                Metric::Time(Series::Response, Stat::Mean),
            ),
            (
                "max < 1ms over 7s",
                Metric::Time(Series::Response, Stat::Max),
            ),
            ("error_rate < 1% over 7s", Metric::ErrorRate),
            ("rate >= 1/s over 7s", Metric::Rate),
        ] {
            let threshold = threshold(text);
            let all: Vec<f64> = seconds
                .windows(7)
                .filter_map(|window| {
                    let mut sum = Sum::new();
                    window.iter().for_each(|second| sum.add(second));
                    sum.measured(metric)
                })
                .collect();
            assert_eq!(all.len(), 54);
            let wanted = if threshold.is_upper() {
                all.iter().copied().fold(f64::MIN, f64::max)
            } else {
                all.iter().copied().fold(f64::MAX, f64::min)
            };
            let found = worst(&threshold, 7, &seconds).expect("a figure");
            assert!((found - wanted).abs() < 1e-9, "{text}: {found} {wanted}");
        }
    }

    #[test]
    fn a_spike_breaks_its_window_and_not_the_whole() {
        let seconds: Vec<_> = (0..20)
            .map(|at| second(at, 100, if at == 12 { 30 } else { 0 }, 1_000))
            .collect();
        let percent = |text: &str| {
            let threshold = threshold(text);
            worst(&threshold, threshold.over_s.expect("a window"), &seconds)
        };
        // 30 of 230, and 30 of 2,030.
        assert!(
            percent("error_rate < 2% over 2s").is_some_and(|value| (13.0..13.1).contains(&value))
        );
        assert!(percent("error_rate < 2% over 20s").is_some_and(|value| value < 1.5));
        assert_eq!(percent("error_rate < 2% over 21s"), None);
    }

    #[test]
    fn a_rest_is_no_window_and_one_without_answers_has_no_percentile() {
        let mut seconds = vec![
            second(0, 10, 0, 500),
            second(1, 0, 0, 1),
            second(2, 10, 0, 900),
        ];
        let mut rest = second(3, 1, 0, 900_000);
        rest.duration_s = 0.2;
        seconds.push(rest);
        assert_eq!(
            worst(&threshold("p50 < 1ms over 1s"), 1, &seconds),
            Some(0.9)
        );
        assert_eq!(
            worst(&threshold("p50 > 1ms over 1s"), 1, &seconds),
            Some(0.5)
        );
        assert_eq!(
            worst(&threshold("rate > 1/s over 1s"), 1, &seconds),
            Some(0.0)
        );
    }

    #[test]
    fn a_watch_tells_the_first_breach_and_only_of_thresholds_that_abort() {
        let mut seconds = Vec::new();
        let mut watch = Watch::new(&[
            threshold("p50 < 1us"),
            threshold("error_rate < 10% over 3s abort"),
            threshold("rate > 5/s abort"),
        ]);
        for at in 0..9 {
            seconds.push(second(at, 10, if at < 6 { 0 } else { 2 }, 1_000));
            let breach = watch.look(&seconds);
            // 2 of 32, 4 of 34: more than a tenth with the second bad second.
            assert_eq!(breach.is_some(), at == 7, "{at} {breach:?}");
            if let Some(breach) = breach {
                assert_eq!(
                    breach.threshold,
                    threshold("error_rate < 10% over 3s abort")
                );
                assert_eq!(breach.at_s, 8.0);
                assert!(!breach.verdict().holds);
                break;
            }
        }
        let mut watch = Watch::new(&[threshold("rate > 5/s abort")]);
        let idle: Vec<_> = (0..3).map(|at| second(at, [9, 9, 0][at], 0, 1)).collect();
        assert_eq!(watch.look(&idle), None, "6 a second all in all");
        let idle: Vec<_> = (0..3).map(|at| second(at, [9, 5, 0][at], 0, 1)).collect();
        let breach = Watch::new(&[threshold("rate > 5/s abort")]).look(&idle);
        assert!(
            breach.as_ref().is_some_and(|breach| breach.at_s == 3.0),
            "{breach:?}"
        );
    }
}
