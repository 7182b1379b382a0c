//! [`Window`]: which time figures are of.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};

/// The time that figures are of.
///
/// A rolling window holds nothing that is older than its length, and may lack the oldest slot of it: see
/// [`Figures::covered_s`](super::Figures).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub enum Window {
    /// The last minute.
    #[serde(rename = "1m")]
    OneMinute,
    /// The last five minutes.
    #[serde(rename = "5m")]
    FiveMinutes,
    /// The last fifteen minutes.
    #[serde(rename = "15m")]
    FifteenMinutes,
    /// The last hour.
    #[serde(rename = "1h")]
    OneHour,
    /// Since the layer was built.
    #[default]
    #[serde(rename = "total")]
    SinceStart,
}

impl Window {
    /// All of them, the shortest first.
    pub const ALL: [Self; 5] = [
        Self::OneMinute,
        Self::FiveMinutes,
        Self::FifteenMinutes,
        Self::OneHour,
        Self::SinceStart,
    ];

    /// Its length; none for [`Window::SinceStart`].
    #[must_use]
    pub const fn length(self) -> Option<Duration> {
        match self {
            Self::OneMinute => Some(Duration::from_secs(60)),
            Self::FiveMinutes => Some(Duration::from_secs(300)),
            Self::FifteenMinutes => Some(Duration::from_secs(900)),
            Self::OneHour => Some(Duration::from_secs(3_600)),
            Self::SinceStart => None,
        }
    }

    /// `1m`, `5m`, `15m`, `1h` or `total`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OneMinute => "1m",
            Self::FiveMinutes => "5m",
            Self::FifteenMinutes => "15m",
            Self::OneHour => "1h",
            Self::SinceStart => "total",
        }
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text names no window.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no window; choose one of 1m, 5m, 15m, 1h and total")]
pub struct UnknownWindow(String);

impl FromStr for Window {
    type Err = UnknownWindow;

    fn from_str(text: &str) -> Result<Self, UnknownWindow> {
        Self::ALL
            .into_iter()
            .find(|window| window.as_str() == text)
            .ok_or_else(|| UnknownWindow(text.to_owned()))
    }
}
