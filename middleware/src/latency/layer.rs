//! [`LatencyLayer`], its builder and its handle.

use std::{fmt, sync::Arc};

use http::request::Parts;
use tower_layer::Layer;

use super::{
    recorder::{
        registry::OVERFLOW_SERIES,
        shared::{Settings, Shared},
    },
    service::{Latency, Measure},
    snapshot::LatencySnapshot,
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
    pub(super) verdicts: Verdicts,
}

impl LatencyBuilder {
    /// How many (route, method, status class) are kept apart; at least 8. What comes after is counted in the route
    /// `overflow`, one series a status class, and in [`LatencySnapshot::dropped_series`]. Default 512.
    #[must_use]
    pub fn max_series(mut self, max_series: usize) -> Self {
        self.max_series = max_series;
        self
    }

    /// Names a request's route. Return a template (`/orders/{id}`), not the path. `None` falls back to axum's
    /// `MatchedPath`, then to `unmatched`.
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

    /// The layer for the app and the handle for whoever wants to read it. Spawns nothing.
    #[must_use]
    pub fn build(self) -> (LatencyLayer, LatencyHandle) {
        let shared = Shared::new(Settings {
            clock: self.clock,
            max_series: self.max_series.max(MIN_SERIES),
            verdicts: self.verdicts,
        });
        let measure = Measure {
            layer: shared.id(),
            ticks: shared.ticks(),
            labeler: self.labeler,
        };
        (LatencyLayer { measure }, LatencyHandle { shared })
    }
}

/// Reads what a [`LatencyLayer`] has recorded. Cheap to clone.
#[derive(Clone)]
pub struct LatencyHandle {
    pub(super) shared: Arc<Shared>,
}

impl LatencyHandle {
    /// All series, merged over the threads, at this moment.
    #[must_use]
    pub fn snapshot(&self) -> LatencySnapshot {
        self.shared.snapshot()
    }
}

impl fmt::Debug for LatencyHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LatencyHandle").finish_non_exhaustive()
    }
}
