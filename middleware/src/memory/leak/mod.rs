//! Does memory grow as a leak does? The statistics, the history they read, the verdict, and the routes under suspicion.

mod detector;
mod history;
#[cfg(feature = "jemalloc-pprof")]
mod profile;
mod statistics;
mod suspects;
mod verdict;

use serde::Serialize;

#[cfg(feature = "jemalloc-pprof")]
pub use self::profile::HeapProfileError;
#[cfg(feature = "jemalloc-pprof")]
pub(super) use self::profile::profile;
pub(super) use self::suspects::Suspects;
pub use self::{
    detector::{LEAST_RISE_BYTES, LeakDetector},
    history::Observation,
    suspects::{MAX_SUSPECTS, Suspect},
    verdict::{Doubt, Rise, Verdict},
};

/// What memory does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum LeakState {
    /// It does not rise.
    Steady,
    /// It rises, and there is a reason to think that it will stop.
    Growing,
    /// It rises as a leak does.
    Leaking,
    /// Too little is known.
    #[default]
    Unknown,
}

/// The leak verdict, with its numbers.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct LeakReport {
    /// The verdict.
    pub state: LeakState,
    /// It in a sentence, with the numbers.
    pub detail: String,
    /// What was looked at: `counting` or `jemalloc` (live bytes), or `rss`.
    pub source: &'static str,
    /// Minutes that were looked at; for a rise, the window in which it was found.
    pub window_minutes: u64,
    /// Rise in bytes an hour (Theil-Sen); `None` unless growing or leaking.
    pub bytes_per_hour: Option<f64>,
    /// Lower end of its 95 % confidence interval.
    pub low_bytes_per_hour: Option<f64>,
    /// Upper end.
    pub high_bytes_per_hour: Option<f64>,
    /// Probability of as much rise by chance (Mann-Kendall).
    pub probability: Option<f64>,
    /// The control group's limit, or the machine's memory where that is less or there is none.
    pub limit_bytes: Option<u64>,
    /// Hours until that is reached at this rate, by the resident set size now; `None` unless growing or leaking.
    pub hours_to_limit: Option<f64>,
    /// Routes whose own accounts rise most, the most first; needs [`CountingAlloc`](super::CountingAlloc).
    pub suspects: Vec<Suspect>,
    /// Whether a heap profile can be had (`MemoryHandle::heap_profile`, feature `jemalloc-pprof`).
    pub profile: bool,
}

impl LeakReport {
    pub(super) fn new(
        verdict: &Verdict,
        source: &'static str,
        limit: Option<u64>,
        rss: Option<u64>,
        suspects: Vec<Suspect>,
    ) -> Self {
        let report = Self {
            source,
            limit_bytes: limit,
            profile: has_profile(),
            ..Self::default()
        };
        let (state, rise, doubt) = match verdict {
            Verdict::Unknown(reason) => {
                return Self {
                    state: LeakState::Unknown,
                    detail: format!("not known yet: {reason}"),
                    ..report
                };
            }
            Verdict::Steady { minutes } => {
                return Self {
                    state: LeakState::Steady,
                    detail: format!("memory is steady over {}", span(*minutes)),
                    window_minutes: *minutes,
                    ..report
                };
            }
            Verdict::Growing(rise, doubt) => (LeakState::Growing, rise, Some(doubt)),
            Verdict::Leaking(rise) => (LeakState::Leaking, rise, None),
        };
        let hours = limit.zip(rss).map(|(limit, rss)| {
            limit.saturating_sub(rss) as f64 / rise.bytes_per_hour.max(f64::MIN_POSITIVE)
        });
        let what = if source == "rss" {
            "resident memory"
        } else {
            "live memory"
        };
        let begin = match doubt {
            None => format!("{what} leaks"),
            Some(_) => format!("{what} grows"),
        };
        let mut detail = format!(
            "{begin}: {} an hour over the last {} (95 % interval {} to {}, probability by chance {:.1e})",
            mib(rise.bytes_per_hour),
            span(rise.window_minutes),
            mib(rise.low_per_hour),
            mib(rise.high_per_hour),
            rise.probability
        );
        if let Some(doubt) = doubt {
            detail += &format!("; it is not called a leak because {}", doubt.as_str());
        }
        if let (Some(hours), Some(limit)) = (hours, limit) {
            detail += &format!(
                "; at that rate the limit of {} is reached in {}",
                mib(limit as f64),
                span((hours * 60.0) as u64)
            );
        }
        if let Some(first) = suspects.first() {
            detail += &format!(
                "; most of it may be held by {} ({} an hour)",
                first.route,
                mib(first.bytes_per_hour)
            );
        }
        Self {
            state,
            detail,
            window_minutes: rise.window_minutes,
            bytes_per_hour: Some(rise.bytes_per_hour),
            low_bytes_per_hour: Some(rise.low_per_hour),
            high_bytes_per_hour: Some(rise.high_per_hour),
            probability: Some(rise.probability),
            hours_to_limit: hours.filter(|hours| hours.is_finite()),
            suspects,
            ..report
        }
    }
}

fn has_profile() -> bool {
    #[cfg(feature = "jemalloc-pprof")]
    return profile::is_there();
    #[cfg(not(feature = "jemalloc-pprof"))]
    false
}

fn mib(bytes: f64) -> String {
    let mib = bytes / f64::from(1 << 20);
    if mib.abs() < 10.0 {
        format!("{mib:.2} MiB")
    } else {
        format!("{mib:.0} MiB")
    }
}

fn span(minutes: u64) -> String {
    match minutes {
        0..180 => format!("{minutes} minutes"),
        180..4_320 => format!("{:.1} hours", minutes as f64 / 60.0),
        _ => format!("{:.1} days", minutes as f64 / 1_440.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RISE: Rise = Rise {
        window_minutes: 240,
        bytes_per_hour: 8.0 * 1_048_576.0,
        low_per_hour: 7.0 * 1_048_576.0,
        high_per_hour: 9.0 * 1_048_576.0,
        probability: 1.2e-9,
        from_bytes: 4e8,
    };

    #[test]
    fn each_state_is_a_sentence_with_its_numbers() {
        let suspects = vec![Suspect {
            route: "GET /orders/{id}".into(),
            bytes_per_hour: 7.5 * 1_048_576.0,
        }];
        let leak = LeakReport::new(
            &Verdict::Leaking(RISE),
            "counting",
            Some(1 << 30),
            Some(1 << 29),
            suspects,
        );
        assert_eq!(
            leak.detail,
            "live memory leaks: 8.00 MiB an hour over the last 4.0 hours (95 % interval 7.00 MiB to 9.00 MiB, probability by \
             chance 1.2e-9); at that rate the limit of 1024 MiB is reached in 64.0 hours; most of it may be held by GET \
             /orders/{id} (7.50 MiB an hour)"
        );
        assert!((leak.hours_to_limit.unwrap() - 64.0).abs() < 1e-9);
        let growth = LeakReport::new(
            &Verdict::Growing(RISE, Doubt::SlowsDown),
            "rss",
            None,
            None,
            Vec::new(),
        );
        assert!(
            growth.detail.contains("resident memory grows")
                && growth.detail.contains("as where a cache fills")
        );
        assert_eq!(
            (growth.state, growth.hours_to_limit),
            (LeakState::Growing, None)
        );
        let steady = LeakReport::new(
            &Verdict::Steady { minutes: 6_000 },
            "rss",
            None,
            None,
            Vec::new(),
        );
        assert_eq!(steady.detail, "memory is steady over 4.2 days");
        let unknown = LeakReport::new(&Verdict::Unknown("why"), "rss", None, None, Vec::new());
        assert_eq!(unknown.detail, "not known yet: why");
        let json = serde_json::to_value(&leak).unwrap();
        assert_eq!(json["state"], "leaking");
    }
}
