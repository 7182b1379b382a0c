//! What a verdict is made from: the least memory of each minute and hour, and the requests in it, bounded.

use std::{collections::VecDeque, time::Duration};

/// Minutes kept: a day.
const MINUTES: usize = 1_440;
/// Hours kept: thirty days.
const HOURS: usize = 720;
const MINUTE: Duration = Duration::from_secs(60);

/// One reading.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Observation {
    /// Monotonic time, from any origin.
    pub at: Duration,
    /// Live bytes where they are known, else the resident set size.
    pub bytes: u64,
    /// Requests since the process began; 0 where they are not counted.
    pub requests: u64,
}

impl Observation {
    /// At `at`, `bytes` were in use and `requests` had come.
    #[must_use]
    pub fn new(at: Duration, bytes: u64, requests: u64) -> Self {
        Self {
            at,
            bytes,
            requests,
        }
    }
}

/// One minute or hour. The least is what stays: garbage, buffers and requests in flight come on top of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Span {
    /// Minutes, or hours, since the origin of time.
    pub(super) index: u64,
    /// Least bytes.
    pub(super) floor: f64,
    /// Requests.
    pub(super) load: f64,
    /// Of an hour, the mean of its minutes' floors.
    pub(super) mean: f64,
    /// Minutes in it.
    count: u32,
}

#[derive(Debug, Default)]
pub(super) struct History {
    minutes: VecDeque<Span>,
    hours: VecDeque<Span>,
    open_minute: Option<Span>,
    open_hour: Option<Span>,
    requests_before: Option<u64>,
}

impl History {
    /// Answers whether a minute has ended.
    pub(super) fn push(&mut self, observation: Observation) -> bool {
        let minute = observation.at.as_secs() / MINUTE.as_secs();
        let before = self.requests_before.replace(observation.requests);
        let load = observation
            .requests
            .saturating_sub(before.unwrap_or(observation.requests)) as f64;
        let bytes = observation.bytes as f64;
        let Some(ended) = into(&mut self.open_minute, minute, bytes, load) else {
            return false;
        };
        keep(&mut self.minutes, MINUTES, ended);
        if let Some(hour) = into(
            &mut self.open_hour,
            ended.index / 60,
            ended.floor,
            ended.load,
        ) {
            keep(&mut self.hours, HOURS, hour);
        }
        true
    }

    /// Minutes since the first that is known.
    pub(super) fn span_minutes(&self) -> u64 {
        let first = match (self.hours.front(), self.minutes.front()) {
            (Some(hour), Some(minute)) => (hour.index * 60).min(minute.index),
            (_, Some(minute)) => minute.index,
            _ => return 0,
        };
        self.last()
            .map_or(0, |last| (last.index + 1).saturating_sub(first))
    }

    pub(super) fn last(&self) -> Option<&Span> {
        self.minutes.back()
    }

    /// The last `buckets * width` minutes as buckets, each the least of its minutes and the sum of its load. `None` where they
    /// reach back further than is known, or more than a fifth of the buckets have no minute.
    pub(super) fn minutes(&self, buckets: usize, width: u64) -> Option<Buckets> {
        Buckets::of(&self.minutes, buckets, width)
    }

    /// The same of all that are kept, a day at most.
    pub(super) fn all_minutes(&self, width: u64) -> Option<Buckets> {
        let kept = self.last()?.index + 1 - self.minutes.front()?.index;
        self.minutes((kept.min(MINUTES as u64) / width) as usize, width)
    }

    /// The same of hours.
    pub(super) fn hours(&self, buckets: usize, width: u64) -> Option<Buckets> {
        Buckets::of(&self.hours, buckets, width)
    }

    /// Mean rise a day from the hour that began `after` hours after the first that is known to the last; `None` below so many more.
    pub(super) fn daily_rise_since(&self, after: u64) -> Option<f64> {
        let begin = self.hours.front()?.index + after;
        let first = self.hours.iter().find(|hour| hour.index >= begin)?;
        let last = self.hours.back()?;
        let days = last.index.saturating_sub(first.index) as f64 / 24.0;
        (days * 24.0 >= after as f64).then(|| (last.mean - first.mean) / days)
    }

    /// The highest level of an hour among those that ended `minutes` minutes ago or before, as far back as `reach` hours.
    pub(super) fn highest_before(&self, minutes: u64, reach: u64) -> Option<f64> {
        let now = self.last()?.index;
        let end = now.saturating_sub(minutes) / 60;
        let begin = end.saturating_sub(reach);
        let hours = self.hours.iter();
        hours
            .filter(|hour| hour.index < end && hour.index >= begin)
            .map(|hour| hour.mean)
            .reduce(f64::max)
    }
}

/// Evenly spaced values.
#[derive(Clone, Debug)]
pub(super) struct Buckets {
    pub(super) floors: Vec<f64>,
    pub(super) loads: Vec<f64>,
}

impl Buckets {
    fn of(spans: &VecDeque<Span>, buckets: usize, width: u64) -> Option<Self> {
        let end = spans.back()?.index + 1;
        let begin = end.checked_sub(buckets as u64 * width)?;
        if spans.front()?.index > begin {
            return None;
        }
        let mut floors = vec![f64::INFINITY; buckets];
        let mut loads = vec![0.0; buckets];
        let first = spans.partition_point(|span| span.index < begin);
        for span in spans.range(first..) {
            let at = ((span.index - begin) / width) as usize;
            floors[at] = floors[at].min(span.floor);
            loads[at] += span.load;
        }
        let missing = floors.iter().filter(|floor| floor.is_infinite()).count();
        if missing * 5 > buckets || floors[0].is_infinite() {
            return None;
        }
        // A gap keeps what was before it.
        for at in 1..buckets {
            if floors[at].is_infinite() {
                floors[at] = floors[at - 1];
                loads[at] = loads[at - 1];
            }
        }
        Some(Self { floors, loads })
    }
}

/// Adds to the open span, or answers it where its time is over.
fn into(open: &mut Option<Span>, index: u64, bytes: f64, load: f64) -> Option<Span> {
    match open {
        Some(span) if span.index >= index => {
            span.floor = span.floor.min(bytes);
            span.load += load;
            span.count += 1;
            span.mean += (bytes - span.mean) / f64::from(span.count);
            None
        }
        _ => open.replace(Span {
            index,
            floor: bytes,
            load,
            mean: bytes,
            count: 1,
        }),
    }
}

fn keep(spans: &mut VecDeque<Span>, bound: usize, span: Span) {
    if spans.len() >= bound {
        spans.pop_front();
    }
    spans.push_back(span);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(minutes: u64) -> History {
        let mut history = History::default();
        for second in (0..=minutes * 60).step_by(20) {
            history.push(Observation::new(
                Duration::from_secs(second),
                1_000 + second / 60,
                second * 2,
            ));
        }
        history
    }

    #[test]
    fn minutes_and_hours_are_bounded_and_keep_the_least() {
        let history = filled(40 * 24 * 60);
        assert_eq!(
            (history.minutes.len(), history.hours.len()),
            (MINUTES, HOURS)
        );
        let span = history.span_minutes();
        assert!(
            (HOURS as u64 * 60..=HOURS as u64 * 60 + 60).contains(&span),
            "{span}"
        );
        let buckets = history.minutes(45, 2).unwrap();
        assert!(
            buckets
                .floors
                .windows(2)
                .all(|pair| pair[1] - pair[0] == 2.0)
        );
        assert!(buckets.loads.iter().all(|load| *load == 240.0));
    }

    #[test]
    fn what_reaches_back_too_far_or_has_gaps_is_none() {
        let mut history = filled(60);
        assert!(history.minutes(30, 2).is_some() && history.minutes(31, 2).is_none());
        // Two hours of sleep.
        for second in (180 * 60..200 * 60).step_by(20) {
            history.push(Observation::new(Duration::from_secs(second), 5_000, 0));
        }
        assert!(history.minutes(30, 2).is_none());
        assert!(history.minutes(9, 2).is_some());
    }

    #[test]
    fn time_that_stands_still_or_goes_back_opens_nothing() {
        let mut history = History::default();
        for second in [500, 100, 400, 0] {
            assert!(!history.push(Observation::new(Duration::from_secs(second), 1, 0)));
        }
        assert!(history.push(Observation::new(Duration::from_secs(u64::MAX / 4), 1, 0)));
        assert!(history.minutes(45, 2).is_none());
        assert!(history.hours(24, 1).is_none());
    }
}
