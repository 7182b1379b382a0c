//! What of a configuration cannot work.

use pitcrew_load::{PlanError, TargetError};

use crate::optimizer::MIN_INTERVAL;
use crate::security::identity::{MAX_TOKEN_BYTES, MIN_TOKEN_BYTES};

/// A configuration that cannot work. The texts never repeat a token or a connection string.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The database address does not parse.
    #[error(
        "the database address is not one (write postgres://user:password@host:port/database): {0}"
    )]
    DatabaseUrl(String),
    /// The app's own address cannot be a load test's target.
    #[error("the app's own address cannot be used: {0}")]
    SelfAddress(#[from] TargetError),
    /// Another target of load tests cannot be one.
    #[error("a target of load tests cannot be used: {0}")]
    LoadTarget(#[source] TargetError),
    /// The database of load tests cannot be one.
    #[error("the database of load tests cannot be used: {0}")]
    LoadDatabase(#[source] TargetError),
    /// A ceiling of load tests is none, or higher than the tester's own.
    #[error("a ceiling of load tests cannot be used: {0}")]
    LoadCeilings(#[source] PlanError),
    /// A token is too short to protect anything.
    #[error("a token has fewer than {MIN_TOKEN_BYTES} bytes: make one with `openssl rand -hex 32`")]
    ShortToken,
    /// A token is longer than any that is looked at.
    #[error("a token has more than {MAX_TOKEN_BYTES} bytes: make one with `openssl rand -hex 32`")]
    LongToken,
    /// A token that is given as its hash is no hash.
    #[error(
        "a token that begins with `sha256:` goes on with the 64 hexadecimal digits of its hash: \
         printf %s \"$TOKEN\" | sha256sum"
    )]
    TokenHash,
    /// The name of a token's holder cannot be shown.
    #[error("the name of a token's holder has 1 to 64 bytes and no control characters")]
    TokenName,
    /// The name of the instance or of its environment cannot be shown.
    #[error(
        "the name of an instance, and of its environment, has 1 to 64 bytes and no control characters; they come from the builder, \
         else from PITCREW_INSTANCE and PITCREW_ENVIRONMENT"
    )]
    InstanceName,
    /// There is nowhere to keep things, or no name to find them by.
    #[error(
        "what is kept in the database wants `.database(..)`, and `.instance(..)` to find it by"
    )]
    Keep,
    /// Whose token it is would not be known.
    #[error("a token is configured twice: give each holder one of their own")]
    TokenTwice,
    /// A rule of an alert cannot work.
    #[error("{0}")]
    Alert(String),
    /// The audit's file cannot be opened.
    #[error("the audit's file cannot be opened: {0}")]
    AuditFile(#[source] std::io::Error),
    /// The cycle would run without pause.
    #[error("the cycle's interval is below {} seconds", MIN_INTERVAL.as_secs())]
    CycleInterval,
    /// The system's random numbers are not there.
    #[error("no token is configured and the system gave no random numbers to make one: {0}")]
    Random(String),
    /// The database wants TLS and the system has no root certificates.
    #[error(
        "the database address asks for TLS, but the system has no root certificates: install ca-certificates"
    )]
    NoRoots,
    /// TLS could not be set up.
    #[error("TLS could not be set up: {0}")]
    Tls(String),
}
