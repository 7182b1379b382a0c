//! Servers whose limit is known: the rate at which a threshold breaks is arithmetic.

use std::collections::VecDeque;

use crate::server::Served;

/// The runtime's timer counts in milliseconds and rounds up, so that a high percentile is late by one.
const TIMER_LATE_S: f64 = 0.001;

/// A token bucket: so many requests a second are answered, and of what comes beyond as many as were saved up; the rest is
/// refused. At a rate of r a share of 1 - per_s / r is refused.
pub(crate) fn bucket(per_s: f64, burst: f64) -> impl FnMut(f64) -> Served {
    let (mut tokens, mut last) = (burst, 0.0);
    move |now| {
        tokens = (tokens + (now - last) * per_s).min(burst);
        last = now;
        let is_refused = tokens < 1.0;
        if !is_refused {
            tokens -= 1.0;
        }
        Served {
            is_refused,
            ..Served::at_once()
        }
    }
}

/// Answers come the later the more is asked: after base / (1 - r / per_s), where r is what came in the last second; nine tenths
/// of the limit is as full as it gets. A wait of w is reached at a rate of per_s (1 - base / w).
pub(crate) fn crowded(base_s: f64, per_s: f64) -> impl FnMut(f64) -> Served {
    let mut recent = VecDeque::new();
    move |now| {
        recent.push_back(now);
        while recent.front().is_some_and(|first| now - first > 1.0) {
            recent.pop_front();
        }
        let fill = (recent.len() as f64 / per_s).min(0.9);
        Served::at(now + base_s / (1.0 - fill) - TIMER_LATE_S)
    }
}
