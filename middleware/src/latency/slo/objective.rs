//! [`Objective`]: what share of requests has to be good, and what good is.

use std::time::Duration;

use crate::latency::{
    StatusClass,
    buckets::{LONGEST, high, index_of},
    difference::Difference,
    histogram::nanos,
    routes::RouteGlob,
};

/// The period of an error budget unless told otherwise.
pub const DEFAULT_PERIOD: Duration = Duration::from_secs(30 * 24 * 3_600);
/// The shortest period: the slowest alert looks back as far.
pub const MIN_PERIOD: Duration = Duration::from_secs(3 * 24 * 3_600);
/// The longest period.
pub const MAX_PERIOD: Duration = Duration::from_secs(90 * 24 * 3_600);
/// Requests in an alert's long window below which it is held back, unless told otherwise. At ten requests an hour one failure burns a budget of
/// 0.1 % a hundred times too fast (Google, The Site Reliability Workbook, chapter 5, "Low-Traffic Services and Error Budget Alerting").
pub const DEFAULT_MIN_REQUESTS: u64 = 100;
/// Objectives of one layer. 23 KiB each, 41 with the longest period.
pub const MAX_OBJECTIVES: usize = 32;

/// A service level objective: the share of a route's requests that has to be good over a period.
///
/// ```
/// use std::time::Duration;
/// use pitcrew::latency::Objective;
///
/// # fn objectives() -> Result<(), pitcrew::latency::ObjectiveError> {
/// let fast = Objective::latency("GET /orders/*", Duration::from_millis(300), 0.99)?;
/// let up = Objective::availability("*", 0.999)?.period(Duration::from_secs(7 * 24 * 3_600))?;
/// # drop((fast, up));
/// # Ok(())
/// # }
/// # objectives().unwrap();
/// ```
///
/// | a request ends | latency | availability |
/// |---|---|---|
/// | 1xx to 4xx within the threshold | good | good |
/// | 1xx to 4xx later | bad | good |
/// | 5xx, or an error of the service or its body | not counted | bad |
/// | dropped before its head within the threshold | not counted | not counted |
/// | dropped before its head later: whoever gave up had waited too long | bad | not counted |
/// | its body left by the client | by its time to first byte | not counted |
/// | an event stream (`text/event-stream`), whoever ends it | by its time to first byte | as above |
///
/// A stream lasts as long as its client wants, and so does a body that its client leaves: how soon it began is what the service answers for.
///
/// Alerts are the SRE workbook's (table 5-8). With a target below some 94 % a total outage would burn too slowly for the fastest of them; so each fires
/// at the latest where nine of ten requests are bad.
///
/// The threshold is held against histograms, so it counts as the upper edge of the bucket that it falls in: at most 1/128 longer than what was said, and told
/// as `effective_threshold_ms`. A request of exactly the threshold is good.
#[derive(Clone, Debug)]
pub struct Objective {
    pub(super) routes: RouteGlob,
    pub(super) target: f64,
    pub(super) threshold: Option<Duration>,
    pub(super) period: Duration,
    pub(super) min_requests: u64,
    pub(super) name: Option<Box<str>>,
}

/// Why an objective is none.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ObjectiveError {
    /// The target is none between 0 and 1.
    #[error("an objective wants a target between 0 and 1, like 0.999 for 99.9 %, not {0}")]
    Target(f64),
    /// The threshold is 0, or longer than what histograms tell apart.
    #[error("a latency objective wants a threshold above 0 and up to {LONGEST:?}, not {0:?}")]
    Threshold(Duration),
    /// The period is too short or too long.
    #[error("an error budget wants a period from {MIN_PERIOD:?} to {MAX_PERIOD:?}, not {0:?}")]
    Period(Duration),
    /// The glob is empty, or longer than 1,024 bytes.
    #[error("an objective wants a route or a glob like `/orders/*`, of at most 1,024 bytes")]
    Routes,
}

/// What a difference adds to an objective.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) total: u64,
    pub(super) bad: u64,
}

impl Tally {
    pub(super) fn add(&mut self, other: Self) {
        self.total += other.total;
        self.bad += other.bad;
    }
}

impl Objective {
    /// `target` of the requests (0.99 is 99 %) that `routes` names end within `threshold`. `routes` is a route template or a glob (`*` any run of
    /// characters, `?` any one); with a space in it, it is held against `METHOD /route`. All routes that it names share one budget.
    ///
    /// # Errors
    ///
    /// A target that is not between 0 and 1, a threshold of 0 or above an hour, no routes.
    pub fn latency(routes: &str, threshold: Duration, target: f64) -> Result<Self, ObjectiveError> {
        if threshold.is_zero() || threshold > LONGEST {
            return Err(ObjectiveError::Threshold(threshold));
        }
        Self::new(routes, Some(threshold), target)
    }

    /// `target` of the requests that `routes` names do not fail.
    ///
    /// # Errors
    ///
    /// A target that is not between 0 and 1, no routes.
    pub fn availability(routes: &str, target: f64) -> Result<Self, ObjectiveError> {
        Self::new(routes, None, target)
    }

    fn new(routes: &str, threshold: Option<Duration>, target: f64) -> Result<Self, ObjectiveError> {
        // Of NaN nothing is true.
        if !(target > 0.0 && target < 1.0) {
            return Err(ObjectiveError::Target(target));
        }
        let routes = RouteGlob::new(routes);
        if !routes.is_usable() {
            return Err(ObjectiveError::Routes);
        }
        Ok(Self {
            routes,
            target,
            threshold,
            period: DEFAULT_PERIOD,
            min_requests: DEFAULT_MIN_REQUESTS,
            name: None,
        })
    }

    /// The period of its error budget. Default [`DEFAULT_PERIOD`]. What the layer has counted lives in this process: after a restart the period begins anew,
    /// and reports say how much of it they cover.
    ///
    /// # Errors
    ///
    /// One below [`MIN_PERIOD`] or above [`MAX_PERIOD`].
    pub fn period(mut self, period: Duration) -> Result<Self, ObjectiveError> {
        if !(MIN_PERIOD..=MAX_PERIOD).contains(&period) {
            return Err(ObjectiveError::Period(period));
        }
        self.period = period;
        Ok(self)
    }

    /// Requests in an alert's long window below which it is held back. Default [`DEFAULT_MIN_REQUESTS`].
    #[must_use]
    pub fn min_requests(mut self, min_requests: u64) -> Self {
        self.min_requests = min_requests;
        self
    }

    /// What it is called in reports. By default its routes and what it wants of them.
    #[must_use]
    pub fn name(mut self, name: &str) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The threshold that requests are held against.
    pub(super) fn effective_threshold(&self) -> Option<Duration> {
        self.threshold
            .map(|threshold| high(index_of(nanos(threshold))))
    }

    pub(super) fn label(&self) -> String {
        if let Some(name) = &self.name {
            return name.to_string();
        }
        let percent = percent(self.target);
        let routes = self.routes.as_str();
        match self.threshold {
            Some(threshold) => format!("{percent} of {routes} within {threshold:?}"),
            None => format!("{percent} of {routes} without failure"),
        }
    }

    pub(super) fn tally(&self, difference: &Difference) -> Tally {
        let total = difference.sums.count();
        let class = difference.key.class;
        let Some(threshold) = self.threshold else {
            return match class {
                StatusClass::Aborted => Tally::default(),
                class => Tally {
                    total,
                    bad: if class.is_failure() { total } else { 0 },
                },
            };
        };
        if class.is_failure() {
            return Tally::default();
        }
        let sums = &difference.sums;
        let times = if difference.is_by_head {
            &sums.first_byte
        } else {
            &sums.body_end
        };
        let bad = total.saturating_sub(times.count_at_or_below(threshold));
        let has_head = class != StatusClass::Aborted || difference.is_by_head;
        Tally {
            total: if has_head { total } else { bad },
            bad,
        }
    }
}

/// `99.9 %`.
pub(super) fn percent(share: f64) -> String {
    format!("{} %", (share * 1e8).round() / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absurd_objectives_are_errors_that_say_what_is_wanted() {
        let ms = Duration::from_millis(300);
        for target in [
            0.0,
            1.0,
            1.1,
            99.9,
            -0.1,
            f64::NAN,
            f64::INFINITY,
            f64::NEG_INFINITY,
        ] {
            let error = Objective::availability("/a", target).unwrap_err();
            assert!(matches!(error, ObjectiveError::Target(_)));
            assert!(error.to_string().contains("between 0 and 1"), "{error}");
            assert!(Objective::latency("/a", ms, target).is_err());
        }
        for threshold in [Duration::ZERO, LONGEST + ms, Duration::MAX] {
            let error = Objective::latency("/a", threshold, 0.9).unwrap_err();
            assert_eq!(error, ObjectiveError::Threshold(threshold));
        }
        for period in [
            Duration::ZERO,
            MIN_PERIOD - ms,
            MAX_PERIOD + ms,
            Duration::MAX,
        ] {
            let objective = Objective::availability("/a", 0.9).unwrap();
            assert_eq!(
                objective.period(period).unwrap_err(),
                ObjectiveError::Period(period)
            );
        }
        for routes in ["", "  ", &"a".repeat(2_000)] {
            assert_eq!(
                Objective::availability(routes, 0.9).unwrap_err(),
                ObjectiveError::Routes
            );
        }
        let objective = Objective::availability("/a", 0.9).unwrap();
        assert!(
            objective.clone().period(MIN_PERIOD).is_ok() && objective.period(MAX_PERIOD).is_ok()
        );
    }

    #[test]
    fn it_names_itself() {
        let objective = Objective::latency("/a*", Duration::from_millis(300), 0.995).unwrap();
        assert_eq!(objective.label(), "99.5 % of /a* within 300ms");
        assert_eq!(objective.name("fast").label(), "fast");
        let objective = Objective::availability("GET /a", 0.99999).unwrap();
        assert_eq!(objective.label(), "99.999 % of GET /a without failure");
    }
}
