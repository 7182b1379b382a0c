//! What a layer is asked to judge by, and what its handle tells of it.

#[cfg(feature = "statements")]
use super::statements::{NPlusOne, NPlusOneReport};
use super::{
    Window,
    handle::LatencyHandle,
    layer::{BuildError, LatencyBuilder},
    segments::TimeReport,
    slo::{MAX_OBJECTIVES, Objective, ObjectiveReport, ObjectiveState, Tracker},
    slow::{
        DEFAULT_ENOUGH_REQUESTS, DEFAULT_LEAST_CHANGE_MS, Judge, MAX_TARGETS, SlowBy, SlowEndpoint,
        SlowReport, Target,
    },
    snapshot::LatencySnapshot,
};

/// Objectives, targets, and what counts as N+1.
#[derive(Clone, Debug, Default)]
pub(crate) struct Verdicts {
    objectives: Vec<Objective>,
    targets: Vec<Target>,
    #[cfg(feature = "statements")]
    n_plus_one: NPlusOne,
}

impl Verdicts {
    /// Leaves out what is too many.
    pub(crate) fn keep_bounds(&mut self) {
        self.objectives.truncate(MAX_OBJECTIVES);
        self.targets.truncate(MAX_TARGETS);
        #[cfg(feature = "statements")]
        self.n_plus_one.keep_bounds();
    }

    /// Refuses what is too many.
    pub(crate) fn check(&self) -> Result<(), BuildError> {
        if self.objectives.len() > MAX_OBJECTIVES {
            return Err(BuildError::Objectives(self.objectives.len()));
        }
        if self.targets.len() > MAX_TARGETS {
            return Err(BuildError::Targets(self.targets.len()));
        }
        #[cfg(feature = "statements")]
        self.n_plus_one.check()?;
        Ok(())
    }

    pub(crate) fn tracker(&self) -> Tracker {
        Tracker::new(self.objectives.iter().cloned())
    }

    /// Executions in one request from which a statement counts as repeated.
    pub(crate) fn repeated_times(&self) -> u32 {
        #[cfg(feature = "statements")]
        return self.n_plus_one.times;
        #[cfg(not(feature = "statements"))]
        u32::MAX
    }
}

impl LatencyBuilder {
    /// Adds a service level objective; see [`Objective`] and [`LatencyHandle::objectives`]. At most [`MAX_OBJECTIVES`]; more are left out by
    /// [`build`](Self::build) and refused by [`try_build`](Self::try_build).
    #[must_use]
    pub fn objective(mut self, objective: Objective) -> Self {
        self.verdicts.objectives.push(objective);
        self
    }

    /// Adds a target; see [`Target`] and [`LatencyHandle::slow_endpoints`]. At most [`MAX_TARGETS`]; more are left out by [`build`](Self::build) and refused
    /// by [`try_build`](Self::try_build).
    #[must_use]
    pub fn target(mut self, target: Target) -> Self {
        self.verdicts.targets.push(target);
        self
    }

    /// When repeated statements are called N+1. Default [`NPlusOne::default`].
    #[cfg(feature = "statements")]
    #[must_use]
    pub fn n_plus_one(mut self, n_plus_one: NPlusOne) -> Self {
        self.verdicts.n_plus_one = n_plus_one;
        self
    }
}

impl LatencyHandle {
    /// Where the time of requests goes, by route: waiting for a connection, the database, the cache, segments of the app's own, and the rest. Of requests
    /// that had such a segment; parts and rest sum to the whole.
    #[must_use]
    pub fn where_time_goes(&self, window: Window) -> TimeReport {
        let names = || self.shared.registry().routes_after(0);
        TimeReport::of(self.shared.accounts(), names, window)
    }

    /// Statements that requests run again and again, by route.
    #[cfg(feature = "statements")]
    #[must_use]
    pub fn n_plus_one(&self, window: Window) -> NPlusOneReport {
        let names = || self.shared.registry().routes_after(0);
        let settings = &self.shared.verdicts().n_plus_one;
        NPlusOneReport::of(self.shared.accounts(), settings, names, window)
    }

    /// How all objectives stand, in the order in which they were added.
    #[must_use]
    pub fn objectives(&self) -> Vec<ObjectiveReport> {
        self.shared.objectives()
    }

    /// Which routes are slow in a window: by their targets, by latency objectives whose budget goes too fast or is gone, and by their own past, which is the
    /// same hour yesterday where the layer was there and the window before where it was not.
    ///
    /// Routes with fewer than [`DEFAULT_ENOUGH_REQUESTS`] requests are told as young. Since the start
    /// ([`Window::SinceStart`]) there is no past to compare with.
    #[must_use]
    pub fn slow_endpoints(&self, window: Window) -> SlowReport {
        self.slow_endpoints_of(&self.snapshot(), window)
    }

    /// [`slow_endpoints`](Self::slow_endpoints) by a snapshot of this layer that is there already.
    #[must_use]
    pub fn slow_endpoints_of(&self, snapshot: &LatencySnapshot, window: Window) -> SlowReport {
        let judge = Judge {
            targets: &self.shared.verdicts().targets,
            window,
            enough: DEFAULT_ENOUGH_REQUESTS,
            least_ms: DEFAULT_LEAST_CHANGE_MS,
        };
        let mut report = judge.report(snapshot);
        let burning = self.objectives().into_iter().filter(|objective| {
            objective.threshold_ms.is_some()
                && matches!(
                    objective.state,
                    ObjectiveState::Page | ObjectiveState::Ticket | ObjectiveState::Exhausted
                )
        });
        report
            .findings
            .extend(burning.map(|objective| SlowEndpoint {
                route: objective.routes,
                method: "*".to_owned(),
                by: SlowBy::Objective,
                requests: objective.requests,
                verdict: objective.verdict,
                ..SlowEndpoint::default()
            }));
        report
    }
}
