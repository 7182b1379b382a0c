//! What can be said of memory.

/// Why a rise is no leak, or not yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Doubt {
    /// It slows down, as where a cache fills.
    SlowsDown,
    /// It came in one step.
    Step,
    /// Memory has been as high before.
    SeenBefore,
    /// The requests rose too.
    Load,
    /// It is fast, and the process is young: what it fills first looks the same.
    Young,
    /// Memory wanders slowly, and may rise as much by itself.
    SlowNoise,
}

impl Doubt {
    /// As a clause of a sentence.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SlowsDown => "it slows down, as where a cache fills",
            Self::Step => "most of it came in one step",
            Self::SeenBefore => "memory has been as high before",
            Self::Load => "requests rose too",
            Self::Young => "the process is young, and what it fills first rises as fast",
            Self::SlowNoise => "memory wanders slowly, and may rise as much by itself",
        }
    }
}

/// A rise of memory over one window.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Rise {
    /// Minutes that were looked at.
    pub window_minutes: u64,
    /// Bytes an hour (Theil-Sen).
    pub bytes_per_hour: f64,
    /// Lower end of its 95 % confidence interval.
    pub low_per_hour: f64,
    /// Upper end.
    pub high_per_hour: f64,
    /// Probability of as much rise by chance (Mann-Kendall, corrected for autocorrelation).
    pub probability: f64,
    /// The level that it began at.
    pub from_bytes: f64,
}

/// What a [`LeakDetector`](super::LeakDetector) makes of what it saw.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Verdict {
    /// Memory does not rise, or by less than is worth a word.
    Steady {
        /// Minutes that were looked at.
        minutes: u64,
    },
    /// Memory rises, and there is a reason to think that it will stop.
    Growing(Rise, Doubt),
    /// Memory rises all along, beyond what was seen before, with no more requests to explain it.
    Leaking(Rise),
    /// Too little is known; why.
    Unknown(&'static str),
}
