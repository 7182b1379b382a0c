//! The guard: what is done when memory runs short. Gives back what caches hold, then refuses a share of the requests.

mod exempt;
mod state;

use std::time::Duration;

use http::{
    HeaderValue, Response, StatusCode,
    header::{CONTENT_LENGTH, RETRY_AFTER},
};
use serde::Serialize;
use thiserror::Error;

pub(super) use self::{
    exempt::Exempt,
    state::{Limits, Pressed},
};

/// Share of the limit from which caches are shrunk and free memory is given back, unless told otherwise.
pub const DEFAULT_SOFT_PERCENT: f64 = 80.0;
/// Share of the limit from which requests are refused, unless told otherwise.
pub const DEFAULT_HARD_PERCENT: f64 = 95.0;
/// Share of the requests that are refused past the hard limit unless told otherwise.
pub const DEFAULT_SHED_SHARE: f64 = 0.5;
/// What a refusal tells a client to wait unless told otherwise.
pub const DEFAULT_RETRY_AFTER: Duration = Duration::from_secs(5);
/// A limit that was passed counts as passed until the figure is so much of the limit below it: 3 %.
pub const HYSTERESIS_PERCENT: f64 = 3.0;
/// Paths that are never refused unless told otherwise.
pub const DEFAULT_EXEMPT: [&str; 4] = ["/health*", "/livez*", "/readyz*", "*/health"];
/// Patterns of exempt paths at most.
pub const MAX_EXEMPT: usize = 64;

/// Settings of the guard.
///
/// Past the soft limit caches give back a share of what they hold ([`MemoryHandle::register_shrink`](super::MemoryHandle::register_shrink)) and the
/// allocator what it holds free. Past the hard limit a share of the requests is answered `503` with `Retry-After`, before it
/// reaches a handler. Both are by default shares of the control group's limit, whose working set then counts; limits in bytes
/// count against the resident set size of the process. Looked at with each sample; a request pays one relaxed load.
///
/// ```
/// use pitcrew::{MemoryLayer, memory::Guard};
///
/// # fn build() -> Result<(), pitcrew::memory::GuardError> {
/// let (layer, handle) = MemoryLayer::builder()
///     .guard(Guard::new().soft_bytes(6 << 30).hard_bytes(7 << 30).exempt("/health*"))
///     .try_build()?;
/// # drop((layer, handle));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Guard {
    soft: Limit,
    hard: Limit,
    shed_share: f64,
    retry_after: Duration,
    exempt: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Limit {
    Percent(f64),
    Bytes(u64),
}

impl Default for Guard {
    fn default() -> Self {
        Self::new()
    }
}

impl Guard {
    /// 80 % and 95 % of the control group's limit; half of the requests are refused past the second.
    #[must_use]
    pub fn new() -> Self {
        Self {
            soft: Limit::Percent(DEFAULT_SOFT_PERCENT),
            hard: Limit::Percent(DEFAULT_HARD_PERCENT),
            shed_share: DEFAULT_SHED_SHARE,
            retry_after: DEFAULT_RETRY_AFTER,
            exempt: DEFAULT_EXEMPT.map(str::to_owned).to_vec(),
        }
    }

    /// The soft limit as a share of the control group's limit, above 0 and at most 100. Default [`DEFAULT_SOFT_PERCENT`].
    #[must_use]
    pub fn soft_percent(mut self, percent: f64) -> Self {
        self.soft = Limit::Percent(percent);
        self
    }

    /// The hard limit likewise. Default [`DEFAULT_HARD_PERCENT`].
    #[must_use]
    pub fn hard_percent(mut self, percent: f64) -> Self {
        self.hard = Limit::Percent(percent);
        self
    }

    /// The soft limit in bytes of the resident set size.
    #[must_use]
    pub fn soft_bytes(mut self, bytes: u64) -> Self {
        self.soft = Limit::Bytes(bytes);
        self
    }

    /// The hard limit in bytes of the resident set size; never above the control group's limit.
    #[must_use]
    pub fn hard_bytes(mut self, bytes: u64) -> Self {
        self.hard = Limit::Bytes(bytes);
        self
    }

    /// The share of requests that is refused past the hard limit, above 0 and at most 1. Default [`DEFAULT_SHED_SHARE`].
    #[must_use]
    pub fn shed_share(mut self, share: f64) -> Self {
        self.shed_share = share;
        self
    }

    /// What `Retry-After` says; whole seconds, at least 1. Default [`DEFAULT_RETRY_AFTER`].
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = wait;
        self
    }

    /// Paths that are never refused, beside [`DEFAULT_EXEMPT`]: `*` stands for any run of characters, slashes included.
    /// Matched against the path as this layer sees it. At most [`MAX_EXEMPT`].
    #[must_use]
    pub fn exempt(mut self, pattern: &str) -> Self {
        self.exempt.push(pattern.to_owned());
        self
    }

    /// Checks the settings against what the process and its group are now.
    pub(super) fn check(
        &self,
        group_limit: Option<u64>,
        working_set: Option<u64>,
        rss: Option<u64>,
    ) -> Result<Checked, GuardError> {
        if !(self.shed_share > 0.0 && self.shed_share <= 1.0) {
            return Err(GuardError::ShedShare(self.shed_share));
        }
        if self.exempt.len() > MAX_EXEMPT {
            return Err(GuardError::TooManyExempt(self.exempt.len()));
        }
        let bytes = |limit: Limit| match limit {
            Limit::Bytes(bytes) => Ok(bytes),
            Limit::Percent(percent) if !(percent > 0.0 && percent <= 100.0) => {
                Err(GuardError::Percent(percent))
            }
            Limit::Percent(percent) => {
                let limit = group_limit.ok_or(GuardError::NoLimit)?;
                Ok((limit as f64 * percent / 100.0) as u64)
            }
        };
        let (soft, hard) = (bytes(self.soft)?, bytes(self.hard)?);
        if soft > hard || hard == 0 {
            return Err(GuardError::Order { soft, hard });
        }
        if let Some(limit) = group_limit.filter(|limit| hard > *limit) {
            return Err(GuardError::AboveGroup { hard, limit });
        }
        let by_group = [self.soft, self.hard].map(|limit| matches!(limit, Limit::Percent(_)));
        for (limit, by_group) in [soft, hard].into_iter().zip(by_group) {
            let now = if by_group { working_set } else { rss };
            if let Some(now) = now.filter(|now| *now >= limit) {
                return Err(GuardError::BelowPresent { limit, now });
            }
        }
        Ok(Checked {
            limits: Limits {
                soft,
                hard,
                soft_by_group: by_group[0],
                hard_by_group: by_group[1],
            },
            shed_share: self.shed_share,
            refusal: Refusal {
                retry_after_s: u32::try_from(self.retry_after.as_secs().max(1)).unwrap_or(u32::MAX),
            },
            exempt: Exempt::new(&self.exempt),
        })
    }
}

/// Settings that hold together.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) limits: Limits,
    pub(super) shed_share: f64,
    pub(super) refusal: Refusal,
    pub(super) exempt: Exempt,
}

/// Why a guard cannot be built.
#[derive(Clone, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum GuardError {
    /// A share of the control group's limit was asked for, and there is none.
    #[error(
        "the control group of this process has no memory limit to take a share of: set one (docker run --memory, \
         resources.limits.memory, MemoryMax=), or give the guard limits by soft_bytes and hard_bytes"
    )]
    NoLimit,
    /// A share that is not a share.
    #[error("{0} % is no share of a limit: give one above 0 and at most 100")]
    Percent(f64),
    /// A share of requests that is not a share.
    #[error("shed_share {0} is no share of the requests: give one above 0 and at most 1")]
    ShedShare(f64),
    /// The soft limit stands above the hard one, or the hard one is 0.
    #[error(
        "the soft limit ({soft} bytes) must not be above the hard one ({hard} bytes), and that not 0"
    )]
    #[allow(missing_docs)]
    Order { soft: u64, hard: u64 },
    /// The hard limit stands above the group's: the kernel would kill first.
    #[error(
        "the hard limit ({hard} bytes) is above the control group's ({limit} bytes), where the kernel kills: lower it, or leave \
         it at its default of 95 %"
    )]
    #[allow(missing_docs)]
    AboveGroup { hard: u64, limit: u64 },
    /// More is in use already.
    #[error(
        "a limit of {limit} bytes is passed already: {now} bytes are in use while the layer is built; raise the limit or give \
         the process more memory"
    )]
    #[allow(missing_docs)]
    BelowPresent { limit: u64, now: u64 },
    /// More patterns than are looked through for a request.
    #[error("{0} exempt patterns are too many: give 64 at most, a `*` stands for many paths")]
    TooManyExempt(usize),
}

/// What the guard does now.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct GuardStatus {
    /// `calm`, `soft` or `hard`.
    pub level: &'static str,
    /// Bytes in use that count against the soft limit.
    pub used_bytes: Option<u64>,
    /// The soft limit.
    pub soft_limit_bytes: u64,
    /// The hard limit.
    pub hard_limit_bytes: u64,
    /// Requests refused so far.
    pub refused: u64,
    /// Times that the soft limit was passed.
    pub soft_passed: u64,
    /// Times that the hard limit was passed.
    pub hard_passed: u64,
    /// The same in a sentence.
    pub detail: String,
}

impl GuardStatus {
    pub(super) fn new(limits: &Limits, pressed: Pressed, used: Option<u64>, refused: u64) -> Self {
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        let level = match pressed {
            Pressed { hard: true, .. } => "hard",
            Pressed { soft: true, .. } => "soft",
            _ => "calm",
        };
        let now = used.map_or_else(
            || "what is in use is not known".to_owned(),
            |used| format!("{:.0} MiB are in use", mib(used)),
        );
        let does = match level {
            "hard" => "requests are being refused",
            "soft" => "caches give back what they can",
            _ => "nothing has to be done",
        };
        Self {
            level,
            used_bytes: used,
            soft_limit_bytes: limits.soft,
            hard_limit_bytes: limits.hard,
            refused,
            soft_passed: pressed.soft_passed,
            hard_passed: pressed.hard_passed,
            detail: format!(
                "{now}, the soft limit is {:.0} MiB and the hard one {:.0} MiB: {does}",
                mib(limits.soft),
                mib(limits.hard)
            ),
        }
    }
}

/// The answer to a refused request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Refusal {
    retry_after_s: u32,
}

impl Refusal {
    /// RFC 9110, 15.6.4: a server that is overloaded may say when to come back.
    pub(super) fn response(self) -> Response<()> {
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        let headers = response.headers_mut();
        headers.insert(RETRY_AFTER, HeaderValue::from(self.retry_after_s));
        headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(guard: &Guard) -> Result<Checked, GuardError> {
        guard.check(Some(1_000), Some(100), Some(50))
    }

    #[test]
    fn the_defaults_are_shares_of_the_groups_limit() {
        let checked = check(&Guard::new()).unwrap();
        assert_eq!((checked.limits.soft, checked.limits.hard), (800, 950));
        let without = Guard::new().check(None, None, Some(50)).unwrap_err();
        assert_eq!(without, GuardError::NoLimit);
        assert!(without.to_string().contains("soft_bytes and hard_bytes"));
    }

    #[test]
    fn what_does_not_hold_together_is_refused_with_its_numbers() {
        let cases = [
            (Guard::new().soft_percent(0.0), GuardError::Percent(0.0)),
            (Guard::new().hard_percent(101.0), GuardError::Percent(101.0)),
            (Guard::new().shed_share(0.0), GuardError::ShedShare(0.0)),
            (Guard::new().shed_share(1.1), GuardError::ShedShare(1.1)),
            (
                Guard::new().soft_bytes(960),
                GuardError::Order {
                    soft: 960,
                    hard: 950,
                },
            ),
            (
                Guard::new().soft_bytes(0).hard_bytes(0),
                GuardError::Order { soft: 0, hard: 0 },
            ),
            (
                Guard::new().hard_bytes(1_001),
                GuardError::AboveGroup {
                    hard: 1_001,
                    limit: 1_000,
                },
            ),
            (
                Guard::new().soft_bytes(40),
                GuardError::BelowPresent { limit: 40, now: 50 },
            ),
            (
                Guard::new().soft_percent(10.0),
                GuardError::BelowPresent {
                    limit: 100,
                    now: 100,
                },
            ),
        ];
        for (guard, wanted) in cases {
            let error = check(&guard).unwrap_err();
            assert_eq!(error, wanted, "{guard:?}");
            assert!(!error.to_string().is_empty());
        }
        assert!(matches!(
            check(&Guard::new().soft_percent(f64::NAN)),
            Err(GuardError::Percent(_))
        ));
        assert!(matches!(
            check(&Guard::new().shed_share(f64::NAN)),
            Err(GuardError::ShedShare(_))
        ));
        let many = (0..100).fold(Guard::new(), |guard, n| guard.exempt(&format!("/{n}")));
        assert_eq!(check(&many).unwrap_err(), GuardError::TooManyExempt(104));
    }
}
