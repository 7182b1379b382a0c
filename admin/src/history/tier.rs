//! Points of one length.

use std::collections::VecDeque;

use crate::observe::metrics::{METRICS, Sample};

/// How long a point is, and how many there are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step {
    pub(crate) name: &'static str,
    pub(crate) seconds: i64,
    pub(crate) points: usize,
}

/// The shortest first.
pub(crate) const STEPS: [Step; 3] = [
    Step {
        name: "second",
        seconds: 1,
        points: 3_600,
    },
    Step {
        name: "minute",
        seconds: 60,
        points: 24 * 60,
    },
    Step {
        name: "hour",
        seconds: 3_600,
        points: 365 * 24,
    },
];

/// The figures of one stretch of time.
#[derive(Debug, Clone)]
pub(crate) struct Point {
    /// When it began, in seconds since 1970.
    pub(crate) unix_s: i64,
    pub(crate) mean: Sample,
    pub(crate) max: Sample,
}

#[derive(Debug)]
pub(super) struct Tier {
    pub(super) step: Step,
    times: VecDeque<i64>,
    means: VecDeque<Sample>,
    /// Empty where a point is one sample.
    maxima: VecDeque<Sample>,
    open: Option<Open>,
}

/// A point under way.
#[derive(Debug)]
struct Open {
    unix_s: i64,
    sums: [f64; METRICS.len()],
    counts: [u32; METRICS.len()],
    max: Sample,
}

impl Open {
    fn point(&self) -> Point {
        let mean = std::array::from_fn(|place| {
            // None known is zero by zero: not a number.
            (self.sums[place] / f64::from(self.counts[place])) as f32
        });
        Point {
            unix_s: self.unix_s,
            mean,
            max: self.max,
        }
    }
}

impl Tier {
    pub(super) fn new(step: Step) -> Self {
        Self {
            step,
            times: VecDeque::new(),
            means: VecDeque::new(),
            maxima: VecDeque::new(),
            open: None,
        }
    }

    pub(super) fn add(&mut self, unix_s: i64, sample: &Sample) {
        let begin = unix_s - unix_s.rem_euclid(self.step.seconds);
        if let Some(open) = self.open.take_if(|open| open.unix_s != begin) {
            self.close(&open.point());
        }
        let open = self.open.get_or_insert(Open {
            unix_s: begin,
            sums: [0.0; METRICS.len()],
            counts: [0; METRICS.len()],
            max: [f32::NAN; METRICS.len()],
        });
        for (place, value) in sample.iter().enumerate() {
            if value.is_finite() {
                open.sums[place] += f64::from(*value);
                open.counts[place] += 1;
                open.max[place] = open.max[place].max(*value);
            }
        }
    }

    fn close(&mut self, point: &Point) {
        // With the one under way there are as many as the step says.
        while self.times.len() + 1 >= self.step.points {
            self.times.pop_front();
            self.means.pop_front();
            self.maxima.pop_front();
        }
        self.times.push_back(point.unix_s);
        self.means.push_back(point.mean);
        if self.step.seconds > 1 {
            self.maxima.push_back(point.max);
        }
    }

    pub(super) fn points(&self, since: i64, until: i64) -> Vec<Point> {
        let closed = self.times.iter().zip(&self.means).enumerate();
        let closed = closed.map(|(place, (unix_s, mean))| Point {
            unix_s: *unix_s,
            mean: *mean,
            max: *self.maxima.get(place).unwrap_or(mean),
        });
        let open = self.open.iter().map(Open::point);
        closed
            .chain(open)
            .filter(|point| (since..until).contains(&point.unix_s))
            .collect()
    }

    pub(super) fn closed_after(&self, unix_s: i64) -> Vec<Point> {
        let mut points = self.points(unix_s.saturating_add(1), i64::MAX);
        if let Some(open) = &self.open {
            points.retain(|point| point.unix_s < open.unix_s);
        }
        points
    }

    /// Puts points before those that there are, as far as there is room; what there is already stays as it is.
    pub(super) fn go_on(&mut self, mut points: Vec<Point>) {
        let first = self.times.front().copied();
        let first = first.or(self.open.as_ref().map(|open| open.unix_s));
        points.retain(|point| first.is_none_or(|first| point.unix_s < first));
        let room = self.step.points.saturating_sub(self.times.len() + 1);
        let fits = points.len().saturating_sub(room);
        for point in points.drain(fits..).rev() {
            self.times.push_front(point.unix_s);
            self.means.push_front(point.mean);
            self.maxima.push_front(point.max);
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.times.len() * size_of::<i64>()
            + (self.means.len() + self.maxima.len()) * size_of::<Sample>()
    }
}
