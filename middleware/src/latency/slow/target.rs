//! [`Target`]: how long requests of a route may take.

use std::time::Duration;

use crate::latency::{buckets::LONGEST, routes::RouteGlob};

/// Targets of one layer.
pub const MAX_TARGETS: usize = 64;

/// How long a share of a route's requests may take at most.
///
/// ```
/// use std::time::Duration;
/// use pitcrew::latency::Target;
///
/// # fn targets() -> Result<(), pitcrew::latency::TargetError> {
/// let target = Target::new("GET /orders/*", 0.95, Duration::from_millis(200))?;
/// # drop(target);
/// # Ok(())
/// # }
/// # targets().unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct Target {
    pub(super) routes: RouteGlob,
    pub(super) quantile: f64,
    pub(super) limit: Duration,
}

/// Why a target is none.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TargetError {
    /// The quantile is none between 0 and 1.
    #[error("a target wants a quantile between 0 and 1, like 0.95, not {0}")]
    Quantile(f64),
    /// The limit is 0, or longer than what histograms tell apart.
    #[error("a target wants a limit above 0 and up to {LONGEST:?}, not {0:?}")]
    Limit(Duration),
    /// The glob is empty, or longer than 1,024 bytes.
    #[error("a target wants a route or a glob like `/orders/*`, of at most 1,024 bytes")]
    Routes,
}

impl Target {
    /// `quantile` of the requests (0.95 is the 95th percentile) that `routes` names take at most `limit`. `routes` is a route template or a glob
    /// (`*` any run of characters, `?` any one); with a space in it, it is held against `METHOD /route`. Each route is judged by itself.
    ///
    /// # Errors
    ///
    /// A quantile that is not between 0 and 1, a limit of 0 or above an hour, no routes.
    pub fn new(routes: &str, quantile: f64, limit: Duration) -> Result<Self, TargetError> {
        // Of NaN nothing is true.
        if !(quantile > 0.0 && quantile < 1.0) {
            return Err(TargetError::Quantile(quantile));
        }
        if limit.is_zero() || limit > LONGEST {
            return Err(TargetError::Limit(limit));
        }
        let routes = RouteGlob::new(routes);
        if !routes.is_usable() {
            return Err(TargetError::Routes);
        }
        Ok(Self {
            routes,
            quantile,
            limit,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absurd_targets_are_errors_that_say_what_is_wanted() {
        let ms = Duration::from_millis(5);
        for quantile in [0.0, 1.0, -0.5, 1.5, 95.0, f64::NAN, f64::INFINITY] {
            let error = Target::new("/a", quantile, ms).unwrap_err();
            assert!(error.to_string().contains("between 0 and 1"), "{error}");
        }
        for limit in [Duration::ZERO, LONGEST + ms, Duration::MAX] {
            let error = Target::new("/a", 0.5, limit).unwrap_err();
            assert_eq!(error, TargetError::Limit(limit));
        }
        assert_eq!(Target::new("  ", 0.5, ms).unwrap_err(), TargetError::Routes);
        assert!(Target::new("/a", 0.5, LONGEST).is_ok());
    }
}
