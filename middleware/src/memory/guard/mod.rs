//! The guard: what is done when memory runs short. Gives back what caches hold, then refuses a share of the requests.

mod error;
mod exempt;
mod state;
mod status;

use std::time::Duration;

use http::{
    HeaderValue, Response, StatusCode,
    header::{CONTENT_LENGTH, RETRY_AFTER},
};

pub use self::{error::GuardError, status::GuardStatus};
pub(super) use self::{
    exempt::Exempt,
    state::{InUse, Limit, Limits, Pressed},
};
use super::{sampler::Sample, snapshot::UnknownFigure};

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
/// Paths that are never refused. None with a `*` before its end: on a route like `/files/{*path}` a client could write such an
/// end by itself, and so pass the guard. A health route elsewhere is named by [`Guard::exempt`].
pub const DEFAULT_EXEMPT: [&str; 8] = [
    "/health",
    "/health/*",
    "/healthz",
    "/healthz/*",
    "/livez",
    "/livez/*",
    "/readyz",
    "/readyz/*",
];
/// Patterns of exempt paths at most, beside [`DEFAULT_EXEMPT`].
pub const MAX_EXEMPT: usize = 64;

/// Settings of the guard.
///
/// Past the soft limit caches give back a share of what they hold ([`MemoryHandle::register_shrink`](super::MemoryHandle::register_shrink)) and the
/// allocator what it holds free. Past the hard limit a share of the requests is answered `503` with `Retry-After`, before it
/// reaches a handler. Both are by default shares of the control group's limit as each sample tells it, whose working set then
/// counts; limits in bytes count against the resident set size of the process, and are lowered to the group's limit where that is
/// lowered below them. Looked at with each sample; a request pays one relaxed load. Nobody is refused for what is not known, nor
/// for a sample that is older than three intervals (2 s at least): a request then starts the sampler again.
///
/// ```
/// use pitcrew::{MemoryLayer, memory::Guard};
///
/// # fn build() -> Result<(), pitcrew::memory::BuildError> {
/// let (layer, handle) = MemoryLayer::builder()
///     .guard(Guard::new().soft_bytes(6 << 30).hard_bytes(7 << 30).exempt("/status/*"))
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
            exempt: Vec::new(),
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

    /// Paths that are never refused, beside [`DEFAULT_EXEMPT`]: `*` stands for any run of characters, slashes included, `?` for any
    /// one. Matched against the path as this layer sees it, which is the client's: a pattern like `*/health` also fits what a client
    /// asks of `/files/{*path}`, so give whole paths (`/api/health`). At most [`MAX_EXEMPT`].
    #[must_use]
    pub fn exempt(mut self, pattern: &str) -> Self {
        self.exempt.push(pattern.to_owned());
        self
    }

    /// Checks the settings against what the process and its group are now.
    pub(super) fn check(&self, sample: &Sample) -> Result<Checked, GuardError> {
        if !(self.shed_share > 0.0 && self.shed_share <= 1.0) {
            return Err(GuardError::ShedShare(self.shed_share));
        }
        if self.exempt.len() > MAX_EXEMPT {
            return Err(GuardError::TooManyExempt(self.exempt.len()));
        }
        let now = InUse::of(sample);
        for limit in [self.soft, self.hard] {
            let Limit::Percent(percent) = limit else {
                continue;
            };
            if !(percent > 0.0 && percent <= 100.0) {
                return Err(GuardError::Percent(percent));
            }
        }
        let bytes = |limit: Limit| match (limit.bytes(&now), limit) {
            // Not yet capped: what is above the group's limit is told.
            (_, Limit::Bytes(bytes)) => Ok(bytes),
            (Some(bytes), _) => Ok(bytes),
            (None, _) => Err(no_limit(sample)),
        };
        let (soft, hard) = (bytes(self.soft)?, bytes(self.hard)?);
        if now.group_limit == Some(0) {
            return Err(GuardError::GroupLimitZero);
        }
        if soft > hard || soft == 0 {
            return Err(GuardError::Order { soft, hard });
        }
        // A limit that is there and cannot be read may be lower than what was asked for. Where there is no group there is none.
        if let Some(unknown) = told(sample, "cgroup.limit_bytes") {
            return Err(GuardError::GroupLimitUnknown(unknown.reason.clone()));
        }
        if let Some(limit) = now.group_limit.filter(|limit| hard > *limit) {
            return Err(GuardError::AboveGroup { hard, limit });
        }
        for (limit, bytes) in [(self.soft, soft), (self.hard, hard)] {
            let Some(used) = limit.used(&now) else {
                let figure = match limit {
                    Limit::Percent(_) => "cgroup.working_set_bytes",
                    Limit::Bytes(_) => "process.rss_bytes",
                };
                let reason = "it is not told".to_owned();
                return Err(
                    unknown(sample, figure).unwrap_or(GuardError::Unknown { figure, reason })
                );
            };
            if used >= bytes {
                return Err(GuardError::BelowPresent {
                    limit: bytes,
                    now: used,
                });
            }
        }
        Ok(Checked {
            limits: Limits {
                soft: self.soft,
                hard: self.hard,
            },
            shed_share: self.shed_share,
            refusal: Refusal {
                retry_after_s: u32::try_from(self.retry_after.as_secs().max(1)).unwrap_or(u32::MAX),
            },
            exempt: Exempt::new(
                DEFAULT_EXEMPT
                    .into_iter()
                    .chain(self.exempt.iter().map(String::as_str)),
            ),
        })
    }
}

/// What the sample says of a figure that is not known.
fn told<'a>(sample: &'a Sample, figure: &str) -> Option<&'a UnknownFigure> {
    sample.unknown.iter().find(|told| told.figure == figure)
}

/// Why a figure is not known, where the sample says so.
fn unknown(sample: &Sample, figure: &'static str) -> Option<GuardError> {
    let reason = told(sample, figure)?.reason.clone();
    Some(GuardError::Unknown { figure, reason })
}

/// Why there is no limit to take a share of: it, or the whole group, is not known, or the group has none.
fn no_limit(sample: &Sample) -> GuardError {
    let figure = "cgroup.limit_bytes";
    let found = told(sample, figure).or_else(|| told(sample, "cgroup"));
    found.map_or(GuardError::NoLimit, |found| GuardError::Unknown {
        figure,
        reason: found.reason.clone(),
    })
}

/// Settings that hold together.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) limits: Limits,
    pub(super) shed_share: f64,
    pub(super) refusal: Refusal,
    pub(super) exempt: Exempt,
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
mod tests;
