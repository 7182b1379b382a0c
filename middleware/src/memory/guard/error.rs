//! Why a guard cannot be built.

use thiserror::Error;

use super::MAX_EXEMPT;

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
    /// A figure that the guard goes by cannot be read; which, and why.
    #[error(
        "the guard goes by {figure}, which is not known ({reason}): let the process read /proc/self and /sys/fs/cgroup, or give both \
         limits by soft_bytes and hard_bytes, or both as shares of the control group's limit"
    )]
    #[allow(missing_docs)]
    Unknown {
        figure: &'static str,
        reason: String,
    },
    /// Limits in bytes were asked for, and the control group's limit, which they must not be above, cannot be read; why.
    #[error(
        "no limit of the guard may be above the control group's, which is not known ({0}): let the process read memory.max (v1: \
         memory.limit_in_bytes) of its group and of those above it in /sys/fs/cgroup"
    )]
    GroupLimitUnknown(String),
    /// The control group's limit is 0.
    #[error(
        "the control group's limit is 0 bytes: give the group memory (docker run --memory, resources.limits.memory, MemoryMax=)"
    )]
    GroupLimitZero,
    /// A share that is not a share.
    #[error("{0} % is no share of a limit: give one above 0 and at most 100")]
    Percent(f64),
    /// A share of requests that is not a share.
    #[error("shed_share {0} is no share of the requests: give one above 0 and at most 1")]
    ShedShare(f64),
    /// The soft limit stands above the hard one, or one of them comes to 0 bytes.
    #[error(
        "the soft limit ({soft} bytes) must not be above the hard one ({hard} bytes), and neither 0"
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
    #[error(
        "{0} exempt patterns are too many: give {MAX_EXEMPT} at most, a `*` stands for many paths"
    )]
    TooManyExempt(usize),
}
