//! A run's figures second by second.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::engine::{Figures, MAX_FIGURES};
use crate::packed::Packed;
use crate::percentiles::ms;
use crate::record::Recorder;

/// One second of a run. A request counts in the second in which it ended, to a tenth.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Interval {
    /// Its end, in seconds from the beginning of the run.
    pub until_s: f64,
    /// How long it was, in seconds.
    pub duration_s: f64,
    /// Good answers.
    pub ok: u64,
    /// Requests without one.
    pub errors: u64,
    /// Median response time of good answers, in milliseconds; 0 without any, as the following ones.
    pub p50_ms: f64,
    /// 95th percentile.
    pub p95_ms: f64,
    /// 99th percentile.
    pub p99_ms: f64,
    /// The highest.
    pub max_ms: f64,
    /// Bytes of response bodies.
    pub body_bytes: u64,
    /// Requests that were sent and not answered yet at its end.
    pub in_flight: u64,
    /// CPU time that the run's own threads took in it, in seconds.
    pub cpu_s: f64,
    /// What an observer told of the target, each the mean of what was told in this second. Not there where nothing was.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub observed: BTreeMap<String, f64>,
    /// Response times of good answers: windows, heat map and merge are made of them.
    #[serde(skip)]
    pub(crate) response: Packed,
}

impl Interval {
    pub(crate) fn new(
        until_s: f64,
        duration_s: f64,
        (ok, errors): (u64, u64),
        response: &Histogram<u64>,
    ) -> Self {
        let quantile = |q| {
            if response.is_empty() {
                0.0
            } else {
                ms(response.value_at_quantile(q))
            }
        };
        Self {
            until_s: to_the_microsecond(until_s),
            duration_s: to_the_microsecond(duration_s),
            ok,
            errors,
            p50_ms: quantile(0.5),
            p95_ms: quantile(0.95),
            p99_ms: quantile(0.99),
            max_ms: quantile(1.0),
            body_bytes: 0,
            in_flight: 0,
            cpu_s: 0.0,
            observed: BTreeMap::new(),
            response: Packed::of(response),
        }
    }
}

/// Figures of the target within a second.
#[derive(Debug, Default)]
pub(crate) struct Observed(BTreeMap<String, (f64, f64)>);

impl Observed {
    pub(crate) fn add<'a>(&mut self, figures: impl Iterator<Item = (&'a str, f64)>) {
        for (name, value) in figures {
            let (sum, count) = self.0.entry(name.to_owned()).or_default();
            *sum += value;
            *count += 1.0;
        }
    }

    pub(crate) fn means(&self) -> BTreeMap<String, f64> {
        let all = self.0.iter();
        all.map(|(name, (sum, count))| (name.clone(), to_the_microsecond(sum / count)))
            // Of numbers as large as there are no mean can be told.
            .filter(|(_, mean)| mean.is_finite())
            .collect()
    }
}

/// What threads hand in is up to a tenth of a second old.
const SHORTEST: Duration = Duration::from_millis(100);

/// Six decimals are read from JSON as they were written; more need not be.
pub(crate) fn to_the_microsecond(seconds: f64) -> f64 {
    (seconds * 1e6).round() / 1e6
}

const LENGTH: Duration = Duration::from_secs(1);

/// The whole, and the seconds that are over: as many as a run is long, which its plan bounds.
#[derive(Debug)]
pub(crate) struct Series {
    pub(crate) total: Recorder,
    pub(crate) intervals: Vec<Interval>,
    /// What was told of the target and is not kept.
    pub(crate) observed_dropped: u64,
    observed: Observed,
    /// Names of the whole run.
    names: BTreeSet<String>,
    current: Recorder,
    current_begin: Duration,
    pub(crate) in_flight: u64,
}

impl Series {
    pub(crate) fn new() -> Self {
        Self {
            total: Recorder::new(),
            intervals: Vec::new(),
            observed_dropped: 0,
            observed: Observed::default(),
            names: BTreeSet::new(),
            current: Recorder::new(),
            current_begin: Duration::ZERO,
            in_flight: 0,
        }
    }

    /// Takes what a thread recorded up to now.
    /// `in_flight`: requests of all threads that were sent and not answered yet.
    pub(crate) fn take(&mut self, recorder: &Recorder, now: Duration, in_flight: u64) {
        self.in_flight = in_flight;
        self.total.merge(recorder);
        self.current.merge_whole(recorder);
        if now >= self.current_begin + LENGTH {
            self.close(now);
        }
    }

    /// Takes what a thread of one of several scenarios recorded. Their steps are not told apart here. `is_closed`: its service
    /// times are its response times, and the others have some of their own.
    pub(crate) fn take_of_scenario(
        &mut self,
        recorder: &Recorder,
        now: Duration,
        in_flight: u64,
        is_closed: bool,
    ) {
        self.in_flight = in_flight;
        self.total.merge_whole(recorder);
        if is_closed {
            // Same bounds on both sides, so nothing can be out of range.
            let _ = self.total.service_us.add(&recorder.response_us);
        }
        self.current.merge_whole(recorder);
        if now >= self.current_begin + LENGTH {
            self.close(now);
        }
    }

    /// Takes what was told of the target.
    pub(crate) fn observe(&mut self, figures: &Figures) {
        self.observed_dropped += figures.dropped;
        for (name, value) in &figures.told {
            if !self.names.contains(name) && self.names.len() >= MAX_FIGURES {
                self.observed_dropped += 1;
                continue;
            }
            self.names.insert(name.clone());
            self.observed.add(std::iter::once((name.as_str(), *value)));
        }
    }

    /// Closes what is left at the end. A rest so short that what is in it was seen before it began goes to the second before:
    /// a rate over it would mean nothing.
    pub(crate) fn end(&mut self, now: Duration) {
        if self.current.is_empty() {
            return;
        }
        if now < self.current_begin + SHORTEST
            && let Some(last) = self.intervals.pop()
        {
            last.response.add_to(&mut self.current.response_us);
            let (ok, errors) = (self.current.ok, self.current.failed());
            self.intervals.push(Interval {
                observed: last.observed,
                body_bytes: last.body_bytes + self.current.body_bytes,
                in_flight: self.in_flight,
                cpu_s: to_the_microsecond(last.cpu_s + self.current.cpu.as_secs_f64()),
                ..Interval::new(
                    now.as_secs_f64(),
                    last.duration_s + (now - self.current_begin).as_secs_f64(),
                    (last.ok + ok, last.errors + errors),
                    &self.current.response_us,
                )
            });
            return;
        }
        self.close(now);
    }

    fn close(&mut self, now: Duration) {
        self.intervals.push(Interval {
            observed: std::mem::take(&mut self.observed).means(),
            body_bytes: self.current.body_bytes,
            in_flight: self.in_flight,
            cpu_s: to_the_microsecond(self.current.cpu.as_secs_f64()),
            ..Interval::new(
                now.as_secs_f64(),
                (now - self.current_begin).as_secs_f64(),
                (self.current.ok, self.current.failed()),
                &self.current.response_us,
            )
        });
        self.current.clear();
        self.current_begin = now;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::record::{Answer, Sample};

    /// What a thread hands in: so many answers, each after a millisecond.
    fn recorder(count: u64) -> Recorder {
        let mut recorder = Recorder::new();
        let begin = Instant::now();
        for _ in 0..count {
            let outcome = Ok(Answer {
                status: Some(200),
                body_bytes: 0,
            });
            let sample = Sample {
                intended: begin,
                lag: None,
                sent: begin,
                ended: begin + Duration::from_millis(1),
                outcome,
            };
            recorder.record(&sample, false);
        }
        recorder
    }

    fn told(series: &Series) -> Vec<(f64, f64, u64)> {
        let seconds = series.intervals.iter();
        seconds
            .map(|second| (second.until_s, second.duration_s, second.ok))
            .collect()
    }

    #[test]
    fn what_ends_a_second_is_counted_in_it() {
        let mut series = Series::new();
        for tenth in 1..=12 {
            series.take(&recorder(10), Duration::from_millis(100 * tenth), 0);
        }
        series.end(Duration::from_millis(1_200));
        assert_eq!(told(&series), [(1.0, 1.0, 100), (1.2, 0.2, 20)]);
    }

    #[test]
    fn what_is_told_of_the_target_is_the_mean_of_each_second_and_bounded() {
        let mut series = Series::new();
        let told = |value: f64| {
            let mut figures = Figures::default();
            figures.set("memory_mb", value);
            figures
        };
        series.observe(&told(10.0));
        series.observe(&told(20.0));
        series.take(&recorder(1), Duration::from_millis(1_000), 0);
        series.observe(&told(30.0));
        series.take(&recorder(1), Duration::from_millis(2_000), 0);
        series.take(&recorder(1), Duration::from_millis(3_000), 0);
        let seconds = series.intervals.iter();
        let means: Vec<_> = seconds
            .map(|second| second.observed.get("memory_mb").copied())
            .collect();
        assert_eq!(means, [Some(15.0), Some(30.0), None]);
        // 31 more have a name each; what comes after them is counted.
        for number in 0..50 {
            let mut figures = Figures::default();
            figures.set(&format!("n{number}"), 1.0);
            figures.set("", 1.0);
            figures.set("memory_mb", f64::NAN);
            series.observe(&figures);
        }
        series.take(&recorder(1), Duration::from_millis(4_000), 0);
        assert_eq!(series.intervals[3].observed.len(), 31);
        assert_eq!(series.observed_dropped, 100 + 19);
    }

    #[test]
    fn a_rest_of_no_length_has_no_rate_of_its_own() {
        let mut series = Series::new();
        // Two threads hand in at the end; the first of them closes the second.
        series.take(&recorder(10), Duration::from_millis(1_000), 0);
        series.take(&recorder(7), Duration::from_millis(1_000), 0);
        series.end(Duration::from_millis(1_000));
        assert_eq!(told(&series), [(1.0, 1.0, 17)]);
        assert_eq!(series.intervals[0].response.unpacked().len(), 17);
        assert_eq!(series.total.ok, 17);
        // A run that is shorter still has its one second.
        let mut series = Series::new();
        series.take(&recorder(3), Duration::from_millis(2), 0);
        series.end(Duration::from_millis(2));
        assert_eq!(told(&series), [(0.002, 0.002, 3)]);
    }
}
