//! What the latency layer tells, taken as often as it is worth: with hundreds of routes a snapshot and what is made of it take
//! milliseconds, so it is kept for a while, and shown with its age.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pitcrew::LatencyHandle;
use pitcrew::latency::{
    Figures, LatencyCounts, LatencySnapshot, NPlusOneReport, ObjectiveReport, SlowReport, Window,
};
use tokio::time::Instant;

/// What verdicts on response times are about.
const VERDICTS: Window = Window::FifteenMinutes;
/// Of so few series it is cheap, and taken anew whenever somebody wants it.
const FEW: usize = 64;
/// Else the pause is so many times what taking it took: two thousandths of a core.
const SHARE: u32 = 500;
/// Less than a second, so that each look of a second finds it due.
const EACH_LOOK: Duration = Duration::from_millis(900);
/// The longest pause while requests come, and while what has come is still in the last minute.
const BUSY: Duration = Duration::from_secs(10);
/// The pause while nothing has happened for longer.
const IDLE: Duration = Duration::from_secs(60);
/// For so long a request is in figures of a minute.
const MINUTE: Duration = Duration::from_secs(65);

/// What was told at a moment.
#[derive(Debug)]
pub(crate) struct Times {
    taken: Instant,
    /// How long it took to take it and to make the rest of it.
    took: Duration,
    pub(crate) snapshot: LatencySnapshot,
    pub(crate) minute: Figures,
    pub(crate) total: Figures,
    pub(crate) slow: SlowReport,
    pub(crate) objectives: Vec<ObjectiveReport>,
    pub(crate) repeated: NPlusOneReport,
}

impl Times {
    fn take(latency: &LatencyHandle) -> Self {
        let (taken, begin) = (Instant::now(), std::time::Instant::now());
        let snapshot = latency.snapshot();
        let (minute, total) = (snapshot.total_in(Window::OneMinute), snapshot.total());
        Self {
            slow: latency.slow_endpoints_of(&snapshot, VERDICTS),
            objectives: latency.objectives(),
            repeated: latency.n_plus_one(VERDICTS),
            snapshot,
            minute,
            total,
            took: begin.elapsed(),
            taken,
        }
    }

    fn is_cheap(&self) -> bool {
        self.snapshot.series.len() <= FEW
    }

    /// Seconds since then, to a tenth.
    pub(crate) fn age_s(&self) -> f64 {
        (self.taken.elapsed().as_secs_f64() * 10.0).round() / 10.0
    }
}

/// The last of them.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    state: Mutex<State>,
    /// Somebody takes it now.
    is_taking: AtomicBool,
}

/// It has been taken, or a panic has ended that.
struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

#[derive(Debug, Default)]
struct State {
    times: Option<Arc<Times>>,
    /// When requests were seen to come or go last.
    changed: Option<(Instant, LatencyCounts)>,
}

impl Taken {
    /// For the look of each second: what there is, or anew where it is due. What is dear is taken beside the runtime's threads, whose
    /// requests would wait for it, and is there at a later look.
    pub(crate) fn at_look(
        self: &Arc<Self>,
        latency: &LatencyHandle,
        counts: LatencyCounts,
    ) -> Arc<Times> {
        let pause = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            let changed = match state.changed {
                Some((at, known)) if known == counts => at,
                _ => now,
            };
            state.changed = Some((changed, counts));
            let took = state
                .times
                .as_ref()
                .map_or(Duration::ZERO, |times| times.took);
            pause(now.saturating_duration_since(changed), took)
        };
        let known = self.last().filter(|times| !times.is_cheap());
        let (Some(known), Ok(runtime)) = (known, tokio::runtime::Handle::try_current()) else {
            return self.no_older_than(pause, latency);
        };
        if known.taken.elapsed() >= pause && !self.is_taking.swap(true, Ordering::AcqRel) {
            let (taken, latency) = (Arc::clone(self), latency.clone());
            runtime.spawn_blocking(move || {
                let _done = Done(&taken.is_taking);
                taken.take(&latency);
            });
        }
        known
    }

    /// For a page: anew where that is cheap, else as of the last look.
    pub(crate) fn for_page(&self, latency: &LatencyHandle) -> Arc<Times> {
        let age = match self.last() {
            Some(times) if !times.is_cheap() => IDLE + BUSY,
            _ => Duration::ZERO,
        };
        self.no_older_than(age, latency)
    }

    fn last(&self) -> Option<Arc<Times>> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.times.clone()
    }

    fn no_older_than(&self, age: Duration, latency: &LatencyHandle) -> Arc<Times> {
        if let Some(times) = self.last()
            && times.taken.elapsed() < age
        {
            return times;
        }
        self.take(latency)
    }

    fn take(&self, latency: &LatencyHandle) -> Arc<Times> {
        let times = Arc::new(Times::take(latency));
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.times = Some(Arc::clone(&times));
        times
    }
}

/// How old the figures may become: `quiet` since requests came or went last, `took` to take them.
fn pause(quiet: Duration, took: Duration) -> Duration {
    if quiet > MINUTE {
        return IDLE;
    }
    (took * SHARE).clamp(EACH_LOOK, BUSY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_dear_is_taken_seldom_and_what_has_not_changed_hardly_ever() {
        let (seconds, ms) = (Duration::from_secs, Duration::from_millis);
        assert!(pause(seconds(0), ms(1)) < seconds(1));
        assert_eq!(pause(seconds(0), ms(8)), seconds(4));
        assert_eq!(pause(seconds(0), ms(100)), BUSY);
        assert_eq!(
            pause(seconds(64), ms(100)),
            BUSY,
            "it is still in the minute"
        );
        assert_eq!(pause(seconds(66), ms(1)), IDLE);
    }
}
