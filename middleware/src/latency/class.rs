//! [`StatusClass`]: what became of a request.

use http::StatusCode;

/// The column that a request is counted in once it has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum StatusClass {
    /// `1xx`: an upgrade (101), which is counted at its head.
    Informational,
    /// `2xx`
    Successful,
    /// `3xx`
    Redirection,
    /// `4xx`
    ClientError,
    /// `5xx`, and status codes of no class.
    ServerError,
    /// `aborted`: future or body was dropped before its end, by a client that went away, a timeout outside, a panic.
    Aborted,
    /// `error`: the inner service or its body failed.
    Error,
}

impl StatusClass {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Informational,
        Self::Successful,
        Self::Redirection,
        Self::ClientError,
        Self::ServerError,
        Self::Aborted,
        Self::Error,
    ];

    /// `1xx` to `5xx`, `aborted`, `error`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Informational => "1xx",
            Self::Successful => "2xx",
            Self::Redirection => "3xx",
            Self::ClientError => "4xx",
            Self::ServerError => "5xx",
            Self::Aborted => "aborted",
            Self::Error => "error",
        }
    }

    /// Whether the server is to blame: 5xx and `error`. Aborts are the client's.
    #[must_use]
    pub const fn is_failure(self) -> bool {
        matches!(self, Self::ServerError | Self::Error)
    }

    #[inline]
    pub(crate) const fn of_code(code: u16) -> Self {
        match code {
            200..300 => Self::Successful,
            100..200 => Self::Informational,
            300..400 => Self::Redirection,
            400..500 => Self::ClientError,
            _ => Self::ServerError,
        }
    }
}

impl From<StatusCode> for StatusClass {
    #[inline]
    fn from(status: StatusCode) -> Self {
        Self::of_code(status.as_u16())
    }
}
