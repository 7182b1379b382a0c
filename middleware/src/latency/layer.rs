//! [`LatencyLayer`] and its builder.

use std::fmt;

use http::request::Parts;
use tower_layer::Layer;

use super::{
    exemplar::{DEFAULT_EXEMPLARS, MAX_EXEMPLARS},
    handle::LatencyHandle,
    recorder::{
        registry::{MAX_SERIES, OVERFLOW_SERIES},
        shared::{Settings, Shared},
    },
    routes::{MAX_ALLOWED, MAX_GLOB_BYTES},
    service::{Latency, Measure},
    slo::MAX_OBJECTIVES,
    slow::MAX_TARGETS,
    verdicts::Verdicts,
};
use crate::{clock::Clock, route::Labeler};

/// Series that a layer keeps unless told otherwise, the `overflow` ones included.
pub const DEFAULT_MAX_SERIES: usize = 512;

/// Series that a layer keeps at least: those of `overflow`, and one.
pub const MIN_SERIES: usize = OVERFLOW_SERIES + 1;

/// Measures every request of the service it is put on. In axum, add it last, so that it is the outermost layer.
#[derive(Clone)]
pub struct LatencyLayer {
    measure: Measure,
}

impl LatencyLayer {
    /// Starts with the defaults: [`DEFAULT_MAX_SERIES`], labels from axum's `MatchedPath`, the system clock.
    #[must_use]
    pub fn builder() -> LatencyBuilder {
        LatencyBuilder {
            max_series: DEFAULT_MAX_SERIES,
            labeler: Labeler::default(),
            clock: Clock::system(),
            exemplars: DEFAULT_EXEMPLARS,
            has_server_timing: false,
            leaves_out_load_tests: false,
            verdicts: Verdicts::default(),
        }
    }
}

impl<S> Layer<S> for LatencyLayer {
    type Service = Latency<S>;

    fn layer(&self, inner: S) -> Latency<S> {
        Latency::new(inner, self.measure.clone())
    }
}

impl fmt::Debug for LatencyLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LatencyLayer")
            .field("labeler", &self.measure.labeler)
            .finish_non_exhaustive()
    }
}

/// Settings of a [`LatencyLayer`].
#[derive(Debug)]
pub struct LatencyBuilder {
    max_series: usize,
    labeler: Labeler,
    clock: Clock,
    exemplars: usize,
    has_server_timing: bool,
    leaves_out_load_tests: bool,
    pub(super) verdicts: Verdicts,
}

impl LatencyBuilder {
    /// How many (route, method, status class) are kept apart, [`MIN_SERIES`] to [`MAX_SERIES`]. What comes after is counted in the
    /// route `overflow`, one series a status class, and in [`LatencySnapshot::dropped_series`](super::LatencySnapshot).
    /// Default [`DEFAULT_MAX_SERIES`].
    #[must_use]
    pub fn max_series(mut self, max_series: usize) -> Self {
        self.max_series = max_series;
        self
    }

    /// How many of the slowest requests are told of each route and window, 0 to [`MAX_EXEMPLARS`]. Default
    /// [`DEFAULT_EXEMPLARS`]. With 0 no request's `traceparent` is read.
    #[must_use]
    pub fn exemplars(mut self, exemplars: usize) -> Self {
        self.exemplars = exemplars;
        self
    }

    /// Adds `Server-Timing: total;dur=…` (W3C Server Timing) to each response: milliseconds to its head. Browsers show it in
    /// their developer tools, and so does everybody else who asks: it tells how long the server took. Off by default.
    #[must_use]
    pub fn server_timing(mut self, server_timing: bool) -> Self {
        self.has_server_timing = server_timing;
        self
    }

    /// Counts no request of a load test that this process makes of itself ([`LoadRun`](super::LoadRun)), so that percentiles, objectives and alerts
    /// are of real visitors alone. Segments and statements of such requests are left out too; [`Server-Timing`](Self::server_timing)
    /// is said of them as of all. What such a test itself found is in its report. Off by default; with it on, a request costs one look-up of a header more.
    #[must_use]
    pub fn leave_out_load_tests(mut self, leave_out_load_tests: bool) -> Self {
        self.leaves_out_load_tests = leave_out_load_tests;
        self
    }

    /// Names a request's route. Return a template (`/orders/{id}`), not the path. It goes before all else; `None` falls back to
    /// axum's `MatchedPath`, then to axum's `NestedPath` with `/*` (inside `nest_service` there is no other), then to `unmatched`.
    /// Without it a request costs less: nobody needs the whole head. `overflow` is the layer's own label: what is called so counts as dropped.
    #[must_use]
    pub fn route_label(
        mut self,
        label: impl Fn(&Parts) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        self.labeler = Labeler::new(label);
        self
    }

    /// Replaces the clock; for tests.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// The layer for the app and the handle for whoever wants to read it. Spawns nothing. A setting out of its range counts as the
    /// nearest end of it; [`try_build`](Self::try_build) refuses it.
    #[must_use]
    pub fn build(mut self) -> (LatencyLayer, LatencyHandle) {
        self.max_series = self.max_series.clamp(MIN_SERIES, MAX_SERIES);
        self.exemplars = self.exemplars.min(MAX_EXEMPLARS);
        self.verdicts.keep_bounds();
        self.built()
    }

    /// [`build`](Self::build), where no setting is out of its range.
    ///
    /// # Errors
    ///
    /// [`BuildError`], which names the setting, what it is and what it may be.
    pub fn try_build(self) -> Result<(LatencyLayer, LatencyHandle), BuildError> {
        if !(MIN_SERIES..=MAX_SERIES).contains(&self.max_series) {
            return Err(BuildError::MaxSeries(self.max_series));
        }
        if self.exemplars > MAX_EXEMPLARS {
            return Err(BuildError::Exemplars(self.exemplars));
        }
        self.verdicts.check()?;
        Ok(self.built())
    }

    fn built(self) -> (LatencyLayer, LatencyHandle) {
        let shared = Shared::new(Settings {
            clock: self.clock,
            max_series: self.max_series,
            exemplars: self.exemplars,
            verdicts: self.verdicts,
        });
        let measure = Measure {
            layer: shared.id(),
            ticks: shared.ticks(),
            labeler: self.labeler,
            has_exemplars: self.exemplars > 0,
            has_server_timing: self.has_server_timing,
            leaves_out_load_tests: self.leaves_out_load_tests,
        };
        (LatencyLayer { measure }, LatencyHandle { shared })
    }
}

/// A setting is out of its range.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// Of [`LatencyBuilder::max_series`].
    #[error("max_series wants {MIN_SERIES} to {MAX_SERIES}, not {0}")]
    MaxSeries(usize),
    /// Of [`LatencyBuilder::exemplars`].
    #[error("exemplars wants 0 to {MAX_EXEMPLARS}, not {0}")]
    Exemplars(usize),
    /// Of [`LatencyBuilder::objective`].
    #[error(
        "a layer takes at most {MAX_OBJECTIVES} objectives, not {0}; say several routes with one glob"
    )]
    Objectives(usize),
    /// Of [`LatencyBuilder::target`].
    #[error(
        "a layer takes at most {MAX_TARGETS} targets, not {0}; say several routes with one glob"
    )]
    Targets(usize),
    /// Of `NPlusOne::share`.
    #[error("the share of requests that repeat a statement wants 0 to 1, not {0}")]
    RepeatedShare(f64),
    /// Of `NPlusOne::allow_route` and `NPlusOne::allow_statement`.
    #[error(
        "at most {MAX_ALLOWED} routes and as many statements may be allowed to repeat, not {0}; say several with one glob"
    )]
    Allowed(usize),
    /// Of the same.
    #[error(
        "what is allowed to repeat statements wants a glob that is not empty, of at most {MAX_GLOB_BYTES} bytes"
    )]
    AllowedGlob,
}
